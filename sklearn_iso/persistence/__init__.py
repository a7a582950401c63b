"""Models on disk: files, ONNX and cards."""

from sklearn_iso.persistence.card import model_card
from sklearn_iso.persistence.onnx import to_onnx

__all__ = ["model_card", "to_onnx"]
