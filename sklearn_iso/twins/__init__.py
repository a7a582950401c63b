"""Differentiable twins of fitted scikit-learn estimators."""

# Importing a family registers its twins.
from sklearn_iso.twins import (  # noqa: F401
    _calibration,
    _clusters,
    _columns,
    _compose,
    _ensembles,
    _expansions,
    _gaussian,
    _gaussian_process,
    _linear,
    _marginals,
    _multiclass,
    _neighbours,
    _neural,
    _projections,
    _refusals,
    _regressor_ensembles,
    _regressors,
    _scalers,
    _skorch_nets,
    _splines,
    _support_vectors,
)
from sklearn_iso.twins._agreement import Agreement, surrogates, verify
from sklearn_iso.twins._functions import torch_function
from sklearn_iso.twins._registry import NotDifferentiableError, as_torch, register, registered

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
