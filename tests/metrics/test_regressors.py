"""Regressors under attack: closed forms of linear models, brute force, and what is refused."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import load_diabetes
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from sklearn_iso import IsometricRegressor, ThreatModel
from sklearn_iso.attacks import APGD, FAB, FGSM, FMN, PGD, AttackEnsemble, Coordinates, RayS, Square
from sklearn_iso.exceptions import RefusedPointsWarning
from sklearn_iso.metrics import (
    RegressionReport,
    adversarial_accuracy,
    adversarial_distance,
    adversarial_error,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.twins import NotDifferentiableError

X, Y = load_diabetes(return_X_y=True)
X, Y = (StandardScaler().fit_transform(values) for values in (X[:40, :5], Y[:40, None]))
Y = Y[:, 0]
TARGETS = np.stack([Y, X @ [1.0, -2.0, 0.5, 0.0, 0.0] + 0.1 * Y], axis=1)
UNITS = np.array([0.5, 1.0, 2.0, 0.0, 0.7])
RIDGE = Ridge().fit(X, Y)
ERRORS = np.abs(RIDGE.predict(X) - Y)
LOW, HIGH = X.min(axis=0) - 0.1, X.max(axis=0) + 0.1
DUAL_ORDER = {"linf": 1, "l2": 2, "l1": np.inf}
NORMS = sorted(DUAL_ORDER)


def slope(norm, units=1.0, coef=None):
    return np.linalg.norm((RIDGE.coef_ if coef is None else coef) * units, ord=DUAL_ORDER[norm])


def highest_change(w, x, eps, norm, bounds=(LOW, HIGH)):
    """Largest w @ (x' - x) in a ball and a box, by an independent solver."""
    low, high = bounds[0] - x, bounds[1] - x
    if norm == "linf":
        return np.where(w > 0, np.minimum(eps, high), np.maximum(-eps, low)) @ w
    if norm == "l1":  # parts up and down
        found = linprog(
            -np.concatenate([w, -w]), A_ub=np.ones((1, 2 * len(w))), b_ub=[eps],
            bounds=[(0, side) for side in [*high, *-low]],
        )  # fmt: skip
        return -found.fun
    found = minimize(
        lambda d: -w @ d, np.zeros(len(w)), jac=lambda d: -w, method="SLSQP",
        bounds=list(zip(low, high, strict=True)), options={"ftol": 1e-15, "maxiter": 500},
        constraints={"type": "ineq", "fun": lambda d: eps**2 - d @ d, "jac": lambda d: -2 * d},
    )  # fmt: skip
    return -found.fun


# ---- linear models are exact


@pytest.mark.parametrize("eps", [0.1, 2.0])
@pytest.mark.parametrize("norm", NORMS)
def test_worst_error_of_a_linear_model_is_its_closed_form(norm, eps):
    threat = ThreatModel(norm, units=UNITS)
    worst = ERRORS + eps * slope(norm, UNITS)
    found = adversarial_error(RIDGE, X, Y, eps=eps, threat=threat, random_state=0)
    assert found == pytest.approx(worst.mean(), rel=1e-9)
    squared = adversarial_error(
        RIDGE, X, Y, eps=eps, threat=threat, loss="squared_error", random_state=0
    )
    assert squared == pytest.approx((worst**2).mean(), rel=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_worst_error_within_bounds_is_that_of_an_independent_solver(norm):
    threat = ThreatModel(norm, bounds=(LOW, HIGH))
    expected = [
        max(
            abs(RIDGE.predict(x[None])[0] + sign * highest_change(sign * RIDGE.coef_, x, 0.6, norm)
                - target)
            for sign in (1, -1)
        )
        for x, target in zip(X[:8], Y[:8], strict=True)
    ]  # fmt: skip
    found = adversarial_error(RIDGE, X[:8], Y[:8], eps=0.6, threat=threat, random_state=0)
    assert found == pytest.approx(np.mean(expected), rel=1e-6)


def test_immutable_columns_stay():
    threat = ThreatModel("l2", immutable=[0, 2])
    kept = RIDGE.coef_.copy()
    kept[[0, 2]] = 0
    found = adversarial_error(RIDGE, X, Y, eps=0.5, threat=threat, random_state=0)
    assert found == pytest.approx(ERRORS.mean() + 0.5 * np.linalg.norm(kept), rel=1e-9)


def test_categories_change_to_the_worst_one():
    """Without a budget for the numbers, all that is left is the choice of the category."""
    table = np.hstack([X[:, :1], np.eye(3)[np.arange(len(X)) % 3]])
    ridge = Ridge(alpha=1e-3).fit(table, Y + np.arange(len(X)) % 3)
    threat = ThreatModel(categories=[(1, 2, 3)], immutable=[0])
    choices = [np.hstack([X[:, :1], np.tile(np.eye(3)[c], (len(X), 1))]) for c in range(3)]
    worst = np.max([np.abs(ridge.predict(choice) - Y) for choice in choices], axis=0)
    found = adversarial_error(ridge, table, Y, eps=0.1, threat=threat, random_state=0)
    assert found == pytest.approx(worst.mean(), rel=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_worst_mean_over_two_outputs_is_that_of_the_worst_signs(norm):
    ridge = Ridge().fit(X, TARGETS)
    deviation = ridge.predict(X) - TARGETS
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    worst = [deviation @ s + 0.3 * slope(norm, coef=s @ ridge.coef_) for s in signs]
    found = adversarial_error(ridge, X, TARGETS, eps=0.3, threat=norm, random_state=0)
    assert found == pytest.approx(np.max(worst, axis=0).mean() / 2, rel=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_distance_of_a_linear_model_is_its_closed_form(norm):
    threat = ThreatModel(norm, units=UNITS)
    moved = adversarial_distance(RIDGE, X, tolerance=0.7, threat=threat, random_state=0)
    np.testing.assert_allclose(moved, 0.7 / slope(norm, UNITS), rtol=1e-6)
    wrong = adversarial_distance(RIDGE, X, Y, tolerance=0.7, threat=threat, random_state=0)
    expected = np.maximum(0, 0.7 - ERRORS) / slope(norm, UNITS)
    assert 0 < (expected == 0).sum() < len(X)
    np.testing.assert_allclose(wrong, expected, rtol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_distance_within_bounds_reaches_the_tolerance_and_no_closer_budget_does(norm):
    bounds = (LOW + 0.05, HIGH - 0.05)
    threat = ThreatModel(norm, bounds=bounds)
    found = adversarial_distance(RIDGE, X[:6], tolerance=0.7, threat=threat, random_state=0)
    for x, distance in zip(X[:6], found, strict=True):
        reached = [
            max(highest_change(sign * RIDGE.coef_, x, r, norm, bounds) for sign in (1, -1))
            for r in (0.9999 * distance, 1.0001 * distance)
        ]
        assert reached[0] < 0.7 < reached[1]


def test_distance_of_two_outputs_is_that_of_the_nearer():
    ridge = Ridge().fit(X, TARGETS)
    found = adversarial_distance(ridge, X[:9], tolerance=0.7, threat="l2", random_state=0)
    np.testing.assert_allclose(found, 0.7 / np.linalg.norm(ridge.coef_, axis=1).max(), rtol=1e-6)


def test_no_distance_where_bounds_keep_predictions_near():
    threat = ThreatModel(bounds=(LOW, HIGH))
    assert np.isinf(
        adversarial_distance(RIDGE, X[:3], tolerance=99.0, threat=threat, attack=FMN())
    ).all()


# ---- others, against brute force


def points_of(x, eps, norm, n=61):
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n)] * len(x)), axis=-1).reshape(-1, len(x))
    size = {"linf": np.abs(grid).max(axis=1), "l2": np.linalg.norm(grid, axis=1),
            "l1": np.abs(grid).sum(axis=1)}[norm]  # fmt: skip
    return x + eps * grid[size <= 1]


TWO = X[:, [2, 3]]
OTHERS = {
    "tree": DecisionTreeRegressor(min_samples_leaf=4, random_state=0),
    "forest": RandomForestRegressor(5, random_state=0),
    "boosting": HistGradientBoostingRegressor(max_iter=10, min_samples_leaf=5),
    "neighbours": KNeighborsRegressor(3),
    "network": MLPRegressor(hidden_layer_sizes=(20,), max_iter=300, random_state=0),
    "vectors": SVR(C=10),
    "polynomial": make_pipeline(PolynomialFeatures(3), Ridge()),
    "isometric": IsometricRegressor(
        alpha=0.1, hidden_layer_sizes=(16,), max_epochs=20, random_state=0
    ),
}


def fitted(regressor, features):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # too few iterations
        return clone(regressor).fit(features, Y)


LATER = ("forest", "neighbours", "isometric", "polynomial")
SLOWER = [("tree", "linf"), ("tree", "l1"), *((name, "l2") for name in LATER)]


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        *((name, "l2") for name in ("tree", "boosting", "network", "vectors")),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOWER),
    ],
)
def test_worst_error_is_not_much_below_that_on_a_grid(name, norm):
    regressor = fitted(OTHERS[name], TWO)
    some, targets = TWO[:6], Y[:6]
    brute = np.mean([
        np.abs(regressor.predict(points_of(x, 0.5, norm)) - target).max()
        for x, target in zip(some, targets, strict=True)
    ])  # fmt: skip
    clean = np.abs(regressor.predict(some) - targets).mean()
    found = adversarial_error(regressor, some, targets, eps=0.5, threat=norm, random_state=0)
    assert clean < 0.95 * brute, "the comparison would tell nothing"
    assert found >= 0.95 * brute


