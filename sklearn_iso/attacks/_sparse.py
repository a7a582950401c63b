"""Minimum-norm attacks that change as few features as they can."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along, columns_of, room_along
from sklearn_iso._threat import Threat, as_threat
from sklearn_iso.attacks._approach import Approach, nearest
from sklearn_iso.attacks._ascent import Objective
from sklearn_iso.attacks._attack import AttackState, MinimumNormAttack
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._losses import margin, targeted_margin
from sklearn_iso.attacks._parameters import check_counts

#: Of sigma-zero: the smoothness of its count, its first threshold, and how that is adapted.
SIGMA, THRESHOLD, ADAPTION = 1e-3, 0.3, 0.01
#: Most features that the greedy search adds one by one, and that are set back one by one.
MOST_ADDED, MOST_SET_BACK = 40, 100


def check_l0(threat: Threat, name: str) -> None:
    """Raise a ValueError unless a threat counts features.

    Examples
    --------
    >>> from sklearn_iso.attacks._sparse import check_l0
    >>> check_l0("l0", "sigma_zero")
    """
    norm = as_threat(threat).norm.name
    if norm != "l0":
        raise ValueError(
            f"{name} counts the features that change; got a threat of norm {norm!r}. Pass "
            "ThreatModel('l0', bounds=...)."
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class SigmaZero(MinimumNormAttack):
    r"""The fewest features whose change gets a sample misclassified, by gradients.

    .. math:: \min_v \; \max(0, -m(x + v)) + \frac1d \sum_j \frac{v_j^2}{v_j^2 + \sigma}

    with the margin m of the best wrong class. Entries below a threshold are set to 0; it rises
    where the point is misclassified, and falls where it is not. Two other searches begin from X:
    the fewest features that cross the linearised boundary to each wrong class, which is exact
    for linear models, and a greedy one, which adds the feature of the largest gain by the
    gradient where it stands. Of what was found, features are set back one by one where the
    sample stays misclassified, and the point of the fewest is kept.

    Parameters
    ----------
    n_steps : int, default=100
        Steps of the descent.
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the threat has another norm than "l0".

    References
    ----------
    Cina, Villani, Pintor, Schoenherr, Biggio, Pelillo, sigma-zero: Gradient-based Optimization
    of l0-norm Adversarial Examples, ICLR 2025, arXiv 2402.01879.
    Papernot et al., The Limitations of Deep Learning in Adversarial Settings, EuroS&P 2016.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import SigmaZero, distances
    >>> X, y = torch.tensor([[0.9, 0.9, 0.1]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 1.5 - x.sum(1)], dim=1)
    >>> threat = ThreatModel("l0", bounds=(0, 1))
    >>> distances(linear, X, y, SigmaZero()(linear, X, y, threat=threat), threat=threat)
    tensor([2.])
    """

    name = "sigma_zero"

    n_steps: int = 100

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_steps=self.n_steps)

    def check(self, X: Tensor, threat: Threat) -> None:
        """Raise a ValueError unless the threat counts features."""
        check_l0(threat, "SigmaZero")

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Look for the closest errors of the samples."""
        objective = Objective(state.logits, margin)
        before = state.X_adv.clone()
        nearest(state, budget, fewest_features(objective, self.n_steps))
        state.lose((state.X_adv != before).flatten(1).any(dim=1))


