"""Certificates of trees, held to going through all points that could be nearest errors."""

import numpy as np
import pandas as pd
import pytest
from certified import both_sides, brute_force, thresholds_of
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso._certificates import certifier_of, grids, registry, trees, veritas
from sklearn_iso.attacks import RayS
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import adversarial_distance, certified_accuracy, certified_distance

X, Y = load_iris(return_X_y=True)
X = X[:, [0, 2, 3]]
#: Half a step of single precision, in which trees compare, lies between brute force and the cut.
SINGLE = 1e-6
SOME = np.arange(3, 150, 14)
ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
THREATS = {
    "plain": {},
    "units": {"units": [0.5, 2.0, 1.0]},
    "bounds": {"bounds": (0.0, 6.5)},
    "immutable": {"immutable": [1], "bounds": (0.0, 6.5)},
}
needs_veritas = pytest.mark.skipif(not veritas.is_installed(), reason="needs the package Veritas")


def inside(threat):
    """Return the samples within the bounds of a threat."""
    if "bounds" not in threat:
        return SOME
    low, high = threat["bounds"]
    return SOME[((X[SOME] >= low) & (X[SOME] <= high)).all(axis=1)]


def by_brute_force(classifier, rows, column, candidates, norm="linf", threat=None):
    threat = threat or {}
    units = np.array(threat.get("units", np.ones(X.shape[1])), dtype=float)
    units[threat.get("immutable", [])] = 0
    low, high = threat.get("bounds", (None, None))
    found = [
        0.0
        if classifier.predict(X[[row]])[0] != Y[row]
        else brute_force(
            classifier, X[row], Y[row], column, candidates,
            order=ORDERS[norm], units=units, low=low, high=high,
        )
        for row in rows
    ]  # fmt: skip
    return np.array(found)


@pytest.mark.parametrize("norm", ORDERS)
@pytest.mark.parametrize("threat", THREATS.values(), ids=THREATS)
@pytest.mark.parametrize("kind", [DecisionTreeClassifier, ExtraTreeClassifier])
def test_distances_to_leaves_are_those_of_brute_force(kind, threat, norm):
    tree = kind(max_depth=4, random_state=0).fit(X, Y)
    rows = inside(threat)
    column, threshold = thresholds_of([tree.tree_])
    candidates = both_sides(threshold)
    expected = by_brute_force(tree, rows, np.tile(column, 2), candidates, norm, threat)
    found = certified_distance(tree, X[rows], Y[rows], threat=ThreatModel(norm, **threat))
    assert np.allclose(found, expected, atol=SINGLE)
    assert np.isfinite(found).any() and (found > 0).any()


ENSEMBLES = {
    "forest": RandomForestClassifier(5, max_depth=3, random_state=0),
    "voting forest": RandomForestClassifier(6, random_state=1),
    "extra trees": ExtraTreesClassifier(4, max_depth=3, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=0),
    "ada boost": AdaBoostClassifier(n_estimators=5, random_state=0),
    "bagging": BaggingClassifier(
        DecisionTreeClassifier(max_depth=2), 5, max_features=2, random_state=0
    ),
    "bagged forests": BaggingClassifier(RandomForestClassifier(2, max_depth=2), 2, random_state=0),
    "hard votes": VotingClassifier(
        [(str(depth), DecisionTreeClassifier(max_depth=depth)) for depth in (1, 2, 3)]
    ),
    "soft votes": VotingClassifier(
        [("tree", DecisionTreeClassifier(max_depth=2)), ("forest", RandomForestClassifier(2))],
        voting="soft",
        weights=[2, 1],
    ),
}


def sklearn_trees(classifier):
    """Return all trees of an ensemble, with the columns that they are given."""
    if hasattr(classifier, "tree_"):
        yield classifier.tree_, np.arange(classifier.n_features_in_)
        return
    members = classifier.estimators_
    members = list(members.ravel()) if isinstance(members, np.ndarray) else members
    features = getattr(classifier, "estimators_features_", [np.arange(X.shape[1])] * len(members))
    for member, own in zip(members, features, strict=True):
        for tree, columns in sklearn_trees(member):
            yield tree, np.asarray(own)[columns]


def candidates_of(classifier):
    columns, values = [], []
    for tree, own in sklearn_trees(classifier):
        column, threshold = thresholds_of([tree])
        columns += [own[column]] * 2
        values.append(both_sides(threshold))
    return np.concatenate(columns), np.concatenate(values)


