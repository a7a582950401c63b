"""Models on disk: files, whole pipelines, checkpoints, ONNX and cards."""

from sklearn_iso.persistence._card import model_card
from sklearn_iso.persistence._checkpoint import Checkpoint
from sklearn_iso.persistence._onnx import to_onnx
from sklearn_iso.persistence._pipelines import save

__all__ = ["Checkpoint", "model_card", "save", "to_onnx"]
