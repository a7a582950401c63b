"""What a module computes on its way to the logits, by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from sklearn_iso.modules._compiled import is_compiled, uncompiled

#: "hidden" (all), "last_hidden", "logits", or the names of submodules.
Layers = str | Sequence[str]

_PARAMETRIC = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_KEYWORDS = ("hidden", "last_hidden", "logits")


def is_keyword(layers: Layers) -> bool:
    """Return whether `layers` needs no submodule of that name."""
    return isinstance(layers, str) and layers in _KEYWORDS


def represent(module: nn.Module, X: Tensor, layers: Layers) -> tuple[Tensor, ...]:
    """Return the chosen representations of X, flattened by sample.

    A hidden representation is what a linear or convolution layer after the first receives:
    the activation of the layer before it, whatever stands between. A module without one
    is represented by its logits.

    Parameters
    ----------
    module : nn.Module
    X : Tensor of shape (n_samples, ...)
    layers : {"hidden", "last_hidden", "logits"} or sequence of str
        Keyword, or names of submodules, whose outputs are taken.

    Returns
    -------
    representations : tuple of Tensor of shape (n_samples, n_units)
        One for each chosen layer.

    Raises
    ------
    ValueError
        If a name is no submodule, or the submodule did not run.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules import represent
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [tuple(Z.shape) for Z in represent(net, torch.zeros(5, 4), "hidden")]
    [(5, 3)]
    """
    return represent_many(module, X, [layers])[1][0]


class Representation(nn.Module):
    """A module that ends at its representation, the last of the chosen ones.

    Parameters
    ----------
    module : nn.Module
    layers : layers

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules import Representation
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> Representation(net, "hidden")(torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(self, module: nn.Module, layers: Layers) -> None:
        super().__init__()
        self.module, self.layers = module, layers

    def forward(self, X: Tensor) -> Tensor:
        """Return the representation (n_samples, n_units)."""
        return represent(self.module, X, self.layers)[-1]


def represent_many(
    module: nn.Module, X: Tensor, choices: Sequence[Layers]
) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """Return the logits and the representations of each choice from one forward pass.

    Parameters
    ----------
    module : nn.Module
    X : Tensor of shape (n_samples, ...)
    choices : sequence of layers
        What :func:`represent` takes as `layers`.

    Returns
    -------
    logits : Tensor of shape (n_samples, n_outputs)
        The scores.
    representations : list of tuple of Tensor
        One tuple for each choice.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules import represent_many
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> logits, (hidden, named) = represent_many(net, torch.zeros(5, 4), ["hidden", ["0"]])
    >>> logits.shape, hidden[0].shape, named[0].shape
    (torch.Size([5, 2]), torch.Size([5, 3]), torch.Size([5, 3]))
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch module; got {type(module).__name__}.")
    keywords = type(choices) is list and all(map(is_keyword, choices))
    if not keywords:
        _check(choices)
    hidden: list[Tensor] = []
    named: dict[str, Tensor] = {}
    forward_hidden = getattr(module, "forward_hidden", None)
    if forward_hidden and (keywords or all(map(is_keyword, choices))):
        # A module that knows its hidden layers spares the hooks.
        logits, activations = forward_hidden(X)
        hidden = [X, *activations]
    else:
        with _recording(module, choices, hidden, named):
            logits = first_output(module(copy_for(module, X)))
    chosen = [_choose(layers, hidden, named, logits) for layers in choices]
    return logits, [tuple(whole(Z).flatten(1) for Z in Zs) for Zs in chosen]


def _check(choices: Sequence[Layers]) -> None:
    if isinstance(choices, str) or not isinstance(choices, Sequence):
        raise ValueError(f"choices must be a sequence of layers; got {choices!r}.")
    for layers in choices:
        if not (
            isinstance(layers, str)
            or (isinstance(layers, Sequence) and layers and all(isinstance(n, str) for n in layers))
        ):
            raise ValueError(
                f"layers must be {sorted(_KEYWORDS)} or names of submodules, at least one; got "
                f"{layers!r}. Pass for example layers='last_hidden'."
            )


#: What a module returns: logits, alone or the first of several values.
Output = Tensor | tuple[Tensor, ...] | list[Tensor]


def first_output(output: Output) -> Tensor:
    """Return the logits of a module that may return further values beside them."""
    logits = output[0] if isinstance(output, tuple | list) else output
    return whole(logits)


def copy_for(module: nn.Module, X: Tensor) -> Tensor:
    """Return a copy that a module may write into, as in-place layers do: X is measured later.

    A compiled module takes no copy within a graph; if it writes into a leaf, torch says so.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._representations import copy_for
    >>> X = torch.zeros(1)
    >>> copy_for(torch.nn.ReLU(inplace=True), X) is X
    False
    """
    return X if X.requires_grad and is_compiled(module) else X.clone()


def only_first_output(module: nn.Module) -> nn.Module:
    """Let a module return its first output alone from now on; names and weights stay as they are.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules._representations import only_first_output
    >>> class Two(nn.Module):
    ...     def forward(self, X):
    ...         return X, None
    >>> only_first_output(Two())(torch.zeros(1))
    tensor([0.])
    """
    module.register_forward_hook(_first)
    return module


def _first(module: nn.Module, inputs: tuple[object, ...], output: object) -> object:
    return first_output(output) if isinstance(output, tuple | list) else output


def whole(Z: Tensor) -> Tensor:
    """Return what a module computed in half precision as float32, for losses and distances."""
    return Z.float() if Z.dtype in (torch.bfloat16, torch.float16) else Z


def _choose(
    layers: Layers, hidden: list[Tensor], named: dict[str, Tensor], logits: Tensor
) -> tuple[Tensor, ...]:
    if layers == "logits":
        return (logits,)
    if layers == "hidden":
        return tuple(hidden[1:]) or (logits,)
    if layers == "last_hidden":
        return (hidden[-1] if len(hidden) > 1 else logits,)
    return tuple(_named(name, named) for name in _names(layers))


def _named(name: str, named: dict[str, Tensor]) -> Tensor:
    if name not in named:
        raise ValueError(
            f"layers must name submodules that run in the forward pass; {name!r} did not. "
            "Choose another layer."
        )
    return named[name]


def _names(layers: Layers) -> list[str]:
    return [layers] if isinstance(layers, str) else list(layers)


@contextmanager
def _recording(
    module: nn.Module, choices: Sequence[Layers], hidden: list[Tensor], named: dict[str, Tensor]
) -> Iterator[None]:
    handles = []
    try:
        if any(layers in ("hidden", "last_hidden") for layers in choices if is_keyword(layers)):
            for part in module.modules():
                if isinstance(part, _PARAMETRIC):
                    handles.append(part.register_forward_pre_hook(_store_input(hidden)))
        for layers in choices:
            for name in () if is_keyword(layers) else _names(layers):
                part = _submodule(module, name)
                handles.append(part.register_forward_hook(_store_output(named, name)))
        with uncompiled(module) if handles else nullcontext():
            yield
    finally:
        for handle in handles:
            handle.remove()


def _submodule(module: nn.Module, name: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError:
        known = [known for known, _ in module.named_modules() if known]
        raise ValueError(
            f"layers must be one of {_KEYWORDS} or names of submodules; got {name!r}. "
            f"The submodules are {known}."
        ) from None


def _store_input(hidden: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        hidden.append(inputs[0])

    return hook


def _store_output(
    named: dict[str, Tensor], name: str
) -> Callable[[nn.Module, tuple[object, ...], Output], None]:
    def hook(part: nn.Module, inputs: tuple[object, ...], output: Output) -> None:
        named[name] = first_output(output)

    return hook
