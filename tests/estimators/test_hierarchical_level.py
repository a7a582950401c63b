"""Laws of one level of a hierarchical classifier: it answers as the path, and as its block."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from label_trees import tree_paths
from releases import exports
from sklearn.base import clone
from sklearn.metrics import get_scorer, log_loss

from sklearn_iso import HierarchicalIsometricClassifier
from sklearn_iso.datasets import make_torus
from sklearn_iso.metrics import (
    adversarial_accuracy,
    isometry_distortion,
    make_distortion_scorer,
    make_level_scorer,
)
from sklearn_iso.persistence import to_onnx
from sklearn_iso.twins import as_torch

X, Y = make_torus(240, n_levels=2, random_state=0)
RAGGED = np.array([["b", "z"], ["b", "y"], ["x", None]], dtype=object)[Y[:, 1] % 3]


def classifier(**params):
    defaults = {"block_sizes": (16, 8), "max_epochs": 4, "random_state": 0}
    return HierarchicalIsometricClassifier(**defaults | params)


@settings(max_examples=10, deadline=None)
@given(tree_paths(), st.integers(0, 2**31 - 1))
def test_a_level_answers_as_the_path_and_as_its_twin(paths, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(len(paths), 3))
    labels = paths if paths.shape[1] > 1 else paths[:, 0]
    fitted = HierarchicalIsometricClassifier(max_epochs=1, random_state=seed).fit(rows, labels)
    predicted = fitted.predict_paths(rows)
    for level in range(fitted.n_levels_):
        view = fitted.at_level(level)
        expected = fitted.tree_.last_labels(predicted, level)
        assert view.predict(rows).tolist() == expected.tolist()
        scores = as_torch(view)(torch.from_numpy(rows))
        assert view.classes_[scores.argmax(dim=1)].tolist() == expected.tolist()
        probabilities = view.predict_proba(rows)
        assert np.allclose(probabilities.sum(axis=1), 1)
        assert view.classes_.tolist() == sorted(view.classes_)
        levels = fitted.predict_proba(rows)
        same_labels = levels[level] if isinstance(levels, list) else levels
        columns = np.isin(view.classes_, fitted.tree_.levels[level].tolist())
        assert np.allclose(probabilities[:, columns], same_labels)


def test_a_level_represents_as_its_block_does():
    fitted = classifier().fit(X, Y)
    for level, width in enumerate((16, 8)):
        view = fitted.at_level(level)
        Z = view.transform(X)
        assert Z.shape == (240, width)
        assert np.array_equal(Z, fitted.transform(X, level=level))
        assert np.allclose(as_torch(view, transform=True)(torch.from_numpy(X)).numpy(), Z)


def test_the_distortion_of_a_level_is_that_within_its_classes():
    fitted = classifier().fit(X, Y)
    for level in (0, 1):
        score = make_level_scorer(make_distortion_scorer(), level)(fitted, X, Y)
        Z = fitted.transform(X, level=level)
        assert score == -isometry_distortion(X, Z, Y[:, level])


def test_scorers_of_scikit_learn_find_the_columns_where_they_expect_them():
    fitted = classifier().fit(X, RAGGED)
    view = fitted.at_level(1)
    assert view.classes_.tolist() == ["x", "y", "z"]
    told = fitted.tree_.last_labels(RAGGED, 1).tolist()
    one_hot = np.array(told)[:, None] == view.classes_
    expected = -np.log(view.predict_proba(X)[one_hot]).mean()
    assert log_loss(told, view.predict_proba(X)) == pytest.approx(expected)
    scorer = make_level_scorer(get_scorer("neg_log_loss"), 1)
    assert scorer(fitted, X, RAGGED) == pytest.approx(-expected)


def test_a_view_is_attacked_like_any_classifier():
    fitted = classifier(max_epochs=40).fit(X, Y)
    coarse = fitted.at_level(0)
    accuracy = np.mean(fitted.predict(X)[:, 0] == Y[:, 0])
    assert adversarial_accuracy(coarse, X, Y[:, 0], eps=0) == accuracy
    robust = adversarial_accuracy(coarse, X[:60], Y[:60, 0], eps=0.1, random_state=0)
    assert robust < accuracy
    assert clone(coarse) is coarse is coarse.fit(X)


@exports
def test_a_graph_of_a_level_answers_as_the_level():
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    fitted = classifier(max_epochs=20).fit(X.astype(np.float32), Y)
    for level in (0, 1):
        graph = to_onnx(fitted.at_level(level), X[:5].astype(np.float32))
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        label = session.run(None, {"X": X.astype(np.float32)})[0]
        assert np.array_equal(label, fitted.at_level(level).predict(X))


def test_levels_that_do_not_exist_are_refused():
    fitted = classifier().fit(X, Y)
    for level in (2, -3):
        with pytest.raises(ValueError, match=r"level must be one of the 2 levels"):
            fitted.at_level(level)
        with pytest.raises(ValueError, match=r"level must be one of the 2 levels"):
            fitted.transform(X, level=level)
    for level in (1.0, "fine"):
        with pytest.raises(TypeError, match=r"level must be one of the 2 levels.*Pass an integer"):
            fitted.at_level(level)
