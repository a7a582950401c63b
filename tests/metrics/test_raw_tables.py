"""Raw tables: what moves, what stays, and what the estimator sees of it."""

import numpy as np
import pandas as pd
import pytest
from raw_tables import FEW, NEAREST, NUMBERS, QUICK, TEXT, X, Y, fitted, prepared
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import RayS
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    certified_distance,
    robustness_report,
)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_fixed_text_gives_the_figures_of_the_sliced_pipeline(norm):
    whole = X.dropna()
    y = Y[X.notna().all(axis=1)]
    model = fitted(X=whole, y=y)
    encoded = np.asarray(model[:-1].transform(whole))
    seen = model[0].named_transformers_["pipeline"]["standardscaler"]
    raw = ThreatModel(norm, units=dict(zip(NUMBERS, seen.scale_, strict=True)))
    by_hand = ThreatModel(norm, immutable=list(range(2, encoded.shape[1])))
    for eps in (0.05, 0.2, 0.5):
        found, expected = (
            adversarial_accuracy(
                of[0], of[1], y, eps=eps, threat=of[2], attack=QUICK, random_state=0
            )
            for of in ((model, whole, raw), (model[-1], encoded, by_hand))
        )
        assert found == expected
    distances, expected = (
        adversarial_distance(of[0], of[1], y, threat=of[2], attack=NEAREST, random_state=0)
        for of in ((model, whole, raw), (model[-1], encoded, by_hand))
    )
    np.testing.assert_allclose(distances, expected, rtol=1e-3)


def linear_distances(model, X, y, threat):
    """Return the distances in linf to the boundary of a linear pipeline, by hand.

    What is missing does not move: its slope counts for nothing.
    """
    scaler = model[0].named_transformers_["pipeline"]["standardscaler"]
    slope = model[-1].coef_[0][:2] / scaler.scale_
    units = np.array([X[n].std(ddof=0) for n in NUMBERS])
    reach = (X[NUMBERS].notna().to_numpy() * np.abs(slope * units)).sum(axis=1)
    right = model.predict(X) == y
    return np.where(right, np.abs(model.decision_function(X)) / reach, 0)


def test_missing_values_do_not_move():
    model = fitted()
    threat = ThreatModel.from_data(X, bounds=None)
    expected = linear_distances(model, X, Y, threat)
    found = adversarial_distance(model, X, Y, threat=threat, attack=NEAREST, random_state=0)
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    for eps in (0.1, 0.4):
        robust = adversarial_accuracy(model, X, Y, eps=eps, threat=threat, attack="fgsm")
        assert abs(robust - (expected > eps).mean()) <= 1 / len(X)


@pytest.mark.filterwarnings("ignore:The search by labels alone needs errors")
def test_distances_by_labels_leave_out_what_is_missing():
    # Rays move every coordinate; that of a missing value never counts.
    model = fitted()
    threat = ThreatModel.from_data(X, norm="l2", bounds=None, immutable=[*TEXT, "smokes", "age"])
    scaler = model[0].named_transformers_["pipeline"]["standardscaler"]
    slope = model[-1].coef_[0][1] / scaler.scale_[1] * X["income"].std(ddof=0)
    expected = np.abs(model.decision_function(X) / slope)
    found = adversarial_distance(
        model, X, Y, threat=threat, attack=RayS(n_queries=200), random_state=0
    )
    seen = np.isfinite(found) & (found > 0)
    np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-3)
    assert not (seen & X["income"].isna()).any() and seen.sum() > 30


def test_without_a_threat_text_stays():
    model = fitted()
    options = {"eps": 0.5, "attack": QUICK, "random_state": 0}
    raw = adversarial_accuracy(model, X, Y, **options)
    named = ThreatModel(immutable=[*TEXT, "smokes"])
    assert raw == adversarial_accuracy(model, X, Y, threat=named, **options)
    assert raw < model.score(X, Y) == adversarial_accuracy(model, X, Y, eps=0)


class Recorder(FunctionTransformer):
    """A first step that keeps what comes."""

    seen = []

    def transform(self, X):
        type(self).seen.append(X)
        return X


