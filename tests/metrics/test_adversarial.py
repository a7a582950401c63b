"""Adversarial accuracy against closed forms, and with what users really pass."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from breast_cancer import MEDIAN, X, Y, logistic
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD
from sklearn_iso.metrics._adversarial import adversarial_accuracy
from sklearn_iso.twins import NotDifferentiableError, register

COLUMNS = list(load_breast_cancer().feature_names)
IRIS = load_iris(return_X_y=True)
DUAL_ORDER = {"linf": 1, "l2": 2, "l1": np.inf}


def exact_distances(pipeline, norm, units=1.0):
    """Signed distance of each row to the boundary, in units; negative if misclassified."""
    w = pipeline[-1].coef_[0] / pipeline[0].scale_
    signed = pipeline.decision_function(X) * np.where(pipeline.classes_[1] == Y, 1, -1)
    return signed / np.linalg.norm(w * units, ord=DUAL_ORDER[norm])


@pytest.mark.parametrize("attack", ["pgd", "fgsm"])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_linear_pipeline_has_the_exact_share_of_rows_beyond_the_budget(norm, attack):
    """Raw units: the scaler stands between the budget and the classifier."""
    pipeline = logistic()
    distances = exact_distances(pipeline, norm)
    for eps in np.quantile(distances, [0.2, 0.5, 0.8]):
        robust = adversarial_accuracy(
            pipeline, X, Y, eps=eps, threat=norm, attack=attack, random_state=0
        )
        assert np.mean(distances > 1.01 * eps) <= robust <= np.mean(distances > 0.99 * eps)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_units_count_each_feature_in_its_own_unit(norm):
    pipeline = logistic()
    units = X.std(axis=0)
    units[4] = 0
    distances = exact_distances(pipeline, norm, units)
    factor = np.median(distances)
    threat = ThreatModel(norm, units=units)
    robust = adversarial_accuracy(pipeline, X, Y, eps=factor, threat=threat, random_state=0)
    assert np.mean(distances > 1.01 * factor) <= robust <= np.mean(distances > 0.99 * factor)


def test_zero_eps_is_exactly_the_accuracy_also_without_gradients():
    pipeline = logistic()
    forest = RandomForestClassifier(5, random_state=0).fit(X[::2], Y[::2])
    for estimator in (pipeline, forest):
        for eps in (0, np.float32(0)):
            assert adversarial_accuracy(estimator, X, Y, eps=eps) == estimator.score(X, Y)


def test_point_misclassified_without_an_attack_counts_as_misclassified():
    pipeline = logistic()
    wrong = pipeline.classes_[1 - pipeline.predict(X)]
    assert adversarial_accuracy(pipeline, X, wrong, eps=1.0) == 0
    half = np.where(np.arange(len(X)) % 2, pipeline.predict(X), wrong)
    clean = np.mean(pipeline.predict(X) == half)
    assert adversarial_accuracy(pipeline, X, half, eps=1e-9, random_state=0) == clean


class Spy:
    """Attack that notes its arguments and returns the points that it is given."""

    def __init__(self, X_adv=None):
        self.X_adv = X_adv

    def __call__(self, logits, X, y, *, eps, threat):
        self.X, self.y = X, y
        return X if self.X_adv is None else self.X_adv(X)


def test_only_rows_that_are_right_are_attacked():
    pipeline, spy = logistic(X[:100], Y[:100]), Spy()
    right = pipeline.predict(X) == Y
    assert 0 < right.sum() < len(X)
    assert adversarial_accuracy(pipeline, X, Y, eps=0.1, attack=spy) == right.mean()
    np.testing.assert_array_equal(spy.X, X[right])
    np.testing.assert_array_equal(spy.y, Y[right])


class Rounding(ClassifierMixin, BaseEstimator):
    """A classifier that rounds, with a twin that does not and is more easily misclassified."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(np.round(X[:, 0]) > 0).astype(int)]

    def to_torch(self):
        return _Ramp()


class _Ramp(torch.nn.Module):
    def forward(self, X):
        return torch.stack([0.5 - X[:, 0], X[:, 0] - 0.5], dim=1)


class Counted(LogisticRegression):
    """A logistic regression that counts its calls of predict."""

    def predict(self, X):
        self.n_calls_ = getattr(self, "n_calls_", 0) + 1
        self.last_ = X
        return super().predict(X)


def test_the_real_estimator_has_the_last_word():
    """At 0.5 the rounded value is still 0: just beyond, the twin errs, the estimator does not."""
    X = np.array([[0.0], [1.0], [-3.0], [4.0]])
    estimator = Rounding().fit(X, [0, 1, 0, 1])
    stay = Spy(lambda X: X.clamp(-1, 1) * 0 + torch.tensor([[0.5], [0.6], [-3.0], [4.0]]))
    assert adversarial_accuracy(estimator, X, [0, 1, 0, 1], eps=0.6, attack=stay) == 1
    move = Spy(lambda X: torch.tensor([[0.55], [0.45], [-3.0], [4.0]], dtype=X.dtype))
    assert adversarial_accuracy(estimator, X, [0, 1, 0, 1], eps=0.6, attack=move) == 0.5


