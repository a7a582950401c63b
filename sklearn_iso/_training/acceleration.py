"""A training run compiled by torch.compile, in mixed precision, or both."""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, cast

import torch
from torch import Tensor, nn

from sklearn_iso._protocols import Parametrized
from sklearn_iso.modules import Autoencoder
from sklearn_iso.modules._representations import whole

P = ParamSpec("P")
R = TypeVar("R")

#: Methods by which modules are run, those of this package by the last two as well.
PASSES = ("forward", "forward_hidden", "passes")


@dataclass(frozen=True)
class Acceleration:
    """How a module runs while it trains; the fields are the estimators' parameters.

    Parameters
    ----------
    compile : bool or dict
        Whether torch.compile compiles it; a dict holds arguments of torch.compile.
    mixed_precision : bool
        Whether its products are in bfloat16.

    Examples
    --------
    >>> from sklearn_iso._training.acceleration import Acceleration
    >>> Acceleration(), Acceleration(compile={"backend": "eager"}).compiles
    (Acceleration(compile=False, mixed_precision=False), True)
    """

    compile: bool | dict[str, Any] = False
    mixed_precision: bool = False

    @classmethod
    def of(cls, estimator: Parametrized) -> Acceleration:
        """Return that of an estimator; none for one without the parameters."""
        params = estimator.get_params(deep=False)
        return cls(params.get("compile", False), params.get("mixed_precision", False))

    @property
    def compiles(self) -> bool:
        """Whether torch.compile is asked for: an empty dict asks for its defaults."""
        return isinstance(self.compile, dict) or bool(self.compile)

    @property
    def changes_passes(self) -> bool:
        """Whether the module runs otherwise than it is written."""
        return self.compiles or bool(self.mixed_precision)

    def wrap(self, function: Callable[P, R], device: torch.device) -> Callable[P, R]:
        """Return a pass as it is to be run."""
        if self.compiles:
            function = self._compiled(function)
        if self.mixed_precision:
            function = _in_bfloat16(function, device.type)
        return function

    def _compiled(self, function: Callable[P, R]) -> Callable[P, R]:
        options = self.compile if isinstance(self.compile, dict) else {}
        if _TAKES_A_LIMIT:
            options = {"recompile_limit": RECOMPILE_LIMIT, **options}
        try:
            compiled: Callable[P, R] = torch.compile(function, **options)
        except Exception as error:  # of many kinds: those of torch and of its backends
            raise ValueError(
                "compile must be a bool, or a dict of arguments that torch.compile takes; got "
                f"{self.compile!r} ({_first_line(error)}). Pass for example "
                "compile={'backend': 'inductor'}."
            ) from error
        return compiled


#: How often torch compiles a pass anew before it gives up and runs it as it is written: the fits
#: of a search differ in width, and a fit in whether a gradient reaches X and in the last batch.
RECOMPILE_LIMIT = 64
#: Releases of torch that take no such limit for one function keep to their own, for all of them.
_TAKES_A_LIMIT = "recompile_limit" in inspect.signature(torch.compile).parameters

#: A module runs as it is written.
AS_WRITTEN = Acceleration()


@contextmanager
def accelerated(
    module: nn.Module, acceleration: Acceleration, device: str | torch.device
) -> Iterator[None]:
    """Run a module otherwise than it is written, until the context ends.

    The passes are shadowed on the instance: its weights and their names stay as they are, and
    afterwards nothing is left behind.

    Raises
    ------
    ValueError
        If the arguments of torch.compile, the device or the weights do not allow it, or what
        torch.compile needs is not there.
    """
    if not acceleration.changes_passes:
        yield
        return
    device = torch.device(device)
    if acceleration.mixed_precision:
        _check_precision(module, device)
    # The penalties of an embedding run its two maps by themselves.
    alone = [module.encoder, module.decoder] if isinstance(module, Autoencoder) else [module]
    with ExitStack() as entered:
        if acceleration.compiles:
            entered.enter_context(_compiler_explained(acceleration))
        for part in alone:
            entered.enter_context(_shadowed(part, acceleration, device))
        yield


def as_written(module: nn.Module) -> nn.Module:
    """Return a module that runs as it is written: itself, or a copy of one that trains."""
    if not any(_shadows(part) for part in module.modules()):
        return module
    plain = copy.deepcopy(module)
    for part in plain.modules():
        for name in _shadows(part):
            del vars(part)[name]
    return plain


@contextmanager
def _shadowed(
    module: nn.Module, acceleration: Acceleration, device: torch.device
) -> Iterator[None]:
    own, kind = vars(module), type(module)
    # A part of a user's module may bear one of the names.
    passes = {n: getattr(module, n) for n in PASSES if callable(getattr(kind, n, None))}
    before = {name: own[name] for name in passes if name in own}
    try:
        own.update({n: _Shadow(acceleration.wrap(f, device)) for n, f in passes.items()})
        yield
    finally:
        for name in passes:
            own.pop(name, None)
        own.update(before)


class _Shadow(Generic[P, R]):
    """A pass in place of a module's own method."""

    computes_the_same = True  # but for rounding: bounds of the module hold

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, object]) -> _Shadow:
        return self  # as functions do


def _shadows(module: nn.Module) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, _Shadow)]


def _in_bfloat16(function: Callable[P, R], device_type: str) -> Callable[P, R]:
    """Return a function whose products are in bfloat16, and whose results are in float32."""

    @functools.wraps(function)
    def mixed(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast(device_type, dtype=torch.bfloat16):
            return _whole(function(*args, **kwargs))

    return mixed


def _whole(result: R) -> R:
    """Return the results of a pass in float32, for losses and distances."""
    if isinstance(result, Tensor):
        return cast(R, whole(result))
    if isinstance(result, tuple | list) and type(result) in (tuple, list):
        return cast(R, type(result)(_whole(part) for part in result))
    return result


def _check_precision(module: nn.Module, device: torch.device) -> None:
    if not torch.amp.is_autocast_available(device.type):
        raise ValueError(
            f"mixed_precision=True needs a device with autocast; got device={str(device)!r}. Use "
            "device='cpu' or device='cuda', or set mixed_precision=False."
        )
    if any(weight.dtype == torch.float64 for weight in module.parameters()):
        raise ValueError(
            "mixed_precision=True trains weights of float32; these are of float64, from an "
            "earlier fit without it. Fit a clone, or set mixed_precision=False."
        )


@contextmanager
def _compiler_explained(acceleration: Acceleration) -> Iterator[None]:
    """Say what to do where torch.compile cannot go on."""
    try:
        with warnings.catch_warnings():
            # It looks at the gradient of whatever enters, of an embedding on its way back too.
            warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor", UserWarning)
            yield
    except Exception as error:
        if "double backward" in str(error):
            raise ValueError(
                "compile serves penalties that differentiate a network once; a term of this one "
                "differentiates its gradient again, as JacobianIsometry does, which "
                "torch.compile cannot. Set compile=False, or choose another penalty."
            ) from error
        if not _is_of_compiler(error):
            raise
        raise ValueError(
            f"compile={acceleration.compile!r} does not work here: {_first_line(error)}. "
            "torch.compile needs a C++ compiler and the headers of Python for the CPU, and "
            "Triton for a GPU. Install them, or set compile=False."
        ) from error


def _is_of_compiler(error: Exception) -> bool:
    homes = {kind.__module__ for kind in type(error).__mro__}
    return any(home.startswith(("torch._dynamo", "torch._inductor")) for home in homes)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
