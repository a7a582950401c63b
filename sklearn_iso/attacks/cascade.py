"""The default evaluation: one attack after another, each on what the ones before left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sklearn_iso.attacks.apgd import Momentum
from sklearn_iso.attacks.boundary import BoundaryPlan
from sklearn_iso.attacks.budget import Budget
from sklearn_iso.attacks.climb import Straight
from sklearn_iso.attacks.parameters import check_counts
from sklearn_iso.attacks.pgd import step_lengths
from sklearn_iso.attacks.plan import Plan
from sklearn_iso.attacks.square import Search, layout_of
from sklearn_iso.attacks.survivors import Logits, RandomState, Survivors, as_generator
from sklearn_iso.modules.ambient import gradients_on
from sklearn_iso.threat import Threat


def _straight(loss: str, n_steps: int, random_start: bool = True) -> Plan:
    lengths = step_lengths(n_steps, None)
    return Plan(loss, lambda start: Straight(lengths), n_steps, random_start=random_start)


def _with_momentum(loss: str, n_steps: int) -> Plan:
    return Plan(loss, lambda start: Momentum(start, n_steps), n_steps)


#: What may fool a row, in order: no attack at all, four gradient attacks, random search.
STAGES = ("clean", "cross_entropy", "margin", "targeted_margin", "boundary", "square")
GRADIENT_STAGES = (
    _straight("cross_entropy", n_steps=20, random_start=False),
    _with_momentum("margin", n_steps=60),
    _straight("targeted_margin", n_steps=30),
)


@gradients_on()
def cascade(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    n_targets: int = 9,
    n_queries: int = 0,
    random_state: RandomState = None,
    batch_size: int = 1000,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    r"""Attack with one attack after another, each on the rows that those before left over.

    1. Projected gradient ascent on the cross-entropy, from X.
    2. Auto-PGD on the margin :math:`\max_{j \ne y} z_j - z_y`, from a random start.
    3. Projected gradient ascent on :math:`z_t - z_y` for one wrong class t after the other.
    4. Walks along the boundaries to the two nearest classes, which leave the ball and come
       back: they break networks whose slopes inside of the ball lead nowhere. Where a walk met
       an error barely outside of the ball, Auto-PGD begins at the place nearest to it inside.
    5. With n_queries > 0, random search without gradients, which also breaks networks that
       hide theirs.

    Steps 1 to 4 do what AutoAttack does with the difference of logits ratio and FAB, and more
    at the end, but need only two classes; easy rows cost a few steps each.

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
    n_targets
        As in :func:`sklearn_iso.attacks.pgd`.
    n_queries : int
        Queries of the gradient-free attack for each row; 0 leaves it out.
    random_state : int, numpy generator, torch.Generator or None
        Draws starting points and random steps; None takes fresh entropy.
    batch_size : int
        Most rows that logits sees at once.
    image_shape : (height, width), or with the channels first or last, optional
        What a flat row holds, where it is an image: half of the random steps move patches.

    Returns
    -------
    Tensor of the shape of X
        For each row its fooling point, or else the best point of the last attack on it.
        :func:`sklearn_iso.attacks.cascade_stages` also tells which attack fooled it.

    Raises
    ------
    ValueError
        As :func:`sklearn_iso.attacks.pgd`.

    References
    ----------
    Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks, ICML 2020.
    Gowal et al., An Alternative Surrogate Loss for PGD-based Adversarial Testing,
    arXiv 1910.09338 (MultiTargeted).
    Croce, Hein, Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary Attack,
    ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import cascade
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> box = ThreatModel(bounds=(0, 1))
    >>> X_adv = cascade(linear, X, y, eps=0.25, threat=box, random_state=0)
    >>> bool(X_adv.sum() < 1), bool((X_adv - X).abs().max() <= 0.25)
    (True, True)
    """
    X_adv, _ = cascade_stages(
        logits, X, y, eps=eps, threat=threat, n_targets=n_targets, n_queries=n_queries,
        random_state=random_state, batch_size=batch_size, image_shape=image_shape,
    )  # fmt: skip
    return X_adv


def cascade_stages(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    n_targets: int = 9,
    n_queries: int = 0,
    random_state: RandomState = None,
    batch_size: int = 1000,
    image_shape: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Attack as :func:`cascade`, and say which of its attacks fooled each row.

    Parameters
    ----------
    logits, X, y, eps, threat, n_targets, n_queries, random_state, batch_size, \
    image_shape
        As in :func:`sklearn_iso.attacks.cascade`.

    Returns
    -------
    X_adv : Tensor of the shape of X
    stage : Tensor of shape (n,), int64
        Position in `sklearn_iso.attacks.STAGES`: 0 for rows that are misclassified without an
        attack, -1 for rows that were never fooled.

    Raises
    ------
    ValueError
        As :func:`sklearn_iso.attacks.pgd`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import STAGES, cascade_stages
    >>> X, y = torch.tensor([[0.3], [-0.2], [5.0]]), torch.zeros(3, dtype=torch.int64)
    >>> _, stage = cascade_stages(lambda x: torch.cat([x, -x], dim=1), X, y, eps=1.0)
    >>> stage
    tensor([ 1,  0, -1])
    >>> STAGES[1]
    'cross_entropy'
    """
    check_counts(0, n_queries=n_queries)
    budget = Budget.of(X, eps=eps, threat=threat)
    hunt, generator = Survivors(logits, X, y, batch_size), as_generator(random_state)
    stage = torch.where(hunt.alive, -1, 0)
    plans: list[Plan | BoundaryPlan | Search] = [
        *(replace(plan, n_targets=n_targets) for plan in GRADIENT_STAGES),
        BoundaryPlan(n_targets=min(BoundaryPlan.n_targets, n_targets)),
    ]
    if n_queries:
        plans.append(Search(n_queries, layout=layout_of(X, image_shape)))
    for number, plan in enumerate(plans, start=1):
        hunt.forget()
        plan.attack(hunt, budget, generator)
        stage[(stage < 0) & ~hunt.alive] = number
    return hunt.X_adv, stage
