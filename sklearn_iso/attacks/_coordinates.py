"""A score-based attack: what single features change, added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along, columns_of
from sklearn_iso._geometry.norms import Norm
from sklearn_iso._threat import Threat
from sklearn_iso.attacks._attack import Attack, AttackState, Logits
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._options import QueryOptions
from sklearn_iso.attacks._parameters import RandomState, check_counts, fork_seed
from sklearn_iso.attacks._pointwise import Closest, Pointwise

if TYPE_CHECKING:
    from typing_extensions import Unpack

N_ROUNDS, MOST_PLACES = 3, 8
#: Prices of distance, as shares of the steepest gain, and sizes that a choice may have.
PRICES = tuple(10 ** (-step / 8) for step in range(33))
SMALLEST_COST = 1e-2
REACHES = (1.0, 0.8, 1.3, 1.8)


@dataclass(frozen=True, kw_only=True, repr=False)
class Coordinates(Attack):
    r"""Add up what changes of single features do to the margin, and bring errors back.

    .. math:: \max_t \sum_j g_j(t_j) - \lambda \, |t_j|^p, \qquad
              g_j(t) = m(x + v + (t - v_j) \, \varepsilon_j e_j) - m(x + v)

    The margin m is asked for at several places of every feature, or of some features where
    there are too many. If it were a sum of functions of single features, as that of binned or
    boosted features is, the best change within the budget would be that of a knapsack problem:
    it is solved for a ladder of prices :math:`\lambda` of distance, and asked for. The best
    answer is where the next round starts. An error beyond the budget is brought back feature by
    feature, as in :class:`sklearn_iso.attacks.RayS`. Each sample comes back as a misclassified
    point, or else as its point of the largest margin.

    Parameters
    ----------
    n_queries : int, default=500
        Points of each sample that scores sees.
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Schott, Rauber, Bethge, Brendel, Towards the First Adversarially Robust Neural Network Model
    on MNIST, ICLR 2019 (pointwise attack).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import Coordinates
    >>> steps = lambda x: (2 * (x > 0.5)).double().sum(dim=1) - 3
    >>> scores = lambda x: torch.stack([-steps(x), steps(x)], dim=1)
    >>> X, y = torch.tensor([[0.4, 0.0, 0.3, 0.45]]), torch.tensor([0])
    >>> Coordinates()(scores, X, y, eps=0.2, threat="l2", random_state=0)[0] > 0.5
    tensor([ True, False, False,  True])
    """

    name = "coordinates"
    asks: ClassVar[str] = "scores"

    n_queries: int = 500

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_queries=self.n_queries)

    @torch.no_grad()
    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust, and record what comes of it."""
        seed, objective = fork_seed(generator), state.objective(margin)
        for _ in () if budget.is_zero else state.rounds(budget.categories, objective.value):
            for rows in state.batches() if bool((budget.eps > 0).any()) else ():
                # Every batch draws the same, so that no sample depends on how many there are.
                own = torch.Generator().manual_seed(seed)
                ball, y = budget.around(state.centres[rows]), state.y[rows]
                scan = Scan(objective, ball, y, state.batch_size, own)
                scan.run(self.n_queries)
                wrong = scan.found.size <= 1
                v = torch.where(along(wrong, scan.v), scan.found.v, scan.v)
                state.record(rows, scan.found.points(v), scan.level, wrong)