def recorded(model, X, y, **options):
    """Return the frames that a pipeline sees in an evaluation, those of known samples only."""
    pipeline = make_pipeline(Recorder(), prepared(), model).fit(X, y)
    Recorder.seen = []
    adversarial_accuracy(pipeline, X, y, random_state=0, **options)
    frames, Recorder.seen = Recorder.seen, []
    return frames


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_every_point_keeps_to_the_threat_on_the_raw_frame(norm):
    threat = ThreatModel.from_data(X, norm=norm, categories=["plan", "smokes"], max_changes=1)
    eps = 0.3
    frames = recorded(LogisticRegression(max_iter=2000), X, Y, eps=eps, threat=threat, attack=FEW)
    dtypes = {**X.dtypes.to_dict(), "age": np.dtype(float)}
    told = [frame for frame in frames if frame.index.isin(X.index).all()]
    n_moved = n_changed = 0
    for frame in frames:
        assert list(frame.columns) == list(X.columns)
        unmoved = frame.dtypes["age"] == X.dtypes["age"]
        assert frame.dtypes.to_dict() == (X.dtypes.to_dict() if unmoved else dtypes)
    for frame in told:
        original = X.loc[frame.index]
        pd.testing.assert_frame_equal(frame.isna(), original.isna())
        assert frame["grade"].equals(original["grade"])
        moved = (frame[NUMBERS] - original[NUMBERS]).fillna(0) / X[NUMBERS].std(ddof=0)
        order = np.inf if norm == "linf" else 2
        assert np.linalg.norm(moved, order, axis=1).max() <= eps * (1 + 1e-6)
        assert ((frame[NUMBERS] >= X[NUMBERS].min()) | frame[NUMBERS].isna()).all(axis=None)
        assert ((frame[NUMBERS] <= X[NUMBERS].max()) | frame[NUMBERS].isna()).all(axis=None)
        known = frame["plan"].notna()
        changed = (frame["plan"] != original["plan"])[known].reindex(frame.index, fill_value=False)
        changes = changed.astype(int) + (frame["smokes"] != original["smokes"])
        assert changes.max() <= 1 and frame["plan"].dropna().isin(X["plan"].unique()).all()
        n_moved, n_changed = n_moved + int((moved != 0).sum().sum()), n_changed + changes.sum()
    assert n_moved > 100 and n_changed > 100


@pytest.mark.parametrize("dtype", ["int64", "object"])
def test_immutable_numbers_that_float64_cannot_tell_apart_stay(dtype):
    account = np.array([2**60, 2**60 + 1, 2**60 + 2] * 8)
    X = pd.DataFrame({"account": account, "age": np.arange(24.0), "plan": ["a", "b"] * 12})
    X, y = X.astype({"account": dtype}), account % 2
    columns = make_column_transformer(
        (OneHotEncoder(), ["account", "plan"]), remainder="passthrough"
    )
    model = make_pipeline(columns, DecisionTreeClassifier(random_state=0)).fit(X, y)
    threat = ThreatModel(immutable=["account"])
    assert adversarial_accuracy(model, X, y, eps=1e-6, threat=threat) == 1
    assert (certified_distance(model, X, y, threat=threat) == np.inf).all()


@pytest.mark.parametrize("last", [LogisticRegression(), Ridge()], ids=["classifier", "regressor"])
def test_samples_of_which_no_number_can_move_do_not_hide_the_gradients_of_others(last):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.normal(40, 9, 60), "plan": rng.choice(["a", "b"], 60)})
    y = (X["age"] + 5 * (X["plan"] == "a") > 42).to_numpy().astype(int)
    X["age"] = X["age"].mask(rng.random(60) < 0.4)
    encode = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]), (OneHotEncoder(), ["plan"])
    )
    model = make_pipeline(encode, clone(last)).fit(X, y)
    report = robustness_report(
        model, X, y, eps=[0.2], threat=ThreatModel.from_data(X), random_state=0, n_diagnosed=0
    )
    assert X["age"].isna().mean() > 0.3 and report.kind == "white-box"
