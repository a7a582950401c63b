"""Python objects as JSON and arrays, and back, with classes from a list only."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Collection, Hashable, Mapping
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_iso.modules import Autoencoder
from sklearn_iso.modules._architecture import Description, describe, rebuild
from sklearn_iso.modules._stored import StoredModule
from sklearn_iso.persistence import _size

#: Kinds of arrays that safetensors holds: bool, signed, unsigned and floating.
_NUMERIC = "biuf"
#: Lists of so many floats are worth an array.
_MANY = 8
#: Bytes of a float in a list for each of one in an array.
_FLOAT = 4
#: Where an estimator keeps scikit-learn's callbacks, which are code of others and no model.
_CALLBACKS = "_skl_callbacks"
#: Parameters by which an estimator takes networks of the user's own.
ROLES = ("module", "encoder", "decoder")

#: What JSON holds, and what it calls an object.
Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Node = dict[str, Any]  # as it comes from a file


def name_of(thing: type | Callable[..., object]) -> str:
    """Return the name under which a class or function is stored.

    Examples
    --------
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.persistence._plain import name_of
    >>> import torch
    >>> name_of(IsometricClassifier), name_of(torch.optim.SGD)
    ('IsometricClassifier', 'torch.optim.sgd.SGD')
    """
    name: str = thing.__qualname__
    own = thing.__module__.split(".")[0] == "sklearn_iso"
    return name if own else f"{thing.__module__}.{name}"


class Encoder:
    """Turns objects into what JSON holds, and collects their arrays.

    Parameters
    ----------
    leave_out : collection of str
        Keys of the states of objects that are not stored.

    Attributes
    ----------
    arrays : dict of str to ndarray

    Raises
    ------
    TypeError
        If an object is neither plain data nor has a state that is.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.persistence._plain import Encoder
    >>> encoder = Encoder()
    >>> encoder.encode({"a": (1, np.zeros(2))})
    {'dict': [['a', {'tuple': [1, {'array': 'a0'}]}]]}
    >>> encoder.arrays
    {'a0': array([0., 0.])}
    """

    def __init__(self, leave_out: Collection[str] = ()) -> None:
        self.leave_out = leave_out
        self.arrays: dict[str, NDArray] = {}
        self._by_content: dict[bytes, str] = {}
        self._uses: dict[str, int] = {}
        self._seen: dict[int, tuple[int, object]] = {}

    def encode(self, value: object) -> Json:
        """Return a value as JSON."""
        value = value.module if isinstance(value, StoredModule) else value
        if value is None or isinstance(value, bool | str) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, list | tuple | dict):
            return self._container(value)
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value)
        return self._object(value)

    def _container(self, value: list | tuple | dict) -> Json:
        if isinstance(value, dict):
            return {"dict": [[self.encode(k), self.encode(v)] for k, v in value.items()]}
        if type(value) is list and len(value) >= _MANY and all(type(v) is float for v in value):
            return {"floats": self._store(np.array(value), _FLOAT)}
        items = [self.encode(item) for item in value]
        return items if type(value) is list else {"tuple": items}

    def _array(self, value: NDArray | np.generic) -> Json:
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.array([value]))}
        if value.dtype.kind in _NUMERIC and value.dtype.itemsize <= 8:
            return {"array": self._store(value)}
        if value.dtype.kind == "U":
            _size.check_text(value)
        if value.dtype.kind in "UO":
            items = [self.encode(item) for item in value.ravel().tolist()]
            return {"items": items, "dtype": value.dtype.str, "shape": list(value.shape)}
        raise TypeError(
            f"A model file holds numbers and text; got an array of {value.dtype}. Cast it first."
        )

    def _store(self, value: NDArray, uses: int = 1) -> str:
        """Return the name of an array; equal ones are stored once, and anew for many uses."""
        native = np.array(value, order="C", dtype=value.dtype.newbyteorder("="))
        content = repr((native.dtype, native.shape)).encode() + native.tobytes()
        digest, new = hashlib.sha256(content).digest(), f"a{len(self.arrays)}"
        name = self._by_content.setdefault(digest, new)
        if self._uses.get(name, 0) + uses > _size.FACTOR:  # more than a reader takes of a file
            name = self._by_content[digest] = new
        self._uses[name] = self._uses.get(name, 0) + uses
        self.arrays[name] = native
        return name

    def _object(self, value: object) -> Json:
        if isinstance(value, torch.Tensor):
            return {"tensor": self._store(value.numpy(force=True))}
        if isinstance(value, torch.device):
            return {"device": str(value)}
        if isinstance(value, nn.Module) and (network := self._network(value)):
            return network
        if (reference := self._reference(value)) is not None:
            return reference
        if id(value) in self._seen:
            return {"same": self._seen[id(value)][0]}
        self._seen[id(value)] = (len(self._seen), value)  # kept, so that its id stays its own
        return {"object": name_of(type(value)), "state": self._state(value)}

    def _reference(self, value: object) -> Json:
        if isinstance(value, np.random.RandomState):
            return {"random_state": self.encode(value.get_state())}
        if isinstance(value, functools.partial):
            parts = [value.func, list(value.args), value.keywords]
            return {"partial": [self.encode(part) for part in parts]}
        if hasattr(value, "__qualname__"):  # a class or a function
            return {"name": name_of(cast(type, value))}
        return None

    def _network(self, module: nn.Module, role: str = "module") -> Json:
        weights = {name: v.numpy(force=True) for name, v in module.state_dict().items()}
        if not weights:
            return None
        if (architecture := describe(module)) is not None:
            return {"network": architecture, "weights": self.encode(weights)}
        if type(module) is Autoencoder:  # at least one of its networks is the user's
            parts = {role: getattr(module, role) for role in ("encoder", "decoder")}
            return {"autoencoder": [self._network(part, role) for role, part in parts.items()]}
        node = {"module": name_of(type(module)), "weights": self.encode(weights)}
        return node if role == "module" else node | {"role": role}

    def _state(self, value: object) -> Json:
        state = value.__getstate__() if hasattr(value, "__getstate__") else vars(value)
        if not isinstance(state, dict):
            raise TypeError(
                f"A model file holds plain data and objects whose state is a dict; got "
                f"{value!r}. Use pickle for it."
            )
        encoded: list[Json] = []
        for key, inner in state.items():
            inner = inner.module if isinstance(inner, StoredModule) else inner
            if key == _CALLBACKS:
                continue
            if key in ROLES and _is_foreign(inner):
                encoded.append([key, {"given": key}])
            elif key not in self.leave_out:
                encoded.append([key, self.encode(inner)])
        return {"dict": encoded}


def _is_foreign(module: Callable[..., object]) -> bool:
    """Return whether the parameter `module` is of somebody else's making."""
    built = module.func if isinstance(module, functools.partial) else module
    if isinstance(built, nn.Module):
        return describe(built) is None
    if isinstance(built, str | None):
        return False
    return not hasattr(built, "__qualname__") or "." in name_of(built)


