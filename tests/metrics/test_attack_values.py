"""An attack carries its own parameters, and nothing else takes them."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso._geometry.norms import NORMS, NormName
from sklearn_iso.attacks import (
    APGD,
    ATTACKS,
    DDN,
    FAB,
    FGSM,
    FMN,
    PGD,
    AttackEnsemble,
    Coordinates,
    MinimumNormEnsemble,
    RayS,
    Square,
    apgd,
    as_attack,
    pgd,
    square,
)
from sklearn_iso.attacks._choice import AttackName
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.plotting import AdversarialExamplesDisplay, RobustnessCurveDisplay

X, Y = load_iris(return_X_y=True)
X, Y = X[::3], Y[::3]
MODEL = LogisticRegression(max_iter=500).fit(X, Y)
STEPS, RUNS = {"n_steps": 3}, {"n_restarts": 5}
#: What each attack takes beside batch_size, with values of its own.
TAKEN = {
    AttackEnsemble: {"n_queries": 7, "image_shape": (2, 2), "n_targets": 3},
    FGSM: {"loss": "margin"},
    PGD: {**STEPS, **RUNS, "step_size": 0.1, "loss": "targeted_margin", "n_targets": 3,
          "random_start": False},
    APGD: {**STEPS, **RUNS, "loss": "targeted_margin", "n_targets": 3, "random_start": False},
    DDN: {**STEPS, **RUNS},
    FMN: {**STEPS, **RUNS},
    FAB: {**STEPS, "n_targets": 3},
    Square: {**RUNS, "n_queries": 7, "image_shape": (2, 2)},
    RayS: {"n_queries": 7},
    Coordinates: {"n_queries": 7},
    MinimumNormEnsemble: {**STEPS, **RUNS, "n_queries": 7},
}  # fmt: skip
every_attack = pytest.mark.parametrize("kind", TAKEN, ids=lambda kind: kind.__name__)


@every_attack
def test_an_attack_is_a_value(kind):
    attack = kind(**TAKEN[kind], batch_size=9)
    assert {field.name for field in fields(attack)} == {*TAKEN[kind], "batch_size"}
    again = pickle.loads(pickle.dumps(attack))
    assert again == attack == clone(attack, safe=False) and hash(again) == hash(attack)
    assert eval(repr(attack)) == attack and repr(kind()) == f"{kind.__name__}()"
    for name in TAKEN[kind].keys() - {"loss"}:
        assert name in repr(attack) and replace(attack, batch_size=3) != attack
    with pytest.raises(FrozenInstanceError):
        attack.batch_size = 1
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        kind(n_stepps=3)


@every_attack
@pytest.mark.parametrize("name", ["n_steps", "n_restarts", "n_queries", "n_targets", "batch_size"])
def test_bad_counts_are_refused_where_the_attack_is_made(kind, name):
    if name not in {field.name for field in fields(kind)}:
        return
    for wrong in (-1, 1.5, "ten", True):
        with pytest.raises(ValueError, match=f"^{name} must be an integer of at least"):
            kind(**{name: wrong})


@pytest.mark.parametrize("kind", [AttackEnsemble, Square])
@pytest.mark.parametrize("shape", [3, (2,), (0, 2), "ab", (2.0, 2.0), (1, 2, 3, 4)])
def test_bad_shapes_are_refused_where_the_attack_is_made(kind, shape):
    with pytest.raises(ValueError, match=r"image_shape must be \(height, width\)"):
        kind(image_shape=shape)
    assert kind(image_shape=np.array([2, 2])) == kind(image_shape=[2, 2])


def test_the_names_that_type_checkers_know_are_those_of_the_list():
    assert get_args(AttackName) == tuple(ATTACKS) and get_args(NormName) == tuple(NORMS)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_name_is_short_for_the_defaults(name):
    attack = as_attack(name)
    assert attack == ATTACKS[name]() and attack.name == name
    assert as_attack(attack) is attack


def plain(logits, X, y, *, eps, threat):
    return X


MEASURES = {
    "accuracy": lambda **how: adversarial_accuracy(MODEL, X, Y, eps=0.1, **how),
    "curve": lambda **how: robustness_curve(MODEL, X, Y, eps=[0.1], **how),
    "report": lambda **how: robustness_report(MODEL, X, Y, eps=[0.1], n_diagnosed=0, **how),
    "scorer": lambda **how: make_adversarial_scorer(eps=0.1, **how),
    "examples": lambda **how: AdversarialExamplesDisplay.from_estimator(
        MODEL, X, Y, eps=0.1, **how
    ),
    "drawn curve": lambda **how: RobustnessCurveDisplay.from_estimator(
        MODEL, X, Y, eps=[0.1], **how
    ),
}


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_no_attack_is_refused_everywhere(measure):
    for wrong in ("cascade", None, 3, PGD, {"n_steps": 3}):
        with pytest.raises(ValueError, match="attack must be one of 'auto', 'fgsm', 'pgd'"):
            MEASURES[measure](attack=wrong)
    for name in ("n_steps", "n_queries"):
        with pytest.raises(TypeError, match=name):
            MEASURES[measure](**{name: 3})


def test_every_parameter_reaches_its_attack():
    network = MLPClassifier((6,), max_iter=300, random_state=0, solver="lbfgs").fit(X, Y)

    def found(attack):
        seen = []

        def attacked(logits, X, y, **options):
            calls = []
            X_adv = attack(lambda x: calls.append(len(x)) or logits(x), X, y, **options)
            seen.append(sum(calls))
            return X_adv

        adversarial_accuracy(network, X, Y, eps=0.02, attack=attacked, random_state=0)
        return seen[0]

    for kind, function, default in ((PGD, pgd, 40), (APGD, apgd, 100)):
        assert found(kind(n_steps=2)) < found(kind(n_steps=9)) < found(kind())
        assert found(kind(n_steps=9, n_restarts=3)) > found(kind(n_steps=9))
        assert found(kind()) == found(function) == found(kind(n_steps=default, n_restarts=1))
    few = Square(n_queries=9)
    assert found(replace(few, n_restarts=3)) > found(few) and found(few) < found(square)


@pytest.mark.parametrize(
    "function, kind, parameters",
    [(pgd, PGD, {**STEPS, **RUNS}), (apgd, APGD, STEPS), (square, Square, {"n_queries": 7})],
)
def test_a_function_is_its_attack_in_one_call(function, kind, parameters):
    logits = lambda x: torch.stack([x.sum(1), 4 - x.sum(1)], dim=1)  # noqa: E731
    rows = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    y = logits(rows).argmax(dim=1)
    options = {"eps": 0.2, "threat": "l2", "random_state": 3}
    in_one_call = function(logits, rows, y, **options, **parameters)
    assert torch.equal(in_one_call, kind(**parameters)(logits, rows, y, **options))


def test_runs_of_random_search_are_as_many_as_asked_for():
    tree = DecisionTreeClassifier(random_state=0).fit(X, Y)
    rows, predict = [], tree.predict_proba
    tree.predict_proba = lambda X: rows.append(len(X)) or predict(X)
    used = []
    for attack in (Square(n_queries=5), Square(n_queries=5, n_restarts=4)):
        rows.clear()
        adversarial_accuracy(tree, X, Y, eps=1e-3, attack=attack, random_state=0)
        used.append(sum(rows))
    assert used[0] < used[1]


@pytest.mark.parametrize("name", ["n_steps", "n_restarts"])
def test_steps_of_a_distance_are_an_error_where_there_are_no_gradients(name):
    tree = DecisionTreeClassifier(random_state=0).fit(X, Y)
    attack = MinimumNormEnsemble(n_queries=5, **{name: 3})
    with pytest.raises(ValueError, match=f"{name} must be left out where there are no gradients"):
        adversarial_distance(tree, X, Y, attack=attack)
    short, usual = (
        adversarial_distance(MODEL, X, Y, threat="l2", attack=MinimumNormEnsemble(**{name: steps}))
        for steps in (1, None)
    )
    assert (np.isfinite(short) & np.isfinite(usual)).all()


def test_a_minimum_norm_attack_alone_finds_no_closer_errors_than_all_of_them():
    network = MLPClassifier((6,), max_iter=300, random_state=0, solver="lbfgs").fit(X, Y)
    options = {"threat": "l2", "random_state": 0}
    together = adversarial_distance(network, X, Y, attack=MinimumNormEnsemble(), **options)
    parts = [
        adversarial_distance(network, X, Y, attack=attack, **options)
        for attack in (DDN(n_steps=100, n_restarts=1), FAB())
    ]
    nearest = np.minimum(*parts)  # together they walk once more from where these end
    assert (together <= nearest * (1 + 1e-12)).all()
    np.testing.assert_allclose(together, nearest, rtol=1e-3)
    by_labels = adversarial_distance(network, X, Y, attack=RayS(n_queries=300), **options)
    right = together > 0
    assert 1 <= np.median(by_labels[right] / together[right]) < 1.05
    tree = DecisionTreeClassifier(random_state=0).fit(X, Y)
    with pytest.raises(TypeError, match="DecisionTreeClassifier"):
        adversarial_distance(tree, X, Y, attack="fmn")


@pytest.mark.parametrize("wrong", ["pgd", PGD(), plain, AttackEnsemble(), "square", None])
def test_a_distance_takes_minimum_norm_attacks_alone(wrong):
    with pytest.raises(ValueError, match="attack must be a minimum-norm attack, one of 'auto'"):
        adversarial_distance(MODEL, X, Y, attack=wrong)
    with pytest.raises(ValueError, match="attack must be a minimum-norm attack"):
        robustness_curve(MODEL, X, Y, eps=[0.1], method="distance", attack=wrong)


def test_curve_by_distance_takes_the_attack_of_a_distance():
    network = MLPClassifier((6,), max_iter=300, random_state=0, solver="lbfgs").fit(X, Y)
    options = {"attack": MinimumNormEnsemble(n_steps=4, n_restarts=2), "random_state": 0}
    distances = adversarial_distance(network, X, Y, **options)
    eps = np.quantile(distances, [0.3, 0.6])
    curve = robustness_curve(network, X, Y, eps=eps, method="distance", **options)
    assert curve.tolist() == (distances > eps[:, None]).mean(axis=1).tolist()
