"""Strategy that draws labels of several levels, from coarse to fine."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from sklearn_iso._typed import validate_params
from sklearn_iso.testing._clouds import check_bounds


@validate_params(
    {
        "min_levels": [Interval(Integral, 1, None, closed="left")],
        "max_levels": [Interval(Integral, 1, None, closed="left")],
        "max_children": [Interval(Integral, 2, None, closed="left")],
    },
    prefer_skip_nested_validation=False,
)
def label_trees(
    *, min_levels: int = 1, max_levels: int = 3, max_children: int = 3
) -> st.SearchStrategy[NDArray[np.int64]]:
    """Draw hierarchies of classes, as the path of labels of every finest class.

    Sample k holds the labels of class k on every level, coarse to fine; a label has one parent.
    The labels Y of samples whose finest classes are y are ``paths[y]``. A failing example shrinks
    towards one level of two classes.

    Parameters
    ----------
    min_levels, max_levels : int
        Bounds of the number of levels.
    max_children : int, default=3
        Most classes that one class splits into; the coarsest level has at least two.

    Returns
    -------
    strategy : SearchStrategy of ndarray of shape (n_finest_classes, n_levels)
        Draws a row of labels for each finest class.

    Raises
    ------
    ValueError
        If a bound is out of its range.

    Examples
    --------
    >>> from hypothesis import find, settings
    >>> from sklearn_iso.testing import label_trees
    >>> simple = settings(database=None, derandomize=True)
    >>> find(label_trees(), lambda paths: paths.shape == (3, 2), settings=simple)
    array([[0, 0],
           [1, 1],
           [1, 2]])
    """
    check_bounds("levels", min_levels, max_levels)
    return _trees(min_levels, max_levels, max_children)


@st.composite
def _trees(
    draw: st.DrawFn, min_levels: int, max_levels: int, max_children: int
) -> NDArray[np.int64]:
    n_levels = draw(st.integers(min_levels, max_levels))
    paths = np.arange(draw(st.integers(2, max_children)))[:, None]
    for _ in range(n_levels - 1):
        n_children = [draw(st.integers(1, max_children)) for _ in paths]
        paths = np.repeat(paths, n_children, axis=0)
        paths = np.column_stack([paths, np.arange(len(paths))])
    return paths
