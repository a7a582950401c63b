"""A parameter of an attack does something, or is an error that says who takes it."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso.attacks import apgd, pgd, square
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.metrics.options import check_options
from sklearn_iso.plotting import RobustnessCurveDisplay

X, Y = load_iris(return_X_y=True)
X, Y = X[::3], Y[::3]
MODEL = LogisticRegression(max_iter=500).fit(X, Y)
VALUES = {"n_steps": 3, "n_restarts": 2, "n_queries": 7, "image_shape": (2, 2)}
TAKEN = {
    "cascade": {"n_queries", "image_shape"},
    "fgsm": set(),
    "pgd": {"n_steps", "n_restarts"},
    "apgd": {"n_steps", "n_restarts"},
    "ddn": {"n_steps", "n_restarts"},
    "fmn": {"n_steps", "n_restarts"},
    "fab": {"n_steps"},
    "square": {"n_restarts", "n_queries", "image_shape"},
    "rays": {"n_queries"},
}


def plain(logits, X, y, *, eps, threat):
    return X


MEASURES = {
    "accuracy": lambda **how: adversarial_accuracy(MODEL, X, Y, eps=0.1, **how),
    "curve": lambda **how: robustness_curve(MODEL, X, Y, eps=[0.1], **how),
    "report": lambda **how: robustness_report(MODEL, X, Y, eps=[0.1], n_diagnosed=0, **how),
    "scorer": lambda **how: make_adversarial_scorer(eps=0.1, **how),
}


@pytest.mark.parametrize("attack", [*TAKEN, plain], ids=[*TAKEN, "a user's"])
@pytest.mark.parametrize("name", VALUES)
def test_a_parameter_that_the_attack_does_not_take_is_an_error_everywhere(attack, name):
    chosen = {"attack": attack, name: VALUES[name]}
    if name in (set() if attack is plain else TAKEN[attack]):
        MEASURES["scorer"](**chosen)
        return
    shown = "plain" if attack is plain else repr(attack)
    message = f"{name} must be a parameter of the attack; got {name}=.* for attack={shown}, .*Leave"
    for measure in MEASURES.values():
        with pytest.raises(ValueError, match=message):
            measure(**chosen)


@pytest.mark.parametrize("value", [1, 40])
def test_the_former_defaults_are_no_exception(value):
    with pytest.raises(ValueError, match="n_steps must be a parameter of the attack"):
        adversarial_accuracy(MODEL, X, Y, eps=0.1, n_steps=value)


def test_every_parameter_that_is_taken_reaches_its_attack():
    """Where one is not set, the attack's own default holds."""
    network = MLPClassifier((6,), max_iter=300, random_state=0, solver="lbfgs").fit(X, Y)

    def found(attack, **how):
        seen = []

        def attacked(logits, X, y, **options):
            calls = []
            X_adv = attack(lambda x: calls.append(len(x)) or logits(x), X, y, **options)
            seen.append(sum(calls))
            return X_adv

        adversarial_accuracy(network, X, Y, eps=0.02, attack=attacked, random_state=0, **how)
        return seen[0]

    for attack in (pgd, apgd):
        assert found(attack, n_steps=2) < found(attack, n_steps=9) < found(attack)
        assert found(attack, n_steps=9, n_restarts=3) > found(attack, n_steps=9)
        default = {pgd: 40, apgd: 100}[attack]
        assert found(attack) == found(attack, n_steps=default, n_restarts=1)
    assert found(square, n_queries=9, n_restarts=3) > found(square, n_queries=9)


def test_runs_of_random_search_are_as_many_as_asked_for():
    tree = DecisionTreeClassifier(random_state=0).fit(X, Y)
    rows, predict = [], tree.predict_proba
    tree.predict_proba = lambda X: rows.append(len(X)) or predict(X)
    used = []
    for n_restarts in (None, 1, 4):
        rows.clear()
        adversarial_accuracy(
            tree, X, Y, eps=1e-3, attack="square", n_queries=5, n_restarts=n_restarts,
            random_state=0,
        )  # fmt: skip
        used.append(sum(rows))
    assert used[0] == used[1] < used[2]


def test_function_that_must_have_a_number_of_steps_gets_one():
    seen = {}

    def attack(logits, X, y, *, eps, threat, n_steps, n_restarts=7):
        seen.update(n_steps=n_steps, n_restarts=n_restarts)
        return X

    adversarial_accuracy(MODEL, X, Y, eps=0.1, attack=attack)
    assert seen == {"n_steps": 40, "n_restarts": 7}


@pytest.mark.parametrize("name", ["n_steps", "n_restarts"])
def test_steps_of_a_distance_are_an_error_where_there_are_no_gradients(name):
    tree = DecisionTreeClassifier(random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match=f"{name} must be left out where there are no gradients"):
        adversarial_distance(tree, X, Y, n_queries=5, **{name: 3})
    short, usual = (
        adversarial_distance(MODEL, X, Y, threat="l2", **{name: steps}) for steps in (1, None)
    )
    assert (np.isfinite(short) & np.isfinite(usual)).all()


def test_curve_by_distance_takes_the_steps_of_a_distance_and_no_attack():
    network = MLPClassifier((6,), max_iter=300, random_state=0, solver="lbfgs").fit(X, Y)
    options = {"n_steps": 4, "n_restarts": 2, "random_state": 0}
    distances = adversarial_distance(network, X, Y, **options)
    eps = np.quantile(distances, [0.3, 0.6])
    curve = robustness_curve(network, X, Y, eps=eps, method="distance", **options)
    assert curve.tolist() == (distances > eps[:, None]).mean(axis=1).tolist()
    for wrong in ({"attack": "pgd"}, {"attack": plain}, {"image_shape": np.array([2, 2])}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} must be left out for method='distance'"):
            robustness_curve(network, X, Y, eps=eps, method="distance", **wrong)


def test_display_refuses_a_shape_that_its_attack_has_no_use_for():
    with pytest.raises(ValueError, match="image_shape must be a parameter of the attack"):
        RobustnessCurveDisplay.from_estimator(
            MODEL, X, Y, eps=[0.1], attack="pgd", image_shape=(2, 2)
        )


def test_function_that_takes_anything_is_trusted():
    check_options(lambda logits, X, y, **options: X, **VALUES)
