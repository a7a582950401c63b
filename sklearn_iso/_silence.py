"""Silence of warnings that threads of Python share."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class _Silence:
    """Filters of warnings, which all threads of a process have in common.

    ``warnings.catch_warnings`` puts back what it found: of two threads that overlap, the last one
    would put back the silence of the first. Here the filters of before come back with the last.
    """

    def __init__(self) -> None:
        self.lock, self.n_holders = Lock(), 0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Show no warnings within the block."""
        with self.lock:
            if not self.n_holders:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore")
            self.n_holders += 1
        try:
            yield
        finally:
            with self.lock:
                self.n_holders -= 1
                if not self.n_holders:
                    self._before.__exit__(None, None, None)


_SILENCE = _Silence()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Show no warnings within the block; blocks of several threads may overlap.

    Examples
    --------
    >>> import warnings
    >>> from sklearn_iso._silence import without_warnings
    >>> with warnings.catch_warnings(record=True) as heard, without_warnings():
    ...     warnings.warn("nobody hears of it")
    >>> heard
    []
    """
    if getattr(sys.flags, "context_aware_warnings", False):  # every thread has its own filters
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        return
    with _SILENCE.kept():
        yield
