"""Points that an estimator refuses are no adversarial examples, and cost no other sample."""

import itertools
import warnings

import numpy as np
import pytest
from few_queries import for_distance
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.decomposition import NMF
from sklearn.kernel_approximation import AdditiveChi2Sampler, Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import chi2_kernel
from sklearn.naive_bayes import CategoricalNB
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC, NuSVC

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.exceptions import RefusedPointsWarning
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._refused import Refused

NORMS = ("linf", "l2", "l1")
FEW = {"attack": AttackEnsemble(n_queries=40), "random_state": 0}


class Fenced(ClassifierMixin, BaseEstimator):
    """Class 1 above 1/2, in the first feature; below 0 is an error of a kind that is asked for."""

    classes_ = np.array([0, 1])

    def __init__(self, error=ValueError, at=0.0):
        self.error, self.at = error, at

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        if (X[:, 0] < self.at).any():
            raise self.error("X must not be negative")
        return (X[:, 0] > 0.5).astype(int)


X = np.array([[2.0, 0.0], [0.9, 1.0], [0.7, 0.0], [0.1, 1.0], [0.3, 0.0]])
Y = np.array([1, 1, 1, 0, 0])


@pytest.mark.parametrize(
    "norm, error",
    [("linf", ValueError), ("linf", IndexError), ("l2", TypeError), ("l1", ArithmeticError)],
)
def test_a_fence_is_as_bounds_are(norm, error):
    options = {"threat": norm, "random_state": 0, "attack": AttackEnsemble(n_queries=200)}
    fenced, bounds = Fenced(error).fit(X, Y), ([0, -np.inf], [np.inf, np.inf])
    with pytest.warns(RefusedPointsWarning, match=r"X must not be negative.*bounds=.*immutable="):
        found = adversarial_distance(fenced, X, Y, **for_distance(options))
    np.testing.assert_allclose(found, np.abs(X[:, 0] - 0.5), rtol=0.05, atol=1e-2)
    bounded = {**options, "threat": ThreatModel(norm, bounds=bounds)}
    np.testing.assert_allclose(
        found, adversarial_distance(fenced, X, Y, **for_distance(bounded)), rtol=0.05
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RefusedPointsWarning)
        accuracy = adversarial_accuracy(fenced, X, Y, eps=0.6, **options)
    assert accuracy == 0.2 == adversarial_accuracy(fenced, X, Y, eps=0.6, **bounded)


@pytest.mark.parametrize("n_refused", [0, 1, 7, 300])
def test_parts_of_a_batch_are_asked_until_only_refused_points_are_left(n_refused):
    values = np.random.default_rng(0).normal(size=(300, 1))
    bad, n_calls = np.zeros(300, dtype=bool), 0
    bad[np.random.default_rng(1).permutation(300)[:n_refused]] = True

    def question(at):
        nonlocal n_calls
        n_calls += 1
        if bad[at].any():
            raise ValueError("no")
        return 10 * at

    refused = Refused()
    parts = refused.ask(question, values)
    at, answers = (np.concatenate([[], *column]) for column in zip(*parts, strict=True)) if (
        parts) else (np.array([]), np.array([]))  # fmt: skip
    np.testing.assert_array_equal(np.sort(at), np.flatnonzero(~bad))
    np.testing.assert_array_equal(answers, 10 * at)
    assert refused.n_points == n_refused
    assert n_calls <= min(2 * 300, 1 + n_refused * 20)


def test_batches_in_vain_cost_a_few_calls_until_a_point_is_answered():
    values, calls, willing = np.zeros((200, 1)), [], False

    def question(at):
        calls.append(len(at))
        if not willing:
            raise ValueError("no")
        return at

    refused = Refused()
    for _ in range(15):
        before = len(calls)
        assert not refused.ask(question, values, thorough=False)
    assert len(calls) - before <= 5 and refused.n_points == 15 * 200
    willing = True
    assert sum(len(at) for at, _ in refused.ask(question, values, thorough=False)) == 200


MEASURES = {
    "accuracy": lambda *case: adversarial_accuracy(*case, eps=0.2, **FEW),
    "scorer": lambda *case: make_adversarial_scorer(eps=0.2, **FEW)(*case),
    "curve": lambda *case: robustness_curve(*case, eps=[0, 0.2], **FEW),
    "curve of distances": lambda *case: robustness_curve(
        *case, eps=[0, 0.2], method="distance", **for_distance(FEW)
    ),
    "distance": lambda *case: adversarial_distance(*case, **for_distance(FEW)),
    "report": lambda *case: robustness_report(*case, eps=[0, 0.2], **FEW),
}
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


@every_measure
def test_errors_at_the_samples_themselves_reach_the_user(measure):
    with pytest.raises(ValueError, match=r"^X must not be negative$"):
        measure(Fenced(at=0.2), X, Y)


