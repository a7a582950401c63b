"""Samples under attack: the attack's own verdicts, the worst scores, and the user's container."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from breast_cancer import X, Y, logistic
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_absolute_error
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble, RayS, Square
from sklearn_iso.metrics import adversarial_accuracy, adversarial_error, adversarial_examples

IRIS, KINDS = (part[::3] for part in load_iris(return_X_y=True))
FEW = AttackEnsemble(n_queries=80)
DUAL = {"linf": 1, "l2": 2, "l1": np.inf}


class Labels(ClassifierMixin, BaseEstimator):
    """Nearest class means, of which labels alone are told."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == one].mean(axis=0) for one in self.classes_])
        return self

    def predict(self, X):
        return self.classes_[np.linalg.norm(X[:, None] - self.means_, axis=2).argmin(axis=1)]


MODELS = {
    "linear": (LogisticRegression(max_iter=500), "auto"),
    "margins": (LinearSVC(random_state=0), "auto"),
    "pairs": (SVC(decision_function_shape="ovo"), "pgd"),
    "bayes": (GaussianNB(), "apgd"),
    "step": (LogisticRegression(max_iter=500), "fgsm"),
    "nearest": (LogisticRegression(max_iter=500), "fab"),
    "forest": (RandomForestClassifier(5, random_state=0), FEW),
    "search": (KNeighborsClassifier(3), Square(n_queries=50)),
    "labels": (Labels(), RayS(n_queries=60)),
}


@pytest.mark.parametrize("name", MODELS)
def test_accuracy_is_the_adversarial_accuracy_and_scores_are_never_better(name):
    estimator, attack = MODELS[name]
    estimator.fit(IRIS[::2], KINDS[::2])
    options = {"eps": 0.3, "attack": attack, "random_state": 3}
    X_adv = adversarial_examples(estimator, IRIS, KINDS, **options)
    right = estimator.predict(X_adv) == KINDS
    assert right.mean() == adversarial_accuracy(estimator, IRIS, KINDS, **options)
    assert 0 < right.mean() < estimator.score(IRIS, KINDS)
    assert np.abs(X_adv - IRIS).max() <= 0.3 * (1 + 1e-9)
    again = adversarial_examples(estimator, IRIS, KINDS, **options)
    np.testing.assert_array_equal(X_adv, again)
    if hasattr(estimator, "predict_proba"):
        of_class = np.arange(len(KINDS)), KINDS
        before, after = (estimator.predict_proba(points)[of_class] for points in (IRIS, X_adv))
        # Rounding alone where a sample was wrong and stays as it is.
        held = right | (estimator.predict(IRIS) != KINDS)
        assert (after[held] <= before[held] + 1e-12).all()
        assert log_loss(KINDS, estimator.predict_proba(X_adv)) > log_loss(
            KINDS, estimator.predict_proba(IRIS)
        )


@pytest.mark.parametrize("norm, eps", [("linf", 0.05), ("linf", 0.5), ("l2", 0.5), ("l1", 1.0)])
def test_every_sample_of_a_linear_classifier_is_at_its_worst_point(norm, eps):
    scaled, y = ((X - X.mean(axis=0)) / X.std(axis=0))[::4], Y[::4]
    units = np.linspace(0.5, 2, X.shape[1])
    model = LogisticRegression().fit(scaled, y)
    X_adv = adversarial_examples(
        model, scaled, y, eps=eps, threat=ThreatModel(norm, units=units), random_state=0
    )
    sign = np.where(y == model.classes_[1], 1, -1)
    reach = eps * np.linalg.norm(units * model.coef_[0], DUAL[norm])
    expected = sign * model.decision_function(scaled) - reach
    np.testing.assert_allclose(sign * model.decision_function(X_adv), expected, atol=1e-6)
    expected_loss = np.logaddexp(0, -expected).mean()
    assert abs(log_loss(y, model.predict_proba(X_adv)) - expected_loss) < 1e-6


