"""Minimum-norm attacks: the closest misclassified point to each sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sklearn_iso._threat import Threat, as_threat
from sklearn_iso.attacks._approach import along_boundaries, nearest, shrinking
from sklearn_iso.attacks._attack import AttackState, Logits, MinimumNormAttack
from sklearn_iso.attacks._boundary import BoundaryWalk
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._losses import cross_entropy, margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._options import BoundaryOptions, StepOptions
from sklearn_iso.attacks._parameters import RandomState, check_counts
from sklearn_iso.attacks._shrinking import Shrinking

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True, kw_only=True, repr=False)
class ShrinkingAttack(MinimumNormAttack):
    """Walks whose radius shrinks where a point is misclassified and grows where it is not.

    Parameters
    ----------
    n_steps : int, default=50
        Steps of each walk.
    n_restarts : int, default=2
        Walks, from the linearised boundaries of as many nearest classes. Two walks of 50 steps
        find closer errors than one of 100.
    batch_size : int, default=1000
    """

    n_steps: int = 50
    n_restarts: int = 2

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_steps=self.n_steps, n_restarts=self.n_restarts)

    def plan(self, state: AttackState, largest: float) -> Shrinking:
        """Return how the radius shrinks."""
        return Shrinking(Objective(state.logits, margin), self.n_steps, largest)

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Look for the closest errors of the samples."""
        nearest(state, budget, shrinking(self.plan(state, budget.largest), self.n_restarts))


@dataclass(frozen=True, kw_only=True, repr=False)
class DDN(ShrinkingAttack):
    r"""Decoupled direction and norm: the closest misclassified point in the Euclidean norm.

    .. math:: v \leftarrow \rho \, u(v + \alpha_t \rho \, u(\nabla \ell)), \qquad
              \rho \leftarrow (1 \mp \gamma_t) |v|, \qquad u(a) = a / |a|

    The radius shrinks where the point is misclassified and grows where it is not. Unlike the
    published attack it starts at the linearised boundaries of the nearest classes, which set the
    scale, anneals gamma, and ends with a bisection towards X. Samples that are misclassified
    already, and those for which no error was found, come back unchanged:
    :func:`sklearn_iso.attacks.distances` tells them apart.

    Parameters
    ----------
    n_steps : int, default=50
        Steps of each search.
    n_restarts : int, default=2
        Searches, each from the linearised boundary of another of the nearest classes.
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range, or when called with a threat of another norm.

    References
    ----------
    Rony et al., Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial
    Attacks and Defenses, CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import DDN, distances
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> distances(linear, X, y, DDN()(linear, X, y), threat="l2").round(decimals=2)
    tensor([1.4100, 5.6600])
    """

    name = "ddn"

    def __call__(
        self,
        logits: Logits,
        X: Tensor,
        y: Tensor,
        *,
        eps: float | None = None,
        threat: Threat = "l2",
        random_state: RandomState = None,
    ) -> Tensor:
        """Return the closest misclassified points; the norm is the Euclidean one by default."""
        return super().__call__(logits, X, y, eps=eps, threat=threat, random_state=random_state)

    def check(self, X: Tensor, threat: Threat) -> None:
        """Raise a ValueError where the norm is not the Euclidean one."""
        if as_threat(threat).norm.name != "l2":
            raise ValueError(
                f"threat must be one of norm 'l2' for ddn; got {threat!r}. Pass attack fmn, which "
                "takes every norm."
            )

    def plan(self, state: AttackState, largest: float) -> Shrinking:
        """Return how the radius shrinks."""
        objective = Objective(state.logits, cross_entropy)
        return Shrinking(objective, self.n_steps, largest, on_sphere=True)


def ddn(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float | None = None,
    threat: Threat = "l2",
    **parameters: Unpack[StepOptions],
) -> Tensor:
    """Look for the closest errors by decoupled direction and norm, :class:`DDN`, in one call.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), each sample by itself: put
        modules in evaluation mode.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float, default=None
        Largest distance of an error, in units of the threat; None sets no limit.
    threat : ThreatModel, or the name of a norm, default="l2"
        What the attack may do; of norm "l2".
    **parameters
        `n_steps` of each search, 50 by default, the number of searches `n_restarts`, 2, and
        `batch_size`, 1000: the samples that are attacked at a time.

    Returns
    -------
    Tensor of the shape of X
        The nearest adversarial examples that were found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import ddn, distances
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> distances(linear, X, y, ddn(linear, X, y), threat="l2").round(decimals=2)
    tensor([1.4100, 5.6600])
    """
    return DDN(**parameters)(logits, X, y, eps=eps, threat=threat)


