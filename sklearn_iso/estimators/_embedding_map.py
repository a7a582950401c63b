"""What a fitted transformer does to samples: there, back again, and how well."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array, check_is_fitted

from sklearn_iso._training import inference, private_random_state
from sklearn_iso.estimators._input import check_distances, check_predict_input
from sklearn_iso.estimators._roles import Embedding
from sklearn_iso.estimators._targets import targets_among


def embed(estimator: Embedding, X: ArrayLike) -> NDArray:
    """Return the embedding (n_samples, n_components) of samples."""
    check_is_fitted(estimator)
    return _encoded(estimator, check_predict_input(estimator, X, many_dimensions=False))


def _encoded(estimator: Embedding, X: NDArray) -> NDArray:
    return inference.representation(estimator.net_.module_.encoder, X, "logits")


def bring_back(estimator: Embedding, embeddings: ArrayLike) -> NDArray:
    """Return the samples (n_samples, n_features) that embeddings stand for."""
    check_is_fitted(estimator)
    Z = check_array(embeddings, dtype=[np.float64, np.float32])
    if Z.shape[1] != estimator._n_features_out:
        raise ValueError(
            f"An embedding has n_components={estimator._n_features_out} columns; got "
            f"{Z.shape[1]}. Pass what transform returns."
        )
    return inference.representation(estimator.net_.module_.decoder, Z, "logits")


def stress_of_rows(estimator: Embedding, X: ArrayLike, distances: ArrayLike | None) -> float:
    """Return the scale-optimal normalised stress of some samples, new ones or not."""
    check_is_fitted(estimator)
    X = check_predict_input(estimator, X, many_dimensions=False)
    rng = private_random_state(0)  # scores of the same samples compare
    given = check_distances(estimator.metric, distances, X)
    targets = targets_among(estimator, X, given, rng)
    rows = targets.sample(rng)
    return targets.stress(_encoded(estimator, X[rows]), rows)
