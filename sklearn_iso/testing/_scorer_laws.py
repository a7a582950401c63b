"""The laws that a scorer of accuracy under attack keeps, as one check."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils._param_validation import Interval

from sklearn_iso._geometry.norms import Norm
from sklearn_iso._protocols import Classifier, Scorer
from sklearn_iso._threat import Threat, ThreatModel, as_threat
from sklearn_iso._typed import validate_params
from sklearn_iso.metrics._routing import takes_weights
from sklearn_iso.testing._broken import as_number, require
from sklearn_iso.testing._generators import require_global_generators_kept

_N_SAMPLES = 40
_WEIGHTS = np.array([1.0, -2.0, 0.5])
_CLASSES = np.array([3, 7])  # labels are no positions


@validate_params(
    {
        "scorer": [callable],
        "eps": [Interval(Real, 0, None, closed="neither"), None],
        "reach": [Interval(Real, 1, None, closed="neither")],
    },
    prefer_skip_nested_validation=False,
)
def check_adversarial_scorer(
    scorer: Scorer,
    *,
    eps: float | None = None,
    threat: Threat | None = None,
    reach: float = 1.02,
) -> None:
    r"""Check the laws that a scorer of accuracy under attack must keep.

    A scorer ``(estimator, X, y) -> float`` of the budget `eps`, measured on linear classifiers
    whose exact distances :math:`|f(x)| / \|w\|_*` are known,

    - counts a row just within the budget as misclassified and one just beyond it as right;
    - counts samples that are wrong without an attack as misclassified: all samples count;
    - finds the same where the estimator hides its gradient, knowing labels alone;
    - does not depend on the order of the samples;
    - counts a row of weight 2 twice and leaves out one of weight 0, if it takes `sample_weight`;
    - returns one number, and leaves the estimator, X, y and all global generators as they were,
      and repeats itself.

    Parameters
    ----------
    scorer : callable
        Such as :func:`sklearn_iso.metrics.make_adversarial_scorer` makes. It is called with
        linear classifiers of 3 features without bounds, of the labels 3 and 7.
    eps : float, optional
        Its budget, one positive number; by default its attribute ``eps``.
    threat : ThreatModel, or the name of a norm, optional
        Its threat, of a norm alone; by default its attribute ``threat``.
    reach : float, default=1.02
        More than 1. Samples lie at eps over this number, where they must be misclassified, and at
        eps times it, where they cannot be.

    Raises
    ------
    LawBrokenError
        If a law is broken: an AssertionError that names it.
    ValueError
        If a parameter is out of its range, or the budget or the norm is not known.

    Examples
    --------
    >>> from sklearn_iso.metrics import make_adversarial_scorer
    >>> from sklearn_iso.testing import check_adversarial_scorer
    >>> check_adversarial_scorer(make_adversarial_scorer(eps=0.2))
    >>> check_adversarial_scorer(lambda model, X, y: model.score(X, y), eps=0.2, threat="linf")
    Traceback (most recent call last):
    sklearn_iso.testing._broken.LawBrokenError: A sample within the budget must count as ...
    """
    budget = getattr(scorer, "eps", None) if eps is None else eps
    norm = _norm_of(getattr(scorer, "threat", None) if threat is None else threat)
    if norm is None or not isinstance(budget, Real) or not 0 < float(budget) < np.inf:
        raise ValueError(
            "check_adversarial_scorer needs the budget of the scorer as one positive number and "
            "its threat, which must be a norm alone and not l0; "
            f"got eps={budget!r} and threat={threat!r}. Pass eps=0.1, threat='linf'."
        )
    X, y, near = _rows(float(budget), norm, reach)
    linear = _linear_classifier()
    _check_side_effects(scorer, linear, X, y)
    _check_share(scorer, linear, X, y, near)
    if takes_weights(scorer):
        _check_weights(scorer, linear, X, y)
    silent = _LabelsOnly(linear)
    found, expected = _score(scorer, silent, X, y), float(np.mean(~near))
    require(
        abs(found - expected) < 0.5 / len(X),
        f"A classifier that hides its gradient is as robust as it was; got {found} in place of "
        f"{expected} for one with labels alone. Search without gradients where there are none.",
    )


def _norm_of(threat: Threat | None) -> Norm | None:
    """Return the norm of a threat that says no more than that; l0 tells no exact distances."""
    if threat is None:
        return None
    given = as_threat(threat)
    is_norm = given == ThreatModel(given.norm) and given.norm.name != "l0"
    return given.norm if is_norm else None


def _check_share(
    scorer: Scorer, linear: LogisticRegression, X: NDArray, y: NDArray, near: NDArray
) -> None:
    found, expected = _score(scorer, linear, X, y), float(np.mean(~near))
    law = "within the budget must count as misclassified"
    if found < expected:
        law = "beyond the budget must count as right"
    require(
        abs(found - expected) < 0.5 / len(X),
        f"A sample {law}; {near.sum()} of {len(X)} samples are closer to the boundary than eps, so "
        f"that the score is {expected}; got {found}.",
    )
    right = np.arange(len(y)) % 4 < 3
    partly = np.where(right, y, _CLASSES.sum() - y)
    found, expected = _score(scorer, linear, X, partly), float(np.mean(right & ~near))
    require(
        abs(found - expected) < 0.5 / len(X),
        f"All samples count, those that are wrong without an attack as misclassified; got {found} "
        f"in place of {expected}, where the label of every fourth row is wrong.",
    )


def _check_weights(scorer: Scorer, linear: LogisticRegression, X: NDArray, y: NDArray) -> None:
    number = np.arange(len(y))
    times = np.where(number % 4 < 2, 2, 1) * (number % 8 > 0)  # more of those within the budget
    copies = np.repeat(np.arange(len(y)), times)
    expected = _score(scorer, linear, X[copies], y[copies])
    weighted: Scorer = partial(
        cast(Callable[..., float], scorer), sample_weight=times.astype(float)
    )
    found = _score(weighted, linear, X, y)
    require(
        abs(found - expected) < 0.5 / len(copies),
        f"A row of weight 2 counts twice and one of weight 0 not at all; got {found} in place of "
        f"{expected}, the score of copies of the rows. Weigh the mean over rows.",
    )


def _check_side_effects(scorer: Scorer, linear: LogisticRegression, X: NDArray, y: NDArray) -> None:
    state = pickle.dumps(linear)
    with require_global_generators_kept("A scorer"):
        score, again = (_score(scorer, linear, X, y) for _ in range(2))
    require(pickle.dumps(linear) == state, "A scorer must leave the estimator as it was.")
    require(score == again, f"A scorer must repeat itself; got {score} and {again}.")
    turned = _score(scorer, linear, X[::-1], y[::-1])
    require(turned == score, f"The order of the rows must not count; got {score} and {turned}.")


def _score(scorer: Scorer, model: Classifier, X: NDArray, y: NDArray) -> float:
    """Return the score, a finite number, of copies that nothing was written into."""
    rows, labels = X.copy(), y.copy()
    score = as_number(scorer(model, rows, labels), "A scorer")
    require(np.isfinite(score), f"A scorer must return a finite number; got {score}.")
    for name, now, before in (("X", rows, X), ("y", labels, y)):
        require(
            np.array_equal(now, before), f"A scorer must leave {name} as it was; it wrote into it."
        )
    return score


def _linear_classifier() -> LogisticRegression:
    """Return a fitted linear classifier with weights that are known."""
    linear = LogisticRegression().fit(np.eye(len(_WEIGHTS)), _CLASSES[[0, 1, 0]])
    linear.coef_, linear.intercept_ = _WEIGHTS[None].copy(), np.zeros(1)
    return linear


def _rows(eps: float, norm: Norm, reach: float) -> tuple[NDArray, NDArray, NDArray]:
    """Return samples of both classes, and which of them are closer to the boundary than eps."""
    normal = np.random.RandomState(0).normal(size=(_N_SAMPLES, len(_WEIGHTS))) * eps
    dual = np.linalg.norm(_WEIGHTS, ord=norm.dual_order)
    number = np.arange(_N_SAMPLES)
    side, near = number % 2, number // 2 % 2 == 0
    value = np.where(side, 1, -1) * eps * np.where(near, 1 / reach, reach) * dual
    step = (value - normal @ _WEIGHTS) / (_WEIGHTS @ _WEIGHTS)
    return normal + step[:, None] * _WEIGHTS, _CLASSES[side], near


class _LabelsOnly(ClassifierMixin, BaseEstimator):
    """A classifier that tells labels and nothing else."""

    def __init__(self, inner: LogisticRegression) -> None:
        self.inner = inner
        self.classes_ = inner.classes_
        self.n_features_in_ = inner.n_features_in_

    def fit(self, X: ArrayLike, y: ArrayLike) -> _LabelsOnly:
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        labels: NDArray = self.inner.predict(X)
        return labels
