"""Fits that several processes share, and the same fits in one: run as a script, for one of them.

``python joint_fits.py FOLDER`` with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the
environment. Weights are written to FOLDER, errors are printed, a line each.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso.penalties import LocalIsometry, WithinClassIsometry
from sklearn_iso.persistence import Checkpoint

RNG = np.random.RandomState(0)
X = RNG.normal(size=(91, 6))
Y = np.array(["a", "b", "c"])[np.arange(91) % 3]
TARGET = X @ RNG.normal(size=6) + RNG.normal(size=91)
WEIGHT = RNG.randint(0, 4, size=91) / 2.0
QUICK = {"hidden_layer_sizes": (8, 4), "max_epochs": 3, "batch_size": 40, "random_state": 0}
#: A fit of each kind; an odd number of samples, so that no two slices need be equal.
FITS = {
    "classifier": (lambda: IsometricClassifier(alpha=1.0, **QUICK), (X, Y)),
    "weighted": (
        lambda: IsometricClassifier(
            alpha=1.0, class_weight="balanced", early_stopping=True, **QUICK
        ),
        (X, Y, WEIGHT),
    ),
    "coupled": (
        lambda: IsometricClassifier(
            alpha=1.0, penalty=LocalIsometry() + WithinClassIsometry(loss="raw_stress"), **QUICK
        ),
        (X, Y, WEIGHT),
    ),
    "jacobian": (lambda: IsometricClassifier(alpha=1.0, penalty="jacobian", **QUICK), (X, Y)),
    "few samples": (
        lambda: IsometricClassifier(alpha=1.0, **QUICK | {"batch_size": 45}),
        (X, Y),
    ),
    "cross-fit": (
        lambda: IsometricClassifier(**QUICK | {"hidden_layer_sizes": (64,)}),
        (X, Y),
    ),
    "regressor": (lambda: IsometricRegressor(alpha=0.3, **QUICK), (X, TARGET, WEIGHT)),
    "transformer": (lambda: IsometricTransformer(**QUICK), (X,)),
    "decoder": (lambda: IsometricTransformer(decoder_penalty="jacobian", **QUICK), (X,)),
}


class At(Callback):
    """Does something at the second batch of an epoch."""

    def __init__(self, epoch, action):
        self.epoch, self.action = epoch, action

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1]["batches"]) == 1:
            self.action()


def weights(estimator):
    """Return all weights of a fitted network as one vector."""
    parts = [p.detach().numpy().ravel() for p in estimator.net_.module_.parameters()]
    return np.concatenate(parts)


def fitted(name, distributed="replicated", part=slice(None)):
    """Return one of FITS, on a part of its samples."""
    make, data = FITS[name]
    return make().set_params(distributed=distributed).fit(*(column[part] for column in data))


def long_fit(path, *callbacks):
    """Return a classifier that keeps a checkpoint."""
    keep = [Checkpoint(path), *callbacks]
    return IsometricClassifier(alpha=1.0, callbacks=keep, **QUICK | {"max_epochs": 6})


def failures(rank):
    """Yield the name of each fit that must fail before its first step, and the fit."""
    part = slice(0, 50) if rank == 0 else slice(50, None)
    yield "unequal shards", lambda: fitted("classifier", part=part)
    labels = np.where(rank == 1, "a", Y)
    yield "missing class", lambda: IsometricClassifier(**QUICK).fit(X, labels)
    yield "parameters", lambda: IsometricClassifier(alpha=1.0 + rank, **QUICK).fit(X, Y)
    hole = np.where(np.arange(6) == rank * 2, np.nan, X) if rank else X
    yield "one rank", lambda: IsometricClassifier(**QUICK).fit(hole, Y)
    features = X[:, : 5 + rank]
    sharded = IsometricClassifier(distributed="sharded", **QUICK)
    yield "features of shards", lambda: sharded.fit(features, Y)
    yield "geodesic", lambda: IsometricTransformer(penalty="geodesic", **QUICK).fit(X)
    given = np.abs(X[:, :1] - X[:, 0])
    precomputed = IsometricTransformer(metric="precomputed", **QUICK)
    yield "precomputed", lambda: precomputed.fit(X, distances=given)
    network = nn.parallel.DistributedDataParallel(nn.Linear(6, 3).double())
    yield "wrapped", lambda: IsometricClassifier(module=network, alpha=0).fit(X, Y)
    steep = IsometricClassifier(alpha=1.0, learning_rate=1e300, **QUICK)
    yield "diverged", lambda: steep.fit(X, Y)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def run(folder, size=2, *options):
    """Run the script in so many processes, and return what each has printed."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), *options],
            env=os.environ | shared | {"RANK": str(rank), "WORLD_SIZE": str(size)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    return [process.communicate(timeout=300)[0].splitlines() for process in processes]


def main(folder, names):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    found = {name: weights(fitted(name)) for name in names}
    if size == 2 and names == [*FITS]:
        part = slice(0, 50) if rank == 0 else slice(50, None)
        found["sharded"] = weights(fitted("weighted", "sharded", part))
        found["alone"] = weights(fitted("classifier", "off", part))
    np.savez(folder / f"{rank}.npz", **found)
    if names != [*FITS]:
        return
    for name, fit in failures(rank):
        try:
            fit()
        except Exception as error:
            print(json.dumps([name, type(error).__name__, str(error)]), flush=True)
    interrupt = At(2, lambda: rank == 1 and os.kill(os.getpid(), signal.SIGINT))
    stopped = IsometricClassifier(alpha=1.0, callbacks=[interrupt], **QUICK)
    try:
        stopped.fit(X, Y)
    except KeyboardInterrupt:
        digest = float(np.abs(weights(stopped)).sum())
        print(json.dumps(["interrupted", stopped.n_iter_, digest]), flush=True)
    kill = At(4, lambda: rank == 1 and os.kill(os.getpid(), signal.SIGKILL))
    try:
        long_fit(folder / "run.checkpoint", kill).fit(X, Y)
    except Exception as error:
        print(json.dumps(["killed", type(error).__name__, str(error)]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or [*FITS])