@pytest.mark.parametrize("name", ["tree", "boosting"])
def test_worst_error_of_steps_along_one_feature_is_that_on_a_grid(name):
    one = X[:, [2]]
    regressor = fitted(OTHERS[name], one)
    brute = np.mean([
        np.abs(regressor.predict(points_of(x, 0.5, "linf", n=4001)) - target).max()
        for x, target in zip(one, Y, strict=True)
    ])  # fmt: skip
    attack = AttackEnsemble(n_queries=400)
    found = adversarial_error(regressor, one, Y, eps=0.5, attack=attack, random_state=0)
    assert found == pytest.approx(brute, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tree", "vectors"])
def test_distance_is_not_much_above_that_on_a_grid(name):
    regressor = fitted(OTHERS[name], TWO)
    some, tolerance = TWO[:5], 0.3
    found = adversarial_distance(regressor, some, tolerance=tolerance, threat="l2", random_state=0)
    for x, distance in zip(some, found, strict=True):
        points = points_of(x, 3.0, "l2", n=301)
        far = np.abs(regressor.predict(points) - regressor.predict(x[None])) > tolerance
        nearest = np.linalg.norm(points[far] - x, axis=1).min()
        assert distance < 1.15 * nearest + 0.02


def test_trees_are_searched_without_gradients_and_say_so():
    regressor = fitted(OTHERS["tree"], X)
    few = {"eps": [0.3], "attack": AttackEnsemble(n_queries=4), "random_state": 0}
    report = robustness_report(regressor, X, Y, **few)
    assert report.kind == "score-based"
    assert "trees are piecewise constant" in report.reason
    neighbours = robustness_report(fitted(OTHERS["neighbours"], X), X, Y, **few)
    assert neighbours.kind == "surrogate"


# ---- laws


@pytest.mark.parametrize("name", ["tree", "network"])
@pytest.mark.parametrize("weight", [None, np.arange(len(X)) % 4 + 0.5])
def test_eps_of_0_gives_the_errors_of_scikit_learn(name, weight):
    regressor = fitted(OTHERS[name], X)
    of_scikit_learn = {"absolute_error": mean_absolute_error, "squared_error": mean_squared_error}
    for loss, measure in of_scikit_learn.items():
        found = adversarial_error(regressor, X, Y, eps=0, loss=loss, sample_weight=weight)
        expected = measure(Y, regressor.predict(X), sample_weight=weight)
        assert found == pytest.approx(expected, rel=1e-12)


def test_eps_of_0_averages_outputs_as_scikit_learn_does():
    ridge = Ridge().fit(X, TARGETS)
    found = adversarial_error(ridge, X, TARGETS, eps=0, loss="squared_error")
    assert found == pytest.approx(mean_squared_error(TARGETS, ridge.predict(X)), rel=1e-12)


@pytest.mark.parametrize("name", ["tree", "network", "neighbours"])
def test_errors_rise_with_the_budget_and_not_below_the_clean_one(name):
    regressor = fitted(OTHERS[name], X)
    attack = AttackEnsemble(n_queries=40)
    budgets = [0.4, 0.0, 0.1, 0.2]
    curve = robustness_curve(regressor, X, Y, eps=budgets, attack=attack, random_state=0)
    assert curve[1] == pytest.approx(np.abs(regressor.predict(X) - Y).mean())
    assert (np.diff(curve[np.argsort(budgets)]) > 0).all()


@settings(max_examples=4, deadline=None)
@given(st.floats(0, 3), st.floats(0, 3), st.sampled_from(NORMS))
def test_errors_of_linear_models_are_monotone_in_eps(small, large, norm):
    small, large = sorted([small, large])
    few = {"X": X[:5], "y": Y[:5], "threat": norm, "random_state": 0}
    first, last = (adversarial_error(RIDGE, eps=eps, **few) for eps in (small, large))
    assert first <= last * (1 + 1e-12)


def test_weight_of_2_is_the_sample_twice_and_of_0_leaves_it_out():
    weight = np.arange(len(X)) % 3
    repeated = np.repeat(np.arange(len(X)), weight)
    expected = adversarial_error(RIDGE, X[repeated], Y[repeated], eps=0.3, random_state=0)
    found = adversarial_error(RIDGE, X, Y, eps=0.3, random_state=0, sample_weight=weight)
    assert found == pytest.approx(expected, rel=1e-12)
    distances = adversarial_distance(RIDGE, X, tolerance=1.0, sample_weight=weight)
    np.testing.assert_array_equal(np.isnan(distances), weight == 0)


@pytest.mark.parametrize("name", ["tree", "network"])
def test_same_seed_same_figure_and_generators_stay(name):
    regressor, attack = fitted(OTHERS[name], X), AttackEnsemble(n_queries=30)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first, again = (
        adversarial_error(regressor, X, Y, eps=0.3, attack=attack, random_state=5) for _ in "12"
    )
    assert first == again
    assert torch.equal(before, torch.random.get_rng_state())


def test_callable_loss_is_asked_where_predictions_are_extreme():
    def pinball(y, predicted):
        return np.maximum(0.9 * (y - predicted), 0.1 * (predicted - y))

    change = 0.4 * slope("linf")
    clean = RIDGE.predict(X)
    expected = np.maximum(pinball(Y, clean + change), pinball(Y, clean - change)).mean()
    found = adversarial_error(RIDGE, X, Y, eps=0.4, loss=pinball, random_state=0)
    assert found == pytest.approx(expected, rel=1e-9)
    clean_loss = adversarial_error(RIDGE, X, Y, eps=0, loss=pinball)
    assert clean_loss == pytest.approx(mean_pinball_loss(Y, clean, alpha=0.9))


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, csr_matrix])
def test_tables_of_users_are_told_from_arrays_by_nothing(make):
    table = make(X)
    if hasattr(table, "columns"):
        table.columns = [f"c{number}" for number in range(X.shape[1])]
    ridge = Ridge().fit(table, Y)
    found = adversarial_error(ridge, table, Y, eps=0.3, random_state=0)
    assert found == pytest.approx(ERRORS.mean() + 0.3 * slope("linf"), rel=1e-9)


