"""Minimum-norm attacks: the closest misclassified point to each row."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_iso.attacks.budget import (
    Ball,
    Budget,
    FeatureValues,
    check_points,
    feature_values,
)
from sklearn_iso.attacks.categories import Categories, OneHot, columns_of_group, groups_of
from sklearn_iso.attacks.climb import Objective
from sklearn_iso.attacks.losses import cross_entropy, margin
from sklearn_iso.attacks.parameters import check_counts
from sklearn_iso.attacks.shrinking import Shrinking, nearest_boundaries, pull_back
from sklearn_iso.attacks.survivors import Logits, Survivors, check_labels, verdict
from sklearn_iso.geometry.norms import Norm, get_norm

N_TARGETS = 9


@torch.no_grad()
def distances(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    X_adv: Tensor,
    *,
    eps: FeatureValues = 1.0,
    norm: str | float | Norm = "l2",
    one_hot: OneHot | None = None,
    batch_size: int = 1000,
) -> Tensor:
    r"""Return how far each row was moved, infinity where X_adv is not misclassified.

    .. math:: d_i = \|(x_i' - x_i) / \varepsilon\|

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), or to labels (n,).
    X, X_adv : Tensor of shape (n, ...)
        Points before and after an attack.
    y : Tensor of shape (n,), integers
    eps : float, or array of the shape of a row
        Unit of each feature; no feature with eps 0 may have moved.
    norm : {"linf", "l2", "l1"}, {numpy.inf, 2, 1} or Norm
    one_hot : list of column numbers for each group, or None
        Columns that do not count, as a flip is no matter of distance.
    batch_size : int

    Returns
    -------
    Tensor of shape (n,), of the dtype of X

    Raises
    ------
    ValueError
        If X and X_adv are no finite points of one shape, y no labels, or a parameter is out of
        its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import distances
    >>> X, X_adv = torch.tensor([[1.0, 0.0], [9.0, 0.0]]), torch.tensor([[-2.0, 4.0], [6.0, 4.0]])
    >>> distances(lambda x: torch.stack([x[:, 0], -x[:, 0]], 1), X, torch.tensor([0, 0]), X_adv)
    tensor([5., inf])
    """
    check_counts(batch_size=batch_size)
    for points in (X, X_adv):
        check_points(points)
    if X.shape != X_adv.shape:
        raise ValueError(
            f"X and X_adv must have one shape; got {tuple(X.shape)} and {tuple(X_adv.shape)}."
        )
    y = check_labels(y, len(X)).to(X.device)
    moved = X_adv - X
    v = torch.where(moved == 0, 0, moved / feature_values(eps, "eps", X).to(X))
    for group in groups_of(one_hot):
        v[:, columns_of_group(group, v.shape[1])] = 0
    sizes = get_norm(norm).size(v)
    for rows in torch.arange(len(X)).split(int(batch_size)) if len(X) else ():
        right = ~verdict(logits(X_adv[rows]), y[rows])
        sizes[rows] = torch.where(right, torch.inf, sizes[rows])
    return sizes


def _nearest(hunt: Survivors, budget: Budget, plan: Shrinking, n_starts: int) -> Tensor:
    """Closest errors of the rows that hunt has alive; of the others X itself."""
    if budget.is_zero:
        return hunt.X_adv
    objective = Objective(hunt.logits, margin)
    closest = torch.full_like(hunt.best_loss, torch.inf)
    groups, targets = budget.categories, hunt.ranking
    targets = targets[:, :N_TARGETS]
    hunt.centres = hunt.centres.clone()
    for n_flips in range(1 + (groups.max_flips if groups is not None else 0)):
        for rows in hunt.batches():
            y = hunt.y[rows]
            if groups is not None and n_flips:
                hunt.centres[rows] = _flipped(groups, objective, hunt.centres[rows], y)
            ball = budget.around(hunt.centres[rows])
            points, sizes = _approach(plan, objective, ball, y, targets[rows], n_starts)
            closer = sizes < closest[rows]
            hunt.X_adv[rows[closer]] = points[closer]
            closest[rows[closer]] = sizes[closer]
    return hunt.X_adv


def _flipped(groups: Categories, objective: Objective, x: Tensor, y: Tensor) -> Tensor:
    return groups.best_flip(x, lambda flipped: objective.value(flipped, y)[0])


def _approach(
    plan: Shrinking, objective: Objective, ball: Ball, y: Tensor, targets: Tensor, n_starts: int
) -> tuple[Tensor, Tensor]:
    """Closest errors over walks from several boundaries, and their sizes (infinity for none)."""
    best, closest = ball.centre(), torch.full((len(y),), torch.inf, dtype=ball.X.dtype)
    closest = closest.to(ball.X.device)
    for start in nearest_boundaries(objective, ball, y, targets, n_starts):
        v, sizes = plan.walk(ball, y, start)
        closer = sizes < closest
        best[closer], closest[closer] = v[closer], sizes[closer]
    _, already = objective.value(ball.X, y)
    best[already], closest[already] = 0, 0
    points, errors = pull_back(objective, ball, y, best, plan.largest)
    v = torch.where(points == ball.X, 0, (points - ball.X) / ball.budget.eps)
    return points, torch.where(errors, ball.budget.norm.size(v), torch.inf)


def ddn(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: FeatureValues | None = None,
    norm: str | float | Norm = "l2",
    bounds: tuple[FeatureValues, FeatureValues] | None = None,
    immutable: FeatureValues | None = None,
    one_hot: OneHot | None = None,
    max_flips: int = 1,
    n_steps: int = 50,
    n_restarts: int = 2,
    batch_size: int = 1000,
) -> Tensor:
    r"""Decoupled direction and norm: the closest misclassified point in the Euclidean norm.

    .. math:: v \leftarrow \rho \, u(v + \alpha_t \rho \, u(\nabla \ell)), \qquad
              \rho \leftarrow (1 \mp \gamma_t) |v|, \qquad u(a) = a / |a|

    The radius shrinks where the point is misclassified and grows where it is not. Unlike the
    published attack it starts at the linearised boundaries of the nearest classes, which set the
    scale, anneals gamma, and ends with a bisection towards X.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes).
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float, array of the shape of a row, or None
        Largest budget: rows without a misclassified point within it come back unchanged. One
        value for each feature sets the units too, in which the closest point is sought. None:
        no limit, and each feature in its own units.
    norm : "l2"
    bounds : (low, high), or None
        Box that holds X, each side a number or one for each feature.
    immutable, one_hot, max_flips
        As in :func:`sklearn_iso.attacks.pgd`. A flip adds nothing to the distance.
    n_steps : int
        Steps of each walk.
    n_restarts : int
        Walks, from the linearised boundaries of as many nearest classes. Two walks of 50 steps
        find closer errors than one of 100.
    batch_size : int
        Most rows that logits sees at once.

    Returns
    -------
    Tensor of the shape of X
        Closest misclassified points. Rows that are misclassified already, and rows for which
        none was found, come back unchanged: :func:`sklearn_iso.attacks.distances` tells them
        apart.

    Raises
    ------
    ValueError
        If norm is not "l2", and as :func:`sklearn_iso.attacks.pgd`.

    References
    ----------
    Rony et al., Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial
    Attacks and Defenses, CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import ddn, distances
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> X_adv = ddn(linear, X, y)
    >>> distances(linear, X, y, X_adv, norm="l2").round(decimals=2)
    tensor([1.4100, 5.6600])
    """
    if get_norm(norm).name != "l2":
        raise ValueError(
            f"norm must be 'l2' for ddn; got {norm!r}. Pass attack fmn, which takes every norm."
        )
    check_counts(n_steps=n_steps, n_restarts=n_restarts)
    budget = budget_of(X, eps, norm, bounds, immutable, one_hot, max_flips)
    plan = Shrinking(Objective(logits, cross_entropy), n_steps, _largest(eps), on_sphere=True)
    return _nearest(Survivors(logits, X, y, batch_size), budget, plan, n_restarts)


def _largest(eps: FeatureValues | None) -> float:
    return math.inf if eps is None else 1.0


def fmn(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: FeatureValues | None = None,
    norm: str | float | Norm = "linf",
    bounds: tuple[FeatureValues, FeatureValues] | None = None,
    immutable: FeatureValues | None = None,
    one_hot: OneHot | None = None,
    max_flips: int = 1,
    n_steps: int = 50,
    n_restarts: int = 2,
    batch_size: int = 1000,
) -> Tensor:
    r"""Fast minimum-norm attack: the closest misclassified point in any of the norms.

    .. math:: v \leftarrow \Pi_{\|v\| \le \rho} (v + \alpha_t \rho \, u(\nabla m)), \qquad
              \rho \leftarrow (1 \mp \gamma_t) \|v\|

    with the margin m. Until a row is misclassified for the first time its radius is the
    linearised distance; then it shrinks at errors and grows elsewhere. Unlike the published
    attack it starts at the linearised boundaries of the nearest classes and ends with a bisection
    towards X.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes).
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float, array of the shape of a row, or None
        Largest budget, as in :func:`sklearn_iso.attacks.ddn`.
    norm : {"linf", "l2", "l1"}, {numpy.inf, 2, 1} or Norm
    bounds : (low, high), or None
        Box that holds X, each side a number or one for each feature.
    immutable, one_hot, max_flips, n_steps, n_restarts, batch_size
        As in :func:`sklearn_iso.attacks.ddn`.

    Returns
    -------
    Tensor of the shape of X
        Closest misclassified points. Rows that are misclassified already, and rows for which
        none was found, come back unchanged: :func:`sklearn_iso.attacks.distances` tells them
        apart.

    Raises
    ------
    ValueError
        As :func:`sklearn_iso.attacks.pgd`.

    References
    ----------
    Pintor, Roli, Brendel, Biggio, Fast Minimum-norm Adversarial Attacks through Adaptive Norm
    Constraints, NeurIPS 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import distances, fmn
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> distances(linear, X, y, fmn(linear, X, y), norm="linf").round(decimals=2)
    tensor([1., 4.])
    """
    check_counts(n_steps=n_steps, n_restarts=n_restarts)
    budget = budget_of(X, eps, norm, bounds, immutable, one_hot, max_flips)
    plan = Shrinking(Objective(logits, margin), n_steps, _largest(eps))
    return _nearest(Survivors(logits, X, y, batch_size), budget, plan, n_restarts)


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
