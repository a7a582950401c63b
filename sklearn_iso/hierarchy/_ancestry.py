"""From a mapping or a graph of ancestors to the paths of labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._protocols import Hierarchy, is_graph
from sklearn_iso.hierarchy._paths import as_paths, narrowed


def ancestry_paths(labels: ArrayLike, hierarchy: Hierarchy) -> NDArray:
    """Return the path of each label from the coarsest of its ancestors down to itself.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
    hierarchy : mapping of a label to the one above it, or networkx.DiGraph
        The edges of a graph lead from coarse to fine. A coarsest label is no key, or one of
        None. A root above everything is left out, for it says nothing.

    Returns
    -------
    paths : ndarray of shape (n_samples, n_levels)
        Paths that are shorter than others end in None.

    Raises
    ------
    TypeError
        If hierarchy is neither a mapping nor a directed graph.
    ValueError
        If a label is not in the hierarchy or is its root, has two parents, or is its own
        ancestor.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.hierarchy import ancestry_paths
    >>> above = {"owl": "bird", "crow": "bird", "eel": "fish"}
    >>> ancestry_paths(np.array(["owl", "eel"]), above)
    array([['bird', 'owl'],
           ['fish', 'eel']], dtype='<U4')
    """
    above = parents_of(hierarchy)
    # In order, so that of several circles the same one is named each time.
    known = dict.fromkeys([*above, *above.values()])
    # Objects, unless it is an array: numpy would turn the numbers beside text into text.
    given = labels if isinstance(labels, np.ndarray) else np.array(labels, dtype=object)
    asked = given.tolist()
    if given.ndim != 1:
        raise ValueError(
            f"labels must have shape (n_samples,); got {given.shape}. Pass the finest label of "
            "each sample."
        )
    if unknown := sorted({str(label) for label in asked if label not in known}):
        raise ValueError(
            f"Every label of y must be in the hierarchy; {', '.join(unknown[:5])} are not. Add "
            "each with the label above it."
        )
    lines = {label: line_of(label, above) for label in known if label is not None}
    chosen = [lines[label] for label in asked]
    if len({line[0] for line in lines.values()}) == 1:
        chosen = [_below_root(line) for line in chosen]
    width = max(map(len, chosen), default=1)
    paths = np.full((len(chosen), width), None, dtype=object)
    for row, line in zip(paths, chosen, strict=True):
        row[: len(line)] = line
    return narrowed(paths)


def told_paths(y: ArrayLike, hierarchy: Hierarchy | None) -> NDArray:
    """Return the paths that labels tell, alone or by a hierarchy of the finest.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_levels) or (n_samples,)
        Paths, or labels of the finest level.
    hierarchy : dict, networkx.DiGraph or None
        The tree above the labels; None where y holds paths.

    Returns
    -------
    paths : ndarray of shape (n_samples, n_levels)
        A path for each sample.

    Examples
    --------
    >>> from sklearn_iso.hierarchy import told_paths
    >>> told_paths(["owl", "eel"], {"owl": "bird", "eel": "fish"}).tolist()
    [['bird', 'owl'], ['fish', 'eel']]
    >>> told_paths([["bird", "owl"], ["fish", "eel"]], None).tolist()
    [['bird', 'owl'], ['fish', 'eel']]
    """
    if hierarchy is not None and np.asarray(y).shape[1:] in ((), (1,)):
        return ancestry_paths(np.ravel(y), hierarchy)
    return as_paths(y)


def _below_root(line: list[Hashable]) -> list[Hashable]:
    if len(line) == 1:
        raise ValueError(
            f"A label of y must lie below the root, which all labels share and so says nothing; "
            f"got {line[0]!r}, the root itself. Drop these samples."
        )
    return line[1:]


def parents_of(hierarchy: Hierarchy) -> dict[Hashable, Hashable]:
    """Return the label above each label, None above the coarsest.

    Parameters
    ----------
    hierarchy : dict or networkx.DiGraph
        The tree, as estimators take it.

    Returns
    -------
    parents : dict
        The parent of each label.

    Examples
    --------
    >>> from sklearn_iso.hierarchy import parents_of
    >>> parents_of({"owl": "bird"})
    {'owl': 'bird'}
    """
    if is_graph(hierarchy):
        found = {node: list(hierarchy.predecessors(node)) for node in hierarchy.nodes}
    elif isinstance(hierarchy, Mapping):
        several = list | tuple | set | frozenset
        found = {
            label: sorted(above, key=str) if isinstance(above, several) else [above]
            for label, above in hierarchy.items()
        }
    else:
        raise TypeError(
            "hierarchy must map each label to the one above it, or be a networkx.DiGraph with "
            f"edges from coarse to fine; got {type(hierarchy).__name__}."
        )
    for label, above in found.items():
        if len(above) > 1:
            raise ValueError(two_parents(label, above))
    return {label: above[0] if above else None for label, above in found.items()}


def two_parents(label: Hashable, above: list[Hashable]) -> str:
    """Return the message for a label under several parents."""
    names = " and ".join(repr(parent) for parent in above)
    return (
        f"A label must lie under one parent; {label!r} lies under {names}. Correct the rows, or "
        f"give it a name for each, such as '{above[0]}/{label}'."
    )


def line_of(label: Hashable, above: Mapping[Hashable, Hashable]) -> list[Hashable]:
    """Return a label's ancestors and itself, the coarsest first.

    Examples
    --------
    >>> from sklearn_iso.hierarchy._ancestry import line_of
    >>> line_of("owl", {"owl": "bird", "bird": "animal"})
    ['animal', 'bird', 'owl']
    """
    line = [label]
    while (parent := above.get(line[-1])) is not None:
        if parent in line:
            circle = " -> ".join(repr(step) for step in [*line[line.index(parent) :], parent])
            raise ValueError(
                f"No label of the hierarchy may be its own ancestor; going up leads round: "
                f"{circle}. Remove one of these links; where a number stands for labels of two "
                "levels, pass a column of y for each level, or text with one name for each label."
            )
        line.append(parent)
    return line[::-1]
