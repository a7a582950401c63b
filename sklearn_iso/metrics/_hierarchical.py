"""How much of the predicted paths is right, and how far off errors are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import make_scorer
from sklearn.utils import check_consistent_length

from sklearn_iso._protocols import Hierarchy, Scorer
from sklearn_iso.hierarchy import common_depth, depths, told_paths
from sklearn_iso.metrics._pairs import check_flag


def hierarchical_precision_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    hierarchy: Hierarchy | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the share of predicted labels, over all levels, that are right.

    .. math:: hP = \frac{\sum_i w_i |\hat P_i \cap P_i|}{\sum_i w_i |\hat P_i|}

    with the path :math:`P_i` of a sample and the predicted one :math:`\hat P_i`: the labels from
    the coarsest to the finest. Labels count as shared up to the first that differs.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_levels), or (n_samples,) with `hierarchy`
        Paths, coarse to fine, None, NaN or "" after the end of a short one; or finest labels.
    hierarchy : mapping of a label to the one above it, or networkx.DiGraph, optional
        For finest labels alone, such as those that a flat classifier predicts.
    sample_weight : array-like of shape (n_samples,), optional

    Returns
    -------
    precision : float in [0, 1]
        1 where all predicted labels are right.

    Raises
    ------
    ValueError
        If the labels are no paths, or not the same in number of samples or levels; if weights are
        negative or all 0.

    References
    ----------
    S. Kiritchenko et al., "Functional annotation of genes using hierarchical text
    categorization", 2005; C. N. Silla, A. A. Freitas, "A survey of hierarchical
    classification across different application domains", 2011.

    Examples
    --------
    >>> from sklearn_iso.metrics import hierarchical_precision_score
    >>> true = [["bird", "owl"], ["fish", "eel"]]
    >>> hierarchical_precision_score(true, [["bird", "crow"], ["fish", "eel"]])
    0.75
    """
    counts = _Counts(y_true, y_pred, hierarchy, sample_weight)
    return counts.shared / counts.predicted


def hierarchical_recall_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    hierarchy: Hierarchy | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the share of true labels, over all levels, that are predicted.

    .. math:: hR = \frac{\sum_i w_i |\hat P_i \cap P_i|}{\sum_i w_i |P_i|}

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_levels), or (n_samples,) with `hierarchy`
        Paths, coarse to fine, None, NaN or "" after the end of a short one; or finest labels.
    hierarchy : mapping of a label to the one above it, or networkx.DiGraph, optional
        For finest labels alone, such as those that a flat classifier predicts.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0; 1 each by default.

    Returns
    -------
    recall : float in [0, 1]
        1 where all true labels are predicted.

    Raises
    ------
    ValueError
        If the labels are no paths, or not the same in number of samples or levels; if weights are
        negative or all 0.

    Examples
    --------
    >>> from sklearn_iso.metrics import hierarchical_recall_score
    >>> hierarchical_recall_score([["bird", "owl"]], [["bird", None]])
    0.5
    """
    counts = _Counts(y_true, y_pred, hierarchy, sample_weight)
    return counts.shared / counts.true


def hierarchical_f1_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    hierarchy: Hierarchy | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the harmonic mean of hierarchical precision and recall.

    .. math:: hF_1 = \frac{2 \sum_i w_i |\hat P_i \cap P_i|}
                          {\sum_i w_i (|\hat P_i| + |P_i|)}

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_levels), or (n_samples,) with `hierarchy`
        Paths, coarse to fine, None, NaN or "" after the end of a short one; or finest labels.
    hierarchy : mapping of a label to the one above it, or networkx.DiGraph, optional
        For finest labels alone, such as those that a flat classifier predicts.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0; 1 each by default.

    Returns
    -------
    f1 : float in [0, 1]
        1 where all labels are right.

    Raises
    ------
    ValueError
        If the labels are no paths, or not the same in number of samples or levels; if weights are
        negative or all 0.

    Examples
    --------
    A flat classifier, whose labels know nothing of each other, by a hierarchy:

    >>> from sklearn_iso.metrics import hierarchical_f1_score
    >>> above = {"owl": "bird", "crow": "bird", "eel": "fish"}
    >>> hierarchical_f1_score(["owl", "eel"], ["crow", "eel"], hierarchy=above)
    0.75
    """
    counts = _Counts(y_true, y_pred, hierarchy, sample_weight)
    return 2 * counts.shared / (counts.predicted + counts.true)


