"""Several processes at one fit, by plain torch.distributed: who they are and what they add up."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from sklearn_iso._training.watch import TICK, Store, Watch
from sklearn_iso.exceptions import ProcessLostError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup, Work

T = TypeVar("T")

#: For how long one process may be ahead of another within an epoch.
TIMEOUT = timedelta(minutes=5)
#: One joint fit at a time in each process: they must come in the same order everywhere.
_TURN = threading.Lock()
#: Numbers the joint fits of a process.
_NUMBER = itertools.count(1)
#: A group of our own within each group of the program: no pending message of others gets in.
_OWN_GROUPS: dict[int, tuple[ProcessGroup, ProcessGroup]] = {}


class Processes:
    """The processes of one joint fit, of which this is one.

    Every method but `rank`, `size` and `leads` is called by all of them alike.

    Attributes
    ----------
    rank, size : int
    watch : Watch
    interrupted : bool
        Whether this process has been asked to stop; all stop together at their next sum.
    """

    def __init__(self, rank: int, size: int, watch: Watch, group: ProcessGroup) -> None:
        self.rank, self.size, self.watch, self._group = rank, size, watch, group
        self.interrupted = False

    @property
    def leads(self) -> bool:
        """Whether this process draws bars, saves and speaks for all."""
        return self.rank == 0

    def sum_(self, values: Tensor) -> Tensor:
        """Add up the values of all processes, in place."""
        from torch import distributed

        group = None if values.is_cuda else self._group
        work = distributed.all_reduce(values, group=group, async_op=True)
        self._finish(work, on_gpu=values.is_cuda)
        return values

    def same_as_leader_(self, values: Tensor) -> Tensor:
        """Take over the values of the leader, in place."""
        from torch import distributed

        group = None if values.is_cuda else self._group
        work = distributed.broadcast(values, src=0, group=group, async_op=True)
        self._finish(work, on_gpu=values.is_cuda)
        return values

    def gathered(self, values: Tensor) -> list[Tensor]:
        """Return the values of each process, of one shape in all."""
        from torch import distributed

        group = None if values.is_cuda else self._group
        parts = [torch.empty_like(values) for _ in range(self.size)]
        work = distributed.all_gather(parts, values, group=group, async_op=True)
        self._finish(work, on_gpu=values.is_cuda)
        return parts

    def object_of_leader(self, value: T) -> T:
        """Return what the leader holds: arrays, numbers and text in dicts and lists."""
        from torch import distributed

        self.watch.meet()  # or an error of the leader is heard of
        held = [value]
        try:
            distributed.broadcast_object_list(held, src=0, group=self._group)
        except RuntimeError as error:
            self.watch.explain(error)
        return held[0]

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any process; wait for those that are slow.

        Raises
        ------
        KeyboardInterrupt
            If any has been interrupted.
        """
        self.watch.meet()
        set_, interrupted = self.sum_(torch.tensor([flag, self.interrupted], dtype=torch.int32))
        if interrupted:
            raise KeyboardInterrupt
        return bool(set_)

    def same_state(self, rng: np.random.RandomState) -> np.random.RandomState:
        """Bring a random state to that of the leader, and return it."""
        kind, keys, *rest = rng.get_state(legacy=True)
        told = json.dumps([kind, np.asarray(keys).tolist(), *rest]) if self.leads else ""
        kind, keys, *rest = json.loads(self.watch.exchange("random-state", told)[0])
        rng.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
        return rng

    def agree(self, facts: Mapping[str, str], remedy: str) -> None:
        """Raise a ValueError, everywhere, unless all processes say the same of a fit."""
        told = [json.loads(text) for text in self.watch.exchange("facts", json.dumps(facts))]
        for name, first in told[0].items():
            for rank, other in enumerate(told):
                if other[name] != first:
                    raise ValueError(
                        f"Processes that fit together must have the same {name}; process 0 has "
                        f"{first}, process {rank} has {other[name]}. {remedy} With "
                        "distributed='off' each process fits by itself."
                    )

    def _finish(self, work: Work, *, on_gpu: bool) -> None:
        """Wait for a message, as long as all processes show signs of life."""
        while on_gpu and not work.is_completed():  # a wait that times out would end the group
            self.watch.look()
            time.sleep(1e-4)
        while True:
            try:
                work.wait(timedelta(seconds=TICK))
            except RuntimeError as error:
                if work.is_completed():
                    self.watch.explain(error)
                self.watch.look()
            else:
                return


def processes_of_program() -> tuple[int, int] | None:
    """Return rank and number of the processes that torch.distributed connects, if several."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    size = distributed.get_world_size()
    return (distributed.get_rank(), size) if size > 1 else None


@contextmanager
def joint_fit() -> Iterator[Processes | None]:
    """Let the block be a fit of all processes of the program; None where there is one alone.

    Raises
    ------
    RuntimeError
        If another thread of this process is at a joint fit.
    ProcessLostError
        If a process ends, or ends the fit, before the others do.
    """
    found = processes_of_program()
    if found is None:
        yield None
        return
    if not _TURN.acquire(blocking=False):
        raise RuntimeError(
            "Joint fits come one after the other, in the same order in all processes; another "
            "thread is at one. Leave out n_jobs, or set distributed='off'."
        )
    try:
        with _watched(*found) as processes:
            yield processes
    finally:
        _TURN.release()


@contextmanager
def _watched(rank: int, size: int) -> Iterator[Processes]:
    from torch.distributed import distributed_c10d as c10d

    store: Store = c10d._get_default_store()
    watch = Watch(store, rank, size, f"sklearn-iso/{next(_NUMBER)}")
    try:
        watch.start()
        yield Processes(rank, size, watch, _own_group())
        watch.meet()
        watch.clear()
    except BaseException as error:
        _OWN_GROUPS.clear()  # messages may be pending in it
        watch.fail(error)
        raise
    finally:
        watch.stop()


def _own_group() -> ProcessGroup:
    """Return a group for tensors on the CPU, new for every group of the program."""
    from torch import distributed

    world = distributed.group.WORLD
    if world is None:
        raise ProcessLostError([], "left the group of torch.distributed")
    if id(world) not in _OWN_GROUPS:
        _OWN_GROUPS.clear()
        _OWN_GROUPS[id(world)] = world, distributed.new_group(backend="gloo", timeout=TIMEOUT)
    return _OWN_GROUPS[id(world)][1]


def digest_of(arrays: Sequence[np.ndarray]) -> str:
    """Return a short text that tells arrays apart by their values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._training.distributed import digest_of
    >>> digest_of([np.zeros(2)]) == digest_of([np.zeros(2)]) != digest_of([np.ones(2)])
    True
    """
    digest = hashlib.blake2b(digest_size=6)
    for array in arrays:
        digest.update(repr((array.shape, str(array.dtype))).encode())
        kind = array.astype(str) if array.dtype.kind == "O" else array
        digest.update(np.ascontiguousarray(kind).tobytes())
    return digest.hexdigest()
