"""Twins of classifiers that average or count the votes of others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from torch import Tensor, nn

from sklearn_iso.twins._columns import Columns
from sklearn_iso.twins._registry import hands_on, register, twin_of_step
from sklearn_iso.twins._responses import Chain, first_argmax, log_proba, with_winner

# The logarithm of a probability that is 0 in every dtype, and yet finite.
NEVER = -1e4


class Average(nn.Module):
    """Logarithm of the weighted mean of the members' probabilities.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._ensembles import Average
    >>> Average([torch.nn.Identity()], [2.0])(torch.zeros(1, 2)).exp()
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, members: Iterable[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        kept = [(twin, float(w)) for twin, w in zip(members, weights, strict=True) if w]
        self.members = nn.ModuleList(twin for twin, _ in kept)
        self.weights = [weight for _, weight in kept]

    def forward(self, X: Tensor) -> Tensor:
        """Return log-probabilities."""
        total = math.fsum(self.weights)
        logs = [
            log_proba(twin, X) + math.log(weight / total)
            for twin, weight in zip(self.members, self.weights, strict=True)
        ]
        return torch.stack(logs).logsumexp(dim=0)


class Majority(Average):
    """The scores of the average, with the winner of the members' weighted votes on top.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._ensembles import Majority
    >>> member = torch.nn.Identity()
    >>> Majority([member, member], [1, 1])(torch.tensor([[1.0, 0.0]])).argmax(dim=1)
    tensor([0])
    """

    surrogate = (
        "an ensemble predicts by its members' votes, which have no gradient; scores are their "
        "mean probabilities, with the estimator's predictions"
    )

    def forward(self, X: Tensor) -> Tensor:
        """Return class scores."""
        scores = super().forward(X)
        votes = torch.zeros_like(scores)
        with torch.no_grad():
            for twin, weight in zip(self.members, self.weights, strict=True):
                winner = twin(X).argmax(dim=1, keepdim=True)
                votes.scatter_add_(1, winner, torch.full_like(votes[:, :1], weight))
        return with_winner(scores, first_argmax(votes))


class AmongMore(nn.Module):
    """Scores of a member that knows some of the classes; the others are never predicted.

    Parameters
    ----------
    member : nn.Module
    columns : sequence of int
        Where the member's classes are among all.
    n_classes : int

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._ensembles import AmongMore
    >>> AmongMore(torch.nn.Identity(), [0, 2], 3)(torch.zeros(1, 2)).exp()
    tensor([[0.5000, 0.0000, 0.5000]])
    """

    columns: Tensor

    def __init__(self, member: nn.Module, columns: Sequence[int], n_classes: int) -> None:
        super().__init__()
        self.member, self.n_classes = member, n_classes
        self.register_buffer("columns", torch.from_numpy(np.array(columns, dtype=np.int64)))

    def forward(self, X: Tensor) -> Tensor:
        """Return log-probabilities of all classes."""
        known = log_proba(self.member, X)
        every = known.new_full((X.shape[0], self.n_classes), NEVER)
        return every.index_copy(1, self.columns, known)

    log_proba = forward


hands_on(VotingClassifier)


@register(VotingClassifier)
def _voting(voting: VotingClassifier) -> nn.Module:
    named = [(name, step) for name, step in voting.named_estimators_.items() if step != "drop"]
    members = [twin_of_step(name, member) for name, member in named]
    weights = voting._weights_not_none or [1.0] * len(members)
    return (Average if voting.voting == "soft" else Majority)(members, weights)


@register(BaggingClassifier)
def _bagging(bagging: BaggingClassifier) -> nn.Module:
    members: list[nn.Module] = []
    pairs = zip(bagging.estimators_, bagging.estimators_features_, strict=True)
    for position, (estimator, features) in enumerate(pairs):
        member: nn.Module = twin_of_step(f"estimators_[{position}]", estimator)
        # Members are fitted on the positions of the classes.
        if len(estimator.classes_) < bagging.n_classes_:
            member = AmongMore(member, estimator.classes_, bagging.n_classes_)
        members.append(Chain(Columns(features), member))
    averages = hasattr(bagging.estimators_[0], "predict_proba")
    return (Average if averages else Majority)(members, [1.0] * len(members))
