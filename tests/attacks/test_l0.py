"""How many features must change: the norm "l0", against enumeration."""

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso._geometry.l0 import L0
from sklearn_iso.attacks import Budget, SigmaZero, distances
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    make_adversarial_scorer,
    robustness_curve,
)

UNIT = ThreatModel("l0", bounds=(0, 1))


def linear_problem(seed, n_features=5, n_classes=3, n=20):
    rng = np.random.default_rng(seed)
    weights = torch.tensor(rng.normal(size=(n_features, n_classes)))
    offset = torch.tensor(0.3 * rng.normal(size=n_classes))
    X = torch.tensor(rng.random((n, n_features)))
    return (lambda x: x @ weights + offset), X, weights


def fewest_by_enumeration(logits, X, y, weights):
    """Try every set of features and every target, each feature at the end that helps it."""
    fewest = torch.full((len(X),), torch.inf, dtype=X.dtype)
    for target in range(weights.shape[1]):
        gain = weights[:, target] - weights[:, y].T
        ends = torch.where(gain > 0, 1.0, 0.0)
        for chosen in itertools.product([False, True], repeat=X.shape[1]):
            wrong = logits(torch.where(torch.tensor(chosen), ends, X)).argmax(dim=1) != y
            fewest = torch.where(wrong & (sum(chosen) < fewest), float(sum(chosen)), fewest)
    return fewest


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), n_classes=st.integers(2, 4))
def test_the_fewest_features_of_a_linear_model_are_found(seed, n_classes):
    logits, X, weights = linear_problem(seed, n_classes=n_classes)
    y = logits(X).argmax(dim=1)
    X_adv = SigmaZero(n_steps=1)(logits, X, y, threat=UNIT)
    found = distances(logits, X, y, X_adv, threat=UNIT)
    assert torch.equal(found, fewest_by_enumeration(logits, X, y, weights))


def test_a_fixed_budget_breaks_what_needs_no_more_features():
    logits, X, weights = linear_problem(0)
    y = logits(X).argmax(dim=1)
    fewest = fewest_by_enumeration(logits, X, y, weights)
    for count in (0, 1, 2, 5):
        X_adv = SigmaZero(n_steps=1)(logits, X, y, eps=count, threat=UNIT)
        wrong = logits(X_adv).argmax(dim=1) != y
        assert torch.equal(wrong, fewest <= count)
        assert ((X_adv != X).sum(dim=1) <= count).all()


def test_immutable_features_and_those_of_unit_0_stay():
    logits, X, _ = linear_problem(1)
    y = logits(X).argmax(dim=1)
    threat = ThreatModel("l0", bounds=(0, 1), immutable=[0, 2], units=[1, 0, 1, 1, 1])
    moved = SigmaZero(n_steps=5)(logits, X, y, threat=threat) != X
    assert not moved[:, :3].any() and moved[:, 3:].any()


@given(
    v=st.lists(st.floats(-3, 3, width=16), min_size=4, max_size=4),
    low=st.lists(st.floats(-1, 0, width=16), min_size=4, max_size=4),
    count=st.integers(1, 5),
)
def test_projection_is_the_nearest_point_of_the_ball_and_the_box(v, low, count):
    v, low = torch.tensor([v], dtype=torch.float64), torch.tensor([low], dtype=torch.float64)
    high, norm = low + 1, L0(count)
    projected = norm.project_into(v, low, high)
    assert norm.size(projected) <= 1 and ((projected >= low) & (projected <= high)).all()
    clipped = v.clamp(low, high)
    best = min(
        float(((torch.where(torch.tensor(kept), clipped, 0) - v) ** 2).sum())
        for kept in itertools.product([False, True], repeat=4)
        if sum(kept) <= count
    )
    assert float(((projected - v) ** 2).sum()) == pytest.approx(best)
    free = torch.full_like(v, torch.inf)
    assert torch.equal(norm.project(v), norm.project_into(v, -free, free))


@given(
    gradient=st.lists(st.floats(-2, 2, width=16), min_size=4, max_size=4),
    climb=st.floats(0, 4, width=16),
    count=st.integers(1, 4),
)
def test_reach_uses_the_fewest_entries_and_farthest_the_best(gradient, climb, count):
    g = torch.tensor([gradient], dtype=torch.float64)
    low, high = torch.full_like(g, -0.25), torch.full_like(g, 0.75)
    gains = torch.where(g > 0, high, -low) * g.abs()
    gains = gains[0].sort(descending=True).values
    needed = int((gains.cumsum(0) - gains < climb).logical_and(gains > 0).sum())
    step = L0(1).reach(g, torch.tensor([climb], dtype=torch.float64), low, high)
    assert int((step != 0).sum()) == needed
    best = L0(count).farthest(g, low, high)
    assert float((best * g).sum()) == pytest.approx(float(gains[:count].sum()))


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return X[::9, :4], y[::9]


def fewest_on_a_grid(estimator, X, y, most):
    places = [np.linspace(low, high, 15) for low, high in zip(X.min(0), X.max(0), strict=True)]
    fewest = np.where(estimator.predict(X) == y, np.inf, 0)
    for count in range(1, most + 1):
        for features in itertools.combinations(range(X.shape[1]), count):
            grid = np.stack(np.meshgrid(*[places[j] for j in features]), -1).reshape(-1, count)
            for i in np.flatnonzero(fewest > count):
                moved = np.repeat(X[i : i + 1], len(grid), axis=0)
                moved[:, features] = grid
                if (estimator.predict(moved) != y[i]).any():
                    fewest[i] = count
    return fewest


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        GaussianNB(),
        DecisionTreeClassifier(random_state=0),
    ],
    ids=["linear", "naive_bayes", "tree"],
)
def test_estimators_need_no_more_features_than_a_grid_finds(estimator, wine):
    X, y = wine
    estimator.fit(X, y)
    threat = ThreatModel.from_data(X, norm="l0")
    fewest = fewest_on_a_grid(estimator, X, y, most=2)
    found = adversarial_distance(estimator, X, y, threat=threat, random_state=0)
    assert (found <= fewest).all() and set(found) <= {0, 1, 2, 3, 4, np.inf}
    curve = robustness_curve(estimator, X, y, eps=[0, 1, 2], threat=threat, random_state=0)
    assert (curve <= [np.mean(fewest > count) for count in range(3)]).all()
    score = make_adversarial_scorer(eps=1, threat=threat)(estimator, X, y)
    assert score == pytest.approx(np.mean(found > 1), abs=0.06)


def test_a_point_beyond_the_count_is_refused():
    X = torch.zeros(1, 3, dtype=torch.float64)
    budget = Budget.of(X, eps=1, threat=UNIT)
    budget.verify(X, torch.tensor([[0.5, 0, 0]], dtype=torch.float64))
    with pytest.raises(ValueError, match="2 times eps in the norm l0"):
        budget.verify(X, torch.tensor([[0.5, 0.1, 0]], dtype=torch.float64))


@pytest.mark.parametrize(
    ("eps", "threat", "message"),
    [
        (1.5, UNIT, "eps must be a whole number of features"),
        (1, "l0", "needs bounds"),
        (1, "linf", "got a threat of norm 'linf'"),
    ],
)
def test_bad_budgets_are_errors(eps, threat, message, wine):
    X, y = wine
    estimator = LogisticRegression(max_iter=1000).fit(X, y)
    scaled = X / 1e4
    with pytest.raises(ValueError, match=re.escape(message)):
        adversarial_accuracy(estimator, scaled, y, eps=eps, threat=threat, attack=SigmaZero())
