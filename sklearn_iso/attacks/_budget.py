"""The budget of an attack: how far each feature of a point may move, and where it must stay."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sklearn_iso._geometry.box import rounding_slack
from sklearn_iso._geometry.l0 import L0
from sklearn_iso._geometry.norms import Norm
from sklearn_iso._threat import Threat, ThreatModel, as_threat, check_eps
from sklearn_iso._threat.parts import ObservedRange, numbers_of, shown
from sklearn_iso.attacks._categories import Categories
from sklearn_iso.attacks._rules import Room, Rules

#: A walk that is this many times farther from X than X from 0, or than its budget, is lost.
FARTHEST = 1e6


def check_points(X: Tensor) -> None:
    """Raise a ValueError unless X is a floating, finite tensor of at least two dimensions.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import check_points
    >>> check_points(torch.zeros(2, 3))
    """
    if not isinstance(X, Tensor) or not X.is_floating_point() or X.ndim < 2:
        found = f"{X.dtype} of shape {tuple(X.shape)}" if isinstance(X, Tensor) else type(X)
        raise ValueError(
            f"X must be a floating tensor of shape (n, ...); got {found}. "
            "Pass for example torch.as_tensor(X, dtype=torch.float32)."
        )
    if not torch.isfinite(X).all():
        raise ValueError("X must be finite; found NaN or infinity. Impute or drop these samples.")


def _check_eps(eps: float, threat: ThreatModel, X: Tensor) -> Tensor:
    """Return the radius of each feature, rounded so that none is wider than it should be."""
    values = torch.from_numpy(np.asarray(threat.radius(check_eps(eps)))).to(X.device)
    rounded = values.to(X)
    if torch.isinf(rounded).any():
        raise ValueError(
            f"eps times units must be finite in {X.dtype}; got eps={eps!r}. Pass X in float64."
        )
    # Rounding to float32 must not widen the budget.
    return torch.where(rounded > values, rounded.nextafter(rounded * 0), rounded)


def _counted(
    eps: float | None, threat: ThreatModel, X: Tensor, box: tuple[Tensor, Tensor] | None
) -> tuple[Norm, Tensor]:
    """Return the ball of a number of features, and how far each of them may go."""
    if box is None:
        raise ValueError(
            "A threat of norm='l0' counts the features that change and needs bounds, or nothing "
            "says how far one may go; got bounds=None. Pass bounds=(low, high), or "
            "ThreatModel.from_data(X)."
        )
    count = 1.0 if eps is None else check_eps(eps)
    if count != int(count):
        raise ValueError(
            f"eps must be a whole number of features with norm='l0'; got {eps!r}. Pass for "
            "example eps=2."
        )
    units = torch.from_numpy(np.asarray(1.0 if threat.units is None else numbers_of(threat.units)))
    width = (box[1] - box[0]).expand(X.shape[1:])
    movable = (units.to(X.device) > 0) & (count > 0)
    return L0(max(1, int(count))), torch.where(movable, width, 0)


def _check_bounds(threat: ThreatModel, X: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the box; X may be outside by rounding, or where data have shown it."""
    if threat.bounds is None:
        return None
    low, high = (torch.from_numpy(numbers_of(side)).to(X) for side in threat.bounds)
    if not isinstance(threat.bounds, ObservedRange):
        slack = rounding_slack(X, low, high)
        outside = (X < low - slack) | (X > high + slack)
        if outside.any():
            raise ValueError(_outside(X, low, high, outside, shown(threat.bounds)))
    return low, high


