"""From which product of matrices on does a second thread pay?

A step (forwards, backwards) of a perceptron of one hidden layer, batches of 256 samples, with one
thread and with two in turns, on cores that nobody else uses. Sizes are multiplications of the
largest product, samples times weights; the ratio is wall time with two threads over that with one,
the median of the turns with its quartiles.

    python benchmarks/threads.py [--turns 15]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

RESULTS = Path(__file__).with_suffix(".json")
BATCH, WIDTHS = 256, (64, 128, 256, 362, 512, 724, 1024, 1448, 2048)


def seconds(module: nn.Module, X: torch.Tensor, n_threads: int, n_steps: int) -> float:
    torch.set_num_threads(n_threads)
    module(X).sum().backward()
    start = time.perf_counter()
    for _ in range(n_steps):
        module.zero_grad()
        module(X).sum().backward()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15)
    options = parser.parse_args()
    rows = []
    for width in WIDTHS:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
        X = torch.randn(BATCH, width)
        n_steps = max(2, int(2e9 / (BATCH * width * width)))
        ratios = [
            seconds(module, X, 2, n_steps) / seconds(module, X, 1, n_steps)
            for _ in range(options.turns)
        ]
        low, ratio, high = np.percentile(ratios, [25, 50, 75]).round(2).tolist()
        size = BATCH * width * width
        rows.append({"width": width, "log2_size": round(float(np.log2(size)), 1), "ratio": ratio})
        rows[-1]["quartiles"] = [low, high]
        print(json.dumps(rows[-1]), flush=True)
    load = round(os.getloadavg()[0], 2)
    found = {"batch": BATCH, "torch": torch.__version__, "load": load, "rows": rows}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
