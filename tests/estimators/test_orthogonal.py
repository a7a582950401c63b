"""Estimators whose network is isometric by construction, by the name "orthogonal"."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.utils.estimator_checks import check_estimator

from sklearn_iso import (
    IsometricClassifier,
    IsometricRegressor,
    IsometricTransformer,
    load,
    preset,
)
from sklearn_iso.modules import OrthogonalConvNet, OrthogonalMLP
from sklearn_iso.modules._orthogonal import is_by_construction
from sklearn_iso.penalties import LipschitzCrossEntropy

X, Y = load_iris(return_X_y=True)
TARGET = X[:, 3]
SMALL = {"hidden_layer_sizes": (8, 6), "max_epochs": 5, "random_state": 0}


def classifier(**params):
    penalty = LipschitzCrossEntropy()
    return IsometricClassifier(module="orthogonal", penalty=penalty, alpha=1.0, **SMALL | params)


def embedding(**params):
    return IsometricTransformer(4, encoder="orthogonal", **SMALL | params)


FITTED = {
    "classifier": lambda: classifier().fit(X, Y),
    "regressor": lambda: IsometricRegressor(module="orthogonal", alpha=0.1, **SMALL).fit(
        X[:, :3], TARGET
    ),
    "embedding": lambda: embedding().fit(X),
    "images": lambda: IsometricClassifier(
        module=OrthogonalConvNet, penalty=LipschitzCrossEntropy(), alpha=1.0, max_epochs=1,
        random_state=0,
    ).fit(np.random.default_rng(0).random((30, 64)).astype(np.float32), np.arange(30) % 3),
}  # fmt: skip


@pytest.fixture(scope="module", params=FITTED)
def fitted(request):
    estimator = FITTED[request.param]()
    rng = np.random.default_rng(1)
    return estimator, rng.normal(size=(7, estimator.n_features_in_)).astype(np.float32)


def answers(estimator, X):
    if isinstance(estimator, IsometricTransformer):
        return estimator.transform(X)
    return estimator.predict_proba(X) if hasattr(estimator, "classes_") else estimator.predict(X)


def test_files_pickles_and_models_answer_alike(fitted, tmp_path):
    estimator, X = fitted
    expected = answers(estimator, X)
    estimator.save(tmp_path / "model.safetensors")
    for other in (load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(estimator))):
        np.testing.assert_array_equal(answers(other, X), expected)
        net = other.net_.module_
        assert is_by_construction(getattr(net, "encoder", net))
    model = estimator.to_torch()
    assert not is_by_construction(model)
    with torch.no_grad():
        out = model(torch.from_numpy(X).to(next(model.parameters()).dtype))
    out = torch.softmax(out, dim=1) if hasattr(estimator, "classes_") else out
    np.testing.assert_allclose(out.numpy().reshape(expected.shape), expected, rtol=1e-4, atol=1e-6)


def test_a_network_has_the_widths_that_it_is_told_and_starts_at_the_data():
    fitted = classifier().fit(X, Y)
    module = fitted.net_.module_
    assert type(module) is OrthogonalMLP
    widths = [part.out_features for part in module.hidden if hasattr(part, "out_features")]
    assert widths == [8, 6]
    entered = module.factor * torch.from_numpy(X) + module.offset
    assert float(entered.square().sum(dim=1).mean().sqrt()) == pytest.approx(8.0)
    assert fitted.transform(X).shape == (len(X), 6)


def test_units_of_the_data_change_nothing():
    small, large = (classifier().fit(c * X, Y).predict_proba(c * X) for c in (1.0, 1024.0))
    np.testing.assert_allclose(small, large, rtol=1e-6)


def test_an_encoder_never_expands_a_distance_and_keeps_them_if_it_is_affine():
    X32 = torch.from_numpy(X[::3])
    before = torch.pdist(X32)
    after = torch.pdist(torch.from_numpy(embedding().fit(X).transform(X[::3])))
    assert (after <= before * (1 + 1e-9) + 1e-9).all()
    affine = embedding(hidden_layer_sizes=()).fit(X)
    after = torch.pdist(torch.from_numpy(affine.transform(X[::3])))
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)
    assert affine.stress_ < 1e-6


def test_warm_starts_chunks_and_clones_go_on():
    warm = classifier(warm_start=True).fit(X, Y)
    first = warm.history_["loss"][-1]
    assert warm.fit(X, Y).history_["loss"][0] < 1.5 * first
    parts = classifier(batch_size=16, learning_rate=0.02)
    for _ in range(3):
        parts.partial_fit(X, Y, classes=[0, 1, 2])
    assert parts.score(X, Y) > 0.5
    one, other = classifier().fit(X, Y), clone(classifier()).fit(X, Y)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_a_regressor_is_no_steeper_than_its_input_factor():
    X, y = load_diabetes(return_X_y=True)
    model = IsometricRegressor(module="orthogonal", alpha=0.0, **SMALL).fit(X, y)
    module = model.net_.module_
    limit = float(module.factor) * model.target_std_
    gaps = np.abs(np.diff(model.predict(X)))
    assert (gaps <= limit * np.linalg.norm(np.diff(X, axis=0), axis=1) * (1 + 1e-6)).all()


def test_names_and_parameters_without_a_use_are_refused():
    with pytest.raises(ValueError, match="module"):
        IsometricClassifier(module="isometric").fit(X, Y)
    with pytest.raises(ValueError, match="even"):
        classifier(hidden_layer_sizes=(5,)).fit(X, Y)
    with pytest.raises(ValueError, match="activation"):
        preset("images_certified_l2", activation="relu")
    assert preset("images_certified_l2", hidden_layer_sizes=(8,)).hidden_layer_sizes == (8,)


@pytest.mark.slow
def test_scikit_learn_has_no_objection():
    check_estimator(classifier(max_epochs=60, learning_rate=0.02), on_skip=None)
