"""Draw the pictures of single estimators, and of what benchmarks measured, into docs/images.

python docs/pictures.py                      # all of them, a minute
python docs/pictures.py classifier smoothed  # or some, by name
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray
from sklearn.datasets import load_digits, make_friedman1, make_moons
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
    SmoothedClassifier,
    ThreatModel,
)
from sklearn_iso.datasets import make_taxonomy
from sklearn_iso.metrics import at_level, make_adversarial_scorer
from sklearn_iso.plotting import RobustnessCurveDisplay

IMAGES = Path(__file__).parent / "images"
COLORS = np.array(["#0072B2", "#D55E00", "#009E73"])
MODELS = {"plain": 0, "default": "auto"}


def panels(n: int, width: float = 7.0, height: float = 3.0) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure and its axes, without frames above and on the right."""
    figure, axes = plt.subplots(1, n, figsize=(width, height), layout="constrained", squeeze=False)
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes[0]


def plane(X: NDArray, margin: float = 0.5) -> tuple[NDArray, NDArray, NDArray]:
    """Return a grid around points of the plane, and its points one by one."""
    low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
    x, y = np.meshgrid(*(np.linspace(a, b, 150) for a, b in zip(low, high, strict=True)))
    return x, y, np.column_stack([x.ravel(), y.ravel()])


def classifier() -> Figure:
    """Probabilities in the plane, where one label in ten is wrong."""
    X, y = make_moons(150, noise=0.2, random_state=0)
    wrong = np.random.default_rng(0).choice(150, 15, replace=False)
    y[wrong] = 1 - y[wrong]
    figure, axes = panels(2)
    x1, x2, points = plane(X)
    for ax, (name, alpha) in zip(axes, MODELS.items(), strict=True):
        network = IsometricClassifier(alpha=alpha, random_state=0)
        model = make_pipeline(StandardScaler(), network).fit(X, y)
        share = model.predict_proba(points)[:, 1].reshape(x1.shape)
        shown = ax.pcolormesh(x1, x2, share, cmap="PuOr_r", vmin=0, vmax=1, rasterized=True)
        ax.contour(x1, x2, share, [0.5], colors="black", linewidths=1)
        ax.scatter(*X.T, c=COLORS[y], s=12, edgecolor="white", linewidth=0.5)
        ax.set(title=f"{name} (alpha={alpha})", aspect="equal", xticks=(), yticks=())
    figure.colorbar(shown, ax=axes, label="probability of class 1", shrink=0.8)
    return figure


