"""The default evaluation: one attack after another, each on what the ones before left over."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sklearn_iso._threat import Threat
from sklearn_iso.attacks._apgd import APGD
from sklearn_iso.attacks._approach import from_wider_balls
from sklearn_iso.attacks._attack import Attack, AttackState, Logits, MinimumNormAttack
from sklearn_iso.attacks._boundary import BoundaryAttack
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._closest import DDN, FAB, FMN
from sklearn_iso.attacks._misled import slopes_mislead
from sklearn_iso.attacks._nearest import NearestErrors
from sklearn_iso.attacks._options import EnsembleOptions
from sklearn_iso.attacks._parameters import N_TARGETS, RandomState, as_generator, check_counts
from sklearn_iso.attacks._pgd import PGD
from sklearn_iso.attacks._sparse import SigmaZero
from sklearn_iso.attacks._square import Square, layout_of, shape_of
from sklearn_iso.attacks._wide import WideAscent
from sklearn_iso.modules._ambient import gradients_on

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Queries of random search on images where slopes mislead, as many as in AutoAttack.
QUERIES_WHERE_MISLED = 5000
#: Runs of that search: another draw of windows finds other errors.
RUNS_WHERE_MISLED = 2

#: What may get a sample misclassified, in order: no attack at all, six gradient attacks, random
#: search; and the attack that takes the place of these six where features are counted.
STAGES = (
    "clean",
    "cross_entropy",
    "margin",
    "targeted_margin",
    "wide_margin",
    "boundary",
    "nearest",
    "square",
    "sigma_zero",
)


@dataclass(frozen=True, kw_only=True, repr=False)
class AttackEnsemble(Attack):
    r"""One attack after another, each on the samples that those before left over.

    1. Projected gradient ascent on the cross-entropy, from X.
    2. Auto-PGD on the margin :math:`\max_{j \ne y} z_j - z_y`, from a random start.
    3. Projected gradient ascent on :math:`z_t - z_y` for one wrong class t after the other.
    4. Gradient ascent on the margin in a ball of three times the radius, which shrinks to it: it
       breaks networks that are flat around their samples.
    5. Walks along the boundaries to the two nearest classes, which leave the ball and come
       back: they break networks whose slopes inside of the ball lead nowhere. Where a walk met
       an error barely outside of the ball, Auto-PGD begins at the place nearest to it inside.
    6. A minimum-norm attack, as DDN and FMN are, whose error counts where it lies in the ball: it
       breaks networks with steep steps, between which there is no slope.
    7. With n_queries > 0, random search without gradients, which also breaks networks that
       hide theirs. On images also unasked, where a short one gets farther than ascent does.

    Steps 1 to 6 do what AutoAttack does with the difference of logits ratio and FAB, and more
    at the end, but need only two classes; easy samples cost a few steps each. For each sample its
    misclassified point comes back, or else the best point of the last attack on it.

    Parameters
    ----------
    n_targets : int, default=9
        Most wrong classes that steps 3 and 5 try.
    n_queries : int, default=None
        Points of each sample that searches without gradients ask about; 0 leaves them out. None:
        none, but twice 5000 on images where, of 50 samples that are left over, 100 queries lead
        farther than ascent on more than one in twenty. For an estimator besides 1000 where there
        are no gradients, 500 where they do not settle the matter (also where a short random search
        on 100 samples that they leave over breaks some). Where there are no gradients half of them
        go to random search, a quarter to changes of single features, and a quarter to labels.
    image_shape : (height, width), or with the channels first or last, default=None
        What a flat sample holds, where it is an image: most random steps move patches. For an
        estimator None takes the shape from the image_shape of a module of its network.
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks, ICML 2020.
    Croce, Hein, Mind the box: l1-APGD for sparse adversarial attacks on image classifiers,
    ICML 2021, for the wider balls.
    Gowal et al., An Alternative Surrogate Loss for PGD-based Adversarial Testing,
    arXiv 1910.09338 (MultiTargeted).
    Croce, Hein, Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary Attack,
    ICML 2020.
    Rony et al., Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks
    and Defenses, CVPR 2019; Pintor et al., Fast Minimum-norm Adversarial Attacks through Adaptive
    Norm Constraints, NeurIPS 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import AttackEnsemble
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> box = ThreatModel(bounds=(0, 1))
    >>> X_adv = AttackEnsemble()(linear, X, y, eps=0.25, threat=box, random_state=0)
    >>> bool(X_adv.sum() < 1), bool((X_adv - X).abs().max() <= 0.25)
    (True, True)
    """

    name = "auto"

    n_targets: int = N_TARGETS
    n_queries: int | None = None
    image_shape: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_targets=self.n_targets)
        if self.n_queries is not None:
            check_counts(0, n_queries=self.n_queries)
        object.__setattr__(self, "image_shape", shape_of(self.image_shape))

    def check(self, X: Tensor, threat: Threat) -> None:
        """Raise a ValueError where a sample does not hold such an image."""
        if self.image_shape is not None:
            layout_of(X, self.image_shape)

    def attacks(self) -> tuple[Attack, ...]:
        """Return the attacks, in the order of the stages after the first.

        Returns
        -------
        attacks : tuple of Attack
            One for each stage but the first.
        """
        found: tuple[Attack, ...] = (
            PGD(n_steps=20, random_start=False),
            APGD(n_steps=60, loss="margin"),
            PGD(n_steps=30, loss="targeted_margin", n_targets=self.n_targets),
            WideAscent(),
            BoundaryAttack(n_targets=min(BoundaryAttack.n_targets, self.n_targets)),
            NearestErrors(),
        )
        if self.n_queries:
            found += (Square(n_queries=self.n_queries, image_shape=self.image_shape),)
        return found

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust, and record what comes of it."""
        self._run(state, budget, generator)

    def _run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> Tensor:
        """Attack, and return which of the stages got each sample misclassified."""
        stage = torch.where(state.robust, -1, 0)
        attacks = dict(zip(STAGES[1:], self.attacks(), strict=False))
        if budget.norm.name == "l0":
            attacks = {
                "sigma_zero": SigmaZero(),
                **{k: v for k, v in attacks.items() if k == "square"},
            }
        for name, attack in attacks.items():
            state.forget()
            attack.run(state, budget, generator)
            stage[(stage < 0) & ~state.robust] = STAGES.index(name)
        if self._is_misled(state, budget, generator):
            state.forget()
            Square(
                n_queries=QUERIES_WHERE_MISLED,
                n_restarts=RUNS_WHERE_MISLED,
                image_shape=self.image_shape,
            ).run(state, budget, generator)
            stage[(stage < 0) & ~state.robust] = STAGES.index("square")
        return stage

    def _is_misled(self, state: AttackState, budget: Budget, generator: torch.Generator) -> bool:
        """Whether a search that was not asked for is to follow on images."""
        if self.n_queries is not None or budget.norm.name == "l0":
            return False
        if layout_of(state.X, self.image_shape) is None:
            return False
        return slopes_mislead(state, budget, self.image_shape, generator)

    @gradients_on()
    def with_stages(
        self,
        logits: Logits,
        X: Tensor,
        y: Tensor,
        *,
        eps: float,
        threat: Threat = "linf",
        random_state: RandomState = None,
    ) -> tuple[Tensor, Tensor]:
        """Attack, and say which of the stages got each sample misclassified.

        Parameters
        ----------
        logits : callable
            Maps points of shape (n, ...) to logits of shape (n, n_classes), each sample by itself:
            put modules in evaluation mode.
        X : Tensor of shape (n, ...), float32 or float64
        y : Tensor of shape (n,), integers
            Columns of the logits.
        eps : float
            Radius of the ball, in units of the threat.
        threat : ThreatModel, or the name of a norm, default="linf"
            What the attack may do.
        random_state : int, numpy generator, torch.Generator or None, default=None
            Draws starting points and random steps; None takes fresh entropy.

        Returns
        -------
        X_adv : Tensor of the shape of X
            Adversarial examples, and the sample itself where none was found.
        stage : Tensor of shape (n,), int64
            Position in `sklearn_iso.attacks.STAGES`: 0 for samples that are misclassified without
            an attack, -1 for those that stay robust.

        Examples
        --------
        >>> import torch
        >>> from sklearn_iso.attacks import STAGES, AttackEnsemble
        >>> X, y = torch.tensor([[0.3], [-0.2], [5.0]]), torch.zeros(3, dtype=torch.int64)
        >>> logits = lambda x: torch.cat([x, -x], dim=1)
        >>> _, stage = AttackEnsemble().with_stages(logits, X, y, eps=1.0)
        >>> stage
        tensor([ 1,  0, -1])
        >>> STAGES[1]
        'cross_entropy'
        """
        self.check(X, threat)
        budget = Budget.of(X, eps=eps, threat=threat)
        state = AttackState(logits, X, y, self.batch_size)
        stage = self._run(state, budget, as_generator(random_state))
        return state.X_adv, stage


