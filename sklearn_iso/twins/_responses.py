"""What meta-estimators ask of a classifier's twin besides its scores.

A twin may have methods ``log_proba(X)``, the logarithm of ``predict_proba``, and ``decision(X)``,
``decision_function`` with two dimensions. Without them the scores are logits.
"""

from __future__ import annotations

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

# Probabilities of exactly 0 have no logarithm; a shift below the tolerance of every comparison
# also bounds its gradient.
SMALLEST_PROBABILITY = 1e-12


def log_proba(twin: nn.Module, X: Tensor) -> Tensor:
    """Return log-probabilities of shape (n, n_classes).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._responses import log_proba
    >>> log_proba(torch.nn.Identity(), torch.zeros(1, 2)).exp()
    tensor([[0.5000, 0.5000]])
    """
    own = getattr(twin, "log_proba", None)
    return torch.log_softmax(twin(X), dim=1) if own is None else own(X)


def decision(twin: nn.Module, X: Tensor) -> Tensor:
    """Return decision values of shape (n, n_classes), or (n, 1) for two classes.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._responses import decision
    >>> decision(torch.nn.Identity(), torch.tensor([[1.0, 4.0]]))
    tensor([[3.]])
    """
    own = getattr(twin, "decision", None)
    if own is not None:
        return own(X)
    scores = twin(X)
    return scores[:, 1:] - scores[:, :1] if scores.shape[1] == 2 else scores


def log_of(probabilities: Tensor) -> Tensor:
    """Return a logarithm that is finite, with a finite gradient, also at 0.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._responses import log_of
    >>> log_of(torch.tensor([1.0]))
    tensor([0.])
    """
    return (probabilities + SMALLEST_PROBABILITY).log()


def first_argmax(votes: Tensor) -> Tensor:
    """Return the column of the largest of whole numbers, the first of equals.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._responses import first_argmax
    >>> first_argmax(torch.tensor([[1.0, 2.0, 2.0]]))
    tensor([1])
    """
    largest = votes == votes.amax(dim=1, keepdim=True)
    # argmax promises no order among equals; the order of the columns makes it one.
    order = torch.arange(votes.shape[1], 0, -1, device=votes.device)
    return (largest * order).argmax(dim=1)


def with_winner(scores: Tensor, winner: Tensor) -> Tensor:
    """Return scores whose argmax is the winner, lifted just above the others where it is not.

    The lift is a constant: gradients are those of the scores.

    Parameters
    ----------
    scores : Tensor of shape (n, n_classes)
    winner : Tensor of shape (n,)

    Returns
    -------
    Tensor of shape (n, n_classes)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._responses import with_winner
    >>> with_winner(torch.tensor([[0.0, 1.0]]), torch.tensor([0])).argmax(dim=1)
    tensor([0])
    """
    with torch.no_grad():
        own = scores.gather(1, winner[:, None])
        rivals = scores.scatter(1, winner[:, None], -torch.inf).amax(dim=1, keepdim=True)
        above = 16 * torch.finfo(scores.dtype).eps * (1 + rivals.abs() + own.abs())
        lift = torch.where(own > rivals, 0, rivals - own + above)
        lifts = torch.zeros_like(scores).scatter(1, winner[:, None], lift)
    return scores + lifts


class Chain(nn.Sequential):
    """Twins of transformers and of a last estimator, which answers for the whole.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._responses import Chain
    >>> Chain(torch.nn.ReLU(), torch.nn.Identity()).decision(torch.tensor([[-1.0, 4.0]]))
    tensor([[4.]])
    """

    def _before_last(self, X: Tensor) -> Tensor:
        for twin in list(self)[:-1]:
            X = twin(X)
        return X

    def log_proba(self, X: Tensor) -> Tensor:
        """Return the log-probabilities of the last estimator."""
        return log_proba(self[-1], self._before_last(X)) if len(self) else X

    def decision(self, X: Tensor) -> Tensor:
        """Return the decision values of the last estimator."""
        return decision(self[-1], self._before_last(X)) if len(self) else X


def uses_decision(estimator: BaseEstimator) -> bool:
    """Tell whether meta-estimators read decision_function and not predict_proba.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.twins._responses import uses_decision
    >>> uses_decision(GaussianNB())
    False
    """
    return hasattr(estimator, "decision_function")
