"""Distances, norms and stress in plain torch."""

from sklearn_iso._geometry.blocks import Blocks, Metric, class_blocks, one_block
from sklearn_iso._geometry.cotangents import pulled_back
from sklearn_iso._geometry.distances import pairwise_distances
from sklearn_iso._geometry.nearest import nearest_other_class_distance
from sklearn_iso._geometry.stress import Kernel, Stress, fitted_factors

__all__ = [
    "Blocks",
    "Kernel",
    "Metric",
    "Stress",
    "class_blocks",
    "fitted_factors",
    "nearest_other_class_distance",
    "one_block",
    "pairwise_distances",
    "pulled_back",
]
