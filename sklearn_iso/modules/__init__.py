"""Networks, and what they compute on their way to the logits."""

from sklearn_iso.modules.activations import ACTIVATIONS
from sklearn_iso.modules.autoencoder import Autoencoder, ResidualMLP
from sklearn_iso.modules.convnet import ConvNet
from sklearn_iso.modules.mlp import INITIALIZATIONS, MLP
from sklearn_iso.modules.representations import Layers, Representation, represent, represent_many

__all__ = [
    "ACTIVATIONS",
    "INITIALIZATIONS",
    "MLP",
    "Autoencoder",
    "ConvNet",
    "Layers",
    "Representation",
    "ResidualMLP",
    "represent",
    "represent_many",
]
