"""The networks of this package as plain data, and back: what a stored model is made of."""

from __future__ import annotations

import math
from typing import Any, TypeVar, cast

import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_iso.modules._activations import ACTIVATIONS
from sklearn_iso.modules._autoencoder import Autoencoder, ResidualMLP
from sklearn_iso.modules._convnet import ConvNet
from sklearn_iso.modules._mlp import MLP
from sklearn_iso.modules._orthogonal import OrthogonalConvNet, OrthogonalMLP, is_by_construction
from sklearn_iso.modules._small_cnn import SmallCNN
from sklearn_iso.modules._stack import Stack

Network = TypeVar("Network", bound=nn.Module)
#: A network as plain data: its kind, and the parameters of its constructor.
Description = dict[str, Any]


def describe(module: nn.Module) -> Description | None:
    """Return what a network is beside its weights; None for a module of somebody else's.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso.modules import MLP
    >>> from sklearn_iso.modules._architecture import describe
    >>> describe(MLP(4, 3, activation="tanh"))
    {'kind': 'MLP', 'activation': 'tanh'}
    >>> describe(nn.Linear(4, 3)) is None
    True
    """
    if type(module) is MLP:
        types = {type(part) for part in module.hidden if not isinstance(part, nn.Linear)}
        names = [name for name, known in ACTIVATIONS.items() if known in types]
        return {"kind": "MLP", "activation": names[0] if names else "relu"}
    if type(module) in (ConvNet, SmallCNN):
        shape = cast(ConvNet | SmallCNN, module).image_shape
        return {"kind": type(module).__name__, "image_shape": list(shape)}
    if type(module) is ResidualMLP:
        return _of_parts("ResidualMLP", mlp=module.mlp)
    if type(module) is Autoencoder:
        return _of_parts("Autoencoder", encoder=module.encoder, decoder=module.decoder)
    if type(module) is Stack:
        return {"kind": "Stack", "blocks": [describe(block) for block in module.blocks]}
    return _describe_orthogonal(module) if is_by_construction(module) else None


def _describe_orthogonal(module: nn.Module) -> Description | None:
    if type(module) is OrthogonalMLP:
        return {"kind": "OrthogonalMLP", "output": module.kind_of_output}
    if type(module) is OrthogonalConvNet:
        sizes = {"image_shape": list(module.image_shape), "patch_size": list(module.patch_sizes)}
        return {"kind": "OrthogonalConvNet", **sizes}
    return None


def rebuild(description: Description, weights: dict[str, NDArray]) -> nn.Module:
    """Return the network of a description with given weights.

    Its widths are those of the weights, so that what is built is no larger than what came.

    Parameters
    ----------
    description : dict
        What :func:`describe` returned.
    weights : dict of str to ndarray
        As ``state_dict`` names them.

    Returns
    -------
    module : nn.Module

    Raises
    ------
    KeyError, RuntimeError, ValueError
        If the weights are not those of the description.

    Examples
    --------
    >>> from sklearn_iso.modules import MLP
    >>> from sklearn_iso.modules._architecture import describe, rebuild
    >>> mlp = MLP(4, 3, hidden_layer_sizes=(8,))
    >>> weights = {name: value.numpy() for name, value in mlp.state_dict().items()}
    >>> rebuild(describe(mlp), weights).hidden
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
    )
    """
    module = _KINDS[description["kind"]](description, weights)
    module.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return module


def _of_parts(kind: str, **parts: nn.Module) -> Description | None:
    described = {name: describe(part) for name, part in parts.items()}
    return None if None in described.values() else {"kind": kind, **described}


def _part(name: str, description: Description, weights: dict[str, NDArray]) -> nn.Module:
    prefix = f"{name}."
    own = {key.removeprefix(prefix): v for key, v in weights.items() if key.startswith(prefix)}
    return rebuild(description[name], own)


