"""Differentiable twins of fitted scikit-learn estimators."""

# Importing a family registers its twins.
from sklearn_iso.twins import (  # noqa: F401
    calibration,
    clusters,
    columns,
    compose,
    ensembles,
    expansions,
    gaussian,
    linear,
    marginals,
    multiclass,
    neighbours,
    neural,
    projections,
    refusals,
    scalers,
    skorch_nets,
    splines,
    support_vectors,
)
from sklearn_iso.twins.agreement import Agreement, surrogates, verify
from sklearn_iso.twins.functions import torch_function
from sklearn_iso.twins.registry import NotDifferentiableError, as_torch, register, registered

__all__ = [
    "Agreement",
    "NotDifferentiableError",
    "as_torch",
    "register",
    "registered",
    "surrogates",
    "torch_function",
    "verify",
]
