"""Whatever is passed to an estimator or a penalty: a finite fit, or an error that names it."""

import inspect
import os
import warnings

import numpy as np
import pytest
from anything import ANYTHING, refuse
from hypothesis import given, settings
from hypothesis import strategies as st
from reliability import told
from sklearn.base import BaseEstimator

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricTransformer, penalties

#: Examples of the long search, HYPOTHESIS_PROFILE=search; fewer in `make test`.
SEARCH = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "search" else 0

RNG = np.random.RandomState(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = np.arange(24) % 3
FEW = {"max_epochs": 1, "hidden_layer_sizes": (4,), "batch_size": 8, "random_state": 0}
#: Of IsometricClassifierCV, which hands the others on.
FOLDS = {"alphas": [0.0, 1.0], "estimator": IsometricClassifier(**FEW), "cv": 2}
laws = settings(max_examples=SEARCH or 100, deadline=None)


# ---- constructors


#: Parameters that an error may name by another one that follows from them.
ALSO = {"block_sizes": ["hidden_layer_sizes"], "cv": ["n_splits"]}
ESTIMATORS = {
    name: value
    for name, value in vars(sklearn_iso).items()
    if inspect.isclass(value) and issubclass(value, BaseEstimator)
}


def is_hierarchical(kind):
    return kind.__name__.startswith("Hierarchical")


def fit(kind, params):
    usual = {k: v for k, v in (FEW | FOLDS).items() if k in inspect.signature(kind).parameters}
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
    except Exception as error:
        return refuse(error, [parameter, *ALSO.get(parameter, [])], value)
    outputs = [getattr(model, m)(X) for m in ("predict_proba", "transform") if hasattr(model, m)]
    for output in outputs:
        # One array for each level of a hierarchy.
        assert all(np.isfinite(part).all() for part in output)


PENALTY_CLASSES = {
    name: value
    for name, value in vars(penalties).items()
    if hasattr(value, "_parameter_constraints") and not inspect.isabstract(value)
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
    except Exception as error:
        return refuse(error, [parameter], value)
    assert np.isfinite(model.loss_curve_).all()


def test_the_page_tells_what_is_tried():
    found = told(r"(\d+) estimators and (\d+) penalties, 100 values")
    assert found == (len(ESTIMATORS), len(PENALTY_CLASSES))
