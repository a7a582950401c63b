"""The cross-entropy at adversarial examples, and the search that it shares with the worst case."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from penalty_batches import batch_of, data, value
from torch import nn

from sklearn_iso._geometry.norms import get_norm
from sklearn_iso.penalties import (
    AdversarialCrossEntropy,
    LocalIsometry,
    WithinClassIsometry,
    WorstCaseIsometry,
    make_penalty,
)

SEARCH = {"norm": "linf", "radius": 0.7, "n_steps": 4, "start": ("random", "margin"),
          "ascent": "margin", "step_size": 0.4, "min_radius": 0.2, "bounds": (-9, 9),
          "warmup": 0.1, "layers": "hidden", "first_radius": 1.5}  # fmt: skip


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def counted(module):
    """Return a list that grows by one in every forward pass."""
    passes = []
    module.register_forward_hook(lambda *_: passes.append(1))
    return passes


def test_cross_entropy_is_that_of_the_moved_samples():
    X, y, weight = data()
    generator = torch.Generator().manual_seed(0)
    radius = 2.0 * (1 - torch.rand((), generator=generator, dtype=torch.float64))
    # Under the identity, the margin falls fastest from the largest value to the second largest.
    first, second = X.topk(2, dim=1).indices.T
    away = nn.functional.one_hot(second, 4) - nn.functional.one_hot(first, 4)
    losses = nn.functional.cross_entropy(X + radius * away / 2**0.5, y, reduction="none")
    expected = torch.dot(weight, losses) / weight.sum()
    identity = nn.Linear(4, 4, bias=False).double()
    nn.init.eye_(identity.weight)
    found = value(AdversarialCrossEntropy(radius=2.0), identity, X, y, weight)
    assert found.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("params", [{}, SEARCH], ids=["default", "all parameters"])
def test_terms_of_one_search_see_the_same_examples_and_cost_one_search(params):
    X, y, weight = data()
    worst = WorstCaseIsometry(**params)
    both = worst.with_cross_entropy(0.5).calibrate(X, y, weight)
    module = network()
    passes = counted(module)
    batch = batch_of(module, X, y, weight)
    before = len(passes)
    both(batch)
    cost_of_both = len(passes) - before
    (_, _, expansion), (_, _, entropy) = both.terms()
    assert entropy.examples(batch) is expansion.examples(batch)
    alone, before = batch_of(module, X, y, weight), len(passes)
    expansion(alone)
    assert cost_of_both == len(passes) - before > 0


def test_searches_that_differ_are_not_shared():
    X, y, weight = data()
    terms = [AdversarialCrossEntropy(radius=1.0, step_size=size) for size in (1.0, 0.5)]
    batch = batch_of(network(), X, y, weight)
    found = [term.calibrate(X, y).examples(batch) for term in terms]
    assert found[0] is not found[1]


def test_a_sum_is_the_worst_case_and_the_weighted_cross_entropy_at_its_examples():
    X, y, weight = data()
    module = network()
    worst = WorstCaseIsometry(**SEARCH)
    parts = [value(p, module, X, y, weight) for p in (worst, AdversarialCrossEntropy(**SEARCH))]
    total = value(worst.with_cross_entropy(0.3), module, X, y, weight)
    torch.testing.assert_close(total, parts[0] + 0.3 * parts[1], rtol=1e-14, atol=0)


def test_cross_entropy_takes_every_parameter_of_the_search():
    (_, _, worst), (_, weight, entropy) = (
        WorstCaseIsometry(scale=3.0, two_sided=True, **SEARCH).with_cross_entropy(0.25).terms()
    )
    assert weight == 0.25
    assert entropy.get_params() == {**SEARCH, "image_shape": None}
    worst.set_params(radius=0.5)  # not the same object
    assert entropy.radius == 0.7


@pytest.mark.parametrize("weight", [-0.1, np.inf, np.nan, "half", None])
def test_weight_of_the_cross_entropy_is_a_finite_number(weight):
    with pytest.raises(ValueError, match="weight must be a finite number, 0 or more; got"):
        WorstCaseIsometry().with_cross_entropy(weight)


def test_radii_that_are_auto_agree_where_they_are_measured_on_a_draw():
    # Above 500 samples the distances to other classes are measured on drawn ones.
    X, y, _ = data(900)
    generator = torch.Generator().manual_seed(3)
    worst = WorstCaseIsometry().calibrate(X, y, generator=generator)
    both = WorstCaseIsometry().with_cross_entropy(0.5)
    both.calibrate(X, y, generator=torch.Generator().manual_seed(3))
    assert [term.radius_ for _, _, term in both.terms()] == [worst.radius_] * 2
    unseeded = WorstCaseIsometry().with_cross_entropy(0.5).calibrate(X, y)
    assert len({term.radius_ for _, _, term in unseeded.terms()}) == 1
    other = WorstCaseIsometry().calibrate(X, y, generator=torch.Generator().manual_seed(4))
    assert other.radius_ != worst.radius_  # the draw matters


def test_labels_are_needed_for_the_cross_entropy_and_not_for_the_worst_case():
    assert AdversarialCrossEntropy().needs_labels
    assert not WorstCaseIsometry().needs_labels


def test_there_is_no_cross_entropy_without_logits():
    with pytest.raises(ValueError, match="logits of a classifier.*Leave it out"):
        AdversarialCrossEntropy().without_logits()
    with pytest.raises(ValueError, match="ascent='margin' is about the logits"):
        WorstCaseIsometry(ascent="margin").without_logits()


def test_default_has_half_the_cross_entropy_and_the_worst_case_alone_none():
    (_, one, within), (_, two, worst), (_, half, entropy) = make_penalty("isometric").terms()
    assert (one, two, half) == (1.0, 1.0, 0.5)
    assert within.get_params() == WithinClassIsometry().get_params()
    assert worst.get_params() == WorstCaseIsometry().get_params()
    assert entropy.get_params() == AdversarialCrossEntropy().get_params()
    assert type(make_penalty("worst_case")) is WorstCaseIsometry


SUMS = {
    "with the cross-entropy": WorstCaseIsometry().with_cross_entropy(0.5),
    "default": make_penalty("isometric"),
    "with random pairs": WorstCaseIsometry() + LocalIsometry(),
    "two norms": WorstCaseIsometry() + WorstCaseIsometry(norm="linf"),
}


@pytest.mark.parametrize("penalty", SUMS.values(), ids=SUMS)
def test_plain_radius_is_that_of_every_term_that_has_one(penalty):
    changed = (2 * penalty).set_params(radius=0.25)
    found = [term.radius for _, _, term in changed.terms() if hasattr(term, "radius")]
    assert found == [0.25, 0.25]
    assert changed.get_params()["radius"] == 0.25


def test_plain_name_is_told_only_while_the_terms_agree():
    penalty = WorstCaseIsometry(radius=1.0) + LocalIsometry(radius=2.0)
    assert "radius" not in penalty.get_params()
    assert penalty.get_params()["norm"] == "l2"
    penalty.set_params(local__radius=1.0)
    assert penalty.get_params()["radius"] == 1.0


def test_plain_name_that_means_different_things_is_refused():
    with pytest.raises(ValueError, match="within_class__layers.*worst_case__layers"):
        make_penalty("isometric").set_params(layers="hidden")
    both = WorstCaseIsometry().with_cross_entropy(0.5).set_params(layers="hidden")
    assert [term.layers for _, _, term in both.terms()] == ["hidden", "hidden"]


def test_projected_steps_are_those_of_the_norm():
    X, y, weight = data()
    module = nn.Linear(4, 2, bias=False).double()
    slope = (module.weight[1] - module.weight[0]).detach()
    penalty = WorstCaseIsometry(norm="linf", radius=1.0, min_radius=1.0, n_steps=4,
                                ascent="margin")  # fmt: skip
    batch = batch_of(module, X, y % 2, weight)
    delta = penalty.calibrate(X, y).search().perturbation(batch)
    sign = torch.where(batch.logits[:, 1] > batch.logits[:, 0], -1.0, 1.0)
    torch.testing.assert_close(delta, sign[:, None] * slope.sign(), rtol=0, atol=0)
    assert torch.equal(get_norm("linf").size(delta), torch.ones(len(X), dtype=X.dtype))
