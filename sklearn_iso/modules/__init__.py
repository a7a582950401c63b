"""Networks, and what they compute on their way to the logits."""

from sklearn_iso.modules._activations import ACTIVATIONS
from sklearn_iso.modules._autoencoder import Autoencoder, ResidualMLP
from sklearn_iso.modules._convnet import ConvNet
from sklearn_iso.modules._mlp import INITIALIZATIONS, MLP
from sklearn_iso.modules._orthogonal import OrthogonalConvNet, OrthogonalMLP, SortPairs
from sklearn_iso.modules._representations import Layers, Representation, represent, represent_many
from sklearn_iso.modules._rescaled import Rescaled
from sklearn_iso.modules._small_cnn import SmallCNN
from sklearn_iso.modules._stack import BestLeaf, LeafScores, Stack, StackLevel

__all__ = [
    "ACTIVATIONS",
    "INITIALIZATIONS",
    "MLP",
    "Autoencoder",
    "BestLeaf",
    "ConvNet",
    "Layers",
    "LeafScores",
    "OrthogonalConvNet",
    "OrthogonalMLP",
    "Representation",
    "Rescaled",
    "ResidualMLP",
    "SmallCNN",
    "SortPairs",
    "Stack",
    "StackLevel",
    "represent",
    "represent_many",
]
