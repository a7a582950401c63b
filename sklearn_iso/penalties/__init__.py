"""Penalties on how far a network is from keeping distances."""

from sklearn_iso.penalties.adversarial import AdversarialCrossEntropy
from sklearn_iso.penalties.base import Penalty, PenaltySum
from sklearn_iso.penalties.batch import Batch
from sklearn_iso.penalties.catalogue import (
    EMBEDDING_PENALTIES,
    PENALTIES,
    embedding_penalty,
    make_penalty,
)
from sklearn_iso.penalties.geodesic import GeodesicIsometry
from sklearn_iso.penalties.global_ import GlobalIsometry
from sklearn_iso.penalties.jacobian import JacobianIsometry
from sklearn_iso.penalties.local import LocalIsometry
from sklearn_iso.penalties.neighbours import NeighborIsometry
from sklearn_iso.penalties.pairwise import PairwiseIsometry
from sklearn_iso.penalties.within_class import WithinClassIsometry
from sklearn_iso.penalties.worst_case import WorstCaseIsometry

__all__ = [
    "EMBEDDING_PENALTIES",
    "PENALTIES",
    "AdversarialCrossEntropy",
    "Batch",
    "GeodesicIsometry",
    "GlobalIsometry",
    "JacobianIsometry",
    "LocalIsometry",
    "NeighborIsometry",
    "PairwiseIsometry",
    "Penalty",
    "PenaltySum",
    "WithinClassIsometry",
    "WorstCaseIsometry",
    "embedding_penalty",
    "make_penalty",
]
