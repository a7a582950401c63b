"""Networks, and what they compute on their way to the logits."""

from sklearn_iso.modules.activations import ACTIVATIONS
from sklearn_iso.modules.autoencoder import Autoencoder, ResidualMLP
from sklearn_iso.modules.convnet import ConvNet
from sklearn_iso.modules.mlp import INITIALIZATIONS, MLP
from sklearn_iso.modules.representations import Layers, Representation, represent, represent_many
from sklearn_iso.modules.rescaled import Rescaled
from sklearn_iso.modules.stack import BestLeaf, LeafScores, Stack, StackLevel

__all__ = [
    "ACTIVATIONS",
    "INITIALIZATIONS",
    "MLP",
    "Autoencoder",
    "BestLeaf",
    "ConvNet",
    "Layers",
    "LeafScores",
    "Representation",
    "Rescaled",
    "ResidualMLP",
    "Stack",
    "StackLevel",
    "represent",
    "represent_many",
]
