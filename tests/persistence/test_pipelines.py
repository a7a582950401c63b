"""Files of whole pipelines: what comes back, what is refused, and that nothing of a file runs."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
)
from torch import nn

import sklearn_iso
from sklearn_iso import (
    IsometricClassifier,
    IsometricRegressor,
    IsometricTransformer,
    SmoothedClassifier,
    ThreatModel,
)
from sklearn_iso.datasets import make_loans
from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.metrics import make_adversarial_scorer
from sklearn_iso.model_selection import refit_robust
from sklearn_iso.persistence import save

skops = pytest.importorskip("skops.io")

TABLE, LABELS = make_loans(120, random_state=0)
QUICK = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
NUMBERS = TABLE[["age", "debt"]].fillna(0).to_numpy()


class Halved(TransformerMixin, BaseEstimator):
    """A step that a user wrote."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X / 2


class Layers(nn.Module):
    """A network that a user wrote."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.first, self.last = nn.Linear(n_features, 6), nn.Linear(6, n_outputs)

    def forward(self, X):
        return self.last(torch.tanh(self.first(X)))


def raw_pipeline(last):
    numbers = make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income", "debt"]
    words = OneHotEncoder(handle_unknown="ignore"), ["job", "owns_home", "region"]
    return make_pipeline(make_column_transformer(numbers, words), last)


def attacked_search():
    threat = ThreatModel.from_data(TABLE)
    scorer = make_adversarial_scorer(eps=0.1, threat=threat, attack="fgsm", random_state=0)
    return GridSearchCV(
        raw_pipeline(IsometricClassifier(**QUICK)),
        {"isometricclassifier__alpha": [0, 1]},
        scoring={"clean": "accuracy", "robust": scorer},
        refit=refit_robust("std_error"),
        cv=StratifiedKFold(2),
    )


def voting():
    forest = RandomForestClassifier(3, random_state=0)
    network = make_pipeline(StandardScaler(), IsometricClassifier(**QUICK))
    return VotingClassifier([("forest", forest), ("network", network)], voting="soft")


FITTED = {
    "raw table": lambda: raw_pipeline(IsometricClassifier(**QUICK)).fit(TABLE, LABELS),
    "search": lambda: attacked_search().fit(TABLE, LABELS),
    "vote": lambda: voting().fit(NUMBERS, LABELS),
    "smoothed": lambda: SmoothedClassifier(
        IsometricClassifier(**QUICK), n_samples=20, random_state=0
    ).fit(NUMBERS, LABELS),
    "calibrated": lambda: CalibratedClassifierCV(IsometricClassifier(**QUICK), cv=2).fit(
        NUMBERS, LABELS
    ),
    "regression": lambda: TransformedTargetRegressor(
        make_pipeline(StandardScaler(), IsometricRegressor(**QUICK)),
        transformer=QuantileTransformer(n_quantiles=20),
    ).fit(NUMBERS, TABLE["income"].fillna(0)),
    "embedding": lambda: make_pipeline(
        StandardScaler(), FunctionTransformer(np.arcsinh), IsometricTransformer(**QUICK)
    ).fit(NUMBERS),
}


def through_file(estimator, folder, **passed):
    save(estimator, folder / "model.skops")
    return sklearn_iso.load(folder / "model.skops", **passed)


def outputs(estimator, X):
    methods = ("predict", "predict_proba", "transform", "inverse_transform")
    answers = {name: getattr(estimator, name, None) for name in methods}
    Z = answers["transform"](X) if answers["transform"] else None
    return {name: np.asarray(answer(Z if name.startswith("inverse") else X))
            for name, answer in answers.items() if answer}  # fmt: skip


@pytest.mark.parametrize("name", FITTED)
def test_a_whole_pipeline_comes_back_bit_by_bit(name, tmp_path):
    estimator = FITTED[name]()
    X = TABLE if hasattr(estimator, "feature_names_in_") else NUMBERS
    again, before = through_file(estimator, tmp_path), outputs(estimator, X)
    assert type(again) is type(estimator) and before
    after = outputs(again, X)
    assert before.keys() == after.keys()
    for method in before:
        np.testing.assert_array_equal(before[method], after[method])
        assert before[method].dtype == after[method].dtype


def test_learning_goes_on_as_if_nothing_had_happened(tmp_path):
    estimator = FITTED["raw table"]()
    again = through_file(estimator, tmp_path)
    X = estimator[:-1].transform(TABLE)
    for model in (estimator, again):
        model[-1].partial_fit(X, LABELS)
    np.testing.assert_array_equal(estimator.predict_proba(TABLE), again.predict_proba(TABLE))


def test_an_estimator_alone_goes_into_its_own_kind_of_file(tmp_path):
    estimator = IsometricClassifier(**QUICK).fit(NUMBERS, LABELS)
    again = through_file(estimator, tmp_path)
    assert not zipfile.is_zipfile(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(NUMBERS), estimator.predict_proba(NUMBERS))


def test_a_class_of_ones_own_is_named_with_the_remedy_and_taken_when_trusted(tmp_path):
    model = make_pipeline(Halved(), IsometricClassifier(**QUICK)).fit(NUMBERS, LABELS)
    with pytest.raises(ModelFileError, match=r"found \S+\.Halved\. If .* classes=\["):
        through_file(model, tmp_path)
    again = through_file(model, tmp_path, classes=[Halved])
    np.testing.assert_array_equal(again.predict_proba(NUMBERS), model.predict_proba(NUMBERS))


def test_a_network_of_ones_own_comes_with_the_file_and_its_class_is_named(tmp_path):
    model = make_pipeline(StandardScaler(), IsometricClassifier(module=Layers, max_epochs=2))
    model.fit(NUMBERS, LABELS)
    with pytest.raises(ModelFileError, match=r"found \S+\.Layers\."):
        through_file(model, tmp_path)
    with pytest.raises(TypeError, match="module must not be passed"):
        through_file(model, tmp_path, module=Layers)
    again = through_file(model, tmp_path, classes=[Layers])
    np.testing.assert_array_equal(again.predict_proba(NUMBERS), model.predict_proba(NUMBERS))


@pytest.mark.parametrize("function", [os.system, os.unlink, sklearn_iso.load, save])
def test_functions_that_do_something_are_refused(function, tmp_path):
    model = make_pipeline(FunctionTransformer(function), StandardScaler())
    (tmp_path / "model.skops").write_bytes(skops.dumps(model))
    with pytest.raises(ModelFileError, match=rf"found \S*{function.__name__}\."):
        sklearn_iso.load(tmp_path / "model.skops")


def test_a_checkpoint_of_a_file_does_not_come_to_write_anywhere(tmp_path):
    keep = sklearn_iso.persistence.Checkpoint(tmp_path / "anywhere")
    model = make_pipeline(StandardScaler(), IsometricClassifier(callbacks=[keep], **QUICK))
    with pytest.raises(ModelFileError, match="Checkpoint"):
        through_file(model.fit(NUMBERS, LABELS), tmp_path)


def test_options_of_a_compiler_are_left_out(tmp_path):
    model = attacked_search().fit(TABLE, LABELS)
    chosen = {"isometricclassifier__compile": {"mode": "default", "options": {"cpp.cxx": "x"}}}
    model.estimator.set_params(**chosen)
    model.best_estimator_.set_params(**chosen)
    again = through_file(model, tmp_path)
    for pipeline in (again.estimator, again.best_estimator_):
        assert pipeline[-1].compile == {"mode": "default"}


def damaged(raw):
    yield raw[: len(raw) // 2] + raw[-100:]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("schema.json", "{}")
    yield archive.getvalue()


def test_a_damaged_file_is_refused(tmp_path):
    model = make_pipeline(StandardScaler(), IsometricClassifier(**QUICK)).fit(NUMBERS, LABELS)
    path = tmp_path / "model.skops"
    save(model, path)
    raw = path.read_bytes()
    for broken in damaged(raw):
        path.write_bytes(broken)
        with pytest.raises(ModelFileError, match="model.skops"):
            sklearn_iso.load(path)


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "large.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 80 * 2**20)
    with pytest.raises(ModelFileError, match="more memory than it is large"):
        sklearn_iso.load(tmp_path / "large.skops")


def test_what_is_no_estimator_is_refused(tmp_path):
    (tmp_path / "model.skops").write_bytes(skops.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match="does not hold an estimator"):
        sklearn_iso.load(tmp_path / "model.skops")


def test_what_cannot_be_stored_leaves_the_file_before_as_it_is(tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(b"before")
    with pytest.raises(NotFittedError):
        save(raw_pipeline(IsometricClassifier()), path)
    model = make_pipeline(FunctionTransformer(lambda X: X), StandardScaler()).fit(NUMBERS)
    with pytest.raises(TypeError, match="instead of a lambda"):
        save(model, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.skops"]


def test_without_skops_the_extra_to_install_is_named(tmp_path, monkeypatch):
    model = make_pipeline(StandardScaler(), IsometricClassifier(**QUICK)).fit(NUMBERS, LABELS)
    monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
    with pytest.raises(ImportError, match=r"sklearn-iso\[(\w+)\]") as caught:
        save(model, tmp_path / "model.skops")
    (extra,) = re.findall(r"sklearn-iso\[(\w+)\]", str(caught.value))
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert re.search(rf"^{extra} = .*skops", project, re.M)
