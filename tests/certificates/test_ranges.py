"""Bounds of what regressors predict, held to all cells of small trees and to many points."""

from itertools import product

import numpy as np
import pytest
from certified import both_sides, norm_of, thresholds_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    HuberRegressor,
    LinearRegression,
    MultiTaskLasso,
    PoissonRegressor,
    Ridge,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVR, LinearSVR
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_iso import IsometricRegressor, ThreatModel
from sklearn_iso._certificates import range_certifier_of, veritas
from sklearn_iso.exceptions import NotCertifiableError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_diabetes(return_X_y=True)
X = X[:, [2, 3, 8]] / X[:, [2, 3, 8]].std(axis=0)
SOME = X[:6]
ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
#: Cuts of trees lie between numbers of single precision.
SINGLE = 1e-6
BOUNDS = (X.min(axis=0), X.max(axis=0))
needs_veritas = pytest.mark.skipif(not veritas.is_installed(), reason="needs the package Veritas")


def network(**options):
    options = {"hidden_layer_sizes": (12,), "max_iter": 200, "random_state": 0} | options
    return make_pipeline(StandardScaler(), MLPRegressor(solver="lbfgs", **options))


def skorch_net():
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    return NeuralNetRegressor(module, max_epochs=2, verbose=0, train_split=None)


TREES = {
    "tree": DecisionTreeRegressor(max_depth=3, random_state=0),
    "extra tree": ExtraTreeRegressor(max_depth=3, random_state=0),
    "scaled": make_pipeline(RobustScaler(), DecisionTreeRegressor(max_depth=3, random_state=0)),
}
ENSEMBLES = {
    "forest": RandomForestRegressor(4, max_depth=2, random_state=0),
    "extra": ExtraTreesRegressor(4, max_depth=2, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=4, max_depth=2, random_state=0),
    "quantile": GradientBoostingRegressor(
        n_estimators=3, max_depth=2, loss="quantile", random_state=0
    ),
    "from zero": GradientBoostingRegressor(n_estimators=3, init="zero", random_state=0),
    "histogram": HistGradientBoostingRegressor(max_iter=4, max_leaf_nodes=4),
    "counts": HistGradientBoostingRegressor(max_iter=4, max_leaf_nodes=4, loss="poisson"),
    "bagging": BaggingRegressor(
        DecisionTreeRegressor(max_depth=2), 4, max_features=2, random_state=0
    ),
    "vote": VotingRegressor(
        [
            ("one", DecisionTreeRegressor(max_depth=2, random_state=0)),
            ("many", RandomForestRegressor(2, max_depth=2, random_state=0)),
        ],
        weights=[1, 2],
    ),
}
OTHERS = {
    "line": LinearRegression(),
    "scaled line": make_pipeline(MinMaxScaler(), PCA(2), HuberRegressor()),
    "support vectors": LinearSVR(random_state=0),
    "linear kernel": SVR(kernel="linear"),
    "rates": PoissonRegressor(),
    "scaled targets": TransformedTargetRegressor(
        make_pipeline(StandardScaler(), Ridge()), transformer=MinMaxScaler((-3, 7))
    ),
    "tree of logarithms": TransformedTargetRegressor(
        RandomForestRegressor(3, max_depth=3, random_state=0),
        func=np.log1p,
        inverse_func=np.expm1,
    ),
    "network": network(),
    "network of tanh": network(activation="tanh"),
    "network of scaled targets": TransformedTargetRegressor(
        network(), transformer=StandardScaler()
    ),
}


def fitted(regressor):
    return regressor.fit(X, Y)


def corners(regressor, x, threat):
    """Return a point of every cell that the tests of trees cut the space into, nearest to x."""
    members = getattr(regressor, "estimators_", [regressor])
    flat = [one for row in np.ravel(members) for one in getattr(row, "estimators_", [row])]
    column, threshold = thresholds_of([one.tree_ for one in flat])
    sides = both_sides(threshold)
    values = []
    for feature in range(len(x)):
        some = np.append(sides[np.tile(column, 2) == feature], x[feature])
        if feature in threat.get("immutable", []):
            some = x[[feature]]
        low, high = (side[feature] for side in threat.get("bounds", (x - 9, x + 9)))
        values.append(np.unique(some[(some >= low) & (some <= high)]))
    return np.array(list(product(*values)))


THREATS = {"free": {}, "in a box": {"bounds": BOUNDS, "immutable": [1]}}
OF_COLUMNS = {**TREES, **ENSEMBLES}
EXACT_IN_LINF = ["tree", "extra tree", "forest", "extra", "boosting", "quantile", "from zero"]


