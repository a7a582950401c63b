"""What no perturbation within a budget can change: proofs, where attacks only search."""

# Importing a family registers its certifiers.
from sklearn_iso._certificates import linear, neighbours, networks, trees  # noqa: F401
from sklearn_iso._certificates.registry import certifier_of, errors_of

__all__ = ["certifier_of", "errors_of"]
