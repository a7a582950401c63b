"""Twins of calibrated and thresholded classifiers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._ensembles import AmongMore, Average
from sklearn_iso.twins._marginals import interpolate
from sklearn_iso.twins._registry import (
    NotDifferentiableError,
    hands_on,
    register,
    twin_of_step,
)
from sklearn_iso.twins._responses import decision, log_of, log_proba, uses_decision

logsigmoid = nn.functional.logsigmoid


class Sigmoids(nn.Module):
    """Log-probabilities by Platt's sigmoids of the responses, one for each class.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._calibration import Sigmoids
    >>> Sigmoids([-1.0], [0.0])(torch.tensor([[0.0]])).exp()
    tensor([[0.5000, 0.5000]])
    """

    slopes: Tensor
    offsets: Tensor

    def __init__(self, slopes: ArrayLike, offsets: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("slopes", constant(slopes))
        self.register_buffer("offsets", constant(offsets))

    def forward(self, responses: Tensor) -> Tensor:
        """Return log-probabilities of all classes."""
        logits = -(responses * self.slopes.to(responses) + self.offsets.to(responses))
        if logits.shape[1] == 1:
            return torch.cat([logsigmoid(-logits), logsigmoid(logits)], dim=1)
        logs = logsigmoid(logits)
        return logs - logs.logsumexp(dim=1, keepdim=True)


class Isotonic(nn.Module):
    """Log-probabilities by step-like isotonic regressions of the responses.

    Values are the estimator's; the gradient is that of each regression's chord.

    Parameters
    ----------
    knots, values : sequence of array-like
        One pair for each regression.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._calibration import Isotonic
    >>> Isotonic([[0.0, 1.0]], [[0.0, 0.5]])(torch.tensor([[0.5]])).exp()
    tensor([[0.7500, 0.2500]])
    """

    surrogate = (
        "isotonic calibration is flat almost everywhere; values are the estimator's, gradients "
        "are those of a straight line through it"
    )

    def __init__(self, knots: list[ArrayLike], values: list[ArrayLike]) -> None:
        super().__init__()
        self.n_columns = len(knots)
        for column, (inputs, outputs) in enumerate(zip(knots, values, strict=True)):
            self.register_buffer(f"knots_{column}", constant(inputs)[None])
            self.register_buffer(f"values_{column}", constant(outputs)[None])

    def forward(self, responses: Tensor) -> Tensor:
        """Return log-probabilities of all classes."""
        shares = [self._share(responses[:, column], column) for column in range(self.n_columns)]
        if self.n_columns == 1:
            return log_of(torch.stack([1 - shares[0], shares[0]], dim=1))
        joined = torch.stack(shares, dim=1)
        total = joined.detach().sum(dim=1, keepdim=True)
        # Without any share all classes are alike; the gradient is kept.
        none = total == 0
        joined = torch.where(none, joined - joined.detach() + 1 / self.n_columns, joined)
        return log_of(joined / joined.sum(dim=1, keepdim=True))

    def _share(self, response: Tensor, column: int) -> Tensor:
        knots = self.get_buffer(f"knots_{column}").to(response)
        values = self.get_buffer(f"values_{column}").to(response)
        exact = interpolate(response.detach()[None], knots, values, from_right=True)[0]
        width = knots[0, -1] - knots[0, 0]
        slope = (values[0, -1] - values[0, 0]) / torch.where(width == 0, 1, width)
        return exact + slope * (response - response.detach())


class Temperature(nn.Module):
    """Log-softmax of logits times an inverse temperature.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._calibration import Temperature
    >>> Temperature(2.0)(torch.tensor([[0.0]])).exp()
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = float(beta)

    def forward(self, responses: Tensor) -> Tensor:
        """Return log-probabilities of all classes."""
        if responses.shape[1] == 1:
            responses = torch.cat([-responses, responses], dim=1)
        return torch.log_softmax(self.beta * responses, dim=1)


class Calibrated(nn.Module):
    """A classifier's responses, calibrated.

    Parameters
    ----------
    classifier, calibrator : nn.Module
    response : {"decision", "proba", "log"}
        What the calibrator takes of the classifier.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._calibration import Calibrated, Temperature
    >>> Calibrated(torch.nn.Identity(), Temperature(1.0), "log")(torch.zeros(1, 2)).exp()
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, classifier: nn.Module, calibrator: nn.Module, response: str) -> None:
        super().__init__()
        self.classifier, self.calibrator, self.response = classifier, calibrator, response

    def forward(self, X: Tensor) -> Tensor:
        """Return log-probabilities of all classes."""
        if self.response == "decision":
            return self.calibrator(decision(self.classifier, X))
        probabilities = log_proba(self.classifier, X).exp()
        if probabilities.shape[1] == 2:
            probabilities = probabilities[:, 1:]
        if self.response == "proba":
            return self.calibrator(probabilities)
        if probabilities.shape[1] == 1:
            probabilities = torch.cat([1 - probabilities, probabilities], dim=1)
        return self.calibrator(log_of(probabilities))


hands_on(CalibratedClassifierCV)


@register(CalibratedClassifierCV)
def _calibrated_cv(calibrated: CalibratedClassifierCV) -> nn.Module:
    members = [
        _calibrated(member, position)
        for position, member in enumerate(calibrated.calibrated_classifiers_)
    ]
    return Average(members, [1.0] * len(members))


def _calibrated(member: BaseEstimator, position: int) -> nn.Module:
    twin = twin_of_step(f"calibrated_classifiers_[{position}]", member.estimator)
    response = "decision" if uses_decision(member.estimator) else "proba"
    if response == "proba" and member.method == "temperature":
        response = "log"
    calibrated = Calibrated(twin, _calibrator(member), response)
    known = member.estimator.classes_
    if len(known) == len(member.classes):
        return calibrated
    if len(known) == 2:
        reason = "a fold of its cross-validation lacks classes; use stratified folds"
        raise NotDifferentiableError(member.estimator, reason=reason)
    columns = np.searchsorted(member.classes, known)
    return AmongMore(calibrated, columns.tolist(), len(member.classes))


def _calibrator(member: BaseEstimator) -> nn.Module:
    fitted = member.calibrators
    if member.method == "sigmoid":
        return Sigmoids([c.a_ for c in fitted], [c.b_ for c in fitted])
    if member.method == "isotonic":
        return Isotonic([c.X_thresholds_ for c in fitted], [c.y_thresholds_ for c in fitted])
    return Temperature(fitted[0].beta_)
