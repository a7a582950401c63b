"""Which attack an estimator allows: by gradients, by a surrogate's, by scores, by decisions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_iso._geometry.norm import along
from sklearn_iso._threat import ThreatModel
from sklearn_iso.attacks._losses import cross_entropy
from sklearn_iso.metrics._answers import Answers, agrees
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._refused import Refused
from sklearn_iso.metrics._table import Asked
from sklearn_iso.modules._parts import largest_product
from sklearn_iso.twins import NotDifferentiableError, surrogates, verify

ROWS_FOR_SLOPES = 200
VANISHING = 1e-6
SHARE_THAT_MAY_VANISH = 0.1


@dataclass(frozen=True)
class Slopes:
    """Shares of samples whose gradients are of no use to an attack.

    Attributes
    ----------
    vanishing : float
        The log-odds' gradient is zero, or so small that one standard deviation of every feature
        changes them by less than a millionth of themselves.
    not_finite : float
        The gradient holds NaN or infinity.
    saturated : float
        The gradient of the plain cross-entropy is exactly zero, that of the log-odds is not.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.metrics._access import Slopes
    >>> X, y = torch.tensor([[9.0], [900.0]]), torch.tensor([0, 0])
    >>> Slopes.of(lambda x: torch.cat([x, -x], dim=1), X, y, spread=torch.tensor([1.0]))
    Slopes(vanishing=0.0, not_finite=0.0, saturated=0.5)
    """

    vanishing: float = 0.0
    not_finite: float = 0.0
    saturated: float = 0.0

    @classmethod
    def of(cls, logits: nn.Module, X: Tensor, y: Tensor, spread: Tensor) -> Slopes:
        """Return the shares for samples of X, with the standard deviation of each feature."""
        x = X.detach().clone().requires_grad_()
        with torch.enable_grad():
            scores = logits(x)
            loss = cross_entropy(scores, y)
            slope = _gradient(loss, x, retain=True)
            plain = _gradient(torch.nn.functional.cross_entropy(scores, y, reduction="none"), x)
        finite = slope.flatten(1).isfinite().all(dim=1)
        change = (slope * spread).flatten(1).abs().sum(dim=1)
        vanishing = finite & (change <= VANISHING * loss.detach().abs())
        saturated = finite & ~vanishing & ~plain.flatten(1).any(dim=1)
        shares = (vanishing, ~finite, saturated)
        return cls(*(float(rows.double().mean()) for rows in shares))

    @property
    def useful(self) -> bool:
        """Whether an attack that follows the gradients gets anywhere."""
        return self.vanishing <= SHARE_THAT_MAY_VANISH and not self.not_finite


def _gradient(loss: Tensor, x: Tensor, retain: bool = False) -> Tensor:
    if not loss.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(loss.sum(), x, allow_unused=True, retain_graph=retain)
    return torch.zeros_like(x) if gradient is None else gradient


class Followed:
    """Logits of a twin as an attack follows them: gradients that are no numbers are 0.

    Points without finite logits are noted as refused.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.metrics._access import Followed
    >>> from sklearn_iso.metrics._refused import Refused
    >>> refused = Refused()
    >>> Followed(torch.nn.LogSigmoid(), refused)(torch.tensor([[0.0, torch.nan]]))
    tensor([[-0.6931,     nan]])
    >>> refused.n_points
    1
    """

    def __init__(self, twin: nn.Module, refused: Refused) -> None:
        self.twin, self.refused = twin, refused

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits of x."""
        if x.requires_grad:
            x = x.view_as(x)
            x.register_hook(_numbers_only)
        logits: Tensor = self.twin(x)
        if not logits.detach().sum().isfinite():
            unknown = ~logits.detach().flatten(1).isfinite().all(dim=1)
            self.refused.note(x.detach()[unknown].numpy(), "scores of its twin are not finite")
        return logits


def _numbers_only(gradient: Tensor) -> Tensor:
    finite = gradient.flatten(1).isfinite().all(dim=1)
    return torch.where(along(finite, gradient), gradient, 0)


class AccessKind(Enum):
    """What an attack can get of an estimator.

    Examples
    --------
    >>> from sklearn_iso.metrics._access import AccessKind
    >>> [kind.value for kind in AccessKind]
    ['white-box', 'surrogate', 'score-based', 'decision-based']
    """

    WHITE_BOX = "white-box"
    SURROGATE = "surrogate"
    SCORES = "score-based"
    LABELS = "decision-based"


