"""A function of numbers as a classifier: whether its outputs are farther than a tolerance away."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_iso.attacks._attack import NO_ANSWER, AttackState, MinimumNormAttack
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._categories import Categories
from sklearn_iso.attacks._objective import Logits


@dataclass(frozen=True)
class Deviations:
    r"""Class 0 where all outputs are near references, the others where one is above or below.

    .. math:: z = \bigl(0, \; (f - r) / t - 1, \; (r - f) / t - 1 \bigr)

    What a class is depends on the sample, so that samples carry their references along as
    features that stay: every minimum-norm attack then finds the least perturbation that moves an
    output by more than the tolerance t.

    Parameters
    ----------
    outputs : callable
        Maps points of shape (n, ...) to outputs of shape (n, n_outputs).
    shape : tuple of int
        Of a sample.
    tolerance : float

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import FMN, Budget
    >>> from sklearn_iso.attacks._deviations import Deviations
    >>> X, references = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [6.0]])
    >>> deviations = Deviations(lambda x: 2 * x, shape=(1,), tolerance=1.0)
    >>> budget, generator = Budget.of(X), torch.Generator()
    >>> found = deviations.closest(FMN(), X, references, budget, generator)
    >>> (found - X).abs().round(decimals=2)
    tensor([[0.5000],
            [0.5000]])
    """

    outputs: Logits
    shape: tuple[int, ...]
    tolerance: float

    def moved(self, joined: Tensor) -> Tensor:
        """Deviations of the outputs from the references, in tolerances."""
        n_features = joined.shape[1] - self._n_outputs(joined)
        x = joined[:, :n_features].reshape(-1, *self.shape)
        references = joined[:, n_features:]
        return (self.outputs(x).to(references) - references) / self.tolerance

    def _n_outputs(self, joined: Tensor) -> int:
        return joined.shape[1] - int(torch.Size(self.shape).numel())

    def logits(self, joined: Tensor) -> Tensor:
        """Scores of shape (n, 1 + 2 n_outputs)."""
        moved = self.moved(joined)
        return torch.cat([torch.zeros_like(moved[:, :1]), moved - 1, -moved - 1], dim=1)

    @torch.no_grad()
    def labels(self, joined: Tensor) -> Tensor:
        """Labels of shape (n,): 1 where an output deviates, `NO_ANSWER` where one is NaN."""
        moved = self.moved(joined)
        beyond = (moved.abs() > 1).any(dim=1).long()
        return torch.where(moved.isnan().any(dim=1), NO_ANSWER, beyond)

    def closest(
        self,
        attack: MinimumNormAttack,
        X: Tensor,
        references: Tensor,
        budget: Budget,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the closest deviating points found; X itself where there are none.

        Parameters
        ----------
        attack : MinimumNormAttack
        X : Tensor of shape (n, ...)
            Of no sample does an output deviate already.
        references : Tensor of shape (n, n_outputs)
        budget : Budget
            Around X.
        generator : torch.Generator
        """
        joined = torch.cat([X.flatten(1), references.to(X)], dim=1)
        answer = self.labels if attack.asks == "labels" else self.logits
        within = torch.zeros(len(X), dtype=torch.long, device=X.device)
        state = AttackState(answer, joined, within, attack.batch_size)
        attack.run(state, carrying(budget, X, references.shape[1]), generator)
        return state.X_adv[:, : -references.shape[1]].reshape(X.shape)


def carrying(budget: Budget, X: Tensor, n_more: int) -> Budget:
    """Return a budget for flattened samples with some more features, which stay.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import Budget
    >>> from sklearn_iso.attacks._deviations import carrying
    >>> X = torch.zeros(2, 3)
    >>> carrying(Budget.of(X, eps=0.5), X, 1).eps
    tensor([0.5000, 0.5000, 0.5000, 0.0000])
    """

    def joined(values: Tensor, more: float) -> Tensor:
        flat = values.expand(X.shape[1:]).reshape(-1)
        return torch.cat([flat, flat.new_full((n_more,), more)])

    box, categories = budget.box, budget.categories
    if box is not None:
        box = (joined(box[0], -torch.inf), joined(box[1], torch.inf))
    if categories is not None:
        categories = _with_features(categories, n_more)
    return replace(budget, eps=joined(budget.eps, 0.0), box=box, categories=categories)


def _with_features(categories: Categories, n_more: int) -> Categories:
    stay = torch.zeros(n_more, dtype=torch.bool, device=categories.movable.device)
    return replace(categories, movable=torch.cat([categories.movable, stay]))
