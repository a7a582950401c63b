"""How robust and how isometric a fitted estimator is, as functions and as scorers."""

from sklearn_iso.metrics._adversarial import adversarial_accuracy
from sklearn_iso.metrics._adversarial_error import adversarial_error
from sklearn_iso.metrics._adversarial_examples import adversarial_examples
from sklearn_iso.metrics._adversarial_scorer import make_adversarial_scorer
from sklearn_iso.metrics._certified import (
    certified_accuracy,
    certified_distance,
    make_certified_scorer,
)
from sklearn_iso.metrics._certified_error import certified_error
from sklearn_iso.metrics._corruption_report import CorruptionReport, corruption_report
from sklearn_iso.metrics._curve import robustness_curve
from sklearn_iso.metrics._distance import adversarial_distance
from sklearn_iso.metrics._distortion import isometry_distortion, scale_normalized_stress
from sklearn_iso.metrics._distortion_report import DistortionReport, distortion_report
from sklearn_iso.metrics._distortion_scorer import make_distortion_scorer
from sklearn_iso.metrics._findings import Finding
from sklearn_iso.metrics._hierarchical import (
    hierarchical_f1_score,
    hierarchical_precision_score,
    hierarchical_recall_score,
    make_hierarchical_scorer,
    tree_distance,
)
from sklearn_iso.metrics._kernel_alignment import centered_kernel_alignment
from sklearn_iso.metrics._levels import at_level, make_level_scorer
from sklearn_iso.metrics._local import jacobian_singular_values, local_distortion
from sklearn_iso.metrics._neighbourhoods import continuity, trustworthiness
from sklearn_iso.metrics._outputs import at_output
from sklearn_iso.metrics._procrustes import procrustes_distance
from sklearn_iso.metrics._regression_report import RegressionReport
from sklearn_iso.metrics._report import RobustnessReport, robustness_report
from sklearn_iso.metrics._representation_scorer import make_representation_scorer
from sklearn_iso.metrics._representational import representational_similarity
from sklearn_iso.metrics._stretch import (
    bi_lipschitz_ratio,
    contraction,
    expansion,
    shepard_correlation,
)

__all__ = [
    "CorruptionReport",
    "DistortionReport",
    "Finding",
    "RegressionReport",
    "RobustnessReport",
    "adversarial_accuracy",
    "adversarial_distance",
    "adversarial_error",
    "adversarial_examples",
    "at_level",
    "at_output",
    "bi_lipschitz_ratio",
    "centered_kernel_alignment",
    "certified_accuracy",
    "certified_distance",
    "certified_error",
    "continuity",
    "contraction",
    "corruption_report",
    "distortion_report",
    "expansion",
    "hierarchical_f1_score",
    "hierarchical_precision_score",
    "hierarchical_recall_score",
    "isometry_distortion",
    "jacobian_singular_values",
    "local_distortion",
    "make_adversarial_scorer",
    "make_certified_scorer",
    "make_distortion_scorer",
    "make_hierarchical_scorer",
    "make_level_scorer",
    "make_representation_scorer",
    "procrustes_distance",
    "representational_similarity",
    "robustness_curve",
    "robustness_report",
    "scale_normalized_stress",
    "shepard_correlation",
    "tree_distance",
    "trustworthiness",
]
