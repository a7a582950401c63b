"""Neural networks that keep distances, for scikit-learn."""

from sklearn_iso._threat import ThreatModel
from sklearn_iso._version import __version__
from sklearn_iso.estimators import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
    SmoothedClassifier,
    load,
    preset,
)

__all__ = [
    "HierarchicalIsometricClassifier",
    "IsometricClassifier",
    "IsometricClassifierCV",
    "IsometricRegressor",
    "IsometricTransformer",
    "SmoothedClassifier",
    "ThreatModel",
    "__version__",
    "load",
    "preset",
]
