"""The neighbour graph of a transformer that the user brings, by scikit-learn's convention."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from sklearn import config_context

from sklearn_iso.penalties._graph import both_ways, check_connected


class NeighborsTransformer(Protocol):
    """An estimator that turns samples into the sparse matrix of distances to their neighbours."""

    def fit_transform(self, X: NDArray) -> object:
        """Return the distances (n_samples, n_samples) that it keeps, sparse."""

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters by name."""

    def set_params(self, **params: object) -> object:
        """Set parameters by name."""


def check_transformer(transformer: NeighborsTransformer) -> None:
    """Raise an error if a transformer is a class or returns neighbours without distances.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsTransformer
    >>> from sklearn_iso.penalties._graph_transformer import check_transformer
    >>> check_transformer(KNeighborsTransformer(mode="connectivity"))
    Traceback (most recent call last):
    ValueError: neighbors must return distances; got mode='connectivity' in ...
    """
    if isinstance(transformer, type):
        raise TypeError(
            f"neighbors must be an estimator and not its class; got {transformer.__name__}. Pass "
            f"one, such as {transformer.__name__}()."
        )
    modes = {
        name: mode
        for name, mode in transformer.get_params(deep=True).items()
        if name == "mode" or name.endswith("__mode")
    }
    for name, mode in modes.items():
        if isinstance(mode, str) and mode == "connectivity":
            raise ValueError(
                f"neighbors must return distances; got {name}={mode!r} in {transformer!r}, which "
                f"returns ones. Set {name}='distance'."
            )


def transformed_graph(X: NDArray, transformer: NeighborsTransformer) -> csr_array:
    """Return the graph of the neighbours that a transformer finds, checked to be connected.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Distinct samples.
    transformer : transformer
        Is fitted.

    Returns
    -------
    graph : csr_array of shape (n_samples, n_samples)
        Lengths of the edges between each sample and its neighbours, both ways.

    Raises
    ------
    TypeError
        If what the transformer returns is not sparse.
    ValueError
        If it is no matrix of distances between the samples, or the graph falls apart.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import RadiusNeighborsTransformer
    >>> from sklearn_iso.penalties._graph_transformer import transformed_graph
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> transformed_graph(X, RadiusNeighborsTransformer(radius=2.0)).toarray()
    array([[0., 1., 0.],
           [1., 0., 2.],
           [0., 2., 0.]])
    """
    with config_context(transform_output="default"):  # a frame would not be sparse
        found = transformer.fit_transform(X)
    graph = both_ways(_checked(found, len(X), transformer))
    check_connected(
        graph,
        f"neighbors={transformer!r}",
        lambda: "Raise its number of neighbours or its radius, or fit each component on its own.",
    )
    return graph


def _checked(found: object, n_samples: int, transformer: NeighborsTransformer) -> csr_array:
    rule = "neighbors must return a sparse matrix of the distances between all samples"
    if not issparse(found):
        raise TypeError(
            f"{rule}; got {type(found).__name__} from {transformer!r}. Pass a transformer to a "
            "graph, such as sklearn.neighbors.KNeighborsTransformer."
        )
    matrix = cast(csr_array, found)
    if matrix.shape != (n_samples, n_samples):
        raise ValueError(
            f"{rule}, of shape {(n_samples, n_samples)}; got shape {matrix.shape} from "
            f"{transformer!r}. Distinct samples alone are passed to it: let it keep them all."
        )
    if matrix.dtype.kind not in "fiu":
        raise ValueError(
            f"{rule}; got values of {matrix.dtype} from {transformer!r}. Let it return distances."
        )
    graph = csr_array(matrix, dtype=np.float64, copy=True)
    bad = graph.data[~(np.isfinite(graph.data) & (graph.data >= 0))]
    if len(bad):
        raise ValueError(
            f"{rule}, finite and not negative; got {len(bad)} of {graph.nnz} that are not, such "
            f"as {bad[0]}, from {transformer!r}. Scale the features, or choose another metric."
        )
    graph.sum_duplicates()
    return graph
