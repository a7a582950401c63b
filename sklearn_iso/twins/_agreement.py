"""How a twin differs from its estimator: what it declares, and what data show."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sklearn_iso.twins._labels import classes_of, columns_of, one_each

BATCH = 1000


@dataclass(frozen=True)
class Agreement:
    """How a twin compares with its estimator on data. Made by :func:`verify`.

    Attributes
    ----------
    exact : bool
        Whether scores equal decision_function or predict_proba, up to rounding.
    share_equal : float
        Share of samples that both predict alike.
    largest_difference : float
        Largest absolute difference to predict_proba, or to decision_function where that is
        closer; infinite if the estimator has neither or scores are not finite.
    finite : bool
        Whether all scores are finite.

    Examples
    --------
    >>> from sklearn_iso.twins import Agreement
    >>> Agreement(True, 1.0, 0.0, True).share_equal
    1.0
    """

    exact: bool
    share_equal: float
    largest_difference: float
    finite: bool


def surrogates(twin: nn.Module) -> list[str]:
    """Return why a twin, or a part of it, only approximates its estimator.

    Parameters
    ----------
    twin : nn.Module
        Made by :func:`sklearn_iso.twins.as_torch`.

    Returns
    -------
    list of str
        The ``surrogate`` attributes of its modules, each once; empty for a twin that computes
        what the estimator does.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_iso.twins import as_torch, surrogates
    >>> X, y = load_iris(return_X_y=True)
    >>> surrogates(as_torch(LogisticRegression(max_iter=300).fit(X, y)))
    []
    >>> print(*surrogates(as_torch(KNeighborsClassifier().fit(X, y))))  # doctest: +ELLIPSIS
    KNeighborsClassifier predicts by votes of neighbours, which have no gradient; ...
    """
    _check_twin(twin)
    reasons = (getattr(module, "surrogate", None) for module in twin.modules())
    return list(dict.fromkeys(reason for reason in reasons if reason))


def verify(twin: nn.Module, estimator: BaseEstimator, X: ArrayLike) -> Agreement:
    """Compare a twin with its classifier on data.

    Parameters
    ----------
    twin : nn.Module
    estimator : fitted classifier
    X : array-like of shape (n_samples, n_features), or a DataFrame
        What a user passes to ``predict``. float32 stays float32, all else becomes float64.

    Returns
    -------
    Agreement
        Scores may differ by 1e-6 relative to their size in float64, and 1e-4 in float32.

    Raises
    ------
    ValueError
        If X is empty, or the twin does not return one score for each class.
    TypeError
        If the twin is no module, or the estimator no classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from sklearn_iso.twins import as_torch, verify
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = SVC().fit(X, y > 0)
    >>> agreement = verify(as_torch(classifier), classifier, X)
    >>> agreement.exact, agreement.share_equal
    (True, 1.0)
    """
    _check_twin(twin)
    if not hasattr(estimator, "classes_") or not hasattr(estimator, "predict"):
        raise TypeError(f"estimator must be a fitted classifier; got {type(estimator).__name__}.")
    table = np.asarray(X)
    table = np.array(table, dtype=np.float32 if table.dtype == np.float32 else np.float64)
    if not len(table):
        raise ValueError("X must hold at least one sample to compare a twin on; got none.")
    # Copies: some estimators write into X. It is predict that says what is wrong with X.
    expected = one_each(estimator.predict(copy.deepcopy(X)), len(table))
    scores = _scores(twin, torch.from_numpy(table))
    classes = classes_of(estimator)
    if scores.shape != (len(table), len(classes)):
        raise ValueError(
            f"The estimator's twin must return one score for each of the {len(classes)} classes; "
            f"got shape {scores.shape}. Correct its to_torch() or its registered twin."
        )
    finite = np.isfinite(scores).all(axis=1)
    equal = (scores.argmax(axis=1) == columns_of(expected, classes)) & finite
    tolerance = 1e-4 if table.dtype == np.float32 else 1e-6
    exact, difference = False, np.inf
    if finite.all():
        for actual, expected in _responses(scores, estimator, X):
            difference = min(difference, float(np.abs(actual - expected).max()))
            exact = np.allclose(actual, expected, rtol=tolerance, atol=tolerance)
            if exact:
                break
    return Agreement(exact, float(equal.mean()), difference, bool(finite.all()))


def _check_twin(twin: object) -> None:
    if not isinstance(twin, nn.Module):
        raise TypeError(
            f"twin must be a torch module, as as_torch makes it; got {type(twin).__name__}."
        )


def _scores(twin: nn.Module, X: Tensor) -> NDArray:
    with torch.no_grad():
        return torch.cat([twin(batch) for batch in X.split(BATCH)]).double().cpu().numpy()


def _responses(
    scores: NDArray, estimator: BaseEstimator, X: ArrayLike
) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield pairs of what the twin says and what the estimator says."""
    if hasattr(estimator, "predict_proba"):
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        yield (
            shifted / shifted.sum(axis=1, keepdims=True),
            estimator.predict_proba(copy.deepcopy(X)),
        )
    if hasattr(estimator, "decision_function"):
        expected = np.asarray(estimator.decision_function(copy.deepcopy(X)))
        if expected.ndim == 1 and scores.shape[1] == 2:
            yield scores[:, 1] - scores[:, 0], expected
        elif expected.shape == scores.shape:
            yield scores - scores.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True)
