"""Estimators."""

from sklearn_iso.estimators._classifier import IsometricClassifier
from sklearn_iso.estimators._classifier_cv import IsometricClassifierCV
from sklearn_iso.estimators._hierarchical import HierarchicalIsometricClassifier
from sklearn_iso.estimators._hierarchical_level import LevelClassifier
from sklearn_iso.estimators._loading import load
from sklearn_iso.estimators._presets import PRESETS, preset
from sklearn_iso.estimators._regressor import IsometricRegressor
from sklearn_iso.estimators._smoothed import SmoothedClassifier
from sklearn_iso.estimators._transformer import IsometricTransformer

__all__ = [
    "PRESETS",
    "HierarchicalIsometricClassifier",
    "IsometricClassifier",
    "IsometricClassifierCV",
    "IsometricRegressor",
    "IsometricTransformer",
    "LevelClassifier",
    "SmoothedClassifier",
    "load",
    "preset",
]