def classifier_cv() -> Figure:
    """What each alpha scores, clean and under attack."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:400] / 16, y[:400]
    quick = IsometricClassifier(
        hidden_layer_sizes=(64,), max_epochs=30, batch_size=64, random_state=0
    )
    attacks = make_adversarial_scorer(eps=0.4, threat="l2", attack="pgd", random_state=0)
    figure, (ax,) = panels(1, 5.0)
    for color, (name, scoring) in zip(
        COLORS, {"clean": None, "under attack": attacks}.items(), strict=False
    ):
        results = IsometricClassifierCV(estimator=quick, cv=3, scoring=scoring).fit(X, y)
        found = results.cv_results_
        places = np.arange(len(found["alpha"]))
        mean, spread = found["mean_test_score"], found["std_test_score"]
        ax.errorbar(places, mean, spread, color=color, marker="o", capsize=3, markersize=4)
        place = (places[-1], mean[-1] - spread[-1])
        ax.annotate(name, place, (0, -14), textcoords="offset points", ha="right", color=color)
    ax.set_xticks(places, [f"{alpha:g}" for alpha in found["alpha"]])
    ax.set(xlabel="alpha", ylabel="accuracy")
    return figure


def regressor() -> Figure:
    """Error against the budget, of a plain network and of the default."""
    X, y = make_friedman1(700, noise=3, random_state=0)
    threat = ThreatModel("l2", units=X[:300].std(axis=0))
    figure, (ax,) = panels(1, 5.2)
    for name, alpha in MODELS.items():
        network = IsometricRegressor(alpha=alpha, random_state=0)
        model = make_pipeline(StandardScaler(), network).fit(X[:300], y[:300])
        RobustnessCurveDisplay.from_estimator(
            model, X[300:], y[300:], eps=np.linspace(0, 0.4, 9), threat=threat, random_state=0,
            name=f"{name} (alpha={alpha})", ax=ax,
        )  # fmt: skip
    ax.legend(frameon=False, fontsize=8)
    return figure


def transformer() -> Figure:
    """New digits, placed among those that were fitted."""
    X, y = load_digits(return_X_y=True)
    X_train, X_new, _, y_new = train_test_split(X / 16, y, random_state=0)
    model = IsometricTransformer(random_state=0).fit(X_train)
    figure, (ax,) = panels(1, 5.2, 4.0)
    ax.scatter(*model.transform(X_train).T, s=3, color="0.85")
    shown = ax.scatter(*model.transform(X_new).T, c=y_new, s=8, cmap="tab10", vmin=-0.5, vmax=9.5)
    figure.colorbar(shown, ax=ax, ticks=range(10), label="digit")
    ax.set(xlabel="dimension 0", ylabel="dimension 1", aspect="equal")
    return figure


def smoothed() -> Figure:
    """Points of the plane with the circles in which their class is certain."""
    X, y = make_moons(400, noise=0.15, random_state=0)
    model = SmoothedClassifier(SVC(), sigma=0.25, n_copies=5, random_state=0)
    model.fit(X[:200], y[:200])
    X = X[200:235]
    radius = model.certified_radius(X)
    figure, (ax,) = panels(1, 5.2)
    x1, x2, points = plane(X, margin=0.8)
    inner = model.estimator_.predict(points).reshape(x1.shape)
    ax.pcolormesh(x1, x2, inner, cmap="PuOr_r", vmin=-1, vmax=2, alpha=0.4, rasterized=True)
    colors = COLORS[model.predict(X)]
    for point, size, color in zip(X, radius, colors, strict=True):
        ax.add_patch(plt.Circle(point, size, facecolor="none", edgecolor=color, linewidth=0.8))
    ax.scatter(*X.T, c=colors, s=8)
    ax.set(aspect="equal", xlim=(x1.min(), x1.max()), ylim=(x2.min(), x2.max()))
    ax.set_axis_off()
    return figure


def hierarchical() -> Figure:
    """Accuracy of each level against the budget."""
    X, Y = make_taxonomy(900, branching=(3, 2, 2), spread=8.0, random_state=0)
    model = HierarchicalIsometricClassifier(max_epochs=30, random_state=0).fit(X[:700], Y[:700])
    figure, (ax,) = panels(1, 5.2)
    for level in range(3):
        RobustnessCurveDisplay.from_estimator(
            at_level(model, level), X[700:800], Y[700:800, level], eps=np.linspace(0, 4, 6),
            threat="l2", attack="pgd",
            random_state=0, name=f"level {level}, {3 * 2**level} classes", ax=ax,
        )  # fmt: skip
    ax.legend(frameon=False, fontsize=8)
    return figure


#: Jobs of benchmarks/scale.py by panel, with what their lines are called.
GROWTH = {
    "fits of 2 epochs": {
        "fit, alpha=0": "alpha=0",
        "fit, alpha=1": "alpha=1",
        'fit, alpha="auto"': "default",
        "fit an embedding": "embedding",
        "fit a geodesic embedding": "geodesic",
        "fit a geodesic embedding, approximate neighbours": "approx. geodesic",
        "predict": "predict",
    },
    "adversarial_accuracy": {
        "adversarial_accuracy, ours": "ours",
        "adversarial_accuracy, LogisticRegression": "linear",
        "adversarial_accuracy, SVC": "SVC",
        "adversarial_accuracy, forest of 25": "forest",
        "adversarial_accuracy, HistGradientBoosting": "boosting",
        "robustness_report, ours": "report, ours",
    },
    "distances": {
        "isometry_distortion": "distortion",
        "trustworthiness": "trustworthiness",
        "continuity": "continuity",
    },
}


def growth() -> Figure:
    """Seconds against samples, on log axes, of what benchmarks/scale.py measured."""
    measured = json.loads((IMAGES.parents[1] / "benchmarks" / "scale.json").read_text("utf-8"))
    figure, axes = panels(3, 11, 4.2)
    for ax, (title, jobs) in zip(axes, GROWTH.items(), strict=True):
        ends = []
        for name, label in jobs.items():
            if name not in measured["jobs"]:
                continue
            job = measured["jobs"][name]
            size, seconds = ([row[key] for row in job["rows"]] for key in ("size", "seconds"))
            (line,) = ax.plot(size, seconds, marker=".", linewidth=1.2)
            ends.append(
                (size[-1], seconds[-1], exponent_told(label, job["exponent"]), line.get_color())
            )
        ax.set(xscale="log", yscale="log", title=title, xlabel="samples")
        label_apart(ax, ends)
    axes[0].set_ylabel("CPU seconds, one thread")
    return figure


def exponent_told(label: str, exponent: float | None) -> str:
    return label if exponent is None else f"{label} {exponent:.1f}"


def label_apart(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write at the right of each line what it is, no two labels on each other."""
    low, high = np.log10(ax.get_ylim())
    gap, last = (high - low) / 18, -np.inf
    ax.set_xlim(right=10 ** (np.log10(ax.get_xlim()[1]) + 1.6))
    right = max(x for x, *_ in ends) * 1.5
    ax.xaxis.set_major_locator(FixedLocator([t for t in ax.get_xticks() if 1e3 <= t < right]))
    ax.xaxis.set_minor_locator(NullLocator())
    for x, y, text, color in sorted(ends, key=lambda end: end[1]):
        last = max(np.log10(y), last + gap)
        ax.plot([x, right], [y, 10**last], color=color, linewidth=0.4)
        ax.text(right * 1.1, 10**last, text, color=color, fontsize=8, va="center")


