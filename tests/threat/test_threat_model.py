"""A threat is one value: it compares, hashes and pickles, and names are as good as numbers."""

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso._geometry.norms import NORMS, get_norm
from sklearn_iso._threat import as_threat
from sklearn_iso._threat.parts import ObservedRange
from sklearn_iso.attacks import Budget
from sklearn_iso.metrics import (
    adversarial_distance,
    adversarial_examples,
    certified_distance,
)

FRAME = pd.DataFrame({"age": [30.0, 50.0], "red": [1.0, 0.0], "blue": [0.0, 1.0]})
EVERYTHING = {
    "norm": "l1",
    "units": {"age": 10, "red": 1, "blue": 1},
    "bounds": (0, pd.Series({"blue": 1, "red": 1, "age": 99})),
    "immutable": ["age"],
    "categories": [["red", "blue"]],
    "max_changes": 2,
}
BY_NUMBER = {
    "norm": 1,
    "units": np.array([10, 1, 1]),
    "bounds": [0, [99, 1, 1]],
    "immutable": [True, False, False],
    "categories": [(1, 2)],
    "max_changes": np.int64(2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [0.1, 0.3, 1, 1e-6])
def test_eps_times_units_is_the_product_in_float64_rounded_towards_zero(dtype, eps):
    units = np.random.RandomState(0).lognormal(size=50)
    X = torch.zeros(1, 50, dtype=dtype)
    radius = Budget.of(X, eps=eps, threat=ThreatModel(units=units)).eps
    expected = torch.from_numpy(eps * units)
    assert (radius.double() <= expected).all()
    assert (radius.nextafter(torch.tensor(torch.inf, dtype=dtype)).double() > expected).all()
    if dtype is torch.float64:
        assert torch.equal(radius, expected)


def test_names_are_as_good_as_numbers():
    by_name, by_number = ThreatModel(**EVERYTHING), ThreatModel(**BY_NUMBER)
    assert by_name.resolve(FRAME) == by_number.resolve(FRAME)
    for X in (FRAME.to_numpy(), torch.tensor(FRAME.to_numpy()), FRAME.to_numpy().tolist()):
        assert by_number.resolve(X) == by_name.resolve(FRAME)
    turned = FRAME[["blue", "age", "red"]]
    found = by_name.resolve(turned)
    assert found.units == (1, 10, 1) and found.bounds == (0, (1, 99, 1))
    assert found.immutable_mask().tolist() == [False, True, False]
    assert found.categories == ((2, 0),)
    assert found.resolve(turned) == found


def test_threats_of_the_same_parts_are_one_value():
    one, other = ThreatModel(**EVERYTHING), ThreatModel(**EVERYTHING)
    assert one == other and hash(one) == hash(other) and one is not other
    again = pickle.loads(pickle.dumps(one))
    assert again == one and hash(again) == hash(one)
    assert replace(one) == one and len({one, other, again}) == 1
    with pytest.raises(FrozenInstanceError):
        one.norm = "l2"


@pytest.mark.parametrize(
    "part",
    [
        {"norm": "l2"},
        {"units": 2},
        {"bounds": (0, 1)},
        {"immutable": [0]},
        {"immutable": [1, 0]},
        {"immutable": [True, False]},
        {"categories": [(0, 1)]},
    ],
)
def test_every_part_counts(part):
    assert ThreatModel(**part) != ThreatModel()
    assert "=" in repr(ThreatModel(**part)) or "l2" in repr(ThreatModel(**part))


def test_a_mask_is_no_list_of_numbers():
    assert ThreatModel(immutable=[True, False]) != ThreatModel(immutable=[1, 0])


def test_what_was_passed_is_copied():
    units, mask, group = np.ones(2), np.array([True, False]), [0, 1]
    threat = ThreatModel(units=units, immutable=mask, categories=[group])
    units[:], mask[:], group[0] = 5, False, 7
    assert threat == ThreatModel(units=[1, 1], immutable=[True, False], categories=[(0, 1)])


@pytest.mark.parametrize(
    "threat, expected",
    [
        (ThreatModel(), "ThreatModel()"),
        (ThreatModel(np.inf, max_changes=1, units=None), "ThreatModel()"),
        (ThreatModel(2, bounds=(-np.inf, 1)), "ThreatModel('l2', bounds=(-inf, 1))"),
        (ThreatModel(units=np.ones(784)), "ThreatModel(units=<784 values>)"),
        (ThreatModel(units=np.ones((28, 28))), "ThreatModel(units=<784 values>)"),
        (ThreatModel(units=dict.fromkeys(range(9), 1)), "ThreatModel(units=<9 values by name>)"),
        (
            ThreatModel(categories=[("a", "b")], max_changes=0),
            "ThreatModel(categories=(('a', 'b'),), max_changes=0)",
        ),
    ],
)
def test_a_repr_is_short_and_tells_what_is_not_the_default(threat, expected):
    assert repr(threat) == expected


def test_a_repr_leaves_out_what_says_nothing_of_columns_without_numbers():
    X = pd.DataFrame({"age": [1.0, 3.0], "plan": ["a", "b"], "smokes": [True, False]})
    bounds = "<seen in data: ({'age': 1}, {'age': 3})>"
    assert repr(ThreatModel.from_data(X)) == (
        f"ThreatModel(units={{'age': 1}}, bounds={bounds}, immutable=('plan', 'smokes'))"
    )
    assert repr(ThreatModel.from_data(X, categories="all")) == (
        f"ThreatModel(units={{'age': 1}}, bounds={bounds}, "
        "categories=(<'plan': 2 values>, <'smokes': 2 values>))"
    )
    told = "ThreatModel(units={'age': 2, 'plan': 3}, immutable=('plan',))"
    assert repr(ThreatModel(units={"age": 2, "plan": 3}, immutable=["plan"])) == told


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_norm_is_short_for_a_threat_of_it(norm):
    orders = {"linf": np.inf, "l2": 2, "l1": 1}
    for short in (norm, orders[norm], NORMS[norm], ThreatModel(norm)):
        assert as_threat(short) == ThreatModel(norm)
    assert ThreatModel(norm).norm is get_norm(norm)


def test_samples_of_any_shape_have_units_and_masks_of_theirs():
    X = torch.zeros(2, 3, 4)
    units, mask = torch.rand(3, 4) + 1, torch.rand(3, 4) < 0.5
    budget = Budget.of(X, eps=2, threat=ThreatModel(units=units, immutable=mask))
    torch.testing.assert_close(budget.eps, torch.where(mask, 0, 2 * units))
    for wrong in ({"immutable": [1, 2]}, {"units": [1.0] * 4}, {"immutable": [True, False]}):
        with pytest.raises(ValueError, match=r"of shape \(3, 4\); got shape"):
            ThreatModel(**wrong).resolve(X)
    with pytest.raises(ValueError, match="categories need X of shape"):
        ThreatModel(categories=[(0, 1)]).resolve(X)
    with pytest.raises(ValueError, match="units may name features only where X is a table"):
        ThreatModel(units={"a": 1}).resolve(X)


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"norm": "l7"}, "norm must be one of 'linf'"),
        ({"norm": None}, "norm must be one of"),
        ({"units": [1, -1]}, "units must be finite and not negative; got"),
        ({"units": [1, np.inf]}, "units must be finite"),
        ({"units": [1, np.nan]}, "units must not hold NaN"),
        ({"units": [0, 0]}, "units must leave at least one feature"),
        ({"units": 0}, "units must leave at least one feature"),
        ({"units": "large"}, "units must be one number or one for each feature; got 'large'"),
        ({"units": []}, "units must be one number or one for each feature; got none"),
        ({"units": {"a": "large"}}, "units must be one number"),
        ({"units": pd.DataFrame(np.ones((2, 2)))}, r"must have one row; got shape \(2, 2\)"),
        ({"bounds": 3}, r"bounds must be None or a pair \(low, high\); got 3"),
        ({"bounds": (0, 1, 2)}, "a pair"),
        ({"bounds": (1, 0)}, r"low <= high; got \(1, 0\)"),
        ({"bounds": ([0, 3], [1, 2])}, "low <= high"),
        ({"bounds": ({"a": 0, "b": 3}, {"b": 2, "a": 1})}, "low <= high"),
        ({"bounds": ([0, 1], [1, 2, 3])}, "of one shape"),
        ({"bounds": (np.nan, 1)}, "the low of bounds must not hold NaN"),
        ({"bounds": (0, "much")}, "the high of bounds must be one number"),
        ({"immutable": {"age": 1}}, "immutable must be a mask of booleans, or a list of column"),
        ({"immutable": {"age"}}, "immutable must be"),
        ({"immutable": [[0, 1], [2]]}, "immutable must be"),
        ({"immutable": [-1]}, "column numbers or names, from 0 on; got"),
        ({"immutable": [0.5]}, "immutable must be"),
        ({"immutable": [True, True]}, "every feature is immutable"),
        ({"immutable": {"a": True, "b": True}}, "every feature is immutable"),
        ({"categories": "colour"}, "categories must list groups of columns"),
        ({"categories": 3}, "categories must list groups"),
        ({"categories": {"colour": [0, 1]}}, "categories must list groups"),
        ({"categories": [[0, 1], 2, 1]}, "must not share columns"),
        ({"categories": ["colour", "colour"]}, "must not share columns"),
        ({"categories": [2.5]}, "a single column holds categories itself, .*; found 2.5"),
        ({"categories": [-1]}, "column numbers, from 0 on; got -1"),
        ({"categories": [(3,)]}, r"two or more; found \(3,\)"),
        ({"categories": [[True, False]]}, "two or more; found"),
        ({"categories": [(2.0, 3.0)]}, "numbers or names of the columns"),
        ({"categories": [(0, 1), (1, 2)]}, "groups of categories must not share columns"),
        ({"categories": [(0, 0)]}, "must not share columns"),
        ({"max_changes": -1}, "max_changes must be an integer of at least 0; got -1"),
        ({"max_changes": 1.5}, "max_changes must be an integer"),
        ({"max_changes": True}, "max_changes must be an integer"),
        ({"max_changes": 2}, "max_changes is a number of groups of categories"),
    ],
)
def test_bad_parts_are_refused_at_once(parts, message):
    with pytest.raises(ValueError, match=message):
        ThreatModel(**parts)


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"units": [1, 2]}, r"units must be .*of shape \(3,\); got shape \(2,\)"),
        ({"bounds": ([0, 0], 1)}, r"the low of bounds must be .*of shape \(3,\)"),
        ({"bounds": (50, {"age": 99, "red": 1, "blue": 1})}, "low <= high"),
        ({"immutable": [3]}, "immutable must hold column numbers from 0 to 2; got"),
        ({"immutable": ["size"]}, r"found \['size'\], and X has columns \['age', 'red', 'blue'\]"),
        ({"immutable": ["age", "red", "blue"]}, "every feature is immutable"),
        ({"immutable": [True, False]}, r"of shape \(3,\); got shape \(2,\)"),
        ({"categories": [("red", "green")]}, r"categories must hold .*found \['green'\]"),
        ({"categories": [("red", "blue"), (0, 1)]}, "must not share columns"),
        ({"units": {"age": 1, "red": 1, "green": 1}}, r"it names \['green'\], and X has columns"),
    ],
)
def test_parts_that_do_not_fit_x_are_refused_when_it_comes(parts, message):
    threat = ThreatModel(**parts)
    with pytest.raises(ValueError, match=message):
        threat.resolve(FRAME)


