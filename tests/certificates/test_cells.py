"""Cuts of features, held to the comparisons that they stand for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso._certificates.cells import Cells, Gridded
from sklearn_iso._certificates.columnwise import columnwise
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.forests import LEAF, Forest

SIZES = st.floats(-1e6, 1e6, width=32)


def stumps(thresholds, cast):
    """Return trees of one test of column 0 each."""
    n = len(thresholds)
    column = np.tile([0, LEAF, LEAF], n)
    return Forest(
        roots=3 * np.arange(n), column=column, threshold=np.repeat(thresholds, 3),
        left=np.repeat(3 * np.arange(n) + 1, 3), right=np.repeat(3 * np.arange(n) + 2, 3),
        missing_left=np.zeros(3 * n, dtype=bool), values=np.zeros((3 * n, 2)),
        constant=np.zeros(2), cast=cast,
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([None, StandardScaler, MinMaxScaler]),
    st.tuples(SIZES, SIZES),
)
def test_neighbours_of_a_cut_are_on_its_two_sides(thresholds, cast, dtype, scaler, data):
    forest = stumps(np.array(thresholds), cast)
    steps = () if scaler is None else (("scale", scaler().fit(np.array(data)[:, None])),)
    columns = columnwise(steps, 1)
    gridded = Gridded.of(forest, columns, 1, dtype)
    last, first = gridded.cells.last[:-1].astype(dtype), gridded.cells.first[1:].astype(dtype)
    assert np.array_equal(np.nextafter(last, dtype(np.inf)), first)
    assert (np.diff(gridded.cells.first) > 0).all()
    for tree in range(len(thresholds)):
        cut = gridded.cut[3 * tree]
        assert 1 <= cut <= len(last)
        sides = columns.of(np.array([[last[cut - 1]], [first[cut - 1]]], dtype=dtype))
        assert forest.goes_left(sides, np.array([3 * tree]))[:, 0].tolist() == [True, False]


@pytest.fixture
def cells():
    return Cells.of([(np.array([1.0, 2.0]), np.array([1.5, 2.5])), (np.zeros(0), np.zeros(0))])


def test_costs_are_distances_to_cells_in_units(cells):
    domain = Domain.of(ThreatModel(units=[0.5, 1.0]), 2)
    around = cells.around(np.array([1.75, 9.0]), domain)
    assert around.costs.tolist() == [1.5, 0.0, 1.5, 0.0]
    assert around.own.tolist() == [1, 0]
    low, high = around.within(1.4)
    assert (low.tolist(), high.tolist()) == ([1, 0], [2, 1])
    low, high = around.within(1.5)
    assert (low.tolist(), high.tolist()) == ([0, 0], [3, 1])


def test_cells_beyond_bounds_and_of_what_stays_cost_infinitely(cells):
    bounded = Domain.of(ThreatModel(bounds=(0, 2.0)), 2)
    assert cells.around(np.array([1.75, 1.0]), bounded).costs.tolist() == [0.75, 0, np.inf, 0]
    held = Domain.of(ThreatModel(immutable=[0]).resolve(np.zeros((1, 2))), 2)
    assert cells.around(np.array([1.75, 1.0]), held).costs.tolist() == [np.inf, 0, np.inf, 0]


def test_what_is_missing_costs_nothing_and_stays(cells):
    around = cells.around(np.array([np.nan, 1.0]), Domain.of(ThreatModel(), 2))
    assert not around.costs.any()
    assert np.isnan(around.point(np.array([2, 0]), np.array([3, 1]))[0])
