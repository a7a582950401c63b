"""How robust and how isometric a fitted estimator is, as functions and as scorers."""

from sklearn_iso.metrics.adversarial import adversarial_accuracy, make_adversarial_scorer
from sklearn_iso.metrics.curve import robustness_curve
from sklearn_iso.metrics.distance import adversarial_distance
from sklearn_iso.metrics.distortion import isometry_distortion, make_distortion_scorer
from sklearn_iso.metrics.findings import Finding
from sklearn_iso.metrics.report import RobustnessReport, robustness_report

__all__ = [
    "Finding",
    "RobustnessReport",
    "adversarial_accuracy",
    "adversarial_distance",
    "isometry_distortion",
    "make_adversarial_scorer",
    "make_distortion_scorer",
    "robustness_curve",
    "robustness_report",
]
