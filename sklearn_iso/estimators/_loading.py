"""Fitted estimators from files."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from sklearn_iso import _training, modules, penalties
from sklearn_iso.estimators._base import StoredEstimator
from sklearn_iso.estimators._classifier import IsometricClassifier
from sklearn_iso.estimators._classifier_cv import IsometricClassifierCV
from sklearn_iso.estimators._hierarchical import HierarchicalIsometricClassifier
from sklearn_iso.estimators._hierarchical_labels import Labels
from sklearn_iso.estimators._regressor import IsometricRegressor
from sklearn_iso.estimators._transformer import IsometricTransformer
from sklearn_iso.hierarchy import LabelTree
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._build import ModuleLike
from sklearn_iso.persistence._file import check_path
from sklearn_iso.persistence._pipelines import is_pipeline_file, load_pipeline
from sklearn_iso.persistence._plain import name_of
from sklearn_iso.persistence._store import load_estimator

#: Estimators that a file may hold.
_ESTIMATORS = (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
)

#: A class or a function, which a file may name.
Named = type | Callable[..., object]


@own_modes()
def load(
    path: str | os.PathLike[str],
    *,
    module: nn.Module | Callable[..., nn.Module] | None = None,
    encoder: nn.Module | Callable[..., nn.Module] | None = None,
    decoder: nn.Module | Callable[..., nn.Module] | None = None,
    classes: Sequence[Named] | Named = (),
) -> Any:
    """Return the fitted estimator that ``save(path)`` wrote, or the pipeline of a file.

    Nothing in the file is run: it names classes, and only those of this package and of
    ``torch.optim`` are known. A checksum tells a file that was changed by accident; it does
    not tell who wrote it. Of the parameter `compile`, the "options" are left out: they may name
    programs, which a later fit would run. A file that :func:`sklearn_iso.persistence.save` wrote
    of a pipeline or a search may name parts of scikit-learn, ``torch.nn`` and ``torch.optim`` too.

    Parameters
    ----------
    path : path-like
    module, encoder, decoder : nn.Module, its class or a function returning one, optional
        What the estimator got as the parameter of that name, where it is not a network of this
        package. Its weights are those of the file. Not for the file of a pipeline, which holds
        such networks: name the classes of their layers in `classes`.
    classes : sequence of classes and functions, optional
        Further ones that you trust: of a penalty of your own, of callbacks, a metric.

    Returns
    -------
    estimator : estimator
        It predicts and goes on learning as the one that was saved.

    Raises
    ------
    ModelFileError
        If the file is damaged or of a newer version, names a class that is not known, asks for
        more memory than eight times its size and 64 MiB, or needs a module that was not passed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn.datasets import load_iris
    >>> import sklearn_iso
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sklearn_iso.IsometricClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "model.safetensors"
    ...     clf.save(file)
    ...     again = sklearn_iso.load(file)
    >>> bool((again.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    trusted = _listed(classes)
    if not all(hasattr(thing, "__qualname__") for thing in trusted):
        raise TypeError(f"classes must be a list of classes and functions; got {classes!r}.")
    known = [*_ESTIMATORS, LabelTree, Labels, *_of_this_package(), *trusted]
    names = {name_of(thing): thing for thing in known} | _OPTIMIZERS
    own = {"module": module, "encoder": encoder, "decoder": decoder}
    given = {role: network for role, network in own.items() if network is not None}
    check_path(path)
    if is_pipeline_file(path):
        _check_nothing_given(given)
        estimator = load_pipeline(path, trusted)
    else:
        estimator = load_estimator(path, names, given, _training.PrivateStream(0).active)
    for part in _estimators_in(estimator, set()):
        _forget_compiler_options(part)
    return estimator


def _check_nothing_given(given: Mapping[str, ModuleLike]) -> None:
    """Raise a TypeError if networks are passed to a file that holds them."""
    if given:
        raise TypeError(
            f"{' and '.join(given)} must not be passed for the file of a pipeline, which holds its "
            "networks. Pass load(path, classes=[...]) with the classes of their layers."
        )


def _estimators_in(thing: object, seen: set[int]) -> Iterator[StoredEstimator]:
    """Yield the estimators of this package in an estimator: steps, candidates, fitted copies."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, StoredEstimator):
        yield thing
    inner: Iterable[object] = ()
    if isinstance(thing, BaseEstimator):
        inner = vars(thing).values()
    elif isinstance(thing, dict):
        inner = thing.values()
    elif isinstance(thing, np.ndarray) and thing.dtype.kind == "O":
        inner = thing.ravel().tolist()
    elif isinstance(thing, list | tuple):
        inner = thing
    for part in inner:
        yield from _estimators_in(part, seen)


def _forget_compiler_options(estimator: StoredEstimator) -> None:
    """Drop what the next fit would hand to a compiler: it may name a program to run."""
    chosen = getattr(estimator, "compile", None)
    if isinstance(chosen, dict):
        kept = {key: value for key, value in chosen.items() if key != "options"}
        estimator.set_params(compile=kept)


def _listed(classes: Sequence[Named] | Named) -> list[Named]:
    try:
        return list(cast(Iterable[Named], classes))
    except TypeError:
        return [cast(Named, classes)]


def _of_this_package() -> list[type]:
    """Return what fitted estimators are made of."""
    rooms = [vars(room) for room in (modules, penalties, _training)]
    return [
        thing
        for room in rooms
        for thing in room.values()
        if inspect.isclass(thing) and thing.__module__.startswith("sklearn_iso.")
    ]


#: torch's own, and the functions that our names for them stand for.
_OPTIMIZERS = {
    name_of(thing): thing
    for thing in vars(torch.optim).values()
    if inspect.isclass(thing) and issubclass(thing, torch.optim.Optimizer)
}
