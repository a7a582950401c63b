"""Does the published gain in robustness hold, and under which attack?

The network and training of Beshkov, Verhellen and Lepperød on all of MNIST, by preset("paper"):
cross-entropy alone against their within-class penalty at several beta and K. The share of the
first 1,000 test images that stay right is measured over ten L-infinity budgets under

- the authors' attack: one signed step up CE + beta * isometry, the objective of training;
- FGSM: one signed step up the cross-entropy (sklearn_iso.attacks.fgsm);
- the attack ensemble: Auto-PGD on two losses and a black-box search (sklearn_iso.metrics).

Finished networks are kept under output/, so that an interrupted run goes on where it stopped.

    python benchmarks/paper_mnist.py [--seeds 3] [--quick] [--fresh] [--report]
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sklearn_iso import ThreatModel, preset
from sklearn_iso.attacks import fgsm
from sklearn_iso.datasets import load_mnist
from sklearn_iso.metrics import isometry_distortion, robustness_curve
from sklearn_iso.penalties import WithinClassIsometry

HERE = Path(__file__)
CACHE = HERE.parents[1] / "output" / "paper_mnist"
FIGURE = HERE.parents[1] / "docs" / "images" / "paper_mnist.png"
EPS = [round(float(eps), 6) for eps in np.logspace(-2, 0, 10)]
SHOWN = 4  # budget of the table
BATCH = 100  # the isometry of the authors' attack is a mean over the pairs of a batch
#: beta and K of each training; beta 0 is cross-entropy alone.
TRAININGS = [(0.0, 1.0), *((beta, K) for K in (10.0, 1.0) for beta in (0.1, 1.0, 10.0))]
ATTACKS = {
    "authors": "FGSM on the authors' objective,\nCE + beta * isometry",
    "fgsm": "FGSM on cross-entropy",
    "cascade": "Attack ensemble\non the classification loss",
}


def authors_objective(network: Any, X: Tensor, y: Tensor, beta: float, K: float) -> Tensor:
    """CE + beta * mean_ij (K Y_ij |h_i - h_j| - Y_ij |x_i - x_j|)^2; input distances fixed."""
    logits, hidden = network.forward_hidden(X)
    same = y[:, None] == y
    d_X, d_H = torch.cdist(X.detach(), X.detach()), torch.cdist(hidden[-1], hidden[-1])
    return cross_entropy(logits, y) + beta * ((K * d_H - d_X) * same).square().mean()


def step_direction(network: nn.Module, X: Tensor, y: Tensor, beta: float, K: float) -> Tensor:
    """Sign of the gradient of the authors' objective, in batches as they take it."""
    signs = []
    for points, labels in zip(X.split(BATCH), y.split(BATCH), strict=True):
        points = points.clone().requires_grad_()
        loss = authors_objective(network, points, labels, beta, K)
        signs.append(torch.autograd.grad(loss, points)[0].sign())
    return torch.cat(signs)


@torch.no_grad()
def accuracy(network: nn.Module, X: Tensor, y: Tensor) -> float:
    return float((network(X).argmax(dim=1) == y).double().mean())


def single_step_curve(network: nn.Module, X: Tensor, y: Tensor, direction: Tensor) -> list[float]:
    """Accuracy at X + eps * direction, cut off at [0, 1]: every row moves, as in the paper."""
    return [accuracy(network, (X + eps * direction).clamp(0, 1), y) for eps in EPS]


def curves(model: Any, X: np.ndarray, y: np.ndarray, beta: float, K: float) -> dict[str, Any]:
    network = model.to_torch()
    points, labels = torch.from_numpy(X), torch.from_numpy(y)
    theirs = step_direction(network, points, labels, beta, K)
    plain = step_direction(network, points, labels, 0.0, K)
    moving = plain != 0
    steps = [
        fgsm(network, points, labels, eps=eps, threat=ThreatModel(bounds=(0, 1))) for eps in EPS
    ]
    found = {
        "authors": single_step_curve(network, points, labels, theirs),
        "same step on CE": single_step_curve(network, points, labels, plain),
        "fgsm": [accuracy(network, step, labels) for step in steps],
        "cascade": robustness_curve(
            model, X, y, eps=EPS, threat=ThreatModel(bounds=(0, 1)), random_state=0, verbose=False
        ).tolist(),
        # 0.5: the authors' step and that up the classification loss have nothing in common.
        "agreement": float((theirs == plain)[moving].double().mean()),
    }
    return found


def one_network(
    data: tuple[np.ndarray, ...], beta: float, K: float, seed: int, settings: dict[str, Any]
) -> dict[str, Any]:
    X_train, X_test, y_train, y_test = data
    penalty = WithinClassIsometry(
        loss="raw_stress", scale=1 / K, layers="last_hidden", max_samples=None
    )
    start = time.process_time()
    model = preset(
        "paper", alpha=beta, penalty=penalty, max_epochs=settings["epochs"], random_state=seed
    ).fit(X_train, y_train)
    seconds = time.process_time() - start
    n = settings["images"]
    return {
        "beta": beta, "K": K, "seed": seed, "train_seconds": round(seconds, 1),
        "clean": float(model.score(X_test, y_test)),
        "distortion": isometry_distortion(X_test, model.transform(X_test), y_test),
        **curves(model, X_test[:n], y_test[:n], beta, K),
    }  # fmt: skip


