"""Laws of classical scaling from landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from sklearn_iso._training import landmark_coordinates

X = np.random.default_rng(0).normal(size=(40, 3))
ONES = np.ones(40)


@pytest.mark.parametrize("landmarks", [np.arange(40), np.array([3, 7, 20, 31])])
@pytest.mark.parametrize("weight", [ONES, 1 + np.arange(40.0) % 3])
def test_distances_of_points_in_as_many_dimensions_are_kept_exactly(landmarks, weight):
    Z = landmark_coordinates(cdist(X[landmarks], X), landmarks, weight, 3)
    np.testing.assert_allclose(pdist(Z), pdist(X), rtol=1e-10)


def test_landmarks_have_weighted_mean_zero():
    landmarks, weight = np.arange(0, 40, 3), 1 + np.arange(40.0) % 3
    Z = landmark_coordinates(cdist(X[landmarks], X), landmarks, weight, 2)
    np.testing.assert_allclose(weight[landmarks] @ Z[landmarks], 0, atol=1e-12)


def test_weight_two_is_the_row_twice():
    weight = 1 + np.arange(40) % 3
    rows = np.repeat(X, weight, axis=0)
    once = landmark_coordinates(cdist(X, X, "cityblock"), np.arange(40), weight, 2)
    repeated = landmark_coordinates(
        cdist(rows, rows, "cityblock"), np.arange(len(rows)), np.ones(len(rows)), 2
    )
    expected = pdist(np.repeat(once, weight, axis=0))
    np.testing.assert_allclose(pdist(repeated), expected, atol=1e-10)


def test_directions_that_the_distances_do_not_span_are_zero():
    line = X[:, :1]
    Z = landmark_coordinates(cdist(line[:2], line), np.arange(2), ONES, 3)
    np.testing.assert_allclose(pdist(Z[:, :1]), pdist(line), rtol=1e-10)
    assert not Z[:, 1:].any()


def test_rows_at_one_place_are_at_the_origin():
    assert not landmark_coordinates(np.zeros((5, 40)), np.arange(5), ONES, 2).any()