def _own(box: tuple[Tensor, Tensor] | None, X: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the box of each sample: as wide as the sample itself where that is outside."""
    if box is None or not ((X < box[0]) | (X > box[1])).any():
        return box
    return torch.minimum(box[0], X), torch.maximum(box[1], X)


def _outside(X: Tensor, low: Tensor, high: Tensor, outside: Tensor, bounds: str) -> str:
    index = tuple(outside.nonzero()[0].tolist())
    below = (outside & (X < low)).any()
    extreme, value = ("minimum", X.min()) if below else ("maximum", X.max())
    found = f"a {extreme} of {value.item():.6g}"
    if low.ndim or high.ndim:
        found = f"{X[index].item():.6g} in feature {index[1:]} of row {index[0]}"
    return (
        f"X must lie inside bounds={bounds}; found {found}. Widen the bounds to all of X, or "
        "clip X. They are in the units of X as it is passed, before any scaling."
    )


@dataclass(frozen=True)
class Budget:
    r"""Where an attack may move a point: a ball of a norm, and a box.

    .. math:: \{ x + \varepsilon \odot v : \|v\| \le 1 \} \cap [low, high]

    With the ball written in units of eps, eps may be one number or one for each feature with
    every norm; a feature with eps 0 is immutable. Columns of categories have no part in the
    ball: they take other values.

    Parameters
    ----------
    norm : Norm
    eps : Tensor of shape (), or of the shape of a sample
        Radius of each feature, in units of X.
    box : pair of Tensor, or None
        A sample that is outside, by rounding or of bounds that data have shown, widens its own.
    categories : Categories or None
    limited : bool
        Whether a point may be no farther; otherwise eps is a unit of distance and no limit.
    rules : Rules or None
        Of the data, which every point obeys.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import Budget
    >>> X = torch.tensor([[0.5, 0.9]])
    >>> ball = Budget.of(X, eps=0.2, threat=ThreatModel(bounds=(0, 1))).around(X)
    >>> ball.point(ball.step(torch.zeros_like(X), gradient=torch.tensor([[-3.0, 1.0]]), length=1))
    tensor([[0.3000, 1.0000]])
    """

    norm: Norm
    eps: Tensor
    box: tuple[Tensor, Tensor] | None
    categories: Categories | None = None
    limited: bool = True
    rules: Rules | None = None

    @classmethod
    def of(cls, X: Tensor, *, eps: float | None = None, threat: Threat = "linf") -> Budget:
        """Return a checked budget for the samples of X, in the dtype and on the device of X.

        Parameters
        ----------
        X : Tensor of shape (n, ...), float32 or float64
        eps : float, default=None
            Radius of the ball, in units of the threat; None: one unit, and no limit.
        threat : ThreatModel, or the name of a norm

        Raises
        ------
        ValueError
            If eps is not one finite number of at least 0, the threat does not fit X, or X is not
            finite, lies outside the bounds, or is not one-hot in a group of categories.
        """
        check_points(X)
        threat = as_threat(threat).resolve(X)
        box = _check_bounds(threat, X)
        if isinstance(threat.norm, L0):
            norm, values = _counted(eps, threat, X, box)
        else:
            norm, values = threat.norm, _check_eps(1.0 if eps is None else eps, threat, X)
        if threat.immutable is not None:
            fixed = torch.from_numpy(threat.immutable_mask()).to(X.device)
            values = torch.where(fixed, 0, values)
        rules = Rules.of(X, threat, values)
        budget = cls(norm, values, box, limited=eps is not None, rules=rules)
        return budget if threat.categories is None else budget._with_categories(X, threat)

    def _with_categories(self, X: Tensor, threat: ThreatModel) -> Budget:
        movable = (self.eps > 0).expand(X.shape[1:])
        groups = Categories.of(X, threat.one_hot(), max_changes=threat.max_changes, movable=movable)
        box = self.box
        if box is not None:
            low, high = (side.expand(X.shape[1:]) for side in box)
            if isinstance(threat.bounds, ObservedRange):  # no rule: a category may be a new one
                low, high = low.clone(), high.clone()
                low[groups.columns] = low[groups.columns].clamp(max=0)
                high[groups.columns] = high[groups.columns].clamp(min=1)
            box, low, high = (low, high), low[groups.columns], high[groups.columns]
            if (low > 0).any() or (high < 1).any():
                raise ValueError(
                    "bounds must hold 0 and 1 in the columns of categories; got "
                    f"low up to {low.max():.6g} and high down to {high.min():.6g}."
                )
        eps = torch.where(groups.columns, 0, self.eps)
        return replace(self, eps=eps, box=box, categories=groups)

    @property
    def largest(self) -> float:
        """Largest size of a perturbation, in units of eps."""
        return 1.0 if self.limited else math.inf

    @property
    def is_zero(self) -> bool:
        """Whether no feature may move."""
        flips = self.categories is not None and self.categories.can_flip
        return not flips and not bool((self.eps > 0).any())

    def around(self, X: Tensor) -> Ball:
        """Ball around each sample of X."""
        box, sides = None, _own(self.box, X)
        if sides is not None:
            movable = self.eps > 0
            low, high = (torch.where(movable, (side - X) / self.eps, 0) for side in sides)
            box = low, high
        box = box if self.rules is None else self.rules.box(X, self.eps, box)
        return Ball(self, X, box, sides)

    def obeying(self, X: Tensor, x: Tensor) -> Tensor:
        """Points near x that obey the rules; x itself where there are none."""
        if self.rules is None:
            return x
        centre = X if self.categories is None else self.categories.graft(X, x)
        return self.around(centre).point(self.perturbations(X, x))

    def verify(self, X: Tensor, X_adv: Tensor) -> None:
        """Raise a ValueError where X_adv is no perturbation of X within the budget."""
        if X_adv.shape != X.shape or not torch.isfinite(X_adv).all():
            raise ValueError(
                f"An attack must return finite points of shape {tuple(X.shape)}; got shape "
                f"{tuple(X_adv.shape)} with NaN or infinity: {not torch.isfinite(X_adv).all()}."
            )
        if self.categories is not None:
            self.categories.verify(X, X_adv)
            X = self.categories.graft(X, X_adv)
        self._verify_immutable(X, X_adv)
        moved = (X_adv - X).double()
        slack = 4 * torch.finfo(X.dtype).eps * torch.maximum(X.abs(), X_adv.abs()).double()
        beyond = (moved.abs() - slack).clamp(min=0)
        v = torch.where(beyond > 0, beyond / self.eps.double(), 0)
        size = float(self.norm.size(v).max()) if len(v) else 0.0
        if self.limited and size > 1 + 1e-5:
            raise ValueError(
                f"An attack must stay within eps; found a perturbation of {size:.6g} times eps in "
                f"the norm {self.norm.name}."
            )
        sides = _own(self.box, X)
        if sides is not None and ((X_adv < sides[0]) | (X_adv > sides[1])).any():
            raise ValueError("An attack must stay within bounds; found a point outside of them.")
        if self.rules is not None:
            self.rules.verify(X, X_adv)

    def _verify_immutable(self, X: Tensor, X_adv: Tensor) -> None:
        moved = (X_adv != X) & ~(self.eps > 0)
        if moved.any():
            row, *feature = moved.nonzero()[0].tolist()
            raise ValueError(
                "An attack must leave immutable features as they are; it moved feature "
                f"{tuple(feature)} of sample {row}."
            )

    def perturbations(self, X: Tensor, X_adv: Tensor) -> Tensor:
        """Perturbations in units of the budget; categories have no part in them."""
        moved = X_adv - X
        v = torch.where(moved == 0, 0, moved / self.eps)
        if self.categories is not None:
            v = torch.where(self.categories.columns, 0, v)
        return v


@dataclass(frozen=True)
class Ball:
    r"""Balls of a budget around samples of X, in coordinates :math:`v = (x - X) / \varepsilon`.

    Parameters
    ----------
    budget : Budget
    X : Tensor of shape (n, ...)
        The centres.
    box : pair of Tensor of shape (n, ...), or None
        The bounds in the coordinates v.
    sides : pair of Tensor, of shape (n, ...) or as the budget has them, or None
        The bounds in units of X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import Budget
    >>> X = torch.zeros(1, 2)
    >>> Budget.of(X, threat=ThreatModel(units=[1, 0])).around(X).point(torch.ones(1, 2))
    tensor([[1., 0.]])
    """

    budget: Budget
    X: Tensor
    box: tuple[Tensor, Tensor] | None
    sides: tuple[Tensor, Tensor] | None = None

    def random(self, generator: torch.Generator) -> Tensor:
        """Uniform draw from each ball, moved into the box; generator on the CPU."""
        shape, dtype = tuple(self.X.shape), self.X.dtype
        v = self.budget.norm.random(shape, generator, dtype).to(self.X.device)
        return self.boxed(torch.where(self.budget.eps > 0, v, 0))

    @property
    def room(self) -> Room | None:
        """What the rules leave of the ball; None where there are none."""
        of = self.budget
        if of.rules is None:
            return None
        return Room(of.rules, of.norm, of.eps, of.limited, self.X, self.box, self.sides)

    @property
    def related(self) -> Room | None:
        """The same where columns move together, so that a step must know of all of them."""
        rules = self.budget.rules
        return None if rules is None or rules.relations is None else self.room

    def slope(self, gradient: Tensor) -> Tensor:
        """Slope of the coordinates v by a gradient with respect to X, along the relations."""
        slope, related = gradient * self.budget.eps, self.related
        return slope if related is None else related.slope(slope)

    def step(self, v: Tensor, gradient: Tensor, length: float | Tensor, step: int = 0) -> Tensor:
        """Move v by a step of the length, then back into the ball and the box.

        The length is one number, or one for each sample (of shape (n, 1, ...)). The gradient is
        taken with respect to X.
        """
        return self.ascend(v, gradient * self.budget.eps, length, step)

    def ascend(self, v: Tensor, slope: Tensor, length: float | Tensor, step: int = 0) -> Tensor:
        """Move v as :meth:`step` does, along a gradient with respect to the coordinates v."""
        if (related := self.related) is not None:
            return related.stepped(v, slope, length)
        return self.budget.norm.projected_step(v, slope, length, step, self.box)

    def project(self, v: Tensor) -> Tensor:
        """Coordinates moved into the ball and the box."""
        if (related := self.related) is not None:
            return related.fitted(v, inside=True)
        norm = self.budget.norm
        return norm.project(v) if self.box is None else norm.project_into(v, *self.box)

    def leap(self, gradient: Tensor) -> Tensor:
        """Full-length steepest step from the centre, moved into the box."""
        slope, norm = gradient * self.budget.eps, self.budget.norm
        if (related := self.related) is not None:
            return related.leapt(slope)
        return norm.steepest(slope) if self.box is None else norm.farthest(slope, *self.box)

    def point(self, v: Tensor) -> Tensor:
        """Points of the coordinates v."""
        if (room := self.room) is not None:
            return room.points(v)
        x = self.X + v * self.budget.eps
        return x if self.sides is None else x.clamp(*self.sides)

    def point_within(self, v: Tensor) -> Tensor:
        """Points of the coordinates v, rounded towards X so that none leaves the ball.

        Half a unit in the last place matters where eps is small beside X; as it costs as
        much as a small network, only the points that are handed back are rounded.
        """
        if (room := self.room) is not None:
            return room.points(v)
        x = self.point(v)
        beyond = (x - self.X).abs() > (v * self.budget.eps).abs()
        return torch.where(beyond, x.nextafter(self.X), x)

    def centre(self) -> Tensor:
        """Coordinates of X itself."""
        return torch.zeros_like(self.X)

    def horizon(self) -> Tensor:
        """Sizes beyond which a walk is lost, in units of the budget and of X itself."""
        v = torch.where(self.budget.eps > 0, self.X / self.budget.eps, 0)
        return FARTHEST * self.budget.norm.size(v).clamp(min=1)

    def __getitem__(self, keep: Tensor) -> Ball:
        """Balls of the samples that a mask or an index selects."""
        box = None if self.box is None else (self.box[0][keep], self.box[1][keep])
        sides = self.sides
        if sides is not None and sides is not self.budget.box:
            sides = sides[0][keep], sides[1][keep]
        return Ball(self.budget, self.X[keep], box, sides)

    def boxed(self, v: Tensor) -> Tensor:
        """Coordinates moved into the box alone."""
        # X lies inside the box, so clipping shortens v entry by entry: it stays in the ball.
        v = v if self.box is None else v.clamp(*self.box)
        return v if (related := self.related) is None else related.fitted(v)
