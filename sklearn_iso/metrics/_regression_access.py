"""Which attack a regressor allows: by gradients, by a surrogate's, or by predictions alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_iso.metrics._access import (
    ROWS_FOR_SLOPES,
    SHARE_THAT_MAY_VANISH,
    VANISHING,
    AccessKind,
    Followed,
    Gradients,
    told_why,
)
from sklearn_iso.metrics._answers import agrees
from sklearn_iso.metrics._regression_problem import RegressionProblem
from sklearn_iso.twins import NotDifferentiableError, surrogates

BATCH = 1000
#: Differences, in standard deviations of the predictions, that rounding explains.
ROUNDING, ROUNDING_IN_FLOAT32 = 1e-6, 1e-3


@dataclass(frozen=True)
class RegressionAccess:
    """What an attack can get of a regressor.

    Attributes
    ----------
    problem : RegressionProblem
    kind : AccessKind
    gradients : Gradients
    reason : str
        Why it is of this kind, in words that are displayed only.
    twin : nn.Module or None
        The twin, also where it is not trusted.
    error : NotDifferentiableError or None
        Why there is no twin.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_iso.metrics._regression_access import RegressionAccess
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem
    >>> X, y = load_diabetes(return_X_y=True)
    >>> RegressionAccess.of(RegressionProblem.of(Ridge().fit(X, y), X, y)).kind
    <AccessKind.WHITE_BOX: 'white-box'>
    """

    problem: RegressionProblem = field(repr=False)
    kind: AccessKind
    gradients: Gradients
    reason: str
    twin: nn.Module | None = field(default=None, repr=False)
    error: NotDifferentiableError | None = field(default=None, repr=False)

    @property
    def climbs(self) -> bool:
        """Whether gradient attacks run on the twin at all."""
        return self.gradients in (Gradients.TRUSTED, Gradients.APPROXIMATE)

    @property
    def trusted(self) -> bool:
        """Whether what gradient attacks find counts without another."""
        return self.gradients is Gradients.TRUSTED

    @property
    def model(self) -> nn.Module:
        """The twin, where there is one."""
        return cast(nn.Module, self.twin)

    @property
    def outputs(self) -> Followed:
        """The twin, for an attack that must not end on points where it gives no numbers."""
        return Followed(self.model, self.problem.refused)

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
                "changes predict needs one of its own), or pass attack='auto', which then attacks "
                "without gradients."
            )

    @classmethod
    def of(cls, problem: RegressionProblem, asks: str = "gradients") -> RegressionAccess:
        """Find out what the estimator of a problem allows.

        Parameters
        ----------
        problem : RegressionProblem
        asks : {"gradients", "scores", "labels"}
            What the attack asks for.

        Raises
        ------
        ValueError
            If the twin does not return as many numbers as the estimator.
        """
        if asks != "gradients":
            return cls(problem, AccessKind.SCORES, Gradients.NOT_NEEDED, "as asked for")
        try:
            twin = InColumns(problem.table.twin(problem.estimator))
        except NotDifferentiableError as error:
            return cls._without(problem, Gradients.NONE, told_why(error), error=error)
        return cls._of_twin(problem, twin)

    @classmethod
    def _of_twin(cls, problem: RegressionProblem, twin: nn.Module) -> RegressionAccess:
        """Compare a twin with the estimator, and look at its gradients."""
        found, expected = _predicted(twin, problem.points()), problem.clean
        if found.shape != expected.shape:
            raise ValueError(
                f"The estimator's twin must return predictions of shape {expected.shape}; got "
                f"shape {found.shape}. Correct its to_torch() or its registered twin."
            )
        if not np.isfinite(found).all():
            why = "the predictions of its twin are not finite"
            return cls._without(problem, Gradients.NOT_FINITE, why, twin)
        differ = int((np.abs(found - expected) > _tolerance(twin, problem, expected)).any(1).sum())
        if not agrees(differ, len(expected)):
            why = f"its twin predicts otherwise on {differ} of {len(expected)} samples"
            return cls._without(problem, Gradients.DISAGREE, why, twin)
        slopes = _slopes(problem, twin, expected)
        if not np.isfinite(slopes).all():
            why = "the gradients of its twin are NaN"
            return cls._without(problem, Gradients.NOT_FINITE, why, twin)
        vanishing = float((slopes <= VANISHING).mean())
        if vanishing > SHARE_THAT_MAY_VANISH and slopes.any():
            why = f"the gradients of its twin vanish on {vanishing:.0%} of the samples"
            return cls._without(problem, Gradients.VANISH, why, twin)
        if declared := surrogates(twin):
            reason = "; ".join(declared)
            return cls(problem, AccessKind.SURROGATE, Gradients.APPROXIMATE, reason, twin)
        reason = "its twin predicts as the estimator does on these samples"
        return cls(problem, AccessKind.WHITE_BOX, Gradients.TRUSTED, reason, twin)

    @classmethod
    def _without(
        cls,
        problem: RegressionProblem,
        gradients: Gradients,
        why: str,
        twin: nn.Module | None = None,
        error: NotDifferentiableError | None = None,
    ) -> RegressionAccess:
        reason = f"{why}; random search follows its predictions"
        return cls(problem, AccessKind.SCORES, gradients, reason, twin, error)


class InColumns(nn.Module):
    """Predictions of a twin as a table, also where those of one output are a vector.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.metrics._regression_access import InColumns
    >>> InColumns(torch.nn.Flatten(0))(torch.ones(2, 1)).shape
    torch.Size([2, 1])
    """

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, X: Tensor) -> Tensor:
        """Return predictions of shape (n, n_outputs)."""
        outputs: Tensor = self.twin(X)
        return outputs[:, None] if outputs.ndim == 1 else outputs


def _predicted(twin: nn.Module, X: Tensor) -> NDArray:
    with torch.no_grad():
        found: NDArray = torch.cat([twin(batch) for batch in X.split(BATCH)]).double().cpu().numpy()
    return found


def _tolerance(twin: nn.Module, problem: RegressionProblem, expected: NDArray) -> NDArray:
    single = any(parameter.dtype == torch.float32 for parameter in twin.parameters())
    single |= problem.table.values.dtype == np.float32
    size = expected.std(axis=0) + np.abs(expected).mean(axis=0)
    found: NDArray = (ROUNDING_IN_FLOAT32 if single else ROUNDING) * size + 1e-12
    return found


def _slopes(problem: RegressionProblem, twin: nn.Module, expected: NDArray) -> NDArray:
    """Change of the outputs over a standard deviation of every feature, in those of outputs."""
    X = problem.points()
    rows = problem.table.with_movable_numbers(np.arange(len(X)))
    some = X[rows[:: max(1, len(rows) // ROWS_FOR_SLOPES)]]
    spread = X.double().std(dim=0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0).to(X)
    scale = expected.std(axis=0)
    largest = np.zeros(len(some))
    for output in range(expected.shape[1]):
        x = some.detach().clone().requires_grad_()
        with torch.enable_grad():
            value = twin(x)[:, output].sum()
        if not value.requires_grad:
            continue
        (slope,) = torch.autograd.grad(value, x, allow_unused=True)
        if slope is not None:
            change = (slope * spread).flatten(1).abs().sum(dim=1).double().numpy()
            largest = np.maximum(largest, change / (scale[output] or 1.0))  # NaN stays
    return largest
