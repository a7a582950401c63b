"""Tables as users pass them: text, categories, booleans and missing values, through pipelines."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from releases import SKLEARN_1_8, since_1_8
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD, AttackEnsemble, MinimumNormEnsemble, RayS
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    certified_distance,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.metrics._access import Access, AccessKind
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._raw_table import table_of
from sklearn_iso.plotting import AdversarialExamplesDisplay, RobustnessCurveDisplay

NUMBERS, TEXT = ["age", "income"], ["plan", "grade"]
#: Enough where pipelines are linear, and where categories are few or steps are wide.
QUICK, FEW = PGD(n_steps=10), AttackEnsemble(n_queries=20)
NEAREST = MinimumNormEnsemble(n_steps=30, n_queries=0)


def people(n=80, seed=0):
    """Return a raw table and labels: numbers, text, categories, booleans, and gaps."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "plan": rng.choice(["basic", "family", "work"], n),
            "income": rng.normal(50, 10, n),
            "smokes": rng.uniform(size=n) < 0.4,
            "grade": pd.Categorical(rng.choice(["x", "y"], n)),
        },
        index=[f"s{number}" for number in range(n)],
    )
    margin = (X["age"] - 49) / 18 + 1.5 * (X["plan"] == "family") + X["smokes"]
    y = (margin + (X["income"] - 50) / 20 + rng.normal(0, 0.5, n) > 0.7).to_numpy().astype(int)
    X.loc[X.index[::7], "income"] = np.nan
    X.loc[X.index[::9], "plan"] = None
    return X, y


X, Y = people()


def prepared(numbers=None, text=None):
    numbers = make_pipeline(SimpleImputer(), StandardScaler()) if numbers is None else numbers
    text = OneHotEncoder(handle_unknown="ignore") if text is None else text
    return make_column_transformer((numbers, NUMBERS), (text, TEXT), remainder="passthrough")


def fitted(model=None, X=X, y=Y, **parts):
    model = LogisticRegression(max_iter=2000) if model is None else model
    return make_pipeline(prepared(**parts), model).fit(X, y)


def access(model, X=X, y=Y, threat=None):
    threat = ThreatModel.from_data(X) if threat is None else threat
    return Access.of(Problem.of(model, X, y, threat=threat))


# What moves is the same as where the pipeline is sliced by hand.


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


# Categories that may change.


def brute_force(model, X, y, values, max_changes):
    """Return the share of samples that no change of categories gets misclassified."""
    robust = model.predict(X) == y
    for columns in itertools.combinations(values, max_changes):
        for chosen in itertools.product(*(values[column] for column in columns)):
            changed = X.copy()
            for column, value in zip(columns, chosen, strict=True):
                known = X[column].notna()
                dtype = X[column].dtype
                changed[column] = X[column].astype(object).mask(known, value).astype(dtype)
            robust &= model.predict(changed) == y
    return robust.mean()


@pytest.mark.filterwarnings("ignore:The search by labels alone needs errors")
@pytest.mark.parametrize("max_changes", [1, 2, 3])
@pytest.mark.parametrize(
    "model",
    [LogisticRegression(max_iter=2000), DecisionTreeClassifier(max_depth=6, random_state=0)],
    ids=repr,
)
def test_changing_categories_find_what_every_combination_finds(model, max_changes):
    columns = ["plan", "smokes", "grade"]
    values = {column: X[column].dropna().unique().tolist() for column in columns}
    model = fitted(model, numbers=make_pipeline(SimpleImputer(), StandardScaler()))
    threat = ThreatModel.from_data(X, categories=columns, max_changes=max_changes)
    options = {"threat": threat, "random_state": 0}
    attack = FEW if isinstance(model[-1], DecisionTreeClassifier) else QUICK
    found = adversarial_accuracy(model, X, Y, eps=1e-9, attack=attack, **options)
    expected = brute_force(model, X, Y, values, max_changes)
    assert found == expected < model.score(X, Y)
    few = MinimumNormEnsemble(n_queries=5)
    distance = adversarial_distance(model, X, Y, attack=few, **options)
    assert (distance > 0).mean() == expected


