"""Does a fit need more memory for more data than the machine holds?

A file of float32 numbers, written block by block: two overlapping classes in 1,000 columns. One
epoch of the classifier reads it as a memory map, and then predicts from it. What counts is
anonymous memory (RssAnon of /proc, sampled twenty times a second): pages of the file can be dropped
at any time. The figure is the most of it less what the process had before the fit. Linux only.

    python benchmarks/larger_than_memory.py [--gigabytes 20] [--folder output] [--alpha 1]
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from sklearn_iso import IsometricClassifier

RESULTS = Path(__file__).with_suffix(".json")
N_FEATURES, BLOCK, SEED = 1_000, 50_000, 0


def written(path: Path, n_samples: int) -> tuple[np.memmap, np.ndarray]:
    """Return the samples, on disk, and their classes."""
    rng = np.random.default_rng(SEED)
    y = rng.integers(0, 2, n_samples)
    X = np.memmap(path, np.float32, "w+", shape=(n_samples, N_FEATURES))
    for start in range(0, n_samples, BLOCK):
        part = slice(start, start + BLOCK)
        X[part] = rng.standard_normal((len(y[part]), N_FEATURES), np.float32)
        X[part, :10] += 0.7 * y[part, None]
    X.flush()
    return np.memmap(path, np.float32, "r", shape=X.shape), y


def anonymous_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


@contextmanager
def watched(found: dict[str, float], name: str) -> Iterator[None]:
    """Write down the seconds of a block, and by how much it raised the memory."""
    ended, before, most = threading.Event(), anonymous_mb(), [0.0]

    def watch() -> None:
        while not ended.wait(0.05):
            most[0] = max(most[0], anonymous_mb() - before)

    thread, start = threading.Thread(target=watch), time.monotonic()
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    found[f"{name}, seconds"] = round(time.monotonic() - start, 1)
    found[f"{name}, MB"] = round(most[0], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--folder", type=Path, default=Path("output"))
    parser.add_argument("--alpha", type=float, default=1)
    parser.add_argument("--batch-size", type=int, default=4096)
    options = parser.parse_args()
    torch.set_num_threads(1)
    n_samples = int(options.gigabytes * 1e9 / 4 / N_FEATURES)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "larger-than-memory.bin"
    found: dict[str, float] = {}
    try:
        with watched(found, "write"):
            X, y = written(path, n_samples)
        print(json.dumps(found), flush=True)
        model = IsometricClassifier(
            alpha=options.alpha, max_epochs=1, batch_size=options.batch_size, random_state=SEED
        )
        model.fit(X[:2000], y[:2000])  # what a process pays once
        with watched(found, "fit"):
            model.fit(X, y)
        print(json.dumps(found), flush=True)
        with watched(found, "predict"):
            accuracy = float(np.mean(model.predict(X) == y))
    finally:
        path.unlink(missing_ok=True)
    row = {
        "gigabytes": options.gigabytes, "n_samples": n_samples, "n_features": N_FEATURES,
        "alpha": options.alpha, "batch_size": options.batch_size, "threads": 1,
        "accuracy": round(accuracy, 4), **found,
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn")},
    }  # fmt: skip
    print(json.dumps(row), flush=True)
    if options.gigabytes >= 20:
        RESULTS.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