def coordinates(
    scores: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    random_state: RandomState = None,
    **parameters: Unpack[QueryOptions],
) -> Tensor:
    """Attack by what single features change, :class:`Coordinates`, in one call.

    Parameters
    ----------
    scores : callable
        Maps points of shape (n, ...) to logits, decision values or probabilities of shape
        (n, n_classes).
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the scores.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm, default="linf"
        What the attack may do.
    random_state : int, numpy generator, torch.Generator or None, default=None
        Draws the points that are asked about; None takes fresh entropy.
    **parameters
        `n_queries`, 500 by default: points of each sample that scores sees; and `batch_size`, 1000:
        the samples that are attacked at a time.

    Returns
    -------
    Tensor of the shape of X
        Adversarial examples, and the sample itself where none was found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import coordinates
    >>> steps = lambda x: (2 * (x > 0.5)).double().sum(dim=1) - 3
    >>> scores = lambda x: torch.stack([-steps(x), steps(x)], dim=1)
    >>> X, y = torch.tensor([[0.4, 0.0, 0.3, 0.45]]), torch.tensor([0])
    >>> coordinates(scores, X, y, eps=0.2, threat="l2", random_state=0)[0] > 0.5
    tensor([ True, False, False,  True])
    """
    attack = Coordinates(**parameters)
    return attack(scores, X, y, eps=eps, threat=threat, random_state=random_state)


