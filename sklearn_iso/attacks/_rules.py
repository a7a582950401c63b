"""Rules of the data within a budget: what moves one way, in whole steps, or together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import Norm
from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import Columns
from sklearn_iso.attacks._lattice import Lattice
from sklearn_iso.attacks._relations import TINY, Relations

#: Shares of the terms of a relation by which X may break it, and by which rounding may.
ROUNDING_OF_X, ULPS = 1e-6, 16
#: Lengths of the steps that look for the far end of the budget along a slope.
LEAPS = (2.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.1, 0.1)
MOST_NAMED = 5


def _samples(broken: Tensor) -> str:
    """Name the first samples of a mask."""
    numbers = broken.nonzero().squeeze(1).tolist()
    more = len(numbers) - MOST_NAMED
    named = ", ".join(map(str, numbers[:MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
    return f"samples {named}" if len(numbers) > 1 else f"sample {named}"


def _mask(columns: Columns | None, X: Tensor) -> Tensor:
    mask = torch.zeros(X.shape[1], dtype=torch.bool, device=X.device)
    mask[list(columns or ())] = True
    return mask


@dataclass(frozen=True)
class Rules:
    """What holds of every sample, by column number.

    Parameters
    ----------
    rising, falling, whole : Tensor of shape (d,), bool
        Columns that may only grow or fall, and those of whole numbers.
    relations : Relations, or None
    sides : pair of Tensor of shape (d,), or None
        Least and largest values of columns, where relations tell some.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks._rules import Rules
    >>> X = torch.tensor([[1.0, 2.5]])
    >>> threat = ThreatModel(increasing=[0]).resolve(X)
    >>> Rules.of(X, threat, eps=torch.tensor(1.0)).rising
    tensor([ True, False])
    """

    rising: Tensor
    falling: Tensor
    whole: Tensor
    relations: Relations | None
    sides: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, X: Tensor, threat: ThreatModel, eps: Tensor) -> Rules | None:
        """Return the rules of a threat, checked on X; None where it has none.

        Raises
        ------
        ValueError
            If X breaks a rule, or rules ask for a table as the user passes it.
        """
        for name in ("repair", "is_valid"):
            if getattr(threat, name) is not None:
                raise ValueError(
                    f"{name} takes X in the container of the user, which an attack on tensors does "
                    "not know; only sklearn_iso.metrics calls it. Leave it out of the threat here."
                )
        parts = (threat.increasing, threat.decreasing, threat.integers)
        if threat.relations is None and all(part is None for part in parts):
            return None
        rising, falling, whole = (_mask(part, X) for part in parts)
        relations, sides = None, None
        if threat.relations is not None:
            relations = Relations.of(threat.relations, eps.expand(X.shape[1:]), whole)
            sides = relations.sides()
            sides = sides if any(side.isfinite().any() for side in sides) else None
        rules = cls(rising, falling, whole, relations, sides)
        rules._check(X)
        return rules

    def _check(self, X: Tensor) -> None:
        off = torch.where(self.whole, (X - X.round()).abs(), 0)
        if off.any():
            broken = off.any(dim=1)
            raise ValueError(
                f"integers must name columns of whole numbers; {_samples(broken)} of X are off "
                f"by up to {off.max():.3g}, in column {int(off.amax(dim=0).argmax())}. Round "
                "them, or leave the column out."
            )
        if self.relations is None or not len(X):
            return
        excess, terms = self.relations.excess(X)
        share = ROUNDING_OF_X * (1 if X.dtype == torch.float64 else 10)
        for one, by, size in zip(self.relations.told, excess.T, terms.T, strict=True):
            broken = by > share * size
            if broken.any():
                raise ValueError(
                    f"X must obey the relation {one!r}; {_samples(broken)} of X break it, by up to "
                    f"{by.max():.6g}. Correct these samples, or drop the relation."
                )

    def box(
        self, X: Tensor, eps: Tensor, box: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor] | None:
        """Return the box in coordinates of the budget, without what rules of one column close."""
        if not (self.rising.any() or self.falling.any() or self.sides is not None):
            return box
        inf = torch.full_like(X, torch.inf)
        low, high = (-inf, inf) if box is None else box
        if self.sides is not None:
            moves = eps > 0
            least, most = (torch.where(moves, (side.to(X) - X) / eps, 0) for side in self.sides)
            low, high = (
                torch.maximum(low, least.clamp(max=0)),
                torch.minimum(high, most.clamp(min=0)),
            )
        return low.masked_fill(self.rising, 0), high.masked_fill(self.falling, 0)

    def verify(self, X: Tensor, X_adv: Tensor) -> None:
        """Raise a ValueError where X_adv breaks a rule.

        Equations may be off by rounding, and by what X itself is off.
        """
        wrong_way = (self.rising & (X_adv < X)) | (self.falling & (X_adv > X))
        if wrong_way.any():
            sample, column = wrong_way.nonzero()[0].tolist()
            way = "fall" if self.rising[column] else "grow"
            raise ValueError(
                f"An attack must obey increasing and decreasing; column {column} of sample "
                f"{sample} must not {way}, from {X[sample, column]:.6g} to "
                f"{X_adv[sample, column]:.6g}."
            )
        if (self.whole & (X_adv != X_adv.round())).any():
            sample, column = (self.whole & (X_adv != X_adv.round())).nonzero()[0].tolist()
            raise ValueError(
                f"An attack must keep integers; column {column} of sample {sample} became "
                f"{X_adv[sample, column]:.6g}."
            )
        if self.relations is None or not len(X):
            return
        before, _ = self.relations.excess(X)
        after, terms = self.relations.excess(X_adv)
        broken = after > before + ULPS * torch.finfo(X.dtype).eps * (terms + self.relations.reach)
        if broken.any():
            sample, number = broken.nonzero()[0].tolist()
            raise ValueError(
                f"An attack must obey the relation {self.relations.told[number]!r}; sample "
                f"{sample} breaks it by {after[sample, number]:.6g}."
            )


@dataclass(frozen=True)
class Room:
    """What rules and budget leave around samples, for attacks to move in.

    Parameters
    ----------
    rules : Rules
    norm : Norm
    eps : Tensor of shape () or (d,)
    limited : bool
        Whether a point may be no farther than eps.
    X : Tensor of shape (n, d)
    box : pair of Tensor of shape (n, d), or None
        In coordinates of the budget.
    bounds : pair of Tensor, or None
        In units of X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks._budget import Budget
    >>> X = torch.tensor([[1.0, 2.0, 3.0]])
    >>> threat = ThreatModel(relations=["x2 == x0 + x1"], integers=[0])
    >>> ball = Budget.of(X, eps=2.0, threat=threat).around(X)
    >>> ball.room.points(torch.tensor([[0.4, 0.0, 0.4]]))
    tensor([[2.0000, 1.9000, 3.9000]])
    """

    rules: Rules
    norm: Norm
    eps: Tensor
    limited: bool
    X: Tensor
    box: tuple[Tensor, Tensor] | None
    bounds: tuple[Tensor, Tensor] | None

    @property
    def _units(self) -> Tensor:
        return self.eps.double().expand(self.X.shape[1:])

    def _ranges(self) -> tuple[Tensor, Tensor]:
        """Box and room of the inequalities, of shape (n, d + l)."""
        if self.box is None:
            high = torch.full_like(self.X, torch.inf, dtype=torch.float64)
            high = torch.where(self._units > 0, high, 0)
            low = -high
        else:
            low, high = (side.double() for side in self.box)
        if self.rules.relations is None:
            return low, high
        return self.rules.relations.ranges(self.X, low, high)

    def _limit(self, size: Tensor) -> Tensor:
        """Sizes that points of coordinates of some size may have."""
        if self.norm.order == 0 and not self.limited:
            return torch.full_like(size, torch.inf)
        return size.clamp(min=1) if self.norm.order == 0 else size

    def fitted(self, v: Tensor, inside: bool = False) -> Tensor:
        """Coordinates that obey the relations and the box, no larger than v.

        With `inside` they are as near to v as a few projections bring them within the unit ball.
        """
        relations = self.rules.relations
        if relations is None:
            return v
        if not v.isfinite().all():
            v = torch.where(v.isfinite(), v, 0)
        exact = v.double()
        limit = self._limit(self.norm.size(exact))
        limit = limit.clamp(max=1) if inside else limit
        low, high = self._ranges()
        return relations.fitted(exact, low, high, self.norm, limit, inside).to(v)

    def slope(self, slope: Tensor) -> Tensor:
        """Slopes along the equations."""
        relations = self.rules.relations
        return slope if relations is None else relations.slope(slope.double()).to(slope)

    def stepped(self, v: Tensor, slope: Tensor, length: float | Tensor) -> Tensor:
        """Move v straight uphill, then back into ball, box and relations.

        Where relations bind, steps of signs or of few entries would end beside the best point.
        """
        relations = self.rules.relations
        if relations is not None:
            slope = relations.uphill(slope.double()).to(slope)
        return self.fitted(v + length * self._of_length_one(slope), inside=True)

    def _of_length_one(self, slope: Tensor) -> Tensor:
        """Slopes of size 1; with the norm "linf" the entries are of size 1 on the average."""
        if self.norm.order == 0:
            return self.norm.steepest(slope)
        size = slope.abs().amax(dim=1, keepdim=True)
        straight = slope / torch.where(size > 0, size, 1)
        size = (
            straight.abs().mean(dim=1) if self.norm.order == torch.inf else self.norm.size(straight)
        )
        return straight / torch.where(size > 0, size, 1)[:, None]

    def leapt(self, slope: Tensor) -> Tensor:
        """Coordinates far uphill from the centre."""
        v = torch.zeros_like(slope)
        for length in LEAPS:
            v = self.stepped(v, slope, length)
        return v

    def points(self, v: Tensor) -> Tensor:
        """Points near the coordinates v that obey all rules, and are no farther than v.

        Where there are whole numbers they may be farther, but not beyond the budget.
        """
        fitted = self.fitted(v).double()
        if self.rules.whole.any():
            fitted = self._on_lattice(fitted)
        return self._under(self._completed(self._rounded(fitted)))

    def _on_lattice(self, v: Tensor) -> Tensor:
        size = self.norm.size(v)
        limit = size.clamp(min=1) if self.limited else torch.full_like(size, torch.inf)
        lattice = Lattice(self.rules.whole, self._units, self.norm, self.rules.relations)
        return lattice.nearest(v, *self._ranges(), limit)

    def _rounded(self, v: Tensor) -> Tensor:
        """Points in the precision of X, rounded towards X."""
        X, rules = self.X.double(), self.rules
        d = torch.where(v.abs() > TINY, v, 0) * self._units  # not even by rounding
        x = (X + torch.where(rules.whole, d.round(), d)).to(self.X)
        x = torch.where(d == 0, self.X, x)
        beyond = (x.double() - X).abs() > d.abs()
        x = torch.where(beyond & ~rules.whole, x.nextafter(self.X), x)
        return self._within(x)

    def _completed(self, x: Tensor) -> Tensor:
        """Set the dependent columns by the others as they have been rounded."""
        relations = self.rules.relations
        if relations is None or not len(relations.dependent):
            return x
        X, columns = self.X.double(), relations.dependent
        moved = (x.double() - X) @ relations.solution.T
        rounding = torch.finfo(x.dtype).eps * (x.double().abs() @ relations.solution.abs().T)
        moved = torch.where(moved.abs() > rounding, moved, 0)
        x = x.index_copy(1, columns, (X[:, columns] + moved).to(x))
        return self._within(torch.where(self.rules.whole, x.round(), x))

    def _within(self, x: Tensor) -> Tensor:
        x = x if self.bounds is None else x.clamp(*self.bounds)
        if self.rules.sides is not None:
            low, high = (side.to(x) for side in self.rules.sides)
            x = x.clamp(torch.minimum(low, self.X), torch.maximum(high, self.X))
        x = torch.where(self.rules.rising, torch.maximum(x, self.X), x)
        return torch.where(self.rules.falling, torch.minimum(x, self.X), x)

    def _under(self, x: Tensor) -> Tensor:
        """Take back by how much rounding has broken an inequality, in one of its columns."""
        relations = self.rules.relations
        if relations is None or relations.equal.all():
            return x
        free = (self._units * ~self.rules.whole).index_fill(0, relations.dependent, 0)
        before, _ = relations.excess(self.X)
        for number in (~relations.equal).nonzero().squeeze(1).tolist():
            row = relations.rows[number]
            column = int((row.abs() * free).argmax())
            excess = (relations.excess(x)[0] - before)[:, number]
            if not row[column] * free[column] or not (excess > 0).any():
                continue
            back = x[:, column].double() - excess * (1 + 1e-9) / row[column]
            way = -torch.inf if row[column] > 0 else torch.inf
            back = back.to(x).nextafter(torch.full_like(x[:, column], way))
            x = x.clone()
            x[:, column] = torch.where(excess > 0, back, x[:, column])
            x = self._completed(self._within(x))
        return x
