from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sklearn_iso.modules import MLP
from sklearn_iso.penalties import PenaltySum, WithinClassIsometry, WorstCaseIsometry
from sklearn_iso.training import (
    ArrayBatches,
    ArrayDataset,
    Objective,
    PrivateStream,
    input_similarity,
)
from sklearn_iso.training.calibration import INPUT_LENGTH
from sklearn_iso.training.data import make_iterator
from sklearn_iso.training.fit import SCHEDULES
from sklearn_iso.training.numerics import denormals_flushed


def rows(n):
    return ArrayDataset(np.arange(2.0 * n).reshape(n, 2), np.arange(n) % 3, np.ones(n))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 15), st.booleans())
def test_every_pass_sees_every_row_once_with_its_label(n, batch_size, shuffle):
    generator = torch.Generator().manual_seed(0) if shuffle else None
    batches = ArrayBatches(rows(n), batch_size, generator)
    found = list(batches)
    assert len(found) == len(batches)
    X = torch.cat([X for X, _ in found])
    y = torch.cat([y for _, (y, _) in found])
    index = (X[:, 0] / 2).long()
    assert sorted(index.tolist()) == list(range(n))
    assert torch.equal(y, index % 3)
    assert shuffle or torch.equal(index, torch.arange(n))


def test_shuffled_passes_differ_and_repeat_by_seed():
    def order(seed):
        batches = ArrayBatches(rows(20), 5, torch.Generator().manual_seed(seed))
        return [[X[:, 0].tolist() for X, _ in batches] for _ in range(2)]

    first, second = order(0)
    assert first != second
    assert order(0) == [first, second]


def test_read_only_rows_come_without_a_warning():
    dataset = rows(6)
    dataset.X.flags.writeable = False
    assert len(list(ArrayBatches(dataset, 4))) == 2


def test_other_data_sets_go_through_a_data_loader():
    dataset = torch.utils.data.TensorDataset(torch.arange(10.0))
    before = torch.get_rng_state()
    loader = make_iterator(dataset, 4, torch.Generator().manual_seed(0))
    assert sorted(torch.cat([batch[0] for batch in loader]).tolist()) == list(range(10))
    assert torch.equal(before, torch.get_rng_state())


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_input_similarity_centres_the_rows_at_the_stated_length(n, scale, offset):
    X = scale * (np.random.default_rng(n).normal(size=(n, 3)) + offset)
    weight = np.random.default_rng(n + 1).uniform(0.5, 2, n)
    shift, factor = input_similarity(X, weight)
    moved = factor * (X - shift)
    np.testing.assert_allclose(weight @ moved / weight.sum(), 0, atol=1e-6)
    length = np.sqrt(weight @ np.square(moved).sum(1) / weight.sum())
    assert length == pytest.approx(INPUT_LENGTH, rel=1e-6)


def test_input_similarity_of_many_rows_does_not_depend_on_the_batches():
    X = np.random.default_rng(0).normal(3, 2, size=(5000, 4)).astype(np.float32)
    shift, factor = input_similarity(X, np.ones(5000, np.float32))
    np.testing.assert_allclose(shift, X.mean(0, dtype=np.float64), rtol=1e-6)
    assert factor == pytest.approx(INPUT_LENGTH / np.sqrt(4 * X.var(0).mean()), rel=1e-4)


def test_input_similarity_of_identical_rows_has_factor_one():
    assert input_similarity(np.full((5, 2), 0.1), np.ones(5))[1] == 1.0


def test_schedules_start_at_one_and_never_rise():
    for factor in filter(None, SCHEDULES.values()):
        values = [factor(epoch, max_epochs=10) for epoch in range(10)]
        assert values[0] == 1
        assert all(a > b > 0 for a, b in zip(values, values[1:], strict=False))


def loss_of(module, alpha=1.0, penalty=None, weight=None, training=True):
    module.train(training)
    X = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    penalty = penalty or (WithinClassIsometry() + WorstCaseIsometry(radius=1.0, scale=1.0))
    y = torch.arange(10) % 3
    penalty.calibrate(X, y)
    weight = torch.ones(10) if weight is None else weight
    return Objective(penalty, alpha, "hidden")(
        module, X, y, weight, torch.Generator().manual_seed(0)
    )


def network():
    return MLP(4, 3, hidden_layer_sizes=(5,), generator=torch.Generator().manual_seed(0))


def test_objective_is_the_weighted_mean_of_cross_entropies_without_a_penalty():
    module, weight = network(), torch.rand(10, generator=torch.Generator().manual_seed(1))
    X = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    losses = nn.functional.cross_entropy(module(X), torch.arange(10) % 3, reduction="none")
    expected = (weight * losses).sum() / weight.sum()
    torch.testing.assert_close(loss_of(module, alpha=0, weight=weight).total, expected)


def test_objective_is_linear_in_alpha():
    at = [loss_of(network(), alpha=alpha).total.item() for alpha in (1e-12, 1.0, 3.0)]
    assert at[2] - at[0] == pytest.approx(3 * (at[1] - at[0]), rel=1e-4)


def test_penalty_of_a_noisy_module_describes_the_map_that_predicts():
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5, momentum=0.0), nn.Dropout(0.5), nn.Linear(5, 3)
    )
    with torch.no_grad():
        module[1].running_mean.copy_(torch.randn(5, generator=generator))
    expected = loss_of(module, training=False).parts["penalty"]
    found = loss_of(module, training=True).parts["penalty"]
    assert found == pytest.approx(expected, rel=1e-6)
    assert module.training and module[2].training


def test_gradient_of_the_objective_reaches_every_weight():
    module = network()
    loss_of(module).total.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in module.parameters())


def test_parts_name_every_term_of_a_sum():
    penalty = PenaltySum([("a", WithinClassIsometry()), ("b", WithinClassIsometry())], [1.0, 2.0])
    parts = loss_of(network(), penalty=penalty).parts
    assert parts["penalty"] == pytest.approx(3 * parts["a"])
    assert parts["a"] == parts["b"]


def test_private_stream_continues_and_leaves_the_global_one():
    expected = torch.rand(4, generator=torch.Generator().manual_seed(5))
    stream, before, found = PrivateStream(5), torch.get_rng_state(), []
    for _ in range(2):
        with stream.active():
            found.append(torch.rand(2))
        torch.rand(3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat(found), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_private_streams_of_threads_take_turns():
    results = {}

    def draw(seed):
        stream, values = PrivateStream(seed), []
        for _ in range(50):
            with stream.active():
                values.append(torch.rand(1).item())
        results[seed] = values

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in (1, 2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for seed, values in results.items():
        expected = torch.rand(50, generator=torch.Generator().manual_seed(seed))
        assert values == pytest.approx(expected.tolist(), abs=0)


@pytest.mark.parametrize("before", [False, True])
def test_denormals_are_flushed_inside_and_the_mode_is_restored(before):
    def is_flushed():
        return (torch.full((), 1e-40) * 1).item() == 0

    torch.set_flush_denormal(before)
    try:
        with pytest.raises(KeyboardInterrupt), denormals_flushed():
            assert is_flushed()
            raise KeyboardInterrupt
        assert is_flushed() == before
    finally:
        torch.set_flush_denormal(False)
