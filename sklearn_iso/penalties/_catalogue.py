"""Penalties by name, and the default sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypedDict

from sklearn_iso._geometry import Metric
from sklearn_iso._typed import clone
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._base import Penalty
from sklearn_iso.penalties._geodesic import GeodesicIsometry
from sklearn_iso.penalties._global_ import GlobalIsometry
from sklearn_iso.penalties._jacobian import JacobianIsometry
from sklearn_iso.penalties._local import LocalIsometry
from sklearn_iso.penalties._neighbours import NeighborIsometry
from sklearn_iso.penalties._pairwise import MetricName
from sklearn_iso.penalties._within_class import WithinClassIsometry
from sklearn_iso.penalties._worst_case import WorstCaseIsometry

#: Weight of the cross-entropy at adversarial examples, in the default.
CROSS_ENTROPY_WEIGHT = 0.5


def isometric() -> Penalty:
    """Return the default: within-class isometry of the hidden layers + worst case of the logits.

    The adversarial examples of the worst case are trained on too, at half the weight of a sample,
    so that a network that must be steep somewhere, between classes that lie close together, learns
    where.

    Examples
    --------
    >>> from sklearn_iso.penalties import make_penalty
    >>> [name for name, _, _ in make_penalty("isometric").terms()]
    ['within_class', 'worst_case', 'adversarial_cross_entropy']
    """
    return WithinClassIsometry() + WorstCaseIsometry().with_cross_entropy(CROSS_ENTROPY_WEIGHT)


PenaltyName = Literal[
    "isometric", "within_class", "worst_case", "global", "neighbors", "local", "jacobian"
]
EmbeddingPenaltyName = Literal["global", "neighbors", "geodesic", "within_class"]

#: Every penalty that a string can name, with a function that builds it.
PENALTIES: dict[str, Callable[[], Penalty]] = {
    "isometric": isometric,
    "within_class": WithinClassIsometry,
    "worst_case": WorstCaseIsometry,
    "global": GlobalIsometry,
    "neighbors": NeighborIsometry,
    "local": LocalIsometry,
    "jacobian": JacobianIsometry,
}


class _Embedding(TypedDict):
    scale: float
    layers: Layers
    max_samples: int | None


#: On the embedding itself, in the units of X and over all pairs of a batch.
_EMBEDDING: _Embedding = {"scale": 1.0, "layers": "logits", "max_samples": None}


def _geodesic(metric: MetricName | Metric, n_neighbors: int) -> Penalty:
    if metric == "precomputed":  # then the shortest paths come in place of the distances
        return GlobalIsometry(metric=metric, **_EMBEDDING)
    if callable(metric):
        raise ValueError(
            "penalty='geodesic' finds neighbours by a norm or among precomputed distances; got "
            f"the function metric={metric!r}. Pass metric='precomputed' and "
            "fit(X, distances=D) with the distances that the function gives."
        )
    return GeodesicIsometry(n_neighbors=n_neighbors, metric=metric, **_EMBEDDING)


#: Penalties of an embedding by name; given a metric and a number of neighbours.
EMBEDDING_PENALTIES: dict[str, Callable[[MetricName | Metric, int], Penalty]] = {
    "global": lambda metric, _: GlobalIsometry(metric=metric, **_EMBEDDING),
    "neighbors": lambda metric, n: NeighborIsometry(n_neighbors=n, metric=metric, **_EMBEDDING),
    "geodesic": _geodesic,
    "within_class": lambda metric, _: WithinClassIsometry(metric=metric, **_EMBEDDING),
}


def embedding_penalty(
    penalty: str | Penalty, metric: MetricName | Metric, n_neighbors: int
) -> Penalty:
    """Return a penalty that is safe to calibrate: a named one for embeddings, or a clone.

    Parameters
    ----------
    penalty : str or Penalty
        Name or object.
    metric : str or Metric
        Distance of the data.
    n_neighbors : int
        Of graphs, where the penalty has one.

    Returns
    -------
    penalty : Penalty
        The penalty.

    Raises
    ------
    ValueError
        If a term trains logits.

    Examples
    --------
    >>> from sklearn_iso.penalties import embedding_penalty
    >>> embedding_penalty("neighbors", "l2", 7).n_neighbors
    7
    """
    if isinstance(penalty, Penalty):
        return penalty.without_logits()
    if not isinstance(penalty, str) or penalty not in EMBEDDING_PENALTIES:
        raise ValueError(
            f"penalty must be one of {sorted(EMBEDDING_PENALTIES)} or a Penalty object; got "
            f"{penalty!r}."
        )
    return EMBEDDING_PENALTIES[penalty](metric, n_neighbors)


def make_penalty(penalty: str | Penalty) -> Penalty:
    """Return a penalty that is safe to calibrate: a named default, or a clone.

    Parameters
    ----------
    penalty : str or Penalty
        A key of ``PENALTIES``, or a penalty.

    Returns
    -------
    penalty : Penalty
        The penalty.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> from sklearn_iso.penalties import make_penalty
    >>> make_penalty("worst_case")
    WorstCaseIsometry()
    """
    if isinstance(penalty, Penalty):
        return clone(penalty)
    if not isinstance(penalty, str) or penalty not in PENALTIES:
        raise ValueError(
            f"penalty must be one of {sorted(PENALTIES)} or a Penalty object; got {penalty!r}."
        )
    return PENALTIES[penalty]()
