"""What is evaluated of a regressor: its predictions, targets, and what an attack may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_iso._protocols import Predictor, Samples
from sklearn_iso._threat import Threat, ThreatModel, as_threat
from sklearn_iso.metrics._problem import Attackable
from sklearn_iso.metrics._raw_table import table_of
from sklearn_iso.metrics._refused import Refused
from sklearn_iso.metrics._table import Table
from sklearn_iso.metrics._weights import weighted

LossLike = Literal["absolute_error", "squared_error"] | Callable[[NDArray, NDArray], ArrayLike]
LOSSES: dict[str, Callable[[NDArray], NDArray]] = {
    "absolute_error": abs,
    "squared_error": np.square,
}


def _squared(deviation: Tensor) -> Tensor:
    return deviation.square().mean(dim=1)


def _absolute(deviation: Tensor) -> Tensor:
    return deviation.abs().mean(dim=1)


OF_TENSORS = {"absolute_error": _absolute, "squared_error": _squared}


@dataclass(frozen=True)
class SampleLoss:
    """A loss of predictions, one value for each sample.

    Parameters
    ----------
    given : {"absolute_error", "squared_error"} or callable
        Over several outputs, the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._regression_problem import SampleLoss
    >>> SampleLoss("squared_error")(np.array([[0.0, 1.0]]), np.array([[2.0, 1.0]]))
    array([2.])
    """

    given: LossLike

    def __post_init__(self) -> None:
        """Check that there is such a loss."""
        known = isinstance(self.given, str) and self.given in LOSSES
        if not known and (isinstance(self.given, type | str) or not callable(self.given)):
            raise ValueError(
                f"loss must be one of {', '.join(map(repr, LOSSES))}, or a function of y_true and "
                f"y_pred that returns one number for each sample; got {self.given!r}."
            )

    @property
    def name(self) -> str:
        """What it is called in tables."""
        if isinstance(self.given, str):
            return self.given
        return str(getattr(self.given, "__name__", type(self.given).__name__))

    @property
    def of_tensors(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The same for outputs and targets, to be climbed; None for a function of a user."""
        if not isinstance(self.given, str):
            return None
        of_deviation = OF_TENSORS[self.given]
        return lambda outputs, y: of_deviation(outputs - y.to(outputs))

    def __call__(self, y: NDArray, predicted: NDArray) -> NDArray[np.float64]:
        """Return the losses of samples, of targets and predictions of shape (n, n_outputs).

        Raises
        ------
        ValueError
            If a function of a user does not return one number for each sample.
        """
        if isinstance(self.given, str):
            of_output = LOSSES[self.given](predicted - y)
            mean: NDArray[np.float64] = of_output.mean(axis=1)
            return mean
        y, predicted = y.copy(), predicted.copy()
        if y.shape[1] == 1:
            y, predicted = y[:, 0], predicted[:, 0]
        losses = np.asarray(self.given(y, predicted), dtype=np.float64)
        if losses.shape != (len(y),) or not np.isfinite(losses).all():
            raise ValueError(
                f"loss must return one finite number for each sample, of shape ({len(y)},); got "
                f"shape {losses.shape}. A mean over the samples is taken afterwards: return "
                "np.abs(y_true - y_pred), for example, without the mean."
            )
        return losses