class Gradients(Enum):
    """What the gradients of an estimator's twin are worth.

    Examples
    --------
    >>> from sklearn_iso.metrics._access import Gradients
    >>> Gradients.DISAGREE.value
    'the twin predicts otherwise'
    """

    TRUSTED = "the twin predicts as the estimator does"
    APPROXIMATE = "the twin declares itself a surrogate"
    VANISH = "they vanish on many samples"
    NOT_FINITE = "they are NaN, or the scores of the twin are"
    DISAGREE = "the twin predicts otherwise"
    NONE = "there is no twin"
    NOT_NEEDED = "the attack asks for none"


@dataclass(frozen=True)
class Access:
    """What an attack can get of an estimator.

    Attributes
    ----------
    problem : Problem
    kind : AccessKind
    gradients : Gradients
    reason : str
        Why it is of this kind, in words that are displayed only.
    twin : nn.Module or None
        The twin, also where it is not trusted.
    slopes : Slopes
    error : NotDifferentiableError or None
        Why there is no twin.
    known_answers : Answers or None
        What the estimator says without gradients, where that has been found out.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics._access import Access
    >>> from sklearn_iso.metrics._problem import Problem
    >>> X, y = load_iris(return_X_y=True)
    >>> Access.of(Problem.of(LogisticRegression(max_iter=500).fit(X, y), X, y)).kind
    <AccessKind.WHITE_BOX: 'white-box'>
    """

    problem: Problem = field(repr=False)
    kind: AccessKind
    gradients: Gradients
    reason: str
    twin: nn.Module | None = field(default=None, repr=False)
    slopes: Slopes = Slopes()
    error: NotDifferentiableError | None = field(default=None, repr=False)
    known_answers: Answers | None = field(default=None, repr=False)

    @property
    def climbs(self) -> bool:
        """Whether gradient attacks run on the twin at all."""
        return self.gradients in (Gradients.TRUSTED, Gradients.APPROXIMATE)

    @property
    def trusted(self) -> bool:
        """Whether samples that survive the gradient attacks count as robust without another."""
        return self.gradients is Gradients.TRUSTED

    @property
    def model(self) -> nn.Module:
        """The twin, where there is one."""
        return cast(nn.Module, self.twin)

    @property
    def logits(self) -> Callable[[Tensor], Tensor]:
        """The twin, for an attack that must not end on points where it gives no numbers."""
        followed, own = Followed(self.model, self.problem.refused), self.problem.candidates
        return followed if own is None else own.judged(followed)

    @cached_property
    def answers(self) -> Answers:
        """What the estimator says without gradients."""
        answers = self.known_answers or Answers.of(self.problem)
        own = self.problem.candidates
        return answers if own is None else answers.judged(own.judged)

    def largest_product(self, n_samples: int) -> float:
        """Multiplications of the twin's largest product of matrices; infinite if unknown."""
        if self.twin is None or not self.climbs:
            return math.inf  # the estimator has threads of its own
        widest = max((buffer.numel() for buffer in self.twin.buffers()), default=0)
        return max(largest_product(self.twin, n_samples), n_samples * widest)

    def require_gradients(self) -> None:
        """Raise an error unless an attack may follow gradients.

        Raises
        ------
        NotDifferentiableError, ValueError
            If there is no twin, or none that agrees.
        """
        if self.error is not None:
            raise self.error
        if self.gradients is Gradients.DISAGREE:
            raise ValueError(
                "The estimator's twin must predict as the estimator does; it differs: "
                f"{self.reason}. Correct its to_torch() or its registered twin (a subclass that "
                "changes predict or transform needs one of its own), or pass attack='auto', "
                "which then attacks without gradients."
            )

    @classmethod
    def of(
        cls, problem: Problem, samples: NDArray | None = None, asks: str = "gradients"
    ) -> Access:
        """Find out what the estimator of a problem allows, on samples that will be attacked.

        Parameters
        ----------
        problem : Problem
        samples : ndarray of int, optional
            All by default.
        asks : {"gradients", "scores", "labels"}
            What the attack asks for.

        Raises
        ------
        ValueError
            If the twin does not return one score for each class.
        """
        samples = np.arange(len(problem.table)) if samples is None else samples
        if len(problem.classes) == 1:
            return cls._of_one_class(problem)
        if asks != "gradients":
            kind = AccessKind.SCORES if asks == "scores" else AccessKind.LABELS
            return cls(problem, kind, Gradients.NOT_NEEDED, "as asked for")
        try:
            twin = problem.table.twin(problem.estimator)
        except NotDifferentiableError as error:
            return cls._without(problem, Gradients.NONE, told_why(error), error=error)
        return cls._of_twin(problem, twin, samples)

    @classmethod
    def _of_twin(cls, problem: Problem, twin: nn.Module, samples: NDArray) -> Access:
        """Compare a twin with the estimator on samples, and look at its gradients there."""
        asked = Asked(problem.estimator, problem.classes, problem.table)
        agreement = verify(twin, asked, problem.table.values[samples])
        n_different = round((1 - agreement.share_equal) * len(samples))
        if not agreement.finite:
            why = "the scores of its twin are not finite"
            return cls._without(problem, Gradients.NOT_FINITE, why, twin)
        if not agrees(n_different, len(samples)):
            why = f"its twin predicts otherwise on {n_different} of {len(samples)} samples"
            return cls._without(problem, Gradients.DISAGREE, why, twin)
        slopes = cls._slopes(problem, twin, samples)
        if not slopes.useful:
            return cls._without_slopes(problem, twin, slopes)
        return cls._with_gradients(problem, twin, slopes, agreement.exact)

    @classmethod
    def _of_one_class(cls, problem: Problem) -> Access:
        """Nothing can change what is predicted; searches by labels say so."""
        why = "there is a single class, whose score no other exceeds"
        error = NotDifferentiableError(problem.estimator, reason=why)
        answers = Answers.labels_alone(problem, "it knows a single class")
        reason = f"{told_why(error)}; {answers.source}"
        return cls(
            problem, AccessKind.LABELS, Gradients.NONE, reason, error=error, known_answers=answers
        )

    @classmethod
    def _with_gradients(
        cls, problem: Problem, twin: nn.Module, slopes: Slopes, exact: bool
    ) -> Access:
        if declared := surrogates(twin):
            kind, gradients = AccessKind.SURROGATE, Gradients.APPROXIMATE
            return cls(problem, kind, gradients, "; ".join(declared), twin, slopes)
        told = "equals the estimator" if exact else "predicts as the estimator does"
        reason = f"its twin {told} on these samples"
        return cls(problem, AccessKind.WHITE_BOX, Gradients.TRUSTED, reason, twin, slopes)

    @classmethod
    def _without_slopes(cls, problem: Problem, twin: nn.Module, slopes: Slopes) -> Access:
        """Access to the scores of a twin that agrees but whose gradients lead nowhere."""
        worth, why = Gradients.NOT_FINITE, "the gradients of its twin are NaN"
        if not slopes.not_finite:
            worth = Gradients.VANISH
            why = f"the gradients of its twin vanish on {slopes.vanishing:.0%} of the samples"
        answers = Answers.of(problem)
        if answers.scores is None:
            answers = replace(answers, scores=twin, source="the scores of its twin")
        return cls._without(problem, worth, why, twin, slopes=slopes, answers=answers)

    @classmethod
    def _without(
        cls,
        problem: Problem,
        gradients: Gradients,
        why: str,
        twin: nn.Module | None = None,
        *,
        slopes: Slopes | None = None,
        answers: Answers | None = None,
        error: NotDifferentiableError | None = None,
    ) -> Access:
        answers = answers or Answers.of(problem)
        kind, told = AccessKind.SCORES, f"random search follows {answers.source}"
        if answers.scores is None:
            kind, told = AccessKind.LABELS, answers.source
        return cls(
            problem, kind, gradients, f"{why}; {told}", twin, slopes or Slopes(), error, answers
        )

    @staticmethod
    def _slopes(problem: Problem, twin: nn.Module, rows: NDArray) -> Slopes:
        if problem.table.is_raw and not moves_numbers(problem.threat):
            return Slopes()  # categories change without them
        rows = problem.table.with_movable_numbers(rows[problem.codes[rows] >= 0])
        some = rows[:: max(1, len(rows) // ROWS_FOR_SLOPES)]
        spread = problem.points().double().std(dim=0, correction=0)
        spread = torch.where(spread > 0, spread, 1.0)
        return Slopes.of(
            twin, problem.points(some), problem.labels(some), spread.to(problem.points())
        )


def moves_numbers(threat: ThreatModel) -> bool:
    """Tell whether a threat, by position, leaves more to an attack than to change categories.

    Examples
    --------
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._access import moves_numbers
    >>> mask = [True, False, False]
    >>> moves_numbers(ThreatModel(immutable=mask, categories=[(1, 2)]))
    False
    """
    if threat.immutable is None or not threat.categories:
        return True
    grouped = [at for group in threat.one_hot() for at in group]
    free = ~threat.immutable_mask()
    free[grouped] = False
    return bool(free.any())


def told_why(error: NotDifferentiableError) -> str:
    """Tell why there is no twin.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics._access import told_why
    >>> from sklearn_iso.twins import NotDifferentiableError
    >>> told_why(NotDifferentiableError(DecisionTreeClassifier(), ("tree",), "it jumps"))
    "step 'tree' (DecisionTreeClassifier) has no gradient, as it jumps"
    """
    kind = type(error.estimator).__name__
    where = f"step {' > '.join(map(repr, error.path))} ({kind})" if error.path else kind
    return f"{where} has no gradient" + (f", as {error.reason}" if error.reason else "")