ENGINES = [pytest.param(name, marks=needs_veritas) for name in ("veritas", "helped veritas")]


@pytest.fixture(params=[*ENGINES, "numpy"])
def engine(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(veritas, "is_installed", lambda: False)
        monkeypatch.setattr(trees, "MOST_LEAVES", 10**6)
    if request.param == "helped veritas":  # as large ensembles are
        monkeypatch.setattr(grids, "MOST_LEAVES_OF_QUICK", 0)
    return request.param


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles_in_linf_are_those_of_brute_force(name, engine):
    labels = np.minimum(Y, 1) if engine == "numpy" else Y
    classifier = ENSEMBLES[name].fit(X, labels)
    column, candidates = candidates_of(classifier)
    found = certified_distance(classifier, X[SOME], labels[SOME])
    for row, distance in zip(SOME, found, strict=True):
        if classifier.predict(X[[row]])[0] != labels[row]:
            assert distance == 0
            continue
        expected = brute_force(classifier, X[row], labels[row], column, candidates)
        assert np.isclose(distance, expected, atol=SINGLE)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("name", ["forest", "boosting"])
def test_small_ensembles_in_other_norms_are_those_of_brute_force(name, norm):
    classifier = ENSEMBLES[name].fit(X, Y)
    column, candidates = candidates_of(classifier)
    threat = {"units": [0.5, 2.0, 1.0]}
    expected = by_brute_force(classifier, SOME, column, candidates, norm, threat)
    found = certified_distance(classifier, X[SOME], Y[SOME], threat=ThreatModel(norm, **threat))
    assert np.allclose(found, expected, atol=SINGLE)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("classifier", [ENSEMBLES["boosting"], DecisionTreeClassifier()])
def test_witnesses_are_errors_at_their_distance(classifier, dtype, engine):
    pipeline = make_pipeline(StandardScaler(), classifier).fit(X, Y)
    samples = X[SOME].astype(dtype)
    right = pipeline.predict(samples) == Y[SOME]
    samples, labels = samples[right], Y[SOME][right]
    threat = ThreatModel(units=[1, 2, 3]).resolve(samples)
    certifier = certifier_of(pipeline)
    points = certifier.witness(samples, labels, threat)
    assert points.dtype == dtype and len(points) > 5
    assert (pipeline.predict(points) != labels).all()
    sizes = (np.abs(points.astype(float) - samples) / [1, 2, 3]).max(axis=1)
    assert np.allclose(sizes, certifier.distances(samples, labels, threat), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(clip=True), RobustScaler()])
def test_just_below_its_distance_no_point_errs(scaler, dtype):
    """The last number before the cut of a scaled tree is on the near side of it, to the bit."""
    samples = X[:, [1]].astype(dtype)
    pipeline = make_pipeline(scaler, DecisionTreeClassifier(max_depth=1)).fit(samples, Y > 0)
    point = certifier_of(pipeline).witness(samples, Y > 0, ThreatModel())
    assert (pipeline.predict(point) != (Y > 0)).all()
    towards = np.where(point > samples, -np.inf, np.inf).astype(dtype)
    assert (pipeline.predict(np.nextafter(point, towards)) == (Y > 0)).all()


def test_pipelines_give_the_distances_of_scaled_trees():
    scaler = ColumnTransformer(
        [("a", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]), ("b", "passthrough", [2])]
    )
    pipeline = make_pipeline(scaler, SelectKBest(k=2), DecisionTreeClassifier(random_state=0))
    pipeline.fit(X, Y)
    Z = pipeline[:-1].transform(X)
    scales = [*scaler.named_transformers_["a"][1].scale_, 1.0]
    kept = pipeline[1].get_support()
    units = 1 / np.array(scales)[kept]
    found = certified_distance(pipeline, X, Y, threat="l2")
    alone = certified_distance(pipeline[-1], Z, Y, threat=ThreatModel("l2", units=units))
    assert np.allclose(found, alone, atol=SINGLE)