def kept_row(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Row of a network from an earlier run with the same settings, if there is one."""
    if not path.exists():
        return None
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored["row"] if stored["settings"] == settings else None


def measure(
    n_seeds: int, settings: dict[str, Any], folder: Path, fresh: bool
) -> list[dict[str, Any]]:
    X_train, X_test, y_train, y_test = load_mnist()
    n = settings["train images"]
    data = (X_train[:n], X_test, y_train[:n], y_test)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed, (beta, K) in itertools.product(range(n_seeds), TRAININGS):
        path = folder / f"beta{beta:g}-K{K:g}-seed{seed}.json"
        row = None if fresh else kept_row(path, settings)
        if row is None:
            row = one_network(data, beta, K, seed, settings)
            path.write_text(json.dumps({"settings": settings, "row": row}))
        rows.append(row)
        at = "  ".join(f"{name} {row[name][SHOWN]:.3f}" for name in ATTACKS)
        print(f"seed {seed}  {label(beta, K):16} clean {row['clean']:.3f}  at eps "
              f"{EPS[SHOWN]:.3f}: {at}  {row['train_seconds']:.0f} s", flush=True)  # fmt: skip
    return rows


def label(beta: float, K: float) -> str:
    return f"beta {beta:g}, K {K:g}" if beta else "cross-entropy"


def of_training(rows: list[dict[str, Any]], beta: float, K: float, name: str) -> np.ndarray:
    """Values of one training, one row for each seed."""
    return np.array([row[name] for row in rows if (row["beta"], row["K"]) == (beta, K)])


def with_spread(values: np.ndarray) -> str:
    """Mean of the seeds, and their range."""
    mean, low, high = (f"{v:.3f}".removeprefix("0") for v in
                       (values.mean(), values.min(), values.max()))  # fmt: skip
    return f"{mean} ({low} to {high})"


def gains(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over the budgets of the curve less that of cross-entropy with the same seed."""
    found = []
    for beta, K in TRAININGS[1:]:
        for name in ATTACKS:
            plain = of_training(rows, *TRAININGS[0], name).mean(axis=1)
            gain = of_training(rows, beta, K, name).mean(axis=1) - plain
            found.append({"beta": beta, "K": K, "attack": name, "mean": float(gain.mean()),
                          "min": float(gain.min()), "max": float(gain.max())})  # fmt: skip
    return found


def tables(results: dict[str, Any]) -> str:
    """Markdown tables of a result file."""
    rows = results["networks"]
    lines = [
        "| training | clean | distortion | "
        + " | ".join(f"{name} at {EPS[SHOWN]:.3f}" for name in ATTACKS) + " |",
        "|---" * 6 + "|",
    ]  # fmt: skip
    for beta, K in TRAININGS:
        cells = [with_spread(of_training(rows, beta, K, name)) for name in ("clean", "distortion")]
        cells += [with_spread(of_training(rows, beta, K, name)[:, SHOWN]) for name in ATTACKS]
        lines.append(f"| {label(beta, K)} | " + " | ".join(cells) + " |")
    lines += ["", "| gain over cross-entropy, mean of the ten budgets | "
              + " | ".join(ATTACKS) + " | signs shared with CE |", "|---" * 5 + "|"]  # fmt: skip
    for beta, K in TRAININGS[1:]:
        cells = [f"{g['mean']:+.3f} ({g['min']:+.3f} to {g['max']:+.3f})"
                 for g in results["gains"] if (g["beta"], g["K"]) == (beta, K)]  # fmt: skip
        cells.append(with_spread(of_training(rows, beta, K, "agreement")))
        lines.append(f"| {label(beta, K)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sklearn_iso.plotting._axes import COLORS

    colors = {0.0: "black", 0.1: COLORS[5], 1.0: COLORS[0], 10.0: COLORS[1]}
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), sharey=True, layout="constrained")
    for ax, (name, title) in zip(axes, ATTACKS.items(), strict=True):
        for beta, K in TRAININGS:
            values = of_training(rows, beta, K, name)
            style = {"color": colors[beta], "zorder": 3 if beta else 4}
            ax.plot(EPS, values.mean(axis=0), linestyle="-" if K == 10 or not beta else "--",
                    linewidth=2.2 if not beta else 1.6, label=label(beta, K), **style)  # fmt: skip
            ax.fill_between(EPS, values.min(axis=0), values.max(axis=0), alpha=0.12,
                            color=colors[beta], linewidth=0)  # fmt: skip
        ax.set(xscale="log", title=title, xlabel="L-infinity budget", ylim=(0, 1))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="0.9", linewidth=0.8)
    axes[0].set_ylabel("classification rate")
    axes[2].legend(frameon=False)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=130)
    print(f"drew {FIGURE}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true",
                        help="2,000 images, 1 epoch, 1 seed; nothing saved")  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="use no row of an earlier run")
    parser.add_argument("--report", action="store_true", help="print and draw the saved results")
    options = parser.parse_args()
    path = HERE.with_suffix(".json")
    if options.report:
        results = json.loads(path.read_text())
        print(tables(results))
        draw(results["networks"])
        return
    torch.set_num_threads(1)
    quick = options.quick
    settings: dict[str, Any] = {
        "data": "MNIST", "train images": 2000 if quick else 60_000, "epochs": 1 if quick else 5,
        "images": 100 if quick else 1000, "attack batch": BATCH, "norm": "linf", "eps": EPS,
        "bounds": [0, 1], "threads": 1, "preset": repr(preset("paper")),
        "versions": {name: version(name) for name in ("torch", "scikit-learn", "sklearn-iso")},
    }  # fmt: skip
    print(json.dumps(settings), flush=True)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(1, settings, Path(folder), fresh=True)
    else:
        rows = measure(options.seeds, settings, CACHE, options.fresh)
    settings["seeds"] = sorted({row["seed"] for row in rows})
    results = {"settings": settings, "networks": rows, "gains": gains(rows)}
    print(tables(results))
    if not quick:
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"saved {path}")
        draw(rows)


if __name__ == "__main__":
    main()
