"""Twins of skorch classifiers: their module, with scores whatever it outputs."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from sklearn.exceptions import NotFittedError
from skorch import (
    NeuralNet,
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from torch import Tensor, nn

from sklearn_iso.twins._affine import TwoLogits
from sklearn_iso.twins._registry import InOwnDtype, NotDifferentiableError, register
from sklearn_iso.twins._responses import Chain, log_of


class LogOf(nn.Module):
    """Logarithm of probabilities, which a function may first make of the output.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._skorch_nets import LogOf
    >>> LogOf()(torch.tensor([[1.0]]))
    tensor([[0.]])
    """

    def __init__(self, probabilities: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.probabilities = probabilities

    def forward(self, output: Tensor) -> Tensor:
        """Return the scores."""
        return log_of(output if self.probabilities is None else self.probabilities(output))


class BinaryLogits(nn.Module):
    """One logit, of shape (n,) or (n, 1), as two scores that part at a threshold.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._skorch_nets import BinaryLogits
    >>> BinaryLogits(0.5)(torch.tensor([3.0]))
    tensor([[0., 3.]])
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.shift = math.log(threshold / (1 - threshold))

    def forward(self, logit: Tensor) -> Tensor:
        """Return scores of shape (n, 2)."""
        return TwoLogits()(logit.reshape(-1, 1) - self.shift)

    def log_proba(self, logit: Tensor) -> Tensor:
        """Return log-probabilities, which know no threshold."""
        return torch.log_softmax(TwoLogits()(logit.reshape(-1, 1)), dim=1)


@register(NeuralNetClassifier)
def _classifier(net: NeuralNetClassifier) -> nn.Module:
    module, criterion = _parts(net)
    nonlinearity = net.predict_nonlinearity
    if callable(nonlinearity):
        return Chain(module, LogOf(nonlinearity))
    # skorch's NLLLoss takes the logarithm of a module's probabilities by itself.
    if nonlinearity == "auto" and isinstance(criterion, nn.NLLLoss):
        return Chain(module, LogOf())
    return module


@register(NeuralNetBinaryClassifier)
def _binary_classifier(net: NeuralNetBinaryClassifier) -> nn.Module:
    module, criterion = _parts(net)
    if net.predict_nonlinearity != "auto" or not isinstance(criterion, nn.BCEWithLogitsLoss):
        reason = (
            "its module must return logits: use BCEWithLogitsLoss and predict_nonlinearity='auto'"
        )
        raise NotDifferentiableError(net, reason=reason)
    return Chain(module, BinaryLogits(net.threshold))


@register(NeuralNetRegressor)
def _regressor(net: NeuralNetRegressor) -> nn.Module:
    module, _ = _parts(net)
    if callable(net.predict_nonlinearity):
        reason = "predict_nonlinearity is a function of its own; let the module return predictions"
        raise NotDifferentiableError(net, reason=reason)
    return module


def _parts(net: NeuralNet) -> tuple[nn.Module, nn.Module]:
    if not net.initialized_:
        raise NotFittedError(
            f"This {type(net).__name__} is not initialized. Call fit or initialize first."
        )
    # A copy without hooks of skorch's own, on the CPU as the data of scikit-learn is.
    module = copy.deepcopy(net.module_).cpu()
    return InOwnDtype(module), getattr(net.criterion_, "_orig_mod", net.criterion_)