@dataclass(frozen=True)
class RegressionProblem(Attackable):
    """A fitted regressor with samples and their targets, under a threat.

    Parameters
    ----------
    estimator : fitted regressor
    table : Table
    y : ndarray of shape (n, n_outputs)
        Targets, or what deviations are counted from.
    clean : ndarray of shape (n, n_outputs)
        Predictions for X as it is.
    threat : ThreatModel
        For the columns of the table, by position.
    weight : ndarray of shape (n,), or None
        Weights of the samples.
    refused : Refused
        Perturbed points at which the estimator gave no answer.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem
    >>> X, y = np.array([[0.0], [1.0]]), np.array([1.0, 3.0])
    >>> problem = RegressionProblem.of(LinearRegression().fit(X, y), X, y, threat="l2")
    >>> problem.clean.round(6), problem.n_outputs
    (array([[1.],
           [3.]]), 1)
    """

    estimator: Predictor
    table: Table
    y: NDArray[np.float64]
    clean: NDArray[np.float64]
    threat: ThreatModel
    weight: NDArray | None = None
    refused: Refused = field(default_factory=Refused, compare=False)

    @classmethod
    def of(
        cls,
        estimator: Predictor,
        X: Samples,
        y: ArrayLike | None = None,
        *,
        threat: Threat = "linf",
        sample_weight: ArrayLike | None = None,
        needs_y: bool = True,
        missing: bool = False,
    ) -> RegressionProblem:
        """Return a checked problem, without the samples of weight 0.

        Without y the predictions take the place of targets, where none are needed. With
        `missing`, NaN in X is a value that is missing, which stays so.

        Raises
        ------
        TypeError
            If estimator is no regressor.
        ValueError
            If X, y, the predictions or the threat are not what they must be.
        """
        check_regressor(estimator)
        if y is None and needs_y:
            raise ValueError(
                "y must hold the targets of X; got None. To count from the predictions, pass "
                "y=estimator.predict(X)."
            )
        weight = None
        if sample_weight is not None:
            weight, X, y = weighted(sample_weight, X, y)
        threat = as_threat(threat)
        table = table_of(X, threat, missing=missing)
        predicted = _outputs(table.answered(estimator.predict), len(table))
        if not np.isfinite(predicted).all():
            raise ValueError(
                f"predict must return finite numbers at X; {type(estimator).__name__} predicts NaN "
                "or infinity. Drop those samples, or correct the regressor."
            )
        targets = predicted if y is None else check_targets(y, predicted.shape[1], table)
        if threat.repair is not None or threat.is_valid is not None:
            raise ValueError(
                "repair and is_valid are rules for classifiers; got them for a regressor. Tell "
                "linear rules as relations, and whole numbers as integers."
            )
        by_position = table.threat(threat)
        problem = cls(estimator, table, targets, predicted, by_position, weight)
        problem.budget(problem.present(), 0)  # checks the threat on all samples
        return problem

    @property
    def n_outputs(self) -> int:
        """How many numbers are predicted of a sample."""
        return self.y.shape[1]

    def targets(self, rows: NDArray | slice = slice(None)) -> Tensor:
        """Targets as a tensor of shape (n, n_outputs)."""
        return torch.from_numpy(self.y[rows])

    def predict_perturbed(
        self, values: NDArray, rows: NDArray | None = None, *, thorough: bool = False
    ) -> NDArray[np.float64]:
        """Predictions for perturbed values of some samples; NaN where the estimator refuses."""

        def question(at: NDArray) -> NDArray:
            if thorough or rows is not None:
                some = self.table.with_values(values[at], None if rows is None else rows[at])
                return _outputs(self.estimator.predict(some), len(at))
            return _outputs(self.table.asked(self.estimator, "predict", values[at]), len(at))

        predicted = np.full((len(values), self.n_outputs), np.nan)
        for at, answer in self.refused.ask(question, values, thorough=thorough):
            predicted[at] = answer
            unknown = ~np.isfinite(answer).all(axis=1)
            self.refused.note(values[at[unknown]], "it predicts NaN or infinity")
        predicted[~np.isfinite(predicted).all(axis=1)] = np.nan
        return predicted

    def outputs(self, x: Tensor) -> Tensor:
        """Predictions as an attack without gradients asks for them."""
        return torch.from_numpy(self.predict_perturbed(x.detach().numpy()))


def check_regressor(estimator: object) -> None:
    """Raise a TypeError unless an estimator is a fitted regressor.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn_iso.metrics._regression_problem import check_regressor
    >>> check_regressor(DummyRegressor().fit([[0.0]], [1.0]))
    """
    if not hasattr(estimator, "predict") or not is_regressor(estimator):
        remedy = "For transformers there is no adversarial error."
        if is_classifier(estimator):
            remedy = "For a classifier call sklearn_iso.metrics.adversarial_accuracy."
        raise TypeError(
            f"estimator must be a regressor; got {type(estimator).__name__}, which predicts no "
            f"numbers. {remedy}"
        )
    check_is_fitted(estimator)


def check_targets(y: ArrayLike, n_outputs: int, table: Table) -> NDArray[np.float64]:
    """Return targets of shape (n, n_outputs).

    Raises
    ------
    ValueError
        If they are not finite, or not as many as the estimator predicts for each sample.

    Examples
    --------
    >>> from sklearn_iso.metrics._regression_problem import check_targets
    >>> from sklearn_iso.metrics._table import Table
    >>> check_targets([1, 2], 1, Table([[0.0], [1.0]]))
    array([[1.],
           [2.]])
    """
    targets = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    check_consistent_length(table.values, targets)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if targets.shape[1] != n_outputs:
        raise ValueError(
            f"y must hold as many numbers for each sample as the estimator predicts, {n_outputs}; "
            f"got shape {targets.shape}. Pass the targets as they were in the fit."
        )
    return np.require(targets, requirements=["C", "W"])  # columns of frames are read-only


def _outputs(predicted: ArrayLike, n_samples: int) -> NDArray[np.float64]:
    array = np.require(predicted, dtype=np.float64, requirements=["C", "W"])
    if array.ndim not in (1, 2) or len(array) != n_samples:
        raise ValueError(
            f"predict must return numbers for each sample, of shape ({n_samples},) or "
            f"({n_samples}, n_outputs); got shape {array.shape}."
        )
    return array[:, None] if array.ndim == 1 else array
