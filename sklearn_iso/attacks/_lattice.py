"""Columns of whole numbers: steps rounded to what is there, within the budget and the relations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import Norm
from sklearn_iso.attacks._relations import Relations

#: Shares of a step that are tried, where the whole of it does not round to a point that fits.
SHARES = (1.0, 0.7, 0.4, 0.2)
#: Most steps of 1 that bring rounded columns back onto their relations.
MOST_STEPS = 16
#: What rounding may leave of a whole number.
ROUNDING = 1e-9
#: From this share of its limit on, what rounding leaves of a budget is spent as well.
NEARLY_ALL = 0.98


@dataclass(frozen=True)
class Lattice:
    """Coordinates whose columns of whole numbers move by whole numbers.

    Parameters
    ----------
    whole : Tensor of shape (d,), bool
    eps : Tensor of shape (d,), float64
    norm : Norm
    relations : Relations, or None

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.norms import get_norm
    >>> from sklearn_iso.attacks._lattice import Lattice
    >>> whole, eps = torch.tensor([True, False]), torch.full((2,), 2.5)
    >>> lattice = Lattice(whole, eps, get_norm("linf"), relations=None)
    >>> low, high = torch.full((1, 2), -1.0), torch.ones(1, 2)
    >>> lattice.nearest(torch.tensor([[0.7, 0.7]]), low, high, torch.ones(1)) * lattice.eps
    tensor([[2.0000, 1.7500]])
    """

    whole: Tensor
    eps: Tensor
    norm: Norm
    relations: Relations | None

    def nearest(self, v: Tensor, low: Tensor, high: Tensor, limit: Tensor) -> Tensor:
        """Coordinates on the lattice near v, in the box and of at most some size; 0 where none is.

        Parameters
        ----------
        v : Tensor of shape (n, d), float64
        low, high : Tensor of shape (n, d), or (n, d + l) with the room of inequalities
        limit : Tensor of shape (n,)
        """
        if self.relations is None:
            return self._rounded(v, low, high, limit, outwards=True)
        best, left = torch.zeros_like(v), torch.arange(len(v))
        for share in SHARES:
            for outwards in (True, False):
                ends = (low[left], high[left])
                at = self._rounded(share * v[left], *ends, limit[left], outwards)
                at = self._balanced(at, share * v[left], *ends)
                at, fits = self._related(self.relations, at, *ends)
                fits &= self.norm.size(at) <= limit[left] * (1 + ROUNDING)
                best[left[fits]] = at[fits]
                left = left[~fits]
                if not len(left):
                    return best
        return best

    def _ends(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Least and largest whole steps."""
        d = len(self.whole)
        return (low[:, :d] * self.eps - ROUNDING).ceil(), (
            high[:, :d] * self.eps + ROUNDING
        ).floor()

    def _rounded(
        self, v: Tensor, low: Tensor, high: Tensor, limit: Tensor, outwards: bool
    ) -> Tensor:
        """Round whole columns towards 0, and then, the nearest first, those away from it that fit.

        On the sphere all may go away from it that fit: the budget is there to be spent.
        """
        steps = v * self.eps
        inner = steps.trunc()
        at = torch.where(self.whole, self._in_units(inner), v)
        if not outwards:
            return at
        least, most = self._ends(low, high)
        outer = inner + steps.sign()
        rest = torch.where(self.whole, (steps - inner).abs(), 0)
        possible = (rest > ROUNDING) & (outer >= least) & (outer <= most)
        possible &= self.eps > 0
        spends = 0 < self.norm.order < torch.inf
        full = (self.norm.size(v) >= NEARLY_ALL * limit) & spends
        possible &= (rest >= 0.5) | full[:, None]
        outer = self._in_units(outer)
        if not spends:
            fits = (outer.abs() <= limit[:, None] * (1 + ROUNDING)) | (self.norm.order == 0)
            return torch.where(possible & fits, outer, at)
        order = rest.masked_fill(~possible, -1).argsort(dim=1, descending=True)
        for column in order[:, : int(possible.sum(dim=1).amax())].unbind(dim=1):
            column = column[:, None]
            further = at.scatter(1, column, outer.gather(1, column))
            fits = possible.gather(1, column)[:, 0]
            fits = fits & (self.norm.size(further) <= limit * (1 + ROUNDING))
            at = torch.where(fits[:, None], further, at)
        return at

    def _in_units(self, steps: Tensor) -> Tensor:
        return torch.where(self.eps > 0, steps / self.eps, 0)

    def _balanced(self, at: Tensor, v: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Step by 1 in whole columns until relations between such columns alone hold again."""
        relations = self.relations
        if relations is None:
            return at
        moving = (relations.rows != 0) & relations.movable
        alone = (~moving | self.whole).all(dim=1) & moving.any(dim=1)
        if not alone.any():
            return at
        rows, equal = relations.rows[alone], relations.equal[alone]
        room = self._room(low, high)[:, alone]
        least, most = self._ends(low, high)
        columns = (moving[alone].any(dim=0) & self.whole).nonzero().squeeze(1)
        moves = torch.cat([torch.eye(len(columns)), -torch.eye(len(columns))]).double()
        steps, wanted = (at * self.eps)[:, columns].round(), (v * self.eps)[:, columns]
        for _ in range(MOST_STEPS):
            off = self._broken(steps @ rows[:, columns].T, room, equal)
            busy = off > ROUNDING
            if not busy.any():
                break
            tried = steps[busy][:, None] + moves
            cost = self._broken(tried @ rows[:, columns].T, room[busy][:, None], equal)
            outside = (tried < least[busy][:, None, columns]) | (
                tried > most[busy][:, None, columns]
            )
            away = (tried - wanted[busy][:, None]).abs().sum(dim=2)
            cost = cost.masked_fill(outside.any(dim=2), torch.inf)
            better = cost < off[busy][:, None] - ROUNDING
            value = torch.where(better, cost + 1e-3 * away / (1 + away), torch.inf)
            least_cost, best = value.min(dim=1)
            chosen = tried[torch.arange(len(tried)), best]
            steps[busy] = torch.where(least_cost.isfinite()[:, None], chosen, steps[busy])
            if not least_cost.isfinite().any():
                break
        at = at.clone()
        at[:, columns] = self._in_units(torch.zeros_like(at).index_copy(1, columns, steps))[
            :, columns
        ]
        return at

    def _room(self, low: Tensor, high: Tensor) -> Tensor:
        """Room of each relation in units of its coefficients, of shape (n, m); 0 of equations."""
        relations = self.relations
        assert relations is not None  # noqa: S101
        room = torch.zeros(len(low), len(relations.equal), dtype=torch.float64)
        used = ~relations.equal & ((relations.rows * relations.movable) != 0).any(dim=1)
        room[:, used] = -low[:, len(self.whole) :] / relations.scale
        return room

    @staticmethod
    def _broken(change: Tensor, room: Tensor, equal: Tensor) -> Tensor:
        """By how much changes of relations break them in sum."""
        return torch.where(equal, change.abs(), (change - room).clamp(min=0)).sum(dim=-1)

    def _related(
        self, relations: Relations, at: Tensor, low: Tensor, high: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Let the other columns make up for what rounding took; whether all relations hold."""
        z = relations.lifted(at)
        held = torch.zeros_like(z, dtype=torch.bool)
        held[:, : len(self.whole)] = self.whole
        if self.norm.order == 0:
            still = torch.ones_like(self.whole)
            still[relations.dependent] = False
            held[:, : len(self.whole)] |= (at == 0) & still
        inside = ((z >= low - ROUNDING) & (z <= high + ROUNDING)) | ~held
        z, holds = relations.settled(z, low, high, held)
        return z[:, : len(self.whole)], holds & inside.all(dim=1)
