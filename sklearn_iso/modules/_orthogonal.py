"""Networks whose layers keep Euclidean lengths: orthogonal weights, and activations that sort."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sklearn_iso.modules._convnet import ImageNetwork, image_shape_of
from sklearn_iso.modules._mlp import MLP
from sklearn_iso.modules._parts import parts_of
from sklearn_iso.modules._widths import COUNT, check_widths, layer_widths

_OUTPUTS = StrOptions({"unit_rows", "orthogonal"})
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class Cayley(nn.Module):
    r"""Parametrization of a matrix with orthonormal rows or columns, whichever are fewer.

    .. math:: W = \begin{pmatrix} (I + A)^{-1} (I - A) \\ -2 V (I + A)^{-1} \end{pmatrix},
              \qquad A = U - U^\top + V^\top V

    with U the first rows of a free matrix, as many as it has columns, and V those that follow; the
    Cayley transform. I + A has an inverse of norm at most 1 whatever U and V are.

    References
    ----------
    A. Trockman, J. Z. Kolter, "Orthogonalizing Convolutional Layers with the Cayley Transform",
    ICLR 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._orthogonal import Cayley
    >>> W = Cayley()(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    >>> torch.allclose(W @ W.T, torch.eye(2), atol=1e-5)
    True
    """

    def forward(self, free: Tensor) -> Tensor:
        """Return the matrix of a free one of the same shape."""
        flat = free.flatten(1)  # of a convolution, what a patch is multiplied by
        wide = flat.shape[0] < flat.shape[1]
        tall = flat.mT if wide else flat
        n = tall.shape[1]
        square, rest = tall[:n], tall[n:]
        A = square - square.mT + rest.mT @ rest
        identity = torch.eye(n, dtype=free.dtype, device=free.device)
        inverse = torch.linalg.inv(identity + A)
        # (I + A)^-1 (I - A) = 2 (I + A)^-1 - I spares products.
        W = torch.cat([2 * inverse - identity, -2 * rest @ inverse])
        return (W.mT if wide else W).reshape(free.shape)


class UnitRows(nn.Module):
    """Parametrization of a matrix whose rows have length 1: a free one, each row over its length.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._orthogonal import UnitRows
    >>> UnitRows()(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """

    def forward(self, free: Tensor) -> Tensor:
        """Return the matrix of a free one."""
        return nn.functional.normalize(free, dim=1)


class SortPairs(nn.Module):
    r"""Activation that sorts pairs of units: it keeps lengths and never expands a distance.

    .. math:: (a, b) \mapsto (\max(a, b), \min(a, b))

    The pairs are unit i of the first half of the channels (of the units of a dense layer) and unit
    i of the second. ReLU sets units to 0, and with them gradients; this only changes their places.

    References
    ----------
    C. Anil, J. Lucas, R. Grosse, "Sorting out Lipschitz function approximation", ICML 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import SortPairs
    >>> SortPairs()(torch.tensor([[1.0, 5.0, 3.0, 4.0]]))
    tensor([[3., 5., 1., 4.]])
    """

    def forward(self, Z: Tensor) -> Tensor:
        """Return units of shape (n_samples, n_units, ...) with each pair sorted.

        Raises
        ------
        ValueError
            If the number of units is odd.
        """
        if Z.shape[1] % 2:
            raise ValueError(
                f"SortPairs needs an even number of units; got {Z.shape[1]}. Make the layer before "
                "it one unit wider."
            )
        first, second = Z.chunk(2, dim=1)
        return torch.cat([torch.maximum(first, second), torch.minimum(first, second)], dim=1)


class OrthogonalMLP(MLP):
    r"""Multi-layer perceptron that is isometric by construction, and returns logits.

    .. math:: z_0 = c (x - \mu), \quad z_k = \mathrm{sort}(W_k z_{k-1} + b_k), \quad
              f(x) = W_{L+1} z_L + b_{L+1}

    The rows of each :math:`W_k` are orthonormal, or its columns if there are fewer, and pairs of
    units are sorted. Hence no distance in the input becomes longer than c times itself whatever
    the weights, and where a layer is not narrower than the one before it, none becomes shorter
    among points that are sorted alike: the map is a rotation there. The margin of a sample is a
    certificate: no point closer than :math:`(f_y - f_j) / (c \|w_y - w_j\|)` in the Euclidean
    norm has class j.

    Parameters
    ----------
    n_features, n_outputs : int
        Width of the input and of the logits.
    hidden_layer_sizes : sequence of int
        Width of each hidden layer, even; empty for a linear model.
    output : {"unit_rows", "orthogonal"}
        Of the last layer: rows of length 1, of which each is the direction of a class, or
        orthonormal ones, as for an embedding.
    generator : torch.Generator or None
        Draws the weights; None takes torch's default generator.
    dtype : torch.dtype
        Of the weights.

    See Also
    --------
    sklearn_iso.penalties.LipschitzCrossEntropy : Trains it for large margins.

    Notes
    -----
    A map between Euclidean spaces that keeps all distances is affine; this one keeps them where it
    is affine, and the lengths of all paths.

    References
    ----------
    C. Anil, J. Lucas, R. Grosse, "Sorting out Lipschitz function approximation", ICML 2019;
    A. Trockman, J. Z. Kolter, "Orthogonalizing Convolutional Layers with the Cayley Transform",
    ICLR 2021; S. Singla, S. Singla, S. Feizi, "Improved deterministic l2 robustness on CIFAR-10
    and CIFAR-100", ICLR 2022, for the last layer.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import OrthogonalMLP
    >>> mlp = OrthogonalMLP(4, 4, hidden_layer_sizes=(8,), output="orthogonal")
    >>> X = torch.rand(1, 4)
    >>> J = torch.autograd.functional.jacobian(mlp, X)[0, :, 0]
    >>> bool(torch.linalg.matrix_norm(J, 2) <= 1 + 1e-5)
    True
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        hidden_layer_sizes: Sequence[int] = (256, 128),
        output: str = "unit_rows",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        validate_parameter_constraints({"output": [_OUTPUTS]}, {"output": output}, "OrthogonalMLP")
        super().__init__(
            n_features,
            n_outputs,
            hidden_layer_sizes=hidden_layer_sizes,
            activation="identity",
            generator=generator,
            dtype=dtype,
        )
        check_even("hidden_layer_sizes", hidden_layer_sizes)
        self.kind_of_output = output
        for place, part in enumerate(self.hidden):
            if isinstance(part, nn.Linear):
                make_orthogonal(part, generator)
            else:
                self.hidden[place] = SortPairs()
        if output == "orthogonal":
            make_orthogonal(self.output, generator)
        else:
            make_unit_rows(self.output)


class OrthogonalConvNet(ImageNetwork):
    r"""Network for images that is isometric by construction, and returns logits.

    Each convolution cuts the image into squares that do not overlap and multiplies each with the
    same orthogonal matrix, so that it is one itself: squares of pixels become the channels of one.
    Pairs of channels are sorted, and orthogonal layers follow. The certificate is that of
    :class:`OrthogonalMLP`.

    Parameters
    ----------
    n_features, n_outputs : int
        Values of an image, and width of the logits.
    image_shape : (int, int, int), optional
        Channels, height and width; by default one square channel of `n_features` values.
    channels : sequence of int
        Output channels of each convolution, even.
    patch_size : int or sequence of int
        Sides of the squares of each convolution; both sides of the image must be a multiple of
        their product. With 1, the channels of each pixel are multiplied.
    hidden_layer_sizes : sequence of int
        Widths of the layers after the convolutions, even.

    Raises
    ------
    ValueError
        If the image shape does not hold `n_features` values or is no multiple of the patches, or a
        parameter is out of its range.

    References
    ----------
    J.-H. Jacobsen, A. Smeulders, E. Oyallon, "i-RevNet: Deep Invertible Networks", ICLR 2018, for
    squares of pixels as channels; C. Anil, J. Lucas, R. Grosse, "Sorting out Lipschitz function
    approximation", ICML 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import OrthogonalConvNet
    >>> OrthogonalConvNet(784, 10)(torch.zeros(2, 784)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        image_shape: tuple[int, int, int] | None = None,
        channels: Sequence[int] = (16, 64),
        patch_size: int | Sequence[int] = 2,
        hidden_layer_sizes: Sequence[int] = (256,),
    ) -> None:
        super().__init__()
        counts = {"n_features": n_features, "n_outputs": n_outputs}
        validate_parameter_constraints(dict.fromkeys(counts, COUNT), counts, "OrthogonalConvNet")
        check_even("channels", channels)
        check_even("hidden_layer_sizes", hidden_layer_sizes)
        sides = layer_widths(patch_size, "patch_size")
        sides = sides * len(channels) if len(sides) == 1 else sides
        check_widths("patch_size", sides, len(channels))
        self.image_shape, self.patch_sizes = image_shape_of(image_shape, n_features), tuple(sides)
        _check_patches(self.image_shape, math.prod(sides))
        self.convolutions, self.head = nn.Sequential(), nn.Sequential(nn.Flatten())
        n_in = self.image_shape[0]
        for n_out, patch in zip(channels, sides, strict=True):
            convolution = nn.Conv2d(n_in, n_out, patch, stride=patch)
            self.convolutions.extend([make_orthogonal(convolution), SortPairs()])
            n_in = n_out
        n_in *= math.prod(self.image_shape[1:]) // math.prod(sides) ** 2
        for n_out in hidden_layer_sizes:
            self.head.extend([make_orthogonal(nn.Linear(n_in, n_out)), SortPairs()])
            n_in = n_out
        self.head.append(make_unit_rows(nn.Linear(n_in, n_outputs)))


def make_orthogonal(layer: Layer, generator: torch.Generator | None = None) -> Layer:
    """Give a layer a random orthogonal weight that stays one, and return it.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules._orthogonal import make_orthogonal
    >>> W = make_orthogonal(nn.Linear(4, 2)).weight
    >>> torch.allclose(W @ W.T, torch.eye(2), atol=1e-5)
    True
    """
    rows = layer.weight.flatten(1)
    nn.init.normal_(layer.weight, std=max(rows.shape) ** -0.5, generator=generator)
    parametrize.register_parametrization(layer, "weight", Cayley())
    return layer


def make_unit_rows(layer: nn.Linear) -> nn.Linear:
    """Give a layer a weight whose rows have length 1 and keep it, and return it."""
    parametrize.register_parametrization(layer, "weight", UnitRows())
    return layer


def is_by_construction(module: nn.Module) -> bool:
    """Return whether weights of a module are orthogonal whatever its parameters are.

    Examples
    --------
    >>> from sklearn_iso.modules import MLP, OrthogonalMLP
    >>> from sklearn_iso.modules._orthogonal import is_by_construction
    >>> is_by_construction(OrthogonalMLP(4, 2)), is_by_construction(MLP(4, 2))
    (True, False)
    """
    return any(isinstance(part, (Cayley, UnitRows)) for part in parts_of(module))


def as_plain(module: nn.Module) -> nn.Module:
    """Return a copy with plain weights, which takes a product less for each layer to predict.

    A module without weights that are orthogonal by construction is returned as it is.

    Examples
    --------
    >>> from sklearn_iso.modules import OrthogonalMLP
    >>> from sklearn_iso.modules._orthogonal import as_plain
    >>> as_plain(OrthogonalMLP(4, 2, hidden_layer_sizes=(8,))).hidden
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): SortPairs()
    )
    """
    if not is_by_construction(module):
        return module
    plain = copy.deepcopy(module)
    for part in plain.modules():
        if isinstance(part, nn.Linear | nn.Conv2d) and parametrize.is_parametrized(part):
            _materialise(part)
    return plain


def _materialise(layer: nn.Linear | nn.Conv2d) -> None:
    """Replace a weight of ours in a copy by its value.

    torch's own removal changes the class, which a copy shares with its original.
    """
    steps = dict(cast(nn.ModuleDict, layer.parametrizations).items())
    if list(steps) != ["weight"] or not is_by_construction(steps["weight"]):
        return
    learns = all(free.requires_grad for free in steps["weight"].parameters())
    weight = nn.Parameter(layer.weight.detach(), requires_grad=learns)
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    layer.weight = weight


def check_even(name: str, widths: Sequence[int]) -> None:
    """Raise a ValueError unless all are even numbers of units, so that they form pairs."""
    check_widths(name, widths)
    if any(width % 2 for width in widths):
        raise ValueError(
            f"{name} must be even, as pairs of units are sorted; got {tuple(widths)}. Add a unit "
            "to the odd ones."
        )


def _check_patches(shape: tuple[int, ...], patch: int) -> None:
    if any(side % patch for side in shape[1:]):
        raise ValueError(
            f"patch_size must divide the sides of the images, one after the other; {shape[1:]} is "
            f"no multiple of {patch}. Pass for example patch_size=1 for some, or pad the images."
        )