def test_float32_is_attacked_as_it_is():
    single = X.astype(np.float32)
    ridge = Ridge().fit(single, Y)
    change = 0.3 * np.abs(ridge.coef_).sum()
    found = adversarial_error(ridge, single, Y, eps=0.3, random_state=0)
    assert found == pytest.approx(np.abs(ridge.predict(single) - Y).mean() + change, rel=1e-4)


# ---- attacks that run alone


@pytest.mark.parametrize(
    "attack", ["pgd", "apgd", "fgsm", "square", PGD(loss="targeted_margin", n_steps=20)]
)
def test_attacks_that_run_alone_come_near_the_closed_form(attack):
    worst = ERRORS.mean() + 0.3 * slope("linf")
    found = adversarial_error(RIDGE, X, Y, eps=0.3, attack=attack, random_state=0)
    assert 0.9 * worst < found <= worst * (1 + 1e-12)


def test_coordinates_add_up_what_single_features_change():
    found = adversarial_error(RIDGE, X, Y, eps=0.3, attack=Coordinates(), random_state=0)
    assert found == pytest.approx(ERRORS.mean() + 0.3 * slope("linf"), rel=1e-6)


@pytest.mark.parametrize("attack", [FMN(), FAB(), "ddn", RayS()])
def test_attacks_alone_find_the_distances_of_a_linear_model(attack):
    found = adversarial_distance(
        RIDGE, X[:6], tolerance=0.7, threat="l2", attack=attack, random_state=0
    )
    rtol = 0.5 if isinstance(attack, RayS) else 1e-6
    np.testing.assert_allclose(found, 0.7 / slope("l2"), rtol=rtol)