def fewest_features(objective: Objective, n_steps: int) -> Approach:
    """Approach by the linear model at X, by one feature after the other, and by sigma-zero."""

    def approach(ball: Ball, y: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        found = Fewest.none(objective, ball, y)
        found.linearised(targets)
        found.greedy()
        found.sigma_zero(n_steps)
        found.set_back()
        return ball.point(found.v), found.size

    return approach


@dataclass
class Fewest:
    """The misclassified points of the fewest changed features, in coordinates of their balls.

    Parameters
    ----------
    objective : Objective
        Of the margin.
    ball : Ball
        Of the norm "l0", around n samples.
    y : Tensor of shape (n,)
    v : Tensor of shape (n, ...)
    size : Tensor of shape (n,)
        Infinity where nothing was found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks._ascent import Objective
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._losses import margin
    >>> from sklearn_iso.attacks._sparse import Fewest
    >>> X, y = torch.tensor([[0.9, 0.9, 0.1]]), torch.tensor([0])
    >>> linear = Objective(lambda x: torch.stack([x.sum(1), 1.5 - x.sum(1)], dim=1), margin)
    >>> ball = Budget.of(X, threat=ThreatModel("l0", bounds=(0, 1))).around(X)
    >>> found = Fewest.none(linear, ball, y)
    >>> found.greedy()
    >>> found.size
    tensor([2.])
    """

    objective: Objective
    ball: Ball
    y: Tensor
    v: Tensor
    size: Tensor

    @classmethod
    def none(cls, objective: Objective, ball: Ball, y: Tensor) -> Fewest:
        """Nothing found yet, but for samples that are misclassified as they are."""
        _, wrong = objective.value(ball.X, y)
        size = torch.where(wrong, 0.0, torch.inf).to(ball.X)
        return cls(objective, ball, y, ball.centre(), size)

    def offer(self, v: Tensor, wrong: Tensor) -> None:
        """Take over points of fewer features, within the budget."""
        norm, limited = self.ball.budget.norm, self.ball.budget.largest
        size = norm.size(v)
        fewer = wrong & (size < self.size) & (size <= limited)
        self.v[fewer], self.size[fewer] = v[fewer], size[fewer]

    def _slope(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        loss, wrong, gradient = self.objective.slope(self.ball.point(v), self.y)
        return loss, wrong, self.ball.slope(gradient)

    def linearised(self, targets: Tensor) -> None:
        """Cross the linearised boundary to each wrong class by the fewest features."""
        targeted, box = Objective(self.objective.logits, targeted_margin), self.box
        for target in targets.unbind(dim=1):
            goals = torch.stack([self.y, target], dim=1)
            loss, _, gradient = targeted.slope(self.ball.X, goals)
            climb = (-loss).clamp(min=0).to(gradient) * (1 + 1e-6)
            v = self.ball.budget.norm.reach(self.ball.slope(gradient), climb, *box)
            self.offer(v, self.objective.value(self.ball.point(v), self.y)[1])

    @property
    def box(self) -> tuple[Tensor, Tensor]:
        """Ends of the box, which the norm "l0" always has."""
        if self.ball.box is None:
            raise ValueError("A count of features needs bounds: how far may one of them go?")
        return self.ball.box

    def greedy(self) -> None:
        """Add the feature of the largest gain by the gradient, one after the other."""
        v = self.ball.centre()
        low, high = self.box
        for _ in range(min(MOST_ADDED, columns_of(v).shape[1])):
            _, wrong, slope = self._slope(v)
            self.offer(v, wrong)
            if wrong.all():
                return
            room = room_along(slope, low, high).masked_fill(v != 0, 0)
            gains = columns_of(room * slope.abs())
            best = gains.argmax(dim=1, keepdim=True)
            ends = columns_of(room.copysign(slope)).gather(1, best)
            ends = torch.where(wrong[:, None], columns_of(v).gather(1, best), ends)
            v = columns_of(v).scatter(1, best, ends).view_as(v)
        self.offer(v, self.objective.value(self.ball.point(v), self.y)[1])

    def sigma_zero(self, n_steps: int) -> None:
        """Descend on the margin and on a smooth count of features, with Adam."""
        v, low_high = self.ball.centre(), self.box
        first, second = torch.zeros_like(v), torch.zeros_like(v)
        threshold = torch.full_like(self.size, THRESHOLD)
        d = columns_of(v).shape[1]
        for step in range(n_steps):
            loss, wrong, slope = self._slope(v)
            self.offer(v, wrong)
            square = v * v
            descent = 2 * v * SIGMA / (square + SIGMA) ** 2 / d
            descent = descent - torch.where(along(loss >= 0, v), 0, slope)
            peak = columns_of(descent).abs().amax(dim=1).clamp(min=torch.finfo(v.dtype).tiny)
            descent = descent / along(peak, v)
            first = 0.9 * first + 0.1 * descent
            second = 0.999 * second + 0.001 * descent * descent
            rate = 0.1 + 0.9 * (1 + math.cos(math.pi * step / n_steps)) / 2
            unbiased = (second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
            moved = v - rate * first / (1 - 0.9 ** (step + 1)) / unbiased
            moved = torch.where(self.ball.budget.eps > 0, moved, 0).clamp(*low_high)
            adapted = torch.where(wrong, 1, -1).to(threshold) * ADAPTION * rate
            threshold = (threshold + adapted).clamp(0, 1)
            v = torch.where(moved.abs() < along(threshold, v), 0, moved)
        self.offer(v, self.objective.value(self.ball.point(v), self.y)[1])

    def set_back(self) -> None:
        """Set features back that are not needed, those of the smallest gain first."""
        known = self.size.isfinite() & (self.size > 0)
        if not known.any():
            return
        _, _, slope = self._slope(self.v)
        gain = columns_of((slope * self.v).abs()).masked_fill(columns_of(self.v) == 0, torch.inf)
        order = gain.argsort(dim=1)
        most = int((columns_of(self.v) != 0).sum(dim=1).max())
        for place in range(min(most, MOST_SET_BACK)):
            v = columns_of(self.v).scatter(1, order[:, place : place + 1], 0.0).view_as(self.v)
            self.offer(v, self.objective.value(self.ball.point(v), self.y)[1] & known)
