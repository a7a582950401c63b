"""Whether the processes of a joint fit are still at work: signs of life, and last words."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, Protocol

from sklearn_iso.exceptions import ProcessLostError

#: Seconds from one sign of life to the next, and without one after which a process counts as
#: lost: fewer where a connection broke.
BEAT, PATIENCE, PATIENCE_AFTER_BREAK = 0.5, 20.0, 5.0
#: Seconds in which all processes must come to a fit.
ARRIVAL = 300.0
#: Seconds from one look at the others to the next, while this process waits.
TICK = 0.5


class Store(Protocol):
    """What is asked of a store of torch.distributed."""

    def set(self, key: str, value: str) -> None:
        """Write a value."""

    def get(self, key: str) -> bytes:
        """Return a value; wait for it."""

    def check(self, keys: list[str]) -> bool:
        """Return whether all keys are there."""

    def add(self, key: str, amount: int) -> int:
        """Add to a number, 0 at first, and return it."""

    def delete_key(self, key: str) -> bool:
        """Remove a value."""


class Watch:
    """Signs of life of the processes of one fit, and what they tell each other about it.

    Parameters
    ----------
    store : Store
        Of their group.
    rank, size : int
    name : str
        Of the fit: the same in all processes, and another one for every fit.
    """

    def __init__(self, store: Store, rank: int, size: int, name: str) -> None:
        self.store, self.rank, self.size, self.name = store, rank, size, name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="signs-of-life", daemon=True)
        self._seen = {other: (b"", time.monotonic()) for other in range(size) if other != rank}
        self._looked, self._n_meetings, self._n_exchanges = 0.0, 0, 0
        self._own_keys = [self._key("beat", rank)]

    def start(self) -> None:
        """Show signs of life from now on, and wait for those of all others."""
        with _store_at_hand():
            self.store.set(self._own_keys[0], "0")
        self._thread.start()
        beats = [self._key("beat", other) for other in self._seen]
        self.until(lambda: self.store.check(beats))
        self._blame(PATIENCE)  # who came first may have given up

    def stop(self) -> None:
        """Show no more signs of life."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def clear(self) -> None:
        """Remove what this process wrote, once nobody reads it any more."""
        with suppress(RuntimeError):  # who kept the store may have left
            for key in self._own_keys:
                self.store.delete_key(key)

    def until(self, there: Callable[[], bool]) -> None:
        """Wait until something is there.

        Raises
        ------
        ProcessLostError
            If a process that should bring it is lost, or has ended the fit.
        KeyboardInterrupt
            If it was interrupted.
        """
        for pause in _pauses():
            with _store_at_hand():
                if there():
                    return
            try:
                self.look()
            except ProcessLostError:
                # Who brought it may have ended the fit since: what it brought says why, here too.
                with suppress(RuntimeError):
                    if there():
                        return
                raise
            time.sleep(pause)

    def look(self) -> None:
        """Raise what :meth:`until` does, if there is a reason; at most once a TICK."""
        now = time.monotonic()
        if now - self._looked >= TICK:
            self._looked = now
            self._blame(PATIENCE)

    def explain(self, error: Exception) -> NoReturn:
        """Raise what :meth:`until` does for a connection that broke."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self._blame(PATIENCE_AFTER_BREAK, error)
            time.sleep(TICK / 5)
        others = [*self._seen]
        raise ProcessLostError(others, f"could not be reached ({error})") from error

    def meet(self) -> None:
        """Wait until all processes have come here."""
        self._n_meetings += 1
        key = f"{self.name}/meeting/{self._n_meetings}"
        with _store_at_hand():
            self.store.add(key, 1)
        self.until(lambda: self.store.add(key, 0) >= self.size)
        if self.rank == 0:  # all have left the one before
            with suppress(RuntimeError):
                self.store.delete_key(f"{self.name}/meeting/{self._n_meetings - 1}")

    def exchange(self, topic: str, text: str) -> list[str]:
        """Return what each process says of a topic, in their order; also of one that comes back."""
        self._n_exchanges += 1
        keys = [self._key(f"{topic}/{self._n_exchanges}", rank) for rank in range(self.size)]
        self._own_keys.append(keys[self.rank])
        with _store_at_hand():
            self.store.set(keys[self.rank], text)
        self.until(lambda: self.store.check(keys))
        with _store_at_hand():
            return [self.store.get(key).decode() for key in keys]

    def fail(self, error: BaseException) -> None:
        """Leave word why the fit ends here; the first word counts."""
        first = next(iter(str(error).splitlines()), "")
        words: dict[str, object] = {
            "processes": [self.rank],
            "reason": f"ended it with {type(error).__name__}: {first.rstrip('.')}",
            "interrupted": isinstance(error, KeyboardInterrupt),
        }
        if isinstance(error, ProcessLostError):
            words |= {"processes": error.processes, "reason": error.reason}
        with suppress(RuntimeError):
            if self.store.add(f"{self.name}/failures", 1) == 1:
                self.store.set(f"{self.name}/failure", json.dumps(words))

    def _key(self, topic: str, rank: int) -> str:
        return f"{self.name}/{topic}/{rank}"

    def _show(self) -> None:
        count = 0
        while not self._over.wait(BEAT):
            count += 1
            try:
                self.store.set(self._own_keys[0], str(count))
            except RuntimeError:  # the store is gone, which whoever waits will find out
                return

    def _blame(self, patience: float, cause: Exception | None = None) -> None:
        """Raise an error that names who is to blame, if anybody is."""
        with _store_at_hand():
            self._read_failure(cause)
            silent = [other for other in self._seen if self._silence_of(other) > patience]
        if not silent:
            return
        came = all(self._seen[other][0] for other in silent)
        reason = "showed no more sign of life" if came else f"did not come within {ARRIVAL:.0f} s"
        raise ProcessLostError(silent, reason) from cause

    def _read_failure(self, cause: Exception | None) -> None:
        key = f"{self.name}/failure"
        if not self.store.check([key]):
            return
        words = json.loads(self.store.get(key))
        if words["interrupted"]:
            raise KeyboardInterrupt
        raise ProcessLostError(words["processes"], words["reason"]) from cause

    def _silence_of(self, other: int) -> float:
        """Return the seconds since the last sign of life; before the first they count less."""
        key, (last, since) = self._key("beat", other), self._seen[other]
        beat = self.store.get(key) if self.store.check([key]) else b""
        if beat != last:
            self._seen[other] = beat, time.monotonic()
            return 0.0
        silence = time.monotonic() - since
        return silence if beat else silence * PATIENCE / ARRIVAL


@contextmanager
def _store_at_hand() -> Iterator[None]:
    """Tell an error of the store, which one process keeps, from all others."""
    try:
        yield
    except ProcessLostError:
        raise
    except RuntimeError as error:
        raise ProcessLostError([0], "keeps the store of the group, which is gone") from error


def _pauses() -> Iterator[float]:
    """Yield ever longer pauses between two questions."""
    pause = 0.0005
    while True:
        yield pause
        pause = min(2 * pause, TICK / 10)