@dataclass
class Scan:
    """Rounds of questions about single features.

    Parameters
    ----------
    objective : Objective
    ball : Ball
        Around n samples.
    y : Tensor of shape (n,)
    batch_size : int
    generator : torch.Generator
        On the CPU.

    Attributes
    ----------
    found : Closest
        The closest errors met.
    v, level : Tensor
        Coordinates within the ball of the largest margin met, and that margin.

    Examples
    --------
    See :func:`coordinates`.

    >>> from sklearn_iso.attacks._coordinates import Scan
    >>> Scan.__name__
    'Scan'
    """

    objective: Objective
    ball: Ball
    y: Tensor
    batch_size: int
    generator: torch.Generator

    def __post_init__(self) -> None:
        """Start at the samples."""
        self.found, self.v = Closest.around(self.ball, self.y), self.ball.centre()
        movable = (self.ball.budget.eps > 0).expand(self.ball.X.shape[1:]).reshape(-1)
        self.features = movable.nonzero().squeeze(1)
        self.level = torch.zeros_like(self.found.size)

    def run(self, n_queries: int) -> None:
        """Ask about as many points of each sample, half of them to bring errors back, if any."""
        everyone = torch.arange(len(self.y), device=self.y.device)
        self.level = self._ask(everyone, self.v)
        n_asked, own = 1, torch.Generator().manual_seed(fork_seed(self.generator))
        n_single = n_queries // 2 if self.objective.can_err else n_queries
        for left in range(N_ROUNDS, 0, -1):
            share = (n_single - n_asked) // left - len(REACHES)
            rows = everyone[self.found.size > 1]
            if share < 2 or not len(rows):  # noqa: PLR2004
                break
            n_asked += self._round(rows, share, shifted=left < N_ROUNDS)
        if self.objective.can_err:
            back = Pointwise(self.found, self.objective.logits, own, enough=1.0)
            back.run(n_queries - n_asked)

    def _ask(self, rows: Tensor, v: Tensor) -> Tensor:
        """Margins of some samples at coordinates; errors are noted."""
        some = self.found[rows]
        margins, wrong = self.objective.value(some.points(v), some.y)
        some.offer(v, wrong)
        self.found[rows] = some
        return margins.to(v)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def _round(self, rows: Tensor, share: int, shifted: bool) -> int:
        """Ask about single features, then about what they add up to; return how often."""
        features, places = self._places(share, shifted)
        base = columns_of(self.v[rows])
        values = self._within(rows, features, places.flatten().to(base), places.shape[1])
        gains = self._gains(rows, features, values, places.shape[1])
        gains = gains - self.level[rows, None]
        shape = (len(rows), *places.shape)
        chosen = _choices(
            gains.view(shape), values.view(shape), base, features, self.ball.budget.norm
        )
        for v in chosen:
            v = v.view_as(self.v[rows])
            margins = self._ask(rows, v)
            better = (margins > self.level[rows]) & (self.found.sizes(v) <= 1)
            self.v[rows[better]], self.level[rows[better]] = v[better], margins[better]
        return places.numel() + len(chosen)

    def _places(self, share: int, shifted: bool) -> tuple[Tensor, Tensor]:
        """Features, and signed coordinates of each to ask about, of shape (f, 2 g)."""
        n_features = min(len(self.features), share // 2)
        drawn = self._uniform(len(self.features)).argsort()[:n_features].to(self.features.device)
        n_places = min(MOST_PLACES, share // (2 * n_features))
        steps = torch.arange(1, n_places + 1, dtype=torch.float64)
        shift = self._uniform(n_features, 2, 1) * float(shifted)
        places = (steps - shift) / n_places * torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
        return self.features[drawn], places.flatten(1)

    def _within(self, rows: Tensor, features: Tensor, places: Tensor, n_places: int) -> Tensor:
        """Coordinates of the places of each sample, moved into its box, of shape (n, k)."""
        at = features.repeat_interleave(n_places)
        values = places.expand(len(rows), -1)
        if self.ball.box is None:
            return values
        low, high = (columns_of(side[rows])[:, at] for side in self.ball.box)
        return values.clamp(low, high)

    def _gains(self, rows: Tensor, features: Tensor, values: Tensor, n_places: int) -> Tensor:
        """Margins with one feature at another place, of shape (n, k)."""
        at = features.repeat_interleave(n_places)
        margins, n_together = torch.empty_like(values), max(1, self.batch_size // len(rows))
        for columns in torch.arange(len(at), device=at.device).split(n_together):
            k = len(columns)
            v = columns_of(self.v[rows]).repeat_interleave(k, dim=0)
            v = v.scatter(
                1, at[columns].repeat(len(rows))[:, None], values[:, columns].reshape(-1, 1)
            )
            repeated, v = rows.repeat_interleave(k), v.view(-1, *self.v.shape[1:])
            ball, y = self.ball[repeated], self.y[repeated]
            value, wrong = self.objective.value(Closest.around(ball, y).points(v), y)
            margins[:, columns] = value.to(v).view(-1, k)
            self._note(rows, v.view(len(rows), k, *self.v.shape[1:]), wrong.view(-1, k))
        return margins

    def _note(self, rows: Tensor, v: Tensor, wrong: Tensor) -> None:
        """Offer the closest error of each sample of those at coordinates (n, k, ...)."""
        if not wrong.any():
            return
        some, at = self.found[rows], torch.arange(len(rows), device=rows.device)
        sizes = some.sizes(v.flatten(0, 1)).view_as(wrong)
        nearest = torch.where(wrong, sizes, torch.inf).argmin(dim=1)
        some.offer(v[at, nearest], wrong[at, nearest])
        self.found[rows] = some


def _costs(values: Tensor, norm: Norm) -> Tensor:
    """Return what places of features add to the size, before the root is taken."""
    if norm.order == 0:
        return (values != 0).to(values)
    return values.abs() ** (norm.order if norm.order < torch.inf else 1.0)


def _choices(
    gains: Tensor, values: Tensor, base: Tensor, features: Tensor, norm: Norm
) -> list[Tensor]:
    """Coordinates that combine the best places of all features, one for each reach.

    Parameters
    ----------
    gains, values : Tensor of shape (n, f, g)
        What is gained with a feature at a place, and the coordinate of the place.
    base : Tensor of shape (n, d)
    features : Tensor of shape (f,)
    norm : Norm
    """
    stay = base[:, features, None]
    gains = torch.cat([torch.zeros_like(stay), gains], dim=2)
    values = torch.cat([stay, values], dim=2)
    costs = _costs(values, norm)
    steepest = (gains / costs.clamp(min=SMALLEST_COST)).flatten(1).amax(dim=1)
    chosen = [base.clone() for _ in REACHES]
    for price in PRICES:
        best = (gains - (price * steepest)[:, None, None] * costs).argmax(dim=2, keepdim=True)
        v = base.clone()
        v[:, features] = values.gather(2, best).squeeze(2)
        size = norm.size(v)
        for kept, reach in zip(chosen, REACHES, strict=True):
            kept[size <= reach] = v[size <= reach]
    return chosen[:1] if norm.order == torch.inf else chosen
