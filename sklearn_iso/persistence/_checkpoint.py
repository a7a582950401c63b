"""Checkpoints of a fit that may be interrupted at any moment."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from skorch import NeuralNet
from skorch.callbacks import Callback

from sklearn_iso.exceptions import CheckpointInUseError, ModelFileError
from sklearn_iso.persistence._file import check_path, read, read_header, write
from sklearn_iso.persistence._plain import Decoder, Encoder, Node

if TYPE_CHECKING:
    from filelock import FileLock

#: What a decoder meets in a file that no encoder wrote.
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Checkpoint(Callback):
    """Callback that keeps a fit on disk, so that it goes on where it was killed.

    Pass it in ``callbacks``. Every `every` epochs it writes weights, optimiser, learning rate,
    random draws and history to one file, at once or not at all. The next ``fit`` with the same
    data and parameters finds the file and goes on from there; it ends at the same model, bit by
    bit, as a fit that was never interrupted. A fit that ends removes its file. Of several processes
    that share a fit, the first one alone reads and writes it; another number of them may go on.

    Parameters
    ----------
    path : path-like
        The file. Beside it a file that ends in ".lock" shows that a fit is at work.
    every : int, default=1
        Epochs from one checkpoint to the next.

    Raises
    ------
    CheckpointInUseError
        By ``fit``, if another fit is at work on the path.
    ModelFileError
        By ``fit``, if the file is damaged, or belongs to a fit of other data or parameters,
        or of no fixed `random_state`.

    Warns
    -----
    RuntimeWarning
        If a checkpoint cannot be written, as on a full disk: the fit goes on, and the
        checkpoint before it stays as it was.

    Notes
    -----
    The same model needs the same versions of the libraries, the same kind of device and the
    same number of threads. State that callbacks of your own hold is not kept, apart from
    skorch's ``EarlyStopping`` and ``LRScheduler``, and neither are draws on a GPU (dropout).
    The file holds numbers and text only: reading it runs no code.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.persistence import Checkpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = Checkpoint(pathlib.Path(folder) / "iris.checkpoint", every=5)
    ...     clf = IsometricClassifier(callbacks=[keep], max_epochs=10, random_state=0).fit(X, y)
    >>> clf.n_iter_
    10
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path = path
        self.every = every

    def initialize(self) -> Checkpoint:
        """Start without a lock."""
        self.lock_: FileLock | None = None
        return self

    def on_train_begin(
        self, net: NeuralNet, X: object = None, y: object = None, **kwargs: object
    ) -> None:
        """Lock the path, and go on from the file if there is one."""
        if not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"every must be an integer of 1 or more; got {self.every!r}.")
        check_path(self.path)
        self.lock_ = self._acquire() if net.leads else None
        try:
            self.last_ = len(net.history) + net.epochs_to_run
            self.fingerprint_ = net.run_fingerprint(X)
            found = net.leads and Path(self.path).exists()
            if (state := net.of_leader(self._read() if found else None)) is not None:
                net.restore_run(state)
                net.epochs_to_run = self.last_ - len(net.history)
        except BaseException:
            self._release()
            raise

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Write the file after every so many epochs; never weights that are not finite."""
        skipped = len(net.history) % self.every or not net.leads
        state = None if skipped else net.run_state()
        if state is None:
            return
        encoder = Encoder()
        content = {"fingerprint": self.fingerprint_, "run": encoder.encode(state)}
        try:
            write(self.path, content, encoder.arrays)
        except OSError as error:
            warnings.warn(
                f"The checkpoint after epoch {len(net.history)} was not written: {error}. The fit "
                "goes on, and the checkpoint before it, if any, stays. Free some space, or pass "
                "another path.",
                RuntimeWarning,
                stacklevel=2,
            )

    def on_train_end(
        self, net: NeuralNet, X: object = None, y: object = None, **kwargs: object
    ) -> None:
        """Remove the file of a fit that came to its end, and unlock the path."""
        ended = len(net.history) >= self.last_ and "train_loss" in net.history[-1]
        if net.leads and (ended or net.stopped_early):
            Path(self.path).unlink(missing_ok=True)
        self._release()

    def _acquire(self) -> FileLock:
        # The system lets go of it when a process dies: a killed fit leaves no lock behind.
        from filelock import FileLock, Timeout  # most fits store nothing

        lock = FileLock(f"{os.fspath(self.path)}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise CheckpointInUseError(os.fspath(self.path)) from None
        return lock

    def _release(self) -> None:
        if self.lock_ is not None:
            self.lock_.release()
        self.lock_ = None

    def _read(self) -> Node:
        name = os.fspath(self.path)
        try:
            # Before anything else is read: who knows it has the data of this very fit.
            own = self.fingerprint_.encode() in read_header(self.path)
            content, arrays = read(self.path) if own else ({}, {})
            own = own and content["fingerprint"] == self.fingerprint_
            decoder = Decoder(arrays, names={})
            state: Node = decoder.decode(content["run"]) if own else {}
        except _MALFORMED as error:
            raise ModelFileError(
                f"{name!r} is no whole checkpoint: {error} Delete it to start anew."
            ) from error
        if not own:
            raise ModelFileError(
                f"A checkpoint must be of the same data, parameters and random_state; {name!r} is "
                "of another fit. Pass an integer as random_state, delete the file to start anew, "
                "or pass another path."
            )
        return state