def _check_shapes(weights: dict[str, NDArray], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise a ValueError unless weights are of given shapes, and all of one type.

    Before a network is built: by the sizes of its biases alone it could take any memory.
    """
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name!r} must be of shape {shape}; got {weights[name].shape}")
    if len({value.dtype for value in weights.values()}) > 1:
        raise ValueError("weights must be of one type")


def _layer(name: str, n_in: int, n_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def _mlp(description: Description, weights: dict[str, NDArray]) -> MLP:
    layers = sum(key.startswith("hidden.") and key.endswith(".weight") for key in weights)
    names = ["offset", *(f"hidden.{2 * k}.bias" for k in range(layers)), "output.bias"]
    widths = [len(weights[name]) for name in names]
    shapes: dict[str, tuple[int, ...]] = {"offset": (widths[0],), "factor": ()}
    for name, n_in, n_out in zip(names[1:], widths[:-1], widths[1:], strict=True):
        shapes |= _layer(name.removesuffix(".bias"), n_in, n_out)
    _check_shapes(weights, shapes)
    return MLP(
        widths[0],
        widths[-1],
        hidden_layer_sizes=widths[1:-1],
        activation=description["activation"],
        generator=torch.Generator(),  # the draws are overwritten; none is the process's own
        dtype=_dtype(weights["output.bias"]),
    )


def _dtype(values: NDArray) -> torch.dtype:
    return torch.tensor(values[:0]).dtype


def _convnet(description: Description, weights: dict[str, NDArray]) -> ConvNet:
    kernels = [v for key, v in weights.items() if v.ndim == 4]
    shape = tuple(int(size) for size in description["image_shape"])
    with torch.device("meta"):  # no weights are drawn, as those of others follow
        built = ConvNet(
            shape[0] * shape[1] * shape[2],
            len(weights["head.3.bias"]),
            image_shape=(shape[0], shape[1], shape[2]),
            channels=[len(kernel) for kernel in kernels],
            kernel_size=kernels[0].shape[-1] if kernels else 1,
            n_hidden=len(weights["head.1.bias"]),
        )
    return _filled(built, weights, "head.3.bias")


def _small_cnn(description: Description, weights: dict[str, NDArray]) -> SmallCNN:
    kernels = [v for key, v in weights.items() if v.ndim == 4]
    shape = tuple(int(size) for size in description["image_shape"])
    *hidden, n_outputs = _layers("head.", weights)
    with torch.device("meta"):
        built = SmallCNN(
            math.prod(shape),
            n_outputs,
            image_shape=(shape[0], shape[1], shape[2]),
            channels=[len(kernel) for kernel in kernels[::2]],
            hidden_layer_sizes=hidden,
        )
    return _filled(built, weights, f"head.{2 * len(hidden) + 1}.bias")


def _layers(prefix: str, weights: dict[str, NDArray]) -> list[int]:
    """Return the output widths of the layers of a part, in order."""
    keys = [key for key in weights if key.startswith(prefix) and key.endswith(".bias")]
    return [len(weights[key]) for key in sorted(keys, key=lambda key: int(key.split(".")[1]))]


def _orthogonal(description: Description, weights: dict[str, NDArray]) -> OrthogonalMLP:
    with torch.device("meta"):
        built = OrthogonalMLP(
            len(weights["offset"]),
            len(weights["output.bias"]),
            hidden_layer_sizes=_layers("hidden.", weights),
            output=description["output"],
        )
    return _filled(built, weights, "output.bias")


def _orthogonal_convnet(description: Description, weights: dict[str, NDArray]) -> OrthogonalConvNet:
    shape = tuple(int(size) for size in description["image_shape"])
    *hidden, n_outputs = _layers("head.", weights)
    with torch.device("meta"):
        built = OrthogonalConvNet(
            math.prod(shape),
            n_outputs,
            image_shape=(shape[0], shape[1], shape[2]),
            channels=_layers("convolutions.", weights),
            patch_size=[int(side) for side in description["patch_size"]],
            hidden_layer_sizes=hidden,
        )
    return _filled(built, weights, f"head.{2 * len(hidden) + 1}.bias")


def _filled(built: Network, weights: dict[str, NDArray], typical: str) -> Network:
    """Return a network that was built without memory, ready for weights of one type."""
    _check_shapes(weights, {name: tuple(v.shape) for name, v in built.state_dict().items()})
    return built.to_empty(device="cpu").to(_dtype(weights[typical]))


def _residual(description: Description, weights: dict[str, NDArray]) -> ResidualMLP:
    n_in, n_out = len(weights["mlp.offset"]), len(weights["mlp.output.bias"])
    scalars: dict[str, tuple[int, ...]] = {"factor": (), "unit": ()}
    ends = {"offset": (n_in,), "center": (n_out,)}
    _check_shapes(weights, scalars | ends | _layer("linear", n_in, n_out))
    return ResidualMLP(cast(MLP, _part("mlp", description, weights)), torch.zeros(n_out, n_in))


def _autoencoder(description: Description, weights: dict[str, NDArray]) -> Autoencoder:
    return Autoencoder(
        _part("encoder", description, weights), _part("decoder", description, weights)
    )


def _stack(description: Description, weights: dict[str, NDArray]) -> Stack:
    if {block["kind"] for block in description["blocks"]} != {"MLP"}:
        raise ValueError("a stack must be of perceptrons")
    return Stack.of(
        _part(f"blocks.{place}", {f"blocks.{place}": block}, weights)
        for place, block in enumerate(description["blocks"])
    )


_KINDS = {
    "MLP": _mlp,
    "ConvNet": _convnet,
    "SmallCNN": _small_cnn,
    "OrthogonalMLP": _orthogonal,
    "OrthogonalConvNet": _orthogonal_convnet,
    "ResidualMLP": _residual,
    "Autoencoder": _autoencoder,
    "Stack": _stack,
}