def test_attack_of_a_user_gets_outputs_and_targets():
    def up(outputs, x, y, *, eps, threat):
        assert y.shape == (len(X), 1)
        assert outputs(x).shape == y.shape
        return x + eps * torch.from_numpy(np.sign(RIDGE.coef_))

    expected = np.maximum(ERRORS, np.abs(RIDGE.predict(X) - Y + 0.3 * slope("linf"))).mean()
    assert adversarial_error(RIDGE, X, Y, eps=0.3, attack=up) == pytest.approx(expected)
    with pytest.raises(ValueError, match="within eps"):
        adversarial_error(RIDGE, X, Y, eps=0.3, attack=lambda f, x, y, *, eps, threat: x + 1)
    with pytest.raises(TypeError, match="must return a tensor"):
        adversarial_error(RIDGE, X, Y, eps=0.3, attack=lambda f, x, y, *, eps, threat: None)


@pytest.mark.parametrize("attack", ["rays", "ddn", FMN()])
def test_attacks_that_look_for_another_label_are_refused(attack):
    with pytest.raises(ValueError, match="attack on a regressor must be one that maximises a loss"):
        adversarial_error(RIDGE, X, Y, eps=0.3, attack=attack)


def test_gradients_that_were_asked_for_must_be_there():
    tree = fitted(OTHERS["tree"], X)
    for attack in (APGD(), FGSM(), lambda outputs, x, y, *, eps, threat: x):
        with pytest.raises(NotDifferentiableError, match="piecewise constant"):
            adversarial_error(tree, X, Y, eps=0.3, attack=attack)
    with pytest.raises(NotDifferentiableError, match="piecewise constant"):
        adversarial_distance(tree, X, tolerance=1.0, attack="fmn")
    with pytest.raises(ValueError, match="n_queries must be positive"):
        adversarial_error(tree, X, Y, eps=0.3, attack=AttackEnsemble(n_queries=0))


