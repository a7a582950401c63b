"""The budget of an attack: how far each feature of a point may move, and where it must stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sklearn_iso.attacks.categories import Categories, OneHot, groups_of
from sklearn_iso.attacks.parameters import check_counts
from sklearn_iso.geometry.box import rounding_slack
from sklearn_iso.geometry.norms import Norm, get_norm

FeatureValues = ArrayLike | Tensor
#: A walk that is this many times farther from X than X from 0, or than its budget, is lost.
FARTHEST = 1e6


def check_points(X: Tensor) -> None:
    """Raise a ValueError unless X is a floating, finite tensor of at least two dimensions.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.budget import check_points
    >>> check_points(torch.zeros(2, 3))
    """
    if not isinstance(X, Tensor) or not X.is_floating_point() or X.ndim < 2:
        found = f"{X.dtype} of shape {tuple(X.shape)}" if isinstance(X, Tensor) else type(X)
        raise ValueError(
            f"X must be a floating tensor of shape (n, ...); got {found}. "
            "Pass for example torch.as_tensor(X, dtype=torch.float32)."
        )
    if not torch.isfinite(X).all():
        raise ValueError("X must be finite; found NaN or infinity. Impute or drop these rows.")


def feature_values(values: Any, name: str, X: Tensor) -> Tensor:
    """Float64 tensor with one value, or one for each feature of a row."""
    if not isinstance(values, Tensor):
        try:
            values = torch.from_numpy(np.array(values, dtype=np.float64))
        except (TypeError, ValueError):
            raise ValueError(
                f"{name} must be one number or one for each feature; got {values!r}."
            ) from None
    tensor = values.detach().to("cpu", torch.float64)
    if tensor.ndim and tensor.shape != X.shape[1:]:
        raise ValueError(
            f"{name} must be one number or one for each feature, of shape {tuple(X.shape[1:])}; "
            f"got shape {tuple(tensor.shape)}."
        )
    if torch.isnan(tensor).any():
        raise ValueError(f"{name} must not hold NaN; found {tensor.tolist()}.")
    return tensor


def _check_eps(eps: FeatureValues, X: Tensor) -> Tensor:
    values = feature_values(eps, "eps", X)
    if (values < 0).any() or torch.isinf(values).any():
        raise ValueError(
            f"eps must be finite and not negative; got {eps!r}. Pass 0 for immutable features."
        )
    rounded = values.to(X)
    if torch.isinf(rounded).any():
        raise ValueError(f"eps must be finite in {X.dtype}; got {eps!r}. Pass X in float64.")
    # Rounding to float32 must not widen the budget.
    return torch.where(rounded > values.to(X.device), rounded.nextafter(rounded * 0), rounded)


def _check_bounds(
    bounds: tuple[FeatureValues, FeatureValues] | None, X: Tensor
) -> tuple[Tensor, Tensor] | None:
    if bounds is None:
        return None
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise ValueError(
            f"bounds must be None or a pair (low, high); got {bounds!r}. Each of the two is one "
            "number or one for each feature."
        )
    low, high = (
        feature_values(value, f"the {side} of bounds", X).to(X)
        for value, side in zip(bounds, ("low", "high"), strict=True)
    )
    if (low > high).any():
        raise ValueError(f"bounds must be a pair (low, high) with low <= high; got {bounds!r}.")
    return _around(X, low, high, bounds)


def _check_immutable(immutable: FeatureValues | None, X: Tensor) -> Tensor:
    shape = X.shape[1:]
    if immutable is None:
        return torch.zeros(shape, dtype=torch.bool, device=X.device)
    mask = immutable
    if not isinstance(mask, Tensor):
        try:
            mask = torch.from_numpy(np.array(immutable, order="C"))
        except (TypeError, ValueError):  # text, objects, lists of unequal length
            raise ValueError(
                f"immutable must be a mask of booleans, one for each feature; got {immutable!r}."
            ) from None
    if mask.dtype != torch.bool or mask.shape != shape:
        raise ValueError(
            f"immutable must be a mask of booleans, one for each feature, of shape {tuple(shape)}; "
            f"got {mask.dtype} of shape {tuple(mask.shape)}."
        )
    if mask.all():
        raise ValueError(
            "immutable must leave at least one feature to the attack; every feature is immutable. "
            "Accuracy without an attack is what the estimator's score returns."
        )
    return mask.to(X.device)


def _around(X: Tensor, low: Tensor, high: Tensor, bounds: Any) -> tuple[Tensor, Tensor]:
    """Return the box, as wide as X where that is outside by rounding only."""
    slack = rounding_slack(X, low, high)
    outside = (X < low - slack) | (X > high + slack)
    if outside.any():
        raise ValueError(_outside(X, low, high, outside, bounds))
    if not len(X):
        return low, high
    least, most = (X.amin(dim=0), X.amax(dim=0))
    low = torch.minimum(low, least if low.ndim else least.min())
    return low, torch.maximum(high, most if high.ndim else most.max())


def _outside(X: Tensor, low: Tensor, high: Tensor, outside: Tensor, bounds: Any) -> str:
    index = tuple(outside.nonzero()[0].tolist())
    below = (outside & (X < low)).any()
    extreme, value = ("minimum", X.min()) if below else ("maximum", X.max())
    found = f"a {extreme} of {value.item():.6g}"
    if low.ndim or high.ndim:
        found = f"{X[index].item():.6g} in feature {index[1:]} of row {index[0]}"
    return (
        f"X must lie inside bounds={bounds!r}; found {found}. Widen the bounds to all of X, or "
        "clip X. They are in the units of X as it is passed, before any scaling."
    )


@dataclass(frozen=True)
class Budget:
    r"""Where an attack may move a point: a ball of a norm, and a box.

    .. math:: \{ x + \varepsilon \odot v : \|v\| \le 1 \} \cap [low, high]

    With the ball written in units of eps, eps is one number or one for each feature with
    every norm; a feature with eps 0 is immutable. Columns of one-hot groups have no part in the
    ball: they flip, see :class:`sklearn_iso.attacks.categories.Categories`.

    Parameters
    ----------
    norm : Norm
    eps : Tensor of shape () or (n_features,)
    box : pair of Tensor, or None
        As wide as X where X is outside by rounding only.
    categories : Categories or None

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.budget import Budget
    >>> X = torch.tensor([[0.5, 0.9]])
    >>> ball = Budget.of(X, eps=0.2, norm="linf", bounds=(0, 1)).around(X)
    >>> ball.point(ball.step(torch.zeros_like(X), gradient=torch.tensor([[-3.0, 1.0]]), length=1))
    tensor([[0.3000, 1.0000]])
    """

    norm: Norm
    eps: Tensor
    box: tuple[Tensor, Tensor] | None
    categories: Categories | None = None

    @classmethod
    def of(
        cls,
        X: Tensor,
        *,
        eps: FeatureValues,
        norm: str | float | Norm = "linf",
        bounds: tuple[FeatureValues, FeatureValues] | None = None,
        immutable: FeatureValues | None = None,
        one_hot: OneHot | None = None,
        max_flips: int = 1,
    ) -> Budget:
        """Return a checked budget for the rows of X, in the dtype and on the device of X.

        Raises
        ------
        ValueError
            If eps is negative or of the wrong shape, low > high, X is not finite or lies
            outside the bounds, the norm is unknown, every feature is immutable, or X is not
            one-hot in a group.
        """
        check_points(X)
        values, box = _check_eps(eps, X), _check_bounds(bounds, X)
        fixed = _check_immutable(immutable, X)
        if fixed.any():
            values = torch.where(fixed, 0, values)
        budget = cls(get_norm(norm), values, box)
        groups = groups_of(one_hot)
        check_counts(0, max_flips=max_flips)
        if max_flips > 1 and not groups:
            raise ValueError(
                f"max_flips is a number of groups of one_hot; got max_flips={max_flips!r} without "
                "any. Pass the columns of each group as one_hot, or leave max_flips out."
            )
        return budget._with_categories(X, groups, max_flips) if groups else budget

    def _with_categories(self, X: Tensor, one_hot: OneHot, max_flips: int) -> Budget:
        movable = (self.eps > 0).expand(X.shape[1:])
        groups = Categories.of(X, one_hot=one_hot, max_flips=max_flips, movable=movable)
        if self.box is not None:
            low, high = (side.expand(X.shape[1:])[groups.columns] for side in self.box)
            if (low > 0).any() or (high < 1).any():
                raise ValueError(
                    "bounds must hold 0 and 1 in the columns of one_hot; got "
                    f"low up to {low.max():.6g} and high down to {high.min():.6g}."
                )
        return Budget(self.norm, torch.where(groups.columns, 0, self.eps), self.box, groups)

    @property
    def is_zero(self) -> bool:
        """Whether no feature may move."""
        flips = self.categories is not None and self.categories.can_flip
        return not flips and not bool((self.eps > 0).any())

    def around(self, X: Tensor) -> Ball:
        """Ball around each row of X."""
        if self.box is None:
            return Ball(self, X, None)
        movable = self.eps > 0
        low, high = (torch.where(movable, (side - X) / self.eps, 0) for side in self.box)
        return Ball(self, X, (low, high))

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
        moved = (X_adv - X).double()
        slack = 4 * torch.finfo(X.dtype).eps * torch.maximum(X.abs(), X_adv.abs()).double()
        beyond = (moved.abs() - slack).clamp(min=0)
        v = torch.where(beyond > 0, beyond / self.eps.double(), 0)
        size = float(self.norm.size(v).max()) if len(v) else 0.0
        if size > 1 + 1e-5:
            raise ValueError(
                f"An attack must stay within eps; found a perturbation of {size:.6g} times eps in "
                f"the norm {self.norm.name}."
            )
        if self.box is not None and ((X_adv < self.box[0]) | (X_adv > self.box[1])).any():
            raise ValueError("An attack must stay within bounds; found a point outside of them.")


def budget_of(
    X: Tensor,
    eps: FeatureValues | None,
    norm: str | float | Norm,
    bounds: tuple[FeatureValues, FeatureValues] | None,
    immutable: FeatureValues | None,
    one_hot: OneHot | None,
    max_flips: int,
) -> Budget:
    """Budget of units of eps, or of each feature's own units where eps sets no limit."""
    return Budget.of(
        X, eps=1.0 if eps is None else eps, norm=norm, bounds=bounds, immutable=immutable,
        one_hot=one_hot, max_flips=max_flips,
    )  # fmt: skip


