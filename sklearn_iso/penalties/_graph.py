"""Geodesic distances: shortest paths through the graph of nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from sklearn_iso._geometry.distances import unit_for_powers

#: Samples up to which the distances between all of them are kept.
MAX_EXACT = 5000
#: Edges of the largest graph that is built to find what would join the components.
_MOST_EDGES = 20_000_000
#: Sources of shortest paths at once: bounds the memory of the float64 result.
_SOURCES = 200


def neighbour_graph(X: NDArray, n_neighbors: int, order: float | str = 2.0) -> csr_array:
    """Return the graph that links each sample to its nearest ones, checked to be connected.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Distinct samples; or their distances, (n_samples, n_samples), for "precomputed".
    n_neighbors : int
        Taken as ``n_samples - 1`` where that is less.
    order : float or "precomputed", default=2.0
        The p of the norm.

    Returns
    -------
    graph : csr_array of shape (n_samples, n_samples)
        Lengths of the edges between each sample and its neighbours, both ways.

    Raises
    ------
    ValueError
        If the graph falls apart; the message tells the `n_neighbors` that joins it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.penalties._graph import neighbour_graph
    >>> neighbour_graph(np.array([[0.0], [1.0], [3.0]]), 1).nnz
    4
    """
    k = min(n_neighbors, len(X) - 1)
    graph = both_ways(_graph(X, k, order))
    check_connected(graph, f"n_neighbors={n_neighbors}", lambda: _remedy(X, k, order))
    return graph


def both_ways(graph: csr_array) -> csr_array:
    """Return the graph with each edge in both directions, of two lengths the lesser.

    An edge of length 0 is an edge; those from a sample to itself are left out. Shortest paths
    that may follow edges backwards are the same, and found faster where none has to.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from sklearn_iso.penalties._graph import both_ways
    >>> graph = csr_array(np.array([[0.0, 3.0, 0.0], [2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    >>> both_ways(graph).toarray()
    array([[0., 2., 0.],
           [2., 0., 1.],
           [0., 1., 0.]])
    """
    edges = graph.tocoo()
    between = edges.row != edges.col
    row, col, length = edges.row[between], edges.col[between], edges.data[between]
    row, col = np.minimum(row, col), np.maximum(row, col)
    order = np.lexsort((length, col, row))
    row, col, length = row[order], col[order], length[order]
    least = np.ones(len(row), dtype=bool)
    least[1:] = (row[1:] != row[:-1]) | (col[1:] != col[:-1])
    row, col, length = row[least], col[least], length[least]
    # Sums and maxima of sparse matrices would drop edges of length 0.
    ends = np.concatenate([row, col]), np.concatenate([col, row])
    return coo_array((np.tile(length, 2), ends), shape=graph.shape).tocsr()


def check_connected(graph: csr_array, given: str, remedy: Callable[[], str]) -> None:
    """Raise a ValueError if a graph falls apart.

    Parameters
    ----------
    graph : csr_array of shape (n_samples, n_samples)
        With each edge in both directions.
    given : str
        What the graph was made by.
    remedy : callable
        Returns what would join the graph.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from sklearn_iso.penalties._graph import check_connected
    >>> check_connected(csr_array(np.eye(2)), "n_neighbors=0", lambda: "Take more.")
    Traceback (most recent call last):
    ValueError: A geodesic distance needs a connected neighbour graph; n_neighbors=0 leaves 2 ...
    """
    n_components, component = connected_components(graph, directed=False)
    if n_components > 1:
        sizes = np.sort(np.bincount(component))[::-1]
        few = ", ".join(map(str, sizes[:5])) + (", ..." if n_components > 5 else "")
        raise ValueError(
            f"A geodesic distance needs a connected neighbour graph; {given} "
            f"leaves {n_components} components, of {few} distinct samples. {remedy()}"
        )


def geodesic_distances(graph: csr_array, sources: NDArray, dtype: np.dtype) -> NDArray:
    """Return the shortest paths (n_sources, n_samples) from some samples to all.

    Of a graph with each edge in both directions.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.penalties._graph import geodesic_distances, neighbour_graph
    >>> graph = neighbour_graph(np.array([[0.0], [1.0], [3.0]]), 1)
    >>> geodesic_distances(graph, np.array([0]), np.dtype(float))
    array([[0., 1., 3.]])
    """
    distances = np.empty((len(sources), graph.shape[0]), dtype=dtype)
    for start in range(0, len(sources), _SOURCES):
        rows = slice(start, start + _SOURCES)
        distances[rows] = dijkstra(graph, directed=True, indices=sources[rows])
    return distances


def _graph(X: NDArray, n_neighbors: int, order: float | str) -> csr_array:
    from sklearn.neighbors import kneighbors_graph  # imports a sixth of scikit-learn

    if order == "precomputed":
        return kneighbors_graph(X, n_neighbors, mode="distance", metric="precomputed")
    # Powers of differences of any size overflow or vanish; the division is exact.
    unit = unit_for_powers(torch.from_numpy(X), float(order))
    X = X if unit == 1 else X / unit
    graph = kneighbors_graph(X, n_neighbors, mode="distance", metric="minkowski", p=order)
    graph.data *= unit
    return graph


def _joins(X: NDArray, n_neighbors: int, order: float | str) -> bool:
    return connected_components(_graph(X, n_neighbors, order), directed=False)[0] == 1


def _remedy(X: NDArray, n_neighbors: int, order: float | str) -> str:
    """Return which number of neighbours joins the graph, by bisection."""
    most = min(len(X) - 1, _MOST_EDGES // len(X))
    low, high = n_neighbors, n_neighbors
    while not _joins(X, high, order):
        if high >= most:
            return (
                f"Not even n_neighbors={high} joins them: fit each component on its own, or "
                "leave out the samples that are far from all others."
            )
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _joins(X, middle, order) else (middle, high)
    return f"n_neighbors={high} joins them."
