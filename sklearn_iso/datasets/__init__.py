"""Data sets to train and to measure on."""

from sklearn_iso.datasets.manifolds import make_entangled_rings, make_torus
from sklearn_iso.datasets.mnist import load_mnist

__all__ = ["load_mnist", "make_entangled_rings", "make_torus"]