@dataclass(frozen=True, kw_only=True, repr=False)
class FMN(ShrinkingAttack):
    r"""Fast minimum-norm attack: the closest misclassified point in any of the norms.

    .. math:: v \leftarrow \Pi_{\|v\| \le \rho} (v + \alpha_t \rho \, u(\nabla m)), \qquad
              \rho \leftarrow (1 \mp \gamma_t) \|v\|

    with the margin m. Until a sample is misclassified for the first time its radius is the
    linearised distance; then it shrinks at errors and grows elsewhere. Unlike the published
    attack it starts at the linearised boundaries of the nearest classes and ends with a bisection
    towards X. Samples that are misclassified already, and those for which no error was found,
    come back unchanged: :func:`sklearn_iso.attacks.distances` tells them apart.

    Parameters
    ----------
    n_steps : int, default=50
        Steps of each search.
    n_restarts : int, default=2
        Searches, each from the linearised boundary of another of the nearest classes.
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Pintor, Roli, Brendel, Biggio, Fast Minimum-norm Adversarial Attacks through Adaptive Norm
    Constraints, NeurIPS 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import FMN, distances
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> distances(linear, X, y, FMN()(linear, X, y), threat="linf").round(decimals=2)
    tensor([1., 4.])
    """

    name = "fmn"


def fmn(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float | None = None,
    threat: Threat = "linf",
    **parameters: Unpack[StepOptions],
) -> Tensor:
    """Look for the closest errors by the fast minimum-norm attack, :class:`FMN`, in one call.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), each sample by itself: put
        modules in evaluation mode.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float, default=None
        Largest distance of an error, in units of the threat; None sets no limit.
    threat : ThreatModel, or the name of a norm, default="linf"
        What the attack may do.
    **parameters
        `n_steps` of each search, 50 by default, the number of searches `n_restarts`, 2, and
        `batch_size`, 1000: the samples that are attacked at a time.

    Returns
    -------
    Tensor of the shape of X
        The nearest adversarial examples that were found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import distances, fmn
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> distances(linear, X, y, fmn(linear, X, y), threat="linf").round(decimals=2)
    tensor([1., 4.])
    """
    return FMN(**parameters)(logits, X, y, eps=eps, threat=threat)


@dataclass(frozen=True, kw_only=True, repr=False)
class FAB(MinimumNormAttack):
    r"""Fast adaptive boundary attack: the closest misclassified point in any of the norms.

    Searches along the linearised boundaries to the nearest wrong classes, each of which ends in
    half as many steps of :class:`sklearn_iso.attacks.FMN` from its closest error, unlike the
    published attack. It finds errors of networks whose slopes mislead an ascent from X.

    Parameters
    ----------
    n_steps : int, default=60
        Steps of each search.
    n_targets : int, default=2
        Wrong classes that are searched for, those of the nearest linearised boundaries first.
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Croce, Hein, Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary Attack,
    ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import FAB, distances
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> distances(linear, X, y, FAB()(linear, X, y), threat="linf").round(decimals=2)
    tensor([1., 4.])
    """

    name = "fab"

    n_steps: int = 60
    n_targets: int = 2

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_steps=self.n_steps, n_targets=self.n_targets)

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Look for the closest errors of the samples."""
        n_steps = math.ceil(self.n_steps / 2)
        plan = Shrinking(Objective(state.logits, margin), n_steps, budget.largest)
        walk = BoundaryWalk(state.logits, self.n_steps)
        nearest(state, budget, along_boundaries(walk, plan, self.n_targets))


def fab(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float | None = None,
    threat: Threat = "linf",
    **parameters: Unpack[BoundaryOptions],
) -> Tensor:
    """Look for the closest errors along the boundary, :class:`FAB`, in one call.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), each sample by itself: put
        modules in evaluation mode.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float, default=None
        Largest distance of an error, in units of the threat; None sets no limit.
    threat : ThreatModel, or the name of a norm, default="linf"
        What the attack may do.
    **parameters
        `n_steps` of each search, 60 by default, the most wrong classes that are searched for,
        `n_targets`, 2, and `batch_size`, 1000: the samples that are attacked at a time.

    Returns
    -------
    Tensor of the shape of X
        The nearest adversarial examples that were found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import distances, fab
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> distances(linear, X, y, fab(linear, X, y), threat="linf").round(decimals=2)
    tensor([1., 4.])
    """
    return FAB(**parameters)(logits, X, y, eps=eps, threat=threat)
