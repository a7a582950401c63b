"""Isometry of the distances along the data: a parametric Isomap."""

from __future__ import annotations

from numbers import Integral
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from torch import Tensor

from sklearn_iso._geometry import one_block
from sklearn_iso._geometry.norms import NormName
from sklearn_iso._randomness import seeded
from sklearn_iso._typed import clone
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._graph import MAX_EXACT, geodesic_distances, neighbour_graph
from sklearn_iso.penalties._graph_transformer import (
    NeighborsTransformer,
    check_transformer,
    transformed_graph,
)
from sklearn_iso.penalties._pairwise import (
    NORM_ORDERS,
    PairwiseIsometry,
    StressPenalty,
    norm_order,
)

#: Of `n_neighbors`; any other value is one that the user chose.
_N_NEIGHBORS = 10


class GeodesicIsometry(StressPenalty):
    r"""Stress against the distances along the data, as Isomap measures them.

    .. math:: P = \frac{\sum_{ij} w_i w_j (d_Z(z_i, z_j) / s - d_G(x_i, x_j))^2}
                       {\sum_{ij} w_i w_j\, d_G(x_i, x_j)^2}

    with the shortest path :math:`d_G` through the graph of the `n_neighbors` nearest samples.
    Up to 5,000 samples the distances of all pairs are known. Above, they are known from
    `n_landmarks` samples drawn at random to all: every batch is then completed with as many
    landmarks as it has samples, and only pairs with a landmark count. The network learns the
    map, so a new sample needs no path of its own. Coincident samples are one node of the graph.

    Exact nearest neighbours take time that grows with the square of the number of samples. A
    transformer that finds them approximately takes their place as `neighbors`.

    Parameters
    ----------
    n_neighbors : int, default=10
        Nearest samples that each sample is linked to.
    n_landmarks : int, default=500
        Samples from which shortest paths are found where there are more than 5,000.
    loss : {"normalized_stress", "raw_stress", "relative"}, default="normalized_stress"
        Squares over the squared distances along the data, or (raw, in squared units of X) over
        the weight of all pairs of samples; mean square of ``d_Z / (s d_G) - 1``.
    scale : "fitted" or float, default="fitted"
        The s of ``d_Z = s * d_G``.
    metric : {"l1", "l2", "linf"} or float from 1 to 100, default="l2"
        Length of an edge.
    layers : layers, optional
        Representations the penalty acts on; None means those of the estimator.
    max_samples : int or None, default=128
        Samples of a batch that pairs are formed from, its first. None takes all.
    neighbors : transformer, optional
        Finds the neighbours, and the lengths of the edges, in place of `n_neighbors` and
        `metric`: these must then be left out. By scikit-learn's convention an estimator that is
        not fitted and whose ``fit_transform(X)`` returns the sparse distances (n, n) of distinct
        samples, such as :class:`~sklearn.neighbors.KNeighborsTransformer` or pynndescent's
        ``PyNNDescentTransformer``. It is cloned, and a `random_state` of None is drawn from that
        of the fit. An edge that it has in both directions takes the lesser length. None finds
        the exact ones.

    Attributes
    ----------
    landmarks_ : ndarray of shape (n_landmarks,)
        Samples with known paths; all samples where there are no more than 5,000.
    spread_ : float
        Root weighted mean square of the geodesic distances over the root of 2: how far the samples
        are from their centre, were they flat.

    References
    ----------
    J. B. Tenenbaum, V. de Silva, J. C. Langford, "A Global Geometric Framework for Nonlinear
    Dimensionality Reduction", Science 2000.
    V. de Silva, J. B. Tenenbaum, "Sparse multidimensional scaling using landmark points",
    2004, for landmarks.

    Examples
    --------
    >>> from sklearn_iso.penalties import GeodesicIsometry
    >>> GeodesicIsometry(n_neighbors=8, scale=1.0)
    GeodesicIsometry(n_neighbors=8, scale=1.0)
    """

    needs_all_samples = True

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "n_landmarks": [Interval(Integral, 1, None, closed="left")],
        "loss": [StrOptions({"normalized_stress", "raw_stress", "relative"})],
        "scale": PairwiseIsometry._parameter_constraints["scale"],
        "metric": [StrOptions({"l1", "l2", "linf"}), *NORM_ORDERS],
        "layers": PairwiseIsometry._parameter_constraints["layers"],
        "max_samples": PairwiseIsometry._parameter_constraints["max_samples"],
        "neighbors": [HasMethods(["fit_transform", "get_params", "set_params"]), None],
    }
    target = "input"  # what the pairwise penalties let one choose

    def __init__(
        self,
        *,
        n_neighbors: int = _N_NEIGHBORS,
        n_landmarks: int = 500,
        loss: Literal["normalized_stress", "raw_stress", "relative"] = "normalized_stress",
        scale: Literal["fitted"] | float = "fitted",
        metric: NormName | float = "l2",
        layers: Layers | None = None,
        max_samples: int | None = 128,
        neighbors: NeighborsTransformer | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.n_landmarks = n_landmarks
        self.loss = loss
        self.scale = scale
        self.metric = metric
        self.layers = layers
        self.max_samples = max_samples
        self.neighbors = neighbors

    def check(self) -> None:
        """Raise an error unless the parameters are in range and fit together."""
        super().check()
        if self.neighbors is None:
            return
        if self.n_neighbors != _N_NEIGHBORS or norm_order(self.metric) != 2:
            raise ValueError(
                "neighbors finds neighbours and distances of its own, to which n_neighbors and "
                f"metric mean nothing; got neighbors={self.neighbors!r}, "
                f"n_neighbors={self.n_neighbors} and metric={self.metric!r}. Leave those two out, "
                "and set the parameters of neighbors."
            )
        check_transformer(self.neighbors)

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> GeodesicIsometry:
        """Find the shortest paths between all samples of the training data, or from landmarks."""
        self.check()
        if generator is None:
            generator = torch.Generator().manual_seed(torch.initial_seed())
        rows = X.detach().flatten(1).cpu().numpy()
        self.landmarks_ = self._draw_landmarks(len(rows), generator)
        paths = torch.from_numpy(self._paths(rows, generator))
        self._paths_from = paths
        self._landmark_rows = X.detach()[torch.from_numpy(self.landmarks_)]
        place = np.full(len(rows), -1)
        place[self.landmarks_] = np.arange(len(self.landmarks_))
        self._place = torch.from_numpy(place)
        weight = torch.ones(len(rows)) if sample_weight is None else sample_weight
        share = weight.double() / weight.sum(dtype=torch.float64)
        of_landmarks = share[torch.from_numpy(self.landmarks_)]
        # By sample: in float64 all of them at once would take three times the memory of the paths.
        squares = torch.stack([path.square().to(share) @ share for path in paths])
        self.spread_ = float((of_landmarks @ squares / of_landmarks.sum() / 2).sqrt())
        return self

    def release(self) -> None:
        """Let go of the paths and of the landmarks' samples."""
        for name in ("_paths_from", "_landmark_rows", "_place"):
            self.__dict__.pop(name, None)

    def distances_from(self, index: Tensor) -> Tensor:
        """Return the geodesic distances (n, n_samples) from landmarks, given by training sample.

        Parameters
        ----------
        index : Tensor of int of shape (n,)
            Training samples that are landmarks.

        Returns
        -------
        distances : Tensor of shape (n, n_samples)
            To all training samples.
        """
        return self._paths_from[self._place[index]]

    def distances_between(self, index: Tensor) -> Tensor:
        """Return the geodesic distances (n, n) between landmarks, given by training sample.

        Parameters
        ----------
        index : Tensor of int of shape (n,)
            Training samples that are landmarks.

        Returns
        -------
        distances : Tensor of shape (n, n)
            To each other.
        """
        return self._paths_from[self._place[index].unsqueeze(1), index]

    def _paths(self, rows: NDArray, generator: torch.Generator) -> NDArray:
        # Coincident samples would fill each other's neighbourhoods, and weight 2 would differ
        # from the sample twice.
        distinct, node = np.unique(rows, axis=0, return_inverse=True)
        if len(distinct) == 1:
            return np.zeros((len(self.landmarks_), len(rows)), dtype=rows.dtype)
        graph = self._graph(distinct, generator)
        sources, place = np.unique(node[self.landmarks_], return_inverse=True)
        paths: NDArray = geodesic_distances(graph, sources, rows.dtype)[np.ix_(place, node)]
        return paths

    def _graph(self, distinct: NDArray, generator: torch.Generator) -> csr_array:
        if self.neighbors is None:
            return neighbour_graph(distinct, self.n_neighbors, norm_order(self.metric))
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        transformer = seeded(clone(self.neighbors), np.random.RandomState(seed))
        return transformed_graph(distinct, transformer)

    def _draw_landmarks(self, n_samples: int, generator: torch.Generator) -> NDArray:
        if n_samples <= MAX_EXACT:
            return np.arange(n_samples)
        drawn = torch.randperm(n_samples, generator=generator)[: self.n_landmarks]
        return drawn.sort().values.numpy()

    def __call__(self, batch: Batch) -> Tensor:
        """Return the mean stress of the layers."""
        if batch.index is None:
            raise ValueError(
                "GeodesicIsometry needs the number of each training sample, which this estimator "
                "does not tell. Use it as the penalty of an IsometricTransformer."
            )
        rows = slice(self.max_samples)
        index, weight = batch.index[rows].cpu(), batch.weight[rows]
        layers = [Z[rows] for Z in batch.representations(self.layers)]
        if len(self.landmarks_) < len(self._place):
            drawn = self._draw(len(index), batch.generator)
            index = torch.cat([index, torch.from_numpy(self.landmarks_)[drawn]])
            weight = torch.cat([weight, weight.new_ones(len(drawn))])
            others = batch.represent(self._landmark_rows[drawn].to(batch.X), self.layers)
            layers = [torch.cat(pair) for pair in zip(layers, others, strict=True)]
        d_X, known = self._known(index)
        blocks = one_block(weight).only(known.to(weight.device)[None])
        d_X = d_X.to(weight.device, self.dtype(batch.X))
        return self.stress(blocks, d_X[None])(*layers)

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randperm(len(self.landmarks_), generator=generator)[:n]

    def _known(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distances of the pairs with a landmark, and which pairs those are."""
        place = self._place[index]
        # Nonsense where there is no place; whole paths would be read for a batch of their ends.
        from_rows = self._paths_from[place.unsqueeze(1), index]
        reached = place >= 0
        one_way, other_way = reached.unsqueeze(1), reached.unsqueeze(0)
        d_X = torch.where(one_way, from_rows, torch.where(other_way, from_rows.mT, 0.0))
        return d_X, one_way | other_way