@every_measure
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, ConnectionError])
def test_errors_of_the_machine_pass(measure, error):
    with pytest.raises(error):
        measure(Fenced(error), X, Y)


@every_measure
def test_each_call_says_so_once(measure):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = measure(Fenced(), X, Y)
    refused = [warning for warning in said if warning.category is RefusedPointsWarning]
    if hasattr(found, "n_refused"):
        assert not refused and found.n_refused > 0
        (finding,) = [finding for finding in found.warnings if finding.name == "points refused"]
        assert f"{found.n_refused:,} perturbed points" in finding.seen
        assert "bounds=" in finding.next_step and "immutable=" in finding.next_step
        assert "points refused" in str(found) and "points refused" in found._repr_html_()
    else:
        assert len(refused) == 1


def test_nothing_is_said_where_the_budget_stays_in_the_domain():
    report = robustness_report(Fenced(), X + 1, np.ones(5), eps=[0.2], **FEW)
    assert report.n_refused == 0
    assert "points refused" not in [finding.name for finding in report.warnings]


IRIS, SPECIES = (values[::12] for values in load_iris(return_X_y=True))
COUNTS = np.round(IRIS)


#: Others are among what is hard in tests/fuzz/test_evaluator.py.
PIPELINES = {
    "log": (FunctionTransformer(np.log), IRIS),
    "nmf": (NMF(2, max_iter=2000, tol=1e-3), IRIS),
    "chi2": (AdditiveChi2Sampler(), IRIS),
    "one-hot": (OneHotEncoder(), COUNTS),
    "ordinal": (OrdinalEncoder(), COUNTS),
}
CLASSIFIERS = {
    "chi2 kernel": (SVC(kernel=chi2_kernel), IRIS),
    "categorical": (CategoricalNB(), COUNTS),
    "propagation": (LabelPropagation(), IRIS),
    "spreading": (LabelSpreading(), IRIS),
    "radius": (RadiusNeighborsClassifier(1.0), IRIS),
}
REFUSING = {
    name: (make_pipeline(step, LogisticRegression(max_iter=500)), points)
    for name, (step, points) in PIPELINES.items()
} | CLASSIFIERS


@pytest.mark.parametrize("name, norm", list(zip(REFUSING, itertools.cycle(NORMS), strict=False)))
def test_estimators_with_a_domain_are_evaluated_without_a_flood_of_warnings(name, norm):
    estimator, points = REFUSING[name]
    estimator.fit(points, SPECIES)
    right = estimator.predict(points) == SPECIES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RefusedPointsWarning)
        warnings.filterwarnings("ignore", "The search by labels alone")  # of so few queries
        options = {"threat": norm, **FEW}
        accuracies = [
            adversarial_accuracy(estimator, points, SPECIES, eps=eps, **options) for eps in (0.4, 3)
        ]
        distances = adversarial_distance(estimator, points, SPECIES, **for_distance(options))
    assert right.mean() >= max(accuracies) >= min(accuracies) >= 0
    assert (distances[~right] == 0).all() and (distances[right] > 0).all()


@pytest.mark.parametrize("kind", [LabelPropagation, LabelSpreading])
def test_label_of_scores_that_are_no_numbers_is_no_error(kind):
    case = Problem.of(kind().fit(IRIS, SPECIES), IRIS, SPECIES)
    rows = np.flatnonzero(case.codes == 2)[:2]
    far = case.points(rows) + 1000
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (case.predict(far.numpy(), rows) == 0).all()
    assert not case.knows_far_away()
    assert not case.misclassified_at(far, rows).any() and case.refused.n_points == 2


@pytest.mark.parametrize(
    "load, estimator",
    [
        (load_iris, SVC()),
        (load_wine, SVC()),
        (load_wine, make_pipeline(StandardScaler(), SVC())),
        (load_breast_cancer, SVC()),
        (load_iris, NuSVC(nu=0.1)),
        (load_iris, make_pipeline(Nystroem(n_components=20, random_state=0), LogisticRegression())),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_walks_off_to_infinity_end_no_evaluation(load, estimator):
    points, y = load(return_X_y=True)
    estimator.fit(points, y)
    points, y = points[::10], y[::10]
    found = adversarial_accuracy(estimator, points, y, eps=0.1, threat="l2", **FEW)
    assert 0 < found <= estimator.score(points, y)


def test_powers_that_overflow_end_no_evaluation():
    points, y = load_iris(return_X_y=True)
    inner = make_pipeline(PowerTransformer(), LogisticRegression())
    estimator = CalibratedClassifierCV(inner).fit(points, y)
    threat, points, y = ThreatModel(units=points.std(axis=0)), points[::5], y[::5]
    assert 0 < adversarial_accuracy(estimator, points, y, eps=0.4, threat=threat, **FEW) < 1
