"""Data sets to train and to measure on."""

from sklearn_iso.datasets._loans import make_loans
from sklearn_iso.datasets._manifolds import make_entangled_rings, make_torus
from sklearn_iso.datasets._mnist import load_mnist
from sklearn_iso.datasets._taxonomy import digit_paths, make_taxonomy

__all__ = [
    "digit_paths",
    "load_mnist",
    "make_entangled_rings",
    "make_loans",
    "make_taxonomy",
    "make_torus",
]
