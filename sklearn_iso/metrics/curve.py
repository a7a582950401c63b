"""Accuracy under attack at all budgets."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import HasMethods, StrOptions, validate_params

from sklearn_iso.metrics.adversarial import PROCEDURE_CONSTRAINTS, THREAT_CONSTRAINTS
from sklearn_iso.metrics.breaking import Attack, Procedure
from sklearn_iso.metrics.case import Bounds, Case
from sklearn_iso.metrics.distance import adversarial_distance
from sklearn_iso.metrics.nested import nested_runs
from sklearn_iso.metrics.unseen import warn_of_unseen

CURVE_CONSTRAINTS: dict[str, list[Any]] = {
    "estimator": [HasMethods(["fit", "predict"])],
    "eps": ["array-like"],
    "units": ["array-like", None],
    "verbose": ["verbose", Integral],
    **THREAT_CONSTRAINTS,
    **PROCEDURE_CONSTRAINTS,
}


@validate_params(
    {**CURVE_CONSTRAINTS, "method": [StrOptions({"nested", "distance"})]},
    prefer_skip_nested_validation=False,
)
def robustness_curve(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: ArrayLike,
    norm: Any = "linf",
    units: ArrayLike | None = None,
    attack: str | Attack = "cascade",
    bounds: Bounds = None,
    immutable: Any = None,
    one_hot: Any = None,
    method: str = "nested",
    n_steps: int = 40,
    n_restarts: int = 1,
    n_queries: int | None = None,
    image_shape: Any = None,
    random_state: Any = None,
    verbose: bool = True,
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
        Labels, all of them in ``estimator.classes_``.
    eps : array-like of shape (n_budgets,)
        Budgets in any order, in units of X or, where given, of `units`. 0 gives the accuracy.
    norm, bounds, immutable, one_hot, n_queries, random_state
        As in :func:`sklearn_iso.metrics.adversarial_accuracy`.
    units : array-like of shape (n_features,), or None
        Unit of each feature; 0 makes a feature immutable. A budget e allows e * units.
    attack, n_steps, n_restarts, image_shape
        As in :func:`sklearn_iso.metrics.adversarial_accuracy`; not used by method "distance".
    method : {"nested", "distance"}
        "nested" attacks the samples that are left with one budget after the other. "distance"
        counts, from one minimum-norm run
        (:func:`sklearn_iso.metrics.adversarial_distance`), the samples without an error within
        each budget: quicker for many budgets, often looser at each.
    verbose : bool
        Show a progress bar on terminals if it takes more than two seconds.

    Returns
    -------
    ndarray of shape (n_budgets,)
        Shares of all samples, in the order of eps.

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
    sizes = check_budgets(eps)
    if method == "distance":
        distances = adversarial_distance(
            estimator, X, y, norm=norm, units=units, bounds=bounds, immutable=immutable,
            one_hot=one_hot, n_queries=n_queries, random_state=random_state,
        )  # fmt: skip
        robust: NDArray = (distances > sizes[:, None]).mean(axis=1)
        return robust
    case = Case.of(
        estimator, X, y, norm=norm, bounds=bounds, immutable=immutable, one_hot=one_hot,
        image_shape=image_shape,
    )  # fmt: skip
    procedure = Procedure(attack, n_steps, n_restarts, n_queries, random_state)
    runs = nested_runs(case, in_units(case, sizes, units), procedure, bool(verbose))
    warn_of_unseen(int(runs.unseen.sum()), len(case.table), "the curve")
    return runs.accuracy


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
            f"{eps!r}. Pass one value for each feature as units, of which eps are multiples."
        )
    return sizes


def in_units(case: Case, sizes: NDArray, units: ArrayLike | None) -> list[Any]:
    """Return budgets in units of X: numbers, or one array for each budget where units are given.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics.case import Case
    >>> from sklearn_iso.metrics.curve import in_units
    >>> X, y = load_iris(return_X_y=True)
    >>> in_units(Case.of(GaussianNB().fit(X, y), X, y), [0.5, 1.0], [1, 2, 2, 4])[0]
    array([0.5, 1. , 1. , 2. ])
    """
    if units is None:
        return [float(size) for size in sizes]
    given = units.detach() if isinstance(units, torch.Tensor) else units
    try:
        values = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(
            f"units must be a number for each feature, 'nearest_other_class' or None; got "
            f"{units!r}."
        ) from None
    shape = case.table.values.shape[1:]
    if values.shape != shape:
        raise ValueError(
            f"units must be one number for each feature, of shape {shape}; got shape "
            f"{values.shape}."
        )
    return [size * values for size in sizes]