def test_missing_values_stay_missing():
    samples = X.copy()
    samples[::3, 1] = np.nan
    for classifier in (
        HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4, min_samples_leaf=5),
        RandomForestClassifier(3, max_depth=3, random_state=0),
        DecisionTreeClassifier(max_depth=3, random_state=0),
    ):
        classifier.fit(samples, Y)
        grid = np.linspace(0, 8, 40)
        found = np.full(150, np.nan)
        found[::9] = certified_distance(classifier, samples[::9], Y[::9])
        for row in range(0, 150, 9):
            if not found[row]:
                assert classifier.predict(samples[[row]])[0] != Y[row]
                continue
            points = np.array([[a, samples[row, 1], c] for a in grid for c in grid])
            points = np.nan_to_num(points, nan=np.nan)
            wrong = points[classifier.predict(points) != Y[row]]
            nearest = np.nanmax(np.abs(wrong - samples[row]), axis=1).min(initial=np.inf)
            step = grid[1] - grid[0]
            assert np.isnan(samples[row, 1])
            assert nearest - step <= found[row] <= nearest


def test_histogram_boosting_is_held_to_brute_force(engine):
    classifier = HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=5).fit(X, Y)
    nodes = [tree.nodes for row in classifier._predictors for tree in row]
    inner = np.concatenate([one[one["is_leaf"] == 0] for one in nodes])
    threshold = inner["num_threshold"]
    candidates = np.concatenate([threshold, np.nextafter(threshold, np.inf)])
    column = np.tile(inner["feature_idx"], 2)
    expected = by_brute_force(classifier, SOME, column, candidates)
    assert np.allclose(certified_distance(classifier, X[SOME], Y[SOME]), expected, rtol=1e-9)


def test_categories_stay_and_must_be_kept():
    samples = np.column_stack([X, np.arange(150) % 4])
    labels = (X[:, 1] > 4.2) ^ (np.arange(150) % 4 > 1)
    classifier = HistGradientBoostingClassifier(
        max_iter=20, categorical_features=[3], min_samples_leaf=3
    ).fit(samples, labels)
    with pytest.raises(NotCertifiableError, match=r"columns \[3\] hold native categories"):
        certified_distance(classifier, samples, labels)
    samples, labels, cut = samples[::3], labels[::3], np.abs(X[::3, 1] - 4.2)
    found = certified_distance(classifier, samples, labels, threat=ThreatModel(immutable=[3]))
    right = classifier.predict(samples) == labels
    assert right.mean() > 0.9 and np.array_equal(found > 0, right)
    assert np.median(np.abs(found - cut)[right]) < 0.3


def test_frames_with_categories_are_asked_quietly():
    frame = pd.DataFrame(X, columns=list("abc")).assign(d=pd.Categorical(np.arange(150) % 3))
    classifier = HistGradientBoostingClassifier(max_iter=2).fit(frame, Y)
    threat = ThreatModel(immutable=["d"])
    some = certified_distance(classifier, frame[::15], Y[::15], threat=threat)
    assert np.array_equal(some > 0, classifier.predict(frame[::15]) == Y[::15])


def test_a_forest_never_holds_beyond_what_an_attack_finds():
    forest = RandomForestClassifier(4, max_depth=4, random_state=0).fit(X, Y)
    samples, labels, rays = X[SOME[::3]], Y[SOME[::3]], RayS(n_queries=60)
    for norm in ORDERS:
        threat = ThreatModel(norm, bounds=(0, 8))
        proven = certified_distance(forest, samples, labels, threat=threat)
        found = adversarial_distance(
            forest, samples, labels, threat=threat, attack=rays, random_state=0
        )
        assert (proven <= found * (1 + 1e-6)).all()
        assert np.array_equal(proven == 0, found == 0)


def test_accuracy_is_the_share_of_larger_distances(engine):
    forest = ENSEMBLES["voting forest"].fit(X, Y)
    distances = certified_distance(forest, X[SOME], Y[SOME])
    for eps in (0.0, 0.05, *distances[:3], 0.4):
        assert certified_accuracy(forest, X[SOME], Y[SOME], eps=eps) == np.mean(distances > eps)


def test_a_limit_of_time_leaves_lower_bounds():
    forest = RandomForestClassifier(20, random_state=0).fit(X, Y)
    distances = certified_distance(forest, X[SOME], Y[SOME])
    hurried = certified_distance(forest, X[SOME], Y[SOME], time_limit=1e-9)
    assert (hurried <= distances).all() and (hurried < distances).any()
    assert np.array_equal(hurried == 0, distances == 0)


def test_a_limit_of_time_is_told():
    certifier = certifier_of(RandomForestClassifier(3, random_state=0).fit(X, Y))
    assert "exact" in certifier.method
    assert certifier.within(2.5).method.endswith("a lower bound after 2.5 s")


