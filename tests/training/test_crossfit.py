"""The members of a cross-fit train as networks on their own, and become one network."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sklearn_iso._training import ArrayDataset, Objective
from sklearn_iso._training.crossfit import Candidate, CrossFitObjective, Members
from sklearn_iso._training.folds import content_groups, stratified_folds
from sklearn_iso._training.selection import (
    held_out_outputs,
    select_for_classes,
    select_for_numbers,
)
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import NeighborIsometry, WorstCaseIsometry, make_penalty

N_FOLDS = 3
CANDIDATES = [
    Candidate(0.0, 0.0),
    Candidate(0.0, 0.1),
    Candidate(1.0, 0.01),
    Candidate(3.0, 0.0),
]
RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(24, 4)))
Y = torch.from_numpy(np.arange(24) % 3)
WEIGHT = torch.from_numpy(RNG.integers(1, 4, size=24).astype(np.float64))
FOLD = np.arange(24) // 2 % N_FOLDS


def mlps():
    made = [
        MLP(
            4,
            3,
            hidden_layer_sizes=(8, 5),
            activation="tanh",
            generator=torch.Generator().manual_seed(seed),
            dtype=torch.float64,
        )
        for seed in range(N_FOLDS)
    ]
    for mlp in made:
        mlp.set_input_similarity(torch.full((4,), 0.1, dtype=torch.float64), 1.5)
    return made


def calibrated(penalty="isometric"):
    generator = torch.Generator().manual_seed(0)
    return make_penalty(penalty).calibrate(X, Y, WEIGHT, generator)


def outside():
    return WEIGHT.unsqueeze(1) * torch.from_numpy(FOLD[:, None] != np.arange(N_FOLDS))


#: A penalty, and the data term that it is added to.
OBJECTIVES = [
    ("isometric", "classification_loss"),
    (NeighborIsometry(n_neighbors=3), "squared_error"),
    (WorstCaseIsometry(radius=0.5, scale=0.1, start="random"), "squared_error"),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["classes", "neighbours", "worst_case"])
@pytest.mark.parametrize("candidate", range(len(CANDIDATES)))
@pytest.mark.parametrize("fold", range(N_FOLDS))
def test_the_gradient_of_a_member_is_that_of_a_network_without_its_fold(objective, candidate, fold):
    (name, data_term), unit = objective, 3.0
    penalty, members = calibrated(name), Members(mlps(), CANDIDATES)
    loss = CrossFitObjective(penalty, data_term, unit)(
        members, X, Y, outside() / unit, generator=torch.Generator().manual_seed(1)
    ).total
    loss.backward()
    place = candidate if candidate < 2 else candidate - 2
    stack = members.stacks[0 if candidate < 2 else 1]
    found = [weights.grad[place * N_FOLDS + fold].mT for weights in stack.weights]

    alone, kept, one = mlps()[fold], torch.from_numpy(FOLD != fold), CANDIDATES[candidate]
    objective = Objective(penalty, one.alpha, "hidden", data_term=data_term)
    rows = X[kept].clone().requires_grad_()
    total = objective(
        alone, rows, Y[kept], WEIGHT[kept], generator=torch.Generator().manual_seed(1)
    ).total
    linear = [part for part in (*alone.hidden, alone.output) if isinstance(part, nn.Linear)]
    decay = sum(layer.weight.square().sum() for layer in linear) * one.weight_decay / 2
    (total + decay).backward()
    for expected, gradient in zip(linear, found, strict=True):
        torch.testing.assert_close(gradient, expected.weight.grad, rtol=1e-6, atol=1e-9)


def test_the_value_of_the_loss_is_the_mean_over_the_members():
    members = Members(mlps(), CANDIDATES[:1])
    loss = CrossFitObjective(calibrated())(members, X, Y, outside(), generator=torch.Generator())
    alone = [
        nn.functional.cross_entropy(mlp(X), Y, reduction="none") @ weight / weight.sum()
        for mlp, weight in zip(mlps(), outside().T, strict=True)
    ]
    assert loss.total.item() == pytest.approx(sum(alone).item() / N_FOLDS)
    assert loss.parts["classification_loss"] == pytest.approx(loss.total.item())


@pytest.mark.parametrize("candidate", range(len(CANDIDATES)))
def test_the_merged_network_is_the_mean_of_the_members_over_the_temperature(candidate):
    members = Members(mlps(), CANDIDATES)
    with torch.no_grad():
        for stack in members.stacks:
            for weights in (*stack.weights, *stack.biases):
                weights.add_(torch.randn(weights.shape, dtype=weights.dtype))
        wide = MLP(4, 3, hidden_layer_sizes=(24, 15), activation="tanh", dtype=torch.float64)
        wide.set_input_similarity(torch.full((4,), 0.1, dtype=torch.float64), 1.5)
        merged = members.merged(candidate, 2.0, wide)
        expected = members.each(X)[candidate].mean(0) / 2
        torch.testing.assert_close(merged(X), expected)


@given(
    st.lists(st.integers(0, 6), min_size=4, max_size=40),
    st.integers(2, 5),
    st.integers(0, 9),
    st.randoms(use_true_random=False),
)
def test_folds_depend_on_what_a_sample_is(values, n_folds, seed, random):
    values = np.array(values, dtype=np.float64)
    labels = (values % 2).astype(np.int64)
    order = list(range(len(values)))
    random.shuffle(order)

    def folds(index):
        samples = ArrayDataset(values[index, None], labels[index], np.ones(len(index)))
        group = content_groups(samples)
        return stratified_folds(group, samples.y, n_folds, np.random.RandomState(seed))

    fold = folds(np.arange(len(values)))
    np.testing.assert_array_equal(folds(np.array(order)), fold[order])
    _, first = np.unique(values, return_index=True)
    np.testing.assert_array_equal(folds(first), fold[first])  # copies change nothing
    for label in set(labels[first]):
        counts = np.bincount(fold[first][labels[first] == label], minlength=n_folds)
        assert np.ptp(counts) <= 1  # every class over all folds


def test_a_zero_has_no_sign():
    values = np.array([[0.0], [-0.0], [1.0]])
    group = content_groups(ArrayDataset(values, np.zeros(3, dtype=int), np.ones(3)))
    assert group[0] == group[1] != group[2]


def test_held_out_outputs_are_those_of_the_member_that_left_the_sample_out():
    members = Members(mlps(), CANDIDATES)
    samples = ArrayDataset(X.numpy(), Y.numpy(), WEIGHT.numpy())
    found = held_out_outputs(members, samples, FOLD)
    with torch.no_grad():
        each = members.each(X).numpy()
    for sample, fold in enumerate(FOLD):
        np.testing.assert_array_equal(found[:, sample], each[:, fold, sample])


def noisy_logits(factor, n_samples=4000, seed=0):
    """Return labels drawn from the probabilities of logits, and the logits times a factor."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n_samples, 3)) * 2
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (rng.random((n_samples, 1)) > odds.cumsum(1)).sum(1)
    return factor * logits, y


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_undoes_a_factor_on_the_logits(factor):
    logits, y = noisy_logits(factor)
    ones, group = np.ones(len(y)), np.arange(len(y))
    assert select_for_classes(logits[None], y, ones, group).temperature == pytest.approx(
        factor, rel=0.1
    )


