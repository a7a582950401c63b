"""Whatever is passed as a parameter: a valid result, or an error that names the parameter."""

import inspect
import os
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricTransformer, metrics, penalties
from sklearn_iso.exceptions import TrainingDivergedError

#: Examples of the long search, HYPOTHESIS_PROFILE=search; fewer in `make test`.
SEARCH = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "search" else 0

RNG = np.random.RandomState(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = np.arange(24) % 3
FEW = {"max_epochs": 1, "hidden_layer_sizes": (4,), "batch_size": 8, "random_state": 0}

NUMBERS = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 0.5, 1.5, 1e300, 1e-300]
NUMBERS += [np.float32(0.5), np.int64(2), np.bool_(True), 1j]
NAMES = ["auto", "fitted", "l2", "linf", "hidden", "logits", "adam", "linear", "relu", "cpu"]
NAMES += ["balanced", "global", "precomputed", "input", "stress", "margin", "cosine", "isometric"]
THINGS = [None, {}, object(), b"bytes", np.ones(2), np.ones((2, 2)), np.array(["a"]), {0: 1.0}]
ANYTHING = st.one_of(
    st.booleans(),
    st.integers(-2, 9),
    st.sampled_from(NUMBERS),
    st.sampled_from(NAMES),
    st.sampled_from(THINGS),
    st.text(max_size=3),
    st.lists(st.integers(-1, 4), max_size=3),
    st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)),
)
laws = settings(max_examples=SEARCH or 60, deadline=None)


def parameters_of(function):
    positional = {"self", "X", "Z", "y", "estimator", "args", "kwargs"}
    return sorted(set(inspect.signature(function).parameters) - positional)


def named(error, name):
    """Return whether an error tells which parameter it is about."""
    names = [name, "hidden_layer_sizes"] if name == "block_sizes" else [name]
    return any(re.search(rf"\b{re.escape(n)}\b", str(error)) for n in names)


# ---- constructors


ESTIMATORS = {
    name: value
    for name, value in vars(sklearn_iso).items()
    # IsometricClassifierCV hands its parameters on to IsometricClassifier, many times each.
    if inspect.isclass(value) and issubclass(value, BaseEstimator) and not name.endswith("CV")
}


def is_hierarchical(kind):
    return kind.__name__.startswith("Hierarchical")


def fit(kind, params):
    usual = {k: v for k, v in FEW.items() if k in inspect.signature(kind).parameters}
    labels = np.column_stack([Y > 0, Y]) if is_hierarchical(kind) else Y
    return kind(**usual | params).fit(X, labels)


@pytest.mark.parametrize("name", ESTIMATORS)
@laws
@given(st.data())
def test_parameter_of_an_estimator_is_valid_or_refused(name, data):
    kind = ESTIMATORS[name]
    parameter = data.draw(st.sampled_from(sorted(kind._parameter_constraints)))
    value = data.draw(ANYTHING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = fit(kind, {parameter: value})
    except InvalidParameterError:
        return
    except TrainingDivergedError:
        return  # a step of 1e300: says what to lower
    except ValueError as error:
        assert named(error, parameter), error
        return
    outputs = [getattr(model, m)(X) for m in ("predict_proba", "transform") if hasattr(model, m)]
    for output in outputs:
        # One array for each level of a hierarchy.
        assert all(np.isfinite(part).all() for part in output)


PENALTY_CLASSES = {
    name: value
    for name, value in vars(penalties).items()
    if inspect.isclass(value) and name.endswith("Isometry")
}


@pytest.mark.parametrize("name", PENALTY_CLASSES)
@laws
@given(st.data())
def test_parameter_of_a_penalty_is_valid_or_refused(name, data):
    kind = PENALTY_CLASSES[name]
    parameter = data.draw(st.sampled_from(sorted(kind._parameter_constraints)))
    value = data.draw(ANYTHING)
    embeds = name == "GeodesicIsometry"
    estimator = IsometricTransformer if embeds else IsometricClassifier
    own = {"layers": "logits", "n_neighbors": 23} if embeds else {}
    penalty = kind(**own | {parameter: value})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = estimator(penalty=penalty, **FEW).fit(X, Y)
    except (InvalidParameterError, TrainingDivergedError):
        return
    except ValueError as error:
        assert named(error, parameter), error
        return
    assert np.isfinite(model.loss_curve_).all()


# ---- functions


MODEL = IsometricClassifier(**FEW | {"max_epochs": 5}).fit(X, Y)
SMALL = X[:6], Y[:6]
Z = MODEL.transform(X)
ATTACKED = {"eps": 0.1, "n_steps": 1, "n_queries": 2, "random_state": 0}


def attacked(function):
    usual = {k: v for k, v in ATTACKED.items() if k in inspect.signature(function).parameters}
    return lambda **params: function(MODEL, *SMALL, **usual | params)


def compared(function):
    return lambda **params: function(X, Z, **params)


def made(function, *points):
    usual = {"eps": 0.1} if "eps" in inspect.signature(function).parameters else {}
    return lambda **params: function(**usual | params)(MODEL, *SMALL)


# Read by their truth value, which arrays have not.
FLAGS = {"return_std_error", "within_class", "sampling", "options"}

FUNCTIONS = {
    **{f: attacked(getattr(metrics, f)) for f in ("adversarial_accuracy", "adversarial_distance",
                                                  "robustness_curve", "robustness_report")},
    **{f: compared(getattr(metrics, f)) for f in ("isometry_distortion", "expansion",
                                                  "contraction", "bi_lipschitz_ratio",
                                                  "trustworthiness", "continuity",
                                                  "distortion_report")},
    **{f: made(getattr(metrics, f)) for f in ("make_adversarial_scorer",
                                              "make_distortion_scorer")},
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=SEARCH or 40, deadline=None)
@given(st.data())
def test_parameter_of_a_function_is_valid_or_refused(name, data):
    function = metrics.trustworthiness if name == "continuity" else getattr(metrics, name)
    known = [p for p in parameters_of(function) if p not in FLAGS]
    parameter, value = data.draw(st.sampled_from(known)), data.draw(ANYTHING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            FUNCTIONS[name](**{parameter: value})
    except (ValueError, TypeError) as error:
        assert isinstance(error, InvalidParameterError) or named(error, parameter), error