def training_time() -> Figure:
    """Held-out accuracy under attack while networks train, from benchmarks/trades_mnist.json."""
    path = Path(__file__).parents[1] / "benchmarks" / "trades_mnist.json"
    colors = {"isometric": COLORS[0], "PGD training": COLORS[1], "TRADES": COLORS[2]}
    rows = [
        row
        for row in json.loads(path.read_text())["rows"]
        if row["method"] in colors and not row["union"] and row["minutes"] == 45
    ]
    figure, (ax,) = panels(1, 6.0)
    ends = []
    for method, color in colors.items():
        logs = [row["log"] for row in rows if row["method"] == method]
        for log in logs:
            minutes = [point["seconds"] / 60 for point in log]
            ax.plot(minutes, [point["held_out_robust"] for point in log], color=color)
        ends += [(log[-1]["held_out_robust"], method, color) for log in logs[:1]]
    right = max(point["seconds"] for row in rows for point in row["log"]) / 60
    high = 2.0
    for robust, method, color in sorted(ends, reverse=True):
        high = min(robust, high - 0.07)
        ax.text(right * 1.02, high, method, color=color, va="center")
    ax.set(xlim=(0, right), ylim=(0, 1), xlabel="CPU minutes of training, one thread")
    ax.set_ylabel("right under PGD-40")
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    draw.__name__: draw
    for draw in (
        classifier,
        classifier_cv,
        regressor,
        transformer,
        smoothed,
        hierarchical,
        growth,
        training_time,
    )  # fmt: skip
}
#: Pictures of what benchmarks measured, and not of an estimator.
OF_BENCHMARKS = {"growth", "training_time"}


def main() -> None:
    """Draw the pictures that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *PICTURES], metavar="NAME")
    for name in parser.parse_args().names or PICTURES:
        figure = PICTURES[name]()
        path = IMAGES / f"{name if name in OF_BENCHMARKS else f'estimator_{name}'}.png"
        figure.savefig(path, dpi=110)
        plt.close(figure)
        print(path)


if __name__ == "__main__":
    main()
