"""Fitted estimators from files."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
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
    """Return the fitted estimator that ``save(path)`` wrote.

    Nothing in the file is run: it names classes, and only those of this package and of
    ``torch.optim`` are known. A checksum tells a file that was changed by accident; it does
    not tell who wrote it. Of the parameter `compile`, the "options" are left out: they may name
    programs, which a later fit would run.

    Parameters
    ----------
    path : path-like
    module, encoder, decoder : nn.Module, its class or a function returning one, optional
        What the estimator got as the parameter of that name, where it is not a network of this
        package. Its weights are those of the file.
    classes : sequence of classes and functions, optional
        Further ones that you trust: of a penalty of your own, of callbacks, a metric.

    Returns
    -------
    estimator : IsometricClassifier or IsometricTransformer
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
    estimator = load_estimator(path, names, given, _training.PrivateStream(0).active)
    inner = [getattr(estimator, name, None) for name in ("estimator", "estimator_")]
    for part in (estimator, *inner):
        _forget_compiler_options(part)
    return estimator


def _forget_compiler_options(estimator: StoredEstimator | None) -> None:
    """Drop what the next fit would hand to a compiler: it may name a program to run."""
    chosen = getattr(estimator, "compile", None)
    if estimator is not None and isinstance(chosen, dict):
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