# ---- the estimator has the last word


class Rounded(RegressorMixin, BaseEstimator):
    """A regressor whose twin claims more than it predicts."""

    def __init__(self, slope=2.0):
        self.slope = slope

    def fit(self, X, y):
        self.coef_ = np.ones(X.shape[1])
        return self

    def predict(self, X):
        if X.min() < -9:
            raise ValueError("X must be at least -9")
        return np.where(np.abs(X[:, 0]) > 8, np.nan, X[:, 0])

    def to_torch(self):
        linear = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
        torch.nn.init.constant_(linear.weight, self.slope)
        return linear


def test_twin_that_predicts_otherwise_is_not_followed():
    points, y = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0])
    regressor = Rounded().fit(points, y)
    given = {"attack": AttackEnsemble(n_queries=60), "random_state": 0}
    assert adversarial_error(regressor, points, y, eps=0.5, **given) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="must predict as the estimator does"):
        adversarial_error(regressor, points, y, eps=0.5, attack="pgd")
    report = robustness_report(regressor, points, y, eps=[0.5], **given)
    assert "predicts otherwise on 3 of 3 samples" in report.reason


def test_refused_points_do_not_count_and_are_told():
    points, y = np.array([[7.5], [-8.0], [0.0]]), np.array([7.5, -8.0, 0.0])
    regressor = Rounded(slope=1.0).fit(points, y)
    with pytest.warns(RefusedPointsWarning, match="gave no answer"):
        found = adversarial_error(regressor, points, y, eps=2.0, attack=APGD(), random_state=0)
    assert 0 < found <= (2.0 + 2.0 + 2.0) / 3
    with pytest.warns(RefusedPointsWarning, match="gave no answer"):
        adversarial_distance(regressor, points, tolerance=3.0, random_state=0)


