"""Does a within-class isometric network keep distances, and where does it fail to?

Two manifolds of known geometry, linked rings and a torus of 2, 4 and 8 classes, and for each the
same network trained by cross-entropy alone and with the paper's penalty (their settings for toys:
beta 100, K 1, tanh layers, full batch). On fresh points are measured

- the scale-optimal stress of the last hidden layer within classes, and over all pairs;
- the local expansion |J t| / s along paths that cross the decision boundaries, with J the
  Jacobian and s the best scale within classes: 1 everywhere for an isometry. The rings' paths
  are their spokes, straight lines from each point to the nearest of the other ring, and leave
  the data in between; those of the torus are circles around the tube, and stay on it;
- the share of a path's length in the representation that falls on the fifth of the path
  closest to a decision boundary: 0.2 for an isometry, 1 where all distortion sits there.

    python benchmarks/toys.py [--seeds 3] [--quick] [--report] [--draw]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from sklearn_iso import preset
from sklearn_iso.datasets import make_entangled_rings, make_torus
from sklearn_iso.metrics import isometry_distortion
from sklearn_iso.metrics._distortion import best_scale
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import WithinClassIsometry

HERE = Path(__file__)
IMAGES = HERE.parents[1] / "docs" / "images"
BETAS = (0.0, 100.0)
NAMES = {0.0: "cross-entropy", 100.0: "beta 100, K 1"}
R, r = 2 / 3, 1 / 3
N_TEST, N_PATHS, N_STEPS = 2000, 100, 400
NEAR = 0.2
DRAWN = ("rings", "torus, 2 classes", "torus, 8 classes")
BINS = 10


@dataclass(frozen=True)
class Task:
    """A labelled manifold, its network, and paths that cross from class to class.

    Attributes
    ----------
    make : callable
        From a number of points and a seed to X and y.
    paths : callable
        Points (n_paths, n_steps, 3) and steps of equal length along paths.
    closed : bool
        Whether a path ends where it starts.
    """

    name: str
    make: Callable[[int, int], tuple[NDArray, NDArray]]
    paths: Callable[[], tuple[Tensor, Tensor]]
    closed: bool
    n_train: int
    epochs: int
    n_units: int


def rings(n_samples: int, seed: int) -> tuple[NDArray, NDArray]:
    return make_entangled_rings(n_samples, random_state=seed)


def torus(n_samples: int, seed: int, level: int) -> tuple[NDArray, NDArray]:
    return make_torus(n_samples, n_levels=level, labels="finest", random_state=seed)


def between_rings() -> tuple[Tensor, Tensor]:
    """Spokes of both rings: to the centre, where the other ring passes, is the nearest way."""
    angle = torch.arange(N_PATHS // 2, dtype=torch.float64) * 4 * torch.pi / N_PATHS
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    start = torch.cat([torch.stack([cos, sin, zero], 1), torch.stack([1 + cos, zero, sin], 1)])
    centre = torch.tensor([[0.0, 0, 0], [1, 0, 0]]).double().repeat_interleave(len(angle), dim=0)
    t = torch.linspace(0, 1, N_STEPS, dtype=torch.float64)[:, None]
    points = start[:, None] * (1 - t) + centre[:, None] * t
    return points, ((centre - start) / (N_STEPS - 1))[:, None].expand_as(points)


def around_the_tube() -> tuple[Tensor, Tensor]:
    """Circles of the tube, each at a fixed angle u."""
    u = torch.arange(N_PATHS, dtype=torch.float64)[:, None] * 2 * torch.pi / N_PATHS
    v = torch.arange(N_STEPS, dtype=torch.float64)[None] * 2 * torch.pi / N_STEPS
    ring = R + r * v.cos()
    points = torch.stack([ring * u.cos(), ring * u.sin(), (r * v.sin()).expand_as(ring * u)], -1)
    inward = -v.sin()
    tangent = torch.stack([inward * u.cos(), inward * u.sin(), v.cos().expand_as(ring * u)], dim=-1)
    return points, tangent * (2 * torch.pi * r / N_STEPS)


TASKS = [
    Task("rings", rings, between_rings, False, n_train=400, epochs=1000, n_units=100),
    *(
        Task(f"torus, {2**level} classes", partial(torus, level=level), around_the_tube, True,
             n_train=1600, epochs=2000, n_units=20)
        for level in (1, 2, 3)
    ),
]  # fmt: skip


def fit(task: Task, beta: float, seed: int, epochs: int) -> Any:
    X, y = task.make(task.n_train, seed)
    penalty = WithinClassIsometry(
        loss="raw_stress", scale=1.0, layers="last_hidden", max_samples=None
    )
    module = partial(
        MLP, hidden_layer_sizes=(task.n_units,) * 5, activation="tanh",
        initialization="orthogonal",
    )  # fmt: skip
    return preset(
        "paper", alpha=beta, penalty=penalty, module=module, layers="last_hidden",
        batch_size=len(X), max_epochs=epochs, random_state=seed,
    ).fit(X.astype(np.float32), y)  # fmt: skip


def hidden(network: Any, X: Tensor) -> Tensor:
    return network.forward_hidden(X)[1][-1]


def along(network: Any, points: Tensor, steps: Tensor) -> NDArray[np.float64]:
    """Expansion |J t| / |t| at every point of the paths."""
    flat, tangents = points.reshape(-1, 3), steps.reshape(-1, 3)
    _, moved = torch.func.jvp(partial(hidden, network), (flat,), (tangents,))
    expansion = moved.norm(dim=1) / tangents.norm(dim=1)
    return expansion.detach().reshape(points.shape[:2]).numpy()


@torch.no_grad()
def to_boundary(network: Any, task: Task, points: Tensor, steps: Tensor) -> NDArray[np.float64]:
    """Length along the path from each point to the nearest change of the predicted class."""
    classes = network(points.reshape(-1, 3)).argmax(dim=1).reshape(points.shape[:2]).numpy()
    n, length = points.shape[1], float(steps[0, 0].norm())
    after = np.roll(classes, -1, axis=1) if task.closed else np.pad(
        classes[:, 1:], [(0, 0), (0, 1)], mode="edge"
    )  # fmt: skip
    distances = np.full(classes.shape, np.nan)
    for row, flips in enumerate(classes != after):
        at = np.flatnonzero(flips) + 0.5
        if len(at):
            gaps = np.abs(np.arange(n)[:, None] - at)
            distances[row] = (np.minimum(gaps, n - gaps) if task.closed else gaps).min(axis=1)
    return distances * length


def profile(expansion: NDArray, distance: NDArray) -> dict[str, Any]:
    """What the paths say: expansion by distance to the boundary, and its share near to it."""
    known = ~np.isnan(distance)
    if not known.any():
        raise RuntimeError("the network predicts one class along every path: train for longer")
    near = np.zeros_like(known)
    near[known] = distance[known] <= np.quantile(distance[known], NEAR)
    off = np.abs(np.log2(expansion))
    edges = np.quantile(distance[known], np.linspace(0, 1, BINS + 1))
    bins = [
        expansion[known & (distance >= low) & (distance <= high)]
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    return {
        "paths that cross": float(known.any(axis=1).mean()),
        "share near": float(expansion[near].sum() / expansion[known].sum()),
        "expansion near": float(np.median(expansion[near])),
        "expansion far": float(np.median(expansion[known & ~near])),
        "off by near": float(2 ** np.median(off[near])),
        "off by far": float(2 ** np.median(off[known & ~near])),
        "distance": [float(d) for d in (edges[:-1] + edges[1:]) / 2],
        "quartiles": [[float(q) for q in np.quantile(b, (0.25, 0.5, 0.75))] for b in bins],
    }


def scale_within(X: NDArray, Z: NDArray, y: NDArray) -> float:
    """The s that comes closest to d_Z = s d_X within classes."""
    same = y[:, None] == y
    return best_scale(cdist(X, X)[same], cdist(Z, Z)[same])


def measure(task: Task, model: Any) -> dict[str, Any]:
    X, y = task.make(N_TEST, 1000)
    Z, network = model.transform(X.astype(np.float32)), model.to_torch().double()
    points, steps = task.paths()
    scale = scale_within(X, Z, y)
    expansion = along(network, points, steps) / scale
    distance = to_boundary(network, task, points, steps)
    return {
        "accuracy": float(model.score(X.astype(np.float32), y)),
        "stress within": isometry_distortion(X, Z, y),
        "stress of all": isometry_distortion(X, Z),
        "scale": scale,
        **profile(expansion, distance),
    }


def run(n_seeds: int, epochs: Callable[[Task], int]) -> tuple[list[dict[str, Any]], dict]:
    rows, first = [], {}
    for task in TASKS:
        for beta in BETAS:
            for seed in range(n_seeds):
                start = time.process_time()
                model = fit(task, beta, seed, epochs(task))
                seconds = round(time.process_time() - start, 1)
                row = {"task": task.name, "beta": beta, "seed": seed, "seconds": seconds}
                rows.append(row | measure(task, model))
                first.setdefault((task.name, beta), model)
                print(f"{task.name:17} {NAMES[beta]:14} seed {seed}  " + "  ".join(
                    f"{name} {rows[-1][name]:.3f}" for name in SHOWN) + f"  {seconds} s",
                    flush=True)  # fmt: skip
    return rows, first


SHOWN = ("accuracy", "stress within", "expansion near", "expansion far", "share near")


def tables(rows: list[dict[str, Any]]) -> str:
    lines = ["| data | training | " + " | ".join(SHOWN) + " |", "|---" * (2 + len(SHOWN)) + "|"]
    for task in TASKS:
        for beta in BETAS:
            chosen = [row for row in rows if (row["task"], row["beta"]) == (task.name, beta)]
            values = np.array([[row[name] for name in SHOWN] for row in chosen])
            cells = [f"{v.mean():.3g} ({v.min():.3g} to {v.max():.3g})" for v in values.T]
            lines.append(f"| {task.name} | {NAMES[beta]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(task: Task, models: dict, rows: list[dict[str, Any]]) -> None:
    """Shepard diagrams, the map of expansion over the paths, and expansion by distance."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sklearn_iso.plotting import ShepardDisplay

    figure = plt.figure(figsize=(12, 7), layout="constrained")
    X, y = task.make(N_TEST, 1000)
    points, steps = task.paths()
    drawn = [np.mean([r["quartiles"] for r in rows if (r["task"], r["beta"]) == (task.name, beta)],
                     axis=0) for beta in BETAS]  # fmt: skip
    limits = (min(1.0, np.min(drawn)) / 1.5, np.max(drawn) * 1.5)
    for line, beta in enumerate(BETAS):
        model = models[task.name, beta]
        Z, network = model.transform(X.astype(np.float32)), model.to_torch().double()
        ax = figure.add_subplot(2, 3, 3 * line + 1)
        ShepardDisplay.from_predictions(X, Z, y, ax=ax, name=NAMES[beta])
        ax.legend(frameon=False, fontsize=8, loc="upper left")
        expansion = along(network, points, steps) / scale_within(X, Z, y)
        ax = figure.add_subplot(2, 3, 3 * line + 2, projection="3d")
        shown = map_of_expansion(ax, points.numpy(), expansion, X)
        figure.colorbar(shown, ax=ax, shrink=0.6, label="log2 of the expansion")
        of_training = [row for row in rows if (row["task"], row["beta"]) == (task.name, beta)]
        ax = figure.add_subplot(2, 3, 3 * line + 3)
        by_distance(ax, of_training)
        ax.set_ylim(limits)
    path = IMAGES / f"toy_{task.name.replace(', ', '_').replace(' ', '_')}.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"drew {path}")


