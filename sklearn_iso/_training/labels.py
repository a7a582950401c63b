"""Class labels and weights as a network wants them."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight


def encode_labels(y: NDArray) -> tuple[NDArray, NDArray]:
    """Return the sorted classes and the index of each label among them.

    Raises
    ------
    ValueError
        If the labels are continuous, or of one class only.
    """
    check_classification_targets(y)
    classes, index = np.unique(y, return_inverse=True)
    return classes, index.astype(np.int64)


def known_classes(classes: ArrayLike | None, known: NDArray | None) -> NDArray:
    """Return the classes of an estimator that learns by chunks, sorted.

    Raises
    ------
    ValueError
        If they are missing in the first call, where nothing is known; fewer than two; or
        not those that are known.
    """
    if classes is None:
        if known is None:
            raise ValueError(
                "classes must be passed on the first call to partial_fit: samples of a class may "
                "come later. Pass classes=numpy.unique(y) of all labels."
            )
        return known
    try:
        found = np.unique(classes)
    except (TypeError, ValueError):  # of several kinds, or lists of unequal length
        raise ValueError(f"classes must be labels of one kind; got {classes!r}.") from None
    if len(found) < 2:
        raise ValueError(f"classes must hold at least 2 labels; got {found!r}.")
    if known is not None and not np.array_equal(found, known):
        raise ValueError(
            f"classes must be those of the first call, {known!r}; got {found!r}. Leave them out, "
            "or fit a clone."
        )
    return found


def encode_among(classes: NDArray, y: NDArray) -> NDArray:
    """Return the index of each label among sorted classes.

    Raises
    ------
    ValueError
        If a label is none of them.
    """
    check_classification_targets(y)
    index = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    if (unknown := classes[index] != y).any():
        raise ValueError(
            f"y must hold labels of the first call only, classes_={classes!r}; found "
            f"{np.unique(y[unknown])!r}. Name every class in the first partial_fit(X, y, "
            "classes=...)."
        )
    return index.astype(np.int64)


def check_several_classes(y: NDArray) -> None:
    """Raise a ValueError unless the labels are of two classes or more."""
    present = np.unique(y)
    if len(present) < 2:
        raise ValueError(
            f"y must contain at least 2 classes with a positive weight; got {len(present)} "
            f"class: {present!r}. Pass samples of another class."
        )


def row_weights(sample_weight: ArrayLike | None, X: NDArray) -> NDArray:
    """Return one finite, non-negative weight for each sample, in the dtype of X.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, none is positive, or their sum is not finite.
    """
    weight: NDArray = _check_sample_weight(
        sample_weight, X, dtype=X.dtype, ensure_non_negative=True, copy=True
    )
    # scikit-learn looks at the numbers of an array, but not at one number for all samples.
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not np.isfinite(total):
        raise ValueError(
            f"sample_weight must be finite, and so must be its sum in {X.dtype}; got "
            f"{sample_weight!r}. Divide the weights by their mean."
        )
    return _some_positive(weight)


def combine_weights(
    X: NDArray,
    labels: NDArray,
    classes: NDArray,
    sample_weight: ArrayLike | None,
    class_weight: dict[Any, float] | str | None,
) -> NDArray:
    """Return one non-negative weight for each sample, in the dtype of X.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
    labels : ndarray of shape (n_samples,)
        Positions in classes.
    classes : ndarray of shape (n_classes,)
    sample_weight : array-like of shape (n_samples,), number or None
    class_weight : dict, "balanced" or None
        "balanced" gives every class the same total weight.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, none is positive, or a key of class_weight is no
        class.
    """
    weight = row_weights(sample_weight, X)
    if class_weight is None:
        return weight
    if isinstance(class_weight, dict):
        factors = _given_factors(class_weight, classes)
    else:
        factors = _balanced_factors(labels, weight, len(classes))
    # A common factor does not matter: a power of two keeps every digit and the range of floats.
    factors = np.ldexp(factors, -np.frexp(factors.max())[1])
    weight *= factors.astype(X.dtype)[labels]
    if (factors.astype(X.dtype)[factors > 0] < np.finfo(X.dtype).tiny).any():
        raise ValueError(
            f"class_weight must hold numbers whose ratios are within the range of {X.dtype}; got "
            f"{class_weight!r}. Give a class the weight 0 to leave it out."
        )
    return _some_positive(weight)


def _balanced_factors(labels: NDArray, weight: NDArray, n_classes: int) -> NDArray:
    """Return factors that give each class the same total: a weight of 2 counts as two samples."""
    totals = np.bincount(labels, weights=weight, minlength=n_classes)
    present = totals > 0
    share = totals.sum() / present.sum()
    factors: NDArray = np.divide(share, totals, out=np.ones(n_classes), where=present)
    return factors


def _given_factors(class_weight: dict, classes: NDArray) -> NDArray:
    """Return the factor of each class; as in scikit-learn, 1 for those that are not named."""
    for label, value in class_weight.items():
        if not isinstance(value, Real) or not 0 <= float(value) < np.inf:
            raise ValueError(
                f"class_weight must hold finite numbers >= 0; got {value!r} for class {label!r}."
            )
    labels = classes.tolist()
    unnamed = [label for label in labels if label not in class_weight]
    unknown = [label for label in class_weight if label not in labels]
    if unknown and unnamed:  # a fold may lack a class that was named
        raise ValueError(
            f"class_weight must be given by the labels of y, {labels}; {unknown} are none of "
            f"them, and {unnamed} have no weight."
        )
    return np.array([float(class_weight.get(label, 1.0)) for label in labels])


def _some_positive(weight: NDArray) -> NDArray:
    # scikit-learn refuses such weights itself since version 1.9, those of classes apart.
    if not weight.any():
        raise ValueError(
            "sample_weight, times class_weight, must be positive for at least one sample; all are "
            "0, so no sample is left to train on. Pass sample_weight=None for equal weights."
        )
    return weight
