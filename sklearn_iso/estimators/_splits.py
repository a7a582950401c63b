"""The folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import check_cv

from sklearn_iso._protocols import Splitter

#: A number of folds, a splitter of scikit-learn, or pairs of samples to train and to test on.
Splits = int | Splitter | Iterable[tuple[ArrayLike, ArrayLike]] | None


def folds_of(cv: Splits, X: NDArray, y: NDArray) -> list[tuple[NDArray, NDArray]]:
    """Return the samples to train and to test on, of each fold.

    Raises
    ------
    ValueError
        If cv gives no folds of these samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.estimators._splits import folds_of
    >>> [test.tolist() for _, test in folds_of(2, np.zeros((4, 1)), np.array([0, 1, 0, 1]))]
    [[0, 1], [2, 3]]
    """
    if isinstance(cv, str | bytes):  # whose own split is another one
        raise ValueError(f"cv must be a number of folds or a splitter; got {cv!r}.")
    try:
        splitter = check_cv(cv, y, classifier=True)
        folds = [(np.ravel(train), np.ravel(test)) for train, test in splitter.split(X, y)]
    except (TypeError, ValueError) as error:
        if hasattr(cv, "split") or isinstance(cv, Integral):
            raise  # a splitter says itself why it cannot
        raise ValueError(
            f"cv must give pairs of samples to train and test on; got {cv!r}."
        ) from error
    if not folds or not all(rows.dtype.kind in "iub" for fold in folds for rows in fold):
        raise ValueError(
            f"cv must give pairs of samples to train and test on, one or more; got {cv!r}."
        )
    return folds
