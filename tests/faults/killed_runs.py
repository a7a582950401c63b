"""Kill fits at random moments, resume them, and compare with a fit that nobody disturbed.

    python tests/faults/killed_runs.py --kills 20

Every fit is a process of its own, forked from this one, that dies by SIGKILL: no handler runs, no
file is closed. A run is killed again and again until it ends. Moments are counted in epochs, so
that they do not depend on the speed of the machine. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch import nn

from sklearn_iso import IsometricClassifier, IsometricTransformer
from sklearn_iso.persistence import Checkpoint

X, y = load_digits(return_X_y=True)
X, y = X[:300] / 16, y[:300]


class Dropping(nn.Module):
    """A module of a user, with dropout and running averages."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.first, self.norm = nn.Linear(n_features, 16), nn.BatchNorm1d(16)
        self.drop, self.last = nn.Dropout(0.3), nn.Linear(16, n_outputs)

    def forward(self, X):
        return self.last(self.drop(torch.relu(self.norm(self.first(X)))))


#: Most epochs before a kill: three times as many are fewer than a fit has.
MOST_EPOCHS = 6.0
#: Seconds in which a process that is killed before the end of an epoch may get anywhere.
FIRST = 0.2
SMALL = {"hidden_layer_sizes": (32, 16), "random_state": 0, "batch_size": 32}
FITS = {
    "classifier": lambda cb: IsometricClassifier(max_epochs=30, callbacks=cb, **SMALL).fit(X, y),
    "stopped early": lambda cb: IsometricClassifier(
        max_epochs=40, early_stopping=True, n_iter_no_change=4, tol=1e-2, callbacks=cb, **SMALL
    ).fit(X, y),
    "own module": lambda cb: IsometricClassifier(
        module=Dropping, max_epochs=25, callbacks=cb, random_state=0, batch_size=32, optimizer="sgd"
    ).fit(X, y),
    "embedding": lambda cb: IsometricTransformer(max_epochs=25, callbacks=cb, **SMALL).fit(X),
}


def digest(estimator) -> str:
    """Return a digest of weights, optimiser and history."""
    net, found = estimator.net_, hashlib.sha256()
    for name, value in net.module_.state_dict().items():
        found.update(name.encode() + value.numpy().tobytes())
    for index, moments in net.optimizer_.state_dict()["state"].items():
        for name, value in moments.items():
            found.update(f"{index}{name}".encode() + np.asarray(value).tobytes())
    found.update(json.dumps(estimator.history_).encode())
    found.update(repr([group["lr"] for group in net.optimizer_.param_groups]).encode())
    return found.hexdigest()


class Told(Callback):
    """Write a byte to a file descriptor after every epoch."""

    def __init__(self, to):
        self.to = to

    def on_epoch_end(self, net, **kwargs):
        os.write(self.to, b".")


def started(name: str, folder: Path, keep: bool = True) -> tuple[int, int]:
    """Fork a process that fits, writes what came out and ends.

    Returns its number, and a file descriptor from which a byte can be read for each epoch.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        return child, ours
    status = 1
    try:
        os.close(ours)
        torch.set_num_threads(1)
        callbacks = [Checkpoint(folder / "run.checkpoint"), Told(theirs)] if keep else None
        (folder / "digest").write_text(digest(FITS[name](callbacks)))
        status = 0
    finally:
        os._exit(status)


def ended(name: str, folder: Path, keep: bool = True) -> int:
    """Let a fit end; return the status of its process."""
    child, epochs = started(name, folder, keep)
    _, status = os.waitpid(child, 0)
    os.close(epochs)
    return status


def undisturbed(name: str, folder: Path, keep: bool) -> str:
    """Return the digest of a fit that is left alone."""
    folder.mkdir()
    ended(name, folder, keep)
    return (folder / "digest").read_text()


def killed_after(name: str, folder: Path, n_epochs: float) -> int:
    """Kill a fit after some epochs of its process, and a share of one; return its status.

    The share is of the time that the epoch before took.
    """
    child, epochs = started(name, folder)
    begin = time.perf_counter()
    lasted = FIRST
    for _ in range(int(n_epochs)):
        if not os.read(epochs, 1):
            break  # it was faster
        begin, lasted = time.perf_counter(), time.perf_counter() - begin
    time.sleep(lasted * (n_epochs % 1))
    os.kill(child, signal.SIGKILL)
    os.close(epochs)
    return os.waitpid(child, 0)[1]


def kill_and_resume(name: str, folder: Path, moments: list[float]) -> tuple[str, int, int]:
    """Kill a fit after each of some numbers of epochs, then let it end.

    Returns the digest, how many processes were killed at work, and how many of them left a file.
    """
    folder.mkdir()
    kills = resumed = 0
    for n_epochs in moments:
        status = killed_after(name, folder, n_epochs)
        if os.WIFEXITED(status):
            break  # it was faster
        kills += 1
        resumed += (folder / "run.checkpoint").exists()
    if not (folder / "digest").exists():
        status = ended(name, folder)
        assert status == 0, f"{name} did not end after it was killed"
    left = sorted(path.name for path in folder.iterdir())
    assert left in (["digest"], ["digest", "run.checkpoint.lock"]) or _only_torn(left), left
    return (folder / "digest").read_text(), kills, resumed


def _only_torn(left: list[str]) -> bool:
    """Return whether all that is left beside the results are parts of writes cut short."""
    known = {"digest", "run.checkpoint.lock"}
    return all(name in known or name.startswith("run.checkpoint") for name in left) and (
        "run.checkpoint" not in left
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fits", nargs="*", default=list(FITS))
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    torch.set_num_threads(1)  # a pool of threads would not survive a fork
    # What optimisers import takes a second: before the forks, and not in each of them.
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with tempfile.TemporaryDirectory() as scratch:
        root, totals = Path(scratch), {"runs": 0, "kills": 0, "resumed": 0, "equal": 0}
        whole = {name: undisturbed(name, root / f"{name}-alone", False) for name in options.fits}
        kept = {name: undisturbed(name, root / f"{name}-kept", True) for name in options.fits}
        assert whole == kept, "checkpoints change a fit"
        while totals["kills"] < options.kills:
            name = options.fits[totals["runs"] % len(options.fits)]
            left = options.kills - totals["kills"]
            moments = list(rng.uniform(0, MOST_EPOCHS, size=min(left, 3)))
            found, kills, resumed = kill_and_resume(name, root / str(totals["runs"]), moments)
            totals["runs"] += 1
            totals["kills"] += kills
            totals["resumed"] += resumed
            totals["equal"] += found == whole[name]
        print(json.dumps(totals))


if __name__ == "__main__":
    main()
