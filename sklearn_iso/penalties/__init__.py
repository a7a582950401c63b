"""Penalties on how far a network is from keeping distances."""

from sklearn_iso._geometry import nearest_other_class_distance
from sklearn_iso.penalties._adversarial import AdversarialCrossEntropy
from sklearn_iso.penalties._base import Penalty, PenaltySum
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._catalogue import (
    EMBEDDING_PENALTIES,
    PENALTIES,
    embedding_penalty,
    make_penalty,
)
from sklearn_iso.penalties._certified import CertifiedCrossEntropy
from sklearn_iso.penalties._geodesic import GeodesicIsometry
from sklearn_iso.penalties._global_ import GlobalIsometry
from sklearn_iso.penalties._jacobian import JacobianIsometry
from sklearn_iso.penalties._lipschitz import LipschitzCrossEntropy
from sklearn_iso.penalties._local import LocalIsometry
from sklearn_iso.penalties._neighbours import NeighborIsometry
from sklearn_iso.penalties._pairwise import PairwiseIsometry
from sklearn_iso.penalties._within_class import WithinClassIsometry
from sklearn_iso.penalties._worst_case import WorstCaseIsometry

__all__ = [
    "EMBEDDING_PENALTIES",
    "PENALTIES",
    "AdversarialCrossEntropy",
    "Batch",
    "CertifiedCrossEntropy",
    "GeodesicIsometry",
    "GlobalIsometry",
    "JacobianIsometry",
    "LipschitzCrossEntropy",
    "LocalIsometry",
    "NeighborIsometry",
    "PairwiseIsometry",
    "Penalty",
    "PenaltySum",
    "WithinClassIsometry",
    "WorstCaseIsometry",
    "embedding_penalty",
    "make_penalty",
    "nearest_other_class_distance",
]
