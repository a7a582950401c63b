"""What no perturbation can change, proven: certified accuracy and distances."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Real
from typing import cast

from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils._param_validation import HasMethods, Interval

from sklearn_iso._certificates.registry import check_predicts_classes
from sklearn_iso._geometry.norms import NORMS
from sklearn_iso._protocols import Predictor
from sklearn_iso._threat import Threat, as_threat, check_eps
from sklearn_iso._threat.model import ThreatModel
from sklearn_iso._typed import validate_params
from sklearn_iso.metrics._certificate import Certificate
from sklearn_iso.metrics._distance import check_classes
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._proven_ranges import ProvenRanges
from sklearn_iso.metrics._regression_distance import check_tolerance
from sklearn_iso.metrics._regression_problem import RegressionProblem
from sklearn_iso.metrics._routing import WeightedScorer
from sklearn_iso.metrics._weights import share

SECONDS = [Interval(Real, 0, None, closed="neither"), None]


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        "sample_weight": ["array-like", None],
        "time_limit": SECONDS,
    },
    prefer_skip_nested_validation=False,
)
def certified_accuracy(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    threat: Threat = "linf",
    sample_weight: ArrayLike | None = None,
    time_limit: float | None = None,
) -> float:
    r"""Return the share of samples that provably no perturbation gets misclassified.

    .. math:: \frac1n \, \#\{ i : \hat y(x') = y_i \text{ for all } x' \text{ with }
              \|(x' - x_i) / u\| \le \varepsilon \}

    With weights, the share of their sum. A proof says what
    :func:`sklearn_iso.metrics.adversarial_accuracy` cannot: that no attack will ever do better.
    The accuracy under the strongest attack is at least the certified one, and at most that under
    a known attack.

    There are proofs of trees and their ensembles, linear classifiers, nearest neighbours and
    networks, also behind encoders of a raw table, see :func:`certified_distance`.

    Parameters
    ----------
    estimator : fitted classifier
        One of those, alone or at the end of a :class:`~sklearn.pipeline.Pipeline`.
    X : array-like or sparse matrix of shape (n_samples, n_features), or a DataFrame
        Missing values, NaN, stay missing under attack.
    y : array-like of shape (n_samples,)
        Labels. Samples whose label is not in ``estimator.classes_`` count as misclassified, with
        a warning.
    eps : float
        Budget, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`; not of norm "l0".
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0. Samples of weight 0 are left out.
    time_limit : float, optional
        Seconds for each sample, for searches: over ensembles of trees, which without a limit take
        as long as they need, and over the units of ReLU networks, which are searched with a
        limit only. A sample about which nothing is proven by then does not count.

    Returns
    -------
    float
        A lower bound of the accuracy under the strongest attack of this budget.

    Raises
    ------
    NotCertifiableError
        If nothing can be proven about the estimator or a step before it; a TypeError.
    ValueError
        If X, y, eps or the threat is not what it must be, or the norm is "l0".
    ImportError
        If an ensemble of many leaves needs the package Veritas.

    References
    ----------
    Kantchelian, Tygar, Joseph, Evasion and Hardening of Tree Ensemble Classifiers, ICML 2016.
    Devos, Meert, Davis, Versatile Verification of Tree Ensembles, ICML 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics import certified_accuracy
    >>> X, y = load_iris(return_X_y=True)
    >>> tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
    >>> round(certified_accuracy(tree, X, y, eps=0.2), 2)
    0.83
    """
    budget, threat = check_eps(eps), check_norm(threat)
    check_predicts_classes(cast(BaseEstimator, estimator))
    problem = Problem.of(estimator, X, y, threat=threat, sample_weight=sample_weight, missing=True)
    held = Certificate.of(problem, time_limit).holds(budget)
    return float(share(held[None], problem.weight)[0])


@validate_params(
    {"estimator": [HasMethods(["fit", "predict"])], "time_limit": SECONDS},
    prefer_skip_nested_validation=False,
)
def certified_distance(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    threat: Threat = "linf",
    tolerance: float | None = None,
    time_limit: float | None = None,
) -> NDArray:
    r"""Return for each sample a distance within which provably no prediction is wrong.

    .. math:: d_i \le \min_{x'} \{ \|(x' - x_i) / u\| : \hat y(x') \ne y_i \}

    Of a classifier, within it nothing is misclassified. Of a regressor, no output moves by more
    than the tolerance t,

    .. math:: d_i \le \min_{x'} \{ \|(x' - x_i) / u\| : \|f(x') - f(x_i)\|_\infty > t \}

    or with y no error is larger, with :math:`y_i` in place of :math:`f(x_i)`.

    :func:`sklearn_iso.metrics.adversarial_distance` bounds the same minimum from above. Bounds
    are the distances themselves, up to rounding, for

    - single trees, and linear models behind affine steps, in every norm;
    - ensembles of trees in "linf": forests, boosting, bagging and votes of trees, for which the
      package Veritas searches the intersections of leaves [1]_ [2]_;
    - one nearest neighbour in the Euclidean metric, in every norm.

    For ensembles in other norms, and for more neighbours, they are lower bounds, and for ensembles
    of regression trees where the search has not ended after a number of steps. Trees are
    certified behind steps that act on columns one by one: scalers, imputation, selection.
    In front of these, columns that stay may be encoded by any transformer that treats samples one
    by one, in a :class:`~sklearn.compose.ColumnTransformer`: text, categories and booleans of a
    raw table, which stay unless the threat names them as `categories`. Regressors of nearest
    neighbours and of kernels have no bound.

    Networks have linear bounds of their outputs. With a `time_limit`, samples about which these
    prove nothing of a label are told apart in cases, in each of which some units of a ReLU network
    are known to be on one side of 0 [3]_; for some hundred units that often closes the gap to what
    attacks find.

    Parameters
    ----------
    estimator : fitted classifier or regressor
        One of those, alone or at the end of a :class:`~sklearn.pipeline.Pipeline`.
    X : array-like or sparse matrix of shape (n_samples, n_features), or a DataFrame
        Missing values, NaN, stay missing under attack.
    y : array-like of shape (n_samples,), or of several outputs (n_samples, n_outputs)
        Labels, or targets. Without them deviations of a regressor are counted from its
        predictions; a classifier needs them.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`; not of norm "l0". Another
        category adds nothing to the distance.
    tolerance : float, optional
        For a regressor, which needs it: how far a prediction may be away, in units of y.
    time_limit : float, optional
        Seconds for each sample, for searches over ensembles of trees and, where it is given, over
        the units of ReLU networks that classify. What is proven by then is a lower bound all the
        same.

    Returns
    -------
    ndarray of shape (n_samples,)
        0 where a sample is misclassified, or beyond the tolerance, as it is, infinity where
        nothing that the threat allows changes that.

    Raises
    ------
    NotCertifiableError
        If nothing can be proven about the estimator or a step before it; a TypeError.
    ValueError
        If X, y, the tolerance or the threat is not what it must be, or the norm is "l0".
    ImportError
        If an ensemble of many leaves needs the package Veritas.

    References
    ----------
    .. [1] Kantchelian, Tygar, Joseph, Evasion and Hardening of Tree Ensemble Classifiers, ICML
       2016.
    .. [2] Devos, Meert, Davis, Versatile Verification of Tree Ensembles, ICML 2021.
    .. [3] Wang et al., Beta-CROWN: Efficient Bound Propagation with Per-neuron Split Constraints
       for Neural Network Robustness Verification, NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics import certified_distance
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), [0, 0, 1]
    >>> certified_distance(DecisionTreeClassifier().fit(X, y), X, y).round(3)
    array([2., 1., 1.])
    >>> line = LinearRegression().fit(X, 2 * X[:, 0])
    >>> certified_distance(line, X, tolerance=0.5).round(3)
    array([0.25, 0.25, 0.25])
    """
    threat = check_norm(threat)
    if is_regressor(estimator):
        t = check_tolerance(tolerance)
        of_numbers = RegressionProblem.of(
            estimator, X, y, threat=threat, needs_y=False, missing=True
        )
        return ProvenRanges.of(of_numbers, time_limit).distances(t)
    y = check_classes(y, tolerance, estimator)
    problem = Problem.of(estimator, X, y, threat=threat, missing=True)
    return Certificate.of(problem, time_limit).distances()


def check_norm(threat: Threat) -> ThreatModel:
    """Return a threat whose norm there are proofs in.

    Examples
    --------
    >>> from sklearn_iso.metrics._certified import check_norm
    >>> check_norm("l2").norm.name
    'l2'
    """
    checked = as_threat(threat)
    if checked.norm.name not in NORMS:
        raise ValueError(
            f"threat must have one of the norms {', '.join(map(repr, NORMS))} for a certificate; "
            f"got {checked.norm.name!r}. Measure it by attack, with adversarial_accuracy or "
            "adversarial_distance."
        )
    return checked


@dataclass(frozen=True)
class CertifiedScorer(WeightedScorer):
    """Callable ``(estimator, X, y, sample_weight=None)`` that returns the certified accuracy.

    Greater is better. Made by :func:`make_certified_scorer`.
    """

    eps: float
    threat: Threat = "linf"
    time_limit: float | None = None

    def __call__(
        self,
        estimator: Predictor,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the certified accuracy of a fitted estimator on X and y."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        return certified_accuracy(estimator, X, y, sample_weight=sample_weight, **options)


@validate_params({"time_limit": SECONDS}, prefer_skip_nested_validation=False)
def make_certified_scorer(
    *, eps: float, threat: Threat = "linf", time_limit: float | None = None
) -> CertifiedScorer:
    """Return a scorer of the certified accuracy, for cross-validation and searches.

    Parameters
    ----------
    eps : float
        Budget, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`; not of norm "l0".
    time_limit : float, optional
        Seconds for each sample, for searches: over ensembles of trees, which without a limit take
        as long as they need, and over the units of ReLU networks, which are searched with a
        limit only. A sample about which nothing is proven by then does not count.

    Returns
    -------
    CertifiedScorer
        Picklable callable ``(estimator, X, y, sample_weight=None) -> float``; greater is better.
        Searches pass it the weights of their ``fit``, under metadata routing after
        ``scorer.set_score_request(sample_weight=True)``.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics import make_certified_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> grid = {"min_samples_leaf": [1, 20]}
    >>> scorer = make_certified_scorer(eps=0.3)
    >>> search = GridSearchCV(DecisionTreeClassifier(random_state=0), grid, scoring=scorer)
    >>> search.fit(X, y).best_params_
    {'min_samples_leaf': 20}
    """
    return CertifiedScorer(check_eps(eps), check_norm(threat), time_limit)
