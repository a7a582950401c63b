"""Laws of the metric embedding: what it keeps, whence it starts, what it does not depend on."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.manifold import MDS, Isomap
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_iso import IsometricTransformer
from sklearn_iso.metrics import scale_normalized_stress, shepard_correlation
from sklearn_iso.penalties import (
    GeodesicIsometry,
    GlobalIsometry,
    JacobianIsometry,
    NeighborIsometry,
)

X, y = load_iris(return_X_y=True)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


def embedding(**params):
    return IsometricTransformer(**{"max_epochs": 5, "random_state": 0} | params)


@pytest.fixture(scope="module")
def fitted():
    return IsometricTransformer(random_state=0).fit(X)


class Freeze(Callback):
    """Undo every step, so that the start itself is what is fitted."""

    def on_train_begin(self, net, **kwargs):
        for parameter in net.module_.parameters():
            parameter.register_hook(torch.zeros_like)


def start(**params):
    return embedding(callbacks=[Freeze()], **params)


# --- the start -----------------------------------------------------------------------------


@pytest.mark.parametrize("scale, offset", [(1.0, 0.0), (1e-4, 0.0), (100.0, 1e3)])
def test_map_and_inverse_start_at_principal_component_analysis(scale, offset):
    rows = scale * X + offset
    found, pca = start(n_components=3).fit(rows), PCA(3).fit(rows)
    Z = found.transform(rows)
    np.testing.assert_allclose(pdist(Z), pdist(pca.transform(rows)), rtol=1e-7)
    expected = pca.inverse_transform(pca.transform(rows))
    np.testing.assert_allclose(found.inverse_transform(Z), expected, atol=1e-7 * (scale + offset))


def test_reconstruction_error_is_the_unexplained_share_of_the_variance():
    found, pca = start().fit(X), PCA(2).fit(X)
    unexplained = 1 - pca.explained_variance_ratio_.sum()
    assert found.reconstruction_error_ == pytest.approx(unexplained, rel=1e-9)


def test_start_of_weighted_rows_is_that_of_repeated_rows():
    weight = np.arange(150) % 3 + 1
    weighted = start().fit(X, sample_weight=weight).transform(X)
    repeated = start().fit(np.repeat(X, weight, axis=0)).transform(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-9)


def test_start_above_two_thousand_features_is_principal_component_analysis_too():
    rows = normal(30, 5) @ normal(5, 2100)
    Z = start(n_components=5).fit(rows).transform(rows)
    np.testing.assert_allclose(pdist(Z), pdist(rows), rtol=1e-6)


# --- what is kept --------------------------------------------------------------------------


def test_stress_is_the_metric_of_that_name(fitted):
    Z = fitted.transform(X)
    assert fitted.stress_ == pytest.approx(scale_normalized_stress(X, Z), rel=1e-9)
    assert fitted.score(X) == pytest.approx(-fitted.stress_, rel=1e-12)


def test_training_lowers_the_stress_of_the_start(fitted):
    assert fitted.stress_ < 0.9 * start().fit(X).stress_


def test_points_of_a_subspace_keep_their_distances():
    basis = np.linalg.qr(normal(20, 3))[0]
    rows = normal(600, 3) @ basis.T
    Z = IsometricTransformer(3, random_state=0).fit(rows[:500]).transform(rows)
    np.testing.assert_allclose(pdist(Z), pdist(rows), rtol=0.01)


def test_rigid_motion_changes_the_embedding_by_training_noise_only(fitted):
    rotation = np.linalg.qr(normal(4, 4))[0]
    moved = IsometricTransformer(random_state=0).fit(X @ rotation + 7)
    assert moved.stress_ == pytest.approx(fitted.stress_, rel=0.02)
    before, after = pdist(fitted.transform(X)), pdist(moved.transform(X @ rotation + 7))
    other = pdist(IsometricTransformer(random_state=1).fit(X).transform(X))
    noise = np.abs(other - before).mean()
    assert np.abs(after - before).mean() < 2 * noise


def test_seed_changes_the_stress_by_less_than_two_percent(fitted):
    others = [IsometricTransformer(random_state=seed).fit(X).stress_ for seed in (1, 2)]
    np.testing.assert_allclose(others, fitted.stress_, rtol=0.02)


def test_each_row_is_embedded_by_itself(fitted):
    one_by_one = np.vstack([fitted.transform(X[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(one_by_one, fitted.transform(X)[:20], rtol=1e-12, atol=1e-12)


def test_inverse_of_the_embedding_is_near_the_rows(fitted):
    back = fitted.inverse_transform(fitted.transform(X))
    error = np.square(back - X).sum() / np.square(X - X.mean(0)).sum()
    assert error == pytest.approx(fitted.reconstruction_error_, rel=1e-9)
    assert error < 1 - PCA(2).fit(X).explained_variance_ratio_.sum()


@pytest.mark.parametrize("metric, name", [("manhattan", "cityblock"), ("chebyshev", "chebyshev")])
def test_other_metrics_are_kept_in_their_units(metric, name):
    found = IsometricTransformer(metric=metric, random_state=0).fit(X)
    d_X, d_Z = pdist(X, name), pdist(found.transform(X))
    stress = np.sqrt(np.square(d_Z - d_X).sum() / np.square(d_X).sum())
    assert stress < 0.05


def test_stress_is_that_of_the_metric_of_a_penalty_object():
    found = embedding(penalty=GlobalIsometry(metric="l1")).fit(X)
    a, b = pdist(X, "cityblock"), pdist(found.transform(X))
    expected = np.sqrt(1 - (a @ b) ** 2 / (a @ a * (b @ b)))
    assert found.stress_ == pytest.approx(expected, rel=1e-9)
    assert found.score(X) == pytest.approx(-expected, rel=1e-9)


def test_precomputed_distances_of_a_metric_are_that_metric():
    D = cdist(X, X, "cityblock")
    given = embedding(metric="precomputed").fit(X, distances=D)
    np.testing.assert_allclose(given.stress_, embedding(metric="l1").fit(X).stress_, rtol=0.05)
    assert given.score(X, distances=D) == pytest.approx(-given.stress_, rel=1e-12)


def test_precomputed_distances_follow_their_rows_through_shuffled_batches():
    # Distances that X does not hint at: those of X with its rows reversed.
    D = squareform(pdist(X[::-1]))
    found = IsometricTransformer(metric="precomputed", batch_size=50, random_state=0)
    Z = found.fit(X, distances=D).transform(X)
    assert scale_normalized_stress(X[::-1], Z) < 0.8 * scale_normalized_stress(X, Z)


def test_distances_follow_rows_of_positive_weight():
    D = cdist(X, X)
    weight = (np.arange(150) % 3 > 0).astype(float)
    kept = weight > 0
    left_out = embedding(metric="precomputed").fit(X, sample_weight=weight, distances=D)
    without = embedding(metric="precomputed").fit(X[kept], distances=D[np.ix_(kept, kept)])
    np.testing.assert_allclose(left_out.transform(X), without.transform(X), rtol=1e-9)
    assert left_out.stress_ == without.stress_


def test_within_class_penalty_lets_classes_go_where_they_please():
    found = IsometricTransformer(penalty="within_class", random_state=0).fit(X, y)
    for label in range(3):
        rows = X[y == label]
        assert scale_normalized_stress(rows, found.transform(rows)) < 0.15


def test_neighbour_penalty_keeps_near_distances_best():
    rows = load_digits().data[:200] / 16
    near = np.sort(squareform(pdist(rows)), axis=1)[:, 5:6] >= squareform(pdist(rows))

    def stress_of_near(penalty):
        Z = IsometricTransformer(penalty=penalty, n_neighbors=5, random_state=0).fit_transform(rows)
        a, b = cdist(rows, rows)[near], cdist(Z, Z)[near]
        return np.sqrt(1 - (a @ b) ** 2 / (a @ a * (b @ b)))

    assert stress_of_near("neighbors") < 0.8 * stress_of_near("global")


def test_jacobian_penalty_makes_the_decoder_locally_isometric():
    def spread(**params):
        found = IsometricTransformer(alpha=1.0, random_state=0, **params).fit(X)
        decoder, Z = found.net_.module_.decoder, torch.from_numpy(found.transform(X[::10]))
        jacobians = torch.func.vmap(torch.func.jacrev(decoder))(Z)
        values = torch.linalg.svdvals(jacobians.detach())
        return float(values.std() / values.mean())

    assert spread(decoder_penalty="jacobian") < 0.5 * spread()


# --- geodesics -----------------------------------------------------------------------------


def roll(n, seed=0):
    rows, t = make_swiss_roll(n, random_state=seed)
    length = (t * np.sqrt(1 + t**2) + np.arcsinh(t)) / 2
    return rows, np.c_[length, rows[:, 1]]


@pytest.mark.slow
def test_geodesic_penalty_unrolls_a_roll_it_has_not_seen():
    rows, flat = roll(3000)
    train, test, _, flat_test = train_test_split(rows, flat, test_size=0.3, random_state=0)
    found = IsometricTransformer(penalty="geodesic", random_state=0).fit(train)
    Z = found.transform(test)
    isomap = Isomap(n_neighbors=10).fit(train).transform(test)
    assert scale_normalized_stress(flat_test, Z) <= 0.0100
    assert scale_normalized_stress(flat_test, Z) < scale_normalized_stress(flat_test, isomap)
    assert shepard_correlation(flat_test, Z) >= 0.999


@pytest.mark.slow
def test_landmarks_unroll_a_roll_of_more_rows_than_all_pairs_would_allow():
    rows, flat = roll(5200)
    found = IsometricTransformer(penalty="geodesic", max_epochs=30, random_state=0).fit(rows)
    assert len(found.penalty_.landmarks_) == 500
    assert scale_normalized_stress(flat, found.transform(rows)) <= 0.02


@pytest.mark.slow
def test_roll_is_unrolled_whatever_the_seed():
    rows, flat = roll(2000)
    found = [IsometricTransformer(penalty="geodesic", random_state=s).fit(rows) for s in range(4)]
    stresses = [scale_normalized_stress(flat, model.transform(rows)) for model in found]
    assert max(stresses) <= 0.0100
    kept = [model.stress_ for model in found]
    np.testing.assert_allclose(kept, np.mean(kept), rtol=0.03)


def test_guide_pulls_the_map_over_the_first_tenth_only():
    rows, _ = roll(300)
    history = embedding(penalty="geodesic", max_epochs=20).fit(rows).history_
    assert list(history)[-3:] == ["geodesic", "guide", "loss"]
    geodesic, penalty = np.array(history["geodesic"]), np.array(history["penalty"])
    assert penalty[0] > geodesic[0]
    np.testing.assert_allclose(penalty[2:], geodesic[2:], rtol=1e-12)
    assert "guide" not in embedding(penalty="neighbors").fit(rows).history_


def test_weighted_rows_of_a_geodesic_embedding_are_repeated_rows():
    rows, _ = roll(200)
    weight = np.arange(200) % 3 + 1
    common = {"penalty": "geodesic", "max_epochs": 12, "batch_size": 1000, "shuffle": False}
    weighted = embedding(**common).fit(rows, sample_weight=weight).transform(rows)
    repeated = embedding(**common).fit(np.repeat(rows, weight, axis=0)).transform(rows)
    np.testing.assert_allclose(weighted, repeated, atol=1e-3 * np.ptp(weighted))


def test_geodesics_of_precomputed_distances_are_those_of_the_rows():
    rows, _ = roll(400)
    common = {"penalty": "geodesic", "n_neighbors": 8}
    D = cdist(rows, rows)
    given = embedding(metric="precomputed", **common).fit(rows, distances=D)
    found = embedding(**common).fit(rows)
    assert given.stress_ == pytest.approx(found.stress_, rel=0.05)
    assert given.score(rows, distances=D) == pytest.approx(found.score(rows), rel=0.05)


@pytest.mark.parametrize("params", [{}, {"penalty": "geodesic", "n_neighbors": 60}])
def test_scores_of_a_frame_are_those_of_its_array(params):
    frame = pd.DataFrame(X, columns=list("abcd"))
    score = embedding(**params).fit(frame).score(frame)
    assert score == embedding(**params).fit(X).score(X)


def test_geodesic_score_of_the_training_rows_is_their_stress():
    rows, _ = roll(400)
    found = embedding(penalty="geodesic", n_neighbors=8).fit(rows)
    assert found.score(rows) == pytest.approx(-found.stress_, rel=1e-9)


def test_fitted_embedding_holds_no_training_data():
    rows, _ = roll(1000)
    small = len(pickle.dumps(embedding(penalty="geodesic").fit(rows[:500])))
    large = len(pickle.dumps(embedding(penalty="geodesic").fit(rows)))
    assert large < small + 20_000


# --- scikit-learn's manners ----------------------------------------------------------------


def test_history_adds_up_to_the_loss():
    history = embedding(alpha=3.0).fit(X).history_
    assert list(history) == ["epoch", "reconstruction_error", "penalty", "loss"]
    total = np.add(history["reconstruction_error"], 3 * np.array(history["penalty"]))
    np.testing.assert_allclose(history["loss"], total, rtol=1e-9)


def test_alpha_zero_is_a_plain_autoencoder():
    history = embedding(alpha=0).fit(X).history_
    assert history["penalty"] == [0.0] * 5
    assert history["loss"] == history["reconstruction_error"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_their_precision(dtype):
    found = embedding().fit(X.astype(dtype))
    Z = found.transform(X.astype(dtype))
    assert Z.dtype == dtype
    assert found.inverse_transform(Z).dtype == dtype


def test_frames_go_in_and_out_with_names():
    frame = pd.DataFrame(X, columns=list("abcd"))
    found = embedding().set_output(transform="pandas").fit(frame)
    assert found.feature_names_in_.tolist() == list("abcd")
    assert list(found.transform(frame)) == ["isometrictransformer0", "isometrictransformer1"]


def test_pipeline_and_grid_search_reach_the_parameters_of_a_penalty():
    model = make_pipeline(StandardScaler(), embedding(penalty=NeighborIsometry(), max_epochs=2))
    grid = {"isometrictransformer__penalty__n_neighbors": [3, 6]}
    search = GridSearchCV(model, grid, cv=2).fit(X)
    assert -1 <= search.best_score_ <= 0
    assert search.best_estimator_.inverse_transform(search.transform(X)).shape == X.shape


def test_penalties_combine():
    penalty = GlobalIsometry(scale=1.0) + 0.1 * JacobianIsometry(layers="logits")
    found = embedding(penalty=penalty).fit(X)
    assert {"global", "jacobian"} <= set(found.history_)


def test_geodesic_penalty_combines_with_the_global_one():
    penalty = 0.5 * GeodesicIsometry() + 0.5 * GlobalIsometry()
    assert np.isfinite(embedding(penalty=penalty).fit(roll(300)[0]).loss_curve_).all()


def test_same_random_state_gives_the_same_bits():
    one, two = (embedding().fit(X).transform(X) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("random_state", [0, None])
def test_global_generators_are_not_touched(random_state):
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    embedding(random_state=random_state, early_stopping=True).fit(X).score(X)
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_early_stopping_keeps_the_best_weights():
    found = embedding(max_epochs=60, early_stopping=True, n_iter_no_change=2, tol=0.1).fit(X)
    assert found.n_iter_ < 60
    assert "valid_loss" in found.history_


def test_clone_and_pickle_embed_alike(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(clone(fitted).fit(X).transform(X), fitted.transform(X))


@pytest.mark.slow
def test_digits_are_kept_as_well_as_by_metric_scaling_and_unseen_ones_better_than_by_peers():
    rows = load_digits().data / 16
    train, test = train_test_split(rows, test_size=0.3, random_state=0)
    found = IsometricTransformer(random_state=0).fit(train)
    scaled = MDS(2, n_init=1, init="classical_mds", random_state=0).fit_transform(train)
    assert found.stress_ <= 1.03 * scale_normalized_stress(train, scaled)
    Z = found.transform(test)
    pca = PCA(2).fit(train).transform(test)
    assert scale_normalized_stress(test, Z) <= 0.93 * scale_normalized_stress(test, pca)
    assert shepard_correlation(test, Z) >= 0.68


@pytest.mark.slow
def test_digits_come_back_better_than_from_principal_components():
    rows = load_digits().data / 16
    train, test = train_test_split(rows, test_size=0.3, random_state=0)
    found, pca = IsometricTransformer(16, random_state=0).fit(train), PCA(16).fit(train)
    ours, theirs = (
        np.square(m.inverse_transform(m.transform(test)) - test).sum() for m in (found, pca)
    )
    assert ours <= theirs