@pytest.mark.parametrize(
    "eps", [[0.1] * 3, np.ones(3), torch.ones(3), {"age": 1}, "0.1", True + 1j]
)
def test_a_budget_is_one_number(eps):
    with pytest.raises(ValueError, match="eps must be one number|Pass one value for each"):
        Budget.of(torch.zeros(1, 3), eps=eps)


RAW = pd.DataFrame(
    {
        "age": [20, 40, 60, 80],
        "income": [1.0, np.nan, 3.0, 5.0],
        "plan": ["a", "b", "a", "b"],
        "colour": pd.Categorical([1, 2, 1, 2]),
        "smokes": [True, False, True, True],
        "one": [7.0, 7.0, 7.0, 7.0],
    }
)


def test_data_tell_units_bounds_and_what_stays():
    threat = ThreatModel.from_data(RAW)
    inf = np.inf
    units = {"age": np.sqrt(500), "income": np.std([1, 3, 5]), "plan": 1, "colour": 1, "smokes": 1}
    low = {"age": 20, "income": 1, "plan": -inf, "colour": -inf, "smokes": -inf, "one": 7}
    high = {"age": 80, "income": 5, "plan": inf, "colour": inf, "smokes": inf, "one": 7}
    fixed = ["plan", "colour", "smokes", "one"]
    bounds = ObservedRange((low, high))
    expected = ThreatModel(units=units | {"one": 1}, bounds=bounds, immutable=fixed)
    assert threat == expected
    assert ThreatModel.from_data(RAW, norm="l2", bounds=None, immutable=None) == ThreatModel(
        "l2", units=units | {"one": 1}
    )


