"""Samples and labels in other containers than arrays: what is learnt is the same."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
    SmoothedClassifier,
)

X = np.random.RandomState(0).normal(size=(40, 3)).astype(np.float32)
Y = np.arange(40) % 2
QUICK = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
NETWORK = IsometricClassifier(**QUICK)
ESTIMATORS = [
    NETWORK,
    IsometricClassifierCV([0.0, 1.0], estimator=NETWORK, cv=2),
    IsometricRegressor(**QUICK),
    IsometricTransformer(**QUICK),
    HierarchicalIsometricClassifier(max_epochs=2, random_state=0),
    SmoothedClassifier(NETWORK, n_samples=5, random_state=0),
]
FRAME = pd.DataFrame(X, columns=list("abc"), index=np.arange(40)[::-1])
CONTAINERS = {
    "Series": (FRAME, pd.Series(Y, index=np.arange(40) + 7)),
    "polars": (pl.from_pandas(FRAME), pl.Series(Y)),
    "tensors": (torch.tensor(X), torch.tensor(Y)),
    "tensors of a graph": (torch.tensor(X, requires_grad=True) * 1, torch.tensor(Y)),
    "a list of tensors": (list(torch.tensor(X)), list(torch.tensor(Y))),
}
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)


def answer(fitted, samples):
    method = "predict" if hasattr(fitted, "predict") else "transform"
    found = getattr(fitted, method)(samples)
    assert type(found) is np.ndarray
    return found


@each_estimator
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_container_does_not_matter(estimator, container):
    samples, labels = CONTAINERS[container]
    same = np.asarray([row.tolist() for row in samples]) if container.startswith("a list") else X
    if container == "polars":
        same = X.astype(np.float64)  # whose dtypes are not those of NumPy
    expected = answer(clone(estimator).fit(same, Y), same)
    np.testing.assert_array_equal(answer(clone(estimator).fit(samples, labels), samples), expected)


@each_estimator
def test_tensors_of_bfloat16_are_learnt_in_float32(estimator):
    short = torch.tensor(X).bfloat16()
    whole = short.float().numpy()
    expected = answer(clone(estimator).fit(whole, Y), whole)
    np.testing.assert_array_equal(answer(clone(estimator).fit(short, Y), short), expected)


@each_estimator
@pytest.mark.parametrize("wrong", [torch.tensor(X).to_sparse(), torch.empty(40, 3, device="meta")])
def test_tensors_without_dense_values_are_refused_with_the_remedy(estimator, wrong):
    with pytest.raises(TypeError, match=r"dense and hold values.*to_dense"):
        clone(estimator).fit(wrong, Y)
    with pytest.raises(TypeError, match=r"dense and hold values"):
        answer(clone(estimator).fit(X, Y), wrong)


def test_text_labels_of_a_series_come_back_as_they_were():
    labels = pd.Series(Y).map({0: "no", 1: "yes"})
    for given in (labels, labels.astype("category")):
        model = make_pipeline(StandardScaler(), NETWORK).fit(FRAME, given)
        assert set(model.predict(FRAME)) <= {"no", "yes"}
        assert list(model.classes_) == ["no", "yes"]
