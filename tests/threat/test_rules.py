"""Rules of the data in a threat: read, compared, looked up."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearn_iso import ThreatModel
from sklearn_iso._threat.rules import Relation

FRAME = pd.DataFrame({"b": [1.0, 2.0], "net total": [3.5, 6.0], "a": [2.5, 4.0]})


def read(text):
    (relation,) = Relation.read(text)
    return dict(relation.terms), relation.sense, relation.bound


@pytest.mark.parametrize(
    ("text", "terms", "sense", "bound"),
    [
        ("total == a + b", {"total": 1, "a": -1, "b": -1}, "==", 0),
        ("debt <= limit", {"debt": 1, "limit": -1}, "<=", 0),
        ("0.5*a - b >= 2", {"a": -0.5, "b": 1}, "<=", -2),
        ("a + b + c == 1", {"a": 1, "b": 1, "c": 1}, "==", 1),
        ("2*(a - 3)/4 <= -(b - 1)", {"a": 0.5, "b": 1}, "<=", 2.5),
        ("`net total` == +a*2", {"net total": 1, "a": -2}, "==", 0),
        ("a - a + b <= 1", {"b": 1}, "<=", 1),
    ],
)
def test_a_text_becomes_coefficients(text, terms, sense, bound):
    assert read(text) == (terms, sense, bound)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(-9, 9), min_size=1), st.integers(-9, 9))
def test_any_sum_is_read_as_it_is_written(terms, bound):
    terms = {name: factor for name, factor in terms.items() if factor}
    text = " + ".join(f"{factor}*{name}" for name, factor in terms.items()) + f" <= {bound}"
    if not terms:
        return
    assert read(text) == (terms, "<=", bound)
    assert read(text.replace("<=", "==")) == (terms, "==", bound)


def test_a_chain_is_two_relations():
    threat = ThreatModel(relations=["0 <= a <= b"])
    assert threat == ThreatModel(relations=["a >= 0", "b >= a"])
    assert repr(threat) == "ThreatModel(relations=('0 <= a', 'a <= b'))"


def test_threats_with_rules_compare_hash_and_pickle():
    rules = {"integers": ["a"], "increasing": ["b"], "relations": ["b<=`net total`"], "repair": abs}
    threat = ThreatModel(**rules)
    assert threat == ThreatModel(**rules) != ThreatModel()
    assert hash(threat) == hash(pickle.loads(pickle.dumps(threat)))
    assert threat != ThreatModel(**rules | {"relations": ["b >= `net total`"]})


def test_names_become_positions_in_the_order_of_the_columns():
    threat = ThreatModel(relations=["`net total` == a + b"], integers=["b"]).resolve(FRAME)
    assert threat.relations[0].terms == ((0, -1.0), (1, 1.0), (2, -1.0))
    assert threat.integers == (0,)
    assert threat.resolve(FRAME.to_numpy()) == threat
    by_number = ThreatModel(relations=["x1 == x0 + x2"]).resolve(torch.zeros(1, 3))
    assert by_number.relations[0].terms == threat.relations[0].terms


def test_whole_columns_are_found_when_asked_for():
    X = pd.DataFrame({"n": [1, 2], "share": [0.5, 1.0], "same": [3, 3], "text": ["a", "b"]})
    assert ThreatModel.from_data(X).integers is None
    assert ThreatModel.from_data(X, integers="auto").integers == ("n",)
    assert ThreatModel.from_data(np.array([[1.0, 0.5], [4.0, 3.0]]), integers="auto").integers == (
        0,
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"relations": ["a*b <= 1"]}, "multiplies or divides by a column"),
        ({"relations": ["1/a <= 1"]}, "multiplies or divides by a column"),
        ({"relations": ["a/0 <= 1"]}, "by a column or by 0"),
        ({"relations": ["a**2 <= 1"]}, "must be linear"),
        ({"relations": ["f(a) == 1"]}, "must be linear"),
        ({"relations": ["a < b"]}, "another comparison"),
        ({"relations": ["a = b"]}, "cannot read"),
        ({"relations": ["a + b"]}, "holds no =="),
        ({"relations": ["1 <= 2"]}, "about no column"),
        ({"relations": [3]}, "must be linear"),
        ({"relations": "a <= b"}, "must be a list of texts"),
        ({"integers": "auto"}, "from_data"),
        ({"integers": [[0, 1]]}, "integers must be a list"),
        ({"increasing": [True, False]}, "increasing must be a list"),
        ({"decreasing": [-1]}, "from 0 on"),
        ({"increasing": [0, 1], "decreasing": [1]}, r"must not share columns; both hold \[1\]"),
        ({"repair": 3}, "repair must be None or a callable"),
        ({"is_valid": "yes"}, "is_valid must be None or a callable"),
    ],
)
def test_bad_rules(parts, message):
    with pytest.raises(ValueError, match=message):
        ThreatModel(**parts)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"relations": ["a <= c"]}, r"'a <= c' holds \['c'\], and X has columns"),
        ({"integers": ["c"]}, "integers must hold column numbers or names"),
        ({"increasing": ["a"], "decreasing": [2]}, "must not share columns"),
        ({"categories": [["a", "b"]], "integers": ["a"]}, "in both"),
        ({"categories": [["a", "b"]], "relations": ["a <= 1"]}, "in both"),
    ],
)
def test_rules_that_do_not_fit_an_x(parts, message):
    with pytest.raises(ValueError, match=message):
        ThreatModel(**parts).resolve(FRAME)


def test_rules_are_for_tables():
    with pytest.raises(ValueError, match="samples have shape"):
        ThreatModel(integers=[0]).resolve(np.zeros((2, 3, 3)))
