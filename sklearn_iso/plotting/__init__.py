"""Pictures of robustness and distortion, as scikit-learn displays."""

from sklearn_iso.plotting._adversarial_examples import AdversarialExamplesDisplay
from sklearn_iso.plotting._alpha_path import AlphaPathDisplay
from sklearn_iso.plotting._distortion_map import DistortionMapDisplay
from sklearn_iso.plotting._embedding import EmbeddingDisplay
from sklearn_iso.plotting._robustness_curve import RobustnessCurveDisplay
from sklearn_iso.plotting._shepard import ShepardDisplay
from sklearn_iso.plotting._training_curve import TrainingCurveDisplay

__all__ = [
    "AdversarialExamplesDisplay",
    "AlphaPathDisplay",
    "DistortionMapDisplay",
    "EmbeddingDisplay",
    "RobustnessCurveDisplay",
    "ShepardDisplay",
    "TrainingCurveDisplay",
]