class Decoder:
    """Turns back into objects what an :class:`Encoder` made of them; runs no code of the file.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    names : mapping of str to class or function
        All that may be built, by the name under which it is stored.
    given : mapping of str to object
        The user's own networks, by the parameter (of ``ROLES``) that they came as.
    build : callable, optional
        Returns a new network of the user's for such a parameter and number of weights.
    limit : SizeLimit, optional
        Is charged with what is about to be built; no limit by default.

    Raises
    ------
    DecodedSizeError
        If the limit is reached.
    KeyError, TypeError, ValueError, RuntimeError
        If the file does not hold what an encoder writes.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray],
        names: Mapping[str, object],
        given: Mapping[str, object] = MappingProxyType({}),
        build: Callable[[str, int], nn.Module] | None = None,
        limit: _size.SizeLimit | None = None,
    ) -> None:
        self.arrays, self.names, self.given, self.build = arrays, names, given, build
        self._charge = (limit or _size.SizeLimit(None)).charge
        self._seen: list[object] = []

    def decode(self, node: Json) -> Any:
        """Return the value of a JSON node."""
        if isinstance(node, list):
            self._charge(_size.LIST + 8 * len(node))
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        tag = next(iter(node), None)
        if tag not in _TAGS:
            raise KeyError(tag)
        return getattr(self, f"_{tag}")(node[tag], node)

    def _float(self, value: str, node: Node) -> float:
        return float(value)

    def _tuple(self, items: list[Json], node: Node) -> tuple[object, ...]:
        return tuple(self.decode(items))

    def _dict(self, pairs: list[list[Json]], node: Node) -> dict[Hashable, object]:
        self._charge(_size.DICT + _size.ENTRY * len(pairs))
        values = {self.decode(key): self.decode(value) for key, value in pairs}
        weights = sum(isinstance(value, np.ndarray) for value in values.values())
        self._charge(_size.MODULE * weights)  # each may become a layer
        return values

    def _floats(self, name: str, node: Node) -> list[float]:
        self._charge(_FLOAT * 8 * self.arrays[name].size)
        values: list[float] = self.arrays[name].tolist()
        return values

    def _array(self, name: str, node: Node) -> NDArray:
        return self._stored(name).copy()

    def _stored(self, name: str) -> NDArray:
        self._charge(_size.ARRAY + self.arrays[name].nbytes)
        return self.arrays[name]

    def _scalar(self, array: Json, node: Node) -> np.generic:
        return self.decode(array)[0]

    def _items(self, items: Json, node: Node) -> NDArray:
        decoded = self.decode(items)
        if np.dtype(node["dtype"]).kind == "U":
            if not all(isinstance(text, str) for text in decoded):
                raise TypeError("an array of text must hold text")
            self._charge(_size.text_bytes(decoded))
            return np.array(decoded, dtype=str).reshape(node["shape"])
        array = np.empty(len(decoded), dtype=object)
        array[:] = decoded
        return array.reshape(node["shape"])

    def _tensor(self, name: str, node: Node) -> torch.Tensor:
        return torch.tensor(self._stored(name))

    def _device(self, name: str, node: Node) -> torch.device:
        return torch.device(name)

    def _random_state(self, state: Json, node: Node) -> np.random.RandomState:
        self._charge(_size.OBJECT * 8)
        random_state = np.random.RandomState(0)
        random_state.set_state(self.decode(state))
        return random_state

    def _partial(self, parts: Json, node: Node) -> functools.partial:
        function, args, keywords = self.decode(parts)
        return functools.partial(function, *args, **keywords)

    def _name(self, name: str, node: Node) -> object:
        if name not in self.names:
            raise ForeignClassError(name)
        return self.names[name]

    def _same(self, index: int, node: Node) -> object:
        return self._seen[index]

    def _object(self, name: str, node: Node) -> object:
        kind = self._name(name, node)
        self._charge(_size.MADE if hasattr(kind, "__setstate__") else _size.OBJECT)
        value: object = object.__new__(cast(type, kind))
        self._seen.append(value)
        state = self._dict(node["state"]["dict"], node)
        if hasattr(value, "__setstate__"):
            value.__setstate__(state)
        else:
            vars(value).update(cast(dict[str, object], state))
        return value

    def _network(self, architecture: Description, node: Node) -> nn.Module:
        self._charge(_size.MADE)
        return rebuild(architecture, self.decode(node["weights"]))

    def _module(self, name: str, node: Node) -> nn.Module:
        role = node.get("role", "module")
        if role not in self.given or self.build is None:
            raise MissingModuleError(role, name)
        weights = {key: torch.tensor(v) for key, v in self.decode(node["weights"]).items()}
        module = self.build(role, sum(v.numel() for v in weights.values()))
        floating = [v.dtype for v in weights.values() if v.is_floating_point()]
        module.to(floating[0] if floating else torch.float32).load_state_dict(weights)
        return module.eval()

    def _given(self, key: str, node: Node) -> object:
        if key not in self.given:
            raise MissingModuleError(key, key)
        return self.given[key]

    def _autoencoder(self, parts: Json, node: Node) -> nn.Module:
        return Autoencoder(*self.decode(parts)).eval()


#: First keys of nodes; each has its method.
_TAGS = frozenset(
    name.removeprefix("_")
    for name in vars(Decoder)
    if name.startswith("_") and not name.startswith("__")
)


class ForeignClassError(LookupError):
    """A file names a class that is not on the list."""


class MissingModuleError(LookupError):
    """A file holds the weights of a module that was not passed.

    Parameters
    ----------
    role : str
        The parameter to pass.
    name : str
        What the file says of it.
    """

    def __init__(self, role: str, name: str) -> None:
        super().__init__(name)
        self.role, self.name = role, name
