"""Kill fits at random moments, resume them, and compare with a fit that nobody disturbed.

    python tests/faults/killed_runs.py --kills 20

Every fit is a process of its own, forked from this one, that dies by SIGKILL: no handler runs, no
file is closed. A run is killed again and again until it ends. Prints one line of JSON.
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


def started(name: str, folder: Path, keep: bool = True) -> int:
    """Fork a process that fits, writes what came out and ends; return its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        torch.set_num_threads(1)
        callbacks = [Checkpoint(folder / "run.checkpoint")] if keep else None
        (folder / "digest").write_text(digest(FITS[name](callbacks)))
        status = 0
    finally:
        os._exit(status)


def undisturbed(name: str, folder: Path, keep: bool) -> tuple[str, float]:
    """Return the digest of a fit that is left alone, and how long it took."""
    folder.mkdir()
    begin = time.perf_counter()
    os.waitpid(started(name, folder, keep), 0)
    return (folder / "digest").read_text(), time.perf_counter() - begin


def kill_and_resume(name: str, folder: Path, moments: list[float]) -> tuple[str, int, int]:
    """Kill a fit after each of some seconds, then let it end.

    Returns the digest, how many processes were killed at work, and how many of them left a file.
    """
    folder.mkdir()
    kills = resumed = 0
    for seconds in moments:
        child = started(name, folder)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            break  # it was faster
        kills += 1
        resumed += (folder / "run.checkpoint").exists()
    if not (folder / "digest").exists():
        _, status = os.waitpid(started(name, folder), 0)
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
    with tempfile.TemporaryDirectory() as scratch:
        root, totals = Path(scratch), {"runs": 0, "kills": 0, "resumed": 0, "equal": 0}
        whole = {name: undisturbed(name, root / f"{name}-alone", False) for name in options.fits}
        timed = {name: undisturbed(name, root / f"{name}-kept", True) for name in options.fits}
        assert all(whole[name][0] == timed[name][0] for name in whole), "checkpoints change a fit"
        while totals["kills"] < options.kills:
            name = options.fits[totals["runs"] % len(options.fits)]
            left = options.kills - totals["kills"]
            moments = list(rng.uniform(0.2, 0.9, size=min(left, 3)) * timed[name][1])
            found, kills, resumed = kill_and_resume(name, root / str(totals["runs"]), moments)
            totals["runs"] += 1
            totals["kills"] += kills
            totals["resumed"] += resumed
            totals["equal"] += found == whole[name][0]
        print(json.dumps(totals))


if __name__ == "__main__":
    main()