def test_every_sample_of_a_stump_is_where_its_probability_is_least():
    line = np.linspace(0, 1, 41)[:, np.newaxis]
    y = (line[:, 0] > 0.5).astype(int)
    y[[3, 30]] ^= 1
    tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(line, y)
    X_adv = adversarial_examples(tree, line, y, eps=0.2, attack=FEW, random_state=0)
    found = tree.predict_proba(X_adv)[np.arange(len(y)), y]
    steps = np.linspace(-0.2, 0.2, 401)
    grid = tree.predict_proba((line + steps).reshape(-1, 1)).reshape(len(y), -1, 2)
    least = grid[np.arange(len(y)), :, y].min(axis=1)
    assert np.mean(found <= least + 1e-12) > 0.95
    assert tree.score(X_adv, y) == adversarial_accuracy(
        tree, line, y, eps=0.2, attack=FEW, random_state=0
    )


@pytest.mark.parametrize("attack", ["auto", "pgd"])
def test_misclassified_samples_move_on_where_scores_exist(attack):
    model = LogisticRegression(max_iter=500).fit(IRIS, KINDS)
    wrong = (KINDS + 1) % 3
    X_adv = adversarial_examples(model, IRIS, wrong, eps=0.2, attack=attack, random_state=0)
    assert (model.predict(X_adv) != wrong).mean() > 0.9
    held = model.predict(IRIS) != wrong
    of_class = np.flatnonzero(held), wrong[held]
    before, after = (model.predict_proba(points)[of_class] for points in (IRIS, X_adv))
    assert (after < before).all()


def test_misclassified_samples_stay_where_labels_alone_are_told():
    model = Labels().fit(IRIS, KINDS)
    wrong = model.predict(IRIS) != KINDS
    attack = RayS(n_queries=60)
    X_adv = adversarial_examples(model, IRIS, KINDS, eps=0.3, attack=attack, random_state=0)
    moved = (X_adv != IRIS).any(axis=1)
    assert wrong.any() and not moved[wrong].any()
    np.testing.assert_array_equal(moved, (model.predict(X_adv) != KINDS) & ~wrong)


def test_all_samples_wrong_and_labels_unknown():
    model = LogisticRegression(max_iter=500).fit(IRIS, KINDS)
    wrong = (model.predict(IRIS) + 1) % 3
    X_adv = adversarial_examples(model, IRIS, wrong, eps=0.2, random_state=0)
    assert (X_adv != IRIS).any(axis=1).all() and model.score(X_adv, wrong) == 0
    with pytest.warns(UserWarning, match="not fitted on"):
        X_adv = adversarial_examples(model, IRIS[:4], [7, 7, 0, 0], eps=0.2, random_state=0)
    assert (X_adv != IRIS[:4]).any(axis=1).tolist() == [False, False, True, True]