def draw_saved(rows: list[dict[str, Any]]) -> None:
    """Draw saved results again; the networks of the first seed are fitted for it."""
    for task in TASKS:
        if task.name in DRAWN:
            models = {(task.name, beta): fit(task, beta, 0, task.epochs) for beta in BETAS}
            draw(task, models, rows)


def map_of_expansion(ax: Any, points: NDArray, expansion: NDArray, X: NDArray) -> Any:
    ax.scatter(*X[::4].T, s=1, color="0.75")
    chosen = points[:, ::4].reshape(-1, 3)
    shown = ax.scatter(
        *chosen.T, c=np.log2(expansion[:, ::4]).ravel(), s=3, cmap="RdBu_r", vmin=-3, vmax=3
    )
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title("expansion along the paths", y=0.95)
    return shown


def by_distance(ax: Any, rows: list[dict[str, Any]]) -> None:
    from sklearn_iso.plotting._axes import COLORS

    distance = np.mean([row["distance"] for row in rows], axis=0)
    low, middle, high = np.mean([row["quartiles"] for row in rows], axis=0).T
    ax.fill_between(distance, low, high, alpha=0.2, color=COLORS[0], linewidth=0)
    ax.plot(distance, middle, color=COLORS[0], marker="o", markersize=3)
    ax.axhline(1, color="0.4", linestyle="--", linewidth=1)
    ax.set_yscale("log")
    ax.set_xlabel("distance to the decision boundary,\nin units of X")
    ax.set_ylabel("expansion (no unit),\nmedian and quartiles")
    ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="100 epochs, 1 seed; nothing saved")
    parser.add_argument("--report", action="store_true", help="print the table of saved results")
    parser.add_argument("--draw", action="store_true", help="fit one seed and draw it again, only")
    options = parser.parse_args()
    path = HERE.with_suffix(".json")
    if options.draw:
        torch.set_num_threads(1)
        draw_saved(json.loads(path.read_text())["networks"])
        return
    if options.report:
        print(tables(json.loads(path.read_text())["networks"]))
        return
    torch.set_num_threads(1)
    n_seeds = 1 if options.quick else options.seeds
    settings = {
        "seeds": n_seeds, "betas": BETAS, "K": 1, "near": NEAR, "test points": N_TEST,
        "paths": N_PATHS, "steps": N_STEPS, "torus": [R, r], "threads": 1,
        "tasks": {t.name: {"train": t.n_train, "epochs": t.epochs, "units": [t.n_units] * 5}
                  for t in TASKS},
        "versions": {name: version(name) for name in ("torch", "scikit-learn", "sklearn-iso")},
    }  # fmt: skip
    print(json.dumps(settings), flush=True)
    rows, models = run(n_seeds, lambda task: 100 if options.quick else task.epochs)
    print(tables(rows))
    if options.quick:
        return
    path.write_text(json.dumps({"settings": settings, "networks": rows}, indent=1) + "\n")
    print(f"saved {path}")
    for task in TASKS:
        if task.name in DRAWN:
            draw(task, models, rows)


if __name__ == "__main__":
    main()