@pytest.fixture
def any_class(monkeypatch):
    """Take classes that predict otherwise than their parents, as forests with a fault."""
    monkeypatch.setattr(registry, "is_plain", lambda estimator, *also: True)


class Counting(RandomForestClassifier):
    def predict(self, X):
        self.n_calls_ = getattr(self, "n_calls_", 0) + 1
        return super().predict(X)


def test_the_estimator_decides_ties_and_sees_all_errors_at_once(engine, any_class):
    forest = Counting(5, random_state=0).fit(X, Y > 1)
    points = certifier_of(forest).witness(X, (Y > 1).astype(int), ThreatModel())
    assert forest.n_calls_ <= 3
    assert (forest.predict(points) != (Y > 1)).all()


class Stubborn(RandomForestClassifier):
    """Of one opinion wherever the first feature was moved."""

    def predict(self, X):
        moved = ~np.isin(X[:, 0], self.known_)
        return np.where(moved, True, super().predict(X))


def test_what_the_estimator_contradicts_is_searched_again(engine, any_class):
    forest = Stubborn(3, max_depth=2, random_state=0).fit(X, Y > 1)
    forest.known_ = X[:, 0]
    samples, labels = X[:100:8], Y[:100:8] > 1
    points = certifier_of(forest).witness(samples, labels.astype(int), ThreatModel())
    found = (points != samples).any(axis=1)
    assert found.any() and (forest.predict(points[found]) != labels[found]).all()


@pytest.mark.parametrize("eps", [None, 1.0])
def test_errors_beside_an_attack_are_those_that_the_estimator_sees(engine, any_class, eps):
    forest = Stubborn(3, max_depth=2, random_state=0).fit(X, Y > 1)
    forest.known_ = X[:, 0]
    samples, labels = X[:100:8], Y[:100:8] > 1
    errors = certifier_of(forest).errors(samples, labels.astype(int), ThreatModel(), eps)
    assert errors.known.any()
    assert (forest.predict(errors.points) != labels)[errors.known].all()
    if eps is not None:
        assert (np.abs(errors.points - samples).max(axis=1) <= eps * (1 + 1e-9)).all()


def test_large_ensembles_name_the_package_that_they_need(monkeypatch):
    monkeypatch.setattr(veritas, "is_installed", lambda: False)
    forest = RandomForestClassifier(100, random_state=0).fit(X, Y)
    with pytest.raises(ImportError, match=r"sklearn-iso\[certify\]"):
        certified_accuracy(forest, X, Y, eps=0.1)


@pytest.mark.parametrize(
    ("estimator", "names"),
    [
        (VotingClassifier([("line", LogisticRegression())], voting="soft"), "'line' (Logistic"),
        (VotingClassifier([("wood", RandomForestClassifier(2))]), "'wood' (RandomForest"),
        (BaggingClassifier(GradientBoostingClassifier(), 2), "'estimators_[0]' (Gradient"),
        (AdaBoostClassifier(RandomForestClassifier(2), n_estimators=2), "'estimators_[0]' (Rand"),
    ],
)
def test_members_that_cannot_be_certified_are_named(estimator, names):
    with pytest.raises(NotCertifiableError) as caught:
        certified_accuracy(estimator.fit(X, Y), X, Y, eps=0.1)
    assert names in str(caught.value) and "attack" in str(caught.value)


def test_an_estimator_that_predicts_otherwise_is_refused():
    class Upside(DecisionTreeClassifier):
        def predict(self, X):
            return 2 - super().predict(X)

    tree = Upside(random_state=0).fit(X, Y)
    with pytest.raises(NotCertifiableError, match="otherwise than the class that it derives from"):
        certified_distance(tree, X, 2 - Y)


def test_steps_that_mix_columns_are_named():
    pipeline = make_pipeline(StandardScaler(), PCA(2), DecisionTreeClassifier()).fit(X, Y)
    with pytest.raises(NotCertifiableError, match=r"Step 'pca' \(PCA\) cannot be certified"):
        certified_distance(pipeline, X, Y)
    nested = ColumnTransformer([("inner", make_pipeline(PCA(1)), [0, 1])], remainder="passthrough")
    pipeline = make_pipeline(nested, DecisionTreeClassifier()).fit(X, Y)
    with pytest.raises(NotCertifiableError, match="'columntransformer' > 'inner' > 'pca'"):
        certified_distance(pipeline, X, Y)
