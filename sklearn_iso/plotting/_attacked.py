"""Samples under attack, as they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_regressor
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples
from torch import Tensor

from sklearn_iso._protocols import Predictor, RandomState
from sklearn_iso._threat import Threat
from sklearn_iso._threat.model import ThreatModel
from sklearn_iso.attacks import Attack, Square
from sklearn_iso.metrics._evaluation import Evaluation
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._regression_evaluation import RegressionEvaluation
from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss

Method = Attack | Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Attacked:
    """Samples, what an attack made of them, and what is predicted for both.

    Parameters
    ----------
    X, X_adv : ndarray of shape (n, ...)
    y_pred, y_adv : ndarray of shape (n,)
    units : ndarray, optional
        Of the threat, for tables.
    columns : sequence of str, optional
    """

    X: NDArray
    X_adv: NDArray
    y_pred: NDArray
    y_adv: NDArray
    units: NDArray | None
    columns: Sequence[str] | None


@dataclass(frozen=True, eq=False)
class Within:
    """An attack on a fitted estimator within a budget.

    Parameters
    ----------
    estimator : classifier or regressor
    eps : float
    threat : ThreatModel or str
    method : Attack
    random_state : int, RandomState instance or None
    """

    estimator: Predictor
    eps: float
    threat: Threat
    method: Method
    random_state: RandomState

    def attacked(
        self, X: ArrayLike, y: ArrayLike, image_shape: tuple[int, ...] | None, n_images: int
    ) -> Attacked:
        """Return samples under attack: of images the first ones, of tables all."""
        within = replace(self, method=_of_images(self.method, image_shape))
        n_samples = None if image_shape is None else n_images
        if hasattr(self.estimator, "__sklearn_tags__") and is_regressor(self.estimator):
            return within._numbers(X, y, n_samples)
        return within._classes(X, y, n_samples)

    def _classes(self, X: ArrayLike, y: ArrayLike, n_samples: int | None) -> Attacked:
        problem = Problem.of(self.estimator, X, y, threat=self.threat)
        rows = np.flatnonzero(problem.right())
        if not len(rows):
            raise ValueError(
                "An attack needs samples that are classified correctly; the estimator gets all "
                f"{len(problem.codes)} wrong. Check y, or pass other samples."
            )
        rows = rows[:n_samples]
        evaluation = Evaluation.of(problem, self.method, self.random_state, rows)
        X_adv = evaluation.attack(rows, self.eps).X_adv.numpy()
        problem.refused.warn()
        return Attacked(
            problem.table.values[rows],
            X_adv,
            problem.classes[problem.codes[rows]],
            _named(problem.predict(X_adv, rows), problem.classes),
            _units(problem.threat) if n_samples is None else None,
            problem.table.columns,
        )

    def _numbers(self, X: ArrayLike, y: ArrayLike, n_samples: int | None) -> Attacked:
        if n_samples is not None:
            few = np.arange(min(n_samples, _num_samples(X)))
            X, y = _safe_indexing(X, few), _safe_indexing(y, few)
        problem = RegressionProblem.of(self.estimator, X, y, threat=self.threat)
        if problem.n_outputs > 1:
            raise ValueError(
                "A display shows one prediction for each sample; the regressor has "
                f"{problem.n_outputs} outputs. Draw what adversarial_examples() returns of it with "
                "from_predictions, without y_pred and y_adv."
            )
        loss = SampleLoss("absolute_error")
        evaluation = RegressionEvaluation.of(problem, loss, self.method, self.random_state)
        points = evaluation.clean()
        evaluation.attack(points, self.eps)
        problem.refused.warn()
        return Attacked(
            problem.table.values,
            points.X_adv.numpy(),
            problem.clean[:, 0],
            points.predicted[:, 0],
            _units(problem.threat) if n_samples is None else None,
            problem.table.columns,
        )


def _units(threat: ThreatModel) -> NDArray | None:
    return None if threat.units is None else threat.radius(1.0)


def _of_images(method: Method, image_shape: tuple[int, ...] | None) -> Method:
    """Return an attack that moves patches of the images that are drawn, if it knows of patches."""
    if image_shape is None or getattr(method, "image_shape", image_shape) is not None:
        return method
    return replace(cast(Square, method), image_shape=image_shape)


def _named(columns: NDArray, classes: NDArray) -> NDArray:
    """Return labels of columns; what is no class is told so, and is none of them."""
    if (columns >= 0).all():
        return classes[columns]
    known = np.append(classes.astype(object), "none of the classes")
    labels: NDArray = known[columns]
    return labels
