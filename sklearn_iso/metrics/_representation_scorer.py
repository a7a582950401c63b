"""Scorers of how alike X and its representation are, for scikit-learn's searches."""

from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import ArrayLike

from sklearn_iso._protocols import RandomState, Transformer
from sklearn_iso._threat.named import Named
from sklearn_iso.metrics._distortion import representation_of
from sklearn_iso.metrics._kernel_alignment import centered_kernel_alignment
from sklearn_iso.metrics._pairs import check_flag
from sklearn_iso.metrics._procrustes import procrustes_distance
from sklearn_iso.metrics._representational import (
    Comparison,
    Dissimilarity,
    check_options,
    representational_similarity,
)
from sklearn_iso.metrics._routing import WeightedScorer
from sklearn_iso.metrics._scorer_units import call_of, checked_units, in_units

#: Measures by name; the sign is 1 where greater is better; and the parameters that each takes.
MEASURES: dict[str, tuple[Callable[..., float], int, tuple[str, ...]]] = {
    "centered_kernel_alignment": (centered_kernel_alignment, 1, ("debiased",)),
    "procrustes_distance": (procrustes_distance, -1, ()),
    "representational_similarity": (
        representational_similarity,
        1,
        ("metric", "comparison", "max_exact", "random_state"),
    ),
}


def make_representation_scorer(
    *,
    measure: str = "centered_kernel_alignment",
    scale: ArrayLike | None = None,
    debiased: bool = False,
    metric: Dissimilarity = "euclidean",
    comparison: Comparison = "spearman",
    max_exact: int = 2000,
    random_state: RandomState = 0,
) -> "RepresentationScorer":
    """Make a scorer: how alike X and ``estimator.transform(X)`` are, by a measure of shapes.

    For ``scoring=`` in :func:`~sklearn.model_selection.cross_validate` and
    :class:`~sklearn.model_selection.GridSearchCV`, alone or in a dict of scorers. X is what the
    estimator is given: in a Pipeline, the features before the first step. Labels are not looked
    at; for distances within classes see :func:`make_distortion_scorer`.

    Parameters
    ----------
    measure : str, default="centered_kernel_alignment"
        "centered_kernel_alignment", "representational_similarity", or "procrustes_distance",
        which is negated, so that greater is better.
    scale : float or array-like of shape (n_features,), default=None
        Unit of each feature of X: with a StandardScaler in the pipeline, ``X_train.std(axis=0)``
        compares with what the next step is given. A feature of scale 0 is left out, and named
        values follow the columns of X. None: 1.
    debiased : bool, default=False
        Whether "centered_kernel_alignment" leaves each sample's product with itself out.
    metric : {"euclidean", "sqeuclidean", "cityblock", "correlation", "cosine"}, default="euclidean"
        Dissimilarity of two samples in "representational_similarity".
    comparison : {"spearman", "pearson", "cosine"}, default="spearman"
        How "representational_similarity" compares dissimilarities: by rank, by size up to a scale
        and a shift, or by size up to a scale.
    max_exact : int, default=2000
        Of more samples "representational_similarity" draws this many.
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

    See Also
    --------
    make_distortion_scorer : Stress, expansion, and whether neighbours stay.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_iso.metrics import make_representation_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> scorer = make_representation_scorer()
    >>> round(scorer(PCA(n_components=1).fit(X), X, y), 3)
    0.998
    >>> make_representation_scorer(measure="procrustes_distance")
    make_representation_scorer(measure='procrustes_distance')
    """
    if not isinstance(measure, str) or measure not in MEASURES:
        raise ValueError(f"measure must be one of {sorted(MEASURES)}; got {measure!r}.")
    check_flag(debiased, "debiased")
    check_options(metric, comparison, max_exact)
    scorer = RepresentationScorer(
        measure, checked_units(scale), debiased, metric, comparison, max_exact, random_state
    )
    _check_given(scorer)
    return scorer


@dataclass(frozen=True, repr=False)
class RepresentationScorer(WeightedScorer):
    """The callable that :func:`make_representation_scorer` makes."""

    measure: str = "centered_kernel_alignment"
    scale: ArrayLike | Named | None = None
    debiased: bool = False
    metric: Dissimilarity = "euclidean"
    comparison: Comparison = "spearman"
    max_exact: int = 2000
    random_state: RandomState = 0

    def __call__(
        self,
        estimator: Transformer,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the score of ``estimator.transform(X)`` beside X."""
        function, sign, parameters = MEASURES[self.measure]
        options = {name: getattr(self, name) for name in parameters}
        Z = representation_of(estimator, X)
        return sign * function(in_units(X, self.scale), Z, sample_weight=sample_weight, **options)

    def __repr__(self) -> str:
        return call_of("make_representation_scorer", self)


def _check_given(scorer: RepresentationScorer) -> None:
    """Raise a ValueError for a parameter that only another measure takes."""
    own = MEASURES[scorer.measure][2]
    for measure, (_, _, parameters) in MEASURES.items():
        for name in parameters:
            value, default = getattr(scorer, name), getattr(RepresentationScorer, name)
            if name not in own and name != "random_state" and value != default:
                raise ValueError(
                    f"{name} is a parameter of {measure!r}; got {name}={value!r} for "
                    f"measure={scorer.measure!r}. Leave it out, or choose that measure."
                )
