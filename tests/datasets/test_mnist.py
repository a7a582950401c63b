import hashlib
import os
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from sklearn.utils import Bunch

from sklearn_iso.datasets import _mnist as mnist
from sklearn_iso.datasets import load_mnist

VARIABLE = "SKLEARN_ISO_DATA"
KEYS = ["X_train", "X_test", "y_train", "y_test"]
N_TRAIN = 6


def tiny(seed=0):
    """Return a data set of the right form and the wrong content."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, size=(N_TRAIN + 2, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, size=N_TRAIN + 2, dtype=np.uint8)
    return dict(zip(KEYS, (*np.split(images, [N_TRAIN]), *np.split(y, [N_TRAIN])), strict=True))


def digest(arrays):
    return hashlib.sha256(b"".join(arrays[key].tobytes() for key in KEYS)).hexdigest()


def openml(arrays):
    X = np.concatenate([arrays["X_train"], arrays["X_test"]]).reshape(N_TRAIN + 2, -1)
    y = np.concatenate([arrays["y_train"], arrays["y_test"]])
    return Bunch(data=X.astype(np.int64), target=y.astype(str).astype(object))


@pytest.fixture
def arrays(monkeypatch):
    """Let a tiny data set pass for the original."""
    arrays = tiny()
    monkeypatch.setattr(mnist, "_SHA256", digest(arrays))
    monkeypatch.setattr(mnist, "_N_TRAIN", N_TRAIN)
    return arrays


@pytest.fixture(autouse=True)
def sources(request, monkeypatch, tmp_path):
    """Start from empty sources, and fail where a test would reach the network."""
    if "real" in request.keywords:
        return
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "home"))
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", unreachable)


def unreachable(*args, **kwargs):
    raise urllib.error.URLError("no network in tests")


def save(folder, arrays):
    folder.mkdir(exist_ok=True)
    np.savez(folder / "mnist.npz", **arrays)
    return folder / "mnist.npz"


def assert_same_data(loaded, arrays):
    for value, key in zip(loaded, KEYS, strict=True):
        expected = arrays[key].astype(np.int64)
        if key.startswith("X"):
            expected = expected.reshape(len(expected), 784)
            assert value.dtype == np.float32
            assert value.min() >= 0
            assert value.max() <= 1
            value = np.rint(value * 255)
        else:
            assert value.dtype == np.int64
        np.testing.assert_array_equal(value, expected)


def test_explicit_path_names_the_file_or_its_folder(arrays, tmp_path):
    file = save(tmp_path / "given", arrays)
    assert_same_data(load_mnist(file), arrays)
    assert_same_data(load_mnist(str(file.parent)), arrays)


def test_explicit_path_with_nothing_there_is_an_error_whatever_the_other_sources_hold(
    arrays, tmp_path, monkeypatch
):
    monkeypatch.setenv(VARIABLE, str(save(tmp_path / "variable", arrays)))
    with pytest.raises(FileNotFoundError, match=r"path must be mnist\.npz or a folder.*nowhere"):
        load_mnist(tmp_path / "nowhere")


def test_sources_are_tried_in_the_stated_order(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *_, **__: openml(arrays))
    assert_same_data(load_mnist(), arrays)

    home = save(tmp_path / "home", tiny(seed=1))
    with pytest.raises(ValueError, match=str(home)):  # wrong content: so the home comes first
        load_mnist()

    monkeypatch.setenv(VARIABLE, str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=str(home)):  # a variable that leads nowhere is passed over
        load_mnist()

    variable = save(tmp_path / "variable", arrays)
    for place in (variable, variable.parent):
        monkeypatch.setenv(VARIABLE, str(place))
        assert_same_data(load_mnist(), arrays)


def test_openml_is_asked_for_version_one_as_arrays(arrays, monkeypatch):
    asked = []
    monkeypatch.setattr(
        sklearn.datasets,
        "fetch_openml",
        lambda *args, **kwargs: asked.append((args, kwargs)) or openml(arrays),
    )
    load_mnist()
    assert asked == [(("mnist_784",), {"version": 1, "as_frame": False})]


def test_where_no_source_works_the_error_lists_the_ways(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "/an/old/place")
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist()
    message = str(caught.value)
    for way in ("load_mnist(path)", VARIABLE, "/an/old/place", str(tmp_path / "home"), "OpenML"):
        assert way in message
    assert "no network in tests" in message


def test_any_packing_of_the_same_content_is_accepted(arrays, tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    flat = {
        key.lower(): value.reshape(len(value), -1).squeeze().astype(np.float64)
        for key, value in arrays.items()
    }
    np.savez_compressed(folder / "mnist.npz", **flat)
    assert_same_data(load_mnist(folder), arrays)


@pytest.mark.parametrize("key", KEYS)
def test_a_single_changed_byte_is_an_error(arrays, tmp_path, key):
    arrays[key].reshape(-1)[0] ^= 1
    with pytest.raises(ValueError, match="original MNIST images.*SHA-256"):
        load_mnist(save(tmp_path / "changed", arrays))


def test_the_order_of_the_images_counts(arrays, tmp_path):
    arrays["X_train"] = arrays["X_train"][::-1]
    with pytest.raises(ValueError, match="original order"):
        load_mnist(save(tmp_path / "reversed", arrays))


def test_scaled_pixels_are_an_error_that_says_so(arrays, tmp_path):
    arrays["X_test"] = arrays["X_test"] / 255
    with pytest.raises(ValueError, match="original pixels, not scaled ones"):
        load_mnist(save(tmp_path / "scaled", arrays))


def test_missing_array_is_named(arrays, tmp_path):
    del arrays["y_test"]
    with pytest.raises(ValueError, match="it has no y_test, only"):
        load_mnist(save(tmp_path / "missing", arrays))


def test_pickled_arrays_are_never_loaded(arrays, tmp_path):
    arrays["y_train"] = arrays["y_train"].astype(object)
    with pytest.raises(ValueError, match="stored without pickle"):
        load_mnist(save(tmp_path / "pickled", arrays))


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_archive_is_an_error_that_names_it(tmp_path, content):
    file = tmp_path / "mnist.npz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} must be an .npz archive"):
        load_mnist(file)


def test_a_lone_array_is_no_archive(tmp_path):
    file = tmp_path / "mnist.npz"
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(ValueError, match="must be an .npz archive"):
        load_mnist(file)


def real_data():
    place = os.environ.get(VARIABLE)
    return place and (Path(place).is_file() or (Path(place) / "mnist.npz").is_file())


@pytest.mark.real
@pytest.mark.skipif(not real_data(), reason=f"{VARIABLE} names no MNIST file")
def test_real_mnist_has_the_published_counts():
    X_train, X_test, y_train, y_test = load_mnist()
    assert X_train.shape == (60_000, 784)
    assert X_test.shape == (10_000, 784)
    assert X_train.dtype == X_test.dtype == np.float32
    assert (X_train.min(), X_train.max()) == (0, 1)
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(y_train), published)
    published = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_array_equal(np.bincount(y_test), published)
