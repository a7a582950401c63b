"""What an attack may do to a sample, as one value: norm, units, bounds, what stays, categories."""

from sklearn_iso._threat.model import Threat, ThreatModel, as_threat
from sklearn_iso._threat.parts import check_eps

__all__ = ["Threat", "ThreatModel", "as_threat", "check_eps"]
