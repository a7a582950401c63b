"""In which precision an estimator gives what it was given, and that its tags say so."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.utils.estimator_checks import check_transformer_preserve_dtypes

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
)

X, y = load_iris(return_X_y=True)
QUICK = {"max_epochs": 2, "random_state": 0}
ESTIMATORS = {
    "classifier": IsometricClassifier(**QUICK),
    "path": IsometricClassifierCV((0.1, 1.0), estimator=IsometricClassifier(**QUICK), cv=2),
    "hierarchy": HierarchicalIsometricClassifier(**QUICK),
    "regressor": IsometricRegressor(**QUICK),
    "embedding": IsometricTransformer(**QUICK),
}
EVERY = pytest.mark.parametrize("name", ESTIMATORS)


def estimator(name, mixed):
    prefix = "estimator__" if name == "path" else ""
    return clone(ESTIMATORS[name]).set_params(**{f"{prefix}mixed_precision": mixed})


def told(model):
    return model.__sklearn_tags__().transformer_tags.preserves_dtype


@EVERY
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mixed", [False, True])
def test_what_comes_out_is_of_the_precision_that_the_tags_tell(name, dtype, mixed):
    rows = X.astype(dtype)
    model = estimator(name, mixed).fit(rows, y)
    Z = model.transform(rows)
    found = [Z]
    for method, values in (("predict_proba", rows), ("inverse_transform", Z)):
        if hasattr(model, method):
            found.append(getattr(model, method)(values))
    kept = {output.dtype.name == dtype for output in found}
    assert kept == {dtype in told(model)}
    assert not mixed or {output.dtype for output in found} == {np.dtype("float32")}


@EVERY
@pytest.mark.parametrize("mixed", [False, True])
def test_scikit_learn_finds_the_precision_of_the_tags(name, mixed):
    check_transformer_preserve_dtypes(name, estimator(name, mixed))
