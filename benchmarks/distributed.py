"""Do several processes find the weights of one, and how much sooner?

MNIST-10k in float64, 60 steps of 500 samples, one thread for each process, gloo: the classifier
under its default penalty (alpha=1) and the transformer under the global one. One process and two
take turns; wall and CPU seconds are those of the 60 steps, without imports and calibration, and a
ratio is that of one repeat. Ratios of wall time mean something only where each process has a core
to itself, so that the load of the machine is written down beside them.

    SKLEARN_ISO_DATA=... python benchmarks/distributed.py [--repeats 3] [--processes 2]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from sklearn_iso import IsometricClassifier, IsometricTransformer
from sklearn_iso.datasets import load_mnist

N_SAMPLES, BATCH_SIZE, EPOCHS = 10_000, 500, 3
COMMON = {"batch_size": BATCH_SIZE, "max_epochs": EPOCHS, "random_state": 0}


class Stopwatch(Callback):
    """Wall and CPU seconds of all epochs."""

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        if not len(net.history) > 1:
            self.began = time.perf_counter(), time.process_time()

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        self.wall = time.perf_counter() - self.began[0]
        self.cpu = time.process_time() - self.began[1]


def fit(name: str) -> tuple[np.ndarray, Stopwatch]:
    """Return the weights of a fit, and how long its steps took."""
    X_train, _, y_train, _ = load_mnist()
    X = X_train[:N_SAMPLES].reshape(N_SAMPLES, -1).astype(np.float64)
    clock = Stopwatch()
    if name == "classifier":
        model = IsometricClassifier(alpha=1.0, callbacks=[clock], **COMMON)
        model.fit(X, y_train[:N_SAMPLES])
    else:
        model = IsometricTransformer(callbacks=[clock], **COMMON).fit(X)
    parts = [p.detach().numpy().ravel() for p in model.net_.module_.parameters()]
    return np.concatenate(parts), clock


def one_of_them(name: str, path: str) -> None:
    """Fit as one process, of those that the environment tells."""
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        torch.distributed.init_process_group("gloo")
    weights, clock = fit(name)
    np.savez(path, weights=weights, wall=clock.wall, cpu=clock.cpu)


def run(name: str, n_processes: int, folder: Path) -> list[dict[str, np.ndarray]]:
    """Fit in so many processes, and return what each has found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    running = []
    for rank in range(n_processes):
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        if n_processes > 1:
            env |= address | {"RANK": str(rank), "WORLD_SIZE": str(n_processes)}
        command = [sys.executable, __file__, "--one", name, str(folder / f"{rank}.npz")]
        running.append(subprocess.Popen(command, env=env))
    if any([process.wait() for process in running]):
        raise RuntimeError("a process has failed")
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(n_processes)]


def compare(name: str, n_processes: int, repeats: int) -> dict[str, object]:
    """Return how far weights differ, and seconds of one process and of several."""
    rows = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            (alone,) = run(name, 1, Path(folder))
            several = run(name, n_processes, Path(folder))
        differences = [float(np.abs(one["weights"] - alone["weights"]).max()) for one in several]
        row = {
            "largest difference of a weight": max(differences),
            "wall of one": float(alone["wall"]),
            "wall of several": max(float(one["wall"]) for one in several),
            "cpu of one": float(alone["cpu"]),
            "cpu of each": max(float(one["cpu"]) for one in several),
            "load": os.getloadavg()[0],
        }
        row["wall ratio"] = row["wall of several"] / row["wall of one"]
        row["cpu ratio"] = row["cpu of each"] / row["cpu of one"]
        print(name, {key: f"{value:.3g}" for key, value in row.items()}, flush=True)
        rows.append(row)
    medians = {key: float(np.median([row[key] for row in rows])) for key in rows[0]}
    return {"medians": medians, "repeats": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one_of_them(*options.one)
        return
    settings = {
        "samples": N_SAMPLES, "batch_size": BATCH_SIZE, "steps": N_SAMPLES // BATCH_SIZE * EPOCHS,
        "dtype": "float64", "threads": 1, "backend": "gloo", "processes": options.processes,
        "cores": os.cpu_count(), "torch": torch.__version__,
    }  # fmt: skip
    print(settings, flush=True)
    found = {}
    for name in ("classifier", "transformer"):
        found[name] = compare(name, options.processes, options.repeats)
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps({"settings": settings, "fits": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
