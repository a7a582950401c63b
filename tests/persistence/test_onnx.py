"""Laws of ONNX graphs: they answer as the estimator does, for any number of rows."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from releases import exports
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import nn

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricTransformer,
)
from sklearn_iso.datasets import make_torus
from sklearn_iso.modules import ConvNet
from sklearn_iso.persistence import to_onnx
from sklearn_iso.persistence._onnx import _precision, _storable
from sklearn_iso.twins import NotDifferentiableError

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = exports

X, y = load_digits(return_X_y=True)
X32 = (X / 16).astype(np.float32)
FIT, REST = slice(0, 300), slice(300, 600)
NAMES = np.array("zero one two three four five six seven eight nine".split())


def network(**params):
    quick = {"hidden_layer_sizes": (32,), "max_epochs": 3, "random_state": 0}
    return IsometricClassifier(**quick | params)


def run(model, rows):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": rows}), strict=True))


CLASSIFIERS = {
    "network": network(),
    "pipeline": make_pipeline(StandardScaler(), network()),
    "long pipeline": make_pipeline(StandardScaler(), PCA(20), MinMaxScaler(), network(alpha=0)),
    "network as a step": make_pipeline(StandardScaler(), network(), LogisticRegression()),
    "convolutions": make_pipeline(MinMaxScaler(), network(module=ConvNet)),
    "module with dropout": network(
        module=nn.Sequential(nn.Linear(64, 8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 10))
    ),
}


@pytest.mark.parametrize(
    ("name", "rows"), [("pipeline", X), *((name, X32) for name in CLASSIFIERS)]
)
def test_a_graph_gives_the_probabilities_of_the_classifier(name, rows):
    classifier = CLASSIFIERS[name].fit(rows[FIT], y[FIT])
    found = run(to_onnx(classifier, rows), rows[REST])
    expected = classifier.predict_proba(rows[REST])
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(found["label"], classifier.predict(rows[REST]))


LABELS = {
    "text": NAMES[y].astype(object),
    "bool": y > 4,
    "int": y - 5,
    "beyond int64": y.astype(np.uint64) + np.uint64(2**63),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_are_those_of_predict(labels):
    classifier = make_pipeline(StandardScaler(), network()).fit(X[FIT], labels[FIT])
    found = run(to_onnx(classifier, X), X[REST])["label"]
    np.testing.assert_array_equal(found, classifier.predict(X[REST]))


def test_a_step_that_counts_rows_is_refused():
    with pytest.raises(ValueError, match="must take any number of samples"):
        to_onnx(SVC().fit(X[FIT], y[FIT]), X)


def test_a_classifier_without_probabilities_gives_scores():
    classifier = make_pipeline(StandardScaler(), LinearSVC()).fit(X[FIT], y[FIT] % 3)
    found = run(to_onnx(classifier, X), X[REST])
    assert set(found) == {"label", "scores"}
    np.testing.assert_array_equal(found["label"], classifier.predict(X[REST]))


def test_a_graph_takes_any_number_of_rows():
    graph = to_onnx(network().fit(X32[FIT], y[FIT]), X32[:1])
    for n_samples in (1, 2, 7):
        assert run(graph, X32[:n_samples])["probabilities"].shape == (n_samples, 10)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool", "float16", "int64", "float32"])
def test_precision_is_that_of_the_estimator(dtype):
    rows = (X / 2).astype(dtype)
    classifier = network(max_epochs=1).fit(rows[FIT], y[FIT])
    assert _precision(classifier, rows) == classifier.predict_proba(rows[REST]).dtype


def test_a_graph_of_bytes_computes_in_single_precision():
    rows = X.astype(np.uint8)
    classifier = network().fit(rows[FIT], y[FIT])
    found = run(to_onnx(classifier, rows), rows[REST].astype(np.float32))  # refuses another type
    np.testing.assert_allclose(
        found["probabilities"], classifier.predict_proba(rows[REST]), atol=1e-5
    )


@pytest.mark.parametrize(
    ("classes", "stored"),
    [
        (np.arange(3, dtype=np.uint8), np.int64),
        (np.arange(3, dtype=np.uint64), np.int64),
        (np.arange(3, dtype=np.uint64) + np.uint64(2**63), np.uint64),
        (np.arange(3, dtype=np.longdouble), np.float64),
        ([0, 1, 2], np.int64),
        (np.array(["a", "b"]), object),
    ],
)
def test_classes_are_stored_as_they_are_or_refused(classes, stored):
    assert _storable(classes).dtype == stored
    np.testing.assert_array_equal(_storable(classes), classes)
    finer = np.longdouble(1) + np.finfo(np.longdouble).eps
    for odd in (np.array([1, finer]), np.array([2**70, 1], dtype=object)):
        if odd.dtype == object or finer != np.float64(finer):
            with pytest.raises(ValueError, match="LabelEncoder"):
                _storable(odd)


@pytest.mark.parametrize("first", [None, StandardScaler()], ids=["network", "pipeline"])
def test_another_number_of_features_is_refused_without_a_word_of_torch(first, caplog, capfd):
    classifier = make_pipeline(first, network()).fit(X[FIT], y[FIT])
    with pytest.raises(ValueError, match="X has 63 features, but .* is expecting 64 features"):
        to_onnx(classifier, X[:, 1:])
    assert not caplog.records and capfd.readouterr() == ("", "")


class Stubborn(nn.Linear):
    """A module that cannot be exported: what it does depends on numbers in X."""

    def forward(self, X):
        return super().forward(X) if X.sum() > -1 else X[:, :10]


def test_a_failed_export_is_told_in_a_line_and_not_by_torch(caplog, capfd):
    levels = {name: logging.getLogger(name).level for name in ("torch", "torch.export")}
    classifier = network(module=Stubborn(64, 10), alpha=0).fit(X32[FIT], y[FIT])
    with pytest.raises(
        ValueError, match="^torch cannot export.*Export its last step alone"
    ) as error:
        to_onnx(classifier, X32)
    assert len(str(error.value)) < 400 and "\n" not in str(error.value)
    assert not caplog.records and capfd.readouterr() == ("", "")
    assert levels == {name: logging.getLogger(name).level for name in levels}


def test_missing_values_pass_where_the_pipeline_fills_them_in():
    holed = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), network()).fit(holed[FIT], y[FIT])
    found = run(to_onnx(pipeline, holed), holed[REST])
    np.testing.assert_allclose(
        found["probabilities"], pipeline.predict_proba(holed[REST]), atol=1e-5
    )
    with pytest.raises(ValueError, match="X contains NaN"):
        to_onnx(network().fit(X[FIT], y[FIT]), holed)


def test_a_graph_of_an_embedding_embeds():
    embedding = make_pipeline(
        StandardScaler(), IsometricTransformer(max_epochs=2, random_state=0)
    ).fit(X[FIT])
    found = run(to_onnx(embedding, X), X[REST])["Z"]
    np.testing.assert_allclose(found, embedding.transform(X[REST]), atol=1e-5)


def test_a_graph_tells_nothing_of_the_machine_that_made_it():
    raw = to_onnx(network().fit(X32[FIT], y[FIT]), X32).SerializeToString()
    assert b".py" not in raw
    assert b"sklearn_iso" not in raw


def test_export_leaves_the_estimator_as_it_was():
    classifier = network().fit(X32[FIT], y[FIT])
    before = classifier.predict_proba(X32[REST])
    state = torch.get_rng_state()
    to_onnx(classifier, X32)
    np.testing.assert_array_equal(classifier.predict_proba(X32[REST]), before)
    assert all(p.requires_grad for p in classifier.net_.module_.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_step_without_a_twin_is_named():
    pipeline = make_pipeline(StandardScaler(), _Opaque(), network()).fit(X[FIT], y[FIT])
    with pytest.raises(NotDifferentiableError, match="_opaque"):
        to_onnx(pipeline, X)


class _Opaque(TransformerMixin, BaseEstimator):
    """A transformer that only its author knows."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


def test_several_outputs_are_refused():
    X, Y = make_torus(60, n_levels=2, random_state=0)
    fitted = HierarchicalIsometricClassifier(max_epochs=1, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match=r"one label for each sample; got .* 2 outputs.*at_level"):
        to_onnx(fitted, X)


def test_an_estimator_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        to_onnx(network(), X)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_names_the_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"sklearn-iso\[onnx\]"):
        to_onnx(network().fit(X32[FIT], y[FIT]), X32)


def test_a_raw_table_is_refused_and_what_the_error_says_works():
    frame = pd.DataFrame({"age": np.r_[np.nan, X[1:60, 20]], "plan": list("abc") * 20})
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encoder = make_column_transformer((numbers, ["age"]), (OneHotEncoder(), ["plan"]))
    pipeline = make_pipeline(encoder, network()).fit(frame, y[:60])
    for raw in (frame, frame.astype({"plan": "category"})):
        with pytest.raises(ValueError, match="columns 'plan' hold text or categories. Export"):
            to_onnx(pipeline, raw)
    encoded = pipeline[:-1].transform(frame)
    found = run(to_onnx(pipeline[-1], encoded), encoded)
    np.testing.assert_array_equal(found["label"], pipeline.predict(frame))
