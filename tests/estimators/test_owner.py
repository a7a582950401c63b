"""An estimator alone writes to itself, and a parameter that several have stands in one class."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

import sklearn_iso
from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricRegressor,
    IsometricTransformer,
)
from sklearn_iso.estimators._network import NetworkEstimator

ESTIMATORS = [
    IsometricClassifier,
    IsometricRegressor,
    IsometricTransformer,
    HierarchicalIsometricClassifier,
]
X, y = load_iris(return_X_y=True)


def _is_estimator(node):
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    return name in ("estimator", "classifier", "regressor")


def _writes(tree):
    """Yield the line of each statement that sets an attribute of an estimator from outside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete):
            targets = getattr(node, "targets", None) or [node.target]
            flat = [one for target in targets for one in ast.walk(target)]
            if any(isinstance(t, ast.Attribute) and _is_estimator(t.value) for t in flat):
                yield node.lineno
        called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr"
        if called and _is_estimator(node.args[0]):
            yield node.lineno


def test_nobody_writes_to_an_estimator_from_outside():
    package = Path(sklearn_iso.__file__).parent
    found = {
        str(path.relative_to(package)): lines
        for path in package.rglob("*.py")
        if (lines := list(_writes(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == {}


def test_the_search_for_writers_finds_them():
    text = "estimator.a_ = 1\nself.estimator.b_, c = 1, 2\nsetattr(estimator, name, 1)\nx.y = 2"
    assert list(_writes(ast.parse(text))) == [1, 2, 3]


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_shared_parameters_are_those_of_the_base(kind):
    shared = set(NetworkEstimator._get_param_names())
    assert len(shared) == 22
    assert shared <= set(kind._get_param_names())
    positional = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert positional == (["n_components"] if kind is IsometricTransformer else ["alpha"])


def test_a_fit_that_fails_before_it_trains_leaves_the_last_one():
    clf = IsometricClassifier(alpha=1, max_epochs=2, random_state=0).fit(X, y)
    before, net = clf.predict_proba(X), clf.net_
    with pytest.raises(ValueError, match="callbacks must be skorch callbacks"):
        clf.set_params(callbacks=["none"]).fit(X, y)
    assert clf.net_ is net
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_a_hierarchy_starts_where_the_last_fit_ended():
    once = HierarchicalIsometricClassifier(max_epochs=2, warm_start=True, random_state=0).fit(X, y)
    losses = once.loss_curve_[:]
    again = once.fit(X, y)
    assert again.loss_curve_[0] < losses[0] and again.n_iter_ == 2
    with pytest.raises(ValueError, match="warm_start=True keeps the tree of labels"):
        once.fit(X, np.where(y == 2, 5, y))
