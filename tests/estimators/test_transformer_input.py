"""What the metric embedding refuses, and what it keeps when a fit ends early."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from sklearn_iso import IsometricTransformer
from sklearn_iso.exceptions import TrainingDivergedError
from sklearn_iso.penalties import (
    GeodesicIsometry,
    GlobalIsometry,
    JacobianIsometry,
    WithinClassIsometry,
    WorstCaseIsometry,
)

X, y = load_iris(return_X_y=True)


def embedding(**params):
    return IsometricTransformer(**{"max_epochs": 5, "random_state": 0} | params)


@pytest.fixture(scope="module")
def fitted():
    return embedding().fit(X)


@pytest.mark.parametrize("rows, n", [(X, 5), (X[:3], 4)])
def test_too_many_components_are_refused(rows, n):
    with pytest.raises(ValueError, match=rf"at most min\(n_samples, n_features\).*got.*{n}.*Lower"):
        embedding(n_components=n).fit(rows)


def test_one_point_is_refused():
    with pytest.raises(ValueError, match="1 sample.*minimum of 2"):
        embedding().fit(X[:1])


@pytest.mark.parametrize("penalty", ["global", "neighbors", "geodesic", "within_class"])
@pytest.mark.parametrize("rows", [np.ones((20, 3)), np.repeat(X[:10], 3, axis=0)])
def test_duplicate_points_give_finite_losses_and_equal_embeddings(penalty, rows):
    found = embedding(penalty=penalty).fit(rows, np.arange(len(rows)) % 2)
    assert np.isfinite(found.loss_curve_).all()
    Z = found.transform(np.repeat(rows[:1], 2, axis=0))
    np.testing.assert_array_equal(Z[0], Z[1])


def test_disconnected_graph_tells_its_components_and_what_joins_them():
    rows = np.vstack([X, X + 50, X + 500])
    with pytest.raises(ValueError, match="n_neighbors=4 leaves 6 components") as info:
        embedding(penalty="geodesic", n_neighbors=4).fit(rows)
    remedy = int(str(info.value).rpartition("n_neighbors=")[2].split()[0])
    assert np.isfinite(embedding(penalty="geodesic", n_neighbors=remedy).fit(rows).stress_)
    with pytest.raises(ValueError, match=f"n_neighbors={remedy} joins them"):
        embedding(penalty="geodesic", n_neighbors=remedy - 1).fit(rows)


def test_distances_that_are_not_symmetric_are_refused():
    D = cdist(X, X)
    D[3, 5] += 1
    with pytest.raises(ValueError, match=r"must be symmetric; .* differ by 1\b.*D \+ D.T"):
        embedding(metric="precomputed").fit(X, distances=D)


def test_negative_distances_are_refused():
    with pytest.raises(ValueError, match="must not be negative; found -.*similarities"):
        embedding(metric="precomputed").fit(X, distances=-cdist(X, X))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", ["normalized_stress", "relative"])
def test_distances_off_by_rounding_count_as_the_exact_ones(loss, dtype):
    rows = np.repeat(X[::5], 2, axis=0)  # each twice: a distance of 0 that rounding moves
    exact = cdist(rows, rows, "cosine").astype(dtype)
    exact[np.kron(np.eye(30, dtype=bool), np.ones((2, 2), dtype=bool))] = 0
    scale = 4 * np.finfo(dtype).eps * exact.max()
    noise = np.random.default_rng(0).choice([-scale, 0, scale], size=exact.shape)
    noisy = np.where(exact == 0, noise, exact).astype(dtype)
    given = noisy.copy()
    assert noisy.min() < 0 < np.abs(noisy.diagonal()).max()
    penalty = GlobalIsometry(metric="precomputed", loss=loss)
    fits = [
        embedding(metric="precomputed", penalty=penalty).fit(rows, distances=D)
        for D in (exact, noisy)
    ]
    assert np.array_equal(noisy, given)
    np.testing.assert_array_equal(fits[0].transform(rows), fits[1].transform(rows))
    assert fits[0].score(rows, distances=exact) == fits[1].score(rows, distances=noisy)


def test_similarities_are_told_from_distances_by_their_diagonal():
    with pytest.raises(ValueError, match="from a sample to itself must be 0; found 1"):
        embedding(metric="precomputed").fit(X, distances=np.exp(-cdist(X, X)))


def test_distances_of_other_rows_are_refused():
    with pytest.raises(ValueError, match=r"each of the 150 samples of X; got shape \(149, 149\)"):
        embedding(metric="precomputed").fit(X, distances=cdist(X[1:], X[1:]))


def test_distances_that_are_nan_are_refused():
    with pytest.raises(ValueError, match="Input distances contains NaN"):
        embedding(metric="precomputed").fit(X, distances=np.full((150, 150), np.nan))


@pytest.mark.parametrize("metric, D", [("precomputed", None), ("euclidean", cdist(X, X))])
def test_precomputed_and_distances_go_together(metric, D):
    with pytest.raises(ValueError, match=r"go together; got metric=.*pass fit\(X, distances=D\)"):
        embedding(metric=metric).fit(X, distances=D)


@pytest.mark.parametrize("metric, penalty", [
    ("precomputed", GlobalIsometry()),
    ("precomputed", GeodesicIsometry()),
    ("precomputed", JacobianIsometry(layers="logits")),
    ("euclidean", GlobalIsometry(metric="precomputed")),
])  # fmt: skip
def test_distances_that_no_penalty_would_look_at_are_refused(metric, penalty):
    D = cdist(X, X) if metric == "precomputed" else None
    with pytest.raises(ValueError, match=r"would not count; got metric='.*Isometry\(.*pass for ex"):
        embedding(metric=metric, penalty=penalty).fit(X, distances=D)


def test_geodesics_by_a_function_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"got the function metric=.*metric='precomputed' and fit"):
        embedding(metric=torch.cdist, penalty="geodesic").fit(X)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["fit", "transform", "score"])
def test_missing_or_infinite_values_are_refused(fitted, value, method):
    bad = X.copy()
    bad[3, 1] = value
    model = clone(fitted) if method == "fit" else fitted
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        getattr(model, method)(bad)


def test_sparse_rows_are_refused():
    with pytest.raises(TypeError, match=r"Sparse data was passed.*toarray"):
        embedding().fit(csr_array(X))


def test_within_class_penalty_without_labels_is_refused():
    with pytest.raises(ValueError, match=r"needs labels; got y=None. Pass fit\(X, y\)"):
        embedding(penalty=WithinClassIsometry()).fit(X)


def test_labels_of_the_wrong_length_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        embedding().fit(X, y[1:])


def test_embeddings_of_the_wrong_width_are_refused(fitted):
    with pytest.raises(ValueError, match="n_components=2 columns; got 3"):
        fitted.inverse_transform(X[:, :3])


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "score"])
def test_unfitted_estimator_says_so(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(embedding(), method)(X)


def test_loss_that_is_not_finite_stops_with_the_last_good_state():
    with pytest.raises(TrainingDivergedError, match="Lower learning_rate"):
        model = embedding(optimizer="sgd", learning_rate=1e12, learning_rate_schedule="constant")
        model.fit(X)
    assert np.isfinite(model.transform(X)).all()


class Interrupt(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


def test_interrupt_reaches_the_caller_and_what_was_fitted_is_kept():
    model = embedding(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert np.isfinite(model.transform(X)).all()
    assert model.n_iter_ == 2


@pytest.mark.parametrize("name", ["penalty", "decoder_penalty"])
def test_a_penalty_that_trains_logits_is_refused(name):
    labelled = WorstCaseIsometry(radius=1.0, scale=1.0).with_cross_entropy(0.5)
    with pytest.raises(ValueError, match="this map has none"):
        IsometricTransformer(**{name: labelled}).fit(X, y)


def test_worst_case_pairs_fit_an_embedding_of_one_dimension():
    pairs = WorstCaseIsometry(radius=1.0, scale=1.0, n_steps=2)
    found = IsometricTransformer(1, penalty=pairs, max_epochs=2, random_state=0).fit(X[:50])
    assert np.isfinite(found.loss_curve_).all()


@pytest.mark.parametrize(
    "penalty", [GlobalIsometry(metric="precomputed"), GeodesicIsometry()], ids=repr
)
def test_a_decoder_penalty_that_asks_for_distances_between_rows_is_refused(penalty):
    D = squareform(pdist(X))
    with pytest.raises(ValueError, match="decoder_penalty acts on embeddings"):
        embedding(metric="precomputed", decoder_penalty=penalty).fit(X, distances=D)
