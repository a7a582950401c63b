"""The largest error of a fitted regressor within a budget, proven."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier
from sklearn.utils._param_validation import HasMethods

from sklearn_iso._protocols import Predictor
from sklearn_iso._threat import Threat, check_eps
from sklearn_iso._typed import validate_params
from sklearn_iso.metrics._certified import SECONDS, check_norm
from sklearn_iso.metrics._proven_ranges import ProvenRanges
from sklearn_iso.metrics._regression_problem import LOSSES, RegressionProblem, SampleLoss

LossName = Literal["absolute_error", "squared_error"]


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        "sample_weight": ["array-like", None],
        "time_limit": SECONDS,
    },
    prefer_skip_nested_validation=False,
)
def certified_error(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    threat: Threat = "linf",
    loss: LossName = "absolute_error",
    sample_weight: ArrayLike | None = None,
    time_limit: float | None = None,
) -> float:
    r"""Return a mean of losses that provably no perturbation exceeds.

    .. math:: \frac1n \sum_i L_i, \qquad L_i \ge \max_{x'} \{ \ell(y_i, f(x')) :
              \|(x' - x_i) / u\| \le \varepsilon \}

    With weights, the weighted mean; over several outputs the loss is the mean of those of the
    outputs. :func:`sklearn_iso.metrics.adversarial_error` bounds the same from below: the error
    under the strongest attack lies between the two.

    For each sample an interval is known that holds all predictions within the budget. It is as
    narrow as it can be for

    - linear regressors behind affine steps, in every norm;
    - single regression trees, in every norm;
    - forests, extra trees, gradient and histogram boosting, bagging and votes of trees in "linf",
      where the search of the package Veritas over intersections of leaves [1]_ ends.

    Where it does not end, in other norms, and without that package, intervals of ensembles are
    wider. Those of networks are linear bounds of their outputs [2]_. Targets may be transformed
    by a scaler, or by ``np.log1p`` with ``np.expm1``
    (:class:`~sklearn.compose.TransformedTargetRegressor`).

    Parameters
    ----------
    estimator : fitted regressor
        One of those, alone or at the end of a :class:`~sklearn.pipeline.Pipeline`.
    X : array-like or sparse matrix of shape (n_samples, n_features), or a DataFrame
        Missing values, NaN, stay missing under attack.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    eps : float
        Budget, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`; not of norm "l0".
    loss : {"absolute_error", "squared_error"}, default="absolute_error"
        The loss of a sample.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0. Samples of weight 0 are left out.
    time_limit : float, optional
        Seconds for each end of an interval of an ensemble of trees. Without it the number of
        steps is limited, so that the same value comes back each time.

    Returns
    -------
    float
        An upper bound of the error under the strongest attack of this budget; infinity where
        numbers overflow on the way.

    Raises
    ------
    NotCertifiableError
        If nothing can be proven about the estimator or a step before it; a TypeError.
    TypeError
        If the estimator is no regressor.
    ValueError
        If X, y, eps, the loss or the threat is not what it must be, or the norm is "l0".

    See Also
    --------
    certified_distance : How far from each sample no prediction is off by more than a tolerance.
    certified_accuracy : The same for classifiers.

    References
    ----------
    .. [1] Devos, Meert, Davis, Versatile Verification of Tree Ensembles, ICML 2021.
    .. [2] Zhang et al., Efficient Neural Network Robustness Certification with General Activation
       Functions, NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from sklearn_iso.metrics import certified_error
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), [0.0, 1.0, 5.0]
    >>> tree = DecisionTreeRegressor().fit(X, y)
    >>> [round(certified_error(tree, X, y, eps=eps), 3) for eps in (0, 0.6, 1.5)]
    [0.0, 0.667, 3.0]
    """
    budget, threat, of_sample = check_eps(eps), check_norm(threat), SampleLoss(loss)
    if not isinstance(of_sample.given, str):
        raise ValueError(
            f"loss must be one of {', '.join(map(repr, LOSSES))}, of which the largest value is "
            f"known; got {of_sample.name}. Of a function adversarial_error finds large values."
        )
    if is_classifier(estimator):
        raise TypeError(
            f"estimator must be a regressor; got {type(estimator).__name__}, a classifier. Call "
            "certified_accuracy."
        )
    problem = RegressionProblem.of(
        estimator, X, y, threat=threat, sample_weight=sample_weight, missing=True
    )
    losses = ProvenRanges.of(problem, time_limit).losses(of_sample, budget)
    return float(np.average(losses, weights=problem.weight))