def test_data_of_every_container_tell_the_same():
    frame = RAW.astype({"colour": str})
    threat = ThreatModel.from_data(frame)
    assert ThreatModel.from_data(pl.DataFrame(frame.to_dict("list"))) == threat
    nullable = frame.convert_dtypes()
    assert ThreatModel.from_data(nullable) == threat
    by_number = ThreatModel.from_data(frame.to_numpy())
    assert by_number.resolve(frame) == threat.resolve(frame)
    numbers = frame[["age", "income"]].to_numpy()
    assert ThreatModel.from_data(numbers) == ThreatModel(
        units=np.nanstd(numbers, axis=0),
        bounds=ObservedRange((np.nanmin(numbers, axis=0), np.nanmax(numbers, axis=0))),
    )


IRIS, SPECIES = load_iris(return_X_y=True)
TRAIN, TEST = IRIS[::2], IRIS[1::2].copy()
TEST[3] += 5  # beyond all others, in every column
SEEN = ThreatModel.from_data(TRAIN)


def test_bounds_that_data_have_shown_are_told_from_bounds_that_are_passed():
    assert SEEN != replace(SEEN, bounds=tuple(SEEN.bounds))
    assert pickle.loads(pickle.dumps(SEEN)) == SEEN and "seen in data" in repr(SEEN)
    with pytest.raises(ValueError, match="X must lie inside bounds"):
        Budget.of(torch.from_numpy(TEST), threat=replace(SEEN, bounds=tuple(SEEN.bounds)))


