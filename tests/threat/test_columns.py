"""What the columns of a raw table hold, and what a threat says of them."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_iso import ThreatModel
from sklearn_iso._threat.categories import Choice
from sklearn_iso._threat.columns import Kind, codes_of, columns_in, first_of_each, in_order

FRAME = pd.DataFrame(
    {
        "age": [20, 40, 60],
        "gap": [1.0, np.nan, 3.0],
        "whole": pd.array([1, None, 2], dtype="Int64"),
        "objects": np.array([1, 2.5, None], dtype=object),
        "smokes": [True, False, True],
        "maybe": pd.array([True, None, False], dtype="boolean"),
        "plan": ["b", "a", "b"],
        "codes": pd.Categorical([3, 1, 3]),
        "mixed": np.array([1, "a", None], dtype=object),
        "both": np.array([True, 2, 3], dtype=object),
        "day": pd.to_datetime(["2024-01-01"] * 3),
        "lists": [[1], [2], [3]],
    }
)
KINDS = [Kind.NUMBERS] * 4 + [Kind.BOOLEANS] * 2 + [Kind.TEXT] * 6


def test_columns_of_pandas_tell_what_they_hold():
    columns = columns_in(FRAME)
    assert [column.kind for column in columns] == KINDS
    numbers = {column.name: column.numbers for column in columns if column.numbers is not None}
    np.testing.assert_array_equal(numbers["whole"], [1, np.nan, 2])
    np.testing.assert_array_equal(numbers["objects"], [1, 2.5, np.nan])
    np.testing.assert_array_equal(numbers["maybe"], [1, np.nan, 0])
    assert columns[-4].is_missing().tolist() == [False, False, True]
    assert columns[6].distinct() == ("a", "b") and columns[7].distinct() == (1, 3)
    with pytest.raises(ValueError, match="'lists' holds values that do not hash"):
        columns[-1].distinct()


def test_columns_of_polars_and_of_arrays_tell_the_same():
    values = {
        "age": [20, 40], "gap": [1.0, None], "smokes": [True, None], "plan": ["b", None],
        "grade": pl.Series(["x", "y"], dtype=pl.Categorical),
    }  # fmt: skip
    frame = pl.DataFrame(values)
    expected = [Kind.NUMBERS, Kind.NUMBERS, Kind.BOOLEANS, Kind.TEXT, Kind.TEXT]
    for table in (frame, np.array(frame.rows(), dtype=object)):
        columns = columns_in(table)
        assert [column.kind for column in columns] == expected
        np.testing.assert_array_equal(columns[1].numbers, [1, np.nan])
        np.testing.assert_array_equal(columns[2].numbers, [1, np.nan])


ENTRIES = st.lists(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from("abc"),
              st.just(float("nan"))), min_size=1, max_size=20,
)  # fmt: skip


@given(ENTRIES)
def test_codes_lead_back_to_the_entries(entries):
    raw = np.empty(len(entries), dtype=object)
    raw[:] = entries
    values = raw[first_of_each(raw)].tolist()
    codes = codes_of(raw, values)
    assert list(map(repr, raw[first_of_each(raw)][codes])) == list(map(repr, entries))
    shuffled = in_order([one for one in values if isinstance(one, str)])
    assert list(shuffled) == sorted(shuffled)


def test_a_threat_of_data_knows_what_categories_may_become():
    X = FRAME[["age", "plan", "smokes"]]
    threat = ThreatModel.from_data(X, categories=["plan", "age"], max_changes=2)
    assert threat.categories == (Choice("plan", ("a", "b")), Choice("age", (20, 40, 60)))
    assert threat.immutable == ("smokes",)
    assert pickle.loads(pickle.dumps(threat)) == threat and hash(threat) == hash(replace(threat))
    assert "<'plan': 2 values>" in repr(threat)
    by_number = ThreatModel.from_data(X.to_numpy(), categories=[1, 0], max_changes=2)
    assert by_number.resolve(X) == threat.resolve(X)
    assert threat != ThreatModel.from_data(X, categories=["plan"])
    assert ThreatModel.from_data(X[["plan"]], categories="all").immutable is None
    with pytest.raises(ValueError, match="Name columns of text that may change as categories"):
        ThreatModel.from_data(X[["plan"]])


def test_one_hot_columns_of_booleans_may_change_where_data_are_read():
    X = pd.get_dummies(FRAME["plan"]).join(FRAME["age"])
    threat = ThreatModel.from_data(X, categories=[["a", "b"]])
    assert threat.immutable is None and threat.categories == (("a", "b"),)
    assert ThreatModel.from_data(X).immutable == ("a", "b")


def test_units_and_bounds_may_leave_out_what_holds_no_numbers():
    X = FRAME[["age", "plan", "smokes"]]
    inf = float("inf")
    threat = ThreatModel(units={"age": 10}, bounds=({"age": 0}, {"age": 99})).resolve(X)
    assert threat.units == (10, 1, 1) and threat.bounds == ((0, -inf, -inf), (99, inf, inf))
    std = ThreatModel(units=X[["age", "smokes"]].std()).resolve(X)
    assert std.units == (20, 1, 1)
    with pytest.raises(ValueError, match=r"it has none for \['age'\]"):
        ThreatModel(units={"plan": 1}).resolve(X)
    with pytest.raises(ValueError, match="units must be of columns of numbers; column 'plan'"):
        ThreatModel(units={"age": 1, "plan": 2}).resolve(X)


def test_all_stands_for_columns_without_numbers_that_are_not_immutable():
    X = FRAME[["age", "plan", "smokes"]]
    assert ThreatModel(categories="all").resolve(X).categories == (Choice(1), Choice(2))
    some = ThreatModel(categories="all", immutable=["plan"]).resolve(X)
    assert some.categories == (Choice(2),)
    with pytest.raises(ValueError, match="needs a column of text"):
        ThreatModel(categories="all").resolve(X[["age"]])
