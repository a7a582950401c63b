"""A small convolutional network for images that arrive as samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints
from torch import Tensor, nn

from sklearn_iso.modules._widths import COUNT, check_widths

_INITIALIZATIONS = StrOptions({"uniform", "interval"})


class ImageNetwork(nn.Module):
    """A network of convolutions and a head, for images that arrive as samples."""

    image_shape: tuple[int, ...]
    convolutions: nn.Sequential
    head: nn.Sequential

    def forward(self, X: Tensor) -> Tensor:
        """Return the logits of samples (n_samples, n_features) or images ``(n_samples, *shape)``.

        Raises
        ------
        ValueError
            If the images are of another shape.
        """
        shape = tuple(self.image_shape)
        if X.ndim > 2 and tuple(X.shape[1:]) != shape:
            raise ValueError(
                f"Images must be of shape {shape}; got {tuple(X.shape[1:])}. "
                f"Pass image_shape=(channels, height, width) to {type(self).__name__}."
            )
        logits: Tensor = self.head(self.convolutions(X.reshape(-1, *self.image_shape)))
        return logits


class ConvNet(ImageNetwork):
    r"""Convolutions of stride 2, one hidden layer, logits.

    Each convolution halves the image; no pooling and no normalisation, so that the map is
    as smooth as its weights.

    Parameters
    ----------
    n_features, n_outputs : int
        Values of an image, and width of the logits.
    image_shape : (int, int, int), optional
        Channels, height and width; by default one square channel of `n_features` values.
    channels : sequence of int
        Output channels of each convolution.
    kernel_size : int
        Width of each kernel.
    n_hidden : int
        Units of the hidden layer.
    initialization : {"uniform", "interval"}
        Of the weights: as torch has it, or normal with a standard deviation of
        :math:`2 \sqrt{2 \pi} / n` for units of n inputs and biases of 0. Then intervals of inputs
        grow by a factor of about 2 in each layer only, where they grow with the width otherwise:
        for training by :class:`~sklearn_iso.penalties.CertifiedCrossEntropy`.

    Raises
    ------
    ValueError
        If the image shape does not hold `n_features` values or is too small for the layers, or
        a parameter is out of its range.

    References
    ----------
    Z. Shi et al., "Fast Certified Robust Training with Short Warmup", NeurIPS 2021, for the
    initialization for intervals, which here is twice theirs.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import ConvNet
    >>> ConvNet(784, 10)(torch.zeros(2, 784)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        image_shape: tuple[int, int, int] | None = None,
        channels: Sequence[int] = (16, 32),
        kernel_size: int = 4,
        n_hidden: int = 100,
        initialization: str = "uniform",
    ) -> None:
        super().__init__()
        counts = {
            "n_features": n_features,
            "n_outputs": n_outputs,
            "kernel_size": kernel_size,
            "n_hidden": n_hidden,
        }
        constraints = {**dict.fromkeys(counts, COUNT), "initialization": [_INITIALIZATIONS]}
        given = {**counts, "initialization": initialization}
        validate_parameter_constraints(constraints, given, "ConvNet")
        check_widths("channels", channels)
        self.image_shape = image_shape_of(image_shape, n_features)
        self.convolutions = nn.Sequential()
        n_in, (height, width) = self.image_shape[0], self.image_shape[1:]
        for n_out in channels:
            self.convolutions.append(nn.Conv2d(n_in, n_out, kernel_size, stride=2, padding=1))
            self.convolutions.append(nn.ReLU())
            n_in = n_out
            height, width = ((side - kernel_size + 2) // 2 + 1 for side in (height, width))
            if min(height, width) < 1:
                raise ValueError(
                    f"image_shape must leave room for kernel_size={kernel_size} in each of "
                    f"{len(channels)} layers; got {self.image_shape}. Pass fewer channels."
                )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(n_in * height * width, n_hidden),
            nn.ReLU(),
            nn.Linear(n_hidden, n_outputs),
        )
        if initialization == "interval":
            _set_for_intervals(self)


def image_shape_of(given: tuple[int, int, int] | None, n_features: int) -> tuple[int, ...]:
    """Return the shape of an image, checked; by default one square channel.

    Raises
    ------
    ValueError
        If it holds not as many values as a sample.

    Examples
    --------
    >>> from sklearn_iso.modules._convnet import image_shape_of
    >>> image_shape_of(None, 784)
    (1, 28, 28)
    """
    side = math.isqrt(n_features)
    shape = (1, side, side) if given is None else given
    check_widths("image_shape", shape, 3)
    if math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape must hold as many values as a row; {tuple(shape)} does not "
            f"hold {n_features}. Pass image_shape=(channels, height, width)."
        )
    return tuple(shape)


def _set_for_intervals(module: nn.Module) -> None:
    """Draw weights with which intervals grow by a factor of about 2 in each layer."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.normal_(part.weight, std=2 * math.sqrt(2 * math.pi) / part.weight[0].numel())
            if part.bias is not None:
                nn.init.zeros_(part.bias)
