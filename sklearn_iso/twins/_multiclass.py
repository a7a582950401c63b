"""Twins of classifiers made of binary ones, one for each class or pair of classes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from sklearn.base import is_regressor
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from torch import Tensor, nn

from sklearn_iso.twins._one_vs_one import VOTES, PairVotes
from sklearn_iso.twins._registry import NotDifferentiableError, register, twin_of_step
from sklearn_iso.twins._responses import (
    decision,
    first_argmax,
    log_proba,
    uses_decision,
    with_winner,
)


class OneVsRest(nn.Module):
    """Confidences of binary classifiers, one for each class.

    Parameters
    ----------
    members : iterable of nn.Module
        Twins of the binary classifiers, each with two class scores.
    by_decision : bool
        Whether decision values are compared, and not probabilities.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._multiclass import OneVsRest
    >>> OneVsRest([torch.nn.Identity()] * 3, by_decision=True)(torch.tensor([[1.0, 3.0]]))
    tensor([[2., 2., 2.]])
    """

    def __init__(self, members: Iterable[nn.Module], by_decision: bool) -> None:
        super().__init__()
        self.members, self.by_decision = nn.ModuleList(members), by_decision

    def forward(self, X: Tensor) -> Tensor:
        """Return decision values, or log-probabilities before they are normalised."""
        if self.by_decision:
            return torch.cat([decision(member, X) for member in self.members], dim=1)
        logs = self._log_positive(X)
        # Confident members all round to probability 1: the first of them wins, as in argmax.
        return with_winner(logs, first_argmax(logs.detach().exp()))

    def log_proba(self, X: Tensor) -> Tensor:
        """Return the logarithm of the normalised probabilities."""
        logs = self._log_positive(X)
        return logs - logs.logsumexp(dim=1, keepdim=True)

    def _log_positive(self, X: Tensor) -> Tensor:
        return torch.cat([log_proba(member, X)[:, 1:] for member in self.members], dim=1)


class OneVsOne(nn.Module):
    """Closest pairs of binary classifiers, with the winner of their votes on top.

    Parameters
    ----------
    members : iterable of nn.Module
        Twins of the classifiers of all pairs; the second class of a pair is their positive one.
    n_classes : int
        3 or more.
    by_decision : bool
        Whether ties of votes are broken by decision values, and not by probabilities.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._multiclass import OneVsOne
    >>> twin = OneVsOne([torch.nn.Identity()] * 3, 3, by_decision=True)
    >>> twin(torch.tensor([[1.0, 3.0]]))
    tensor([[-2., -2.,  2.]])
    """

    surrogate = f"OneVsOneClassifier {VOTES}"

    def __init__(self, members: Iterable[nn.Module], n_classes: int, by_decision: bool) -> None:
        super().__init__()
        self.members, self.by_decision = nn.ModuleList(members), by_decision
        self.pairs = PairVotes(n_classes)

    def forward(self, X: Tensor) -> Tensor:
        """Return class scores."""
        # The first of a pair wins where the positive class, the second, does not.
        margins, ranking = self._margins(X)
        return self.pairs.scores(margins, ranking)

    def decision(self, X: Tensor) -> Tensor:
        """Return the votes plus squeezed confidences."""
        return self._margins(X)[1]

    def _margins(self, X: Tensor) -> tuple[Tensor, Tensor]:
        if self.by_decision:
            margins = confidences = torch.cat([decision(m, X) for m in self.members], dim=1)
        else:
            logs = torch.stack([log_proba(member, X) for member in self.members], dim=1)
            margins, confidences = logs[:, :, 1] - logs[:, :, 0], logs[:, :, 1].exp()
        votes = self.pairs.votes(margins <= 0)
        return -margins, self.pairs.tie_broken(votes, -confidences)


def _members(classifier: OneVsRestClassifier | OneVsOneClassifier) -> list[nn.Module]:
    """Return twins of the members, which must be classifiers: those of regressors are no scores."""
    named = [(f"estimators_[{place}]", one) for place, one in enumerate(classifier.estimators_)]
    for name, member in named:
        if is_regressor(member):
            raise NotDifferentiableError(member, (name,), "it is a regressor among classes")
    return [twin_of_step(name, member) for name, member in named]


@register(OneVsRestClassifier)
def _one_vs_rest(classifier: OneVsRestClassifier) -> nn.Module:
    if classifier.multilabel_:
        raise TypeError(
            "A multilabel OneVsRestClassifier has no twin: a twin returns scores of exclusive "
            "classes. Evaluate its estimators_ one by one."
        )
    members = _members(classifier)
    if len(members) == 1:
        return members[0]
    return OneVsRest(members, uses_decision(classifier.estimators_[0]))


@register(OneVsOneClassifier)
def _one_vs_one(classifier: OneVsOneClassifier) -> nn.Module:
    members = _members(classifier)
    if len(members) == 1:
        return members[0]
    by_decision = uses_decision(classifier.estimators_[0])
    return OneVsOne(members, len(classifier.classes_), by_decision)
