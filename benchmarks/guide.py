"""What do alpha, radius, scale and norm of the worst-case penalty do? Figures of the guide.

- moons: decision regions on 100 points of two moons for several alpha and radii, and for
  several scales and the three norms.
- mnist: clean accuracy and accuracy under attack against alpha, radius and scale, for L2 and
  L-infinity pairs. A small run: 10,000 training images, 10 epochs, the first 500 test images for
  the attacks, one seed. It shows the direction of each choice, not the best that can be had.

    SKLEARN_ISO_DATA=folder python benchmarks/guide.py [--only moons|mnist] [--draw]

Numbers stay in guide.json; --draw makes the figures of docs/images from them. Finished fits are
kept in output/guide: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon, Rectangle
from numpy.typing import NDArray
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.attacks import APGD
from sklearn_iso.datasets import load_mnist
from sklearn_iso.metrics import adversarial_accuracy
from sklearn_iso.penalties import WorstCaseIsometry, nearest_other_class_distance
from sklearn_iso.plotting._axes import COLORS

ROOT = Path(__file__).parents[1]
IMAGES, CELLS = ROOT / "docs" / "images", ROOT / "output" / "guide"
SEED = 0
ORDERS = {"l2": 2.0, "linf": float("inf"), "l1": 1.0}

# Two moons. At the default scale of 5 / q little changes in the plane: a smaller one shows more.
MOON_ALPHAS, MOON_RADII, MOON_SCALES, MOON_EPS = (0.1, 1.0, 10.0), (0.25, 1.0), (1, 2, 5), 0.3
SMALL_SCALE = 2.0

# MNIST: budgets of the attacks in grey levels from 0 to 1, and choices around the defaults.
N_TRAIN, N_TEST, N_ATTACKED, EPOCHS = 10_000, 10_000, 500, 10
BUDGETS = {"l2": 1.58, "linf": 0.1}
DEFAULTS = {"alpha": 1.0, "radius": 0.5, "scale": 5.0}
CHOICES = {
    "alpha": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "radius": (0.125, 0.25, 0.5, 1.0),
    "scale": (1.25, 2.5, 5.0, 10.0, 20.0),
}
AXES = {
    "alpha": "alpha (no unit)",
    "radius": "radius, in units of q",
    "scale": "scale, in units of 1 / q",
}
LOOKS = {"l2": (COLORS[0], "o"), "linf": (COLORS[1], "s")}


def unit_of(X: NDArray, y: NDArray, norm: str) -> float:
    return nearest_other_class_distance(
        torch.from_numpy(X), torch.from_numpy(y), order=ORDERS[norm],
        generator=torch.Generator().manual_seed(SEED),
    )  # fmt: skip


# ---- two moons


def moons() -> tuple[NDArray, NDArray, NDArray, NDArray]:
    X, y = make_moons(1100, noise=0.2, random_state=SEED)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1000, random_state=SEED)
    return X_train, X_test, y_train, y_test


def fit_moons(alpha: float, **penalty: Any) -> IsometricClassifier:
    X, _, y, _ = moons()
    return IsometricClassifier(
        alpha=alpha, penalty=WorstCaseIsometry(**penalty), batch_size=10, random_state=SEED
    ).fit(X, y)


def measure_moons(model: IsometricClassifier, norm: str = "l2") -> dict[str, float]:
    X, X_test, y, y_test = moons()
    eps = MOON_EPS * unit_of(X, y, norm)
    return {
        "clean": model.score(X_test, y_test),
        "robust": adversarial_accuracy(
            model, X_test, y_test, eps=eps, threat=norm, attack=APGD(n_steps=40), random_state=SEED
        ),
    }


def draw_regions(ax: Axes, model: IsometricClassifier, norm: str, radius: float | None) -> None:
    """Probabilities as shades, data as dots, and one ball of the penalty at its size."""
    X, _, y, _ = moons()
    across, down = np.meshgrid(np.linspace(-1.7, 2.7, 221), np.linspace(-1.5, 1.8, 166))
    grid = np.column_stack([across.ravel(), down.ravel()])
    probability = model.predict_proba(grid)[:, 1].reshape(across.shape)
    ax.contourf(across, down, probability, np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.75)
    ax.contour(across, down, probability, [0.5], colors="black", linewidths=1)
    for label, (color, marker) in enumerate((("#053061", "o"), ("#67001f", "^"))):
        ax.scatter(
            *X[y == label].T, s=14, c=color, marker=marker, edgecolors="white", linewidths=0.5
        )
    if radius is not None:
        ax.add_patch(ball(norm, (-0.95, -0.8), radius))
    ax.set(aspect="equal", xlim=(-1.7, 2.7), ylim=(-1.5, 1.8))
    ax.set(xticks=(-1, 0, 1, 2), yticks=(-1, 0, 1))


def ball(norm: str, centre: tuple[float, float], radius: float) -> Any:
    x, y = centre
    style = {"fill": False, "edgecolor": "black", "linewidth": 1.2}
    if norm == "l2":
        return Circle(centre, radius, **style)
    if norm == "linf":
        return Rectangle((x - radius, y - radius), 2 * radius, 2 * radius, **style)
    corners = [(x + radius, y), (x, y + radius), (x - radius, y), (x, y - radius)]
    return Polygon(corners, **style)


def title(name: str, values: dict[str, float], norm: str = "l2") -> str:
    letter = {"l2": "L2", "linf": "L-inf", "l1": "L1"}[norm]
    robust = f"{letter} {MOON_EPS}q {values['robust']:.3f}"
    return f"{name}\nclean {values['clean']:.3f}, {robust}"


def plane_axes() -> tuple[Figure, NDArray]:
    figure, axes = plt.subplots(
        2, 3, figsize=(10.5, 6.6), layout="constrained", sharex=True, sharey=True
    )
    figure.supxlabel("feature 0, in its unit")
    figure.supylabel("feature 1, in its unit")
    return figure, axes


def run_moons() -> dict[str, Any]:
    """Fit, measure and draw: two figures, the numbers in their titles."""
    X, _, y, _ = moons()
    units = {norm: unit_of(X, y, norm) for norm in ORDERS}
    plain = fit_moons(0)
    results: dict[str, Any] = {"seed": SEED, "unit": units}
    results["plain"] = {norm: measure_moons(plain, norm) for norm in ORDERS}

    def panel(ax: Axes, name: str, alpha: float, norm: str = "l2", **choice: float) -> None:
        sizes = {"radius": 0.5 * units[norm], "scale": SMALL_SCALE / units[norm], **choice}
        model = fit_moons(alpha, norm=norm, **sizes)
        results[name] = measure_moons(model, norm)
        draw_regions(ax, model, norm, model.radius_)
        ax.set_title(title(name, results[name], norm), fontsize=9)

    def plain_panel(ax: Axes) -> None:
        draw_regions(ax, plain, "l2", None)
        ax.set_title(title("plain (alpha 0)", results["plain"]["l2"]), fontsize=9)

    q = units["l2"]
    figure, axes = plane_axes()
    for ax, alpha in zip(axes[0], MOON_ALPHAS, strict=True):
        panel(ax, f"alpha {alpha:g}, radius 0.5 q", alpha)
    plain_panel(axes[1, 0])
    for ax, radius in zip(axes[1, 1:], MOON_RADII, strict=True):
        panel(ax, f"alpha 1, radius {radius:g} q", 1.0, radius=radius * q)
    save(figure, "choose_alpha_moons")
    figure, axes = plane_axes()
    for ax, scale in zip(axes[0], MOON_SCALES, strict=True):
        panel(ax, f"alpha 1, scale {scale:g} / q", 1.0, scale=scale / q)
    plain_panel(axes[1, 0])
    for ax, norm in zip(axes[1, 1:], ("linf", "l1"), strict=True):
        panel(ax, f'alpha 1, scale 2 / q, norm "{norm}"', 1.0, norm)
    save(figure, "choose_norm_moons")
    return results


def save(figure: Figure, name: str) -> None:
    figure.savefig(IMAGES / f"{name}.png", dpi=110)
    plt.close(figure)


# ---- MNIST


def settings() -> list[dict[str, Any]]:
    """The plain network, and each choice varied with the other two at their defaults."""
    found: list[dict[str, Any]] = [{"norm": "l2", **DEFAULTS, "alpha": 0.0}]
    for norm in BUDGETS:
        for choice, values in CHOICES.items():
            for value in values:
                setting = {"norm": norm, **DEFAULTS, choice: value}
                if setting not in found:
                    found.append(setting)
    return found


def name_of(setting: dict[str, Any]) -> str:
    return "{norm}-{alpha:g}-{radius:g}-{scale:g}".format(**setting)


def measure_mnist(setting: dict[str, Any], data: tuple[NDArray, ...]) -> dict[str, Any]:
    X, X_test, y, y_test = data
    norm, unit = setting["norm"], unit_of(X, y, setting["norm"])
    penalty = WorstCaseIsometry(
        norm=norm, radius=setting["radius"] * unit, scale=setting["scale"] / unit
    )
    start = time.perf_counter()
    model = IsometricClassifier(
        alpha=setting["alpha"], penalty=penalty, max_epochs=EPOCHS, random_state=SEED
    ).fit(X, y)
    seconds = time.perf_counter() - start
    robust = {
        norm: adversarial_accuracy(
            model, X_test[:N_ATTACKED], y_test[:N_ATTACKED], eps=eps,
            threat=ThreatModel(norm, bounds=(0, 1)), attack=APGD(n_steps=40), random_state=SEED)
        for norm, eps in BUDGETS.items()
    }  # fmt: skip
    return {**setting, "unit": round(unit, 4), "clean": model.score(X_test, y_test),
            "robust": robust, "seconds": round(seconds, 1)}  # fmt: skip


def run_mnist() -> dict[str, Any]:
    X, X_test, y, y_test = load_mnist()
    data = (X[:N_TRAIN], X_test[:N_TEST], y[:N_TRAIN], y_test[:N_TEST])
    CELLS.mkdir(parents=True, exist_ok=True)
    rows = []
    for setting in tqdm(settings(), desc="mnist", unit="fit"):
        path = CELLS / f"{name_of(setting)}.json"
        if not path.exists():
            path.write_text(json.dumps(measure_mnist(setting, data)))
        rows.append(json.loads(path.read_text()))
        row = rows[-1]
        robust = "  ".join(f"{n} {row['robust'][n]:.3f}" for n in BUDGETS)
        tqdm.write(f"{name_of(setting):20} clean {row['clean']:.3f}  {robust}")
    return {"seed": SEED, "images": N_TRAIN, "epochs": EPOCHS, "attacked": N_ATTACKED,
            "attack": "apgd", "budgets": BUDGETS, "rows": rows}  # fmt: skip


def draw_mnist(results: dict[str, Any]) -> None:
    """One column for each choice; clean accuracy above, the two budgets below."""
    rows = results["rows"]
    plain = next(row for row in rows if row["alpha"] == 0)
    figure, axes = plt.subplots(3, 3, figsize=(11, 8), sharex="col", sharey="row",
                                layout="constrained")  # fmt: skip
    heights = [("clean accuracy", lambda row: row["clean"])] + [
        (f"accuracy under {label}", lambda row, norm=norm: row["robust"][norm])
        for norm, label in (("l2", "L2 1.58"), ("linf", "L-infinity 0.1"))
    ]
    for column, choice in enumerate(CHOICES):
        for row_of_axes, (label, height) in enumerate(heights):
            ax = axes[row_of_axes, column]
            for norm, (colour, marker) in LOOKS.items():
                points = sorted(
                    (row[choice], height(row)) for row in rows
                    if row["alpha"] > 0 and row["norm"] == norm
                    and all(row[k] == v for k, v in DEFAULTS.items() if k != choice)
                )  # fmt: skip
                ax.plot(*np.transpose(points), color=colour, marker=marker, label=f"{norm} pairs")
            ax.axhline(height(plain), color="grey", linestyle="--", label="plain (alpha 0)")
            ax.axvline(DEFAULTS[choice], color="lightgrey", linewidth=6, zorder=0)
            ax.set_xscale("log")
            ax.set_xticks(CHOICES[choice], [f"{value:g}" for value in CHOICES[choice]])
            ax.minorticks_off()
            if column == 0:
                ax.set_ylabel(f"{label},\nshare of the images")
        axes[-1, column].set_xlabel(AXES[choice])
    axes[0, 0].legend(fontsize=8)
    save(figure, "choose_mnist")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("moons", "mnist"))
    parser.add_argument("--draw", action="store_true", help="draw the MNIST figure again, only")
    options = parser.parse_args()
    path = Path(__file__).with_suffix(".json")
    results = json.loads(path.read_text()) if path.exists() else {}
    for part, run in {"moons": run_moons, "mnist": run_mnist}.items():
        if options.only in (None, part) and not options.draw:
            results[part] = run()
            path.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results.get("moons", {}), indent=1))
    if "mnist" in results:
        draw_mnist(results["mnist"])


if __name__ == "__main__":
    main()