def test_predict_is_called_three_times():
    """On the data, to compare the twin, and on the perturbed points."""
    counted = Counted(max_iter=200).fit(*IRIS)
    adversarial_accuracy(counted, *IRIS, eps=0.2, random_state=0)
    assert counted.n_calls_ == 3


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["benign", "malignant"])[Y],
        np.array(["benign", "malignant"], dtype=object)[Y],
        Y.astype(bool),
        Y * 2 - 5,
        pd.Series(np.array(["b", "m"])[Y]),
        pl.Series(np.array(["b", "m"])[Y]),
        Y.tolist(),
    ],
    ids=["string", "object", "bool", "negative", "pandas", "polars", "list"],
)
def test_labels_of_any_kind_give_the_same_result(labels):
    expected = adversarial_accuracy(logistic(), X, Y, eps=MEDIAN, random_state=0)
    pipeline = logistic(y=labels)
    assert 0.1 < expected < 0.9
    assert adversarial_accuracy(pipeline, X, labels, eps=MEDIAN, random_state=0) == expected


@pytest.mark.parametrize(
    "frame",
    [
        lambda X: pd.DataFrame(X, columns=COLUMNS, index=np.arange(len(X))[::-1] + 7),
        lambda X: pl.DataFrame(X, schema=COLUMNS),
    ],
    ids=["pandas", "polars"],
)
@pytest.mark.filterwarnings("error")
def test_frames_come_back_as_frames_with_their_columns(frame):
    expected = adversarial_accuracy(logistic(), X, Y, eps=MEDIAN, random_state=0)
    table = frame(X)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(table, Y)
    assert adversarial_accuracy(pipeline, table, Y, eps=MEDIAN, random_state=0) == expected
    counted = Counted(max_iter=5000).fit(table, Y)
    adversarial_accuracy(counted, table, Y, eps=0.1, attack=PGD(n_steps=2), random_state=0)
    assert type(counted.last_) is type(table) and list(counted.last_.columns) == COLUMNS


def test_frame_keeps_the_index_of_the_rows_that_were_attacked():
    table = pd.DataFrame(X, columns=COLUMNS, index=np.arange(len(X)) + 1000)
    counted = Counted(max_iter=5000).fit(table[:100], Y[:100])
    right = counted.predict(table) == Y
    adversarial_accuracy(counted, table, Y, eps=0.1, attack=PGD(n_steps=2), random_state=0)
    assert list(counted.last_.index) == list(table.index[right])


@pytest.mark.parametrize(
    "dtype, attacked",
    [
        (np.uint8, np.float32),
        (np.int16, np.float32),
        (np.int32, np.float64),
        (np.int64, np.float64),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
    ],
)
def test_dtype_of_the_attack_follows_x(dtype, attacked):
    digits, labels = load_digits(return_X_y=True)
    digits = digits[:200].astype(dtype)
    counted = Counted(max_iter=2000).fit(digits, labels[:200])
    robust = adversarial_accuracy(
        counted, digits, labels[:200], eps=1.5, threat=ThreatModel(bounds=(0, 16)), random_state=0
    )
    assert counted.last_.dtype == attacked
    assert counted.last_.min() >= 0 and counted.last_.max() <= 16
    assert 0 < robust < 1


def test_lists_and_read_only_strided_arrays_are_welcome():
    expected = adversarial_accuracy(logistic(), X, Y, eps=MEDIAN, random_state=0)
    frozen = np.asfortranarray(X)
    frozen.flags.writeable = False
    for same in (X.tolist(), frozen, X[:, ::-1][:, ::-1]):
        assert adversarial_accuracy(logistic(), same, Y, eps=MEDIAN, random_state=0) == expected


def test_bounds_bind_the_raw_features():
    pipeline = logistic(*IRIS, scaler=MinMaxScaler())
    x, label = IRIS[0][:1], IRIS[1][:1]
    near = (x[0] - 0.05, x[0] + 0.05)
    for bounds, robust in ((near, 1), (None, 0)):
        options = {"eps": 2.0, "threat": ThreatModel(bounds=bounds), "random_state": 0}
        assert adversarial_accuracy(pipeline, x, label, **options) == robust


def test_norm_by_name_and_by_order_are_the_same():
    by_name, by_order = (
        adversarial_accuracy(logistic(), X, Y, eps=MEDIAN, threat=norm, random_state=0)
        for norm in ("linf", np.inf)
    )
    assert 0.1 < by_name == by_order < 0.9


@pytest.mark.parametrize("random_state", [0, 7])
def test_random_state_repeats_and_leaves_the_global_generators_alone(random_state):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again = (
        adversarial_accuracy(logistic(), X, Y, eps=MEDIAN, random_state=state)
        for state in (random_state, random_state)
    )
    assert first == again
    adversarial_accuracy(logistic(), X, Y, eps=MEDIAN, random_state=None, attack=PGD(n_steps=2))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


