"""Models on disk: files, checkpoints, ONNX and cards."""

from sklearn_iso.persistence.card import model_card
from sklearn_iso.persistence.checkpoint import Checkpoint
from sklearn_iso.persistence.onnx import to_onnx

__all__ = ["Checkpoint", "model_card", "to_onnx"]
