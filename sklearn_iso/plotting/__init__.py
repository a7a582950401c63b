"""Pictures of robustness and distortion, as scikit-learn displays."""

from sklearn_iso.plotting.adversarial_examples import AdversarialExamplesDisplay
from sklearn_iso.plotting.alpha_path import AlphaPathDisplay
from sklearn_iso.plotting.distortion_map import DistortionMapDisplay
from sklearn_iso.plotting.robustness_curve import RobustnessCurveDisplay
from sklearn_iso.plotting.shepard import ShepardDisplay
from sklearn_iso.plotting.training_curve import TrainingCurveDisplay

__all__ = [
    "AdversarialExamplesDisplay",
    "AlphaPathDisplay",
    "DistortionMapDisplay",
    "RobustnessCurveDisplay",
    "ShepardDisplay",
    "TrainingCurveDisplay",
]
