"""Pictures of robustness and distortion, as scikit-learn displays."""

from sklearn_iso.plotting.robustness_curve import RobustnessCurveDisplay
from sklearn_iso.plotting.shepard import ShepardDisplay

__all__ = ["RobustnessCurveDisplay", "ShepardDisplay"]
