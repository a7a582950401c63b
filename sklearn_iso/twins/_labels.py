"""The labels that an estimator predicts, in whatever container, as columns of its scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator


def as_array(labels: ArrayLike) -> NDArray:
    """Return labels as an array that keeps their types: array, list, pandas, polars or torch.

    Examples
    --------
    >>> from sklearn_iso.twins._labels import as_array
    >>> as_array([1, "b"])
    array([1, 'b'], dtype=object)
    """
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu()
    try:
        array = np.asarray(labels)
    except ValueError:  # lists of unequal length
        return np.array([*cast(Iterable, labels), None], dtype=object)[:-1]
    # Of a list of numbers and text numpy makes text.
    if array.dtype.kind in "US" and isinstance(labels, (list, tuple)):
        array = np.array(labels, dtype=object)
        kinds = {type(label) for label in array.ravel().tolist()}
        return np.array(labels) if len(kinds) == 1 else array
    return array


def classes_of(estimator: BaseEstimator) -> NDArray:
    """Return the classes of a fitted classifier of one output, as an array.

    Raises
    ------
    TypeError
        If the classes are those of several outputs.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.twins._labels import classes_of
    >>> classes_of(DummyClassifier().fit([[0], [1]], ["a", "b"]))
    array(['a', 'b'], dtype='<U1')
    """
    classes = as_array(estimator.classes_)
    if classes.ndim != 1 or (classes.dtype == object and any(map(_is_list, classes))):
        raise TypeError(
            "estimator must predict one label for each sample; its classes_ are those of several "
            "outputs. Evaluate one classifier for each output: those of several are "
            "at_output(estimator, output), those of a hierarchy's levels are "
            "at_level(estimator, level)."
        )
    return classes


def one_each(labels: ArrayLike, n_samples: int | None = None) -> NDArray:
    """Return predictions of shape (n,) or (n, 1) as an array of shape (n,).

    Raises
    ------
    ValueError
        If there is not one for each sample.

    Examples
    --------
    >>> from sklearn_iso.twins._labels import one_each
    >>> one_each([["a"], ["b"]])
    array(['a', 'b'], dtype='<U1')
    """
    array = as_array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    nested = array.dtype == object and any(map(_is_list, array.ravel()))
    if array.ndim != 1 or nested or (n_samples is not None and len(array) != n_samples):
        expected = "(n_samples,)" if n_samples is None else f"({n_samples},)"
        raise ValueError(
            f"predict must return one label for each sample, of shape {expected}; got shape "
            f"{array.shape}. Return labels out of classes_: of scores, those of the largest."
        )
    return array


def columns_of(labels: ArrayLike, classes: NDArray) -> NDArray:
    """Position of each label in classes, -1 where it is not among them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.twins._labels import columns_of
    >>> columns_of(["b", "c"], np.array(["a", "b"])), columns_of([[1]], np.array([0, 1]))
    (array([ 1, -1]), array([1]))
    """
    column = {label: position for position, label in enumerate(classes.tolist())}
    return np.array([column.get(label, -1) for label in one_each(labels).tolist()], dtype=int)


def kinds_of(labels: ArrayLike) -> str:
    """Return what labels are, for messages: text, numbers, or the names of their types.

    Examples
    --------
    >>> from sklearn_iso.twins._labels import kinds_of
    >>> kinds_of(["1", "2"]), kinds_of([1, True])
    ('text', 'numbers')
    """
    names = set()
    for label in as_array(labels).ravel().tolist():
        is_number = isinstance(label, (bool, int, float, np.number))
        names.add("text" if isinstance(label, str) else "numbers" if is_number else _name(label))
    return " and ".join(sorted(names))


def check_kind(labels: NDArray, known: NDArray, of: str) -> None:
    """Raise a ValueError where labels, none of which is known, are of another kind than those.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.twins._labels import check_kind
    >>> check_kind(np.array(["0"]), np.array([0, 1]), "the estimator's classes_")
    Traceback (most recent call last):
    ValueError: y must hold labels of the type of the estimator's classes_, [0, 1]; found ['0'] ...
    """
    if kinds_of(labels) != kinds_of(known):
        raise ValueError(
            f"y must hold labels of the type of {of}, {some_of(known)}; found {some_of(labels)} of "
            f"dtype {labels.dtype}. Pass the labels as they were in the fit."
        )


def some_of(labels: NDArray) -> str:
    """Return the first five of several labels, for messages.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.twins._labels import some_of
    >>> some_of(np.arange(9) // 2 * 2), some_of(np.arange(9))
    ('[0, 2, 4, 6, 8]', '[0, 1, 2, 3, 4, ...]')
    """
    found = list(dict.fromkeys(map(repr, labels.tolist())))
    return f"[{', '.join(found[:5])}{', ...' if len(found) > 5 else ''}]"


def _name(label: object) -> str:
    return type(label).__name__


def _is_list(label: object) -> bool:
    return isinstance(label, (list, tuple, np.ndarray))
