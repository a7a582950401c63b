"""Files that somebody damaged or changed: refused, and nothing in them is run."""

from __future__ import annotations

import hashlib
import io
import json
import pickle

import numpy as np
import pytest
import safetensors.numpy
from sklearn.datasets import load_digits

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricClassifierCV
from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.persistence import _file as model_file

X, y = load_digits(return_X_y=True)
X, y = X[:300] / 16, y[:300]


def classifier(**params):
    quick = {"hidden_layer_sizes": (4,), "max_epochs": 3, "random_state": 0}
    return IsometricClassifier(**quick | params)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "model.safetensors"
    classifier().fit(X, y).save(path)
    return path.read_bytes()


def load_bytes(raw, folder):
    (folder / "edited").write_bytes(raw)
    return sklearn_iso.load(folder / "edited")


def test_any_edited_byte_is_an_error(stored, tmp_path):
    rng = np.random.default_rng(0)
    places = [*range(0, 300), *rng.integers(len(stored), size=300).tolist(), len(stored) - 1]
    for place in places:
        raw = bytearray(stored)
        raw[place] ^= int(rng.integers(1, 256))
        with pytest.raises(ModelFileError):
            load_bytes(bytes(raw), tmp_path)


@pytest.mark.parametrize("cut", [0, 7, 8, 100, -1])
def test_a_file_cut_short_or_long_is_an_error(stored, cut, tmp_path):
    with pytest.raises(ModelFileError):
        load_bytes(stored[:cut], tmp_path)
    with pytest.raises(ModelFileError):
        load_bytes(stored + b"x", tmp_path)


def resealed(stored, change):
    """Return a file whose content somebody changed, checksum and all."""
    length = int.from_bytes(stored[:8], "little")
    content = json.loads(json.loads(stored[8 : 8 + length])["__metadata__"]["sklearn_iso"])
    change(content)
    content["sha256"] = "0" * 64
    arrays = safetensors.numpy.load(stored)
    raw = safetensors.numpy.save(arrays, {"sklearn_iso": json.dumps(content)})
    return raw.replace(b"0" * 64, hashlib.sha256(raw).hexdigest().encode(), 1)


def test_resealing_itself_breaks_nothing(stored, tmp_path):
    assert load_bytes(resealed(stored, lambda content: None), tmp_path).predict(X[:1]).shape == (1,)


RAN = []


class Trap:
    """Notes that its code was run."""

    def __init__(self, *args, **kwargs):
        RAN.append("__init__")

    def __setstate__(self, state):
        RAN.append("__setstate__")


FOREIGN = [
    "builtins.eval",
    "os.system",
    "subprocess.Popen",
    "test_damaged_files.Trap",
    "numpy.load",
]


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize(
    "node",
    [
        lambda name: {"object": name, "state": {"dict": []}},
        lambda name: {"name": name},
        lambda name: {"partial": [{"name": name}, [], {"dict": []}]},
    ],
    ids=["object", "name", "partial"],
)
def test_a_foreign_class_is_an_error_and_runs_nothing(stored, name, node, tmp_path):
    def inject(content):
        content["estimator"]["state"]["dict"].append(["extra", node(name)])

    with pytest.raises(ModelFileError, match="may name classes of this package"):
        load_bytes(resealed(stored, inject), tmp_path)
    assert not RAN


def test_an_estimator_of_another_package_is_an_error(stored, tmp_path):
    def swap(content):
        content["estimator"]["object"] = "sklearn.linear_model.LogisticRegression"

    with pytest.raises(ModelFileError, match="LogisticRegression"):
        load_bytes(resealed(stored, swap), tmp_path)


def test_a_file_of_a_newer_format_is_an_error_that_names_the_version(stored, tmp_path):
    def renew(content):
        content |= {"format": model_file.FORMAT + 1, "version": "9.9"}

    with pytest.raises(ModelFileError, match=r"written by sklearn-iso 9\.9.*Upgrade"):
        load_bytes(resealed(stored, renew), tmp_path)


MALFORMED = {
    "no estimator": lambda content: content.pop("estimator"),
    "a number": lambda content: content.update(estimator=3),
    "a class": lambda content: content.update(estimator={"name": "IsometricClassifier"}),
    "an unknown tag": lambda content: content.update(estimator={"call": "x"}),
    "an empty node": lambda content: content.update(estimator={}),
    "a missing array": lambda content: content.update(estimator={"array": "nowhere"}),
    "a penalty": lambda content: content.update(
        estimator={"object": "WorstCaseIsometry", "state": {"dict": []}}
    ),
    "a net without state": lambda content: content.update(
        estimator={"object": "PenalizedNet", "state": {"dict": []}}
    ),
    "no format": lambda content: content.pop("format"),
    "a format of text": lambda content: content.update(format="1"),
    "a method": lambda content: content.update(estimator={"_encode": 1}),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_a_file_of_other_content_is_an_error(stored, change, tmp_path):
    with pytest.raises(ModelFileError):
        load_bytes(resealed(stored, change), tmp_path)


def test_a_pickle_is_not_loaded(tmp_path):
    with pytest.raises(ModelFileError, match="is no model file"):
        load_bytes(pickle.dumps(classifier()), tmp_path)


def test_a_file_that_is_not_there_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sklearn_iso.load(tmp_path / "nowhere")


def test_a_save_that_fails_leaves_the_old_file(stored, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(stored)
    estimator = classifier().fit(X, y)
    estimator.extra_ = io.StringIO()
    with pytest.raises(TypeError, match="plain data"):
        estimator.save(path)
    assert path.read_bytes() == stored
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_save_to_a_place_that_cannot_be_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    estimator = classifier().fit(X, y)
    for path in (tmp_path / "folder", tmp_path / "nowhere" / "model"):
        with pytest.raises(OSError, match=path.parent.name):
            estimator.save(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["folder", "inner"]


def test_a_file_does_not_choose_the_compiler(tmp_path):
    path, options = tmp_path / "model", {"mode": "default", "options": {"cpp.cxx": "/bin/other"}}
    model = classifier().fit(X, y).set_params(compile=options)
    model.save(path)
    assert sklearn_iso.load(path).compile == {"mode": "default"}
    search = IsometricClassifierCV([0.1], estimator=classifier(max_epochs=1), cv=2)
    search.fit(X, y)
    search.estimator.compile = search.estimator_.compile = options
    search.save(path)
    again = sklearn_iso.load(path)
    assert again.estimator.compile == again.estimator_.compile == {"mode": "default"}
