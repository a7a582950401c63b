"""Models on disk: files, checkpoints, ONNX and cards."""

from sklearn_iso.persistence._card import model_card
from sklearn_iso.persistence._checkpoint import Checkpoint
from sklearn_iso.persistence._onnx import to_onnx

__all__ = ["Checkpoint", "model_card", "to_onnx"]