@dataclass(frozen=True)
class Ball:
    r"""Balls of a budget around rows of X, in coordinates :math:`v = (x - X) / \varepsilon`.

    Parameters
    ----------
    budget : Budget
    X : Tensor of shape (n, ...)
        The centres.
    box : pair of Tensor of shape (n, ...), or None
        The bounds in the coordinates v.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.budget import Budget
    >>> X = torch.zeros(1, 2)
    >>> Budget.of(X, eps=torch.tensor([1.0, 0.0])).around(X).point(torch.ones(1, 2))
    tensor([[1., 0.]])
    """

    budget: Budget
    X: Tensor
    box: tuple[Tensor, Tensor] | None

    def random(self, generator: torch.Generator) -> Tensor:
        """Uniform draw from each ball, moved into the box; generator on the CPU."""
        shape, dtype = tuple(self.X.shape), self.X.dtype
        v = self.budget.norm.random(shape, generator, dtype).to(self.X.device)
        return self.boxed(torch.where(self.budget.eps > 0, v, 0))

    def step(self, v: Tensor, gradient: Tensor, length: float | Tensor, step: int = 0) -> Tensor:
        """Move v by a step of the length, then back into the ball and the box.

        The length is one number, or one for each row (of shape (n, 1, ...)). The gradient is
        taken with respect to X.
        """
        return self.ascend(v, gradient * self.budget.eps, length, step)

    def ascend(self, v: Tensor, slope: Tensor, length: float | Tensor, step: int = 0) -> Tensor:
        """Move v as :meth:`step` does, along a gradient with respect to the coordinates v."""
        return self.budget.norm.projected_step(v, slope, length, step, self.box)

    def project(self, v: Tensor) -> Tensor:
        """Coordinates moved into the ball and the box."""
        norm = self.budget.norm
        return norm.project(v) if self.box is None else norm.project_into(v, *self.box)

    def leap(self, gradient: Tensor) -> Tensor:
        """Full-length steepest step from the centre, moved into the box."""
        slope, norm = gradient * self.budget.eps, self.budget.norm
        return norm.steepest(slope) if self.box is None else norm.farthest(slope, *self.box)

    def point(self, v: Tensor) -> Tensor:
        """Points of the coordinates v."""
        x = self.X + v * self.budget.eps
        return x if self.budget.box is None else x.clamp(*self.budget.box)

    def point_within(self, v: Tensor) -> Tensor:
        """Points of the coordinates v, rounded towards X so that none leaves the ball.

        Half a unit in the last place matters where eps is small beside X; as it costs as
        much as a small network, only the points that are handed back are rounded.
        """
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
        """Balls of the rows that a mask or an index selects."""
        box = None if self.box is None else (self.box[0][keep], self.box[1][keep])
        return Ball(self.budget, self.X[keep], box)

    def boxed(self, v: Tensor) -> Tensor:
        """Coordinates moved into the box alone."""
        # X lies inside the box, so clipping shortens v entry by entry: it stays in the ball.
        return v if self.box is None else v.clamp(*self.box)
