"""What "auto" comes to: how strongly a network is held back, and how long it trains."""

from __future__ import annotations

import math
from typing import Any

from sklearn.base import is_regressor

from sklearn_iso._protocols import Parametrized
from sklearn_iso._training import Acceleration
from sklearn_iso._training.crossfit import Candidate
from sklearn_iso._training.stacked import can_stack
from sklearn_iso.estimators._constraints import AUTO
from sklearn_iso.estimators._network import NetworkEstimator
from sklearn_iso.estimators._representing import RepresentingNetwork
from sklearn_iso.modules._widths import layer_widths
from sklearn_iso.penalties import Penalty

#: Members of a cross-fitted network; each leaves out one fold.
N_FOLDS = 4
#: From the weakest to the strongest: where held out samples cannot tell, the later one is taken.
CANDIDATES = (
    Candidate(0.0, 0.001),
    Candidate(0.0, 0.03),
    Candidate(1.0, 0.003),
    Candidate(1.0, 0.1),
)
CANDIDATES_OF_REGRESSORS = (
    Candidate(0.0, 0.001),
    Candidate(0.0, 0.03),
    Candidate(0.3, 0.03),
)
#: Strength of the penalty of a network on its own.
ALONE, ALONE_OF_REGRESSORS = 1.0, 0.3
#: Epochs of a cross-fit. Numbers tell more of a slope than classes, and take longer to fit.
EPOCHS, EPOCHS_OF_REGRESSORS = 20, 40
#: Fewest samples, and most values of X, that are cross-fitted.
MIN_SAMPLES, MAX_VALUES = 50, 10_000_000
#: Fewest units of a hidden layer that is shared out among the members.
MIN_UNITS = 64
#: Fewest steps of an epoch of a cross-fit, and its smallest and largest batch.
MIN_STEPS, MIN_STEPS_OF_REGRESSORS = 8, 5
SMALLEST_BATCH, LARGEST_BATCH = 16, 256


def strength(estimator: NetworkEstimator) -> float:
    """Return the alpha that a network on its own trains under.

    Examples
    --------
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.estimators._strength import strength
    >>> strength(IsometricClassifier()), strength(IsometricClassifier(alpha=0.1))
    (1.0, 0.1)
    """
    if not isinstance(estimator.alpha, str):
        return float(estimator.alpha)
    return ALONE_OF_REGRESSORS if is_regressor(estimator) else ALONE


def cross_fits(
    estimator: RepresentingNetwork, penalty: Penalty, n_samples: float, n_features: int
) -> bool:
    """Return whether a fit under a penalty chooses its strength by cross-fitting.

    Examples
    --------
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.estimators._strength import cross_fits
    >>> from sklearn_iso.penalties import make_penalty
    >>> penalty = make_penalty("isometric")
    >>> [cross_fits(IsometricClassifier(), penalty, n, 20) for n in (20, 1000)]
    [False, True]
    """
    told = (estimator.alpha, getattr(estimator, "layers", None))
    if not all(isinstance(one, str) for one in told) or told != ("auto", "hidden"):
        return False
    if estimator.module is not None or estimator.early_stopping or estimator.warm_start:
        return False
    if not isinstance(estimator.optimizer, str) or Acceleration.of(estimator).changes_passes:
        return False
    widths = layer_widths(estimator.hidden_layer_sizes)
    divisible = all(width >= MIN_UNITS and width % N_FOLDS == 0 for width in widths)
    sized = n_samples >= MIN_SAMPLES and n_samples * n_features <= MAX_VALUES
    return bool(widths) and divisible and sized and can_stack(penalty)


def candidates(estimator: NetworkEstimator) -> list[Candidate]:
    """Return the strengths to try; a weight decay that was given is that of all."""
    tried = CANDIDATES_OF_REGRESSORS if is_regressor(estimator) else CANDIDATES
    if estimator.weight_decay == "auto":
        return list(tried)
    decay = float(estimator.weight_decay)
    return [Candidate(alpha, decay) for alpha in sorted({one.alpha for one in tried})]


def given_or_auto(estimator: Parametrized, n_samples: int | None = None) -> dict[str, Any]:
    """Return what the parameters that may be "auto" come to.

    Parameters
    ----------
    estimator : estimator
    n_samples : int, optional
        Samples of a fit that cross-fits; by default, one network trains.
    """
    found = dict(AUTO)
    if n_samples is not None:
        epochs, steps = EPOCHS, MIN_STEPS
        if is_regressor(estimator):
            epochs, steps = EPOCHS_OF_REGRESSORS, MIN_STEPS_OF_REGRESSORS
        batch_size = min(max(math.ceil(n_samples / steps), SMALLEST_BATCH), LARGEST_BATCH)
        # The decay is part of the objective there: each candidate has its own.
        found |= {"max_epochs": epochs, "batch_size": batch_size, "learning_rate": 1e-2}
    params = estimator.get_params(deep=False)
    given = {name: params[name] for name in found if name in params}
    found |= {name: value for name, value in given.items() if not isinstance(value, str)}
    return found | ({} if n_samples is None else {"weight_decay": 0.0})
