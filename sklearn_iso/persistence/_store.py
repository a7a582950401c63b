"""Fitted estimators in one file that runs no code when it is loaded."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_scalar
from torch import nn

from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.modules._build import ModuleLike, build_module
from sklearn_iso.persistence._file import check_path, read, write
from sklearn_iso.persistence._plain import Decoder, Encoder, ForeignClassError, MissingModuleError
from sklearn_iso.persistence._size import SPARE, DecodedSizeError, SizeLimit

#: What a state calls the moments of its optimiser.
_OPTIMIZER = "optimizer_state"


def save_estimator(
    estimator: BaseEstimator,
    path: str | os.PathLike[str],
    *,
    n_outputs: int,
    include_optimizer: bool = True,
) -> None:
    """Write a fitted estimator to a file that :func:`sklearn_iso.load` reads.

    Parameters
    ----------
    estimator : fitted estimator
    path : path-like
    n_outputs : int
        Width of the output, for a user's module that is built to size.
    include_optimizer : bool, default=True
        Whether the moments of the optimiser come along.

    Raises
    ------
    TypeError
        If a parameter can be stored by pickle only.
    """
    check_path(path)
    check_scalar(include_optimizer, "include_optimizer", (bool, np.bool_))
    encoder = Encoder(() if include_optimizer else (_OPTIMIZER,))
    n_features = getattr(estimator, "_row_size", estimator.n_features_in_)
    sizes = [int(n_features), int(n_outputs)]
    content = {"sizes": sizes, "estimator": encoder.encode(estimator)}
    write(path, content, encoder.arrays)


def load_estimator(
    path: str | os.PathLike[str],
    names: Mapping[str, object],
    given: Mapping[str, ModuleLike] = MappingProxyType({}),
    stream: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> BaseEstimator:
    """Return the estimator of a file.

    Parameters
    ----------
    path : path-like
    names : mapping of str to class or function
        All that the file may name.
    given : mapping of str to nn.Module, its class or a function returning one
        The user's own networks, by the parameter that the estimator got them as.
    stream : callable returning a context manager, optional
        Where they may draw their first weights.

    Raises
    ------
    ModelFileError
        If the file is damaged, of a newer version, names a class that is not on the list, asks
        for much more memory than it is large, or needs a module that was not passed.
    """
    check_path(path)
    limit = SizeLimit(Path(path).stat().st_size)
    try:
        content, arrays = read(path, limit)

        def build(role: str, n_weights: int) -> nn.Module:
            n_features, n_outputs = content["sizes"]
            sizes = (n_outputs, n_features) if role == "decoder" else (n_features, n_outputs)
            with stream():
                _check_size(given[role], sizes, n_weights)
                return build_module(given[role], *sizes, role)

        estimator = Decoder(arrays, names, given, build, limit).decode(content["estimator"])
    except ModelFileError:
        raise
    except DecodedSizeError as error:
        raise ModelFileError(
            f"A model file must not ask for much more memory than it is large; "
            f"{os.fspath(path)!r} asks for {error}. Load what an estimator's save(path) wrote."
        ) from None
    except ForeignClassError as error:
        raise ModelFileError(
            f"A model file may name classes of this package and of torch.optim only; found "
            f"{str(error)!r}. If it is yours and you trust it, pass load(path, classes=[...])."
        ) from None
    except MissingModuleError as error:
        raise ModelFileError(
            f"This file holds the weights of a module of your own, {error.name!r}. Pass "
            f"load(path, {error.role}=...) what was passed to the estimator as {error.role}."
        ) from None
    except _MALFORMED as error:
        raise ModelFileError(
            f"{os.fspath(path)!r} does not hold a fitted estimator"
            f"{' with this ' * bool(given)}{' and '.join(given)}: {error}."
        ) from error
    if inspect.isclass(estimator) or not hasattr(estimator, "fit"):
        raise ModelFileError(f"{os.fspath(path)!r} does not hold an estimator.")
    return estimator


def _check_size(module: ModuleLike, sizes: tuple[int, int], n_weights: int) -> None:
    """Raise a ValueError for sizes from a file at which a module outgrows its weights there."""
    if isinstance(module, nn.Module):
        return  # is copied, whatever the sizes
    try:
        with torch.device("meta"):  # shapes without memory
            parts = build_module(module, *sizes).state_dict().values()
        built = sum(part.numel() for part in parts)
    except Exception:  # a module that is not built without numbers, or of layers without shapes
        return
    if built > 2 * n_weights + SPARE // 8:
        raise ValueError(f"it would have {built} weights, and the file holds {n_weights}")


#: What a decoder meets in a file that no encoder wrote, or with another module.
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)
