"""Laws of learning by chunks: what one call does, what goes on, what needs all rows at once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.metrics import accuracy_score

from sklearn_iso import IsometricClassifier, IsometricTransformer
from sklearn_iso.metrics import scale_normalized_stress
from sklearn_iso.penalties import WithinClassIsometry

X, y = load_iris(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(150)
X, y = X[ORDER], y[ORDER]
CONSTANT = {"learning_rate_schedule": "constant", "random_state": 0}


def classifier(**params):
    return IsometricClassifier(**{"hidden_layer_sizes": (16, 8)} | CONSTANT | params)


def embedding(**params):
    return IsometricTransformer(**{"hidden_layer_sizes": (16,)} | CONSTANT | params)


def weights(estimator):
    return [v.numpy(force=True) for v in estimator.net_.module_.state_dict().values()]


def assert_same(first, second):
    for a, b in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(a, b)


def first_call(estimator):
    return {"classes": [0, 1, 2]} if isinstance(estimator, IsometricClassifier) else {}


BOTH = pytest.mark.parametrize("make", [classifier, embedding])


def why_no_partial_fit(estimator):
    assert not hasattr(estimator, "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as error:
        estimator.partial_fit(X, y)
    return str(error.value.__cause__)


@BOTH
def test_one_call_is_a_fit_of_one_epoch(make):
    by_chunk = make()
    by_chunk.partial_fit(X, y, **first_call(by_chunk))
    assert_same(by_chunk, make(max_epochs=1).fit(X, y))


@BOTH
def test_calls_on_the_same_rows_are_the_epochs_of_a_fit_that_draws_nothing(make):
    params = {"shuffle": False, "penalty": WithinClassIsometry(layers="logits"), "batch_size": 40}
    by_chunk = make(**params)
    for _ in range(4):
        by_chunk.partial_fit(X, y, **first_call(by_chunk))
    whole = make(max_epochs=4, **params).fit(X, y)
    assert_same(by_chunk, whole)
    assert by_chunk.n_iter_ == 4
    assert by_chunk.history_["loss"] == whole.history_["loss"]


@BOTH
def test_a_call_after_fit_goes_on_with_the_weights_and_the_optimiser(make):
    params = {"shuffle": False, "penalty": WithinClassIsometry(layers="logits"), "batch_size": 40}
    went_on = make(max_epochs=3, **params).fit(X, y).partial_fit(X, y)
    assert_same(went_on, make(max_epochs=4, **params).fit(X, y))


@BOTH
def test_a_pickle_between_two_calls_changes_nothing(make):
    straight = make()
    straight.partial_fit(X[:80], y[:80], **first_call(straight))
    stored = pickle.loads(pickle.dumps(straight))
    assert_same(straight.partial_fit(X[80:], y[80:]), stored.partial_fit(X[80:], y[80:]))


@BOTH
def test_each_call_orders_the_rows_anew(make):
    went_on, repeated = (make(batch_size=10, max_epochs=1).fit(X, y) for _ in range(2))
    repeated._rng = np.random.RandomState(0)  # as if the second call were the first
    went_on.partial_fit(X, y)
    repeated.partial_fit(X, y)
    assert went_on.loss_curve_[0] == repeated.loss_curve_[0]
    assert went_on.loss_curve_[1] != repeated.loss_curve_[1]


@BOTH
def test_the_learning_rate_of_a_call_is_the_one_set_before_it(make):
    slow = make()
    slow.partial_fit(X, y, **first_call(slow))
    before = weights(slow)
    slow.set_params(learning_rate=1e-12).partial_fit(X, y)
    for a, b in zip(before, weights(slow), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@BOTH
def test_rows_of_weight_two_count_as_rows_that_come_twice(make):
    # Adam would make steps of the rounding of a gradient that is 0.
    params = {"shuffle": False, "batch_size": 400, "optimizer": "sgd", "learning_rate": 1e-3}
    params["penalty"] = WithinClassIsometry(layers="logits", max_samples=None)
    weighted, repeated = make(**params), make(**params)
    twice = np.repeat(np.arange(150), 2)
    for _ in range(2):
        weighted.partial_fit(X, y, sample_weight=np.full(150, 2.0), **first_call(weighted))
        repeated.partial_fit(X[twice], y[twice], **first_call(repeated))
    for a, b in zip(weights(weighted), weights(repeated), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@BOTH
def test_chunks_of_the_other_precision_are_taken(make):
    estimator = make()
    estimator.partial_fit(X.astype(np.float32), y, **first_call(estimator)).partial_fit(X, y)
    assert {str(w.dtype) for w in weights(estimator)} == {"float32"}


@BOTH
def test_chunks_of_other_features_are_refused(make):
    estimator = make()
    estimator.partial_fit(X, y, **first_call(estimator))
    with pytest.raises(ValueError, match="3 features"):
        estimator.partial_fit(X[:, :3], y)


@BOTH
def test_early_stopping_needs_all_samples_and_so_takes_partial_fit_away(make):
    assert why_no_partial_fit(make(early_stopping=True)).startswith("early_stopping=True holds")


# --- classifier ----------------------------------------------------------------------------


def test_chunks_learn_digits_about_as_well_as_a_fit():
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    by_chunks = IsometricClassifier(random_state=0)
    for epoch in range(10):
        for rows in np.array_split(np.random.default_rng(epoch).permutation(1200), 3):
            by_chunks.partial_fit(images[rows], labels[rows], classes=np.arange(10))
    whole = IsometricClassifier(random_state=0, max_epochs=30).fit(images[:1200], labels[:1200])
    found, expected = (
        accuracy_score(labels[1200:], c.predict(images[1200:])) for c in (by_chunks, whole)
    )
    assert found > expected - 0.03


def test_classes_of_later_chunks_have_their_place_from_the_start():
    early = y < 2
    clf = classifier(learning_rate=0.01).partial_fit(X[early], y[early], classes=[2, 0, 1])
    assert clf.predict_proba(X).shape == (150, 3)
    for _ in range(60):
        clf.partial_fit(X, y)
    assert list(clf.classes_) == [0, 1, 2]
    assert clf.score(X, y) > 0.9


def test_a_later_chunk_may_hold_one_class():
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    clf = classifier().partial_fit(X, names, classes=np.unique(names))
    clf.partial_fit(X[y == 2], names[y == 2])
    assert clf.n_iter_ == 2


def test_a_first_chunk_of_one_class_is_refused_where_a_penalty_measures_classes():
    with pytest.raises(ValueError, match="at least 2 classes"):
        classifier().partial_fit(X[y == 0], y[y == 0], classes=[0, 1, 2])
    classifier(alpha=0).partial_fit(X[y == 0], y[y == 0], classes=[0, 1, 2])


def test_first_call_without_classes_is_refused():
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier().partial_fit(X, y)


def test_a_refused_first_call_leaves_no_trace():
    clf = classifier()
    with pytest.raises(ValueError, match="found array"):
        clf.partial_fit(X, y + 1, classes=[0, 1, 2])
    assert_same(clf.partial_fit(X, y, classes=[0, 1, 2]), classifier(max_epochs=1).fit(X, y))


@pytest.mark.parametrize("label", [7, -1, "setosa"])
def test_a_label_that_is_no_class_is_refused(label):
    clf = classifier().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="Name every class"):
        clf.partial_fit(X[:3], [label] * 3)


def test_other_classes_later_are_refused():
    clf = classifier().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="those of the first call"):
        clf.partial_fit(X, y, classes=[0, 1, 2, 3])


def test_a_single_class_is_refused():
    with pytest.raises(ValueError, match="at least 2 labels"):
        classifier().partial_fit(X[y == 0], y[y == 0], classes=[0])


def test_balanced_class_weights_need_all_samples_and_so_take_partial_fit_away():
    assert "counts all samples" in why_no_partial_fit(classifier(class_weight="balanced"))


def test_fit_starts_anew_whatever_came_by_chunks():
    clf = classifier(max_epochs=2).partial_fit(X, y, classes=[0, 1, 2, 3])
    assert_same(clf.fit(X, y), clone(clf).fit(X, y))


# --- transformer ---------------------------------------------------------------------------


def test_chunks_keep_the_distances_about_as_well_as_a_fit():
    by_chunks = IsometricTransformer(random_state=0, learning_rate=3e-3)
    for _ in range(15):
        for rows in np.array_split(np.arange(150), 2):
            by_chunks.partial_fit(X[rows])
    whole = IsometricTransformer(random_state=0, max_epochs=30).fit(X)
    found = scale_normalized_stress(X, by_chunks.transform(X))
    assert found < 1.1 * whole.stress_


def test_stress_is_that_of_the_last_chunk():
    found = embedding().partial_fit(X[:75]).partial_fit(X[75:])
    Z = found.transform(X[75:])
    assert found.stress_ == pytest.approx(scale_normalized_stress(X[75:], Z), rel=1e-9)


def test_labels_of_a_chunk_reach_the_within_class_penalty():
    supervised = embedding(penalty="within_class").partial_fit(X[:75], y[:75])
    with pytest.raises(ValueError, match="needs labels"):
        supervised.partial_fit(X[75:])
    supervised.partial_fit(X[75:], y[75:])
    assert supervised.n_iter_ == 2


@pytest.mark.parametrize("params", [{"penalty": "geodesic"}, {"metric": "precomputed"}])
def test_distances_known_among_all_samples_only_take_partial_fit_away(params):
    assert "known among all samples only" in why_no_partial_fit(embedding(**params))


def test_a_parameter_out_of_its_range_is_named_and_hides_nothing():
    with pytest.raises(ValueError, match="The 'penalty' parameter"):
        embedding(penalty="no such penalty").partial_fit(X)


def test_a_first_chunk_of_fewer_rows_than_components_is_refused():
    with pytest.raises(ValueError, match="n_components must be at most"):
        embedding(n_components=4).partial_fit(X[:3])
