"""The taxonomy's centres branch like its labels, and the digits' partitions are the paper's."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_iso.datasets import digit_paths, make_taxonomy
from sklearn_iso.hierarchy import LabelTree


def test_labels_form_the_tree_of_the_branching():
    _, Y = make_taxonomy(200, branching=(3, 2, 4), random_state=0)
    tree = LabelTree(Y)
    assert [len(level) for level in tree.levels] == [3, 6, 24]
    assert [np.bincount(parents).tolist() for parents in tree.parents[1:]] == [[2] * 3, [4] * 6]


def test_a_child_lies_at_its_distance_from_its_parent():
    X, Y = make_taxonomy(60, branching=(3, 2), spread=6.0, decay=0.25, noise=0.0, random_state=0)
    centre = {name: X[Y[:, 1] == name][0] for name in np.unique(Y[:, 1])}
    for name in np.unique(Y[:, 0]):
        a, b = (centre[f"{name}/{child}"] for child in (0, 1))
        # Two children at 1.5 from their parent are at most 3 apart, and so is every row.
        assert np.linalg.norm(a - b) <= 3.0 + 1e-9
        assert abs(np.linalg.norm(a) - 6.0) <= 1.5 + 1e-9
    for row, name in zip(X, Y[:, 1], strict=True):
        assert np.array_equal(row, centre[name])


def test_one_level_lies_on_a_sphere():
    X, _ = make_taxonomy(50, branching=(7,), spread=3.0, noise=0.0, random_state=1)
    assert np.allclose(np.linalg.norm(X, axis=1), 3.0)


def test_leaves_have_the_same_number_of_rows():
    _, Y = make_taxonomy(101, branching=(2, 5), random_state=0)
    assert set(np.unique(Y[:, -1], return_counts=True)[1]) == {10, 11}


def test_noise_has_its_standard_deviation():
    quiet, _ = make_taxonomy(5000, noise=0.0, random_state=0)
    noisy, _ = make_taxonomy(5000, noise=2.0, random_state=0)
    assert np.std(noisy - quiet) == pytest.approx(2.0, rel=0.02)


def test_leaves_spread_along_axes_of_their_own():
    params = {"n_samples": 8000, "branching": (2, 2), "n_features": 3, "random_state": 0}
    centres, Y = make_taxonomy(noise=0.0, **params)
    X, _ = make_taxonomy(noise=0.5, anisotropy=3.0, **params)
    spreads = [
        np.linalg.eigvalsh(np.cov((X - centres)[Y[:, 1] == name].T)) ** 0.5
        for name in np.unique(Y[:, 1])
    ]
    assert np.min(spreads) > 0.5 / 3 * 0.9
    assert np.max(spreads) < 0.5 * 3 * 1.1
    assert np.ptp(spreads, axis=0).min() > 0.05


def test_labels_without_children_are_refused():
    with pytest.raises(ValueError, match=r"branching must hold at least one positive integer"):
        make_taxonomy(branching=(2, 0))


def test_the_levels_of_the_digits_are_the_papers():
    halves, pairs, digits = digit_paths(np.arange(10), tree=False).T
    assert halves.tolist() == [0] * 5 + [1] * 5
    assert pairs.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert digits.tolist() == list(range(10))


def test_the_papers_levels_are_no_tree_and_ours_are_the_coarsest_below_them():
    with pytest.raises(ValueError, match=r"under one parent; 2 lies under 0 and 1"):
        LabelTree(digit_paths(np.arange(10), tree=False))
    ours = digit_paths(np.arange(10))
    assert LabelTree(ours).n_cells == [2, 6, 10]
    paper = digit_paths(np.arange(10), tree=False)
    same_cell = (paper[:, None, :2] == paper[None, :, :2]).all(axis=2)
    assert np.array_equal(same_cell, ours[:, None, 1] == ours[None, :, 1])


@pytest.mark.parametrize("bad", [[10], [1.5], [[1, 2]]])
def test_anything_but_digits_is_refused(bad):
    with pytest.raises(ValueError, match=r"y must hold digits"):
        digit_paths(bad)
