"""Projected gradient ascent within a budget, and its single step, the fast gradient method."""

from __future__ import annotations

from numbers import Real

from torch import Tensor

from sklearn_iso.attacks.budget import Ball, Budget
from sklearn_iso.attacks.climb import Objective, Straight
from sklearn_iso.attacks.losses import get_loss
from sklearn_iso.attacks.parameters import N_TARGETS, check_counts, check_targets
from sklearn_iso.attacks.plan import Plan
from sklearn_iso.attacks.survivors import Logits, RandomState, Survivors, as_generator
from sklearn_iso.modules.ambient import gradients_on
from sklearn_iso.threat import Threat

FIRST_STEP = 0.5

#: Longer steps are a mistake of units, and overflow.
_LONGEST = 1e6


def step_lengths(n_steps: int, step_size: float | None) -> list[float]:
    """Lengths of the steps as fractions of eps: constant, or falling linearly to 0.

    Long steps first cross the ball from any start, short ones last settle on the maximum.

    Examples
    --------
    >>> from sklearn_iso.attacks.pgd import step_lengths
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


@gradients_on()
def pgd(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    n_steps: int = 40,
    step_size: float | None = None,
    n_restarts: int = 1,
    loss: str = "cross_entropy",
    n_targets: int = N_TARGETS,
    random_start: bool = True,
    random_state: RandomState = None,
    batch_size: int = 1000,
) -> Tensor:
    r"""Projected gradient ascent on the loss, within a ball and a box around each point.

    .. math:: v \leftarrow \Pi_{\text{box}} \Pi_{\|v\| \le 1}
              \bigl(v + \eta_t \, u(\varepsilon \odot \nabla_x \ell)\bigr),
              \qquad x' = x + \varepsilon \odot v

    where u is the unit step of the norm. Rows that are misclassified already come back
    unchanged; a row leaves the batch as soon as it is fooled, so that only survivors cost
    time; for a row that is never fooled the point of the highest loss is returned.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), each row by itself
        (put modules in eval mode).
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What the attack may do, see :class:`sklearn_iso.ThreatModel`. Categories are chosen
        greedily: the single change of the highest loss first, then the attack again around it.
    n_steps : int
        Steps of each run.
    step_size : float or None
        Length of a step as a fraction of eps. None: falling linearly from 0.5 to 0.
    n_restarts : int
        Runs; each attacks the rows that the ones before could not fool.
    loss : {"cross_entropy", "margin", "targeted_margin"}
        What to climb, see :mod:`sklearn_iso.attacks.losses`. "targeted_margin" takes one wrong
        class after the other, that of the largest logit at X first.
    n_targets : int
        Most wrong classes that "targeted_margin" tries.
    random_start : bool
        Whether the first run starts at a random point of the ball instead of at X; further
        runs always do.
    random_state : int, numpy generator, torch.Generator or None
        Draws the starting points; None takes fresh entropy.
    batch_size : int
        Most rows that logits sees at once.

    Returns
    -------
    Tensor of the shape of X

    Raises
    ------
    ValueError
        If X lies outside the bounds or is not finite, an argument is out of its range, logits
        are not finite at X, or the gradient is not finite for any sample. Elsewhere a point
        whose logits are not finite is no adversarial example.

    References
    ----------
    Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018.
    Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks, ICML 2020 (long steps first).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import pgd
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> box = ThreatModel(bounds=(0, 1))
    >>> X_adv = pgd(linear, X, y, eps=0.25, threat=box, random_state=0)
    >>> bool(X_adv.sum() < 1), bool((X_adv - X).abs().max() <= 0.25)
    (True, True)
    """
    check_counts(n_steps=n_steps)
    _check_step_size(step_size)
    lengths = step_lengths(n_steps, step_size)
    check_targets(loss, n_targets)
    plan = Plan(
        loss=loss,
        walk=lambda start: Straight(lengths),
        n_steps=n_steps,
        n_restarts=n_restarts,
        n_targets=n_targets,
        random_start=random_start,
    )
    budget = Budget.of(X, eps=eps, threat=threat)
    hunt = Survivors(logits, X, y, batch_size)
    plan.attack(hunt, budget, as_generator(random_state))
    return hunt.X_adv


@gradients_on()
def fgsm(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    loss: str = "cross_entropy",
    batch_size: int = 1000,
) -> Tensor:
    r"""Fast gradient method: one steepest step of full length, without a random start.

    .. math:: x' = \Pi_{\text{box}}\bigl(x + \varepsilon \odot
              \arg\max_{\|u\| \le 1} \langle \varepsilon \odot \nabla_x \ell, u \rangle\bigr)

    It overstates the robustness of networks whose loss is curved: use it to compare with
    published figures, and :func:`pgd` to evaluate.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes).
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What the attack may do, see :class:`sklearn_iso.ThreatModel`.
    loss : {"cross_entropy", "margin"}
    batch_size : int
        Most rows that logits sees at once.

    Returns
    -------
    Tensor of the shape of X
        Rows that are misclassified already, and rows that the step brings no closer to an
        error, come back unchanged.

    Raises
    ------
    ValueError
        As :func:`pgd`.

    References
    ----------
    Goodfellow, Shlens, Szegedy, Explaining and Harnessing Adversarial Examples, ICLR 2015.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import fgsm
    >>> X, y = torch.tensor([[0.4, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> fgsm(linear, X, y, eps=0.25)
    tensor([[0.1500, 0.6500]])
    """
    criterion = get_loss(loss)
    if loss == "targeted_margin":
        raise ValueError("loss must need no target in a single step; got 'targeted_margin'.")
    budget = Budget.of(X, eps=eps, threat=threat)
    hunt = Survivors(logits, X, y, batch_size)
    objective = Objective(hunt.logits, criterion)
    for _ in () if budget.is_zero else hunt.rounds(budget.categories, objective.value):
        for rows in hunt.batches():
            ball = budget.around(hunt.centres[rows])
            hunt.record(rows, *_leap(objective, ball, hunt.y[rows], hunt.is_fresh))
            hunt.is_fresh = False
    return hunt.X_adv


def _leap(
    objective: Objective, ball: Ball, y: Tensor, check_slope: bool
) -> tuple[Tensor, Tensor, Tensor]:
    _, _, gradient = objective.slope(ball.X, y)
    if check_slope and not gradient.any():
        objective.check_slope(ball.X, y)
    points = ball.point_within(ball.leap(gradient))
    return points, *objective.value(points, y)
