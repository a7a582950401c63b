"""What a file may ask for is a small multiple of what it is; what save wrote is always read."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from memory import growth, needs_status
from reliability import told
from sklearn.datasets import load_iris

import sklearn_iso
from sklearn_iso import IsometricClassifier
from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.persistence import Checkpoint
from sklearn_iso.persistence._file import read, write
from sklearn_iso.persistence._plain import Decoder, Encoder
from sklearn_iso.persistence._size import FACTOR, SPARE, SizeLimit

X, y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0}
MB = 2**20


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "model"
    IsometricClassifier(**QUICK).fit(X, y).save(path)
    content, arrays = read(path)
    return {key: content[key] for key in ("sizes", "estimator")}, arrays


def with_extra(stored, node, extra):
    """Return a file whose estimator has one more attribute."""
    content, arrays = copy.deepcopy(stored)
    content["estimator"]["state"]["dict"].append(["extra", node])
    return content, arrays | extra


def net_of(content):
    """Return the state of the net in a file."""
    state = dict(content["estimator"]["state"]["dict"])["net_"]["state"]["dict"]
    return next(pair for pair in state if pair[0] == "weights")[1]["dict"]


def wide_biases(stored):
    content, arrays = copy.deepcopy(stored)
    weights = net_of(content)
    for name in ("offset", "hidden.0.bias", "output.bias"):
        weights[[pair[0] for pair in weights].index(name)][1] = {"array": "wide"}
    return content, arrays | {"wide": np.zeros(20_000, dtype=np.float32)}


def residual_of_no_inputs(stored):
    content, arrays = copy.deepcopy(stored)
    names = ["linear.weight", "linear.bias", "offset", "center", "factor", "unit"]
    weights = [*names, *(f"mlp.{name}" for name, _ in net_of(content))]
    arrays |= {"high": np.zeros((2**28, 0), dtype=np.float32)}
    pairs = [[name, {"array": "high"}] for name in weights]
    kind = {"kind": "ResidualMLP", "mlp": {"kind": "MLP", "activation": "relu"}}
    content["estimator"] = {"network": kind, "weights": {"dict": pairs}}
    return content, arrays


def huge_image(stored):
    shapes = {
        "head.1.weight": (1, 1),
        "head.1.bias": (1,),
        "head.3.weight": (1, 1),
        "head.3.bias": (1,),
    }
    node = {
        "network": {"kind": "ConvNet", "image_shape": [1, 2**14, 2**14]},
        "weights": {"dict": [[name, {"array": name}] for name in shapes]},
    }
    return with_extra(stored, node, {k: np.zeros(s, dtype=np.float32) for k, s in shapes.items()})


ONE = {"big": np.zeros(MB // 4, dtype=np.float32)}
KEY = {"key": np.zeros(624, dtype=np.uint32)}
STATE = {"random_state": {"tuple": ["MT19937", {"array": "key"}, 0, 0, 0.0]}}
TEXT = {"items": ["a"] * 4999 + ["a" * 100_000], "dtype": "<U9", "shape": [5000]}
STACK = {"network": {"kind": "Stack", "blocks": []}, "weights": {"dict": []}}

BOMBS = {
    "an array named many times": lambda s: with_extra(s, [{"array": "big"}] * 3000, ONE),
    "a tensor named many times": lambda s: with_extra(s, [{"tensor": "big"}] * 3000, ONE),
    "floats named many times": lambda s: with_extra(s, [{"floats": "big"}] * 300, ONE),
    "one long text among many": lambda s: with_extra(s, TEXT, {}),
    "numbers as text": lambda s: with_extra(
        s, {"items": [{"array": "big"}] * 2, "dtype": "<U9", "shape": [2 * MB // 4]}, ONE
    ),
    "generators": lambda s: with_extra(s, [STATE] * 10_000, KEY),
    "networks without weights": lambda s: with_extra(s, [STACK] * 2000, {}),
    "lists in JSON": lambda s: with_extra(s, [[]] * 600_000, {}),
    "dicts in JSON": lambda s: with_extra(s, [{"dict": []}] * 250_000, {}),
    "biases without weights": wide_biases,
    "weights of no inputs": residual_of_no_inputs,
    "an image of no pixels": huge_image,
}


def test_as_many_are_tried_as_the_documentation_tells():
    assert told(r"model files that ask for far more memory.*?\| (\d+) \|") == (len(BOMBS),)


@needs_status
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_file_that_asks_for_much_more_than_it_is_large_is_refused(bomb, stored, tmp_path):
    path = tmp_path / "bomb"
    write(path, *bomb(stored))
    rules = "asks for more|must be of shape|must hold text|must be of perceptrons"
    with growth() as peak, pytest.raises(ModelFileError, match=rules):
        sklearn_iso.load(path)
    assert peak[0] < 1.5 * SPARE + (FACTOR + 5) * path.stat().st_size


@needs_status
def test_sizes_in_a_file_build_no_module_larger_than_its_weights(tmp_path):
    path = tmp_path / "model"
    IsometricClassifier(module=torch.nn.Linear, **QUICK).fit(X, y).save(path)
    content, arrays = read(path)
    write(path, {"estimator": content["estimator"], "sizes": [20_000, 20_000]}, arrays)
    with growth() as peak, pytest.raises(ModelFileError, match="would have 400020000 weights"):
        sklearn_iso.load(path, module=torch.nn.Linear)
    assert peak[0] < SPARE


@needs_status
def test_checkpoint_of_another_fit_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "checkpoint"
    big = {"big": np.zeros(40 * MB // 4, dtype=np.float32)}
    write(path, {"fingerprint": "0" * 64, "run": {"dict": [["weights", {"array": "big"}]]}}, big)
    model = IsometricClassifier(callbacks=[Checkpoint(path)], **QUICK)
    with growth() as peak, pytest.raises(ModelFileError, match="of another fit"):
        model.fit(X, y)
    assert peak[0] < 20 * MB


def test_what_is_saved_is_within_what_is_loaded_however_often_it_recurs():
    encoder, array, floats = Encoder(), np.arange(5000.0), (np.arange(5000.0) / 3).tolist()
    value = [array] * 40 + [floats] * 20
    node = json.loads(json.dumps(encoder.encode(value)))
    limit = SizeLimit(sum(stored.nbytes for stored in encoder.arrays.values()))
    limit.charge(SPARE - 40_000)  # what is left pays for the objects themselves
    decoded = Decoder(encoder.arrays, {}, limit=limit).decode(node)
    for first, second in zip(decoded, value, strict=True):
        np.testing.assert_array_equal(first, second)


def test_text_that_could_not_be_loaded_is_not_saved():
    labels = np.array(["a"] * 100 + ["b" * 20_000])
    with pytest.raises(ValueError, match="similar lengths.*20000 characters.*astype"):
        Encoder().encode(labels)
    node = Encoder().encode(labels.astype(object))
    np.testing.assert_array_equal(Decoder({}, {}, limit=SizeLimit(0)).decode(node), labels)


def test_optimiser_is_built_when_a_loaded_model_learns(tmp_path):
    path = tmp_path / "model"
    model = IsometricClassifier(**QUICK).fit(X, y)
    model.save(path)
    for _ in range(2):  # the second file is of a model that has learned nothing
        again = sklearn_iso.load(path)
        again.predict(X)
        assert "optimizer_" not in vars(again.net_)
        again.save(path)
    copied = pickle.loads(pickle.dumps(again))
    assert "optimizer_" not in vars(again.net_)
    expected = model.partial_fit(X, y).predict_proba(X)
    for same in (again, copied, copy.deepcopy(sklearn_iso.load(path))):
        np.testing.assert_array_equal(same.partial_fit(X, y).predict_proba(X), expected)
        assert "optimizer_" in vars(same.net_)
