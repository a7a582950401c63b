"""Check a Lipschitz bound by looking for the pair that breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sklearn_iso._typed import validate_params
from sklearn_iso.attacks._parameters import as_generator
from sklearn_iso.metrics._table import Table
from sklearn_iso.testing._broken import LawBrokenError, shown
from sklearn_iso.testing._images import Map, as_map, images_of
from sklearn_iso.twins import NotDifferentiableError, as_torch
from sklearn_iso.twins._registry import InOwnDtype

#: Shortest pair, in units of the radius: shorter ones lose the digits of their difference.
_GAP = 1e-2
_POWER_STEPS = 5
_QUERIES_A_STEP = 4  # without gradients
_ROUNDINGS = 4  # of the images of a pair, which are no expansion

#: Points to their images, one sample of numbers each.
Images = Callable[[NDArray], NDArray]


@validate_params(
    {
        "bound": [Interval(Real, 0, None, closed="left")],
        "radius": [Interval(Real, 0, None, closed="neither")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "n_starts": [Interval(Integral, 1, None, closed="left")],
        "rtol": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=False,
)
def check_lipschitz(
    estimator: Map,
    X: ArrayLike,
    bound: float,
    radius: float,
    *,
    n_steps: int = 50,
    n_starts: int = 2,
    rtol: float = 1e-3,
    random_state: int | None = 0,
) -> float:
    r"""Check that a map expands no pair near the samples of X by more than a bound.

    .. math:: \frac{|f(u) - f(v)|}{|u - v|} \le \mathrm{bound} \qquad
              \text{for all } u, v \text{ with } |u - x| \le r, |v - x| \le r

    The pairs are searched for, not only sampled: both ends follow the gradient of their
    expansion, starting along the direction in which the map is steepest at x and at random.
    Without a differentiable twin the ends move by random steps that are kept where they help.
    No search proves a bound; this one refutes many that random pairs do not.

    Parameters
    ----------
    estimator : fitted transformer, torch module or callable
        Has ``transform``, or maps X to Z itself. Gradients are those of the module, or of the
        twin (:func:`sklearn_iso.twins.as_torch`); every pair is measured by the estimator
        itself, less the rounding of the images.
    X : array-like or frame of shape (n_samples, n_features)
    bound : float
        In units of Z over units of X.
    radius : float
        The r, in units of X and in the Euclidean norm.
    n_steps : int, default=50
        Steps of each ascent.
    n_starts : int, default=2
        Ascents for each sample, the first of them along the steepest direction.
    rtol : float, default=1e-3
        Slack of the bound, for the rounding of networks in float32.
    random_state : int or None, default=0

    Returns
    -------
    expansion : float
        The largest found.

    Raises
    ------
    LawBrokenError
        If a pair is expanded by more, with its points, or if a point has no finite image: an
        AssertionError, whose ``pair`` holds the two points.
    ValueError
        If X is not finite, or a parameter is out of its range; if the radius is so small or so
        large that no pair can be measured.

    References
    ----------
    K. Scaman, A. Virmaux, "Lipschitz regularity of deep neural networks: analysis and
    efficient estimation", NeurIPS 2018: the exact constant is NP-hard to find.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso.testing import check_lipschitz
    >>> X = np.array([[0.0, 0.0], [2.0, 8.0]])
    >>> scaler = StandardScaler().fit(X)
    >>> round(check_lipschitz(scaler, X, bound=1.0, radius=0.5), 6)
    1.0
    >>> check_lipschitz(scaler, X, bound=0.9, radius=0.5)
    Traceback (most recent call last):
    sklearn_iso.testing._broken.LawBrokenError: No pair may be expanded by more than 0.9; ...
    """
    rows = check_array(X, dtype=[np.float64, np.float32], input_name="X").astype(np.float64)
    images = _images(estimator, X)
    images(rows)  # an estimator that refuses X says so itself
    generator = as_generator(random_state)
    search = _Search(torch.from_numpy(rows), float(radius), generator)
    twin = _twin(estimator)
    found, worst = -np.inf, (rows[0], rows[0], 0)
    for start in range(n_starts):
        if twin is None:
            u, v = search.wander(_tensors(images), n_steps)
        else:
            u, v = search.climb(twin, n_steps, steepest=start == 0)
        for number, (a, b, ratio) in enumerate(_measured(images, u.numpy(), v.numpy())):
            if ratio > found:
                found, worst = ratio, (a, b, number)
    if not np.isfinite(found):
        raise ValueError(
            "radius must leave points near X that can be told apart and whose squares are finite; "
            f"got {radius:g} for coordinates up to {np.abs(rows).max():g}. Scale the features, or "
            "pass another radius."
        )
    if found > bound * (1 + rtol):
        u, v, number = worst
        raise LawBrokenError(
            f"No pair may be expanded by more than {bound:g}; found {found:.6g} within "
            f"{radius:g} of sample {number}, for two points {np.linalg.norm(u - v):.6g} apart.\n"
            f"u: {shown(u)}\nv: {shown(v)}",
            (u, v),
        )
    return found


def _images(estimator: Map, X: ArrayLike) -> Images:
    """Return the map on arrays, which hands on frames where X is one."""
    function, table = as_map(estimator), Table(X)
    return lambda points: images_of(function, table.with_values(points), points)


def _twin(estimator: Map) -> Callable[[Tensor], Tensor] | None:
    """Return the differentiable map in float64, where near points keep their difference."""
    if isinstance(estimator, nn.Module):
        return InOwnDtype(copy.deepcopy(estimator).double())
    if not (hasattr(estimator, "transform") and hasattr(estimator, "__sklearn_tags__")):
        return None  # a function, or a class that only looks like an estimator
    try:
        return as_torch(estimator, transform=True).double()
    except NotDifferentiableError:
        return None


def _tensors(images: Images) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.from_numpy(images(x.numpy()).astype(np.float64))


def _measured(images: Images, u: NDArray, v: NDArray) -> list[tuple[NDArray, NDArray, float]]:
    """Return the pairs with their expansion, taken from the estimator itself."""
    Z = images(np.concatenate([u, v]))
    if Z.dtype == np.float32:
        # A network in float32 reads X so: the distance is that of what it read.
        u, v = u.astype(np.float32), v.astype(np.float32)
        Z = images(np.concatenate([u, v]))
    resolution = np.finfo(Z.dtype if Z.dtype.kind == "f" else np.float64).eps
    Z = Z.astype(np.float64)
    f_u, f_v = Z[: len(u)], Z[len(u) :]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        rounding = _ROUNDINGS * resolution * (_length(f_u) + _length(f_v))
        ratios = np.maximum(_length(f_u - f_v) - rounding, 0) / _length(u.astype(np.float64) - v)
        # A pair that rounding has merged is none.
        ratios[(u == v).all(axis=1)] = np.nan
    return [(u[k], v[k], float(ratios[k])) for k in range(len(u))]


def _length(rows: NDArray) -> NDArray:
    length: NDArray = np.linalg.norm(rows, axis=1)
    return length


@dataclass
class _Search:
    """Pairs of points within a ball around each sample, and two ways to make them worse."""

    X: Tensor
    radius: float
    generator: torch.Generator

    def climb(
        self, f: Callable[[Tensor], Tensor], n_steps: int, *, steepest: bool
    ) -> tuple[Tensor, Tensor]:
        """Follow the gradient of the logarithm of the expansion."""
        u, v = self._steepest_pair(f) if steepest else self._random_pair()
        best, kept = _log_expansion(f, u, v).detach(), (u, v)
        for step in range(n_steps):
            length = 0.5 * self.radius * (n_steps - step) / n_steps
            u, v = u.detach().requires_grad_(), v.detach().requires_grad_()
            with torch.enable_grad():
                value = _log_expansion(f, u, v)
                moves = torch.autograd.grad(value.sum(), (u, v))
            u, v = self._inside(
                *(p.detach() + length * _unit(g) for p, g in zip((u, v), moves, strict=True))
            )
            best, kept = _better(best, kept, _log_expansion(f, u, v).detach(), (u, v))
        return kept

    def wander(self, f: Callable[[Tensor], Tensor], n_steps: int) -> tuple[Tensor, Tensor]:
        """Take random steps, ever shorter, and keep those that help."""
        kept = self._random_pair()
        best = _log_expansion(f, *kept)
        for step in range(_QUERIES_A_STEP * n_steps):
            length = self.radius * 0.01 ** (step / (_QUERIES_A_STEP * n_steps))
            tried = self._inside(*(p + length * _unit(self._normal()) for p in kept))
            best, kept = _better(best, kept, _log_expansion(f, *tried), tried)
        return kept

    def _random_pair(self) -> tuple[Tensor, Tensor]:
        return self._inside(*(self.X + self.radius * _unit(self._normal()) for _ in range(2)))

    def _steepest_pair(self, f: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return x and a near point in the direction of its largest singular value."""
        direction, gap = _unit(self._normal()), _GAP * self.radius
        for _ in range(_POWER_STEPS):
            x = self.X.clone().requires_grad_()
            with torch.enable_grad():
                Z = f(x)
                slope = (f(self.X + gap * direction) - Z).detach()
                (back,) = torch.autograd.grad(Z, x, slope)
            direction = torch.where(back.abs().amax(1, True) > 0, _unit(back), direction)
        return self._inside(self.X, self.X + gap * direction)

    def _inside(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Move both ends into the ball, and apart where they are too close."""
        u, v = (self.X + _at_most(p - self.X, self.radius) for p in (u, v))
        gap = _GAP * self.radius
        close = torch.linalg.vector_norm(u - v, dim=1, keepdim=True) < gap
        direction = _unit(torch.where((u == v).all(1, True), self._normal(), v - u))
        # Inwards, where a step outwards would leave the ball.
        outwards = ((u - self.X) * direction).sum(1, keepdim=True) > 0
        direction = torch.where(outwards, -direction, direction)
        return u, torch.where(close, u + gap * direction, v)

    def _normal(self) -> Tensor:
        return torch.randn(self.X.shape, generator=self.generator, dtype=self.X.dtype)


def _log_expansion(f: Callable[[Tensor], Tensor], u: Tensor, v: Tensor) -> Tensor:
    tiny = torch.finfo(u.dtype).tiny
    moved = (f(u) - f(v)).flatten(1).square().sum(1)
    return (moved.clamp_min(tiny).log() - (u - v).square().sum(1).clamp_min(tiny).log()) / 2


def _better(
    best: Tensor, kept: tuple[Tensor, Tensor], value: Tensor, tried: tuple[Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    higher = value > best
    u, v = (torch.where(higher[:, None], new, old) for new, old in zip(tried, kept, strict=True))
    return torch.where(higher, value, best), (u, v)


def _unit(v: Tensor) -> Tensor:
    return v / torch.linalg.vector_norm(v, dim=1, keepdim=True).clamp_min(1e-300)


def _at_most(v: Tensor, size: float) -> Tensor:
    return v * (size / torch.linalg.vector_norm(v, dim=1, keepdim=True).clamp_min(size))
