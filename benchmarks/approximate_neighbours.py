"""How near are geodesic distances through approximate neighbours to those through exact ones?

10,000 samples, float32, 10 neighbours, paths from 500 landmarks to all samples: ten overlapping
blobs in 20 columns, one normal distribution in 5 columns, and a swiss roll. Told are the share of
the exact neighbours that pynndescent finds, and the relative differences of the paths.

    python benchmarks/approximate_neighbours.py
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pynndescent import PyNNDescentTransformer
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_swiss_roll
from sklearn.neighbors import kneighbors_graph

from sklearn_iso.penalties import GeodesicIsometry

RESULTS = Path(__file__).with_suffix(".json")
N, N_NEIGHBORS, SEED = 10_000, 10, 1
TREES = {"default": None, "40 trees": 40}
PACKAGES = ("pynndescent", "scikit-learn", "scipy", "numpy")


def data() -> dict[str, NDArray]:
    found = {
        "blobs": make_blobs(N, 20, centers=10, cluster_std=5.0, random_state=SEED)[0],
        "normal": np.random.default_rng(SEED).normal(size=(N, 5)),
        "swiss roll": make_swiss_roll(N, random_state=SEED)[0],
    }
    return {name: X.astype(np.float32) for name, X in found.items()}


def paths(X: NDArray, neighbors: PyNNDescentTransformer | None) -> NDArray:
    """Return the paths from the same landmarks to all samples."""
    penalty = GeodesicIsometry(neighbors=neighbors)
    generator = torch.Generator().manual_seed(SEED)
    penalty.calibrate(torch.from_numpy(X), torch.zeros(len(X)), None, generator)
    return penalty.distances_from(torch.from_numpy(penalty.landmarks_)).numpy()


def share_found(X: NDArray, neighbors: PyNNDescentTransformer) -> float:
    """Return the share of the exact neighbours that are among the approximate ones."""
    exact = kneighbors_graph(X, N_NEIGHBORS, mode="connectivity")
    found = csr_array(clone(neighbors).fit_transform(X) > 0)
    return float(exact.multiply(found).sum() / exact.sum())


def compare(X: NDArray, exact: NDArray, n_trees: int | None) -> dict[str, float]:
    neighbors = PyNNDescentTransformer(
        n_neighbors=N_NEIGHBORS, n_trees=n_trees, n_jobs=1, random_state=SEED
    )
    found, apart = paths(X, neighbors), exact > 0
    relative = np.abs(found[apart] - exact[apart]) / exact[apart]
    return {
        "share_found": round(share_found(X, neighbors), 4),
        "median": float(f"{np.median(relative):.3g}"),
        "p99": float(f"{np.quantile(relative, 0.99):.3g}"),
        "largest": float(f"{relative.max():.3g}"),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    rows = {}
    for name, X in data().items():
        exact = paths(X, None)
        for label, n_trees in TREES.items():
            rows[f"{name}, {label}"] = found = compare(X, exact, n_trees)
            print(f"{name + ', ' + label:22s} {found}", flush=True)
    settings = {"n": N, "n_neighbors": N_NEIGHBORS, "seed": SEED}
    told = {"versions": {name: version(name) for name in PACKAGES}, "settings": settings}
    RESULTS.write_text(json.dumps(told | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
