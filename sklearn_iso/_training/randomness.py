"""Random numbers that are ours alone: the global generators stay as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

# torch's default generator belongs to the process; threads take turns at it.
_TURN = threading.RLock()


def new_generator(rng: np.random.RandomState) -> torch.Generator:
    """Return a torch generator seeded from a numpy one."""
    return torch.Generator().manual_seed(int(rng.randint(np.iinfo(np.int32).max)))


class PrivateStream:
    """Random stream for modules that draw from torch's default generator.

    Parameters
    ----------
    seed : int
        Where the stream starts.

    Notes
    -----
    Inside :meth:`active` the default generator continues this stream; afterwards it is
    what it was before, so that dropout and weight initialisation of a user's module depend
    on the seed and on nothing else.
    """

    def __init__(self, seed: int) -> None:
        self._state = torch.Generator().manual_seed(seed).get_state()

    def get_state(self) -> torch.Tensor:
        """Return where the stream is."""
        return self._state.clone()

    def set_state(self, state: torch.Tensor) -> None:
        """Bring the stream to where it was."""
        self._state = state.clone()

    def of_process(self, rank: int) -> PrivateStream:
        """Return a stream of one of several processes, which all have drawn alike so far."""
        with self.active():
            seed = int(torch.randint(2**31 - 1, ()))
        return PrivateStream(seed + rank)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Continue the stream within the block."""
        with _TURN:
            outside = torch.get_rng_state()
            torch.set_rng_state(self._state)
            try:
                yield
            finally:
                self._state = torch.get_rng_state()
                torch.set_rng_state(outside)


@dataclass(frozen=True)
class Randomness:
    """Every source of chance in one training run.

    Attributes
    ----------
    penalty : torch.Generator
        Drawn from by the penalties in training.
    validation_seed : int
        Seeds the penalties of every validation batch.
    module : PrivateStream or None
        What a user's module draws from torch's default generator; None where nothing does.
    """

    penalty: torch.Generator
    validation_seed: int
    module: PrivateStream | None = None

    def module_stream(self, rank: int | None = None) -> AbstractContextManager[None]:
        """Return the context in which the module may draw, otherwise in each of several processes.

        What they draw differs; where their next draws start does not.
        """
        if self.module is None:
            return nullcontext()
        return (self.module if rank is None else self.module.of_process(rank)).active()

    @contextmanager
    def validation_stream(self) -> Iterator[torch.Generator]:
        """Yield what penalties draw from in validation; the module may draw, too."""
        own = None if self.module is None else PrivateStream(self.validation_seed)
        with nullcontext() if own is None else own.active():
            yield torch.Generator().manual_seed(self.validation_seed)
