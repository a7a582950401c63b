from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_blobs

from sklearn_iso import IsometricClassifier
from sklearn_iso._training import ArrayBatches, ArrayDataset
from sklearn_iso._training.by_class import class_batches


def batches_of(y, batch_size, samples_per_class, seed=0):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    n_batches = -(-len(y) // batch_size)
    return class_batches(np.asarray(y), n_batches, samples_per_class, generator)


labels = st.lists(st.integers(0, 8), min_size=1, max_size=80)


@settings(max_examples=100, deadline=None)
@given(labels, st.integers(1, 30), st.integers(2, 9), st.sampled_from([None, 0]))
def test_every_row_is_in_one_batch_and_no_batch_is_empty(y, batch_size, samples_per_class, seed):
    batches = batches_of(y, batch_size, samples_per_class, seed)
    assert len(batches) == -(-len(y) // batch_size)
    assert all(map(len, batches))
    assert sorted(np.concatenate(batches)) == list(range(len(y)))


@settings(max_examples=100, deadline=None)
@given(labels, st.integers(8, 30), st.integers(2, 4), st.sampled_from([None, 0]))
def test_every_class_of_a_batch_has_as_many_rows_as_the_data_allow(y, batch_size, m, seed):
    sizes = np.bincount(y)
    # Groups are cut to half of a batch at most.
    n_batches = -(-len(y) // batch_size)
    m = min(m, len(y) // n_batches // 2)
    for rows in batches_of(y, batch_size, m, seed):
        present, counts = np.unique(np.asarray(y)[rows], return_counts=True)
        assert (counts >= np.minimum(m, sizes[present])).all()


@settings(max_examples=100, deadline=None)
@given(labels, st.integers(8, 30), st.integers(2, 4))
def test_batches_differ_in_size_by_less_than_two_groups(y, batch_size, samples_per_class):
    sizes = [len(rows) for rows in batches_of(y, batch_size, samples_per_class)]
    assert max(sizes) - min(sizes) < 2 * (2 * samples_per_class - 1)


def test_few_equal_classes_come_in_equal_numbers():
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(4), 64))
    for rows in batches_of(y, batch_size=64, samples_per_class=8):
        counts = np.bincount(y[rows], minlength=4)
        # One group of each class in every eighth of a pass: at most one more at either end.
        assert np.abs(counts - 16).max() <= 8
        assert len(rows) == 64


def test_hundreds_of_classes_leave_no_row_without_a_partner():
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(300), 8))
    for rows in batches_of(y, batch_size=64, samples_per_class=4):
        assert np.bincount(y[rows])[y[rows]].min() >= 4
        assert len(np.unique(y[rows])) <= 16
        # The pairwise penalties look at the first rows of a batch.
        assert np.bincount(y[rows[:16]])[y[rows[:16]]].min() >= 4


def test_passes_differ_and_repeat_by_seed():
    data = ArrayDataset(np.arange(60.0)[:, None], np.arange(60) % 6, np.ones(60))

    def order(seed):
        generator = torch.Generator().manual_seed(seed)
        batches = ArrayBatches(data, 20, generator, samples_per_class=4)
        return [[X[:, 0].tolist() for X, _ in batches] for _ in range(2)]

    first, second = order(0)
    assert first != second
    assert order(0) == [first, second]
    assert order(1) != [first, second]


def test_without_shuffling_every_pass_is_the_same_and_rows_keep_their_order_in_a_class():
    data = ArrayDataset(np.arange(60.0)[:, None], np.arange(60) % 6, np.ones(60))
    batches = ArrayBatches(data, 20, samples_per_class=4)
    first, second = ([X[:, 0].tolist() for X, _ in batches] for _ in range(2))
    assert first == second
    assert len(first) == len(batches)
    flat = np.concatenate(first)
    for label in range(6):
        rows = flat[flat % 6 == label]
        assert (np.diff(rows) > 0).all()


@pytest.fixture(scope="module")
def many_classes():
    return make_blobs(800, 5, centers=200, cluster_std=0.3, random_state=0)


def fit(data, **params):
    return IsometricClassifier(
        penalty="within_class", hidden_layer_sizes=(16,), max_epochs=3, batch_size=64,
        random_state=0, **params,
    ).fit(*data)  # fmt: skip


def test_classifier_forms_pairs_of_many_classes_and_repeats_itself(many_classes):
    balanced = fit(many_classes, samples_per_class=4)
    again = fit(many_classes, samples_per_class=4)
    assert balanced.loss_curve_ == again.loss_curve_
    assert balanced.loss_curve_ != fit(many_classes).loss_curve_
    assert min(balanced.history_["penalty"]) > 0


def test_every_row_counts_as_often_as_without(many_classes):
    """At a learning rate of almost zero the mean loss of an epoch does not depend on the order."""
    still = {"alpha": 0, "learning_rate": 1e-12}
    mixed, balanced = (fit(many_classes, samples_per_class=m, **still) for m in (None, 4))
    np.testing.assert_allclose(balanced.loss_curve_, mixed.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("value", [1, 0, 2.5, "balanced"])
def test_samples_per_class_must_allow_a_pair(value):
    with pytest.raises(ValueError, match="samples_per_class"):
        IsometricClassifier(samples_per_class=value).fit(np.eye(4), [0, 1, 0, 1])
