"""Laws of model files: what comes back, what is refused, and what learns on."""

from __future__ import annotations

import copy
import os
import pickle
import stat
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.nn.utils import parametrizations

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricTransformer
from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.modules import MLP, ConvNet
from sklearn_iso.penalties import Penalty, WithinClassIsometry

X, y = load_digits(return_X_y=True)
X = X / 16
FIT, REST = slice(0, 300), slice(300, 600)
NAMES = np.array(["zero one two three four five six seven eight nine".split()]).ravel()


def classifier(**params):
    quick = {"hidden_layer_sizes": (64, 32), "max_epochs": 3, "random_state": 0}
    return IsometricClassifier(**quick | params)


def embedding(**params):
    return IsometricTransformer(
        **{"hidden_layer_sizes": (16,), "max_epochs": 2, "random_state": 0} | params
    )


class SmallLogits(Penalty):
    """A penalty that a user wrote."""

    def __init__(self, power=2):
        self.power = power

    def __call__(self, batch):
        (Z,) = batch.representations("logits")
        return Z.abs().pow(self.power).mean()


class TwoLayers(nn.Module):
    """A module that a user wrote."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.first = nn.Linear(n_features, 12)
        self.drop = nn.Dropout(0.2)
        self.last = nn.Linear(12, n_outputs)

    def forward(self, X):
        return self.last(self.drop(torch.relu(self.first(X))))


FITTED = {
    "classifier": lambda: classifier().fit(X[FIT], y[FIT]),
    "float64 with text labels": lambda: classifier().fit(X[FIT].astype(float), NAMES[y[FIT]]),
    "object labels": lambda: classifier().fit(X[FIT], NAMES[y[FIT]].astype(object)),
    "plain network": lambda: classifier(alpha=0).fit(X[FIT], y[FIT]),
    "stopped early": lambda: classifier(early_stopping=True).fit(X[FIT], y[FIT]),
    "sgd": lambda: classifier(optimizer="sgd", weight_decay=1e-4).fit(X[FIT], y[FIT]),
    "torch optimiser": lambda: classifier(optimizer=torch.optim.RMSprop).fit(X[FIT], y[FIT]),
    "penalty object": lambda: classifier(penalty=0.1 * WithinClassIsometry()).fit(X[FIT], y[FIT]),
    "convolutions": lambda: classifier(module=partial(ConvNet, channels=(4,), n_hidden=8)).fit(
        X[FIT], y[FIT]
    ),
    "network instance": lambda: classifier(
        module=MLP(64, 10, hidden_layer_sizes=(8,), activation="tanh")
    ).fit(X[FIT], y[FIT]),
    "balanced classes": lambda: classifier(class_weight="balanced").fit(X[FIT], y[FIT]),
    "own class weights": lambda: classifier(class_weight={3: 2.0}).fit(X[FIT], y[FIT]),
    "balanced batches": lambda: classifier(samples_per_class=4).fit(X[FIT], y[FIT]),
    "chunks": lambda: classifier().partial_fit(X[FIT], y[FIT], classes=np.arange(10)),
    "RandomState": lambda: classifier(random_state=np.random.RandomState(3)).fit(X[FIT], y[FIT]),
    "embedding": lambda: embedding().fit(X[FIT]),
    "embedding by class": lambda: embedding(penalty="within_class").fit(X[FIT], y[FIT]),
    "embedding with a way back": lambda: embedding(decoder_penalty="jacobian").fit(X[FIT]),
    "shortest paths": lambda: embedding(penalty="geodesic", n_neighbors=20).fit(X[FIT]),
}


def through_file(estimator, folder, **passed):
    estimator.save(folder / "model.safetensors")
    return sklearn_iso.load(folder / "model.safetensors", **passed)


def through_pickle(estimator, folder):
    return pickle.loads(pickle.dumps(estimator))


def through_joblib(estimator, folder):
    joblib.dump(estimator, folder / "model.joblib")
    return joblib.load(folder / "model.joblib")


def through_skops(estimator, folder):
    sio = pytest.importorskip("skops.io")
    stored = sio.dumps(estimator)
    types = sio.get_untrusted_types(data=stored)
    # All but the first are parameters.
    own = ("sklearn_iso.", "torch.", "functools.partial")
    assert not [name for name in types if not name.startswith(own)]
    return sio.loads(stored, trusted=types)


WAYS = pytest.mark.parametrize(
    "way", [through_file, through_pickle, through_joblib, through_skops], ids=lambda f: f.__name__
)


def outputs(estimator):
    rows = X[REST]
    found = [estimator.transform(rows)]
    return found + ([estimator.predict_proba(rows)] if hasattr(estimator, "predict") else [])


def assert_same(first, second):
    for a, b in zip(outputs(first), outputs(second), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert first.history_ == second.history_
    assert first.__dict__.keys() == second.__dict__.keys()


REPARAMETRIZED = {
    "spectral_norm": parametrizations.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "orthogonal": parametrizations.orthogonal,
    "spectral_norm by hooks": nn.utils.spectral_norm,
}


@pytest.mark.parametrize("way", [through_pickle, through_joblib, through_skops, copy.deepcopy])
@pytest.mark.parametrize("name", REPARAMETRIZED)
def test_reparametrized_weights_come_back_and_learn_on(name, way, tmp_path):
    change = REPARAMETRIZED[name]
    last = nn.Linear(10, 10)
    network = nn.Sequential(change(nn.Linear(64, 10)), nn.ReLU(), last, nn.ReLU(), last)
    estimator = classifier(module=network, layers="logits").fit(X[FIT], y[FIT])
    again = way(estimator) if way is copy.deepcopy else way(estimator, tmp_path)
    assert again.net_.module_[2] is again.net_.module_[4]  # one layer in two places stays one
    np.testing.assert_array_equal(again.predict_proba(X[REST]), estimator.predict_proba(X[REST]))
    estimator.partial_fit(X[FIT], y[FIT])
    again.partial_fit(X[FIT], y[FIT])
    np.testing.assert_array_equal(again.predict_proba(X[REST]), estimator.predict_proba(X[REST]))
    way(clone(estimator)) if way is copy.deepcopy else way(clone(estimator), tmp_path)


def params_of(estimator):
    unlike = ("module", "random_state")  # their repr tells where they are in memory
    return {key: repr(v) for key, v in estimator.get_params().items() if key not in unlike}


@WAYS
@pytest.mark.parametrize("name", FITTED)
def test_what_comes_back_is_what_was_stored(name, way, tmp_path):
    estimator = FITTED[name]()
    again = way(estimator, tmp_path)
    assert type(again) is type(estimator)
    assert params_of(again) == params_of(estimator)
    assert_same(estimator, again)
    if hasattr(estimator, "classes_"):
        np.testing.assert_array_equal(again.classes_, estimator.classes_)
        assert again.classes_.dtype.kind == estimator.classes_.dtype.kind


@WAYS
@pytest.mark.parametrize(
    "name", ["classifier", "sgd", "chunks", "convolutions", "stopped early", "embedding"]
)
def test_learning_goes_on_as_if_nothing_had_happened(name, way, tmp_path):
    estimator = FITTED[name]().set_params(early_stopping=False)
    again = way(estimator, tmp_path)
    for _ in range(2):
        estimator.partial_fit(X[REST], y[REST])
        again.partial_fit(X[REST], y[REST])
    assert_same(estimator, again)


@WAYS
def test_parameters_set_after_a_fit_leave_the_stored_net_as_it_is(way, tmp_path):
    estimator = classifier().fit(X[FIT], y[FIT]).set_params(optimizer="sgd", batch_size=7, alpha=3)
    again = way(estimator, tmp_path)
    assert again.get_params()["alpha"] == 3
    assert_same(estimator.partial_fit(X[REST], y[REST]), again.partial_fit(X[REST], y[REST]))


@WAYS
def test_a_fit_of_what_came_back_is_a_fit_of_the_original(way, tmp_path):
    estimator = classifier().fit(X[FIT], y[FIT])
    again = way(estimator, tmp_path)
    assert_same(estimator.fit(X[REST], y[REST]), again.fit(X[REST], y[REST]))


@WAYS
def test_global_generators_are_left_alone(way, tmp_path):
    estimator = FITTED["convolutions"]()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    way(estimator, tmp_path)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


def test_a_copy_learns_apart_from_the_original():
    estimator = classifier().fit(X[FIT], y[FIT])
    before = outputs(estimator)
    copy.deepcopy(estimator).partial_fit(X[REST], y[REST])
    for a, b in zip(before, outputs(estimator), strict=True):
        np.testing.assert_array_equal(a, b)


def test_frozen_weights_stay_frozen(tmp_path):
    network = MLP(64, 10, hidden_layer_sizes=(8,))
    network.hidden.requires_grad_(False)
    again = through_file(classifier(module=network).fit(X[FIT], y[FIT]), tmp_path)
    assert not again.net_.module_.hidden[0].weight.requires_grad
    assert again.net_.module_.output.weight.requires_grad


# --- modules and classes of the user -------------------------------------------------------


@pytest.mark.parametrize(
    "module", [TwoLayers, TwoLayers(64, 10), partial(TwoLayers, n_features=64)], ids=repr
)
def test_a_module_of_ones_own_is_passed_to_load(module, tmp_path):
    estimator = classifier(module=module).fit(X[FIT], y[FIT])
    with pytest.raises(ModelFileError, match=r"load\(path, module=...\)"):
        through_file(estimator, tmp_path)
    again = through_file(estimator, tmp_path, module=module)
    assert again.module is module
    assert_same(estimator, again)
    assert_same(estimator.partial_fit(X[REST], y[REST]), again.partial_fit(X[REST], y[REST]))


@pytest.mark.parametrize(
    "own",
    [
        {"encoder": TwoLayers},
        {"decoder": TwoLayers(2, 64)},
        {"encoder": TwoLayers(64, 2), "decoder": partial(TwoLayers, n_features=2)},
    ],
    ids=lambda own: " and ".join(own),
)
def test_networks_of_ones_own_are_passed_to_load(own, tmp_path):
    estimator, role = embedding(**own).fit(X[FIT]), next(iter(own))
    with pytest.raises(ModelFileError, match=rf"load\(path, {role}=...\)"):
        through_file(estimator, tmp_path)
    again = through_file(estimator, tmp_path, **own)
    assert getattr(again, role) is own[role]
    for rows in (X[FIT], X[REST]):
        Z = estimator.transform(X)
        np.testing.assert_array_equal(again.transform(X), Z)
        np.testing.assert_array_equal(again.inverse_transform(Z), estimator.inverse_transform(Z))
        estimator.partial_fit(rows)
        again.partial_fit(rows)


def test_another_decoder_than_the_trained_one_is_refused(tmp_path):
    estimator = embedding(decoder=TwoLayers).fit(X[FIT])
    with pytest.raises(ModelFileError, match="with this decoder"):
        through_file(estimator, tmp_path, decoder=nn.Linear(2, 64))


def test_building_a_module_of_ones_own_draws_from_no_global_generator(tmp_path):
    estimator = classifier(module=TwoLayers).fit(X[FIT], y[FIT])
    before = torch.get_rng_state()
    through_file(estimator, tmp_path, module=TwoLayers)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_module_than_the_trained_one_is_refused(tmp_path):
    estimator = classifier(module=TwoLayers).fit(X[FIT], y[FIT])
    with pytest.raises(ModelFileError, match="with this module"):
        through_file(estimator, tmp_path, module=nn.Linear(64, 10))


def test_a_penalty_of_ones_own_is_named_to_load(tmp_path):
    estimator = classifier(penalty=0.1 * SmallLogits(power=3)).fit(X[FIT], y[FIT])
    with pytest.raises(ModelFileError, match=r"SmallLogits.*load\(path, classes="):
        through_file(estimator, tmp_path)
    again = through_file(estimator, tmp_path, classes=[SmallLogits])
    assert again.get_params()["penalty__power"] == 3
    assert_same(estimator.partial_fit(X[REST], y[REST]), again.partial_fit(X[REST], y[REST]))


def test_saving_before_fitting_is_refused(tmp_path):
    with pytest.raises(NotFittedError, match="not fitted"):
        classifier().save(tmp_path / "model.safetensors")


# --- size ----------------------------------------------------------------------------------


def weights_in_bytes(estimator):
    return sum(v.numel() * v.element_size() for v in estimator.net_.module_.state_dict().values())


@pytest.mark.parametrize(
    "make", [lambda: classifier(max_epochs=100), lambda: classifier(hidden_layer_sizes=(256, 128))]
)
def test_a_file_to_ship_is_less_than_twice_its_weights(make, tmp_path):
    estimator = make().fit(X[FIT], y[FIT])
    path = tmp_path / "model.safetensors"
    estimator.save(path, include_optimizer=False)
    assert path.stat().st_size < 2 * weights_in_bytes(estimator)
    again = sklearn_iso.load(path)
    assert_same(estimator, again)
    again.partial_fit(X[REST], y[REST])  # with an optimiser that starts anew


def test_moments_of_adam_are_all_that_makes_a_file_larger(tmp_path):
    estimator = classifier(alpha=1, hidden_layer_sizes=(256, 128)).fit(X[FIT], y[FIT])
    sizes = []
    for kept in (True, False):
        estimator.save(tmp_path / "model", include_optimizer=kept)
        sizes.append((tmp_path / "model").stat().st_size)
    moments = 2 * weights_in_bytes(estimator)
    assert moments - 1000 < sizes[0] - sizes[1] < moments + 5000


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_file_has_the_mode_that_open_gives_and_an_old_one_keeps_its_own(umask, tmp_path):
    model, before = embedding().fit(X[FIT]), os.umask(umask)
    try:
        (tmp_path / "opened").write_text("")
        model.save(tmp_path / "saved")
        assert mode(tmp_path / "saved") == mode(tmp_path / "opened")
        for kept in (0o640, 0o600, 0o664):
            (tmp_path / "saved").chmod(kept)
            model.save(tmp_path / "saved")
            assert mode(tmp_path / "saved") == kept
    finally:
        os.umask(before)
    assert sorted(os.listdir(tmp_path)) == ["opened", "saved"]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)
