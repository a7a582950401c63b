"""Projected gradient ascent within a budget, and its single step, the fast gradient method."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sklearn_iso._threat import Threat
from sklearn_iso.attacks._ascent import GradientAscent, Straight
from sklearn_iso.attacks._attack import Attack, AttackState, Logits
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._losses import get_loss
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._options import ProjectedOptions, SignOptions
from sklearn_iso.attacks._parameters import RandomState

if TYPE_CHECKING:
    from typing_extensions import Unpack

FIRST_STEP = 0.5

#: Longer steps are a mistake of units, and overflow.
_LONGEST = 1e6


def step_lengths(n_steps: int, step_size: float | None) -> list[float]:
    """Lengths of the steps as fractions of eps: constant, or falling linearly to 0.

    Long steps first cross the ball from any start, short ones last settle on the maximum.

    Examples
    --------
    >>> from sklearn_iso.attacks._pgd import step_lengths
    >>> step_lengths(5, None)
    [0.5, 0.4, 0.3, 0.2, 0.1]
    >>> step_lengths(2, 0.1)
    [0.1, 0.1]
    """
    if step_size is not None:
        return [step_size] * n_steps
    return [FIRST_STEP * (n_steps - step) / n_steps for step in range(n_steps)]


def _check_step_size(step_size: float | None) -> None:
    if step_size is None:
        return
    if not isinstance(step_size, Real) or not 0 < float(step_size) <= _LONGEST:
        raise ValueError(
            f"step_size must be positive and at most {_LONGEST:g}, as a fraction of eps; got "
            f"{step_size!r}. "
            "Pass None for steps that shrink."
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class PGD(GradientAscent):
    r"""Projected gradient ascent on the loss, within a ball and a box around each point.

    .. math:: v \leftarrow \Pi_{\text{box}} \Pi_{\|v\| \le 1}
              \bigl(v + \eta_t \, u(\varepsilon \odot \nabla_x \ell)\bigr),
              \qquad x' = x + \varepsilon \odot v

    where u is the unit step of the norm. Samples that are misclassified already come back
    unchanged; a sample leaves the batch as soon as it is misclassified, so that only those still
    robust cost time; for one that stays robust the point of the highest loss is returned.
    Categories are chosen greedily: the single change of the highest loss first, then the attack
    again around it.

    Parameters
    ----------
    n_steps : int, default=40
        Steps of each run.
    step_size : float, default=None
        Length of a step as a fraction of eps. None: falling linearly from 0.5 to 0.
    n_restarts : int, default=1
        Runs; each attacks the samples that the ones before could not get misclassified.
    loss : {"cross_entropy", "margin", "targeted_margin"}, default="cross_entropy"
        What is maximised. "margin" is the largest other logit less that of the label;
        "targeted_margin" takes one wrong class after the other, that of the largest logit first.
    n_targets : int, default=9
        Most wrong classes that "targeted_margin" tries.
    random_start : bool, default=True
        Whether the first run starts at a random point of the ball instead of at X; further runs
        always do.
    batch_size : int, default=1000
        Samples that are attacked at a time.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018.
    Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks, ICML 2020 (long steps first).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import PGD
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> box = ThreatModel(bounds=(0, 1))
    >>> X_adv = PGD(n_steps=20)(linear, X, y, eps=0.25, threat=box, random_state=0)
    >>> bool(X_adv.sum() < 1), bool((X_adv - X).abs().max() <= 0.25)
    (True, True)
    """

    name = "pgd"

    step_size: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        _check_step_size(self.step_size)

    def walk(self, start: Tensor) -> Straight:
        """Return steps of given lengths."""
        return Straight(step_lengths(self.n_steps, self.step_size))


def pgd(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    random_state: RandomState = None,
    **parameters: Unpack[ProjectedOptions],
) -> Tensor:
    """Attack by projected gradient ascent, :class:`PGD`, in one call.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), each sample by itself: put
        modules in evaluation mode.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm, default="linf"
        What the attack may do.
    random_state : int, numpy generator, torch.Generator or None, default=None
        Draws starting points and random steps; None takes fresh entropy.
    **parameters
        `n_steps` of each run, 40 by default, and their `step_size`, the number of runs
        `n_restarts`, 1, what is climbed, `loss`, and `n_targets`, `random_start` and `batch_size`;
        details in :class:`PGD`.

    Returns
    -------
    Tensor of the shape of X
        Adversarial examples, and the sample itself where none was found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import pgd
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> bool(pgd(linear, X, y, eps=0.25, n_steps=20, random_state=0).sum() < 1)
    True
    """
    attack = PGD(**parameters)
    return attack(logits, X, y, eps=eps, threat=threat, random_state=random_state)


@dataclass(frozen=True, kw_only=True, repr=False)
class FGSM(Attack):
    r"""Fast gradient method: one steepest step of full length, without a random start.

    .. math:: x' = \Pi_{\text{box}}\bigl(x + \varepsilon \odot
              \arg\max_{\|u\| \le 1} \langle \varepsilon \odot \nabla_x \ell, u \rangle\bigr)

    It overstates the robustness of networks whose loss is curved: use it to compare with
    published figures, and :class:`PGD` to evaluate. Samples that are misclassified already, and
    those that the step brings no closer to an error, come back unchanged.

    Parameters
    ----------
    loss : {"cross_entropy", "margin"}, default="cross_entropy"
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Goodfellow, Shlens, Szegedy, Explaining and Harnessing Adversarial Examples, ICLR 2015.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import FGSM
    >>> X, y = torch.tensor([[0.4, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> FGSM()(linear, X, y, eps=0.25)
    tensor([[0.1500, 0.6500]])
    """

    name = "fgsm"

    loss: str = "cross_entropy"

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        get_loss(self.loss)
        if self.loss == "targeted_margin":
            raise ValueError("loss must need no target in a single step; got 'targeted_margin'.")

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Take the step for every sample that is still robust."""
        objective = state.objective(get_loss(self.loss))
        for _ in () if budget.is_zero else state.rounds(budget.categories, objective.value):
            for rows in state.batches():
                ball = budget.around(state.centres[rows])
                state.record(rows, *_leap(objective, ball, state.y[rows], state.is_fresh))
                state.is_fresh = False


def fgsm(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    **parameters: Unpack[SignOptions],
) -> Tensor:
    """Attack by one step, :class:`FGSM`, in one call.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), each sample by itself: put
        modules in evaluation mode.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm, default="linf"
        What the attack may do.
    **parameters
        `loss` to climb, "cross_entropy" by default or "margin", and `batch_size`, 1000: the samples
        that are attacked at a time.

    Returns
    -------
    Tensor of the shape of X
        Adversarial examples, and the sample itself where none was found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import fgsm
    >>> X, y = torch.tensor([[0.4, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> fgsm(linear, X, y, eps=0.25)
    tensor([[0.1500, 0.6500]])
    """
    return FGSM(**parameters)(logits, X, y, eps=eps, threat=threat)


def _leap(
    objective: Objective, ball: Ball, y: Tensor, check_slope: bool
) -> tuple[Tensor, Tensor, Tensor]:
    _, _, gradient = objective.slope(ball.X, y)
    if check_slope and not gradient.any():
        objective.check_slope(ball.X, y)
    points = ball.point_within(ball.leap(gradient))
    return points, *objective.value(points, y)
