"""Scorers of what is left under attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import get_scorer, get_scorer_names

from sklearn_iso._threat import Threat, as_threat, check_eps
from sklearn_iso._typed import validate_params
from sklearn_iso.attacks import as_attack
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.metrics._adversarial import (
    PROCEDURE_CONSTRAINTS,
    adversarial_accuracy,
    no_loss_of,
)
from sklearn_iso.metrics._adversarial_error import adversarial_error
from sklearn_iso.metrics._adversarial_examples import adversarial_examples
from sklearn_iso.metrics._outputs import by_output
from sklearn_iso.metrics._regression_problem import LossLike, SampleLoss
from sklearn_iso.metrics._routing import WeightedScorer, takes_weights
from sklearn_iso.metrics._weights import weighted
from sklearn_iso.modules._ambient import gradients_on

MetricLike = str | Callable[..., float]


@dataclass(frozen=True, repr=False)
class AdversarialScorer(WeightedScorer):
    """Callable ``(estimator, X, y, sample_weight=None)`` of what is left under attack.

    Greater is better: the adversarial accuracy of classifiers, minus the adversarial error of
    regressors, or a scorer of scikit-learn on samples under attack. Made by
    :func:`make_adversarial_scorer`.

    Examples
    --------
    >>> from sklearn_iso.metrics._adversarial_scorer import AdversarialScorer
    >>> AdversarialScorer(eps=0.1, attack="fgsm").attack
    'fgsm'
    """

    eps: float
    threat: Threat = "linf"
    attack: AttackLike = "auto"
    random_state: Any = 0
    loss: LossLike | None = None
    metric: MetricLike | None = None

    def __repr__(self) -> str:
        """Return the parameters, and the loss and metric where there are some."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        silent = {name for name in ("loss", "metric") if values[name] is None}
        told = (f"{name}={v!r}" for name, v in values.items() if name not in silent)
        return f"{type(self).__name__}({', '.join(told)})"

    @gradients_on()
    def __call__(
        self, estimator: Any, X: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the score under attack of a fitted estimator on X and y."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        loss, metric = options.pop("loss"), options.pop("metric")
        if loss is not None and not is_regressor(estimator):
            raise TypeError(no_loss_of(estimator, loss))
        if metric == "accuracy" and is_classifier(estimator):
            metric = None  # the same figure, which asks for nothing but labels
        if metric is not None:
            return _scored(metric, estimator, X, y, sample_weight, loss=loss, **options)
        options["sample_weight"] = sample_weight
        if is_regressor(estimator):
            return -adversarial_error(estimator, X, y, loss=loss or "absolute_error", **options)
        return adversarial_accuracy(estimator, X, y, **options)

    def _accept_sample_weight(self) -> bool:
        return self.metric is None or takes_weights(_scorer_of(self.metric))


def _scorer_of(metric: MetricLike) -> Callable[..., float]:
    """Return the scorer of a name, which may lack the prefix of what is better if smaller.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not isinstance(metric, str):
        if not callable(metric) or isinstance(metric, type):
            raise ValueError(
                f"metric must be the name of a scorer or a callable (estimator, X, y); got "
                f"{metric!r}."
            )
        return metric
    known = get_scorer_names()
    for name in (metric, f"neg_{metric}"):
        if name in known:
            return get_scorer(name)
    raise ValueError(
        f"metric must be the name of a scorer of scikit-learn, such as 'log_loss' or 'roc_auc', or "
        f"a callable (estimator, X, y); got {metric!r}. sklearn.metrics.get_scorer_names() has all."
    )


def _scored(
    metric: MetricLike, estimator: Any, X: Any, y: Any, sample_weight: Any, **options: Any
) -> float:
    """Return the score on samples under attack; of several outputs of a classifier the mean."""
    outputs = by_output(estimator, y)
    if outputs is not None:
        each = [
            _scored(metric, one, X, labels, sample_weight, **options) for one, labels in outputs
        ]
        return float(np.mean(each))
    scorer = _scorer_of(metric)
    if sample_weight is not None and not takes_weights(scorer):
        raise ValueError(
            f"sample_weight must be left out for a metric that takes none; got metric={metric!r}."
        )
    weight, X, y = weighted(sample_weight, X, y)
    X_adv = adversarial_examples(estimator, X, y, **options)
    return float(
        scorer(estimator, X_adv, y, **({} if weight is None else {"sample_weight": weight}))
    )


@validate_params(PROCEDURE_CONSTRAINTS, prefer_skip_nested_validation=False)
def make_adversarial_scorer(
    *,
    eps: float,
    threat: Threat = "linf",
    attack: AttackLike = "auto",
    random_state: Any = 0,
    loss: LossLike | None = None,
    metric: MetricLike | None = None,
) -> AdversarialScorer:
    """Return a scorer of what is left under attack, for cross-validation and searches.

    Of a classifier it is the accuracy under attack. Of a regressor it is minus the error under
    attack, so that greater is better there, too. With a metric it is that of scikit-learn on
    :func:`adversarial_examples`. Of a classifier of several outputs it is the mean over them, each
    attacked on its own.

    Parameters
    ----------
    eps : float
        Budget, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`: the norm, units of the
        features (without them those of X), bounds, what stays, and categories.
    attack : str, Attack or callable, default="auto"
        "auto" is the evaluation of :func:`adversarial_accuracy`: one attack after the other, by
        scores or labels where there are no gradients. An attack of :mod:`sklearn_iso.attacks`,
        its name, such as "pgd", or a callable ``(logits, X, y, *, eps, threat)`` runs alone.
    random_state : int, RandomState or None, default=0
        Draws starting points and random steps. A fixed one attacks every candidate of a search
        from the same starting points; None takes fresh entropy.
    loss : {"absolute_error", "squared_error"} or callable, optional
        Loss of a regressor; a callable takes y_true and y_pred and returns one number for each
        sample. None is "absolute_error". A scorer with a loss refuses classifiers.
    metric : str or callable, optional
        The name of any scorer of scikit-learn, such as "neg_log_loss", "roc_auc", "f1_macro" or
        "r2", or a callable ``(estimator, X, y, sample_weight=None)``. Greater is better, and the
        prefix ``"neg_"`` may be left out: "log_loss" is minus the log loss. The attack breaks as
        many samples as it can and then lowers the score of the true class of each, or raises the
        losses of a regressor: it makes log loss, accuracy and errors as bad as it finds. Of a
        metric that compares samples, such as "roc_auc", worse may exist.

    Returns
    -------
    AdversarialScorer
        Picklable callable ``(estimator, X, y, sample_weight=None) -> float``; greater is
        better. Searches pass it the weights of their ``fit``, under metadata routing after
        ``scorer.set_score_request(sample_weight=True)``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn_iso.metrics import make_adversarial_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> scoring = {"clean": "accuracy", "robust": make_adversarial_scorer(eps=0.2)}
    >>> scores = cross_validate(LogisticRegression(max_iter=500), X, y, scoring=scoring)
    >>> bool((scores["test_robust"] <= scores["test_clean"]).all())
    True

    Any metric of scikit-learn, as a dict for several:

    >>> metrics = {name: make_adversarial_scorer(eps=0.2, metric=name)
    ...            for name in ("log_loss", "f1_macro")}
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> {name: round(metric(model, X, y), 2) for name, metric in metrics.items()}
    {'log_loss': -0.32, 'f1_macro': 0.87}

    Of a regressor, minus the worst squared errors:

    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> X, y = load_diabetes(return_X_y=True)
    >>> scorer = make_adversarial_scorer(eps=0.01, threat="l2", loss="squared_error")
    >>> round(scorer(Ridge().fit(X, y), X, y))
    -3767
    """
    if loss is not None:
        SampleLoss(loss)
    if metric is not None:
        _scorer_of(metric)
    return AdversarialScorer(
        loss=loss,
        metric=metric,
        eps=check_eps(eps),
        threat=as_threat(threat),
        attack=as_attack(attack),
        random_state=random_state,
    )
