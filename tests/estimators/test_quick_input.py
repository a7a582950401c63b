"""Predictions skip scikit-learn's checks only where these would return X itself."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy.special import softmax

from sklearn_iso import IsometricClassifier
from sklearn_iso._training.inference import probabilities
from sklearn_iso.estimators import _input

X = np.random.RandomState(0).randn(20, 3)
y = (X[:, 0] > 0).astype(int)
NAMED = pd.DataFrame(X, columns=["a", "b", "c"])


def with_cell(value, dtype=float):
    changed = X.astype(dtype)
    changed[1, 2] = value
    return changed


INPUTS = {
    "float64": X,
    "float32": X.astype(np.float32),
    "float16": X.astype(np.float16),
    "foreign byte order": X.astype(">f8"),
    "integers": (10 * X).astype(int),
    "objects": X.astype(object),
    "list": X.tolist(),
    "columns first": np.asfortranarray(X),
    "reversed": X[::-1],
    "matrix of one sample": X[:1],
    "frame": NAMED,
    "subclass": X.view(np.ma.MaskedArray),
    "complex": X.astype(complex),
    "NaN": with_cell(np.nan),
    "infinite": with_cell(np.inf),
    "both infinities": np.where(np.eye(20, 3), np.inf, -np.inf),
    "finite, of an infinite sum": np.full((20, 3), 1e308),
    "many": np.tile(X, (10, 1)),
    "many, with NaN": np.tile(with_cell(np.nan), (10, 1)),
    "many, with both infinities": np.tile(np.where(np.eye(20, 3), np.inf, -np.inf), (10, 1)),
    "many, finite, of an infinite sum": np.full((200, 3), 1e308),
    "too few columns": X[:, :2],
    "too many columns": np.hstack([X, X]),
    "no samples": X[:0],
    "one dimension": X[0],
    "three dimensions": X[None],
    "text": "abc",
}


@pytest.fixture(scope="module")
def fitted():
    models = {"array": X, "frame": NAMED}
    return {
        name: IsometricClassifier(
            hidden_layer_sizes=(4,), alpha=0, max_epochs=1, random_state=0
        ).fit(data, y)
        for name, data in models.items()
    }


def outcome(model, data):
    """Return what comes of a check: the array, or the error; and the warnings."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            found = _input.check_predict_input(model, data, many_dimensions=False, lazy=True)
            result = (np.asarray(found[:]), found.dtype)
        except Exception as error:
            result = (type(error), str(error))
    return result, [str(one.message) for one in heard]


@pytest.mark.parametrize("assume_finite", [False, True])
@pytest.mark.parametrize("of", ["array", "frame"])
@pytest.mark.parametrize("name", INPUTS)
def test_checks_are_those_of_scikit_learn(fitted, name, of, assume_finite, monkeypatch):
    with sklearn.config_context(assume_finite=assume_finite):
        found, heard = outcome(fitted[of], INPUTS[name])
        monkeypatch.setattr(_input, "_is_checked", lambda estimator, X: False)
        expected, heard_of_sklearn = outcome(fitted[of], INPUTS[name])
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1] and heard == heard_of_sklearn


def test_plain_arrays_are_quick_and_come_as_they_are(fitted):
    assert all(_input._is_checked(fitted["array"], INPUTS[name]) for name in ("float64", "many"))
    assert _input.check_predict_input(fitted["array"], X, many_dimensions=False) is X
    assert not _input._is_checked(fitted["frame"], X)  # names are missing: a warning


def test_probabilities_are_those_of_scipy():
    logits = np.random.RandomState(0).randn(50, 4) * 10.0 ** np.arange(-1, 3)
    for values in (logits, logits.astype(np.float32), np.array([[1e300, -1e300]])):
        np.testing.assert_array_equal(probabilities(values), softmax(values, axis=1))


def test_a_part_in_training_mode_predicts_as_in_evaluation(fitted):
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
    model = IsometricClassifier(module=net, alpha=0, max_epochs=1, random_state=0).fit(X, y)
    expected = model.predict_proba(X)
    model.net_.module_.eval()
    model.net_.module_[1].train()
    np.testing.assert_array_equal(model.predict_proba(X), expected)


@pytest.mark.parametrize("mode", ["inference", "autocast", "meta", "no_grad"])
def test_modes_of_the_caller_change_nothing(fitted, mode):
    model = fitted["array"]
    expected = model.predict_proba(X)
    modes = {
        "inference": torch.inference_mode(),
        "autocast": torch.autocast("cpu"),
        "meta": torch.device("meta"),
        "no_grad": torch.no_grad(),
    }
    with modes[mode]:
        np.testing.assert_array_equal(model.predict_proba(X), expected)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
