"""Certificates of raw tables, held to those of the steps behind the encoders, and to searches."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_iso import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError, RefusedPointsWarning
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    certified_accuracy,
    certified_distance,
    certified_error,
    make_certified_scorer,
    robustness_report,
)
from sklearn_iso.metrics._known_errors import KnownErrors
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.twins import _raw_columns

NORMS = ("linf", "l2", "l1")
NUMBERS = ["age", "pay"]


def table(n, seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "plan": rng.choice(np.array(["a", "b", "c"], dtype=object), n),
            "age": rng.normal(size=n),
            "city": pd.Categorical(rng.choice(["x", "y"], n)),
            "pay": 10 * rng.normal(size=n),
            "member": rng.random(n) < 0.5,
        }
    )
    score = X["age"] + X["pay"] / 10 + (X["plan"] == "b") - 0.7 * X["member"]
    X.loc[::9, "plan"], X.loc[::7, "pay"] = None, np.nan
    return X, np.where(score > 0.3, "yes", "no"), score.to_numpy()


X, Y, SCORE = table(120, 0)
SOME = slice(0, 16)
THREAT = ThreatModel.from_data(X)


def fitted(model, encoder=None, y=Y):
    encoder = encoder or OneHotEncoder(handle_unknown="ignore")
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (encoder, ["plan", "city"]), (numbers, NUMBERS), remainder="passthrough"
    )
    return make_pipeline(columns, model).fit(X, y)


MODELS = {
    "linear": LogisticRegression(),
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(5, max_depth=4, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=4, random_state=0),
    "neighbour": KNeighborsClassifier(1),
    "centroid": NearestCentroid(),
    "network": MLPClassifier((4,), solver="lbfgs", random_state=0, max_iter=2000),
}
FITTED = {name: fitted(model) for name, model in MODELS.items()}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", [one for one in MODELS if one != "network"])
def test_a_sliced_pipeline_has_the_same_distances(name, norm):
    model = FITTED[name]
    numbers = model[0].named_transformers_["pipeline"]
    Z = np.asarray(model[:-1].transform(X[SOME]))
    at = Z.shape[1] - 3 + np.arange(2)  # before them codes, after them who is a member
    scale, stays = numbers[-1].scale_, np.ones(Z.shape[1], dtype=bool)
    stays[at] = False
    own = X[NUMBERS]
    gone = X[SOME]["pay"].isna().to_numpy()
    expected = np.empty(len(Z))
    for missing in (False, True):
        fixed = stays.copy()
        fixed[at[1]] = missing
        units, low, high = np.ones(Z.shape[1]), *np.full((2, Z.shape[1]), -np.inf)
        units[at] = own.std(ddof=0) / scale
        low[at] = (own.min() - numbers[0].statistics_) / scale
        high = -low
        high[at] = (own.max() - numbers[0].statistics_) / scale
        threat = ThreatModel(norm, units=units, bounds=(low, high), immutable=fixed)
        rows = np.flatnonzero(gone == missing)
        expected[rows] = certified_distance(model[-1], Z[rows], Y[SOME][rows], threat=threat)
    threat = ThreatModel.from_data(X, norm=norm)
    found = certified_distance(model, X[SOME], Y[SOME], threat=threat)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert len(np.unique(found)) > 8


@pytest.mark.parametrize("categories", [None, "all"])
@pytest.mark.parametrize("name", [one for one in MODELS if one not in ("network", "neighbour")])
def test_no_search_finds_an_error_within_what_is_proven(name, categories):
    model, threat = FITTED[name], ThreatModel.from_data(X, categories=categories)
    proven = certified_distance(model, X[SOME], Y[SOME], threat=threat)
    found = adversarial_distance(model, X[SOME], Y[SOME], threat=threat, random_state=0)
    assert (proven > 0).any()
    np.testing.assert_allclose(found, proven, rtol=1e-4, atol=1e-6)  # known to attacks


@pytest.mark.parametrize("categories", [None, "all"])
def test_networks_are_certified_behind_encoders(categories):
    model, threat = FITTED["network"], ThreatModel.from_data(X, categories=categories)
    proven = certified_distance(model, X[SOME], Y[SOME], threat=threat)
    assert (proven > 0).sum() > 3
    eps = float(np.median(proven[proven > 0]))
    few = np.flatnonzero(proven > eps)[:4]
    options = {"eps": eps, "threat": threat, "random_state": 0, "attack": "pgd"}
    assert adversarial_accuracy(model, X.iloc[few], Y[few], **options) == 1


def grid(x, eps, n_changes):
    """Return all combinations of other categories, with corners of the ball, of one sample."""
    units, low, high = X[NUMBERS].std(ddof=0), X[NUMBERS].min(), X[NUMBERS].max()
    steps = [
        [x[one]]
        if pd.isna(x[one])
        else np.clip(
            x[one] + eps * units[one] * np.linspace(-1, 1, 7), low[one], high[one]
        ).tolist()
        for one in NUMBERS
    ]
    values = [
        [x["plan"]] if pd.isna(x["plan"]) else ["a", "b", "c"], ["x", "y"], [False, True],
    ]  # fmt: skip
    points = []
    for plan, city, member in product(*values):
        changed = [
            not pd.isna(plan) and plan != x["plan"],
            city != x["city"],
            member != x["member"],
        ]
        if sum(changed) <= n_changes:
            points += [(plan, age, city, pay, member) for age, pay in product(*steps)]
    frame = pd.DataFrame(points, columns=X.columns)
    return frame.astype(X.dtypes.to_dict())


@pytest.mark.parametrize("name", ["linear", "tree", "forest", "neighbour"])
@pytest.mark.parametrize("n_changes", [1, 2])
def test_every_combination_of_categories_keeps_the_label(name, n_changes):
    model = FITTED[name]
    threat = ThreatModel.from_data(X, categories="all", max_changes=n_changes)
    some, y = X[SOME], Y[SOME]
    proven = certified_distance(model, some, y, threat=threat)
    assert 0 < (proven > 0).sum() < len(some)
    for row in np.flatnonzero(proven > 0)[:6]:
        points = grid(some.iloc[row], proven[row] * (1 - 1e-6), n_changes)
        assert (model.predict(points) == y[row]).all()
    wrong = np.flatnonzero((proven == 0) & (model.predict(some) == y))
    for row in wrong[:4]:  # a change alone does it
        assert (model.predict(grid(some.iloc[row], 0.0, n_changes)) != y[row]).any()


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(drop="first", sparse_output=False),
        OrdinalEncoder(encoded_missing_value=-1),
        TargetEncoder(),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()),
        make_pipeline(OrdinalEncoder(encoded_missing_value=-1), StandardScaler()),
    ],
    ids=str,
)
def test_encoders_of_any_kind_are_asked_themselves(encoder):
    model = fitted(LogisticRegression(), encoder)
    proven = certified_distance(model, X[SOME], Y[SOME], threat=THREAT)
    found = adversarial_distance(model, X[SOME], Y[SOME], threat=THREAT, random_state=0)
    np.testing.assert_allclose(found, proven, rtol=1e-5)


def test_text_is_certified_behind_a_vectorizer():
    words = X.assign(plan=[f"plan {one} of {two}" for one, two in zip(X["plan"], X["city"])])  # noqa: B905
    columns = make_column_transformer((CountVectorizer(), "plan"), ("passthrough", ["age"]))
    model = make_pipeline(columns, LogisticRegression()).fit(words, Y)
    proven = certified_distance(model, words[SOME], Y[SOME])
    coef = model[-1].coef_[0]
    margin = np.abs(model.decision_function(words[SOME]))
    right = model.predict(words[SOME]) == Y[SOME]
    np.testing.assert_allclose(proven, np.where(right, margin / abs(coef[-1]), 0), rtol=1e-9)


def test_native_categories_are_certified_on_frames():
    frame = X.astype({"plan": "category"})
    threat = ThreatModel.from_data(frame, categories="all")
    model = HistGradientBoostingClassifier(
        max_iter=6, min_samples_leaf=4, categorical_features="from_dtype"
    ).fit(frame, Y)
    proven = certified_distance(model, frame[SOME], Y[SOME], threat=threat)
    found = adversarial_distance(model, frame[SOME], Y[SOME], threat=threat, random_state=0)
    np.testing.assert_allclose(found, proven, rtol=1e-4)
    assert 0 < (proven > 0).sum() < len(proven)
    ages = frame.assign(age=np.arange(120.0) % 5)
    model.set_params(categorical_features=["age", "plan", "city"]).fit(ages, Y)
    with pytest.raises(NotCertifiableError, match="'age' holds native categories.*immutable"):
        certified_distance(model, ages, Y)


@pytest.mark.parametrize(
    "regressor",
    [
        Ridge(),
        DecisionTreeRegressor(max_depth=4, random_state=0),
        RandomForestRegressor(4, max_depth=4, random_state=0),
    ],
    ids=str,
)
def test_regressors_of_raw_tables_have_bounds(regressor):
    model = fitted(regressor, y=SCORE)
    target = TransformedTargetRegressor(model, transformer=StandardScaler()).fit(X, SCORE)
    for one in (model, target):
        threat = ThreatModel.from_data(X, categories=["plan"])
        steady = certified_distance(one, X[SOME], threat=threat, tolerance=0.3)
        clean = one.predict(X[SOME])
        for row in np.flatnonzero(steady > 0)[:5]:
            reach = min(steady[row], 9) * (1 - 1e-6)
            points = grid(X[SOME].iloc[row], reach, 1)
            own = X.iloc[row]
            kept = points[(points["city"] == own["city"]) & (points["member"] == own["member"])]
            assert (np.abs(one.predict(kept) - clean[row]) <= 0.3 * (1 + 1e-9)).all()
        errors = [certified_error(one, X[SOME], SCORE[SOME], eps=eps, threat=threat)
                  for eps in (0, 0.1, 0.5)]  # fmt: skip
        np.testing.assert_allclose(errors[0], np.abs(clean - SCORE[SOME]).mean())
        assert errors[0] < errors[1] < errors[2]


def test_boosting_of_native_categories_has_bounds():
    frame = X.astype({"plan": "category"})
    model = HistGradientBoostingRegressor(max_iter=4, categorical_features="from_dtype")
    model.fit(frame, SCORE)
    steady = certified_distance(model, frame[SOME], threat=THREAT, tolerance=0.2)
    assert (steady > 0).all() and len(np.unique(steady)) > 5


def test_numbers_that_are_codes_must_stay_or_be_categories():
    codes = X.assign(plan=X["plan"].map({"a": 3, "b": 1, "c": 2}).fillna(0).astype(int))
    model = fitted(LogisticRegression())
    model.fit(codes, Y)
    told = "'columntransformer' > 'onehotencoder'.*column 'city'.*beside column 'plan', which moves"
    with pytest.raises(NotCertifiableError, match=told):
        certified_distance(model, codes, Y)
    columns = make_column_transformer((OneHotEncoder(), ["plan"]), (OneHotEncoder(), ["city"]))
    alone = make_pipeline(columns, LogisticRegression()).fit(codes, Y)
    with pytest.raises(NotCertifiableError, match="encodes column 'plan', which moves as a number"):
        certified_distance(alone, codes, Y)
    stays = certified_distance(model, codes, Y, threat=ThreatModel(immutable=["plan"]))
    changes = certified_distance(model, codes, Y, threat=ThreatModel(categories=["plan"]))
    assert (changes <= stays).all() and (changes < stays).any()
    found = adversarial_distance(
        model, codes, Y, threat=ThreatModel(categories=["plan"]), random_state=0
    )
    np.testing.assert_allclose(found, changes, rtol=1e-4)


def test_categories_that_an_encoder_refuses_lead_nowhere():
    strict = fitted(LogisticRegression(), OneHotEncoder(handle_unknown="error"))
    new = X[SOME].assign(plan=["d", *X["plan"][1:16]])
    values = ThreatModel.from_data(new, categories=["plan"])
    known = ThreatModel.from_data(X[SOME], categories=["plan"])
    some, y = X[SOME][1:], Y[SOME][1:]
    found = certified_distance(strict, some, y, threat=values)
    expected = certified_distance(strict, some, y, threat=known)
    np.testing.assert_array_equal(found, expected)


def test_a_missing_value_is_no_category_that_an_encoder_refuses():
    boosting = HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=4)
    strict = fitted(boosting, OrdinalEncoder())
    new = X.assign(plan=["d", *X["plan"][1:]])
    values, known = (ThreatModel.from_data(one, categories=["plan"]) for one in (new, X))
    gone = np.flatnonzero(X["plan"].isna())
    some, y = X.iloc[[*gone, 1]], Y[[*gone, 1]]  # one that may change, to what is refused
    found = certified_distance(strict, some, y, threat=values)
    expected = certified_distance(strict, some, y, threat=known)
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found).any()
    with pytest.warns(RefusedPointsWarning, match="no answer at 1 perturbed point"):
        attacked = adversarial_distance(strict, some, y, threat=values, random_state=0)
    np.testing.assert_allclose(attacked, found, rtol=1e-4)


def test_combinations_that_memory_has_no_room_for_are_asked_again(monkeypatch):
    model, threat = FITTED["linear"], ThreatModel.from_data(X, categories=["plan"])
    right = np.flatnonzero((model.predict(X) == Y) & X["plan"].notna())[:2]
    question = model, X.iloc[right], Y[right]
    expected = certified_distance(*question, threat=threat)
    monkeypatch.setattr(_raw_columns, "MOST_ENTRIES", 0)
    np.testing.assert_array_equal(certified_distance(*question, threat=threat), expected)


def test_scorers_and_reports_take_raw_tables():
    model, eps = FITTED["forest"], 0.2
    score = make_certified_scorer(eps=eps, threat=THREAT)(model, X, Y)
    assert score == certified_accuracy(model, X, Y, eps=eps, threat=THREAT)
    options = {"eps": [eps], "threat": THREAT, "random_state": 0, "n_diagnosed": 0}
    report = robustness_report(model, X[SOME], Y[SOME], certify=True, **options)
    assert set(report.proven.verdicts[0].tolist()) == {"certified", "broken"}
    assert report.proven.accuracy[0] == report.accuracy[0]


class Doubled(TransformerMixin, BaseEstimator):
    """Nothing is known of it."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return 2 * np.asarray(X, dtype=float)


