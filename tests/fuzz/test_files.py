"""Whatever bytes a model file holds: the model that was saved, or a ModelFileError."""

import json
import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris

import sklearn_iso
from sklearn_iso import IsometricClassifier
from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.persistence._file import read, write

X, y = load_iris(return_X_y=True)
MODEL = IsometricClassifier(max_epochs=1, hidden_layer_sizes=(4,), random_state=0).fit(X, y)
EXPECTED = MODEL.predict_proba(X)
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "search"
laws = settings(max_examples=3000 if LONG else 150, deadline=None)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    MODEL.save(path)
    return path


def is_refused(saved, raw):
    """Load a file of some bytes: it is refused, or an estimator; anything else is an error."""
    path = saved.with_name("tried.safetensors")
    path.write_bytes(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of layers without units
            model = sklearn_iso.load(path)
    except ModelFileError:
        return True
    assert hasattr(model, "fit")
    return False


@laws
@given(st.binary(max_size=400))
def test_random_bytes_are_no_model(saved, raw):
    assert is_refused(saved, raw)


@laws
@given(st.data())
def test_changed_byte_is_refused(saved, data):
    raw = bytearray(saved.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert is_refused(saved, bytes(raw))


@laws
@given(st.data())
def test_cut_or_longer_file_is_refused(saved, data):
    raw = saved.read_bytes()
    assert is_refused(saved, raw[: data.draw(st.integers(0, len(raw) - 1))])
    assert is_refused(saved, raw + data.draw(st.binary(min_size=1, max_size=9)))


NAMES = ["a0", "a1", "IsometricClassifier", "os.system", "builtins.eval"]
KEYS = ["object", "state", "dict", "tuple", "array", "name", "partial", "network", "weights"]
KEYS += ["items", "dtype", "shape", "same", "scalar", "random_state", "tensor", "module"]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(-2, 2), st.sampled_from(NAMES)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(node, path=()):
    """Yield the path of every value inside of JSON."""
    yield path
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(child, (*path, key))


def changed(node, path, value):
    if not path:
        return value
    copied = dict(node) if isinstance(node, dict) else list(node)
    copied[path[0]] = changed(node[path[0]], path[1:], value)
    return copied


@laws
@given(st.data())
def test_sealed_file_of_another_content_is_refused_or_an_estimator(saved, data):
    content, arrays = read(saved)
    inner = content["estimator"]
    place = data.draw(st.sampled_from(sorted(places(inner), key=repr)))
    value = json.loads(json.dumps(data.draw(VALUES)))
    path = saved.with_name("sealed.safetensors")
    write(path, {"sizes": content["sizes"], "estimator": changed(inner, place, value)}, arrays)
    is_refused(saved, path.read_bytes())


def test_file_that_is_left_alone_is_the_model(saved):
    np.testing.assert_array_equal(sklearn_iso.load(saved).predict_proba(X), EXPECTED)
    assert not is_refused(saved, saved.read_bytes())


@pytest.mark.parametrize("name", ["os.system", "posix.system", "builtins.eval", "nt.system"])
def test_function_that_a_file_names_is_not_called(saved, name, tmp_path):
    content, arrays = read(saved)
    mark = tmp_path / "called"
    call = {"partial": [{"name": name}, [f"touch {mark}"], {"dict": []}]}
    write(tmp_path / "evil.safetensors", {"sizes": content["sizes"], "estimator": call}, arrays)
    with pytest.raises(ModelFileError, match="may name classes of this package"):
        sklearn_iso.load(tmp_path / "evil.safetensors")
    assert not mark.exists()
