"""Scorers of distortion for scikit-learn's searches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from numpy.typing import ArrayLike

from sklearn_iso._protocols import RandomState, Transformer
from sklearn_iso._threat.named import Named
from sklearn_iso.metrics._distortion import isometry_distortion, representation_of
from sklearn_iso.metrics._neighbourhoods import check_n_neighbors, continuity, trustworthiness
from sklearn_iso.metrics._pairs import N_PAIRS, Sampling, check_flag
from sklearn_iso.metrics._routing import WeightedScorer
from sklearn_iso.metrics._scorer_units import call_of, checked_units, in_units
from sklearn_iso.metrics._signatures import Found, Metric
from sklearn_iso.metrics._stretch import (
    bi_lipschitz_ratio,
    check_quantile,
    contraction,
    expansion,
    shepard_correlation,
)


@dataclass(frozen=True)
class Measure:
    """A measure of distortion and what a scorer has to know of it.

    Attributes
    ----------
    function : callable
        ``(X, Z, ...) -> float``.
    sign : int
        1 where greater is better, -1 where less is.
    of_pairs : bool
        Whether it is one of pairs of points, which may be those of one class.
    parameter : str or None
        What it takes beyond what all take: "quantile" or "n_neighbors".
    """

    function: Callable[..., Found]
    sign: int
    of_pairs: bool = True
    parameter: str | None = None


#: Measures of distortion by name.
MEASURES: dict[str, Measure] = {
    "stress": Measure(isometry_distortion, -1),
    "shepard_correlation": Measure(shepard_correlation, 1),
    "expansion": Measure(expansion, -1, parameter="quantile"),
    "contraction": Measure(contraction, -1, parameter="quantile"),
    "bi_lipschitz_ratio": Measure(bi_lipschitz_ratio, -1, parameter="quantile"),
    "trustworthiness": Measure(trustworthiness, 1, of_pairs=False, parameter="n_neighbors"),
    "continuity": Measure(continuity, 1, of_pairs=False, parameter="n_neighbors"),
}

_RANGES: dict[str, Callable[..., None]] = {
    "quantile": check_quantile,
    "n_neighbors": check_n_neighbors,
}


def make_distortion_scorer(
    *,
    measure: str = "stress",
    within_class: bool = True,
    scale: ArrayLike | None = None,
    quantile: float | None = None,
    n_neighbors: int | None = None,
    metric: Metric = "euclidean",
    max_exact: int = 2000,
    n_pairs: int = N_PAIRS,
    random_state: RandomState = 0,
) -> "DistortionScorer":
    """Make a scorer: the negated distortion of ``estimator.transform(X)`` against X.

    The score is ``-isometry_distortion(X, estimator.transform(X), y)``, in [-1, 0] and greater is
    better, or that of another measure; for ``scoring=`` in
    :func:`~sklearn.model_selection.cross_validate` and
    :class:`~sklearn.model_selection.GridSearchCV`, alone or in a dict of scorers. X is what the
    estimator is given: in a Pipeline, the features before the first step.

    Parameters
    ----------
    measure : str, default="stress"
        "stress" (:func:`isometry_distortion`), "expansion", "contraction" or
        "bi_lipschitz_ratio", all negated; "shepard_correlation", "trustworthiness" or
        "continuity", of which more is better.
    within_class : bool, default=True
        Whether to count only pairs of the same class where y is given, as `isometry_distortion`
        does. A classifier has to pull classes apart, so that distances across them say little about
        it. With False all pairs count and y is not looked at, as for a regressor and for the
        measures of neighbourhoods.
    scale : float or array-like of shape (n_features,), default=None
        Unit of each feature: distances are those of ``X / scale``. With a StandardScaler in
        the pipeline, ``X_train.std(axis=0)`` measures against what the network is given. A
        feature of scale 0 is constant and left out. Named values follow the columns of X.
    quantile : float, optional
        Of "expansion", "contraction" and "bi_lipschitz_ratio"; theirs by default.
    n_neighbors : int, optional
        Of "trustworthiness" and "continuity"; theirs by default.
    metric : {"euclidean", "cityblock", "chebyshev"} or a synonym, default="euclidean"
        Distance, of both spaces. Synonyms: "l2"; "manhattan", "l1"; "linf", "infinity".
    max_exact : int, default=2000
        Up to this number of points all count, and up to as many pairs as these have.
    n_pairs : int, default=200_000
        Pairs that are drawn where there are more; not of "trustworthiness" and "continuity",
        which draw `max_exact` points.
    random_state : int, RandomState instance or None, default=0
        Seed of that draw.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None, sample_weight=None) -> float``; it can be pickled.
        Searches pass it the weights of their ``fit``, under metadata routing after
        ``scorer.set_score_request(sample_weight=True)``.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or is none of the measure's.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_iso.metrics import make_distortion_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> scorer = make_distortion_scorer()
    >>> scorer
    make_distortion_scorer()
    >>> round(scorer(PCA(n_components=1).fit(X), X, y), 2)
    -0.35
    """
    if not isinstance(measure, str) or measure not in MEASURES:
        raise ValueError(f"measure must be one of {sorted(MEASURES)}; got {measure!r}.")
    check_flag(within_class, "within_class")
    Sampling(metric, max_exact, n_pairs, random_state).checked()
    _check_parameter(measure, quantile=quantile, n_neighbors=n_neighbors)
    if not MEASURES[measure].of_pairs and n_pairs != N_PAIRS:
        raise ValueError(
            f"n_pairs is a parameter of measures of pairs of points; got n_pairs={n_pairs!r} for "
            f"measure={measure!r}, which looks at up to max_exact={max_exact} points. Leave it "
            "out, or set max_exact."
        )
    units = checked_units(scale)
    return DistortionScorer(
        measure,
        within_class,
        units,
        quantile,
        n_neighbors,
        metric,
        max_exact,
        n_pairs,
        random_state,
    )


@dataclass(frozen=True, repr=False)
class DistortionScorer(WeightedScorer):
    """The callable that :func:`make_distortion_scorer` makes."""

    measure: str = "stress"
    within_class: bool = True
    scale: ArrayLike | Named | None = None
    quantile: float | None = None
    n_neighbors: int | None = None
    metric: Metric = "euclidean"
    max_exact: int = 2000
    n_pairs: int = N_PAIRS
    random_state: RandomState = 0

    def __call__(
        self,
        estimator: Transformer,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the score of ``estimator.transform(X)`` against X."""
        measure = MEASURES[self.measure]
        options: dict[str, object] = {
            "metric": self.metric, "max_exact": self.max_exact, "random_state": self.random_state,
            "sample_weight": sample_weight,
        }  # fmt: skip
        if measure.of_pairs:
            options |= {"y": y if self.within_class else None, "n_pairs": self.n_pairs}
        if (name := measure.parameter) and getattr(self, name) is not None:
            options[name] = getattr(self, name)
        score = measure.function(
            in_units(X, self.scale), representation_of(estimator, X), **options
        )
        return measure.sign * float(cast(float, score))

    def __repr__(self) -> str:
        return call_of("make_distortion_scorer", self)


def _check_parameter(measure: str, **given: float | None) -> None:
    """Raise a ValueError for a parameter that another measure takes, or out of its range."""
    for name, value in given.items():
        if value is None:
            continue
        takers = [known for known, one in MEASURES.items() if one.parameter == name]
        if measure not in takers:
            raise ValueError(
                f"{name} is a parameter of {takers}; got {name}={value!r} for measure={measure!r}. "
                "Leave it out, or choose one of those."
            )
        _RANGES[name](value)
