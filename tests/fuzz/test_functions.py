"""Every public function, class and method, one parameter spoilt: an error that names it."""

import importlib
import inspect
import os
import pkgutil
import warnings

import anything
import matplotlib.pyplot as plt
import public_calls as public
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reliability import told
from spoilt_calls import assert_valid_or_refused

import sklearn_iso
import sklearn_iso.model_selection
from sklearn_iso.testing._generators import require_global_generators_kept

SEARCH = os.environ.get("HYPOTHESIS_PROFILE") == "search"
pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.mark.parametrize("name", public.CALLS)
@settings(
    max_examples=1000 if SEARCH else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.nested_given],
)
@given(st.data())
def test_parameter_of_a_function_is_valid_or_refused(name, data):
    parameter = data.draw(st.sampled_from(public.CALLS[name].parameters))
    assert_valid_or_refused(name, parameter, data.draw(anything.ANYTHING))


def public_names():
    rooms = [sklearn_iso, sklearn_iso.model_selection]
    for module in pkgutil.iter_modules(sklearn_iso.__path__, prefix="sklearn_iso."):
        if module.ispkg and "._" not in module.name:
            rooms.append(importlib.import_module(module.name))
    seen = set()
    for room in rooms:
        for name in getattr(room, "__all__", ["refit_robust"]):
            value = getattr(room, name)
            if id(value) in seen:
                continue  # offered at the top too
            seen.add(id(value))
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{room.__name__.removeprefix('sklearn_iso.')}.{name}", value


def test_every_public_name_is_called():
    left = {name for names in public.NOT_CALLED.values() for name in names}
    top = vars(sklearn_iso).values()
    missing = [
        name
        for name, value in public_names()
        if name not in public.CALLS
        and name not in left
        # Those are in test_parameters.py.
        and not (inspect.isclass(value) and value in top)
        and not hasattr(value, "_parameter_constraints")
    ]
    assert not missing
    assert left <= dict(public_names()).keys(), "a name that is gone"


@pytest.mark.parametrize("name", public.CALLS)
def test_valid_call_leaves_the_global_generators_alone(name):
    if name in public.NEVER_VALID:
        pytest.skip(public.NEVER_VALID[name])
    if name in public.TORCH_MODULES:
        pytest.skip("draws as every torch module does")
    call = public.CALLS[name]
    unseeded = {"random_state": None} if "random_state" in call.parameters else {}
    with warnings.catch_warnings(), require_global_generators_kept(name):
        warnings.simplefilter("ignore")
        call.function(**call.usual)
        call.function(**call.usual | unseeded)
    plt.close("all")


def test_the_page_tells_what_is_tried():
    left = public.TORCH_MODULES | public.NEVER_VALID.keys()
    assert told(r"(\d+) calls, 40 values") == (len(public.CALLS),)
    assert told(r"seeded and not \| (\d+) calls") == (len(public.CALLS.keys() - left),)
