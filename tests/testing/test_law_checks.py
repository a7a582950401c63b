"""check_penalty and check_attack: each broken law is named."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_iso.attacks import pgd
from sklearn_iso.penalties import GlobalIsometry, Penalty, WorstCaseIsometry
from sklearn_iso.testing import (
    LawBrokenError,
    check_attack,
    check_penalty,
)

# ---- penalties


COUNTER = itertools.count(1)


class Written(Penalty):
    """A penalty given by a function of the batch."""

    def __init__(self, function):
        self.function = function

    def __call__(self, batch):
        return self.function(batch)


def logits(batch):
    return batch.representations("logits")[0]


def mean_square(batch):
    return (batch.weight @ logits(batch).square().sum(1)) / batch.weight.sum()


def adjacent_pairs(batch):
    """Return the mean over neighbours in the batch, which a reversal leaves as they are."""
    pairs = batch.weight[1:] * batch.weight[:-1]
    return pairs @ (logits(batch)[1:] - logits(batch)[:-1]).square().sum(1) / pairs.sum()


def then(change):
    """Return the lawful penalty, which changes something of the batch on its way."""

    def value(batch):
        found = mean_square(batch)
        change(batch)
        return found

    return value


def step_weights(batch):
    for parameter in batch.module.parameters():
        parameter.data.mul_(1.01)


def roots_of_a_difference(batch):
    """Return distances by a^2 + b^2 - 2ab, which rounding makes negative."""
    Z = logits(batch)
    squares = Z.square().sum(1)
    distances = (squares[:, None] + squares - 2 * Z @ Z.T).sqrt()
    return batch.weight @ distances @ batch.weight / batch.weight.sum() ** 2


class _Slope(torch.autograd.Function):
    """The identity with half of its gradient."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / 2


