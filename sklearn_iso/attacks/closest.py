"""Minimum-norm attacks: the closest misclassified point to each row."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_iso.attacks.approach import along_boundaries, nearest, shrinking
from sklearn_iso.attacks.boundary import BoundaryWalk
from sklearn_iso.attacks.budget import Budget, check_points
from sklearn_iso.attacks.climb import Objective
from sklearn_iso.attacks.losses import cross_entropy, margin
from sklearn_iso.attacks.parameters import check_counts
from sklearn_iso.attacks.shrinking import Shrinking
from sklearn_iso.attacks.survivors import Logits, Survivors, check_labels, verdict
from sklearn_iso.modules.ambient import gradients_on
from sklearn_iso.threat import Threat, as_threat


@torch.no_grad()
def distances(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    X_adv: Tensor,
    *,
    threat: Threat = "l2",
    batch_size: int = 1000,
) -> Tensor:
    r"""Return how far each row was moved, infinity where X_adv is not misclassified.

    .. math:: d_i = \|(x_i' - x_i) / u\|

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), or to labels (n,).
    X, X_adv : Tensor of shape (n, ...)
        Points before and after an attack.
    y : Tensor of shape (n,), integers
    threat : ThreatModel, or the name of a norm
        Norm, units and what must stay, see :class:`sklearn_iso.ThreatModel`. Another category
        adds nothing to the distance; a sample of which an immutable feature moved is infinitely
        far.
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
    budget = Budget.of(X, threat=threat)
    sizes = budget.norm.size(budget.perturbations(X, X_adv))
    for rows in torch.arange(len(X)).split(int(batch_size)) if len(X) else ():
        right = ~verdict(logits(X_adv[rows]), y[rows])
        sizes[rows] = torch.where(right, torch.inf, sizes[rows])
    return sizes


@gradients_on()
def ddn(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float | None = None,
    threat: Threat = "l2",
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
    eps : float or None
        Largest budget, in units of the threat: rows without a misclassified point within it come
        back unchanged. None: no limit.
    threat : ThreatModel of norm "l2", or "l2"
        What the attack may do, see :class:`sklearn_iso.ThreatModel`. Another category adds
        nothing to the distance.
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
        If the norm is not "l2", and as :func:`sklearn_iso.attacks.pgd`.

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
    >>> distances(linear, X, y, X_adv, threat="l2").round(decimals=2)
    tensor([1.4100, 5.6600])
    """
    if as_threat(threat).norm.name != "l2":
        raise ValueError(
            f"threat must be one of norm 'l2' for ddn; got {threat!r}. Pass attack fmn, which "
            "takes every norm."
        )
    check_counts(n_steps=n_steps, n_restarts=n_restarts)
    budget = Budget.of(X, eps=eps, threat=threat)
    hunt = Survivors(logits, X, y, batch_size)
    plan = Shrinking(Objective(hunt.logits, cross_entropy), n_steps, _largest(eps), on_sphere=True)
    return nearest(hunt, budget, shrinking(plan, n_restarts))


def _largest(eps: float | None) -> float:
    return math.inf if eps is None else 1.0


@gradients_on()
def fmn(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float | None = None,
    threat: Threat = "linf",
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
    eps : float or None
        Largest budget, as in :func:`sklearn_iso.attacks.ddn`.
    threat : ThreatModel, or the name of a norm
        What the attack may do, see :class:`sklearn_iso.ThreatModel`.
    n_steps, n_restarts, batch_size
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
    >>> distances(linear, X, y, fmn(linear, X, y), threat="linf").round(decimals=2)
    tensor([1., 4.])
    """
    check_counts(n_steps=n_steps, n_restarts=n_restarts)
    budget = Budget.of(X, eps=eps, threat=threat)
    hunt = Survivors(logits, X, y, batch_size)
    plan = Shrinking(Objective(hunt.logits, margin), n_steps, _largest(eps))
    return nearest(hunt, budget, shrinking(plan, n_restarts))


@gradients_on()
def fab(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float | None = None,
    threat: Threat = "linf",
    n_steps: int = 60,
    n_targets: int = 2,
    batch_size: int = 1000,
) -> Tensor:
    r"""Fast adaptive boundary attack: the closest misclassified point in any of the norms.

    Walks along the linearised boundaries to the nearest wrong classes, see
    :class:`sklearn_iso.attacks.boundary.BoundaryWalk`, each of which ends in half as many steps
    of :func:`sklearn_iso.attacks.fmn` from its closest error, unlike the published attack. It
    finds errors of networks whose slopes mislead an ascent from X.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes).
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float or None
        Largest budget, as in :func:`sklearn_iso.attacks.ddn`.
    threat : ThreatModel, or the name of a norm
        What the attack may do, see :class:`sklearn_iso.ThreatModel`.
    batch_size
        As in :func:`sklearn_iso.attacks.ddn`.
    n_steps : int
        Steps of each walk.
    n_targets : int
        Wrong classes to walk to, those of the nearest linearised boundaries first.

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
    Croce, Hein, Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary Attack,
    ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import distances, fab
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> distances(linear, X, y, fab(linear, X, y), threat="linf").round(decimals=2)
    tensor([1., 4.])
    """
    check_counts(n_steps=n_steps, n_targets=n_targets)
    budget = Budget.of(X, eps=eps, threat=threat)
    hunt = Survivors(logits, X, y, batch_size)
    plan = Shrinking(Objective(hunt.logits, margin), math.ceil(n_steps / 2), _largest(eps))
    walks = along_boundaries(BoundaryWalk(hunt.logits, n_steps), plan, n_targets)
    return nearest(hunt, budget, walks)