# ---- scorer, report


def test_scorer_is_minus_the_error_and_greater_is_better():
    scorer = make_adversarial_scorer(eps=0.3, threat="l2", loss="squared_error")
    expected = -adversarial_error(
        RIDGE, X, Y, eps=0.3, threat="l2", loss="squared_error", random_state=0
    )
    again = pickle.loads(pickle.dumps(scorer))
    assert scorer(RIDGE, X, Y) == again(RIDGE, X, Y) == expected
    assert clone(scorer, safe=False) == scorer
    plain = make_adversarial_scorer(eps=0.0)
    assert plain(RIDGE, X, Y, sample_weight=Y > 0) == pytest.approx(-ERRORS[Y > 0].mean())
    with pytest.raises(TypeError, match="loss must be left out but for a regressor"):
        scorer(LogisticRegression().fit(X, Y > 0), X, Y > 0)
    with pytest.raises(ValueError, match="loss must be one of"):
        make_adversarial_scorer(eps=0.3, loss="r2")


def test_search_chooses_more_regularisation_under_attack_than_without():
    alphas = [0.1, 30.0]
    best = []
    for eps in (0.0, 0.5):
        scorer = make_adversarial_scorer(eps=eps, loss="squared_error")
        search = GridSearchCV(Ridge(), {"alpha": alphas}, scoring=scorer, cv=2)
        search.fit(X, TARGETS[:, 1])
        best.append(search.best_params_["alpha"])
    assert best[0] < best[1]


def test_report_tells_error_and_r2_of_the_worst_predictions():
    report = robustness_report(RIDGE, X, Y, eps=[0.0, 0.3], threat="l2", random_state=0)
    assert isinstance(report, RegressionReport)
    clean = RIDGE.predict(X)
    worst = clean + np.sign(clean - Y) * 0.3 * slope("l2")
    np.testing.assert_allclose(report.error, [ERRORS.mean(), np.abs(worst - Y).mean()])
    np.testing.assert_allclose(report.r2, [r2_score(Y, clean), r2_score(Y, worst)])
    half = 1.959964 * ERRORS.std(ddof=1) / np.sqrt(len(X))
    np.testing.assert_allclose(report.interval[0], ERRORS.mean() + [-half, half], rtol=1e-6)
    assert report.kind == "white-box"
    assert sum(counts[1] for counts in report.found_by.values()) == len(X)
    assert list(report.to_frame()["absolute_error"]) == report.error.tolist()
    assert "<table>" in report._repr_html_()
    assert "R2" in str(report)


def test_report_tells_of_a_search_that_was_too_short():
    forest = RandomForestRegressor(5, random_state=0).fit(X, Y)
    attack = AttackEnsemble(n_queries=2)
    short = robustness_report(forest, X, Y, eps=[0.5], threat="l2", attack=attack, random_state=0)
    assert "search not finished" in [finding.name for finding in short.warnings]