BROKEN = {
    "must be a scalar": lambda batch: logits(batch),
    "global generators .* torch changed": lambda batch: mean_square(batch) * torch.rand(()),
    "global generators .* random changed": lambda batch: mean_square(batch) + random.random(),
    "must repeat itself": lambda batch: mean_square(batch) * next(COUNTER),
    "must be finite and at least 0": lambda batch: mean_square(batch) - 1,
    "must not depend on the order": lambda batch: logits(batch)[0].square().sum(),
    "count a row of weight 2 as the row twice": lambda batch: logits(batch).square().mean(),
    "must be finite": lambda batch: (  # 0 / 0 where all rows coincide
        torch.cdist(logits(batch), logits(batch)).square().mean()
        / torch.cdist(batch.X, batch.X).square().mean()
    ),
    "for a dead network": lambda batch: mean_square(batch).sqrt(),
    "in float32 must agree": lambda batch: mean_square(batch) * (
        1.1 if batch.X.dtype == torch.float32 else 1.0
    ),
    "gradient .* must be that of finite differences": lambda batch: _Slope.apply(
        mean_square(batch)
    ),
    "must be a scalar, .*; got 1.0": lambda batch: 1.0,
    "must be a scalar, .*; got shape .* of torch.int64": lambda batch: torch.tensor(1),
    "at least 0; got nan": roots_of_a_difference,
    "order of the rows; .* in the order": adjacent_pairs,
    "got a slope of 0 and": lambda batch: mean_square(batch).detach(),
    "wrote into batch.X": then(lambda batch: batch.X.data.mul_(2)),
    "wrote into batch.y": then(lambda batch: batch.y.zero_()),
    "wrote into batch.weight": then(lambda batch: batch.weight.mul_(2)),
    "network as it was; its weights": then(step_weights),
    "network as it was; the gradient": then(lambda b: mean_square(b).backward()),
    "network as it was; its training mode": then(lambda batch: batch.module.eval()),
    "network as it was; torch's grad mode": then(lambda b: torch.set_grad_enabled(False)),
    "Draw random numbers in float64": lambda batch: mean_square(batch) * torch.rand(
        (), generator=batch.generator, dtype=batch.X.dtype
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", BROKEN)
def test_broken_law_of_a_penalty_is_named(message):
    with pytest.raises(LawBrokenError, match=message):
        check_penalty(Written(BROKEN[message]))


def test_lawful_penalty_passes():
    check_penalty(Written(mean_square))
    zero = Written(lambda batch: batch.weight.new_zeros(()))  # without a graph
    check_penalty(zero)
    draw = Written(
        lambda batch: (
            mean_square(batch)
            * torch.rand((), generator=batch.generator, dtype=torch.float64).to(batch.X)
        )
    )
    check_penalty(draw)


def test_rows_at_fault_are_told_with_their_classes_and_weights():
    with pytest.raises(LawBrokenError, match=r"(?s)X: \[\[.*\]\]\ny: \[0, 1.*\nweight: \[0.5"):
        check_penalty(Written(lambda batch: mean_square(batch) - 1e-3 * (batch.y.max() == 1)))


class Forgetful(Written):
    """A penalty that does not store what it is told."""

    def __init__(self, radius=1):
        self.size = radius


class Rewriting(Written):
    """A penalty that changes what it is told."""

    def __init__(self, radius=(1,)):
        self.radius = list(radius)


@pytest.mark.parametrize("kind", [Forgetful, Rewriting])
def test_penalty_that_cannot_be_cloned_is_named(kind):
    with pytest.raises(LawBrokenError, match=f"{kind.__name__} must survive clone: store every"):
        check_penalty(kind())


@pytest.mark.parametrize(
    "change",
    [
        {"zero_at": "any"},
        {"zero_at": -1.0},
        {"zero_at": np.nan},
        {"rtol": np.nan},
        {"max_examples": 0},
        {"hold": 3},
    ],
)
def test_check_of_a_penalty_that_cannot_be_is_an_error(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        check_penalty("global", **change)


def test_penalty_that_is_not_zero_at_a_similarity_is_named():
    with pytest.raises(LawBrokenError, match="must be 0 for a similarity of factor 0.001"):
        check_penalty(GlobalIsometry(scale=1.0), zero_at="any scale")
    check_penalty(GlobalIsometry(scale=2.0), zero_at=2.0)


def test_choice_without_a_gradient_needs_to_be_held():
    with pytest.raises(LawBrokenError, match="If it chooses something without a gradient"):
        check_penalty(WorstCaseIsometry(radius=1.0, scale=0.1))


# ---- attacks


def beyond(logits, X, y, **budget):
    return X + 2 * (pgd(logits, X, y, random_state=0, **budget) - X)


def beyond_the_bounds(logits, X, y, *, threat, **budget):
    unbounded = replace(threat, bounds=None)
    return pgd(logits, X, y, random_state=0, threat=unbounded, **budget)


def lazy(logits, X, y, **budget):
    return X.clone()


def weak(logits, X, y, **budget):
    return X + 0.3 * (pgd(logits, X, y, random_state=0, **budget) - X)


def seeded_globally(logits, X, y, **budget):
    torch.manual_seed(0)
    return pgd(logits, X, y, random_state=0, **budget)


def writing(logits, X, y, **budget):
    X_adv = pgd(logits, X, y, random_state=0, **budget)
    X += 0.1 * (X_adv - X)
    return X_adv


def entropy(logits, X, y, **budget):
    return pgd(logits, X, y, random_state=None, **budget)


def accumulating(logits, X, y, **budget):
    logits(X)[:, 0].sum().backward()
    return pgd(logits, X, y, random_state=0, **budget)


def restless(logits, X, y, *, eps, **budget):
    wrong = logits(X).argmax(1) != y
    X_adv = pgd(logits, X, y, random_state=0, eps=eps, **budget)
    return torch.where(wrong[:, None], X * (1 - 0.01 * float(torch.as_tensor(eps).max())), X_adv)


def after(change):
    """Return PGD with a change of what it found, or of what it was given."""

    def attack(logits, X, y, **budget):
        X_adv = pgd(logits, X, y, random_state=0, **budget)
        return change(logits, X, y, X_adv)

    return attack


def thaw(logits, X, y, X_adv):
    if isinstance(logits, torch.nn.Module):
        logits.requires_grad_(False)
    return X_adv


def train(logits, X, y, X_adv):
    if isinstance(logits, torch.nn.Module):
        logits.train()
    return X_adv


def write_labels(logits, X, y, X_adv):
    y.zero_()
    return X_adv


def to_class_0(logits, X, y, *, eps, **budget):
    """Move only rows of class 1, and return those that are wrong already."""
    X_adv = pgd(logits, X, y, random_state=0, eps=eps, **budget)
    return torch.where((y == 1)[:, None], X_adv, X)


@pytest.mark.parametrize(
    "attack, message",
    [
        (after(lambda f, X, y, found: found * torch.nan), r"finite points .*, sample 0: \[nan"),
        (after(lambda f, X, y, found: found[1:]), r"shape \(30, 6\) .* shape \(29, 6\)"),
        (after(lambda f, X, y, found: found.double()), "torch.float64"),
        (after(lambda f, X, y, found: found.numpy()), "got a ndarray"),
        (after(lambda f, X, y, found: None), "got a NoneType"),
        (after(lambda f, X, y, found: found.requires_grad_()), "without a graph; .* with one"),
        (after(lambda f, X, y, found: found.flip(0)), "must stay within eps"),
        (after(lambda f, X, y, found: found - X), "must stay within eps"),
        (after(lambda f, X, y, found: torch.cat([found[:-1], X[-1:]])), "the first of them row 19"),
        (after(thaw), "requires_grad of its parameters changed"),
        (after(train), "its training mode changed"),
        (after(write_labels), "leave y as it was"),
        (to_class_0, "10 of 20 rows were not, the first of them row 1"),
        (beyond, "must stay within eps; found a perturbation of"),
        (beyond_the_bounds, "must stay within bounds"),
        (lazy, "must move some row"),
        (weak, "must break a linear model at 1.01 times its exact distance in norm 'linf'"),
        (seeded_globally, "global generators of Python, NumPy and torch"),
        (writing, "leave X as it was"),
        (entropy, "must repeat itself"),
        (accumulating, "the gradient in its parameters changed"),
        (restless, "misclassified already must come back unchanged"),
    ],
)
def test_broken_law_of_an_attack_is_named(attack, message):
    with pytest.raises(LawBrokenError, match=message):
        check_attack(attack)


@pytest.mark.parametrize(
    "change",
    [{"norms": ()}, {"norms": ["l7"]}, {"reach": 0.5}, {"reach": np.nan}, {"n_features": 0}],
)
def test_check_of_an_attack_that_cannot_be_is_an_error(change):
    with pytest.raises(ValueError, match=next(iter(change))[:4]):
        check_attack("pgd", random_state=0, **change)
    with pytest.raises(ValueError, match="attack must be one of 'auto'"):
        check_attack("nothing")


def test_attack_that_looks_at_one_step_may_skip_the_reach():
    check_attack(weak, reach=None)
