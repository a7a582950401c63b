"""Proofs in cases: piecewise linear units on one side of 0 or the other (branch and bound)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._certificates.bounds import NetworkBounds
from sklearn_iso.modules._nodes import dot

#: Cases that are bounded at once.
N_CASES = 32
#: Steps of ascent on the slopes and multipliers of each case, and their length.
N_STEPS, LEARNING_RATE = 20, 0.1
#: Steps where no unit is left to split.
N_LAST_STEPS = 300


@dataclass(frozen=True, eq=False)
class Cases:
    """Cases of one question, each with some units on one side of 0.

    Parameters
    ----------
    sides : dict of int to Tensor of shape (n_cases, *shape)
        By the number of the operation before an activation: 1 where it is at least 0, -1 where
        it is at most 0, 0 where it may be both.
    slopes : dict of int to Tensor of shape (n_cases, 1, *shape)
        Of the lower lines of each activation.
    multipliers : dict of int to Tensor of shape (n_cases, 1, *shape)
        How much each known side counts, in units of the rows; not negative.
    least : Tensor of shape (n_cases,)
        What is proven in each case.
    """

    sides: dict[int, Tensor]
    slopes: dict[int, Tensor]
    multipliers: dict[int, Tensor]
    least: Tensor

    def take(self, index: Tensor) -> Cases:
        """Return some of the cases."""
        sides, slopes, multipliers = (
            {number: values[index] for number, values in part.items()}
            for part in (self.sides, self.slopes, self.multipliers)
        )
        return Cases(sides, slopes, multipliers, self.least[index])

    def with_more(self, other: Cases) -> Cases:
        """Return these and other cases."""
        sides, slopes, multipliers = (
            {number: torch.cat([mine[number], more[number]]) for number in mine}
            for mine, more in (
                (self.sides, other.sides),
                (self.slopes, other.slopes),
                (self.multipliers, other.multipliers),
            )
        )
        return Cases(sides, slopes, multipliers, torch.cat([self.least, other.least]))


class Ascent:
    """Adam, which torch's own takes seconds to import for, at any scale.

    Parameters
    ----------
    values : sequence of Tensor
        Changed in place.
    """

    def __init__(self, values: Sequence[Tensor]) -> None:
        self.values = values
        self.means = [torch.zeros_like(value) for value in values]
        self.squares = [torch.zeros_like(value) for value in values]
        self.n_steps = 0

    def step(self, least: Tensor, length: float) -> None:
        """Take a step that makes numbers larger."""
        self.n_steps += 1
        gradients = torch.autograd.grad(least.sum(), self.values, materialize_grads=True)
        parts = zip(self.values, gradients, self.means, self.squares, strict=True)
        for value, gradient, mean, square in parts:
            mean.lerp_(gradient, 0.1)
            square.lerp_(gradient.square(), 0.001)
            size = (square / (1 - 0.999**self.n_steps)).sqrt().clamp_min(1e-150)
            value.data.add_(mean / size, alpha=length / (1 - 0.9**self.n_steps))


class Branching:
    r"""The least of a row of the output of a network in the ball of one sample, in cases.

    In each case the sides :math:`s_i` of some units are known, and for any multipliers
    :math:`\beta \ge 0`

    .. math:: \min_{s_i z_i \ge 0} a^T f \ge \min \big( a^T f - \sum_i \beta_i s_i z_i \big)

    where the right side is bounded by linear functions, whose slopes and multipliers gradient
    ascent chooses. The case with the least bound is split in two, until all bounds are positive.

    Parameters
    ----------
    root : NetworkBounds
        Of one sample.
    row : Tensor of shape (1, 1, n_outputs)

    References
    ----------
    S. Wang et al., "Beta-CROWN: Efficient Bound Propagation with Per-neuron Split Constraints for
    Neural Network Robustness Verification", NeurIPS 2021; R. Bunel et al., "Branch and Bound for
    Piecewise Linear Neural Network Verification", JMLR 2020.
    """

    def __init__(self, root: NetworkBounds, row: Tensor) -> None:
        self.root, self.row = root, row.double()
        #: Activations that bend, by their number: that of the operation before.
        self.before = {
            number: before
            for number in root.bent_ramps()
            if (before := root.graph.node(number).inputs[0])
        }
        seen: dict[int, Tensor] = {}
        root.graph.backward(self.row, root.graph.last, root.bounds, seen=seen)
        #: In which unit multipliers are: that of the rows that they are added to.
        self.unit = {
            before: float(seen[before].abs().max()) if before in seen else 1.0
            for before in self.before.values()
        }

    def least(self, deadline: float) -> float:
        """Return a lower bound, positive if one is found until ``time.monotonic() > deadline``."""
        cases, scores, broken = self._improved(self._whole())
        closed = torch.inf
        while not broken:
            done = cases.least > 0
            closed = min(closed, float(cases.least[done].min())) if done.any() else closed
            cases, scores = cases.take(~done), scores[~done]
            if done.all():
                return closed
            if time.monotonic() > deadline:
                break
            worst = cases.least.argsort()[:N_CASES]
            whole = worst[scores[worst].amax(1) <= 0]
            if len(whole):
                parts, more, broken = self._improved(cases.take(whole), N_LAST_STEPS)
                worst = whole
                if (parts.least <= 0).any():
                    break
            else:
                parts, more, broken = self._improved(self._split(cases.take(worst), scores[worst]))
            rest = torch.ones(len(cases.least), dtype=torch.bool)
            rest[worst] = False
            cases = cases.take(rest).with_more(parts)
            scores = torch.cat([scores[rest], more])
        return min(closed, float(cases.least.min()))

    def _whole(self) -> Cases:
        """Return the one case in which no side is known."""
        sides, slopes, multipliers = {}, {}, {}
        for number, before in self.before.items():
            low, high = self.root.bounds[before]
            sides[before] = torch.zeros_like(low)
            slopes[number] = (high > -low).double()[:, None]
            multipliers[before] = torch.zeros_like(low)[:, None]
        return Cases(sides, slopes, multipliers, torch.full((1,), -torch.inf))

    def _split(self, cases: Cases, scores: Tensor) -> Cases:
        """Return both halves of each case, split at the unit of the largest score."""
        chosen = scores.argmax(1).repeat(2)
        both = cases.take(torch.arange(len(scores)).repeat(2))
        start, side = 0, torch.tensor([1.0, -1.0]).repeat_interleave(len(scores)).double()
        for before, known in both.sides.items():
            flat, place = known.flatten(1), chosen - start
            inside = (place >= 0) & (place < flat.shape[1])
            flat[inside, place[inside]] = side[inside]
            both.sides[before] = flat.reshape(known.shape)
            start += flat.shape[1]
        return both

    def _improved(self, cases: Cases, n_steps: int = N_STEPS) -> tuple[Cases, Tensor, bool]:
        """Return cases with closer bounds, what units are worth a split, and if one is an error."""
        bounds = self._bounds(cases)
        slopes = {n: v.clone().requires_grad_() for n, v in cases.slopes.items()}
        multipliers = {n: v.clone().requires_grad_() for n, v in cases.multipliers.items()}
        ascent = Ascent([*slopes.values(), *multipliers.values()])
        best, seen = cases.least, dict[int, Tensor]()
        for step in range(n_steps + 1):
            with torch.enable_grad():
                added = {
                    n: -self.unit[n] * v * cases.sides[n][:, None] for n, v in multipliers.items()
                }
                seen, least, nearest = self._linear(bounds, slopes, added)
            finite = torch.where(least.isfinite(), least, -torch.inf).detach()
            best = torch.maximum(best, finite)
            if step == n_steps or (best > 0).all():
                break
            ascent.step(least, LEARNING_RATE * (1 - step / n_steps))
            for value in slopes.values():
                value.data.clamp_(0, 1)
            for value in multipliers.values():
                value.data.clamp_(min=0)
        kept = Cases(
            cases.sides,
            {n: v.detach() for n, v in slopes.items()},
            {n: v.detach() for n, v in multipliers.items()},
            best,
        )
        return kept, self._scores(bounds, seen, kept), self._is_error(nearest)

    def _bounds(self, cases: Cases) -> list[tuple[Tensor, Tensor]]:
        bounds = list(self.root.bounds)
        for before, side in cases.sides.items():
            low, high = bounds[before]
            low, high = low.expand(side.shape), high.expand(side.shape)
            bounds[before] = (
                torch.where(side > 0, low.clamp_min(0), low),
                torch.where(side < 0, high.clamp_max(0), high),
            )
        return bounds

    def _linear(
        self,
        bounds: Sequence[tuple[Tensor, Tensor]],
        slopes: dict[int, Tensor],
        added: dict[int, Tensor],
    ) -> tuple[dict[int, Tensor], Tensor, Tensor]:
        """Return the rows of all operations, bounds (n_cases,), and points that attain them."""
        seen: dict[int, Tensor] = {}
        graph, errors = self.root.graph, self.root.errors
        A, constant = graph.backward(
            self.row, graph.last, bounds, errors, slopes, added=added, seen=seen
        )
        if not A.requires_grad:
            A = A.detach().requires_grad_()
        in_ball = self.root.ball.lowest(A)
        (nearest,) = torch.autograd.grad(in_ball.sum(), A, retain_graph=True)
        least = (in_ball + constant - dot(A.abs(), errors[0]))[:, 0]
        return seen, least, nearest[:, 0]

    def _scores(
        self, bounds: Sequence[tuple[Tensor, Tensor]], seen: dict[int, Tensor], cases: Cases
    ) -> Tensor:
        """Return by how much the lines of each unit may be off, (n_cases, n_units)."""
        found = []
        for number, before in self.before.items():
            low, high = bounds[before]
            bends = (low < 0) & (high > 0)
            A = seen[number].detach()[:, 0] if number in seen else torch.zeros_like(low)
            above = -low * high / torch.where(bends, high - low, 1)
            slope = cases.slopes[number][:, 0]
            below = torch.maximum(-slope * low, (1 - slope) * high)
            gap = torch.where(A < 0, -A * above, A * below + 1e-12 * above)
            found.append(torch.where(bends, gap, 0).flatten(1))
        return torch.cat(found, dim=1) if found else torch.zeros(len(cases.least), 1)

    def _is_error(self, points: Tensor) -> bool:
        """Return whether the row is not positive at one of some points: no proof can be found."""
        outputs = self.root.graph.intervals(points, points)[-1][0]
        return bool((dot(self.row, outputs) <= 0).any())


def branched_margin(bounds: NetworkBounds, y: Tensor, deadline: float) -> float:
    """Return a lower bound of the smallest margin of one sample, by cases where it takes them.

    Parameters
    ----------
    bounds : NetworkBounds
        Of one sample.
    y : Tensor of shape (1,)
    deadline : float
        In seconds of ``time.monotonic()``.

    Examples
    --------
    >>> import time, torch
    >>> from torch import nn
    >>> from sklearn_iso._certificates.balls import Ball
    >>> from sklearn_iso._certificates.bounds import NetworkBounds
    >>> from sklearn_iso._certificates.branching import branched_margin
    >>> from sklearn_iso._geometry.norms import get_norm
    >>> from sklearn_iso.modules._intervals import graph_of
    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    >>> X = torch.zeros(1, 2).double()
    >>> y, ball = net(X).argmax(1), Ball.around(X, torch.full_like(X, 0.1), get_norm("linf"))
    >>> bounds = NetworkBounds(graph_of(net, (2,)), ball)
    >>> branched_margin(bounds, y, time.monotonic() + 1) >= bounds.margins(y).min().item()
    True
    """
    margins = bounds.margins(y)[0]
    if not bounds.finite or not bounds.bent_ramps():
        return float(margins.min())
    identity = torch.eye(len(margins), dtype=torch.float64)
    for other in margins.argsort():  # what looks hardest first
        if margins[other] > 0:
            break
        row = (identity[y] - identity[other])[None]
        found = Branching(bounds, row).least(deadline)
        margins[other] = max(float(margins[other]), found)
        if margins[other] <= 0:
            break
    return float(margins.min())
