"""How robust and how isometric a fitted estimator is, as functions and as scorers."""

from sklearn_iso.metrics.adversarial import adversarial_accuracy, make_adversarial_scorer
from sklearn_iso.metrics.curve import robustness_curve
from sklearn_iso.metrics.distance import adversarial_distance
from sklearn_iso.metrics.distortion import isometry_distortion, scale_normalized_stress
from sklearn_iso.metrics.distortion_report import DistortionReport, distortion_report
from sklearn_iso.metrics.distortion_scorer import make_distortion_scorer
from sklearn_iso.metrics.findings import Finding
from sklearn_iso.metrics.hierarchical import (
    hierarchical_f1_score,
    hierarchical_precision_score,
    hierarchical_recall_score,
    make_hierarchical_scorer,
    tree_distance,
)
from sklearn_iso.metrics.levels import at_level, make_level_scorer
from sklearn_iso.metrics.local import jacobian_singular_values, local_distortion
from sklearn_iso.metrics.neighbourhoods import continuity, trustworthiness
from sklearn_iso.metrics.report import RobustnessReport, robustness_report
from sklearn_iso.metrics.stretch import (
    bi_lipschitz_ratio,
    contraction,
    expansion,
    shepard_correlation,
)

__all__ = [
    "DistortionReport",
    "Finding",
    "RobustnessReport",
    "adversarial_accuracy",
    "adversarial_distance",
    "at_level",
    "bi_lipschitz_ratio",
    "continuity",
    "contraction",
    "distortion_report",
    "expansion",
    "hierarchical_f1_score",
    "hierarchical_precision_score",
    "hierarchical_recall_score",
    "isometry_distortion",
    "jacobian_singular_values",
    "local_distortion",
    "make_adversarial_scorer",
    "make_distortion_scorer",
    "make_hierarchical_scorer",
    "make_level_scorer",
    "robustness_curve",
    "robustness_report",
    "scale_normalized_stress",
    "shepard_correlation",
    "tree_distance",
    "trustworthiness",
]
