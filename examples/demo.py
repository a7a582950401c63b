"""From a fragile network to a robust one: a grid search over the strength of the penalty.

    python examples/demo.py --data digits     # 1,797 images of 8 x 8 pixels, under two minutes
    python examples/demo.py --data mnist      # 70,000 images of 28 x 28 pixels, in 15 minutes

The search measures, for every alpha, the clean accuracy, the accuracy under a PGD attack at
three budgets, and the distortion of the representation. The plain network (alpha=0) and the
best of the search then meet images that neither has seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    BaseCrossValidator,
    GridSearchCV,
    StratifiedKFold,
    StratifiedShuffleSplit,
    train_test_split,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.datasets import load_mnist
from sklearn_iso.metrics import (
    adversarial_accuracy,
    make_adversarial_scorer,
    make_distortion_scorer,
)
from sklearn_iso.penalties import nearest_other_class_distance
from sklearn_iso.plotting import RobustnessCurveDisplay, ShepardDisplay

ALPHA = "isometricclassifier__alpha"


@dataclass(frozen=True)
class Task:
    """Data, and what a perturbation of them may be.

    Attributes
    ----------
    unit : str
        What a budget of 1 means.
    scale : float or ndarray of shape (n_features,)
        The same in units of the pixels: a scaler that stretches a pixel would otherwise
        make it the cheapest one to attack.
    fractions : tuple of float
        Budgets over the median distance to the nearest image of another class.
    """

    name: str
    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray
    pipeline: Pipeline
    bounds: tuple[float, float]
    unit: str
    scale: float | np.ndarray
    alphas: tuple[float, ...]
    cv: BaseCrossValidator
    norm: str = "l2"
    fractions: tuple[float, ...] = (0.1, 0.2, 0.3)
    peers: tuple[ClassifierMixin, ...] = ()

    @property
    def threat(self) -> ThreatModel:
        """Return what attacks may do, with budgets in the unit."""
        return ThreatModel(self.norm, units=self.scale, bounds=self.bounds)

    def in_units(self, X: np.ndarray) -> np.ndarray:
        """Return X in the unit of the budgets; a constant pixel stays as it is."""
        return X / np.where(self.scale == 0, 1, self.scale)

    def budgets(self) -> list[float]:
        """Return the budgets, rounded to two digits."""
        rows = np.random.default_rng(0).permutation(len(self.X_train))[:2000]
        distance = nearest_other_class_distance(
            torch.from_numpy(self.in_units(self.X_train[rows])),
            torch.from_numpy(self.y_train[rows]),
            generator=torch.Generator().manual_seed(0),
        )
        return [float(f"{fraction * distance:.2g}") for fraction in self.fractions]


def digits() -> Task:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    return Task(
        "digits",
        X_train,
        X_test,
        y_train,
        y_test,
        pipeline=make_pipeline(StandardScaler(), IsometricClassifier(random_state=0)),
        bounds=(0.0, 16.0),
        unit="standard deviations of each pixel",
        scale=X_train.std(axis=0),
        alphas=(0.0, 0.1, 0.3, 1.0, 3.0),
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        peers=(
            LogisticRegression(max_iter=1000),
            MLPClassifier((128, 128), alpha=1.0, max_iter=300, random_state=0),
        ),
    )


def mnist() -> Task:
    # Pixels share one unit already: nothing to scale.
    return Task(
        "mnist",
        *load_mnist(),
        pipeline=make_pipeline(IsometricClassifier(max_epochs=8, random_state=0)),
        bounds=(0.0, 1.0),
        unit="grey levels of 0 to 1",
        scale=1.0,
        alphas=(0.0, 0.3, 1.0),
        cv=StratifiedShuffleSplit(1, test_size=2000, random_state=0),
    )


TASKS: dict[str, Callable[[], Task]] = {"digits": digits, "mnist": mnist}


class Counted:
    """A scorer that moves a progress bar on."""

    def __init__(self, scorer: Callable[..., float], bar: tqdm) -> None:
        self.scorer, self.bar = scorer, bar

    def __call__(self, estimator: Pipeline, X: np.ndarray, y: np.ndarray) -> float:
        score = self.scorer(estimator, X, y)
        self.bar.update()
        return score


def search(task: Task, budgets: list[float]) -> GridSearchCV:
    """Search over alpha by the mean accuracy, clean and at the three budgets."""
    scoring = {"clean": "accuracy", "distortion": make_distortion_scorer(scale=task.scale)}
    for eps in budgets:
        scoring[f"robust {eps:g}"] = make_adversarial_scorer(
            eps=eps, threat=task.threat, attack="pgd"
        )
    n_fits = len(task.alphas) * task.cv.get_n_splits()
    with tqdm(total=n_fits, desc="grid search", unit="fit") as bar:
        scoring["distortion"] = Counted(scoring["distortion"], bar)
        return GridSearchCV(
            task.pipeline, {ALPHA: task.alphas}, scoring=scoring, cv=task.cv, refit=strongest
        ).fit(task.X_train, task.y_train)


def strongest(results: dict[str, np.ndarray]) -> int:
    """Return the candidate of the highest accuracy, averaged over the budgets and clean."""
    names = [name for name in results if name.startswith(("mean_test_clean", "mean_test_robust"))]
    return int(np.argmax(np.mean([results[name] for name in names], axis=0)))


def print_table(results: dict[str, np.ndarray], budgets: list[float]) -> None:
    """Print one row for each alpha, validated."""
    robust = [f"robust {eps:g}" for eps in budgets]
    columns = ["alpha", "clean", *robust, "distortion", "seconds"]
    print("\n" + "".join(f"{name:>13}" for name in columns))
    for row, alpha in enumerate(results[f"param_{ALPHA}"]):
        scores = [results[f"mean_test_{name}"][row] for name in ["clean", *robust]]
        distortion = -results["mean_test_distortion"][row]
        values = [*scores, distortion, results["mean_fit_time"][row]]
        print(f"{alpha:>13g}" + "".join(f"{value:13.3f}" for value in values))


def draw_curves(
    models: dict[str, Pipeline], task: Task, budgets: list[float], folder: Path
) -> dict[str, RobustnessCurveDisplay]:
    """Save the robustness curves on test images, and return them."""
    import matplotlib.pyplot as plt

    X, y = task.X_test[:1000], task.y_test[:1000]
    eps = [0.0, *budgets, *(budgets[-1] * factor for factor in (1.5, 2.0))]
    figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    curves = {}
    for name, model in models.items():
        accuracy = [
            adversarial_accuracy(
                model,
                X,
                y,
                eps=e,
                threat=task.threat,
                attack="pgd",
                random_state=0,
            )
            for e in eps
        ]
        curves[name] = RobustnessCurveDisplay.from_predictions(
            eps, accuracy, threat=task.threat, n_samples=len(X), name=name, ax=ax
        )
    ax.set_title(f"{task.name}: accuracy under PGD-40, {len(X)} test images")
    ax.set_xlabel(f"L2 budget eps, in {task.unit}")
    figure.savefig(folder / f"{task.name}_robustness.png", dpi=150)
    return curves


def draw_distances(models: dict[str, Pipeline], task: Task, folder: Path) -> Figure:
    """Save the Shepard diagrams on test images, on the same axes; return the figure."""
    import matplotlib.pyplot as plt

    X, y = task.X_test[:1000], task.y_test[:1000]
    figure, axes = plt.subplots(
        1, 2, figsize=(9.6, 4.2), layout="constrained", sharex=True, sharey=True
    )
    tops = []
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        ShepardDisplay.from_predictions(task.in_units(X), model.transform(X), y, name=name, ax=ax)
        ax.set_title(name)
        ax.set_xlabel(f"Input distance, in {task.unit}")
        tops.append(ax.get_ylim()[1])
    ax.set_ylim(0, max(tops))  # each display sets that of its own pairs
    figure.savefig(folder / f"{task.name}_shepard.png", dpi=150)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=sorted(TASKS), default="digits")
    parser.add_argument("--output", type=Path, default=Path("output"))
    options = parser.parse_args()
    matplotlib.use("Agg")
    options.output.mkdir(exist_ok=True)

    task = TASKS[options.data]()
    budgets = task.budgets()
    print(
        f"{task.name}: {len(task.X_train)} images to search on, {len(task.X_test)} to test on. "
        f"Budgets: L2 {', '.join(f'{eps:g}' for eps in budgets)} in {task.unit}, that is "
        f"{', '.join(f'{f:g}' for f in task.fractions)} of the median distance to the nearest "
        "image of another class."
    )
    found = search(task, budgets)
    print_table(found.cv_results_, budgets)
    best = found.best_params_[ALPHA]
    plain = found.estimator.set_params(**{ALPHA: 0.0}).fit(task.X_train, task.y_train)
    models = {"plain (alpha=0)": plain, f"isometric (alpha={best:g})": found.best_estimator_}
    peers = {
        type(peer).__name__: make_pipeline(*found.estimator[:-1], peer).fit(
            task.X_train, task.y_train
        )
        for peer in task.peers
    }
    curves = draw_curves(models | peers, task, budgets, options.output)
    draw_distances(models, task, options.output)
    before, after, *others = (display.accuracy for display in curves.values())
    print(
        f"\nsaved {options.output}/{task.name}_robustness.png and "
        f"{options.output}/{task.name}_shepard.png\n"
        f"Found: on unseen images, alpha={best:g} keeps {after[3]:.0%} right under perturbations "
        f"of L2 {budgets[-1]:g}, the plain network {before[3]:.0%}; "
        f"without an attack {after[0]:.1%} against {before[0]:.1%}."
    )
    for name, accuracy in zip(peers, others, strict=True):
        print(f"{name} keeps {accuracy[3]:.0%}; without an attack {accuracy[0]:.1%} right.")


if __name__ == "__main__":
    main()
