"""Modules of any class as plain data: what pickle, joblib, skops and copies keep of them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypedDict, TypeVar, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.parametrize import (
    _inject_new_class,
    _inject_property,
    type_before_parametrizations,
)

#: Dtypes that arrays of NumPy hold.
_AS_ARRAYS = frozenset(
    [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16]
    + [torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128]
)

Plain = TypeVar("Plain")
Source = TypeVar("Source")

#: The class of a module, its state, and which of its tensors are parametrized.
PlainModule = TypedDict(
    "PlainModule",
    {"class": type[nn.Module], "state": dict[str, object], "parametrized": list[str]},
)


class PlainTensor(TypedDict):
    """A tensor as an array."""

    array: NDArray
    requires_grad: bool
    parameter: bool


class State(TypedDict):
    """What is stored of a module: references, and what they refer to."""

    root: object
    modules: list[PlainModule | nn.Module]
    tensors: list[PlainTensor | Tensor]


class Reference:
    """Where a tensor or a module stands in its list.

    Parameters
    ----------
    kind : {"tensors", "modules"}
    index : int
    """

    def __init__(self, kind: str, index: int) -> None:
        self.kind, self.index = kind, index


class Member:
    """A member of an enumeration, which skops cannot build.

    Parameters
    ----------
    kind : type
    name : str
    """

    def __init__(self, kind: type[Enum], name: str) -> None:
        self.kind, self.name = kind, name


class StoredModule:
    """Holds a module, and is stored as classes, arrays and plain values.

    torch refuses to pickle a module with parametrizations (spectral_norm, weight_norm,
    orthogonal), whose class is made at run time, and skops cannot store tensors. Tensors and
    modules that stand in several places are stored once, and are one again afterwards.

    Parameters
    ----------
    module : nn.Module

    Examples
    --------
    >>> import pickle
    >>> from torch import nn
    >>> from torch.nn.utils.parametrizations import orthogonal
    >>> from sklearn_iso.modules._stored import StoredModule
    >>> stored = pickle.dumps(StoredModule(orthogonal(nn.Linear(2, 2, bias=False))))
    >>> W = pickle.loads(stored).module.weight
    >>> (W @ W.T).round(decimals=5).abs()
    tensor([[1., 0.],
            [0., 1.]], grad_fn=<AbsBackward0>)
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __getstate__(self) -> dict[str, object]:
        """Return the module as plain data."""
        writer = _Writer()
        root = writer.plain(self.module)
        return {"root": root, "modules": writer.modules, "tensors": writer.tensors}

    def __setstate__(self, state: State) -> None:
        """Build the module anew."""
        self.module = cast(
            nn.Module, _Reader(state["modules"], state["tensors"]).value(state["root"])
        )


class _Writer:
    """Replaces tensors and modules by references, each of them once."""

    def __init__(self) -> None:
        self.tensors: list[PlainTensor | Tensor | None] = []
        self.modules: list[PlainModule | nn.Module | None] = []
        self._known: dict[int, tuple[Reference, object]] = {}  # kept, so that an id stays its own

    def plain(self, value: object) -> object:
        if isinstance(value, nn.Module):
            return self._once(value, "modules", self.modules, self._module)
        if isinstance(value, Tensor):
            return self._once(value, "tensors", self.tensors, _plain_tensor)
        if isinstance(value, dict):
            return type(value)((key, self.plain(inner)) for key, inner in value.items())
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            return type(value)(self.plain(inner) for inner in value)
        return Member(type(value), value.name) if isinstance(value, Enum) else value

    def _once(
        self,
        value: Source,
        kind: str,
        entries: list[Plain | None],
        write: Callable[[Source], Plain],
    ) -> Reference:
        if id(value) not in self._known:
            self._known[id(value)] = Reference(kind, len(entries)), value
            entries.append(None)
            entries[self._known[id(value)][0].index] = write(value)
        return self._known[id(value)][0]

    def _module(self, module: nn.Module) -> PlainModule | nn.Module:
        kind = type_before_parametrizations(module)
        if _stores_itself(kind):
            return module
        own = getattr(kind, "__getstate__", None)
        if own is None or own is getattr(object, "__getstate__", None):
            state = vars(module)
        else:
            state = own(module)
        usual = vars(nn.Module())
        changed = {k: v for k, v in state.items() if k not in usual or _differs(v, usual[k])}
        names = (
            list(vars(module)["_modules"]["parametrizations"]) if type(module) is not kind else []
        )
        if names:  # torch's weight_norm registers a local function that reads old checkpoints
            changed.pop("_load_state_dict_pre_hooks", None)
        return {
            "class": kind,
            "state": cast("dict[str, object]", self.plain(changed)),
            "parametrized": names,
        }


class _Reader:
    """Puts tensors and modules in the place of references."""

    def __init__(
        self, modules: list[PlainModule | nn.Module], tensors: list[PlainTensor | Tensor]
    ) -> None:
        self._entries = modules
        self._tensors = [_tensor(entry) for entry in tensors]
        self._modules = [
            entry["class"].__new__(entry["class"]) if isinstance(entry, dict) else entry
            for entry in modules
        ]
        for module, entry in zip(self._modules, modules, strict=True):
            if isinstance(entry, dict):
                module.__setstate__(
                    vars(nn.Module()) | cast("dict[str, object]", self.value(entry["state"]))
                )
        for module, entry in zip(self._modules, modules, strict=True):
            if isinstance(entry, dict) and entry["parametrized"]:
                _inject_new_class(module)
                for name in entry["parametrized"]:
                    _inject_property(module, name)

    def value(self, plain: object) -> object:
        if isinstance(plain, Reference):
            entries = self._modules if plain.kind == "modules" else self._tensors
            return entries[plain.index]
        if isinstance(plain, dict):
            return type(plain)((key, self.value(inner)) for key, inner in plain.items())
        if isinstance(plain, list | tuple) and type(plain) in (list, tuple):
            return type(plain)(self.value(inner) for inner in plain)
        return plain.kind[plain.name] if isinstance(plain, Member) else plain


def _stores_itself(kind: type) -> bool:
    """Return whether a class says itself how it is pickled, as compiled graphs do."""
    return (
        kind.__reduce__ is not object.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__
    )


def _differs(value: object, usual: object) -> bool:
    return type(value) is not type(usual) or value is not usual and value != usual


def _plain_tensor(tensor: Tensor) -> PlainTensor | Tensor:
    if tensor.dtype not in _AS_ARRAYS or tensor.layout is not torch.strided:
        return tensor
    return {
        # In the order that it has in memory: sums of products round by it.
        "array": tensor.numpy(force=True).copy(order="K"),
        "requires_grad": tensor.requires_grad,
        "parameter": isinstance(tensor, nn.Parameter),
    }


def _tensor(entry: PlainTensor | Tensor) -> Tensor:
    if isinstance(entry, Tensor):
        return entry
    tensor = torch.from_numpy(entry["array"].copy(order="K"))
    if entry["parameter"]:
        return nn.Parameter(tensor, requires_grad=entry["requires_grad"])
    return tensor.requires_grad_(entry["requires_grad"])