@needs_veritas
@pytest.mark.parametrize("of", THREATS)
@pytest.mark.parametrize("name", EXACT_IN_LINF)
def test_ranges_and_distances_are_those_of_all_cells(name, of):
    regressor, threat = fitted(OF_COLUMNS[name]), THREATS[of]
    certifier = range_certifier_of(regressor)
    for norm, order in ORDERS.items():
        resolved = ThreatModel(norm, **threat).resolve(X)
        low, high = certifier.ranges(SOME, resolved, np.full(6, 0.3))
        at = regressor.predict(SOME)[:, None]
        distances = certifier.distances(SOME, at - 15, at + 15, resolved)
        for row, x in enumerate(SOME):
            points = corners(regressor, x, threat)
            predicted, sizes = regressor.predict(points), norm_of(points - x, order)
            near = predicted[sizes <= 0.3 + SINGLE]
            off = sizes[np.abs(predicted - at[row]) > 15].min(initial=np.inf)
            assert low[row, 0] <= near.min() + 1e-9 and near.max() <= high[row, 0] + 1e-9
            assert distances[row] <= off + SINGLE
            if norm == "linf" or name in TREES:
                just = predicted[sizes <= 0.3 - SINGLE]
                assert low[row, 0] >= near.min() - 1e-6 or low[row, 0] >= just.min() - 1e-6
                assert high[row, 0] <= near.max() + 1e-6
                np.testing.assert_allclose(distances[row], off, atol=SINGLE)


def points_near(x, order, eps, generator, threat):
    """Return 1,000 points of a ball, half of them at its surface."""
    moves = generator.standard_normal((1000, len(x)))
    if np.isinf(order):
        moves = np.where(generator.random(moves.shape) < 0.5, np.sign(moves), moves)
    moves[:, threat.get("immutable", [])] = 0
    lengths = norm_of(moves, order)[:, None]
    share = np.where(np.arange(1000)[:, None] % 2, 1.0, generator.random((1000, 1)))
    points = x + moves / np.where(lengths > 0, lengths, 1) * share * eps * (1 - 1e-12)
    return np.clip(points, *threat["bounds"]) if "bounds" in threat else points


def check_points(regressor, samples, threat, eps, seed):
    """Raise an error if predictions near samples leave their ranges."""
    certifier, generator = range_certifier_of(regressor), np.random.default_rng(seed)
    for norm, order in ORDERS.items():
        resolved = ThreatModel(norm, **threat).resolve(samples)
        low, high = certifier.ranges(samples, resolved, np.full(len(samples), eps))
        at = np.reshape(regressor.predict(samples), (len(samples), -1))
        assert (low <= at).all() and (at <= high).all()
        tolerance = (high - low).max() / 4
        ends = at - tolerance, at + tolerance
        distances = certifier.distances(samples, *ends, resolved)
        for row, x in enumerate(samples):
            points = points_near(x, order, eps, generator, threat).astype(samples.dtype)
            predicted = np.reshape(regressor.predict(points), (len(points), -1))
            assert (predicted >= low[row]).all() and (predicted <= high[row]).all()
            sizes = norm_of(np.nan_to_num(points - x), order)
            off = (np.abs(predicted - at[row]) > tolerance).any(axis=1)
            assert (sizes[off] >= distances[row] * (1 - 1e-6)).all()


@pytest.mark.parametrize("name", [*TREES, *ENSEMBLES, *OTHERS])
def test_no_point_is_predicted_beyond_its_range(name):
    regressor = fitted(({**TREES, **ENSEMBLES, **OTHERS})[name])
    for threat in THREATS.values():
        check_points(regressor, SOME[:3], threat, eps=0.5, seed=0)


def test_networks_in_single_precision_keep_to_their_ranges():
    single = X.astype(np.float32)
    iso = IsometricRegressor(hidden_layer_sizes=(8,), max_epochs=1, random_state=0)
    for net, y in ((skorch_net(), Y.astype(np.float32)[:, None]), (iso, Y)):
        check_points(net.fit(single, y), single[:3], {}, eps=0.5, seed=1)


@given(st.integers(0, 10**6), st.sampled_from(["relu", "tanh", "logistic", "identity"]))
@settings(max_examples=6, deadline=None)
def test_random_networks_keep_to_their_ranges(seed, activation):
    generator = np.random.default_rng(seed)
    net = network(activation=activation, max_iter=1, hidden_layer_sizes=(5, 4))
    net.fit(X[:40], Y[:40] / 100)
    for weights in net[-1].coefs_:
        weights += generator.standard_normal(weights.shape) * generator.choice([0.1, 3.0])
    samples = generator.standard_normal((2, 3))
    check_points(net, samples, {"bounds": ([-3] * 3, [3] * 3)}, generator.choice([0.01, 2]), seed)


def test_a_softmax_has_no_range():
    net = NeuralNetRegressor(
        nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=1)),
        max_epochs=1,
        verbose=0,
        train_split=None,
    )
    single = X.astype(np.float32)
    net.fit(single, np.stack([Y, -Y], axis=1).astype(np.float32))
    with pytest.raises(NotCertifiableError, match="softmax"):
        range_certifier_of(net).ranges(single[:1], ThreatModel().resolve(single), np.ones(1))