def test_a_sample_beyond_bounds_that_data_have_shown_widens_its_own_alone():
    X = torch.from_numpy(TEST)
    budget = Budget.of(X, eps=99.0, threat=SEEN)
    low, high = (np.stack([side(TRAIN, axis=0)] * len(TEST)) for side in (np.min, np.max))
    ball = budget.around(X)
    for v, ends in ((-1.0, np.minimum(low, TEST)), (1.0, np.maximum(high, TEST))):
        reached = ball.point(torch.full_like(X, v))
        np.testing.assert_array_equal(reached, ends)
        np.testing.assert_array_equal(ball[[3]].point(torch.full_like(X[[3]], v)), ends[[3]])
        budget.verify(X, reached)
        if v > 0:  # what only the bounds of another sample hold is outside
            beyond = reached.clone()
            beyond[0] = torch.from_numpy(TEST[3])
            with pytest.raises(ValueError, match="stay within bounds"):
                budget.verify(X, beyond)


def as_frame(X):
    frame = pd.DataFrame(X).add_prefix("x").assign(kind="flower")
    frame.loc[5, "x0"] = np.nan
    return frame


def raw_model():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encoder = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")), (OneHotEncoder(), ["kind"])
    )
    return make_pipeline(encoder, LogisticRegression(max_iter=500))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