def test_steps_that_cannot_be_followed_are_named():
    columns = make_column_transformer((OneHotEncoder(), ["plan"]), (Doubled(), ["age"]))
    model = make_pipeline(columns, DecisionTreeClassifier()).fit(X, Y)
    with pytest.raises(NotCertifiableError, match="'columntransformer' > 'doubled'"):
        certified_distance(model, X, Y)
    stays = ThreatModel(immutable=["age"])
    assert (certified_distance(model, X, Y, threat=stays) > 0).any()
    columns = make_column_transformer((OneHotEncoder(), ["plan"]), (KBinsDiscretizer(), ["age"]))
    binned = make_pipeline(columns, DecisionTreeClassifier()).fit(X, Y)
    with pytest.raises(NotCertifiableError, match="'kbinsdiscretizer'.*mixes columns"):
        certified_distance(binned, X, Y)
    by_name = FunctionTransformer(lambda frame: frame[["age"]] ** 3)
    columns = make_column_transformer((OneHotEncoder(), ["plan"]), (by_name, ["age", "pay"]))
    named = make_pipeline(columns, DecisionTreeClassifier()).fit(X, Y)
    with pytest.raises(NotCertifiableError, match="nothing is known of its func|names of columns"):
        certified_distance(named, X, Y)
    assert KnownErrors.of(Problem.of(named, X, Y)) is None  # attacks search alone
    mixed = make_pipeline(OrdinalEncoder(), DecisionTreeClassifier()).fit(X[["plan", "age"]], Y)
    with pytest.raises(NotCertifiableError, match="takes column 'plan'.*beside column 'age'"):
        certified_distance(mixed, X[["plan", "age"]], Y)


