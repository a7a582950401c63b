"""What no perturbation within a budget can change: proofs, where attacks only search."""

# Importing a family registers its certifiers.
from sklearn_iso._certificates import (  # noqa: F401
    following,
    forest_ranges,
    linear,
    linear_ranges,
    neighbours,
    network_ranges,
    networks,
    trees,
)
from sklearn_iso._certificates.registry import certifier_of, errors_of, range_certifier_of

__all__ = ["certifier_of", "errors_of", "range_certifier_of"]
