"""Estimators."""

from sklearn_iso.estimators.classifier import IsometricClassifier
from sklearn_iso.estimators.presets import PRESETS, preset

__all__ = ["PRESETS", "IsometricClassifier", "preset"]
