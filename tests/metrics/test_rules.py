"""Rules of the data in measures: what the estimator sees obeys them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD, AttackEnsemble
from sklearn_iso.metrics import adversarial_accuracy, adversarial_distance

QUICK = {"random_state": 0, "attack": PGD(n_steps=10)}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.integers(0, 6, 40).astype(float), "b": rng.uniform(1, 6, 40)})
    X["total"], X["ratio"] = X["a"] + X["b"], X["a"] / X["b"]
    y = np.where(X["a"] - X["b"] + rng.normal(size=40) > 0, "more", "less")
    return X, y, LogisticRegression(max_iter=1000).fit(X, y)


def with_ratio(X):
    return X.assign(ratio=X["a"] / X["b"])


class Seen:
    """A classifier that remembers what it was asked about."""

    def __init__(self, model):
        self.model, self.classes_, self.frames = model, model.classes_, []
        self._estimator_type = "classifier"

    def fit(self, X, y):
        return self

    def __sklearn_tags__(self):
        return self.model.__sklearn_tags__()

    def predict(self, X):
        self.frames.append(X)
        return self.model.predict(X)

    def decision_function(self, X):
        self.frames.append(X)
        return self.model.decision_function(X)


def test_whole_numbers_of_a_tree_are_those_of_enumeration():
    grid = np.array([[a, b] for a in range(7) for b in range(7)], dtype=float)
    rng = np.random.default_rng(0)
    tree = DecisionTreeClassifier(random_state=0).fit(
        grid, rng.integers(0, 2, len(grid)) | (grid[:, 0] > 3)
    )
    X = grid[::2]
    y = tree.predict(X)
    steps = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    points = (X[:, None] + steps).reshape(-1, 2)
    may = ((points >= 0) & (points <= 6)).all(axis=1) & (points[:, 0] >= points[:, 1] - 3)
    may |= (points == np.repeat(X, 9, axis=0)).all(axis=1)
    wrong = (tree.predict(points) != np.repeat(y, 9)) & may
    obey = X[:, 0] >= X[:, 1] - 3
    expected = ~wrong.reshape(-1, 9).any(axis=1)[obey]
    threat = ThreatModel(integers=[0, 1], relations=["x0 >= x1 - 3"], bounds=(0, 6))
    attack = AttackEnsemble(n_queries=100)
    found = adversarial_accuracy(
        tree, X[obey], y[obey], eps=1.4, threat=threat, attack=attack, random_state=0
    )
    assert 0 < expected.mean() < 1
    assert found == pytest.approx(expected.mean())


def test_repaired_points_are_what_the_estimator_sees(table):
    X, y, model = table
    seen = Seen(model)
    threat = ThreatModel(units=[1, 1, 2, 50], repair=with_ratio, relations=["total == a + b"],
                         bounds=({"a": 0, "b": 0.5, "total": 0, "ratio": 0}, 100))  # fmt: skip
    attack = AttackEnsemble(n_queries=30)
    accuracy = adversarial_accuracy(
        seen, X, y, eps=0.5, threat=threat, attack=attack, random_state=0
    )
    assert accuracy < model.score(X, y)
    for frame in seen.frames:
        if frame["total"].max() == 100:
            continue  # a question far from the data, whether there are scores at all
        assert list(frame.columns) == list(X.columns)
        np.testing.assert_allclose(frame["ratio"], frame["a"] / frame["b"])
        np.testing.assert_allclose(frame["total"], frame["a"] + frame["b"])


def test_points_that_are_not_valid_do_not_count(table):
    X, y, model = table
    free = adversarial_accuracy(model, X, y, eps=1, **QUICK)
    still = ThreatModel(is_valid=lambda f: f.isin(X.to_dict("list")).all(axis=1))
    assert (
        adversarial_accuracy(model, X, y, eps=1, threat=still, **QUICK) == model.score(X, y) > free
    )
    some = ThreatModel(is_valid=lambda frame: frame["b"] >= X["b"].min())
    assert (
        free <= adversarial_accuracy(model, X, y, eps=1, threat=some, **QUICK) <= model.score(X, y)
    )


def test_distances_obey(table):
    X, y, model = table
    free = adversarial_distance(model, X, y, threat="l2", random_state=0)
    threat = ThreatModel("l2", relations=["total == a + b"], integers=["a"])
    ruled = adversarial_distance(model, X, y, threat=threat, random_state=0)
    right = (free > 0) & np.isfinite(ruled)
    assert right.any() and (ruled[right] >= free[right] * (1 - 1e-3)).all()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"repair": lambda X: X.assign(a=X["a"] + 1), "immutable": ["a"]},
            "leave immutable features",
        ),
        ({"repair": lambda X: X + 5}, "stay within eps"),
        ({"repair": lambda X: X[["a"]]}, "must return the columns of X"),
        ({"repair": lambda X: X.to_numpy()[:1]}, "must return values of shape"),
        ({"repair": lambda X: X.astype(str) + "?"}, "must return an X of numbers"),
        (
            {"is_valid": lambda X: X["a"] > 3},
            "is_valid must hold for X itself, repaired or not; it does not for",
        ),
        ({"is_valid": lambda X: [1] * len(X)}, "one bool for each sample"),
        ({"relations": ["total == a"]}, "X must obey the relation 'total == a'"),
        ({"integers": ["b"]}, "integers must name columns of whole numbers"),
    ],
)
def test_rules_that_do_not_fit(table, parts, message):
    X, y, model = table
    with pytest.raises(ValueError, match=message):
        adversarial_accuracy(model, X, y, eps=1, threat=ThreatModel(**parts), **QUICK)
