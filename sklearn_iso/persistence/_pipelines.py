"""Pipelines and searches in one file: estimators of scikit-learn around those of this package."""

from __future__ import annotations

import importlib
import inspect
import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import sklearn.metrics
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.persistence._file import check_path, write_bytes
from sklearn_iso.persistence._size import DecodedSizeError, SizeLimit

#: Subpackages whose classes a file may name: what fitted estimators and scorers are made of.
_PARTS = frozenset(
    ["_geometry", "_threat", "_training", "attacks", "estimators", "hierarchy", "metrics",
     "model_selection", "modules", "penalties"]
)  # fmt: skip
#: Types of others that do nothing by being built.
_HARMLESS = frozenset(["functools.partial", "numpy.dtype"])
#: Parts of scikit-learn that no estimator is made of.
_NO_PARTS = frozenset(["datasets", "externals", "tests", "conftest"])


def save(estimator: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator, a whole pipeline or a search to one file that runs no code.

    :func:`sklearn_iso.load` reads the file. An estimator of this package with a method ``save`` is
    written by it. A ``Pipeline``, a search, a vote or any other estimator of scikit-learn around
    estimators of this package goes into a file of skops, whole: what it encodes, scales and
    fills in comes along.

    Parameters
    ----------
    estimator : fitted estimator
    path : path-like
        Usually ends in ".skops", or in ".safetensors" for an estimator of this package alone.

    Raises
    ------
    ImportError
        If skops is missing, for all but an estimator of this package alone.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If a part, such as a lambda, cannot be stored without code.

    Notes
    -----
    A file of skops has no checksum, and keeps what the optimisers know. It is read by releases of
    scikit-learn as far apart as pickles of scikit-learn are: the same one, to be sure.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import sklearn_iso
    >>> from sklearn_iso.persistence import save
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sklearn_iso.IsometricClassifier(max_epochs=5, random_state=0)
    >>> model = make_pipeline(StandardScaler(), clf).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "model.skops"
    ...     save(model, file)
    ...     again = sklearn_iso.load(file)
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    check_path(path)
    check_is_fitted(estimator)
    own = type(estimator).__module__.startswith("sklearn_iso.") and hasattr(estimator, "save")
    if own:
        estimator.save(path)
        return
    skops = _skops()
    try:
        raw: bytes = skops.dumps(estimator)
        skops.loads(raw, trusted=skops.get_untrusted_types(data=raw))  # a lambda has only a name
    except _MALFORMED as error:
        raise TypeError(
            f"Every part of estimator must be data, or a class or a function that a module "
            f"defines; {type(estimator).__name__} holds one that is not: {error}. Take a function "
            "of a module instead of a lambda, or use pickle for it."
        ) from error
    write_bytes(path, raw)


def is_pipeline_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is one of skops, as :func:`save` writes it.

    Examples
    --------
    >>> from sklearn_iso.persistence._pipelines import is_pipeline_file
    >>> is_pipeline_file(__file__)
    False
    """
    return Path(path).is_file() and zipfile.is_zipfile(path)


def load_pipeline(path: str | os.PathLike[str], classes: Iterable[object]) -> BaseEstimator:
    """Return the estimator of a file of skops.

    Parameters
    ----------
    path : path-like
    classes : iterable of classes and functions
        What the file may name beside the parts of this package, of scikit-learn and of torch.

    Raises
    ------
    ImportError
        If skops is missing.
    ModelFileError
        If the file is damaged, names a type that is not known, or asks for much more memory than
        it is large.
    """
    skops, raw = _skops(), Path(path).read_bytes()
    known = _HARMLESS | {name for thing in (*classes, *_of_others()) for name in _names(thing)}
    try:
        _check_size(raw)
        named = skops.get_untrusted_types(data=raw)
        foreign = [name for name in named if name not in known and not _is_part(name)]
        estimator = None if foreign else skops.loads(raw, trusted=named)
    except DecodedSizeError as error:
        raise ModelFileError(
            f"A model file must not ask for much more memory than it is large; "
            f"{os.fspath(path)!r} asks for {error}. Load what sklearn_iso.persistence.save wrote."
        ) from None
    except _MALFORMED as error:
        raise ModelFileError(
            f"{os.fspath(path)!r} does not hold a fitted estimator: {error}. Load what "
            "sklearn_iso.persistence.save wrote."
        ) from error
    if foreign:
        raise ModelFileError(
            f"A model file may name parts of this package, of scikit-learn and of torch.nn and "
            f"torch.optim only; found {', '.join(foreign)}. If you trust them, import them and "
            "pass load(path, classes=[...])."
        )
    if not isinstance(estimator, BaseEstimator):
        raise ModelFileError(f"{os.fspath(path)!r} does not hold an estimator.")
    return estimator


def _skops() -> ModuleType:
    try:
        return importlib.import_module("skops.io")
    except ImportError as error:
        raise ImportError(
            "A file of a pipeline requires skops, which is not installed. Install it with the "
            "extra: pip install 'sklearn-iso[pipelines]'."
        ) from error


def _check_size(raw: bytes) -> None:
    """Raise a DecodedSizeError for an archive that unpacks to far more than its size."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        SizeLimit(len(raw)).charge(sum(part.file_size for part in archive.infolist()))


def _names(thing: object) -> set[str]:
    """Return the names under which skops may store a class or a function."""
    module = getattr(thing, "__module__", "")
    return {f"{module}.{getattr(thing, key, '')}" for key in ("__name__", "__qualname__")}


def _of_others() -> Iterator[object]:
    """Return what searches and networks are made of: metrics, layers, optimisers."""
    yield from (getattr(sklearn.metrics, name) for name in sklearn.metrics.__all__)
    for module, kind in ((torch.nn, torch.nn.Module), (torch.optim, torch.optim.Optimizer)):
        found = (value for value in vars(module).values() if inspect.isclass(value))
        yield from (value for value in found if issubclass(value, kind))


def _is_part(name: str) -> bool:
    """Return whether a type is a class of which fitted estimators are made, and no function."""
    place, _, kind = name.rpartition(".")
    package, _, inner = place.partition(".")
    parts = set(inner.split("."))
    own = package == "sklearn_iso" and parts & _PARTS
    if not own and (package != "sklearn" or parts & _NO_PARTS):
        return False
    try:
        found = getattr(importlib.import_module(place), kind, None)
    except ImportError:
        return False
    return inspect.isclass(found) and found.__module__ == place


#: What skops meets in a file that it did not write.
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    ImportError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
