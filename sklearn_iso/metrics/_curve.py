"""Accuracy, or error, under attack at all budgets."""

from __future__ import annotations

from numbers import Integral, Real
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_regressor
from sklearn.utils._param_validation import HasMethods, StrOptions

from sklearn_iso._protocols import Predictor, RandomState
from sklearn_iso._threat import Threat, as_threat
from sklearn_iso._typed import Constraints, validate_params
from sklearn_iso.attacks import as_attack
from sklearn_iso.attacks._attack import MinimumNormAttack
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.metrics._adversarial import PROCEDURE_CONSTRAINTS, nested_runs, no_loss_of
from sklearn_iso.metrics._distance import adversarial_distance
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._regression_problem import LossLike, RegressionProblem, SampleLoss
from sklearn_iso.metrics._unseen import warn_of_unseen
from sklearn_iso.metrics._weights import share, weighted
from sklearn_iso.metrics._worst_runs import worst_runs
from sklearn_iso.modules._ambient import gradients_on

CURVE_CONSTRAINTS: Constraints = {
    "estimator": [HasMethods(["fit", "predict"])],
    "eps": ["array-like", Real],
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
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: ArrayLike,
    threat: Threat = "linf",
    attack: AttackLike = "auto",
    method: str = "nested",
    loss: LossLike | None = None,
    random_state: RandomState = None,
    verbose: bool = True,
    sample_weight: ArrayLike | None = None,
) -> NDArray:
    """Return the accuracy under attack, or a regressor's error, at each of several budgets.

    Larger budgets contain the smaller ones, so a sample that breaks at one is broken at all
    larger ones: the curve never rises, by construction, and that of a regressor never falls.
    Whether each attack by itself would give such a curve of a classifier is one of the
    diagnostics of :func:`sklearn_iso.metrics.robustness_report`.

    Parameters
    ----------
    estimator : fitted classifier or regressor
    X : array-like or sparse matrix of shape (n_samples, n_features), or a DataFrame
    y : array-like of shape (n_samples,)
        Labels, or targets of a regressor.
    eps : float, or array-like of shape (n_budgets,)
        Budgets in any order, in units of the threat. 0 gives the accuracy, or the error.
    threat : ThreatModel, or the name of a norm, default="linf"
        What an attack may do, see :class:`sklearn_iso.ThreatModel`.
    attack : str, Attack or callable, default="auto"
        "auto" is the evaluation of :func:`sklearn_iso.metrics.adversarial_accuracy`. An attack of
        :mod:`sklearn_iso.attacks`, its name ("pgd"), or a callable
        ``(logits, X, y, *, eps, threat)`` runs alone; for method "distance" a minimum-norm
        attack: "ddn", "fmn", "fab", "sigma_zero", "rays", or one with its own parameters.
    method : {"nested", "distance"}
        "nested" attacks the samples that are left with one budget after the other. "distance"
        counts, from one minimum-norm run
        (:func:`sklearn_iso.metrics.adversarial_distance`), the samples without an error within
        each budget: quicker for many budgets, often looser at each; for classifiers alone.
    loss : {"absolute_error", "squared_error"} or callable, optional
        Loss of a regressor; a callable takes y_true and y_pred and returns one number for each
        sample. None is "absolute_error", and all that a classifier takes.
    random_state : int, RandomState instance or None, default=None
        Seed of the attacks.
    verbose : bool
        Show a progress bar on terminals if it takes more than two seconds.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0; 2 counts as the sample twice.

    Returns
    -------
    ndarray of shape (n_budgets,)
        Shares of all samples, or of the sum of their weights, in the order of eps; mean losses
        of a regressor.

    Raises
    ------
    ValueError
        If X is empty, has nothing that may move or change, is infinite or outside of the bounds,
        y or the predictions are not of the type of ``estimator.classes_``, eps is no list of
        budgets, or another parameter is out of its range.
    TypeError
        If estimator is neither a classifier nor a regressor, a classifier came with a loss, or an
        attack by gradients was asked for and there are none.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_iso.attacks import AttackEnsemble
    >>> from sklearn_iso.metrics import robustness_curve
    >>> X, y = load_iris(return_X_y=True)
    >>> neighbours = KNeighborsClassifier().fit(X, y)
    >>> attack = AttackEnsemble(n_queries=50)
    >>> robustness_curve(neighbours, X, y, eps=[0, 9], attack=attack, random_state=0).round(1)
    array([1., 0.])
    """
    sizes, threat = check_budgets(eps), as_threat(threat)
    if is_regressor(estimator):
        return _errors(
            RegressionProblem.of(estimator, X, y, threat=threat, sample_weight=sample_weight),
            SampleLoss("absolute_error" if loss is None else loss), sizes,
            nested=method == "nested", attack=attack, random_state=random_state,
            progress=bool(verbose),
        )  # fmt: skip
    if loss is not None:
        raise TypeError(no_loss_of(estimator, loss))
    if method == "distance":
        weight, X, y = weighted(sample_weight, X, y)
        distances = adversarial_distance(
            estimator,
            X,
            y,
            threat=threat,
            attack=cast(MinimumNormAttack, attack),  # which is checked there
            random_state=random_state,
        )
        robust: NDArray = share(distances > sizes[:, None], weight)
        return robust
    problem = Problem.of(estimator, X, y, threat=threat, sample_weight=sample_weight)
    runs = nested_runs(
        problem, sizes.tolist(), as_attack(attack), random_state, progress=bool(verbose)
    )
    problem.refused.warn()
    warn_of_unseen(int(runs.unseen.sum()), problem, "the curve")
    return runs.accuracy


def _errors(
    problem: RegressionProblem,
    loss: SampleLoss,
    sizes: NDArray,
    *,
    nested: bool,
    attack: AttackLike,
    random_state: RandomState,
    progress: bool,
) -> NDArray:
    if not nested:
        raise ValueError(
            "method must be 'nested' for a regressor, whose errors have no distance; got "
            "'distance'. For distances at a tolerance call adversarial_distance."
        )
    runs = worst_runs(
        problem, loss, sizes.tolist(), as_attack(attack), random_state, progress=progress
    )
    problem.refused.warn()
    return runs.mean


def check_budgets(eps: ArrayLike) -> NDArray:
    """Return budgets, or the only one, as a float array.

    Examples
    --------
    >>> from sklearn_iso.metrics._curve import check_budgets
    >>> check_budgets([0, 1]), check_budgets(0.5)
    (array([0., 1.]), array([0.5]))
    """
    try:
        sizes = np.atleast_1d(np.asarray(eps, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"eps must be numbers; got {eps!r}.") from None
    if sizes.ndim != 1 or not len(sizes) or not np.isfinite(sizes).all() or (sizes < 0).any():
        raise ValueError(
            "eps must be a budget or a list of budgets, finite and not negative, one number for "
            f"each; got {eps!r}. Pass one value for each feature as the threat's units, of which "
            "eps are multiples."
        )
    return sizes