@pytest.mark.parametrize("kind", ["linear", "tree", "raw"])
def test_a_sample_alone_is_evaluated_as_within_the_batch(kind, norm):
    X, X_train = (as_frame(one) if kind == "raw" else one for one in (TEST[:8], TRAIN))
    models = {
        "linear": LogisticRegression(max_iter=500),
        "tree": DecisionTreeClassifier(max_depth=4, random_state=0),
        "raw": raw_model(),
    }
    model = models[kind].fit(X_train, SPECIES[::2])
    y = model.predict(X)
    threat = ThreatModel.from_data(X_train, norm=norm)
    options = {"threat": threat, "random_state": 0}
    measures = [lambda X, y: adversarial_distance(model, X, y, **options)]
    if kind != "tree":
        measures += [
            lambda X, y: adversarial_examples(model, X, y, eps=2, attack="fgsm", **options)
        ]
    if kind != "raw" and norm != "l0":
        measures += [lambda X, y: certified_distance(model, X, y, threat=threat)]
    for measure in measures:
        together = np.asarray(measure(X, y))
        without = np.asarray(measure(X[:3], y[:3]))  # without the sample that is far out
        alone = np.asarray(measure(X[3:4], y[3:4]))
        for found, expected in ((without, together[:3]), (alone, together[3:4])):
            if found.dtype == object:
                assert found.tolist() == expected.tolist()
            else:
                np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_what_a_sample_beyond_the_bounds_may_do_is_certified_by_its_own():
    # Splits at 1 and 5.5: 9 may come back over the second, which 4 must not reach.
    X, y = np.array([[0.0], [2.0], [4.0], [7.0]]), [0, 1, 1, 0]
    tree = DecisionTreeClassifier(random_state=0).fit(X, y)
    threat = ThreatModel.from_data(X[:3], units=1.0)
    proven = certified_distance(tree, [[9.0], [4.0]], [0, 1], threat=threat)
    np.testing.assert_allclose(proven, [3.5, 3.0], rtol=1e-6)
    found = adversarial_distance(tree, [[9.0], [4.0]], [0, 1], threat=threat, random_state=0)
    np.testing.assert_allclose(found, proven, rtol=1e-6)


def test_images_tell_a_unit_of_each_pixel():
    X = np.random.RandomState(0).rand(9, 2, 3)
    X[:, 0, 0] = 0.5
    threat = ThreatModel.from_data(X)
    assert threat.resolve(X) == threat
    np.testing.assert_array_equal(threat.immutable_mask(), X.std(axis=0) == 0)
    np.testing.assert_allclose(threat.radius(2)[1], 2 * X.std(axis=0)[1])


@pytest.mark.parametrize(
    "X, message",
    [
        (np.ones((3, 2)), "nothing is left to an attack"),
        (np.ones(3), r"X must hold samples and their features; got shape \(3,\)"),
        (np.ones((0, 2)), "X must hold samples"),
        (RAW[["plan"]], "nothing is left to an attack"),
        (RAW[["age", "age"]], "different names; got 'age' twice"),
        (np.array([[1.0, np.inf], [0.0, 1.0]]), "X must not hold infinity"),
        (["text"], "X must hold"),
    ],
)
def test_data_that_tell_nothing_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        ThreatModel.from_data(X)


def test_columns_of_several_levels_are_told_by_their_tuples():
    names = [("body", "age"), ("work", "job"), ("work", "income")]
    values = [[30.0, "cook", 1.0], [50.0, "clerk", 3.0]]
    X = pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(names)).infer_objects()
    threat = ThreatModel.from_data(X)
    assert threat.immutable == (("work", "job"),)
    assert threat.resolve(X).immutable_mask().tolist() == [False, True, False]