def test_of_candidates_that_the_samples_cannot_tell_apart_the_last_is_taken():
    logits, y = noisy_logits(1.0)
    ones, group = np.ones(len(y)), np.arange(len(y))
    shuffled = np.random.default_rng(2).permutation(logits)
    chosen = []
    for seed in range(20):
        equals = logits + 0.3 * np.random.default_rng(seed).normal(size=(2, *logits.shape))
        chosen.append(select_for_classes(np.stack([*equals, shuffled]), y, ones, group).index)
    assert 2 not in chosen
    assert chosen.count(1) >= 12  # five of six in the long run, where a coin would be the half
    assert select_for_classes(np.stack([shuffled, logits]), y, ones, group).index == 1
    assert select_for_classes(np.stack([logits, shuffled]), y, ones, group).index == 0


def test_where_no_sample_is_wrong_the_last_is_taken_and_the_temperature_stays_finite():
    y = np.arange(200) % 3
    margins = np.random.default_rng(0).uniform(4, 6, size=(3, 200, 1)) * [[[4]], [[2]], [[1]]]
    found = select_for_classes(np.eye(3)[y] * margins, y, np.ones(200), np.arange(200))
    assert found.index == 2
    confidence = 1 / (1 + 2 * np.exp(-5 / found.temperature))
    assert 0.98 < confidence < 0.999  # of two hundred samples, none wrong


def test_weights_select_as_copies_of_the_samples_do():
    logits, y = noisy_logits(1.0, 60)
    both = np.stack([logits, 0.8 * logits + np.random.default_rng(3).normal(size=logits.shape)])
    counts = np.random.default_rng(4).integers(1, 4, size=60)
    copies = np.repeat(np.arange(60), counts)
    weighted = select_for_classes(both, y, counts.astype(float), np.arange(60))
    repeated = select_for_classes(both[:, copies], y[copies], np.ones(len(copies)), copies)
    scaled = select_for_classes(both, y, 0.1 * counts, np.arange(60))
    for other in (repeated, scaled):
        assert other.index == weighted.index
        assert other.temperature == pytest.approx(weighted.temperature, rel=1e-4)
        np.testing.assert_allclose(
            other.losses["log_loss"].std_error, weighted.losses["log_loss"].std_error, rtol=1e-3
        )


@given(st.floats(0.2, 8.0), st.integers(0, 99))
def test_predictions_that_go_too_far_are_drawn_back_and_others_stay(factor, seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=50)
    found = select_for_numbers((factor * y)[None, :, None], y, np.ones(50), np.arange(50))
    assert found.temperature == pytest.approx(max(factor, 1.0))


def test_numbers_are_chosen_by_the_squared_error_of_distinct_samples():
    rng = np.random.default_rng(0)
    y, ones = rng.normal(size=100), np.ones(100)
    near, far = y + rng.normal(size=100), y + 3 * rng.normal(size=100)
    assert select_for_numbers(np.stack([far, near])[:, :, None], y, ones, np.arange(100)).index == 1
    found = select_for_numbers(np.stack([near, far])[:, :, None], y, ones, np.arange(100))
    shares = [near @ y / (near @ near), far @ y / (far @ far)]
    assert found.index == 0
    assert 1 / found.temperature == pytest.approx(shares[0])
    difference = (shares[1] * far - y) ** 2 - (shares[0] * near - y) ** 2
    loss = found.losses["squared_error"]
    assert loss.excess[1] == pytest.approx(difference.mean())
    assert loss.std_error[1] == pytest.approx(difference.std() / 10)
