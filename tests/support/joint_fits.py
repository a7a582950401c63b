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
import pandas as pd
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import TensorDataset

from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso.penalties import LocalIsometry, WithinClassIsometry
from sklearn_iso.persistence import Checkpoint

RNG = np.random.RandomState(0)
X = RNG.normal(size=(91, 6))
Y = np.array(["a", "b", "c"])[np.arange(91) % 3]
TARGET = X @ RNG.normal(size=6) + RNG.normal(size=91)
DAYS = np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]")[np.arange(91) % 2]
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


class Listener(Callback):
    """Wants to know the outputs of every batch."""

    def on_batch_end(self, net, y_pred=None, **kwargs):
        assert len(y_pred) > 1


def own_network(seed, **params):
    """Return a classifier around a network that torch's own generator starts."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    return IsometricClassifier(module=network, alpha=0, **QUICK | params)


def unlike(rank):
    """Yield the names of fits whose processes are not all alike, and the fits."""
    part = slice(0, 50) if rank == 0 else slice(50, None)
    sharded = IsometricClassifier(alpha=1.0, distributed="sharded", **QUICK)
    yield "own start", own_network(rank).fit(X, Y)
    listens = [Listener()] if rank == 0 else None
    constant = {"learning_rate_schedule": "constant", "callbacks": listens}
    yield "listener", own_network(0, **constant).fit(X, Y)
    numbers = (np.arange(91) >= 50) * 300
    width = np.int8 if rank == 0 else np.int64
    numbers[::2] += 7
    yield "widths of labels", clone(sharded).fit(X[part], numbers[part].astype(width))
    labels = Y[part] if rank else Y[part].astype(object)
    yield "no weight here", clone(sharded).fit(X[part], labels, WEIGHT[part] * (rank == 0))
    samples = TensorDataset(torch.tensor(X[part]), torch.arange(91)[part] % 3)
    yield "data sets", clone(sharded).set_params(batch_size=5).fit(samples)


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
    table = pd.DataFrame(X, columns=[*"abcdef"])
    columns = table[table.columns[::-1]] if rank else table
    yield "order of columns", lambda: sharded.fit(columns, Y)
    yield "length of weights", lambda: sharded.fit(X, Y, WEIGHT[: 91 - rank])
    yield "kind of labels", lambda: sharded.fit(X, DAYS)
    keep = [Checkpoint("never-written")] if rank == 0 else None
    yield "checkpoint of one", lambda: IsometricClassifier(callbacks=keep, **QUICK).fit(X, Y)
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
        for name, estimator in unlike(rank):
            found[name] = weights(estimator)
            found[f"classes of {name}"] = estimator.classes_
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
