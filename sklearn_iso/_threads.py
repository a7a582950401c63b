"""How many threads torch computes with, which small networks are faster without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock, local

import torch

#: Environment variable that decides instead: "torch" for torch's own number, or a number.
VARIABLE = "SKLEARN_ISO_THREADS"
#: Most threads that may be asked for.
MOST = 4096
#: Multiplications of the largest product of matrices from which on a second thread pays.
WORTH_A_THREAD = 2**25


class _Limit:
    """torch's number of threads, which all of a process have in common.

    Several threads of Python may ask for fewer at once, as under joblib's threading backend, and
    one may ask within what it has asked for: the number of before comes back with the last of
    them. torch keeps a number for each thread of Python besides, so that each sets its own back.
    """

    def __init__(self) -> None:
        self.lock, self.n_holders, self.before = Lock(), 0, 1
        self._of_thread = local()

    @property
    def held(self) -> list[int]:
        """What this thread of Python has asked for, the innermost last."""
        numbers: list[int] = self._of_thread.__dict__.setdefault("numbers", [])
        return numbers

    @contextmanager
    def at(self, n_threads: int) -> Iterator[None]:
        """Compute with so many threads."""
        with self.lock:
            if not self.n_holders:
                self.before = torch.get_num_threads()
            torch.set_num_threads(n_threads)  # which may refuse a number: before it counts
            self.n_holders += 1
            self.held.append(n_threads)
        try:
            yield
        finally:
            with self.lock:
                self.n_holders -= 1
                self.held.pop()
                torch.set_num_threads(self.held[-1] if self.held else self.before)


_LIMIT = _Limit()


def threads_for(size: float) -> AbstractContextManager[None]:
    """Compute with the threads that pay for products of matrices of a size.

    A second thread pays for large products. For small ones it saves less than the threads spend on
    waiting for each other, and beside a busy process they wait for that as well.

    Parameters
    ----------
    size : float
        Multiplications of the largest product; infinite where it is not known.

    Raises
    ------
    ValueError
        If the environment variable ``SKLEARN_ISO_THREADS`` is no number of threads.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._threads import threads_for
    >>> with threads_for(256 * 64 * 128):
    ...     torch.get_num_threads()
    1
    """
    wanted = _wanted(size)
    settled = wanted == torch.get_num_threads() and not _LIMIT.n_holders
    return nullcontext() if wanted is None or settled else _LIMIT.at(wanted)


def one_thread() -> AbstractContextManager[None]:
    """Compute with one thread whatever the environment says, as one worker of several.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._threads import one_thread
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    return _LIMIT.at(1)


def _wanted(size: float) -> int | None:
    """Return a number of threads; None for that of torch."""
    chosen = os.environ.get(VARIABLE)
    if chosen is None:
        return 1 if size < WORTH_A_THREAD else None
    if chosen == "torch":
        return None
    if not chosen.isascii() or not chosen.isdigit() or not 1 <= int(chosen) <= MOST:
        raise ValueError(
            f"The environment variable {VARIABLE} must be a number of threads, 1 to {MOST}, or "
            f"'torch' for torch.get_num_threads(); got {chosen!r}. Unset it to let the size of the "
            "network decide."
        )
    return int(chosen)