@dataclass(frozen=True, kw_only=True, repr=False)
class MinimumNormEnsemble(MinimumNormAttack):
    """The nearer of the errors that minimum-norm attacks of two kinds find.

    :class:`sklearn_iso.attacks.DDN` in the norm "l2" and :class:`sklearn_iso.attacks.FMN`
    otherwise, and :class:`sklearn_iso.attacks.FAB`; then half a walk of the first kind, from
    where an ascent within twice the size of that error ends. In "l0"
    :class:`sklearn_iso.attacks.SigmaZero` alone.

    Parameters
    ----------
    n_steps, n_restarts : int, default=None
        Steps of each walk of DDN or FMN, and walks; None: 100 and 1. FAB has its own. For an
        estimator, setting them is an error where there is no twin that agrees, and asks for walks
        where its gradients vanish on many samples, which are else left to the search by labels.
    n_queries : int, default=None
        For an estimator: predictions for each sample that :class:`sklearn_iso.attacks.RayS` asks
        for. None: 1000 where they are needed; 0: none.
    batch_size : int, default=1000

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import MinimumNormEnsemble, distances
    >>> X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])
    >>> linear = lambda x: torch.stack([x.sum(1), -x.sum(1)], dim=1)
    >>> X_adv = MinimumNormEnsemble()(linear, X, y, threat="l1")
    >>> distances(linear, X, y, X_adv, threat="l1").round(decimals=2)
    tensor([2., 8.])
    """

    name = "auto"

    n_steps: int | None = None
    n_restarts: int | None = None
    n_queries: int | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        steps = {"n_steps": self.n_steps, "n_restarts": self.n_restarts}
        check_counts(**{name: count for name, count in steps.items() if count is not None})
        if self.n_queries is not None:
            check_counts(0, n_queries=self.n_queries)

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Look for the closest errors of the samples."""
        if budget.norm.name == "l0":
            SigmaZero(n_steps=self.n_steps or 100).run(state, budget, generator)
            return
        kind = DDN if budget.norm.name == "l2" else FMN
        walks = kind(n_steps=self.n_steps or 100, n_restarts=self.n_restarts or 1)
        other = copy.copy(state)
        other.X_adv = state.X_adv.clone()
        walks.run(state, budget, generator)
        FAB().run(other, budget, generator)
        nearer = _reach(budget, other) < _reach(budget, state)
        state.X_adv[nearer] = other.X_adv[nearer]
        again = replace(walks, n_steps=math.ceil(walks.n_steps / 2))
        plan = again.plan(state, budget.largest)
        from_wider_balls(state, budget, plan, _reach(budget, state))


def _reach(budget: Budget, state: AttackState) -> Tensor:
    """Sizes of what was found; where nothing was, the point came back as it was."""
    moved = (state.X_adv != state.X).flatten(1).any(dim=1)
    sizes = budget.norm.size(budget.perturbations(state.X, state.X_adv).double())
    return torch.where(moved, sizes, torch.inf)


def attack_ensemble(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    random_state: RandomState = None,
    **parameters: Unpack[EnsembleOptions],
) -> Tensor:
    """Attack with one attack after another, :class:`AttackEnsemble`, in one call.

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
        Most wrong classes that are tried, `n_targets`, 9 by default, `n_queries` of the searches
        without gradients, `image_shape` of an image in a flat sample, and `batch_size`; details in
        :class:`AttackEnsemble`.

    Returns
    -------
    Tensor of the shape of X
        Adversarial examples, and the sample itself where none was found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import attack_ensemble
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> bool(attack_ensemble(linear, X, y, eps=0.25, random_state=0).sum() < 1)
    True
    """
    attack = AttackEnsemble(**parameters)
    return attack(logits, X, y, eps=eps, threat=threat, random_state=random_state)
