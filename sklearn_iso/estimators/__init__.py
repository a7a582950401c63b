"""Estimators."""

from sklearn_iso.estimators.classifier import IsometricClassifier
from sklearn_iso.estimators.classifier_cv import IsometricClassifierCV
from sklearn_iso.estimators.hierarchical import HierarchicalIsometricClassifier
from sklearn_iso.estimators.hierarchical_level import LevelClassifier
from sklearn_iso.estimators.loading import load
from sklearn_iso.estimators.presets import PRESETS, preset
from sklearn_iso.estimators.regressor import IsometricRegressor
from sklearn_iso.estimators.transformer import IsometricTransformer

__all__ = [
    "PRESETS",
    "HierarchicalIsometricClassifier",
    "IsometricClassifier",
    "IsometricClassifierCV",
    "IsometricRegressor",
    "IsometricTransformer",
    "LevelClassifier",
    "load",
    "preset",
]