def test_categories_are_those_of_the_data_of_the_threat_and_of_the_samples():
    model, some = fitted(), X[X["plan"] != "family"]
    y = Y[X["plan"] != "family"]
    options = {"eps": 1e-9, "random_state": 0, "attack": QUICK}
    rates = {
        name: adversarial_accuracy(model, some, y, threat=threat, **options)
        for name, threat in {
            "samples": ThreatModel(categories=["plan"]),
            "data": ThreatModel.from_data(X, categories=["plan"]),
        }.items()
    }
    values = {"samples": ["basic", "work"], "data": ["basic", "family", "work"]}
    for name, known in values.items():
        assert rates[name] == brute_force(model, some, y, {"plan": known}, 1)
    assert rates["data"] < rates["samples"]


def test_all_means_every_column_that_holds_no_numbers():
    listed = ThreatModel.from_data(X, categories=["plan", "smokes", "grade"])
    assert ThreatModel.from_data(X, categories="all") == listed
    model = fitted()
    by_hand = ThreatModel(units={"age": 18, "income": 10}, categories="all", max_changes=2)
    named = replace(by_hand, categories=["grade", "plan", "smokes"])
    first, second = (
        adversarial_accuracy(model, X, Y, eps=0.1, threat=threat, attack=QUICK, random_state=0)
        for threat in (by_hand, named)
    )
    assert first == second
    but_one = replace(by_hand, immutable=["plan"])
    options = {"threat": but_one, "attack": QUICK, "random_state": 0}
    assert first < adversarial_accuracy(model, X, Y, eps=0.1, **options)


def test_numbers_may_stand_for_categories():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=80), "colour": rng.integers(0, 4, 80)})
    y = (frame["size"] + 2 * (frame["colour"] == 2) > 1).astype(int).to_numpy()
    encode = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(frame, y)
    threat = ThreatModel(categories=["colour"])
    assert access(model, frame, y, threat).kind is AccessKind.WHITE_BOX
    expected = brute_force(model, frame, y, {"colour": range(4)}, 1)
    options = {"eps": 1e-9, "attack": QUICK, "random_state": 0}
    assert expected == adversarial_accuracy(model, frame, y, threat=threat, **options)
    array = frame.to_numpy()
    by_number = make_pipeline(
        make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough"),
        LogisticRegression(max_iter=2000),
    ).fit(array, y)
    threat = ThreatModel(categories=[1])
    assert expected == adversarial_accuracy(by_number, array, y, threat=threat, **options)


def test_one_hot_groups_stand_beside_raw_columns():
    dummies = pd.get_dummies(X["plan"], prefix="plan").join(X[["age", "grade"]])
    encode = make_column_transformer((OneHotEncoder(), ["grade"]), remainder="passthrough")
    known = X["plan"].notna()
    frame, y = dummies[known], Y[known]
    model = make_pipeline(encode, StandardScaler(), LogisticRegression(max_iter=2000)).fit(frame, y)
    group = [name for name in frame.columns if name.startswith("plan_")]
    rates = [
        adversarial_accuracy(model, frame, y, eps=1e-9, threat=threat, attack=QUICK, random_state=0)
        for threat in (
            ThreatModel(),
            ThreatModel(categories=[group]),
            ThreatModel(categories=[group, "grade"], max_changes=2),
        )
    ]
    assert rates[0] > rates[1] > rates[2] or rates[0] > rates[1] == rates[2]


# What the estimator sees.


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


@pytest.mark.parametrize(
    "dtypes",
    [
        {"smokes": "boolean", "age": "Int64", "income": "Float64"},
        {"age": object, "plan": object, "income": object, "smokes": object},
        {"age": "float32", "plan": "category"},
    ],
    ids=["nullable", "object", "category"],
)
def test_dtypes_of_the_user_stay_and_give_one_figure(dtypes):
    frame = X.astype(dtypes)
    options = {"categories": ["plan", "grade"], "bounds": None}
    threat, usual = (ThreatModel.from_data(one, **options) for one in (frame, X))
    table = Problem.of(fitted(X=frame), frame, Y, threat=threat).table
    seen = table.with_values(table.values)
    expected = frame.astype({"age": "Float64"}) if dtypes["age"] == "Int64" else frame
    pd.testing.assert_frame_equal(seen.set_axis(frame.index), expected)
    first, second = (
        adversarial_accuracy(
            fitted(X=one), one, Y, eps=0.2, threat=of_it, attack=QUICK, random_state=0
        )
        for one, of_it in ((frame, threat), (X, usual))
    )
    assert abs(first - second) <= 1 / len(X)


def in_polars(frame):
    values = {name: [None if pd.isna(one) else one for one in frame[name]] for name in frame}
    return pl.DataFrame(values)


