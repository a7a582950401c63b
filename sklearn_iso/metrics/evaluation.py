"""Which attack an estimator allows: by gradients, by a surrogate's, by scores, by decisions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_iso.attacks.losses import cross_entropy
from sklearn_iso.geometry.norm import along
from sklearn_iso.metrics.answers import Answers, Asked, agrees
from sklearn_iso.metrics.case import Case
from sklearn_iso.metrics.refused import Refused
from sklearn_iso.twins import NotDifferentiableError, as_torch, surrogates, verify

ROWS_FOR_SLOPES = 200
VANISHING = 1e-6
SHARE_THAT_MAY_VANISH = 0.1


@dataclass(frozen=True)
class Slopes:
    """Shares of rows whose gradients are of no use to an attack.

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
    >>> from sklearn_iso.metrics.evaluation import Slopes
    >>> X, y = torch.tensor([[9.0], [900.0]]), torch.tensor([0, 0])
    >>> Slopes.of(lambda x: torch.cat([x, -x], dim=1), X, y, spread=torch.tensor([1.0]))
    Slopes(vanishing=0.0, not_finite=0.0, saturated=0.5)
    """

    vanishing: float = 0.0
    not_finite: float = 0.0
    saturated: float = 0.0

    @classmethod
    def of(cls, logits: nn.Module, X: Tensor, y: Tensor, spread: Tensor) -> Slopes:
        """Return the shares for rows of X, with the standard deviation of each feature."""
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
    >>> from sklearn_iso.metrics.evaluation import Followed
    >>> from sklearn_iso.metrics.refused import Refused
    >>> refused = Refused()
    >>> Followed(torch.nn.LogSigmoid(), refused)(torch.tensor([[0.0, torch.nan]]))
    tensor([[-0.6931,     nan]])
    >>> refused.n_points
    1
    """

    def __init__(self, twin: Any, refused: Refused) -> None:
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


@dataclass(frozen=True)
class Access:
    """What an attack can get of an estimator.

    Attributes
    ----------
    kind : {"white-box", "surrogate", "score-based", "decision-based"}
    reason : str
        Why it is of this kind.
    twin : nn.Module or None
        The twin, also where it is not trusted.
    climbs : bool
        Whether gradient attacks run on the twin at all.
    trusted : bool
        Whether rows that survive the gradient attacks count as robust without a further attack.
    slopes : Slopes
    error : NotDifferentiableError or None
        Why there is no twin.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics.case import Case
    >>> from sklearn_iso.metrics.evaluation import Access
    >>> X, y = load_iris(return_X_y=True)
    >>> Access.of(Case.of(LogisticRegression(max_iter=500).fit(X, y), X, y)).kind
    'white-box'
    """

    case: Case = field(repr=False)
    kind: str
    reason: str
    twin: Any = field(default=None, repr=False)
    climbs: bool = False
    trusted: bool = False
    slopes: Slopes = Slopes()
    error: NotDifferentiableError | None = field(default=None, repr=False)

    @property
    def logits(self) -> Followed:
        """The twin, for an attack that must not end on points where it gives no numbers."""
        return Followed(self.twin, self.case.refused)

    @cached_property
    def answers(self) -> Answers:
        """What the estimator says without gradients."""
        return Answers.of(self.case)

    @classmethod
    def of(cls, case: Case, rows: NDArray | None = None) -> Access:
        """Find out what the estimator of a case allows, on those rows that will be attacked.

        Raises
        ------
        ValueError
            If the twin does not return one score for each class.
        """
        rows = np.arange(len(case.table)) if rows is None else rows
        try:
            if len(case.classes) == 1:
                reason = "there is a single class, whose score no other exceeds"
                raise NotDifferentiableError(case.estimator, reason=reason)
            twin = as_torch(case.estimator)
        except NotDifferentiableError as error:
            return cls._without_gradients(case, _told(error), error=error)
        agreement = verify(twin, Asked(case), case.table.values[rows])
        n_different = round((1 - agreement.share_equal) * len(rows))
        if not agreement.finite:
            return cls._without_gradients(case, "the scores of its twin are not finite", twin)
        if not agrees(n_different, len(rows)):
            why = f"its twin predicts otherwise on {n_different} of {len(rows)} samples"
            return cls._without_gradients(case, why, twin)
        slopes = cls._slopes(case, twin, rows)
        if slopes.not_finite:
            why = "the gradients of its twin are NaN"
            return cls._without_gradients(case, why, twin, slopes, agrees=True)
        if not slopes.useful:
            why = f"the gradients of its twin vanish on {slopes.vanishing:.0%} of the samples"
            return cls._without_gradients(case, why, twin, slopes, agrees=True)
        return cls._with_gradients(case, twin, slopes, agreement.exact)

    @classmethod
    def _with_gradients(cls, case: Case, twin: nn.Module, slopes: Slopes, exact: bool) -> Access:
        declared = surrogates(twin)
        told = "equals the estimator" if exact else "predicts as the estimator does"
        kind, reason = "white-box", f"its twin {told} on these samples"
        if declared:
            kind, reason = "surrogate", "; ".join(declared)
        return cls(case, kind, reason, twin, climbs=True, trusted=not declared, slopes=slopes)

    @classmethod
    def _without_gradients(
        cls,
        case: Case,
        why: str,
        twin: nn.Module | None = None,
        slopes: Slopes | None = None,
        error: NotDifferentiableError | None = None,
        agrees: bool = False,
    ) -> Access:
        answers = Answers.of(case)
        if answers.scores is None and agrees and twin is not None:
            answers = replace(answers, scores=twin, source="the scores of its twin")
        kind = "decision-based" if answers.scores is None else "score-based"
        told = (
            answers.source if answers.scores is None else f"random search climbs {answers.source}"
        )
        access = cls(case, kind, f"{why}; {told}", twin, slopes=slopes or Slopes(), error=error)
        access.__dict__["answers"] = answers  # as cached_property stores it
        return access

    @staticmethod
    def _slopes(case: Case, twin: nn.Module, rows: NDArray) -> Slopes:
        rows = rows[case.codes[rows] >= 0]
        some = rows[:: max(1, len(rows) // ROWS_FOR_SLOPES)]
        spread = case.points().double().std(dim=0, correction=0)
        spread = torch.where(spread > 0, spread, 1.0)
        return Slopes.of(twin, case.points(some), case.labels(some), spread.to(case.points()))


def _told(error: NotDifferentiableError) -> str:
    kind = type(error.estimator).__name__
    where = f"step {' > '.join(map(repr, error.path))} ({kind})" if error.path else kind
    return f"{where} has no gradient" + (f", as {error.reason}" if error.reason else "")
