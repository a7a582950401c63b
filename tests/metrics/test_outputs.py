"""Classifiers of several outputs: each of them is attacked on its own."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.metrics import (
    adversarial_accuracy,
    at_output,
    make_adversarial_scorer,
    robustness_report,
)
from sklearn_iso.metrics._outputs import OutputClassifier
from sklearn_iso.twins import as_torch

X, KINDS = load_iris(return_X_y=True)
LARGE = (X[:, 2] > 4.2).astype(int)
Y = np.stack([KINDS, LARGE], axis=1)
BITS = np.stack([KINDS > 0, KINDS > 1, LARGE], axis=1).astype(int)
FOLDS = KFold(2, shuffle=True, random_state=0)
FEW = AttackEnsemble(n_queries=24)
OPTIONS = {"eps": 0.3, "attack": "pgd", "random_state": 0}


def linear():
    return LogisticRegression(max_iter=1000)


def test_each_output_of_a_multi_output_classifier_is_its_own_classifier():
    model = MultiOutputClassifier(linear()).fit(X, Y)
    by_hand = [adversarial_accuracy(linear().fit(X, y), X, y, **OPTIONS) for y in (KINDS, LARGE)]
    found = adversarial_accuracy(model, X, Y, multioutput="raw_values", **OPTIONS)
    assert found.shape == (2,) and found.tolist() == by_hand
    assert adversarial_accuracy(model, X, Y, **OPTIONS) == np.mean(by_hand)
    clean = (model.predict(X) == Y).mean(axis=0)
    nothing = adversarial_accuracy(model, X, Y, eps=0, multioutput="raw_values")
    np.testing.assert_array_equal(nothing, clean)


def test_weights_and_containers_of_y():
    model = MultiOutputClassifier(linear()).fit(X, Y)
    weight = np.arange(len(X)) % 3
    options = OPTIONS | {"multioutput": "raw_values", "sample_weight": weight}
    expected = [
        adversarial_accuracy(one, X, y, sample_weight=weight, **OPTIONS)
        for one, y in zip(model.estimators_, (KINDS, LARGE), strict=True)
    ]
    for labels in (Y, Y.tolist(), pd.DataFrame(Y, columns=["kind", "large"])):
        assert adversarial_accuracy(model, X, labels, **options).tolist() == expected
    names = pd.DataFrame(
        {"kind": np.array(["a", "b", "c"])[KINDS], "large": np.array(["no", "yes"])[LARGE]}
    )
    named = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, names.to_numpy(dtype=object))
    found = adversarial_accuracy(named, X, names, eps=0, multioutput="raw_values")
    np.testing.assert_array_equal(found, (named.predict(X) == names.to_numpy()).mean(axis=0))


def test_pipelines_and_searches_keep_their_gradients():
    pipeline = make_pipeline(StandardScaler(), MultiOutputClassifier(linear()))
    grid = {"multioutputclassifier__estimator__C": [0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, scoring=make_adversarial_scorer(eps=0), cv=FOLDS).fit(
        X, Y
    )
    for output, y in enumerate((KINDS, LARGE)):
        one = at_output(search, output)
        best = clone(search.best_estimator_[-1].estimator)
        by_hand = make_pipeline(StandardScaler(), best).fit(X, y)
        np.testing.assert_allclose(one.predict_proba(X), by_hand.predict_proba(X))
        as_torch(one)  # raises an error where there are no gradients
        assert one.steps is not search.best_estimator_.steps
        assert robustness_report(one, X, y, eps=[0.1], n_diagnosed=0, random_state=0) is not None
    assert at_output(search, -1).score(X, LARGE) == one.score(X, LARGE)


def test_a_tree_of_two_outputs_loses_what_a_grid_finds():
    rng = np.random.RandomState(0)
    plane = rng.uniform(size=(60, 2))
    both = np.stack([plane[:, 0] > 0.5, plane.sum(axis=1) > 1.0], axis=1).astype(int)
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(plane, both)
    eps = 0.08
    steps = np.linspace(-eps, eps, 81)
    moves = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    held = np.array(
        [(tree.predict(x + moves) == y).all(axis=0) for x, y in zip(plane, both, strict=True)]
    )
    found = adversarial_accuracy(
        tree, plane, both, eps=eps, attack=AttackEnsemble(n_queries=400), random_state=0,
        multioutput="raw_values",
    )  # fmt: skip
    np.testing.assert_array_equal(found, held.mean(axis=0))
    assert (found < (tree.predict(plane) == both).mean(axis=0)).all()


SEVERAL = {
    "forest": (RandomForestClassifier(5, random_state=0), Y),
    "neighbours": (KNeighborsClassifier(3), Y),
    "chain": (ClassifierChain(linear(), order=[1, 0, 2]), BITS),
    "chain of three classes": (ClassifierChain(linear()), Y),
    "one against the rest": (OneVsRestClassifier(linear()), BITS),
    "network": (MLPClassifier((8,), solver="lbfgs", max_iter=200, random_state=0), BITS),
    "trees": (MultiOutputClassifier(DecisionTreeClassifier(max_depth=3, random_state=0)), Y),
}


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.filterwarnings("ignore:The search by labels alone")  # of three chained classes
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_view_tells_what_the_estimator_tells(name):
    model, labels = SEVERAL[name]
    model.fit(X, labels)
    predicted = model.predict(X)
    figures = adversarial_accuracy(
        model, X[::6], labels[::6], eps=0.3, attack=FEW, multioutput="raw_values", random_state=0
    )
    assert figures.shape == (labels.shape[1],)
    for output in range(labels.shape[1]):
        one = at_output(model, output)
        np.testing.assert_array_equal(one.predict(X), predicted[:, output])
        np.testing.assert_array_equal(one.classes_, np.unique(labels[:, output]))
        if name != "chain of three classes":
            by_score = one.classes_[one.predict_proba(X).argmax(axis=1)]
            np.testing.assert_array_equal(by_score, one.predict(X))
            assert np.allclose(one.predict_proba(X).sum(axis=1), 1)
        alone = adversarial_accuracy(
            one, X[::6], labels[::6, output], eps=0.3, attack=FEW, random_state=0
        )
        assert figures[output] == alone <= one.score(X[::6], labels[::6, output])
    if isinstance(one, OutputClassifier):
        assert clone(one) is one and one.fit(X) is one
        again = pickle.loads(pickle.dumps(one))
        np.testing.assert_array_equal(again.predict(X), one.predict(X))


def test_sparse_labels_of_several_classes_at_once():
    model = OneVsRestClassifier(linear()).fit(X, csr_matrix(BITS))
    options = OPTIONS | {"multioutput": "raw_values"}
    found = adversarial_accuracy(model, X, csr_matrix(BITS), **options)
    dense = OneVsRestClassifier(linear()).fit(X, BITS)
    expected = adversarial_accuracy(dense, X, BITS, **options)
    np.testing.assert_array_equal(found, expected)


def test_scorer_of_any_metric_is_the_mean_over_the_outputs():
    model = MultiOutputClassifier(linear()).fit(X, Y)
    scorer = make_adversarial_scorer(metric="log_loss", **OPTIONS)
    each = [scorer(at_output(model, output), X, Y[:, output]) for output in (0, 1)]
    assert scorer(model, X, Y) == np.mean(each)
    expected = adversarial_accuracy(model, X, Y, **OPTIONS)
    for metric in (None, "accuracy"):
        accuracy = make_adversarial_scorer(metric=metric, **OPTIONS)
        assert accuracy(model, X, Y) == expected
    scores = cross_val_score(model, X, Y, scoring=accuracy, cv=FOLDS)
    assert ((scores > 0) & (scores < 1)).all()


def test_one_output_needs_no_view_and_wrong_outputs_are_refused():
    with pytest.raises(TypeError, match="must be a classifier of several outputs; got Logistic"):
        at_output(linear().fit(X, KINDS), 0)
    model = MultiOutputClassifier(linear()).fit(X, Y)
    for wrong in (2, -3):
        with pytest.raises(ValueError, match="output must be one of the 2 outputs"):
            at_output(model, wrong)
    for wrong in (True, 0.5, "0"):
        with pytest.raises(TypeError, match="output must be an integer"):
            at_output(model, wrong)
    with pytest.raises(ValueError, match="y must have a column for each of the 2 outputs"):
        adversarial_accuracy(model, X, BITS, eps=0.1)
    with pytest.raises(ValueError, match="multioutput"):
        adversarial_accuracy(model, X, Y, eps=0.1, multioutput="sum")
    with pytest.raises(TypeError, match=r"at_output\(estimator, output\)"):
        adversarial_accuracy(model, X, KINDS, eps=0.1)
