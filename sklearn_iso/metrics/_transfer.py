"""Transfer: a step against a linear model of the estimator's own predictions."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sklearn_iso._threat import Threat
from sklearn_iso.attacks import fgsm
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.twins import as_torch

MOST_ROWS = 2000


def linear_surrogate(problem: Problem) -> Callable[[Tensor], Tensor] | None:
    """Return logits of a logistic regression of the predictions.

    None if a class is missing, or there is only one.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._transfer import linear_surrogate
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(DecisionTreeClassifier().fit(X, y), X, y)
    >>> linear_surrogate(problem)(problem.points([0])).argmax(dim=1)
    tensor([0])
    """
    points = problem.points()
    values = points.flatten(1).numpy()[:: max(1, len(points) // MOST_ROWS)]
    labels = problem.predict(values.reshape(-1, *points.shape[1:]))
    n_needed = max(2, len(problem.classes))
    if len(np.unique(labels)) < n_needed or (labels < 0).any():
        return None
    surrogate = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        surrogate.fit(values, labels)
    twin = as_torch(surrogate)
    return lambda x: twin(x.flatten(1))


def transfer(
    logits: Callable[[Tensor], Tensor], X: Tensor, y: Tensor, *, eps: float, threat: Threat
) -> Tensor:
    """Step to the end of the budget against a surrogate.

    One step of full length: where a surrogate is misclassified halfway, the estimator may not be.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.metrics._transfer import transfer
    >>> linear = lambda x: torch.cat([x, -x], dim=1)
    >>> transfer(linear, torch.tensor([[0.1]]), torch.tensor([0]), eps=1.0, threat="linf")
    tensor([[-0.9000]])
    """
    return fgsm(logits, X, y, eps=eps, threat=threat)