def tree_distance(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    hierarchy: Hierarchy | None = None,
    errors_only: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the mean number of links between the true and the predicted end of a path.

    .. math:: d_i = |P_i| + |\hat P_i| - 2 |\hat P_i \cap P_i|

    0 where the path is right, 2 for a sibling of the true leaf, twice the number of levels
    where even the coarsest label is wrong.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_levels), or (n_samples,) with `hierarchy`
        Paths, coarse to fine, None, NaN or "" after the end of a short one; or finest labels.
    hierarchy : mapping of a label to the one above it, or networkx.DiGraph, optional
        For finest labels alone, such as those that a flat classifier predicts.
    errors_only : bool, default=False
        The mean over the samples whose path is wrong; 0 where none is.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0; 1 each by default.

    Returns
    -------
    distance : float, at least 0
        The mean, 0 where all paths are right.

    Raises
    ------
    ValueError
        If the labels are no paths, or not the same in number of samples or levels; if weights are
        negative or all 0.

    Examples
    --------
    >>> from sklearn_iso.metrics import tree_distance
    >>> true = [["bird", "owl"], ["fish", "eel"]]
    >>> tree_distance(true, [["bird", "crow"], ["fish", "eel"]])
    1.0
    >>> tree_distance(true, [["bird", "crow"], ["fish", "eel"]], errors_only=True)
    2.0
    """
    first, second = _paired(y_true, y_pred, hierarchy)
    distance = depths(first) + depths(second) - 2 * common_depth(first, second)
    weight = _weights(sample_weight, distance)
    check_flag(errors_only, "errors_only")
    if errors_only:
        weight = weight * (distance > 0)
    total = weight.sum()
    return float(weight @ distance / total) if total > 0 else 0.0


#: Measures of predicted paths by name, and whether greater is better.
MEASURES: dict[str, tuple[Callable[..., float], bool]] = {
    "precision": (hierarchical_precision_score, True),
    "recall": (hierarchical_recall_score, True),
    "f1": (hierarchical_f1_score, True),
    "tree_distance": (tree_distance, False),
}


def make_hierarchical_scorer(measure: str = "f1", *, hierarchy: Hierarchy | None = None) -> Scorer:
    """Return a scorer of predicted paths, for cross-validation and searches.

    Parameters
    ----------
    measure : {"f1", "precision", "recall", "tree_distance"}, default="f1"
        The distance comes with a negative sign: greater is better.
    hierarchy : mapping or networkx.DiGraph, optional
        For estimators that predict the finest labels alone.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y) -> float``.

    Raises
    ------
    ValueError
        If the measure is unknown.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_iso.metrics import make_hierarchical_scorer
    >>> scorer = make_hierarchical_scorer("tree_distance")
    >>> scorer(KNeighborsClassifier(1).fit([[0], [1]], [[0, 0], [1, 1]]), [[0.1]], [[0, 0]])
    -0.0
    """
    if not isinstance(measure, str) or measure not in MEASURES:
        raise ValueError(f"measure must be one of {sorted(MEASURES)}; got {measure!r}.")
    function, greater_is_better = MEASURES[measure]
    options = {} if hierarchy is None else {"hierarchy": hierarchy}
    scorer: Scorer = make_scorer(function, greater_is_better=greater_is_better, **options)
    return scorer


class _Counts:
    """Weighted numbers of labels on the true paths, on the predicted ones, and on both."""

    def __init__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        hierarchy: Hierarchy | None,
        sample_weight: ArrayLike | None,
    ) -> None:
        first, second = _paired(y_true, y_pred, hierarchy)
        shared = common_depth(first, second)
        weight = _weights(sample_weight, shared)
        self.shared = float(weight @ shared)
        self.true = float(weight @ depths(first))
        self.predicted = float(weight @ depths(second))


def _weights(sample_weight: ArrayLike | None, rows: NDArray) -> NDArray:
    if not len(rows):
        raise ValueError(
            "A mean over samples needs at least one sample; got none. Check the selection."
        )
    if sample_weight is None:
        return np.ones(len(rows))
    try:
        weight: NDArray = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        weight = np.empty(0)
    if weight.shape != (len(rows),):
        raise ValueError(
            f"sample_weight must hold one number for each of {len(rows)} samples; got "
            f"{sample_weight!r}."
        )
    if not (weight >= 0).all() or not 0 < weight.sum() < np.inf:
        raise ValueError(
            f"sample_weight must be finite, at least 0, and not 0 in every sample; got values from "
            f"{weight.min():.3g} to {weight.max():.3g}. Drop samples that do not count."
        )
    return weight


def _paired(
    y_true: ArrayLike, y_pred: ArrayLike, hierarchy: Hierarchy | None
) -> tuple[NDArray, NDArray]:
    """Return both as paths of as many levels."""
    # Objects: numbers and text never compare as equal, and never raise.
    first, second = (told_paths(y, hierarchy).astype(object) for y in (y_true, y_pred))
    check_consistent_length(first, second)
    if hierarchy is not None:
        width = max(first.shape[1], second.shape[1])
        first, second = _padded(first, width), _padded(second, width)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"y_true and y_pred must have the same levels; got {first.shape[1]} and "
            f"{second.shape[1]}. Pad short paths with None at their end."
        )
    return first, second


def _padded(paths: NDArray, width: int) -> NDArray:
    missing = np.full((len(paths), width - paths.shape[1]), None, dtype=object)
    return np.hstack([paths, missing])