def test_what_a_network_gets_for_a_missing_value_is_a_constant():
    model = FITTED["network"]
    missing = np.flatnonzero(X["pay"].isna() & (model.predict(X) == Y))[:6]
    proven = certified_distance(model, X.iloc[missing], Y[missing], threat=THREAT)
    filled = X.iloc[missing].fillna({"pay": X["pay"].mean()})
    stays = ThreatModel.from_data(X, immutable=["plan", "city", "member", "pay"])
    expected = certified_distance(model, filled, Y[missing], threat=stays)
    np.testing.assert_allclose(proven, expected, rtol=1e-3)
    assert (proven > 0).all()
    network = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=2000)
    regressor = fitted(network, y=SCORE)
    steady = certified_distance(regressor, X.iloc[missing], threat=THREAT, tolerance=0.5)
    expected = certified_distance(regressor, filled, threat=stays, tolerance=0.5)
    np.testing.assert_allclose(steady, expected, rtol=1e-3)
    errors = [
        certified_error(regressor, one, SCORE[missing], eps=0.2, threat=threat)
        for one, threat in ((X.iloc[missing], THREAT), (filled, stays))
    ]
    np.testing.assert_allclose(*errors, rtol=1e-6)


def test_what_a_network_is_told_of_a_missing_value_is_a_constant():
    part = X[NUMBERS]
    impute = SimpleImputer(add_indicator=True).fit(part)
    told = impute.transform(part)
    missing = part["pay"].isna().to_numpy()
    network = MLPClassifier((4,), solver="lbfgs", random_state=0, max_iter=2000).fit(told, Y)
    proven = certified_distance(make_pipeline(impute, network), part, Y)
    for rows, fixed in ((missing, [1, 2]), (~missing, [2])):
        threat = ThreatModel(immutable=fixed)
        expected = certified_distance(network, told[rows], Y[rows], threat=threat)
        np.testing.assert_allclose(proven[rows], expected, rtol=1e-3)
        assert (expected > 0).any()