class Noisy(Ridge):
    """A regressor that answers otherwise every time."""

    def predict(self, X):
        return super().predict(X) + np.random.default_rng().normal(size=len(X))


def test_report_tells_of_predictions_that_do_not_repeat():
    attack = AttackEnsemble(n_queries=4)
    report = robustness_report(Noisy().fit(X, Y), X, Y, eps=[0.1], attack=attack, random_state=0)
    assert "predictions do not repeat" in [finding.name for finding in report.warnings]


def test_constant_regressor_has_its_clean_error_and_no_distance():
    dummy = DummyRegressor().fit(X, Y)
    clean = np.abs(Y - Y.mean()).mean()
    attack = AttackEnsemble(n_queries=20)
    assert adversarial_error(dummy, X, Y, eps=1.0, attack=attack) == pytest.approx(clean)
    assert np.isinf(adversarial_distance(dummy, X[:3], tolerance=0.1)).all()


# ---- what is refused


@pytest.mark.parametrize("tolerance", [None, 0, -1.0, np.nan, np.inf, "1", True])
def test_tolerance_of_a_regressor_must_be_a_number_above_0(tolerance):
    with pytest.raises(ValueError, match="tolerance must be a number above 0"):
        adversarial_distance(RIDGE, X, Y, tolerance=tolerance)


def test_each_kind_of_estimator_is_told_the_function_for_it():
    classifier = LogisticRegression().fit(X, Y > 0)
    with pytest.raises(TypeError, match="got LogisticRegression.*adversarial_accuracy"):
        adversarial_error(classifier, X, Y, eps=0.1)
    with pytest.raises(TypeError, match="got Ridge.*adversarial_error"):
        adversarial_accuracy(RIDGE, X, Y, eps=0.1)
    with pytest.raises(ValueError, match="tolerance must be left out"):
        adversarial_distance(classifier, X, Y > 0, tolerance=0.1)
    with pytest.raises(ValueError, match="y must hold the labels"):
        adversarial_distance(classifier, X)
    for function in (robustness_curve, robustness_report):
        with pytest.raises(TypeError, match="loss must be left out"):
            function(classifier, X, Y > 0, eps=[0.1], loss="squared_error")
    with pytest.raises(ValueError, match="method must be 'nested' for a regressor"):
        robustness_curve(RIDGE, X, Y, eps=[0.1], method="distance")
    with pytest.raises(NotFittedError):
        adversarial_error(Ridge(), X, Y, eps=0.1)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.where(np.arange(len(X)) == 3, np.nan, Y), "Input y contains NaN"),
        (Y[:-1], "inconsistent numbers of samples"),
        (TARGETS, "as many numbers for each sample"),
        (np.full(len(X), "a"), "could not convert"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        adversarial_error(RIDGE, X, y, eps=0.1)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("r2", "loss must be one of"),
        (None, "loss must be one of"),
        (lambda y, predicted: np.abs(y - predicted).mean(), "one finite number for each sample"),
        (lambda y, predicted: np.nan * y, "one finite number for each sample"),
    ],
)
def test_losses_that_are_none_are_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        adversarial_error(RIDGE, X, Y, eps=0.1, loss=loss)


def test_regressor_that_predicts_nan_without_an_attack_is_refused():
    class Nan(LinearRegression):
        def predict(self, X):
            return np.full(len(X), np.nan)

    with pytest.raises(ValueError, match="must return finite numbers at X"):
        adversarial_error(Nan().fit(X, Y), X, Y, eps=0.1)


def test_square_takes_the_shape_of_images():
    images = np.hstack([X, X[:, :4]])
    ridge = Ridge().fit(images, Y)
    attack = Square(n_queries=50, image_shape=(3, 3))
    assert (
        adversarial_error(ridge, images, Y, eps=0.2, attack=attack, random_state=0) > ERRORS.mean()
    )
