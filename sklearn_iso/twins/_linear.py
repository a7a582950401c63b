"""Twins of classifiers that are linear in X."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn import linear_model
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from sklearn_iso.twins._affine import Linear, TwoLogits
from sklearn_iso.twins._clipping import clipped
from sklearn_iso.twins._registry import register
from sklearn_iso.twins._responses import log_of


class OneAgainstRest(nn.Module):
    """Linear scores of three classes and more, whose probabilities are normalised sigmoids.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._linear import OneAgainstRest
    >>> scores = OneAgainstRest([[0.0, 0.0, 0.0]], [0.0, 0.0, 0.0])
    >>> scores.log_proba(torch.ones(1, 1)).exp()
    tensor([[0.3333, 0.3333, 0.3333]])
    """

    def __init__(self, coef: ArrayLike, intercept: ArrayLike) -> None:
        super().__init__()
        self.scores = Linear(coef, intercept)

    def forward(self, X: Tensor) -> Tensor:
        """Return the scores."""
        return self.scores(X)

    def log_proba(self, X: Tensor) -> Tensor:
        """Return the logarithms of the normalised sigmoids."""
        sigmoids = nn.functional.logsigmoid(self.scores(X))
        return sigmoids - sigmoids.logsumexp(dim=1, keepdim=True)


class ModifiedHuber(nn.Module):
    """Linear logits whose probabilities are those of the modified Huber loss.

    Parameters
    ----------
    scores : nn.Module
        Maps X to one score for each class, and to one score for two classes.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._linear import ModifiedHuber
    >>> ModifiedHuber(torch.nn.Identity()).log_proba(torch.tensor([[0.5]])).exp()
    tensor([[0.2500, 0.7500]])
    """

    def __init__(self, scores: nn.Module) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, X: Tensor) -> Tensor:
        """Return the logits."""
        scores = self.scores(X)
        return TwoLogits()(scores) if scores.shape[1] == 1 else scores

    def log_proba(self, X: Tensor) -> Tensor:
        """Return the logarithms of the probabilities."""
        shares = (clipped(self.scores(X), -1, 1) + 1) / 2
        if shares.shape[1] == 1:
            return log_of(torch.cat([1 - shares, shares], dim=1))
        total = shares.sum(dim=1, keepdim=True)
        uniform = torch.full_like(shares, 1 / shares.shape[1])
        return log_of(torch.where(total > 0, shares / torch.where(total > 0, total, 1), uniform))


def _linear(classifier: BaseEstimator) -> nn.Module:
    _check_one_label(classifier)
    scores = Linear(np.atleast_2d(classifier.coef_).T, classifier.intercept_)
    return nn.Sequential(scores, TwoLogits()) if len(classifier.classes_) == 2 else scores


def _check_one_label(classifier: BaseEstimator) -> None:
    binarizer = getattr(classifier, "_label_binarizer", None)
    if binarizer is not None and binarizer.y_type_.startswith("multilabel"):
        raise TypeError(
            f"A multilabel {type(classifier).__name__} has no twin: a twin returns scores of "
            "exclusive classes. Fit one classifier for each label."
        )


@register(LogisticRegression)
def _logistic_regression(classifier: LogisticRegression) -> nn.Module:
    if classifier.solver == "liblinear" and len(classifier.classes_) > 2:
        return OneAgainstRest(classifier.coef_.T, classifier.intercept_)
    return _linear(classifier)


@register(SGDClassifier)
def _sgd(classifier: SGDClassifier) -> nn.Module:
    if classifier.loss == "modified_huber":
        return ModifiedHuber(Linear(classifier.coef_.T, classifier.intercept_))
    if classifier.loss == "log_loss" and len(classifier.classes_) > 2:
        return OneAgainstRest(classifier.coef_.T, classifier.intercept_)
    return _linear(classifier)


for _kind in (LinearDiscriminantAnalysis, LinearSVC, Perceptron, RidgeClassifier):
    register(_kind)(_linear)
register(RidgeClassifierCV)(_linear)
if hasattr(linear_model, "PassiveAggressiveClassifier"):  # deprecated in scikit-learn 1.8
    register(linear_model.PassiveAggressiveClassifier)(_linear)


@register(MultinomialNB)
def _multinomial(classifier: MultinomialNB) -> nn.Module:
    return Linear(classifier.feature_log_prob_.T, classifier.class_log_prior_)


@register(ComplementNB)
def _complement(classifier: ComplementNB) -> nn.Module:
    return Linear(classifier.feature_log_prob_.T, 0.0)
