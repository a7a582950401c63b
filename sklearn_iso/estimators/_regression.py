"""The steps of a regressor's fit: units of the target, then what a classifier's fit does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._geometry import nearest_other_class_distance
from sklearn_iso._geometry.norms import get_norm
from sklearn_iso._training import (
    ArrayDataset,
    TrainingSettings,
    input_similarity,
    new_generator,
    resume_net,
    row_weights,
)
from sklearn_iso._training.calibration import INPUT_LENGTH, MAX_ROWS
from sklearn_iso._training.crossfit import Members
from sklearn_iso._training.selection import Selection, select_for_numbers
from sklearn_iso.estimators._crossfitting import CrossFitLearner, warn_of_nothing_learned
from sklearn_iso.estimators._learner import (
    as_module,
    positive_rows,
    settings_of,
    split_rows,
)
from sklearn_iso.estimators._representing import RepresentingNetwork
from sklearn_iso.estimators._result import FitResult
from sklearn_iso.estimators._strength import strength
from sklearn_iso.estimators._tasks import FitTask
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.penalties import (
    NeighborIsometry,
    Penalty,
    WorstCaseIsometry,
    make_penalty,
)

#: Steepest slope that is free: standard deviations of y over one root mean square distance of
#: the samples from their mean.
SLOPE = 4.0

#: Sizes of a target that leave room for predictions beyond it, and for their digits.
LARGEST_TARGET, SMALLEST_UNIT = 1e300, 1e-290


class RegressionLearner:
    """Fits one regressor; holds what only the fit needs.

    Parameters
    ----------
    estimator : IsometricRegressor
        Its parameters are read, and what an earlier fit has found out.
    task : FitTask, optional
        Who hears of the epochs.
    rng : RandomState, optional
        Where an earlier fit left off; by default, what `random_state` says.
    """

    def __init__(
        self,
        estimator: RepresentingNetwork,
        task: FitTask | None = None,
        rng: np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.learner = ChoosingRegressor(estimator, task, rng, data_term="squared_error")

    @property
    def result(self) -> FitResult:
        """What the estimator is to keep."""
        return self.learner.result

    @own_modes()
    def fit(self, X: NDArray, y: NDArray, sample_weight: ArrayLike | None) -> None:
        """Train on validated arrays."""
        rows = self._rows(X, y, sample_weight)
        self._set_units(rows)
        train, valid = self._standardised(rows), None
        if self.estimator.early_stopping:
            train, valid = split_rows(self.estimator, train, self.learner.rng)
        if not self.result.target_std_ or not self.learner.chooses(train):
            settings = settings_of(self.estimator)
            self._start(train, settings, valid)
            self.learner.run(train, settings.max_epochs)
        self.learner.warn_of_weak_pairs(train)

    @own_modes()
    def fit_chunk(self, X: NDArray, y: NDArray, sample_weight: ArrayLike | None) -> None:
        """Train for one epoch on some samples, from where the estimator is or from the start."""
        estimator = self.estimator
        settings = replace(settings_of(estimator), learning_rate_schedule="constant")
        rows = self._rows(X, y, sample_weight)
        self.learner.take_up("net_", "penalty_", "alpha_", "target_mean_", "target_std_")
        if not getattr(estimator, "target_std_", 0):  # the first samples that tell units
            self._set_units(rows)
        if not hasattr(estimator, "net_"):
            rows = self._standardised(rows)
            self._start(rows, settings)
        else:
            rows.X, rows.weight = as_module(estimator.net_, rows.X, rows.weight)
            rows = self._standardised(rows)
            resume_net(estimator.net_, settings, self.learner.shuffling)
        self.learner.run_chunk(rows)

    def _rows(self, X: NDArray, y: NDArray, sample_weight: ArrayLike | None) -> ArrayDataset:
        weight = row_weights(sample_weight, X)
        with np.errstate(over="ignore"):  # of long doubles, which the units refuse
            return positive_rows(X, y.astype(np.float64), weight)

    def _set_units(self, rows: ArrayDataset) -> None:
        """Set the mean and the standard deviation of the target."""
        self.result.target_mean_, self.result.target_std_ = units_of_target(rows.y, rows.weight)

    def _standardised(self, rows: ArrayDataset) -> ArrayDataset:
        mean, unit = self.result.target_mean_, self.result.target_std_
        if not unit:
            return ArrayDataset(rows.X, np.zeros(len(rows), rows.X.dtype), rows.weight)
        with np.errstate(over="ignore"):  # said below
            y = (rows.y - mean) / unit
            y = y.astype(rows.X.dtype)
        if not np.isfinite(y).all():
            raise ValueError(
                f"y must be near the mean {mean:.3g} of the first samples in units "
                f"of their standard deviation {unit:.3g}; got values up to "
                f"{np.abs(rows.y).max():.3g}, which are further off than {rows.X.dtype} holds. "
                "Scale y alike in every chunk, or fit a clone."
            )
        return ArrayDataset(rows.X, y, rows.weight)

    def _start(
        self, train: ArrayDataset, settings: TrainingSettings, valid: ArrayDataset | None = None
    ) -> None:
        penalty = regression_penalty(self.estimator.penalty)
        if strength(self.estimator) > 0:
            set_units(penalty, train, self.learner.rng)
        self.learner.start(train, penalty, 1, settings, valid)
        self.result.shrinkage_ = 1.0


class ChoosingRegressor(CrossFitLearner):
    """Learner of the network of a regressor; held out samples choose by squared error."""

    def chooses(self, train: ArrayDataset) -> bool:
        """Train members; return False where there is nothing to choose, or too little."""
        penalty = regression_penalty(self.estimator.penalty)
        return self.cross_fit(train, penalty, 1, np.zeros(len(train)))

    def calibrate(self, penalty: Penalty, train: ArrayDataset) -> None:
        """Set what a penalty takes from data without classes."""
        set_units(penalty, train, self.rng)
        super().calibrate(penalty, train)

    def select(self, outputs: NDArray, weight: NDArray) -> Selection:
        """Return what the held out predictions say; warn if no candidate has learned."""
        selection = select_for_numbers(outputs, self.samples.y, weight, self.group)
        warn_of_nothing_learned(selection.losses["squared_error"], 1.0)
        return selection

    def leave(self, members: Members, selection: Selection) -> None:
        """Make the members of the choice the network of the result."""
        super().leave(members, selection)
        self.result.shrinkage_ = 1 / selection.temperature


def units_of_target(y: NDArray, weight: NDArray) -> tuple[float, float]:
    """Return the weighted mean and standard deviation of a target, whatever its magnitude.

    The deviation is 0 where all that varies is rounding.

    Raises
    ------
    ValueError
        If float64 does not hold predictions in these units.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.estimators._regression import units_of_target
    >>> units_of_target(np.array([-1e200, 1e200]), np.ones(2))
    (0.0, 1e+200)
    """
    size = float(np.abs(y).max())
    if size > LARGEST_TARGET:
        raise ValueError(
            f"y must be at most {LARGEST_TARGET:.0e} in size, or float64 does not hold the "
            f"predictions; got values up to {size:.3g}. Scale y."
        )
    _, exponent = np.frexp(size)
    scaled = np.ldexp(y, -exponent)  # exactly, so that powers of 2 change nothing
    center = np.average(scaled, weights=weight).clip(scaled.min(), scaled.max())
    spread = float(np.sqrt(np.average((scaled - center) ** 2, weights=weight)))
    if spread <= 10 * np.finfo(np.float64).eps * abs(scaled).max():
        spread = 0.0
    unit = float(np.ldexp(spread, exponent))
    if spread and unit < SMALLEST_UNIT:
        raise ValueError(
            f"y must vary by {SMALLEST_UNIT:.0e} or more, or float64 does not hold the digits of "
            f"the predictions; got a standard deviation of {unit:.3g}. Scale y."
        )
    return float(np.ldexp(center, exponent)), unit


def regression_penalty(penalty: str | Penalty) -> Penalty:
    """Return a penalty that is safe to calibrate: the default for regression, or a clone.

    Raises
    ------
    ValueError
        If a term needs classes or the logits of a classifier.
    """
    if isinstance(penalty, str) and penalty == "isometric":
        return NeighborIsometry(max_samples=64) + WorstCaseIsometry(start="random")
    found = make_penalty(penalty)
    if any(term.needs_labels for _, _, term in found.terms()):
        raise ValueError(
            f"A penalty of a regressor must do without classes; got {penalty!r}. Choose "
            "'isometric', 'neighbors', 'global' or 'worst_case'."
        )
    return found.without_logits()


def set_units(penalty: Penalty, rows: ArrayDataset, rng: np.random.RandomState) -> None:
    """Set what is "auto" in units of data without classes."""
    drawn = _draw(rows, rng)
    generator = new_generator(rng)
    for _, _, term in penalty.terms():
        params = term.get_params(deep=False)
        if params.get("radius") == "auto":
            order = get_norm(params.get("norm", "l2")).order
            term.set_params(radius=0.5 * nearest_row_distance(drawn, order, generator))
        if params.get("scale") == "auto":
            term.set_params(scale=free_slope(drawn))


def nearest_row_distance(rows: ArrayDataset, order: float, generator: torch.Generator) -> float:
    """Return the median distance of a sample to its nearest distinct one."""
    flat = rows.X.reshape(len(rows), -1)
    _, same = np.unique(flat, axis=0, return_inverse=True)
    return nearest_other_class_distance(
        torch.from_numpy(flat),
        torch.from_numpy(same.ravel()),
        order=order,
        sample_weight=torch.from_numpy(rows.weight),
        generator=generator,
    )


def free_slope(rows: ArrayDataset) -> float:
    """Return the steepest slope that costs nothing, in standard deviations of y."""
    flat = rows.X.reshape(len(rows), -1)
    return SLOPE * input_similarity(flat, rows.weight)[1] / INPUT_LENGTH


def _draw(rows: ArrayDataset, rng: np.random.RandomState) -> ArrayDataset:
    index = np.arange(len(rows))
    if len(rows) > MAX_ROWS:
        index = np.sort(rng.choice(index, MAX_ROWS, replace=False))
    X, (y, weight) = rows[index]  # copies, which torch may hold where X is read-only
    return ArrayDataset(X, y, weight)
