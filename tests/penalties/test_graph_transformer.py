"""Laws of a transformer that finds the neighbours of a geodesic distance."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pytest
import sklearn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import make_swiss_roll
from sklearn.neighbors import KNeighborsTransformer, RadiusNeighborsTransformer, kneighbors_graph
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_iso
from sklearn_iso import IsometricTransformer
from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.penalties import GeodesicIsometry, GlobalIsometry
from sklearn_iso.penalties import _geodesic as module_of_geodesics
from sklearn_iso.penalties._graph import both_ways, geodesic_distances

ROLL = make_swiss_roll(150, random_state=0)[0]
ALL = torch.arange(len(ROLL))


class Given(BaseEstimator):
    """Returns what it was given, whatever the samples."""

    def __init__(self, graph=None):
        self.graph = graph

    def fit_transform(self, X):
        return self.graph


class Drawn(BaseEstimator):
    """Links each sample to a few drawn at random."""

    def __init__(self, n_drawn=20, random_state=None):
        self.n_drawn = n_drawn
        self.random_state = random_state

    def fit_transform(self, X):
        random = sklearn.utils.check_random_state(self.random_state)
        row = np.repeat(np.arange(len(X)), self.n_drawn)
        col = random.randint(len(X), size=len(row))
        return coo_array((cdist(X, X)[row, col], (row, col)), shape=(len(X),) * 2)


def calibrated(neighbors, X=ROLL, seed=0, **params):
    labels, generator = torch.zeros(len(X), dtype=int), torch.Generator().manual_seed(seed)
    penalty = GeodesicIsometry(neighbors=neighbors, **params)
    return penalty.calibrate(torch.from_numpy(X), labels, None, generator)


def paths(neighbors, X=ROLL, **params):
    return calibrated(neighbors, X, **params).distances_between(torch.arange(len(X))).numpy()


def embedding(neighbors, **params):
    quick = {"hidden_layer_sizes": (16,), "max_epochs": 2, "random_state": 0}
    return IsometricTransformer(
        penalty=GeodesicIsometry(neighbors=neighbors, scale=1.0), **quick | params
    )


def line(lengths):
    """Return the graph of samples in a row, of known lengths between them."""
    n = len(lengths) + 1
    return csr_array((lengths, (np.arange(n - 1), np.arange(1, n))), shape=(n, n))


# --- the graph -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(arrays(float, (7, 7), elements=st.sampled_from([np.nan, 0.0, 0.1, 0.3, 1.0, 2.0])))
def test_edges_in_both_directions_keep_all_shortest_paths(lengths):
    row, col = np.nonzero(~np.isnan(lengths))  # a length of 0 is one, and NaN is no edge
    graph = csr_array((lengths[row, col], (row, col)), shape=lengths.shape)
    both = both_ways(graph)
    np.testing.assert_array_equal(
        geodesic_distances(both, np.arange(7), np.dtype(float)), dijkstra(graph, directed=False)
    )
    assert (both != both.T).nnz == 0
    assert both.nnz == len({frozenset(pair) for pair in zip(row, col, strict=True)
                            if pair[0] != pair[1]}) * 2  # fmt: skip


def test_nearest_neighbours_have_the_paths_of_their_undirected_graph():
    graph = kneighbors_graph(np.unique(ROLL, axis=0), 6, mode="distance")
    found = geodesic_distances(both_ways(graph), np.arange(150), np.dtype(float))
    np.testing.assert_array_equal(found, dijkstra(graph, directed=False))


def test_precomputed_distances_of_0_link_coincident_samples():
    X = np.repeat(ROLL[:40], 3, axis=0)
    model = IsometricTransformer(
        penalty="geodesic", metric="precomputed", n_neighbors=20, max_epochs=1, random_state=0
    ).fit(X, distances=cdist(X, X))
    assert np.isfinite(model.stress_)


# --- what takes the place of the exact neighbours ------------------------------------------


@pytest.mark.parametrize("n_neighbors", [6, 10])
def test_exact_neighbours_of_a_transformer_give_the_same_fit(n_neighbors):
    X = np.vstack([ROLL, ROLL[:20]])  # coincident samples reach no transformer twice
    theirs = embedding(KNeighborsTransformer(mode="distance", n_neighbors=n_neighbors)).fit(X)
    ours = embedding(None)
    ours.set_params(penalty__n_neighbors=n_neighbors).fit(X)
    np.testing.assert_array_equal(ours.transform(X), theirs.transform(X))
    assert ours.score(X[:120]) == theirs.score(X[:120])


def test_neighbours_in_a_radius_have_the_paths_of_their_graph():
    within = cdist(ROLL, ROLL)
    within[within > 7] = 0
    found = paths(RadiusNeighborsTransformer(radius=7.0))
    np.testing.assert_allclose(found, dijkstra(within), rtol=1e-12)


def test_neighbours_of_a_pipeline_are_those_of_its_metric():
    X = StandardScaler().fit_transform(ROLL)
    steps = make_pipeline(StandardScaler(), KNeighborsTransformer(n_neighbors=8, metric="l1"))
    expected = paths(None, X, n_neighbors=8, metric="l1")
    np.testing.assert_allclose(paths(steps), expected, rtol=1e-12)


def test_an_edge_takes_the_lesser_of_two_lengths_and_the_diagonal_none():
    X = np.arange(3.0)[:, None]
    asymmetric = np.array([[0, 3.0, 0], [2.0, 7.0, 1.0], [0, 0, 5.0]])
    expected = [[0, 2, 3], [2, 0, 1], [3, 1, 0]]
    np.testing.assert_array_equal(paths(Given(csr_array(asymmetric)), X), expected)


def test_a_length_of_0_between_distinct_samples_is_an_edge():
    X = np.arange(4.0)[:, None]
    expected = [[0, 1, 1, 3], [1, 0, 0, 2], [1, 0, 0, 2], [3, 2, 2, 0]]
    np.testing.assert_array_equal(paths(Given(line([1.0, 0.0, 2.0])), X), expected)


def test_frames_as_output_of_transformers_change_nothing():
    expected = paths(KNeighborsTransformer(n_neighbors=8))
    with sklearn.config_context(transform_output="pandas"):
        np.testing.assert_array_equal(paths(KNeighborsTransformer(n_neighbors=8)), expected)


@pytest.mark.slow  # pynndescent is compiled first
def test_paths_through_approximate_neighbours_are_near_the_exact_ones():
    transformer = pytest.importorskip("pynndescent").PyNNDescentTransformer
    X = np.random.default_rng(0).normal(size=(400, 5))
    found, exact = paths(transformer(n_neighbors=10, n_jobs=1), X), paths(None, X)
    assert (found >= cdist(X, X) * (1 - 1e-6)).all()  # its lengths are of float32
    between = ~np.eye(len(X), dtype=bool)
    assert np.median(found[between] / exact[between]) == pytest.approx(1, abs=0.01)


# --- parameters ----------------------------------------------------------------------------


def test_transformer_is_a_nested_parameter_and_is_never_fitted_itself():
    transformer = KNeighborsTransformer(n_neighbors=7)
    model = embedding(transformer)
    assert model.get_params()["penalty__neighbors__n_neighbors"] == 7
    copy = clone(model).set_params(penalty__neighbors__n_neighbors=9)
    assert copy.penalty.neighbors.n_neighbors == 9
    copy.fit(ROLL)
    fitted = clone(copy).set_params(penalty__neighbors=transformer).fit(ROLL)
    for one in (transformer, copy.penalty.neighbors, fitted.penalty_.neighbors):
        assert not hasattr(one, "n_samples_fit_")
    assert transformer.n_neighbors == 7


def test_penalty_by_name_takes_a_transformer_too():
    quick = {"hidden_layer_sizes": (16,), "max_epochs": 2, "random_state": 0}
    ours = IsometricTransformer(penalty="geodesic", **quick)
    theirs = clone(ours).set_params(penalty__neighbors=KNeighborsTransformer(n_neighbors=10))
    np.testing.assert_array_equal(
        ours.fit(ROLL).transform(ROLL), theirs.fit(ROLL).transform(ROLL)
    )  # fmt: skip


def test_transformer_within_a_sum_is_reached_by_the_plain_name():
    penalty = GeodesicIsometry(neighbors=KNeighborsTransformer()) + 0.1 * GlobalIsometry()
    penalty.set_params(neighbors__n_neighbors=9)
    assert penalty.get_params()["geodesic__neighbors__n_neighbors"] == 9


@pytest.mark.parametrize("params", [{"n_neighbors": 5}, {"metric": "l1"}, {"metric": np.inf}])
def test_parameters_that_would_mean_nothing_are_refused(params):
    with pytest.raises(ValueError, match=r"mean nothing; got .*Leave those two out"):
        calibrated(KNeighborsTransformer(), **params)


@pytest.mark.parametrize("metric", ["l2", 2, 2.0])
def test_the_default_metric_by_another_name_is_no_conflict(metric):
    assert calibrated(KNeighborsTransformer(n_neighbors=9), metric=metric).spread_ > 0


@pytest.mark.parametrize("neighbors", ["kneighbors", 10, KNeighborsTransformer])
def test_what_is_no_transformer_is_refused(neighbors):
    with pytest.raises((ValueError, TypeError), match=r"neighbors.* must be an (object|estimator)"):
        calibrated(neighbors)


@pytest.mark.parametrize(
    "wrap", [lambda one: one, lambda one: make_pipeline(StandardScaler(), one)]
)
def test_neighbours_without_distances_are_refused(wrap):
    with pytest.raises(ValueError, match=r"(?s)must return distances; .*Set \S*mode='distance'"):
        calibrated(wrap(KNeighborsTransformer(mode="connectivity")))


# --- what it must not return ---------------------------------------------------------------


@pytest.mark.parametrize("graph, message", [
    (np.ones((4, 4)), r"must return a sparse matrix .*; got ndarray from Given"),
    (line([1.0] * 4), r"of shape \(4, 4\); got shape \(5, 5\) from Given"),
    (line([1.0, np.nan, 1.0]), r"finite and not negative; got 1 of 3 that are not, such as nan"),
    (line([1.0, np.inf, 1.0]), r"got 1 of 3 that are not, such as inf"),
    (line([1.0, -2.0, -3.0]), r"got 2 of 3 that are not, such as -2"),
    (line([1j, 1j, 1j]), r"got values of complex128 from Given"),
    (line([True, True, True]), r"got values of bool from Given"),
])  # fmt: skip
def test_what_is_no_matrix_of_distances_is_refused(graph, message):
    with pytest.raises((ValueError, TypeError), match=message):
        calibrated(Given(graph), np.arange(4.0)[:, None])


def test_graph_in_pieces_names_the_transformer_and_no_number_of_ours():
    X = np.vstack([ROLL, ROLL + 100])
    with pytest.raises(ValueError, match=r"connected .*; neighbors=KNeighborsTransformer") as info:
        embedding(KNeighborsTransformer(n_neighbors=8)).fit(X)
    assert "leaves 2 components, of 150, 150 distinct samples. Raise its" in str(info.value)
    assert "joins them" not in str(info.value)


# --- chance --------------------------------------------------------------------------------


def test_seed_of_the_fit_decides_what_a_transformer_draws():
    outside = np.random.get_state()[1].copy(), torch.get_rng_state()
    first, again, other = (
        embedding(Drawn(), random_state=seed).fit(ROLL) for seed in (3, 3, 4)
    )  # fmt: skip
    np.testing.assert_array_equal(first.transform(ROLL), again.transform(ROLL))
    assert first.penalty_.spread_ != other.penalty_.spread_
    assert np.array_equal(np.random.get_state()[1], outside[0])
    assert torch.equal(torch.get_rng_state(), outside[1])


def test_seed_of_the_transformer_stays_where_it_has_one():
    drawn = [paths(Drawn(random_state=1), seed=seed) for seed in (0, 1)]
    np.testing.assert_array_equal(*drawn)
    assert not np.array_equal(drawn[0], paths(Drawn(), seed=0))


def test_landmarks_without_a_generator_leave_the_global_one_alone(monkeypatch):
    monkeypatch.setattr(module_of_geodesics, "MAX_EXACT", 100)
    before = torch.get_rng_state()
    rows, labels = torch.from_numpy(ROLL), torch.zeros(len(ROLL), dtype=int)
    for neighbors in (None, Drawn()):
        penalty = GeodesicIsometry(neighbors=neighbors, n_landmarks=30)
        assert len(penalty.calibrate(rows, labels).landmarks_) == 30
    assert torch.equal(torch.get_rng_state(), before)


def test_landmarks_of_a_transformer_are_those_of_the_exact_neighbours(monkeypatch):
    monkeypatch.setattr(module_of_geodesics, "MAX_EXACT", 100)
    params = {"n_landmarks": 30}
    transformer = KNeighborsTransformer(n_neighbors=10)
    exact, found = (calibrated(neighbors, **params) for neighbors in (None, transformer))
    np.testing.assert_array_equal(exact.landmarks_, found.landmarks_)
    index = torch.from_numpy(exact.landmarks_)
    assert torch.equal(exact.distances_from(index), found.distances_from(index))


# --- files ---------------------------------------------------------------------------------


def test_fitted_embedding_comes_back_from_pickle_and_joblib(tmp_path):
    model = embedding(KNeighborsTransformer(n_neighbors=8)).fit(ROLL)
    joblib.dump(model, tmp_path / "model.joblib")
    for copy in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(copy.transform(ROLL), model.transform(ROLL))
        assert copy.score(ROLL) == model.score(ROLL)


def test_model_file_names_the_transformer_which_its_reader_has_to_trust(tmp_path):
    model = embedding(KNeighborsTransformer(n_neighbors=8)).fit(ROLL)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match=r"KNeighborsTransformer.*classes=\[\.\.\.\]"):
        sklearn_iso.load(tmp_path / "model.safetensors")
    copy = sklearn_iso.load(tmp_path / "model.safetensors", classes=[KNeighborsTransformer])
    np.testing.assert_array_equal(copy.transform(ROLL), model.transform(ROLL))
    assert copy.score(ROLL) == model.score(ROLL)
    assert copy.penalty.neighbors.n_neighbors == 8