CONTAINERS = {
    "array": np.asarray,
    "float32": lambda X: X.astype(np.float32),
    "list": lambda X: X.tolist(),
    "pandas": lambda X: pd.DataFrame(X, columns=list("abcd"), index=np.arange(len(X)) * 7),
    "polars": lambda X: pl.DataFrame(X, schema=list("abcd")),
    "sparse": csr_matrix,
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_dtype_columns_and_index_stay(name):
    data = CONTAINERS[name](IRIS)
    model = LogisticRegression(max_iter=500).fit(data, KINDS)
    same, moved = (
        adversarial_examples(model, data, KINDS, eps=eps, attack="pgd", random_state=0)
        for eps in (0, 0.25)
    )
    assert type(same) is type(moved) is (np.ndarray if name == "list" else type(data))
    dense = [one.toarray() if name == "sparse" else np.asarray(one) for one in (same, moved)]
    expected = data.toarray() if name == "sparse" else np.asarray(data)
    np.testing.assert_array_equal(dense[0], expected)
    assert dense[1].dtype == expected.dtype and not np.array_equal(dense[1], expected)
    if name == "pandas":
        pd.testing.assert_index_equal(moved.index, data.index)
        pd.testing.assert_frame_equal(same, data)
    if name == "polars":
        assert same.equals(data) and moved.columns == data.columns
    accuracy = adversarial_accuracy(model, data, KINDS, eps=0.25, attack="pgd", random_state=0)
    assert model.score(moved, KINDS) == accuracy


def test_raw_table_keeps_gaps_text_and_immutables_and_changes_categories():
    rng = np.random.default_rng(0)
    n = 60
    table = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "income": np.where(rng.random(n) < 0.2, np.nan, rng.normal(3, 1, n)),
            "plan": rng.choice(["a", "b"], n),
            "city": rng.choice(["x", "y"], n),
        },
        index=np.arange(n) + 100,
    )
    y = (table["age"] + 8 * (table["plan"] == "a") + rng.normal(0, 3, n) > 44).to_numpy()
    numbers = make_pipeline(SimpleImputer())
    columns = make_column_transformer(
        (numbers, ["age", "income"]), (OneHotEncoder(), ["plan", "city"])
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(table, y)
    threat = ThreatModel(
        units={"age": 2.0, "income": 0.2, "plan": 1.0, "city": 1.0},
        immutable=["city"], categories=["plan"],
    )  # fmt: skip
    options = {"eps": 1.0, "threat": threat, "random_state": 0}
    moved = adversarial_examples(model, table, y, **options)
    assert model.score(moved, y) == adversarial_accuracy(model, table, y, **options)
    assert moved.dtypes.equals(table.dtypes) and moved.index.equals(table.index)
    pd.testing.assert_series_equal(moved["city"], table["city"])
    assert moved["income"].isna().equals(table["income"].isna())
    assert (moved["age"] - table["age"]).abs().max() <= 2 * (1 + 1e-9)
    assert (moved["plan"] != table["plan"]).any() and set(moved["plan"]) <= {"a", "b"}
    assert log_loss(y, model.predict_proba(moved)) > log_loss(y, model.predict_proba(table))


def test_bounds_and_immutables_hold_for_all_samples():
    model = logistic()
    low, high = X.min(axis=0), X.max(axis=0)
    threat = ThreatModel(bounds=(low, high), units=X.std(axis=0), immutable=[0, 5])
    X_adv = adversarial_examples(model, X[::4], Y[::4], eps=0.2, threat=threat, random_state=0)
    assert (X_adv >= low).all() and (X_adv <= high).all()
    np.testing.assert_array_equal(X_adv[:, [0, 5]], X[::4, [0, 5]])


@pytest.mark.parametrize("loss", ["absolute_error", "squared_error"])
def test_regressor_is_at_its_worst_predictions(loss):
    data, target = load_diabetes(return_X_y=True, as_frame=True)
    target = target.to_numpy(copy=True)
    ridge = Ridge().fit(data, target)
    options = {"eps": 0.01, "threat": "l2", "random_state": 0}
    moved = adversarial_examples(ridge, data, target, loss=loss, **options)
    assert moved.columns.equals(data.columns) and moved.index.equals(data.index)
    expected = adversarial_error(ridge, data, target, **options)
    assert mean_absolute_error(target, ridge.predict(moved)) == pytest.approx(expected, rel=1e-9)
    np.testing.assert_array_equal(
        adversarial_examples(ridge, data, target, eps=0, random_state=0), data
    )


def test_loss_is_for_regressors_and_outputs_come_one_by_one():
    model = LogisticRegression(max_iter=500).fit(IRIS, KINDS)
    with pytest.raises(TypeError, match="loss must be left out but for a regressor"):
        adversarial_examples(model, IRIS, KINDS, eps=0.1, loss="squared_error")
    several = DecisionTreeClassifier(max_depth=1).fit(IRIS, np.stack([KINDS, KINDS], axis=1))
    with pytest.raises(TypeError, match=r"at_output\(estimator, output\)"):
        adversarial_examples(several, IRIS, KINDS, eps=0.1)