@since_1_8
@pytest.mark.parametrize("categories", [None, "all"])
def test_polars_arrays_and_lists_give_the_figure_of_pandas(categories):
    frame, units = X.astype({"grade": str}), {"age": 18.0, "income": 10.0}
    options = {"eps": 0.2, "attack": QUICK, "random_state": 0}
    threat = ThreatModel(units=units, categories=categories)
    expected = adversarial_accuracy(fitted(X=frame), frame, Y, threat=threat, **options)
    polars = in_polars(frame)
    assert polars["plan"].null_count() and polars["income"].null_count()
    model = fitted(X=polars)
    assert adversarial_accuracy(model, polars, Y, threat=threat, **options) == expected
    table = Problem.of(model, polars, Y, threat=threat).table
    assert table.with_values(table.values).equals(polars.with_columns(pl.col("age").cast(float)))
    encode = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), [0, 2]),
        (OneHotEncoder(handle_unknown="ignore"), [1, 4]),
        remainder="passthrough",
    )
    threat = ThreatModel(units=[18.0, 1.0, 10.0, 1.0, 1.0], categories=categories)
    for rows in (frame.to_numpy(), frame.to_numpy().tolist()):
        model = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(frame.to_numpy(), Y)
        assert adversarial_accuracy(model, rows, Y, threat=threat, **options) == expected


def test_numbers_alone_with_gaps_need_an_estimator_that_takes_them():
    holes = X[NUMBERS].to_numpy(dtype=float)
    model = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), GaussianNB())
    model.fit(holes, Y)
    found = access(model, holes)
    assert found.kind is AccessKind.WHITE_BOX and "equals" in found.reason
    options = {"attack": QUICK, "random_state": 0}
    assert adversarial_accuracy(model, holes, Y, eps=5.0, **options) < model.score(holes, Y)
    boosted = HistGradientBoostingClassifier(max_iter=5).fit(holes, Y)
    rate = adversarial_accuracy(boosted, holes, Y, eps=1e-6, attack=FEW, random_state=0)
    assert rate == boosted.score(holes, Y)
    whole = LogisticRegression(max_iter=2000).fit(np.nan_to_num(holes), Y)
    with pytest.raises(ValueError, match="column 1 .*contains NaN"):
        adversarial_accuracy(whole, holes, Y, eps=1.0)


# Differentiable models of pipelines that take raw columns.


def words(X):
    return X.assign(note=np.where(X["smokes"], "smokes a lot", "likes to run"))


