"""Certificates of nearest neighbours, held to quadratic programs, brute force and attacks."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_iris, make_moons
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import RayS
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import adversarial_distance, certified_distance

X, Y = load_iris(return_X_y=True)
MOONS, SIDE = make_moons(60, noise=0.2, random_state=0)
ORDER = {"linf": np.inf, "l2": 2, "l1": 1}


def test_one_neighbour_in_l2_is_the_distance_to_the_cells_of_others():
    """A point is mistaken on the cell of another class: a quadratic program for each point."""
    neighbour = KNeighborsClassifier(1).fit(MOONS[::2], SIDE[::2])
    samples, labels = MOONS[1::6], SIDE[1::6]
    found = certified_distance(neighbour, samples, labels, threat="l2")
    for x, label, distance in zip(samples, labels, found, strict=True):
        if neighbour.predict(x[None])[0] != label:
            assert distance == 0
            continue
        own, others = (MOONS[::2][(SIDE[::2] == label) == same] for same in (True, False))
        best = min(_to_cell(x, own, other) for other in others)
        assert np.isclose(distance, best, rtol=1e-5)


def _to_cell(x, own, other):
    slopes, least = 2 * (other - own), other @ other - (own * own).sum(axis=1)
    program = minimize(
        lambda p: (p - x) @ (p - x), other, jac=lambda p: 2 * (p - x),
        constraints=[
            {"type": "ineq", "fun": lambda p: slopes @ p - least, "jac": lambda p: slopes}
        ],
        options={"ftol": 1e-14, "maxiter": 300},
    )  # fmt: skip
    return np.sqrt(program.fun)


@pytest.mark.parametrize("norm", ORDER)
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_no_point_of_a_fine_grid_within_the_bound_errs(k, metric, norm):
    classifier = KNeighborsClassifier(k, metric=metric).fit(MOONS, SIDE)
    samples, labels = MOONS[::4], SIDE[::4]
    found = certified_distance(classifier, samples, labels, threat=norm)
    grid = np.stack(np.meshgrid(*[np.linspace(-1.5, 2.5, 160)] * 2), axis=-1).reshape(-1, 2)
    answers = classifier.predict(grid)
    for x, label, distance in zip(samples, labels, found, strict=True):
        away = np.linalg.norm(grid - x, ord=ORDER[norm], axis=1)
        nearest = away[answers != label].min()
        assert distance <= nearest
    assert (found > 0).mean() > 0.5


def test_bounds_of_one_neighbour_are_tight_on_a_line():
    classifier = KNeighborsClassifier(1).fit([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1])
    samples, labels = [[0.5], [2.0], [4.4]], [0, 0, 1]
    for norm in ORDER:
        found = certified_distance(classifier, samples, labels, threat=norm)
        assert np.allclose(found, [2.0, 0.5, 1.9])


@pytest.mark.parametrize("norm", ORDER)
def test_attacks_find_nothing_nearer(norm):
    scaler = MinMaxScaler()
    pipeline = make_pipeline(scaler, KNeighborsClassifier(3)).fit(X, Y)
    threat = ThreatModel(norm, units=[1, 2, 1, 0], bounds=(0, 8))
    samples, labels = X[::30], Y[::30]
    proven = certified_distance(pipeline, samples, labels, threat=threat)
    found = adversarial_distance(
        pipeline, samples, labels, threat=threat, attack=RayS(n_queries=60), random_state=0
    )
    assert (proven <= found * (1 + 1e-6)).all() and (proven > 0).any()


def test_scaling_is_that_of_units():
    scaled = make_pipeline(StandardScaler(), KNeighborsClassifier(1)).fit(X[::2], Y[::2])
    units = 1 / scaled[0].scale_
    found = certified_distance(scaled, X[1::2], Y[1::2], threat="l2")
    Z = scaled[0].transform(X[1::2])
    alone = certified_distance(scaled[1], Z, Y[1::2], threat=ThreatModel("l2", units=units))
    assert np.allclose(found, alone, rtol=1e-6) and (found > 0).mean() > 0.8


def test_more_points_of_others_than_there_are_are_never_needed():
    classifier = KNeighborsClassifier(5).fit(np.arange(6)[:, None], [0, 0, 0, 0, 0, 1])
    assert np.isinf(certified_distance(classifier, [[0.0]], [0])).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"weights": "distance"}, "weights='distance'"),
        ({"metric": "cosine"}, "metric='cosine'"),
        ({"metric": "minkowski", "metric_params": {"w": np.ones(2)}}, "metric_params"),
    ],
)
def test_what_cannot_be_certified_is_told(options, told):
    classifier = KNeighborsClassifier(3, **options).fit(MOONS, SIDE)
    with pytest.raises(NotCertifiableError, match=told):
        certified_distance(classifier, MOONS, SIDE)
