"""One block of drawn bytes, from which arrays are read."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

# Hypothesis changes examples by copying parts of one place to places drawn by a strategy that
# looks alike. What does not fit there becomes the simplest value: bytes of another size become
# zeros, numbers out of range the lowest. Half of all clouds were empty so, and nearly half had
# two samples. Hence blocks of one size for everything, numbers by strategies that do not look
# alike, and nothing mapped on the way.

#: Enough for 20 points of 5 features; 15 blocks exhaust what one test may draw.
N_BYTES = 272
BLOCKS = st.binary(min_size=N_BYTES, max_size=N_BYTES)


def any_of(low: int, high: int) -> st.SearchStrategy[int]:
    """Draw an integer of a range, which looks like no other range."""
    return st.sampled_from(range(low, high + 1))


class Block:
    """Numbers read off a block, and beyond it from a seed that it makes.

    Drawn one by one they would take fifty times as long. The block is read from its end: there
    hypothesis shrinks last, so that what is left stands in the first samples and the others go.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw, self._rest = raw, raw[::-1]

    def take(self, n_bytes: int) -> bytes:
        """Return the next bytes."""
        if n_bytes > len(self._rest):
            self._rest += self._seeded(n_bytes)
        taken, self._rest = self._rest[:n_bytes], self._rest[n_bytes:]
        return taken

    def numbers(self, size: int, below: int) -> NDArray[np.int64]:
        """Return integers from 0 to below - 1, of 256 at most."""
        return np.frombuffer(self.take(size), dtype=np.uint8).astype(np.int64) % below

    def below(self, limit: int) -> int:
        """Return one integer from 0 to limit - 1."""
        return int(self.numbers(1, limit)[0])

    def _seeded(self, n_bytes: int) -> bytes:
        if not any(self._raw):
            return bytes(n_bytes)  # simplest of all
        return np.random.RandomState(zlib.crc32(self._raw)).bytes(n_bytes)