@pytest.mark.parametrize(
    "model, frame",
    [
        (lambda: fitted(text=TargetEncoder(cv=KFold(3) if SKLEARN_1_8 else 3)), X),
        (
            lambda: fitted(
                text=make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder()
                )
            ),
            X,
        ),
        (lambda: fitted(numbers=SimpleImputer(strategy="median", add_indicator=True)), X),
        (
            lambda: make_pipeline(
                make_column_transformer(
                    (
                        make_pipeline(SimpleImputer(), StandardScaler()),
                        make_column_selector(dtype_include=["number"]),
                    ),
                    (OneHotEncoder(), lambda X: ["plan", "grade"]),
                    (StandardScaler(), ["smokes"]),
                ).set_output(transform="default"),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            X,
        ),
        (
            lambda: make_pipeline(
                make_column_transformer(
                    (CountVectorizer(), "note"), (SimpleImputer(), NUMBERS), ("drop", TEXT)
                ),
                LogisticRegression(max_iter=2000),
            ).fit(words(X), Y),
            words(X),
        ),
        (
            lambda: make_pipeline(
                make_column_transformer((prepared(), [*NUMBERS, *TEXT]), ("drop", ["smokes"])),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            X,
        ),
        (lambda: VotingClassifier([("a", fitted()), ("b", fitted())], voting="soft").fit(X, Y), X),
        (lambda: CalibratedClassifierCV(fitted(), cv=2, ensemble=False).fit(X, Y), X),
        (lambda: GridSearchCV(fitted(), {"logisticregression__C": [1.0]}, cv=2).fit(X, Y), X),
    ],
    ids="target imputed indicator selectors text nested voting calibrated search".split(),
)
def test_pipelines_of_raw_columns_have_a_differentiable_model(model, frame):
    model = model()
    found = access(model, frame)
    assert found.kind is AccessKind.WHITE_BOX and "equals the estimator" in found.reason
    threat, attack = ThreatModel.from_data(frame), PGD(n_steps=5)
    options = {"eps": 0.3, "threat": threat, "attack": attack, "random_state": 0}
    assert adversarial_accuracy(model, frame, Y, **options) < model.score(frame, Y)


def test_columns_may_stand_in_another_order_than_in_the_fit():
    model, turned = fitted(), X[X.columns[::-1]]
    options = {"eps": 0.2, "random_state": 0, "attack": PGD()}
    threat = ThreatModel.from_data(X, categories=["plan"])
    found, expected = (
        adversarial_accuracy(model, frame, Y, threat=threat, **options) for frame in (turned, X)
    )
    assert found == expected


@pytest.mark.parametrize(
    "model, reason",
    [
        (
            lambda: make_pipeline(
                make_column_transformer(
                    (
                        make_pipeline(
                            SimpleImputer(strategy="most_frequent"),
                            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                        ),
                        ["plan", "age"],
                    )
                ),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            "column 'plan' holds no numbers and stands beside column 'age', which moves",
        ),
        (
            lambda: make_pipeline(
                make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["age"])),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            "column 'age' moves as a number",
        ),
        (
            lambda: make_pipeline(
                FunctionTransformer(lambda X: X[NUMBERS].fillna(0)),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            "'functiontransformer' .*stands beside column 'age', which moves",
        ),
        (lambda: fitted(numbers=KNNImputer()), "scores of its twin are not finite"),
    ],
    ids="mixed codes function neighbours".split(),
)
def test_other_pipelines_are_searched_without_gradients(model, reason):
    found = access(model())
    assert found.kind is AccessKind.SCORES
    assert re.search(reason, found.reason), found.reason


def test_trees_behind_raw_columns_are_searched():
    model = fitted(RandomForestClassifier(5, random_state=0))
    threat = ThreatModel.from_data(X, categories=["plan"])
    assert access(model, threat=threat).kind is AccessKind.SCORES
    rate = adversarial_accuracy(model, X, Y, eps=0.3, threat=threat, attack=FEW, random_state=0)
    fixed = ThreatModel.from_data(X)
    assert rate < adversarial_accuracy(model, X, Y, eps=0.3, threat=fixed, attack=FEW,
                                       random_state=0) < model.score(X, Y)  # fmt: skip


def test_boosting_on_native_categories():
    frame = X.astype({"plan": "category"})
    model = HistGradientBoostingClassifier(
        min_samples_leaf=5, max_iter=20, categorical_features="from_dtype"
    )
    model.fit(frame, Y)
    threat = ThreatModel.from_data(frame, categories=["plan", "grade"], max_changes=2)
    values = {"plan": ["basic", "family", "work"], "grade": ["x", "y"]}
    found = adversarial_accuracy(
        model, frame, Y, eps=1e-9, threat=threat, attack=FEW, random_state=0
    )
    assert found == brute_force(model, frame, Y, values, 2) < model.score(frame, Y)


# Measures around the accuracy.


def test_curve_report_and_displays_of_a_raw_table():
    model, threat = fitted(), ThreatModel.from_data(X, categories=["plan"])
    options = {"eps": [0, 0.1, 0.3], "threat": threat, "attack": QUICK, "random_state": 0}
    curve = robustness_curve(model, X, Y, **options)
    report = robustness_report(model, X, Y, n_diagnosed=0, **options)
    assert (curve == report.accuracy).all() and (np.diff(curve) < 0).all()
    display = RobustnessCurveDisplay.from_estimator(model, X, Y, **options)
    assert (display.accuracy == curve).all()
    moves, changes, stays = str(report).splitlines()[2:5]
    assert moves.startswith("Columns that move: age (unit ") and "12 missing" in moves
    assert changes == "Columns that may change, at most 1: plan (3 values, 9 missing)"
    assert stays == "Columns that stay: smokes; grade"
    assert "Columns that stay: smokes; grade" in report._repr_html_()
    assert [one.kind for one in report.assumed] == ["moves", "may change", "moves", *["stays"] * 2]
    assert "budgets_fit" in report.checked
    assert [finding.name for finding in report.warnings] == ["too few samples"]
    shown = AdversarialExamplesDisplay.from_estimator(
        model, X, Y, eps=0.1, threat=threat, attack=QUICK, random_state=0
    )
    assert "plan=family" in [label.get_text() for label in shown.ax_.get_yticklabels()]


@pytest.mark.parametrize(
    "eps, name, told",
    [
        (200.0, "budget beyond the range", "'age' by up to 200, and its values reach over 6"),
        (0.001, "budget of no effect", "'age' by up to 0.001, and its deviation is 1"),
    ],
)
def test_budgets_that_do_not_fit_the_columns_are_a_warning(eps, name, told):
    options = {"attack": QUICK, "random_state": 0, "n_diagnosed": 0}
    report = robustness_report(fitted(), X, Y, eps=[0, eps], **options)
    finding = report.warnings[0]
    assert finding.name == name and told in finding.seen


@pytest.mark.parametrize("n_jobs", [pytest.param(2, marks=pytest.mark.slow)])
def test_searches_and_cross_validation_give_one_result(n_jobs):
    threat = ThreatModel.from_data(X, categories="all")
    scoring = make_adversarial_scorer(eps=0.1, threat=threat, attack=QUICK)
    pipeline = make_pipeline(prepared(), LogisticRegression(max_iter=2000))
    scores = [
        cross_validate(pipeline, X, Y, cv=3, scoring=scoring, n_jobs=jobs)["test_score"]
        for jobs in (None, n_jobs)
    ]
    assert (scores[0] == scores[1]).all() and len(set(scores[0])) > 1
    grid = {"logisticregression__C": [0.1, 10.0]}
    found = [
        GridSearchCV(pipeline, grid, cv=2, scoring=scoring, n_jobs=jobs).fit(X, Y).cv_results_
        for jobs in (None, n_jobs)
    ]
    for split in ("split0_test_score", "split1_test_score"):
        assert (found[0][split] == found[1][split]).all()


def test_a_scorer_in_cross_validation():
    threat = ThreatModel.from_data(X)
    scoring = {
        "clean": "accuracy",
        "robust": make_adversarial_scorer(eps=0.2, threat=threat, attack=QUICK),
    }
    pipeline = make_pipeline(prepared(), LogisticRegression(max_iter=2000))
    scores = cross_validate(pipeline, X, Y, cv=3, scoring=scoring)
    assert (scores["test_robust"] <= scores["test_clean"]).all()
    assert scores["test_robust"].sum() < scores["test_clean"].sum()


@since_1_8
def test_weights_and_seeds_count_as_ever():
    model, threat = fitted(), ThreatModel.from_data(X, categories="all")
    weight = (np.arange(len(X)) % 2).astype(float)
    options = {"eps": 0.1, "threat": threat, "attack": QUICK, "random_state": 3}
    half = weight > 0
    polars = in_polars(X)
    for frame in (X, polars):
        fit = fitted(X=frame) if frame is not X else model
        some = frame[half] if frame is X else frame.filter(half)
        found = adversarial_accuracy(fit, frame, Y, sample_weight=weight, **options)
        assert found == adversarial_accuracy(fit, some, Y[half], **options)
    before = X.copy()
    first, second = (
        adversarial_accuracy(clone(model).fit(X, Y), X, Y, **options) for _ in range(2)
    )
    assert first == second
    pd.testing.assert_frame_equal(X, before)


# Bad input.


def with_new_plan():
    frame = X.copy()
    frame.iloc[3, 1] = "unheard of"
    return frame


@pytest.mark.parametrize(
    "frame, threat, message",
    [
        (with_new_plan(), {}, "refuses what column 'plan' holds: Found unknown categories"),
        (X, {"units": {"age": 1, "income": 1, "plan": 3}}, "units must be of .*'plan' holds text"),
        (X, {"units": [1, 5, 1, 1, 1]}, "units must be of columns of numbers; column 'plan'"),
        (X, {"bounds": ({"age": 0, "income": 0, "plan": 0}, 100)}, "bounds must be .*'plan'"),
        (X, {"bounds": (0, 70)}, "X must lie inside bounds; column 'age' holds"),
        (X, {"immutable": [*NUMBERS]}, "every column of X stays as it is"),
        (X, {"categories": ["plan"], "immutable": ["plan"]}, "both name 'plan'"),
        (X, {"categories": ["plam"]}, r"categories must hold .*found \['plam'\]"),
        (X, {"categories": [["plan", "grade"]]}, "column 'plan' holds text. Name it alone"),
        (X.drop(columns=[*TEXT, "smokes"]), {"categories": "all"}, "needs a column of text"),
        (X.assign(income=np.inf), {}, "column 'income' holds infinity"),
        (X.set_axis(["age", "plan", "age", "smokes", "grade"], axis=1), {"categories": ["plan"]},
         "different names; got 'age' twice"),
        (X.assign(plan=[[1]] * len(X)), {"categories": ["plan"]}, "do not hash, such as lists"),
        (X.assign(a=X["smokes"] * 1, b=1 - X["smokes"]), {"categories": ["a", "b"]},
         r"Pass categories=\[\['a', 'b'\]\]"),
        (pd.concat([X.assign(plan=[f"{n}-{k}" for n in range(len(X))]) for k in range(10)]),
         {"categories": ["plan"]}, "at most 500 different values"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_that_names_the_column(frame, threat, message):
    model = fitted(text=OneHotEncoder()) if message.startswith("refuses") else fitted()
    y = np.resize(Y, len(frame))
    with pytest.raises(ValueError, match=message):
        adversarial_accuracy(model, frame, y, eps=0.1, threat=ThreatModel(**threat))


def test_categories_that_the_encoder_refuses_are_refused_points():
    known = X["plan"].ne("work") & X["plan"].notna()
    model = fitted(X=X[known], y=Y[known], text=OneHotEncoder())
    threat = ThreatModel.from_data(X, categories=["plan"])
    options = {"eps": 1e-9, "attack": FEW, "random_state": 0}
    with pytest.warns(Warning, match="gave no answer at"):
        found = adversarial_accuracy(model, X[known], Y[known], threat=threat, **options)
    own = ThreatModel(categories=["plan"])
    assert found == adversarial_accuracy(model, X[known], Y[known], threat=own, **options)


def test_raw_columns_mean_nothing_to_an_attack_on_tensors():
    attack = PGD()
    with pytest.raises(ValueError, match="categories of tensors must be groups.*found 0"):
        attack(lambda x: x, torch.zeros(2, 2), torch.tensor([0, 1]), eps=0.1,
               threat=ThreatModel(categories=[0]))  # fmt: skip


# Tables that look unlike others.


@pytest.mark.parametrize("max_changes", [1, 2])
@pytest.mark.parametrize("from_data", [True, False])
def test_booleans_alone_are_categories_where_all_are(from_data, max_changes):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(size=(40, 4)) < 0.5, columns=list("abcd"))
    y = (frame["a"] | frame["b"]).astype(int).to_numpy()
    model = LogisticRegression().fit(frame, y)
    make = ThreatModel.from_data if from_data else lambda X, **parts: ThreatModel(**parts)
    threat = make(frame, categories="all", max_changes=max_changes)
    found = adversarial_accuracy(model, frame, y, eps=0.1, threat=threat, random_state=0)
    values = dict.fromkeys("abcd", [False, True])
    assert found == brute_force(model, frame, y, values, max_changes)


@pytest.mark.parametrize("categories", ["all", ["plan", "smokes"]])
def test_a_threat_of_polars_is_that_of_pandas(categories):
    whole = X.dropna()
    threat = ThreatModel.from_data(in_polars(whole), categories=categories)
    assert threat == ThreatModel.from_data(whole.astype({"grade": str}), categories=categories)


def test_columns_that_the_pipeline_drops_may_be_absent():
    further = X.assign(note="n", weight=1.0)
    encode = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), TEXT),
    )
    model = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(further, Y)
    assert access(model).kind is AccessKind.WHITE_BOX
    first, second = (
        adversarial_accuracy(model, frame, Y, eps=0.3, attack=QUICK, random_state=0)
        for frame in (X, further)
    )
    assert first == second


def test_frames_of_no_use_are_told():
    model = fitted()
    twice = X.set_axis(["age", "plan", "income", "smokes", "age"], axis=1)
    with pytest.raises(ValueError, match=r"different names; got 'age' twice\. Rename one"):
        adversarial_accuracy(model, twice, Y, eps=0.1)
    with pytest.raises(ValueError, match="at least one feature; got a frame of 80 samples"):
        adversarial_accuracy(model, X[[]], Y, eps=0.1)
    lazy = in_polars(X).lazy()
    for ask in (ThreatModel.from_data, lambda X: adversarial_accuracy(model, X, Y, eps=0.1)):
        with pytest.raises(TypeError, match=r"got a LazyFrame\. Pass X\.collect"):
            ask(lazy)


def test_a_column_of_gaps_alone_may_stand_for_text():
    some = X.iloc[:1].assign(plan=pd.Series([None], index=X.index[:1], dtype=object))
    threat = ThreatModel.from_data(X, categories=["plan"])
    (plan,) = (raw for raw in table_of(some, threat).raw if raw.name == "plan")
    assert not plan.is_number and plan.vocabulary.values == ["basic", "family", "work", None]


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
