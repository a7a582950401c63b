"""Twins of support vector classifiers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.svm import SVC, NuSVC
from torch import Tensor, nn

from sklearn_iso.twins._affine import Linear, TwoLogits, constant
from sklearn_iso.twins._kernels import Kernel
from sklearn_iso.twins._one_vs_one import VOTES, PairVotes
from sklearn_iso.twins._registry import NotDifferentiableError, register
from sklearn_iso.twins._responses import log_of

KERNELS_OF_LIBSVM = ("linear", "poly", "rbf", "sigmoid")


class Platt(nn.Module):
    """Log-probabilities of classes from the margins of pairs, as libsvm couples them.

    The minimum of Wu, Lin and Weng's quadratic form, in closed form where libsvm iterates.

    Parameters
    ----------
    slopes, offsets : array-like of shape (n_classes * (n_classes - 1) / 2,)
        The first of a pair has probability ``1 / (1 + exp(slope * margin + offset))``.

    References
    ----------
    Wu, Lin and Weng, Probability Estimates for Multi-class Classification by Pairwise
    Coupling, JMLR 5, 2004.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._support_vectors import Platt
    >>> Platt(2, [-1.0], [0.0])(torch.tensor([[0.0]])).exp()
    tensor([[0.5000, 0.5000]])
    """

    slopes: Tensor
    offsets: Tensor
    surrogate = (
        "libsvm couples Platt's probabilities to a tolerance of 0.005 / n_classes, the twin exactly"
    )

    def __init__(self, n_classes: int, slopes: ArrayLike, offsets: ArrayLike) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.register_buffer("slopes", constant(slopes))
        self.register_buffer("offsets", constant(offsets))

    def forward(self, margins: Tensor) -> Tensor:
        """Return log-probabilities of shape (n, n_classes)."""
        beats = torch.sigmoid(-(margins * self.slopes.to(margins) + self.offsets.to(margins)))
        beats = beats.clamp(1e-7, 1 - 1e-7)
        if self.n_classes == 2:
            return torch.cat([beats, 1 - beats], dim=1).log()
        first, second = np.triu_indices(self.n_classes, 1)
        wins = margins.new_zeros(len(margins), self.n_classes, self.n_classes)
        wins[:, first, second] = beats
        wins[:, second, first] = 1 - beats
        return log_of(self._couple(wins.to(torch.float64)).to(margins.dtype))

    def _couple(self, wins: Tensor) -> Tensor:
        # Minimise p'Qp with sum p = 1; the solution is known to be non-negative.
        Q = torch.diag_embed(wins.square().sum(dim=1)) - wins * wins.transpose(1, 2)
        solution = torch.linalg.solve(Q, torch.ones_like(Q[:, :, :1]))[:, :, 0]
        return solution / solution.sum(dim=1, keepdim=True)


class SupportVectors(nn.Module):
    """Margins of all pairs and what scikit-learn makes of them.

    With two classes the scores are (0, decision function). With more, the classifier predicts
    by votes, which are flat: a class's score is then its closest pair, and the class that wins
    the votes, by libsvm's rule for ties or by ``break_ties``, is lifted to the top.

    Parameters
    ----------
    margins : nn.Module
        Maps X to the margins of the pairs, positive where the first class of a pair wins.
    n_classes : int
    break_ties : bool
    platt : Platt or None

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._support_vectors import SupportVectors
    >>> SupportVectors(torch.nn.Identity(), 2, False)(torch.tensor([[-3.0]]))
    tensor([[0., 3.]])
    """

    def __init__(
        self, margins: nn.Module, n_classes: int, break_ties: bool, platt: Platt | None = None
    ) -> None:
        super().__init__()
        self.margins, self.platt = margins, platt
        self.pairs = PairVotes(n_classes) if n_classes > 2 else None
        self.break_ties = break_ties
        self.surrogate = f"SVC {VOTES}" if n_classes > 2 else None

    def forward(self, X: Tensor) -> Tensor:
        """Return class scores."""
        margins = self.margins(X)
        if self.pairs is None:
            return TwoLogits()(-margins)
        if self.break_ties:
            ranking = self.pairs.tie_broken(self.pairs.votes(margins >= 0), margins)
        else:
            ranking = self.pairs.votes(margins > 0)
        return self.pairs.scores(margins, ranking)

    def decision(self, X: Tensor) -> Tensor:
        """Return decision_function of shape "ovr"."""
        margins = self.margins(X)
        if self.pairs is None:
            return -margins
        return self.pairs.tie_broken(self.pairs.votes(margins >= 0), margins)

    def log_proba(self, X: Tensor) -> Tensor:
        """Return the logarithm of Platt's probabilities, or of the softmax where it has none."""
        if self.platt is None:
            return torch.log_softmax(self(X), dim=1)
        return self.platt(self.margins(X))


@register(SVC)
@register(NuSVC)
def _support_vectors(classifier: BaseEstimator) -> nn.Module:
    if classifier.kernel not in KERNELS_OF_LIBSVM:
        reason = f"kernel={classifier.kernel!r} has no torch form; use one of {KERNELS_OF_LIBSVM}"
        raise NotDifferentiableError(classifier, reason=reason)
    coef, intercept = _coefficients(classifier)
    points = classifier.support_vectors_
    points = points.toarray() if hasattr(points, "toarray") else points
    if classifier.kernel == "linear":
        margins: nn.Module = Linear(points.T @ coef, intercept)
    else:
        margins = Kernel(
            points,
            coef,
            intercept,
            classifier.kernel,
            gamma=classifier._gamma,
            coef0=classifier.coef0,
            degree=classifier.degree,
        )
    n_classes = len(classifier.classes_)
    platt = None
    if classifier.probability and classifier._probA.size:
        platt = Platt(n_classes, classifier._probA, classifier._probB)
    return SupportVectors(margins, n_classes, classifier.break_ties, platt)


def _coefficients(classifier: BaseEstimator) -> tuple[NDArray, NDArray]:
    """Return coefficients of shape (n_support, n_margins) and intercepts, as libsvm keeps them."""
    dual, intercept = classifier.dual_coef_, classifier.intercept_
    dual = dual.toarray() if hasattr(dual, "toarray") else np.asarray(dual)
    if len(classifier.classes_) == 2:
        # scikit-learn flips the sign of two classes.
        return -dual.T, -intercept
    owner = np.repeat(np.arange(len(classifier.n_support_)), classifier.n_support_)
    first, second = np.triu_indices(len(classifier.classes_), 1)
    coef = np.zeros((dual.shape[1], len(first)))
    for pair, (one, other) in enumerate(zip(first, second, strict=True)):
        coef[owner == one, pair] = dual[other - 1, owner == one]
        coef[owner == other, pair] = dual[one, owner == other]
    return coef, intercept