def test_options_reach_the_attack():
    seen = {}

    def attack(logits, X, y, *, random_state, **others):
        seen.update(others, random_state=random_state)
        return X

    options = {"random_state": 5, "threat": ThreatModel("l2", bounds=(0, 5000))}
    adversarial_accuracy(logistic(), X, Y, eps=0.1, attack=attack, **options)
    assert seen == {"eps": 0.1, **options}


def test_attack_that_leaves_the_budget_is_an_error():
    spy = Spy(lambda X: X + 0.2)
    with pytest.raises(ValueError, match="found a perturbation of 2 times eps"):
        adversarial_accuracy(logistic(), X, Y, eps=0.1, attack=spy)


def nan_at_the_start(X):
    X = X.copy()
    X[0, 0] = np.nan
    return X


@pytest.mark.parametrize(
    "change, message",
    [
        ({"eps": -1.0}, "eps must be finite and not negative; got -1.0"),
        ({"eps": np.full(30, 0.1)}, "eps must be one number(.|\\n)*Pass .* as units"),
        ({"threat": "l3"}, "threat must be a ThreatModel or a norm, one of 'linf'"),
        (
            {"threat": ThreatModel(units=[0.1, 0.2])},
            r"one for each feature, of shape \(30,\); got shape \(2,\)",
        ),
        ({"attack": "magic"}, "attack must be one of 'auto', .*, or a callable; got 'magic'"),
        ({"attack": PGD}, r"attack must be one of .*Pass PGD\(\), for example"),
        ({"random_state": -1}, "'random_state' parameter"),
        (
            {"threat": ThreatModel(bounds=(0, 1))},
            r"X must lie inside bounds=\(0, 1\); found a maximum of 4254",
        ),
        ({"X": nan_at_the_start(X)}, "Input X contains NaN"),
        ({"X": X[:0], "y": Y[:0]}, "0 sample"),
        ({"X": X.astype(str).astype(object) + "?"}, r"X must hold numbers.*found '17.99\?'"),
        ({"y": Y[:-1]}, "inconsistent numbers of samples"),
        ({"y": Y.astype(str)}, r"found \['0', '1'\] of dtype <U"),
        ({"y": np.column_stack([Y, Y])}, "1d array"),
    ],
)
def test_bad_arguments_are_errors_that_say_what_came(change, message):
    arguments = {"X": X, "y": Y, "eps": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        adversarial_accuracy(logistic(), **arguments)


def test_x_outside_bounds_is_an_error_even_where_misclassified():
    pipeline = logistic()
    wrong = int(np.flatnonzero(pipeline.predict(X) != Y)[0])
    outside = X.copy()
    outside[wrong] *= -1
    with pytest.raises(ValueError, match="found a minimum of -"):
        adversarial_accuracy(pipeline, outside, Y, eps=0, threat=ThreatModel(bounds=(0, 1e4)))


def test_estimators_that_cannot_be_attacked_are_errors():
    with pytest.raises(TypeError, match="must be a classifier; got Ridge"):
        adversarial_accuracy(Ridge().fit(X, Y), X, Y, eps=0.1)
    with pytest.raises(NotFittedError):
        adversarial_accuracy(make_pipeline(StandardScaler(), LogisticRegression()), X, Y, eps=0.1)
    with pytest.raises(NotDifferentiableError, match="DecisionTreeClassifier cannot be"):
        adversarial_accuracy(DecisionTreeClassifier().fit(X, Y), X, Y, eps=0.1, attack="pgd")
    with pytest.raises(ValueError, match="'estimator' parameter"):
        adversarial_accuracy("classifier", X, Y, eps=0.1)
    several = DecisionTreeClassifier().fit(X, np.column_stack([Y, Y]))
    with pytest.raises(TypeError, match="one label for each sample"):
        adversarial_accuracy(several, X, Y, eps=0.1)


class Contrary(LogisticRegression):
    """Inherits the twin of its parent, but predicts otherwise."""

    def predict(self, X):
        return self.classes_[1 - super().predict(X)]


def test_twin_that_predicts_otherwise_is_an_error_for_attacks_by_gradients():
    with pytest.raises(ValueError, match="twin must predict as the estimator does; it differs"):
        adversarial_accuracy(Contrary(max_iter=5000).fit(X, Y), X, Y, eps=0.1, attack="pgd")


def test_twin_with_the_wrong_number_of_scores_is_an_error():
    class Wide(LogisticRegression):
        pass

    @register(Wide)
    def _(estimator):
        return torch.nn.Identity()

    with pytest.raises(ValueError, match="one score for each of the 2 classes"):
        adversarial_accuracy(Wide(max_iter=5000).fit(X, Y), X, Y, eps=0.1)
