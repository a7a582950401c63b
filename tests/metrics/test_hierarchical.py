"""Hierarchical measures count what sets of ancestors and paths through the tree count."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_trees import tree_paths
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import HierarchicalIsometricClassifier
from sklearn_iso.datasets import make_torus
from sklearn_iso.metrics import (
    adversarial_accuracy,
    at_level,
    hierarchical_f1_score,
    hierarchical_precision_score,
    hierarchical_recall_score,
    make_adversarial_scorer,
    make_hierarchical_scorer,
    make_level_scorer,
    tree_distance,
)

ABOVE = {"owl": "bird", "crow": "bird", "eel": "fish"}


@st.composite
def pairs_of_paths(draw):
    """Return paths of one tree, true and predicted, with weights."""
    paths = draw(tree_paths())
    rows = st.lists(st.integers(0, len(paths) - 1), min_size=3, max_size=12)
    true, predicted = paths[draw(rows)], paths[draw(rows)]
    n = min(len(true), len(predicted))
    weight = draw(st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=n, max_size=n))
    return true[:n], predicted[:n], np.array(weight)


def labels_of(path):
    return {label for label in path if label is not None}


@given(pairs_of_paths())
def test_the_measures_are_those_of_sets_of_labels(pair):
    true, predicted, weight = pair
    sets = [(labels_of(a), labels_of(b)) for a, b in zip(true, predicted, strict=True)]
    shared = weight @ [len(a & b) for a, b in sets]
    precision = shared / (weight @ [len(b) for _, b in sets])
    recall = shared / (weight @ [len(a) for a, _ in sets])
    f1 = 2 * precision * recall / (precision + recall) if shared else 0.0
    found = [
        measure(true, predicted, sample_weight=weight)
        for measure in (
            hierarchical_precision_score,
            hierarchical_recall_score,
            hierarchical_f1_score,
        )
    ]
    assert found == pytest.approx([precision, recall, f1])


@given(pairs_of_paths())
def test_tree_distance_is_the_shortest_path_through_the_tree(pair):
    true, predicted, weight = pair
    graph = nx.Graph()
    for path in [*true, *predicted]:
        nx.add_path(graph, ["root", *(label for label in path if label is not None)])
    ends = [
        [[label for label in path if label is not None][-1] for path in paths]
        for paths in (true, predicted)
    ]
    links = [nx.shortest_path_length(graph, a, b) for a, b in zip(*ends, strict=True)]
    assert tree_distance(true, predicted, sample_weight=weight) == pytest.approx(
        np.average(links, weights=weight)
    )
    wrong = np.array(links) > 0
    expected = np.average(np.array(links)[wrong], weights=weight[wrong]) if wrong.any() else 0.0
    assert tree_distance(true, predicted, errors_only=True, sample_weight=weight) == pytest.approx(
        expected
    )


def test_one_level_has_the_accuracy_of_scikit_learn():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 3, (2, 50))
    columns = true[:, None], predicted[:, None]
    for measure in (hierarchical_precision_score, hierarchical_recall_score, hierarchical_f1_score):
        assert measure(*columns) == pytest.approx(accuracy_score(true, predicted))


def test_finest_labels_with_a_hierarchy_are_paths():
    true, predicted = ["owl", "eel", "crow"], ["crow", "crow", "crow"]
    paths = [[[ABOVE[name], name] for name in names] for names in (true, predicted)]
    for measure in (hierarchical_f1_score, tree_distance):
        assert measure(true, predicted, hierarchy=ABOVE) == measure(*paths)
        assert measure(paths[0], predicted, hierarchy=ABOVE) == measure(*paths)


def test_a_column_with_a_hierarchy_is_its_labels():
    true, predicted = [["owl"], ["eel"]], ["crow", "eel"]
    assert tree_distance(true, predicted, hierarchy=ABOVE) == 1.0


@pytest.mark.parametrize(
    ("weight", "came"),
    [
        ([0, 0], "from 0 to 0"),
        ([1, -1], "from -1 to 1"),
        ([1, np.nan], "nan"),
        ([1, np.inf], "inf"),
    ],
    ids=str,
)
@pytest.mark.parametrize("measure", [hierarchical_f1_score, tree_distance])
def test_weights_that_have_no_mean_are_refused(measure, weight, came):
    paths = [["a", "b"], ["c", "d"]]
    with pytest.raises(ValueError, match=f"sample_weight must be finite.*{came}.*Drop"):
        measure(paths, paths, sample_weight=weight)


def test_no_rows_have_no_mean():
    with pytest.raises(ValueError, match=r"needs at least one sample"):
        hierarchical_f1_score(np.empty((0, 2)), np.empty((0, 2)))


def test_finest_labels_without_a_hierarchy_are_refused():
    with pytest.raises(ValueError, match=r"one column for each level.*\(2,\).*pass hierarchy="):
        hierarchical_f1_score(["owl", "eel"], ["owl", "eel"])


def test_levels_must_agree():
    with pytest.raises(ValueError, match=r"same levels; got 2 and 1"):
        tree_distance([["a", "b"]], [["a"]])
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples"):
        tree_distance([["a", "b"]], [["a", "b"], ["a", "c"]])


X, Y = make_torus(240, n_levels=2, random_state=0)


def test_scorers_judge_the_paths_that_are_predicted():
    fitted = HierarchicalIsometricClassifier(max_epochs=3, random_state=0).fit(X, Y)
    predicted = fitted.predict(X)
    assert make_hierarchical_scorer()(fitted, X, Y) == hierarchical_f1_score(Y, predicted)
    assert make_hierarchical_scorer("tree_distance")(fitted, X, Y) == -tree_distance(Y, predicted)
    with pytest.raises(ValueError, match=r"measure must be one of .*'f1'"):
        make_hierarchical_scorer("accuracy")


def test_one_search_scores_paths_and_the_robustness_of_each_level():
    robust = make_adversarial_scorer(eps=0.02, attack="fgsm")
    scoring = {
        "f1": make_hierarchical_scorer(),
        "coarse": make_level_scorer(robust, 0),
        "fine": make_level_scorer(robust, -1),
    }
    pipeline = make_pipeline(
        StandardScaler(), HierarchicalIsometricClassifier(max_epochs=10, random_state=0)
    )
    grid = {"hierarchicalisometricclassifier__alpha": [0, 1]}
    search = GridSearchCV(pipeline, grid, scoring=scoring, refit="f1", cv=2).fit(X, Y)
    for name in scoring:
        assert np.isfinite(search.cv_results_[f"mean_test_{name}"]).all()
    again = at_level(search, 0)
    assert np.array_equal(again.predict(X), search.predict(X)[:, 0])
    accuracy = adversarial_accuracy(again, X, Y[:, 0], eps=0.02, attack="fgsm", random_state=0)
    assert make_level_scorer(robust, 0)(search, X, Y) == accuracy


def test_a_level_of_finest_labels_is_scored_by_their_hierarchy():
    above = {leaf: 10 + leaf // 2 for leaf in range(4)}
    model = HierarchicalIsometricClassifier(hierarchy=above, max_epochs=3, random_state=0)
    fitted = model.fit(X, Y[:, 1])
    scorer = make_level_scorer(make_adversarial_scorer(eps=0), 0, hierarchy=above)
    assert scorer(fitted, X, Y[:, 1]) == np.mean(fitted.predict_paths(X)[:, 0] == 10 + Y[:, 0])


def test_a_path_that_ended_counts_by_its_last_label():
    paths = np.array([["a", "b"], ["a", "c"], ["d", None]], dtype=object)[Y[:, 1] % 3]
    fitted = HierarchicalIsometricClassifier(max_epochs=3, random_state=0).fit(X, paths)
    told = [path[1] or path[0] for path in paths.tolist()]
    expected = fitted.at_level(1).score(X, told)
    score = make_level_scorer(lambda estimator, X, y: estimator.score(X, y), 1)
    assert score(fitted, X, paths) == expected


def test_a_level_of_a_pipeline_keeps_its_class_and_leaves_it_as_it_is():
    class Own(Pipeline):
        """As imbalanced-learn's, whose class knows which steps predict skips."""

    last = HierarchicalIsometricClassifier(max_epochs=1, random_state=0)
    pipeline = Own([("scale", StandardScaler()), ("last", last)]).fit(X, Y)
    level = at_level(pipeline, 0)
    assert type(level) is Own
    assert pipeline.steps[-1][1] is last
    assert np.array_equal(level.predict(X), pipeline.predict(X)[:, 0])


def test_what_has_no_levels_is_refused():
    with pytest.raises(TypeError, match=r"must have levels"):
        at_level(DummyClassifier().fit(X, Y[:, 0]), 0)
    fitted = HierarchicalIsometricClassifier(max_epochs=1, random_state=0).fit(X, Y)
    with pytest.raises(
        TypeError, match=r"one label for each sample.* at_level\(estimator, level\)"
    ):
        adversarial_accuracy(fitted, X, Y, eps=0.1)
    with pytest.raises(TypeError, match=r"scorer must be a callable"):
        make_level_scorer("accuracy", 0)
