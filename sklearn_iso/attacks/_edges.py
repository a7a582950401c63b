"""Where labels changed along single features, and points made of such places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import columns_of
from sklearn_iso._geometry.norms import Norm

#: Most places that are remembered of a sample, and most of them in a point.
MOST_PLACES, MOST_TOGETHER = 64, 3


@dataclass
class Edges:
    """Places on either side of a change of the label along a feature, sample by sample.

    Where a classifier changes in steps, as a tree does, its steps along a feature are at the same
    place for many values of the other features. What was learned on the way to one error so leads
    to others, narrow ones too that random draws would miss.

    Parameters
    ----------
    feature : Tensor of shape (n, k), integers
    value : Tensor of shape (n, k)
        Coordinates; infinity where nothing is known.
    tried : Tensor of shape (n, k), bool
        Whether the place was asked about alone.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._edges import Edges
    >>> edges = Edges.none(torch.zeros(1, 3))
    >>> edges.add(torch.tensor([True]), torch.tensor([2]), torch.tensor([0.5]))
    >>> edges.alone(torch.zeros(1, 3), torch.tensor([1.0]), torch.tensor([True]))
    (tensor([[0.0000, 0.0000, 0.5000]]), tensor([True]))
    """

    feature: Tensor
    value: Tensor
    tried: Tensor

    @classmethod
    def none(cls, v: Tensor) -> Edges:
        """Nothing known of samples whose coordinates have the shape of v."""
        value = torch.full((len(v), MOST_PLACES), torch.inf, dtype=v.dtype, device=v.device)
        return cls(torch.zeros_like(value, dtype=torch.long), value, torch.zeros_like(value) > 0)

    def add(self, rows: Tensor, feature: Tensor, value: Tensor) -> None:
        """Remember a place of each sample of a mask, instead of the farthest one known."""
        farthest, slot = self.value.abs().max(dim=1)
        known = (self.feature == feature[:, None]) & (self.value == value[:, None])
        new = (rows & (value.abs() < farthest) & ~known.any(dim=1)).nonzero().squeeze(1)
        slot = slot[new]
        self.feature[new, slot], self.value[new, slot] = feature[new], value[new]
        self.tried[new, slot] = False

    def alone(self, like: Tensor, limit: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Points of the nearest place not tried yet, and whether there is one below a limit.

        For the samples of a mask it counts as tried from then on.
        """
        size = torch.where(self.tried, torch.inf, self.value.abs())
        nearest, at = size.min(dim=1, keepdim=True)
        some = nearest.squeeze(1) < limit
        v = self._at(like, at, some)
        self.tried.scatter_(1, at, self.tried.gather(1, at) | (rows & some)[:, None])
        return v, some

    def together(
        self, like: Tensor, limit: Tensor, norm: Norm, keys: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Points of several places whose size is below a limit, and whether there is one.

        Parameters
        ----------
        like : Tensor of shape (n, ...)
        limit : Tensor of shape (n,)
        norm : Norm
        keys : Tensor of shape (m, k)
            Which places come first, of those that there is room for, in each of m choices.
        """
        power = norm.order if norm.order < torch.inf else 1.0
        costs = self.value.abs() ** power
        room = limit**power
        v, n_chosen = torch.zeros_like(columns_of(like)), torch.zeros_like(limit)
        free = torch.ones_like(self.tried)
        for key in keys:
            fits = free & (costs < room[:, None])
            at = torch.where(fits, key.to(costs), -1).argmax(dim=1, keepdim=True)
            some = fits.any(dim=1)
            v = v + columns_of(self._at(like, at, some))
            n_chosen += some
            if norm.order < torch.inf:
                room = room - torch.where(some, costs.gather(1, at).squeeze(1), 0)
            free &= (self.feature != self.feature.gather(1, at)) | ~some[:, None]
        return v.view_as(like), n_chosen > 1

    def _at(self, like: Tensor, at: Tensor, rows: Tensor) -> Tensor:
        v = torch.zeros_like(columns_of(like))
        value = torch.where(rows[:, None], self.value.gather(1, at), 0)
        return v.scatter(1, self.feature.gather(1, at), value).view_as(like)

    def __getitem__(self, keep: Tensor) -> Edges:
        """Return the samples of a mask or of positions, as a copy."""
        return Edges(self.feature[keep], self.value[keep], self.tried[keep])

    def __setitem__(self, keep: Tensor, some: Edges) -> None:
        """Take over what is known of the samples of a mask or of positions."""
        self.feature[keep], self.value[keep] = some.feature, some.value
        self.tried[keep] = some.tried
