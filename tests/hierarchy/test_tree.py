"""Paths of labels, the tree they form, and what is no tree."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_trees import tree_paths

from sklearn_iso.hierarchy import LabelTree, ancestry_paths, as_paths, common_depth, depths

BIRDS = [["bird", "owl"], ["bird", "crow"], ["fish", None]]


@given(tree_paths())
def test_cells_of_a_level_are_finer_than_those_above(paths):
    tree = LabelTree(paths)
    for coarse, fine in zip(tree.leaf_cells.T[:-1], tree.leaf_cells.T[1:], strict=True):
        assert len(set(zip(fine, coarse, strict=True))) == len(set(fine))


@given(tree_paths())
def test_leaves_are_the_paths_that_no_other_path_continues(paths):
    tree = LabelTree(paths)
    rows = {tuple(label for label in row if label is not None) for row in paths.tolist()}
    inner = {row[:k] for row in rows for k in range(len(row))}
    found = {tuple(label for label in row if label is not None) for row in tree.leaves.tolist()}
    assert found == rows - inner


@given(tree_paths(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(paths, random):
    order = list(range(len(paths)))
    random.shuffle(order)
    one, other = LabelTree(paths), LabelTree(paths[order])
    assert np.array_equal(one.leaf_cells, other.leaf_cells)
    assert np.array_equal(one.leaves, other.leaves)
    assert np.array_equal(one.end_of_row.ravel()[order], other.end_of_row.ravel())


@given(tree_paths())
def test_the_finest_labels_and_their_parents_tell_the_paths(paths):
    tree = LabelTree(paths)
    above = {
        label: tree.levels[level - 1][parent]
        for level in range(1, tree.n_levels)
        for label, parent in zip(tree.levels[level], tree.parents[level], strict=True)
    }
    last = paths[np.arange(len(paths)), depths(paths) - 1]
    again = ancestry_paths(last, above | {label: None for label in tree.levels[0]})
    assert as_paths(again).tolist() == as_paths(paths).tolist()


@pytest.mark.parametrize(
    "labels",
    [
        np.array(BIRDS, dtype=object),
        np.array([["bird", "owl"], ["bird", "crow"], ["fish", ""]]),
        np.array([["bird", "owl"], ["bird", "crow"], ["fish", np.nan]], dtype=object),
        pd.DataFrame(BIRDS),
        pd.DataFrame(BIRDS, dtype="string"),
        pd.DataFrame(BIRDS, dtype="category"),
        pl.DataFrame(BIRDS, orient="row"),
    ],
    ids=["None", "empty", "NaN", "pandas", "pandas string", "pandas category", "polars"],
)
def test_none_nan_and_empty_text_are_all_missing(labels):
    tree = LabelTree(labels)
    assert [level.tolist() for level in tree.levels] == [["bird", "fish"], ["crow", "owl"]]
    assert tree.end_cells.tolist() == [[0, 0], [0, 1], [1, 2]]


@given(tree_paths(), st.integers(0, 2**31 - 1))
def test_the_sum_of_leaves_is_that_of_the_cells_below(paths, seed):
    tree = LabelTree(paths)
    values = np.random.default_rng(seed).uniform(size=(5, len(tree.leaves))).astype(np.float32)
    for level in range(tree.n_levels):
        member = tree.leaf_cells[:, level, None] == np.arange(tree.n_cells[level])
        sums = tree.sum_leaves(values, level)
        assert sums.dtype == values.dtype
        assert np.allclose(sums, values.astype(float) @ member, rtol=1e-7, atol=0)


def test_numbers_are_codes_of_their_level():
    tree = LabelTree(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, np.nan]]))
    assert [level.tolist() for level in tree.levels] == [[0, 1], [0, 1]]


def test_a_graph_with_a_root_tells_what_the_mapping_tells():
    above = {"owl": "bird", "crow": "bird", "eel": "fish"}
    graph = nx.DiGraph([(parent, child) for child, parent in above.items()])
    graph.add_edges_from([("animal", "bird"), ("animal", "fish")])
    labels = np.array(["owl", "eel", "crow"])
    expected = [["bird", "owl"], ["fish", "eel"], ["bird", "crow"]]
    assert ancestry_paths(labels, above).tolist() == expected
    assert ancestry_paths(labels, graph).tolist() == expected


def test_common_depth_counts_from_the_start():
    first = as_paths([["a", "b", "c"], ["a", "b", "c"], ["a", "b", None]])
    second = as_paths([["a", "b", "d"], ["x", "b", "c"], ["a", "b", None]])
    assert common_depth(first, second).tolist() == [2, 0, 2]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([["a", "b"], ["c"]], r"one label of every level .* samples of \[1, 2\] labels.*Pad"),
        ([["a", None, "c"], ["b", "d", "e"]], r"only at the end .* sample 0 .* middle.*Fill in"),
        ([["a", "b"], [None, "c"]], r"at the first level; 1 have none.*sample 1"),
        ([["a", "x"], ["b", "x"]], r"under one parent; 'x' lies under 'a' and 'b'"),
        ([["a", "b"], ["b", "c"]], r"belong to one level; 'b' is at levels 0 and 1"),
        ([["a", "b"], ["a", "c"]], r"first level .* at least 2 classes; got 1 class"),
        ([["a", None], ["b", None]], r"Level 1 of y holds no label"),
        ([["a", 1], ["b", "c"]], r"all text or all numbers; level 1 mixes int, str"),
    ],
    ids=[
        "levels of different length",
        "gap in a path",
        "no label",
        "two parents",
        "a name at two levels",
        "a level with one class",
        "a level without labels",
        "text and numbers",
    ],
)
def test_what_is_no_tree_is_refused(paths, message):
    with pytest.raises(ValueError, match=message):
        LabelTree(paths)


@pytest.mark.parametrize(
    ("hierarchy", "message"),
    [
        ({"a": "b", "b": "c", "c": "b"}, r"own ancestor; .* 'b' -> 'c' -> 'b'"),
        ({"a": "a"}, r"own ancestor; .* 'a' -> 'a'.*number stands for labels of two levels"),
        ({"x": "a", "y": "x"}, r"below the root.* got 'a'"),
        (nx.DiGraph([("a", "b"), ("b", "a")]), r"own ancestor"),
        ({"a": ["x", "y"]}, r"under one parent; 'a' lies under 'x' and 'y'"),
        (nx.DiGraph([("x", "a"), ("y", "a")]), r"under one parent; 'a' lies under 'x' and 'y'"),
        ({"b": "c"}, r"must be in the hierarchy; a are not"),
    ],
    ids=["cycle", "its own parent", "root", "cycle in a graph", "two", "two in a graph", "unknown"],
)
def test_what_is_no_ancestry_is_refused(hierarchy, message):
    with pytest.raises(ValueError, match=message):
        ancestry_paths(np.array(["a"]), hierarchy)


def test_a_list_is_no_hierarchy():
    with pytest.raises(TypeError, match=r"must map each label to the one above"):
        ancestry_paths(np.array(["a"]), [("a", "b")])


def test_an_ended_leaf_needs_a_name_of_its_own():
    tree = LabelTree(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, np.nan]]))
    with pytest.raises(ValueError, match=r"names that differ .* Use text"):
        tree.cell_labels(1)
