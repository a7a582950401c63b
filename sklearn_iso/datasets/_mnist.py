"""MNIST from wherever it already is, checked against the sum of the original images."""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FILE_NAME = "mnist.npz"
_VARIABLE = "SKLEARN_ISO_DATA"
_N_TRAIN = 60_000
_KEYS = ("X_train", "X_test", "y_train", "y_test")
# SHA-256 over the uint8 bytes of the four arrays in the order of _KEYS: of the content, so that
# any packing of the same images passes and no other images do.
_SHA256 = "c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83"

_Arrays = list[NDArray]


def load_mnist(
    path: str | os.PathLike[str] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Load the MNIST images of handwritten digits, with pixels in [0, 1].

    The first of these sources that is there is taken:

    1. `path`, if given; no other is then tried;
    2. the file or folder that the environment variable ``SKLEARN_ISO_DATA`` names;
    3. ``mnist.npz`` in scikit-learn's data home, :func:`sklearn.datasets.get_data_home`;
    4. OpenML, :func:`sklearn.datasets.fetch_openml`, which needs the network and pandas the first
       time.

    Wherever they come from, the images and labels are compared with the originals by a SHA-256 sum
    of their content, in their original order.

    Parameters
    ----------
    path : str or path-like, default=None
        An ``.npz`` file with the arrays ``X_train``, ``X_test``, ``y_train`` and ``y_test`` (in
        capitals or not, images as 28 x 28 or as 784 pixels from 0 to 255), or a folder that holds
        one by the name of ``mnist.npz``.

    Returns
    -------
    X_train : ndarray of shape (60000, 784), float32
        Training images, one a row, pixels from 0 (background) to 1 (ink).
    X_test : ndarray of shape (10000, 784), float32
        Test images.
    y_train : ndarray of shape (60000,), int64
        Digits of the training images, 0 to 9.
    y_test : ndarray of shape (10000,), int64
        Digits of the test images.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`, or if no source has the data; the message lists the ways.
    ValueError
        If a source is there and does not hold the original images.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86(11), 1998.

    Examples
    --------
    >>> from sklearn_iso.datasets import load_mnist
    >>> X_train, X_test, y_train, y_test = load_mnist()  # doctest: +SKIP
    >>> X_train.shape, X_test.shape  # doctest: +SKIP
    ((60000, 784), (10000, 784))
    """
    if path is not None and not isinstance(path, str | os.PathLike):
        raise ValueError(f"path must be a path; got {path!r}. Pass that of {_FILE_NAME}.")
    if path is not None:
        file = _file_at(path)
        if file is None:
            raise FileNotFoundError(
                f"path must be {_FILE_NAME} or a folder that holds it; found neither at "
                f"{os.fspath(path)!r}. Correct the path, or leave it out to try the other sources."
            )
        X_train, X_test, y_train, y_test = _read_npz(file)
    else:
        X_train, X_test, y_train, y_test = _from_first_source()
    return _unit_pixels(X_train), _unit_pixels(X_test), _labels(y_train), _labels(y_test)


def _from_first_source() -> _Arrays:
    for folder in (os.environ.get(_VARIABLE), _data_home()):
        file = _file_at(folder) if folder else None
        if file is not None:
            return _read_npz(file)
    return _fetch()


def _data_home() -> str | None:
    from sklearn.datasets import get_data_home

    try:
        return str(get_data_home())
    except OSError:  # it creates the folder, and the home may be read-only
        return None


def _file_at(path: str | os.PathLike[str]) -> Path | None:
    # Not Path.expanduser, which raises where the user is unknown.
    place = Path(os.path.expanduser(path))
    file = place / _FILE_NAME if place.is_dir() else place
    return file if file.is_file() else None


def _read_npz(file: Path) -> _Arrays:
    try:
        # opened here, because np.load leaves a damaged archive open
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            names = {name.lower(): name for name in archive.files}
            missing = [key for key in _KEYS if key.lower() not in names]
            if missing:
                raise ValueError(f"it has no {', '.join(missing)}, only {sorted(archive.files)}")
            arrays = [archive[names[key.lower()]] for key in _KEYS]
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{file} must be an .npz archive with the arrays {', '.join(_KEYS)}, stored without "
            f"pickle; reading it failed: {error}. Replace the file, or remove it to fetch MNIST "
            "anew."
        ) from error
    return _checked(arrays, source=str(file))


def _fetch() -> _Arrays:
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml("mnist_784", version=1, as_frame=False)
    except (OSError, ValueError, ImportError) as error:
        raise FileNotFoundError(_no_source(error)) from error
    X = _as_bytes(bunch.data, "OpenML")
    y = _as_bytes(bunch.target.astype(np.int64), "OpenML")  # OpenML gives the digits as strings
    return _checked([X[:_N_TRAIN], X[_N_TRAIN:], y[:_N_TRAIN], y[_N_TRAIN:]], source="OpenML")


def _no_source(error: Exception) -> str:
    found = os.environ.get(_VARIABLE)
    state = f"it names {found!r}, where there is none" if found else "it is not set"
    return (
        "MNIST was found nowhere. Any one of these ways will do:\n"
        f"  1. load_mnist(path): the path of {_FILE_NAME} or of its folder;\n"
        f"  2. the environment variable {_VARIABLE}, naming the same ({state});\n"
        f"  3. {_FILE_NAME} in scikit-learn's data home ({_data_home() or 'not writable'});\n"
        f"  4. OpenML over the network (failed now with {type(error).__name__}: {error})."
    )


def _checked(arrays: _Arrays, source: str) -> _Arrays:
    digest = hashlib.sha256()
    contents = [np.ascontiguousarray(_as_bytes(array, source)) for array in arrays]
    for content in contents:
        digest.update(content.reshape(-1).data)
    if digest.hexdigest() != _SHA256:
        raise ValueError(
            f"{source} must hold the original MNIST images and labels in their original order; the "
            f"SHA-256 sum of its content is {digest.hexdigest()}, not {_SHA256}. Replace or remove "
            "it."
        )
    return contents


def _as_bytes(array: NDArray, source: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    with np.errstate(invalid="ignore"):  # NaN has no uint8, and the comparison finds it
        content = array.astype(np.uint8)
    if not np.array_equal(content, array):
        raise ValueError(
            f"{source} must hold whole numbers from 0 to 255; found others, of dtype "
            f"{array.dtype}. Save the original pixels, not scaled ones."
        )
    return content


def _unit_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    X = images.reshape(len(images), -1).astype(np.float32)
    X /= 255  # in place: a second copy of the training images takes 188 MB
    return X


def _labels(y: NDArray[np.uint8]) -> NDArray[np.int64]:
    return y.astype(np.int64)
