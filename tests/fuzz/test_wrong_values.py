"""Every parameter of every public call, with each of a list of wrong values: valid, or refused."""

import numpy as np
import public_calls as public
import pytest
from reliability import told
from spoilt_calls import assert_valid_or_refused

#: What users pass by mistake, and what is odd and may still be meant.
WRONG = [
    *(None, True, -1, 0, 1, 1.5),
    *(float("nan"), float("inf"), -float("inf"), 1e300, 1e-300, 2j),
    *("", "x", b"x"),
    *([], [[0.5, 1.0]], [[[1], [2, 3]]], (float("nan"), float("nan")), {}, set()),
    *(object(), object, lambda *_: None),
    *(np.float64(2.5), np.array(3), np.array([None, "x", object()])),
]
pytestmark = pytest.mark.usefixtures("own_folder")


def refused_badly(name):
    """Yield each parameter with a value that is neither valid nor refused as it should be."""
    for parameter in public.CALLS[name].parameters:
        for value in WRONG:
            try:
                assert_valid_or_refused(name, parameter, value)
            except Exception as error:
                yield f"{parameter}={value!r}: {type(error).__name__}: {error}"


@pytest.mark.slow
@pytest.mark.parametrize("name", public.CALLS)
def test_every_parameter_is_valid_or_refused(name):
    assert not list(refused_badly(name))


def gives_nan(x):
    return float("nan")


def fails_deep_inside(x):
    return [][0]


def names_no_parameter(x):
    raise ValueError("not a number")


@pytest.mark.parametrize("broken", [gives_nan, fails_deep_inside, names_no_parameter])
def test_sweep_tells_every_value_that_a_call_takes_badly(broken, monkeypatch):
    monkeypatch.setitem(public.CALLS, "broken", public.Call(broken, {"x": 1}, broken))
    assert len(list(refused_badly("broken"))) == len(WRONG)


def test_the_page_tells_what_is_tried():
    tried = (len(WRONG), len(public.CALLS))
    assert told(r"each of (\d+) wrong or odd values \| (\d+) calls") == tried
