"""check_penalty, check_attack and check_adversarial_scorer: each broken law is named."""

import itertools
import random

import numpy as np
import pytest
import torch

from sklearn_iso.attacks import pgd
from sklearn_iso.metrics import make_adversarial_scorer
from sklearn_iso.penalties import GlobalIsometry, Penalty, WorstCaseIsometry
from sklearn_iso.testing import (
    LawBrokenError,
    check_adversarial_scorer,
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
}  # fmt: skip


@pytest.mark.parametrize("message", BROKEN)
def test_broken_law_of_a_penalty_is_named(message):
    with pytest.raises(LawBrokenError, match=message):
        check_penalty(Written(BROKEN[message]))


def test_lawful_penalty_passes():
    check_penalty(Written(mean_square))


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


def beyond_the_bounds(logits, X, y, *, bounds=None, **budget):
    return pgd(logits, X, y, random_state=0, **budget)


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


@pytest.mark.parametrize(
    "attack, message",
    [
        (beyond, "must stay within eps; found a perturbation of"),
        (beyond_the_bounds, "must stay within bounds"),
        (lazy, "must move some row"),
        (weak, "must fool a linear model at 1.01 times its exact distance in norm 'linf'"),
        (seeded_globally, "global generators of Python, NumPy and torch"),
        (writing, "leave X as it was"),
        (entropy, "must repeat itself"),
        (accumulating, "leave no gradient in the parameters"),
        (restless, "misclassified already must come back unchanged"),
    ],
)
def test_broken_law_of_an_attack_is_named(attack, message):
    with pytest.raises(LawBrokenError, match=message):
        check_attack(attack)


def test_attack_that_looks_at_one_step_may_skip_the_reach():
    check_attack(weak, reach=None)


# ---- scorers


def gradients_only(estimator, X, y):
    """Trust the gradients, also where there are none."""
    if not hasattr(estimator, "coef_"):
        return estimator.score(X, y)
    return make_adversarial_scorer(eps=0.2)(estimator, X, y)


def share_of_the_right(estimator, X, y):
    right = estimator.predict(X) == y
    return make_adversarial_scorer(eps=0.2)(estimator, X[right], y[right])


def overstated(estimator, X, y):
    return make_adversarial_scorer(eps=0.1)(estimator, X, y)


def understated(estimator, X, y):
    return make_adversarial_scorer(eps=0.4)(estimator, X, y)


def global_seed(estimator, X, y):
    np.random.seed(0)
    return make_adversarial_scorer(eps=0.2)(estimator, X, y)


@pytest.mark.parametrize(
    "scorer, message",
    [
        (overstated, "within the budget must count as fooled"),
        (understated, "beyond the budget must count as right"),
        (share_of_the_right, "All rows count"),
        (gradients_only, "hides its gradient is as robust as it was"),
        (global_seed, "global generators"),
    ],
)
def test_broken_law_of_a_scorer_is_named(scorer, message):
    with pytest.raises(LawBrokenError, match=message):
        check_adversarial_scorer(scorer, eps=0.2, norm="linf")


def test_scorer_without_a_budget_must_be_told_one():
    with pytest.raises(ValueError, match="Pass eps=0.1, norm='linf'"):
        check_adversarial_scorer(overstated)