def test_several_outputs_have_ranges_each():
    Z = np.stack([Y, -Y + X[:, 0], X[:, 1]], axis=1)
    for several in (
        LinearRegression(),
        MultiTaskLasso(),
        DecisionTreeRegressor(max_depth=3),
        RandomForestRegressor(3, max_depth=3, random_state=0),
        MLPRegressor(hidden_layer_sizes=(6,), random_state=0, max_iter=30, solver="lbfgs"),
    ):
        check_points(several.fit(X, Z), SOME[:2], {}, eps=0.4, seed=2)


@pytest.mark.parametrize("regressor", [ENSEMBLES["forest"], ENSEMBLES["histogram"]])
def test_ranges_without_veritas_are_wider_and_hold(regressor, monkeypatch):
    threat, eps = ThreatModel().resolve(X), np.full(6, 0.4)
    low, high = range_certifier_of(fitted(regressor)).ranges(SOME, threat, eps)
    monkeypatch.setattr(veritas, "is_installed", lambda: False)
    wide = range_certifier_of(regressor).ranges(SOME, threat, eps)
    assert (wide[0] <= low).all() and (wide[1] >= high).all()
    check_points(regressor, SOME[:2], {}, eps=0.4, seed=3)


@needs_veritas
def test_limits_of_time_and_of_steps_give_wider_ranges_that_hold():
    forest = RandomForestRegressor(30, random_state=0).fit(X, Y)
    threat, eps = ThreatModel().resolve(X), np.full(3, 0.5)
    certifier = range_certifier_of(forest)
    by_steps = certifier.ranges(SOME[:3], threat, eps)
    again = range_certifier_of(forest).ranges(SOME[:3], threat, eps)
    np.testing.assert_array_equal(by_steps, again)
    by_time = certifier.within(0.005).ranges(SOME[:3], threat, eps)
    for low, high in (by_steps, by_time):
        for row, x in enumerate(SOME[:3]):
            points = points_near(x, np.inf, 0.5, np.random.default_rng(row), {})
            predicted = forest.predict(points)
            assert (predicted >= low[row]).all() and (predicted <= high[row]).all()


def test_missing_values_stay_missing():
    gaps = SOME.copy()
    gaps[::2, 0] = np.nan
    with_gaps = X.copy()
    with_gaps[::3, 0] = np.nan
    for regressor in (
        HistGradientBoostingRegressor(max_iter=4),
        DecisionTreeRegressor(max_depth=4, random_state=0),
        make_pipeline(SimpleImputer(), Ridge()),
        make_pipeline(ColumnTransformer([("fill", SimpleImputer(), [0, 2])]), Ridge()),
    ):
        check_points(regressor.fit(with_gaps, Y), gaps, {}, eps=0.3, seed=4)


class Doubled(Ridge):
    """Predicts something else than what is known of its class."""

    def predict(self, X):
        return 2 * super().predict(X)


class Unknown(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.parametrize(
    ("regressor", "step", "reason"),
    [
        (KNeighborsRegressor(), "KNeighborsRegressor", "neighbours"),
        (SVR(), "SVR", "kernel='rbf'"),
        (KernelRidge(kernel="rbf"), "KernelRidge", "kernel"),
        (GaussianProcessRegressor(optimizer=None), "GaussianProcessRegressor", "kernel"),
        (AdaBoostRegressor(n_estimators=2), "AdaBoostRegressor", "median"),
        (Doubled(), "Doubled", "predict is its own"),
        (Unknown(), "Unknown", "differentiable model"),
        (make_pipeline(PCA(2), DecisionTreeRegressor(max_depth=2)), "'pca'", "mixes columns"),
        (make_pipeline(PolynomialFeatures(), Ridge()), "'polynomialfeatures'", "affine"),
        (
            TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=9)),
            "'transformer_'",
            "not known to be increasing",
        ),
        (
            TransformedTargetRegressor(KNeighborsRegressor()),
            "'regressor_'",
            "neighbours",
        ),
        (
            BaggingRegressor(KNeighborsRegressor(), 2),
            r"'estimators_\[0\]'",
            "no sum over trees",
        ),
        (
            VotingRegressor(
                [("a", HistGradientBoostingRegressor(max_iter=2)), ("b", DecisionTreeRegressor())]
            ),
            "VotingRegressor",
            "histogram boosting and other trees",
        ),
        (GradientBoostingRegressor(init=Ridge(), n_estimators=2), "GradientBoosting", "init"),
    ],
)
def test_refusals_name_the_step_and_the_reason(regressor, step, reason):
    with pytest.raises(NotCertifiableError, match=f"{step}.*cannot be certified.*{reason}"):
        certifier = range_certifier_of(fitted(regressor))
        certifier.ranges(SOME, ThreatModel().resolve(X), np.full(6, 0.1))


def test_native_categories_must_stay():
    codes = X.copy()
    codes[:, 1] = np.digitize(X[:, 1], [-1, 0, 1])
    boosting = HistGradientBoostingRegressor(max_iter=4, categorical_features=[1]).fit(codes, Y)
    with pytest.raises(NotCertifiableError, match="native categories"):
        range_certifier_of(boosting).ranges(codes[:2], ThreatModel().resolve(X), np.ones(2))
    check_points(boosting, codes[:4], {"immutable": [1]}, eps=0.5, seed=5)
