"""Accuracy under attack at all budgets."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import HasMethods, StrOptions, validate_params

from sklearn_iso.metrics.adversarial import PROCEDURE_CONSTRAINTS
from sklearn_iso.metrics.breaking import Attack, Procedure
from sklearn_iso.metrics.case import Case
from sklearn_iso.metrics.distance import adversarial_distance
from sklearn_iso.metrics.nested import nested_runs
from sklearn_iso.metrics.options import check_options
from sklearn_iso.metrics.unseen import warn_of_unseen
from sklearn_iso.metrics.weights import share, weighted
from sklearn_iso.modules.ambient import gradients_on
from sklearn_iso.threat import Threat, as_threat

CURVE_CONSTRAINTS: dict[str, list[Any]] = {
    "estimator": [HasMethods(["fit", "predict"])],
    "eps": ["array-like"],
    "verbose": ["verbose", Integral],
    **PROCEDURE_CONSTRAINTS,
}


@validate_params(
    {
        **CURVE_CONSTRAINTS,
        "method": [StrOptions({"nested", "distance"})],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=False,
)
@gradients_on()
def robustness_curve(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: ArrayLike,
    threat: Threat = "linf",
    attack: str | Attack = "cascade",
    method: str = "nested",
    n_steps: int | None = None,
    n_restarts: int | None = None,
    n_queries: int | None = None,
    image_shape: Any = None,
    random_state: Any = None,
    verbose: bool = True,
    sample_weight: ArrayLike | None = None,
) -> NDArray:
    """Return the accuracy under attack at each of several budgets.

    Larger budgets contain the smaller ones, so a sample that breaks at one is broken at all
    larger ones: the curve never rises, by construction. Whether each attack by itself would
    give such a curve is one of the diagnostics of
    :func:`sklearn_iso.metrics.robustness_report`.

    Parameters
    ----------
    estimator : fitted classifier
    X : array-like or sparse matrix of shape (n_samples, n_features), or a DataFrame
    y : array-like of shape (n_samples,)
        Labels, as in :func:`sklearn_iso.metrics.adversarial_accuracy`.
    eps : array-like of shape (n_budgets,)
        Budgets in any order, in units of the threat. 0 gives the accuracy.
    threat, n_queries, random_state
        As in :func:`sklearn_iso.metrics.adversarial_accuracy`.
    attack, image_shape
        As in :func:`sklearn_iso.metrics.adversarial_accuracy`; method "distance" has its own
        attack and takes neither.
    method : {"nested", "distance"}
        "nested" attacks the samples that are left with one budget after the other. "distance"
        counts, from one minimum-norm run
        (:func:`sklearn_iso.metrics.adversarial_distance`), the samples without an error within
        each budget: quicker for many budgets, often looser at each.
    n_steps, n_restarts : int or None
        As in :func:`sklearn_iso.metrics.adversarial_accuracy`, or those of
        :func:`sklearn_iso.metrics.adversarial_distance` for method "distance".
    verbose : bool
        Show a progress bar on terminals if it takes more than two seconds.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, as in :func:`sklearn_iso.metrics.adversarial_accuracy`.

    Returns
    -------
    ndarray of shape (n_budgets,)
        Shares of all samples, or of the sum of their weights, in the order of eps.

    Raises
    ------
    ValueError, TypeError
        As :func:`sklearn_iso.metrics.adversarial_accuracy`, and if eps is no list of budgets.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_iso.metrics import robustness_curve
    >>> X, y = load_iris(return_X_y=True)
    >>> neighbours = KNeighborsClassifier().fit(X, y)
    >>> robustness_curve(neighbours, X, y, eps=[0, 9], n_queries=50, random_state=0).round(1)
    array([1., 0.])
    """
    sizes, threat = check_budgets(eps), as_threat(threat)
    weight, X, y = weighted(sample_weight, X, y)
    if method == "distance":
        _check_for_distance(attack, image_shape)
        distances = adversarial_distance(
            estimator, X, y, threat=threat, n_steps=n_steps, n_restarts=n_restarts,
            n_queries=n_queries, random_state=random_state,
        )  # fmt: skip
        robust: NDArray = share(distances > sizes[:, None], weight)
        return robust
    check_options(
        attack, n_steps=n_steps, n_restarts=n_restarts, n_queries=n_queries, image_shape=image_shape
    )
    case = Case.of(estimator, X, y, threat=threat, image_shape=image_shape)
    procedure = Procedure(attack, n_steps, n_restarts, n_queries, random_state)
    runs = nested_runs(case, sizes.tolist(), procedure, bool(verbose), weight)
    case.refused.warn()
    warn_of_unseen(int(runs.unseen.sum()), len(case.table), "the curve")
    return runs.accuracy


def _check_for_distance(attack: Any, image_shape: Any) -> None:
    chosen = None if isinstance(attack, str) and attack == "cascade" else attack
    for name, value in (("attack", chosen), ("image_shape", image_shape)):
        if value is not None:
            raise ValueError(
                f"{name} must be left out for method='distance', which runs minimum-norm attacks "
                f"of its own; got {name}={value!r}. Pass method='nested' to use it."
            )


def check_budgets(eps: ArrayLike) -> NDArray:
    """Return budgets as a float array.

    Examples
    --------
    >>> from sklearn_iso.metrics.curve import check_budgets
    >>> check_budgets([0, 1])
    array([0., 1.])
    """
    try:
        sizes = np.asarray(eps, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"eps must be numbers; got {eps!r}.") from None
    if sizes.ndim != 1 or not len(sizes) or not np.isfinite(sizes).all() or (sizes < 0).any():
        raise ValueError(
            "eps must be a list of budgets, finite and not negative, one number for each; got "
            f"{eps!r}. Pass one value for each feature as the threat's units, of which eps are "
            "multiples."
        )
    return sizes
