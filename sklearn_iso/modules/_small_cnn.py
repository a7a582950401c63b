"""The network that TRADES is measured with, for images that arrive as samples."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.utils._param_validation import validate_parameter_constraints
from torch import nn

from sklearn_iso.modules._convnet import ImageNetwork, image_shape_of
from sklearn_iso.modules._widths import COUNT, check_widths, layer_widths

#: Width of every kernel, and of every window of a pooling.
KERNEL, WINDOW = 3, 2


class SmallCNN(ImageNetwork):
    r"""Two convolutions and a pooling, twice, then two hidden layers: the network of TRADES.

    Convolutions are 3x3 without padding, poolings take the largest of 2x2, activations are ReLU. A
    side of s pixels becomes :math:`\lfloor (s - 4) / 2 \rfloor` with each pair. The weights of
    convolutions are drawn as He has it and their biases are 0, as there; but there is no dropout,
    and the last layer is drawn as torch has it and not set to 0: an output that does not depend on
    X moves with no perturbation, and a worst case of it teaches nothing.

    An estimator builds it by the name "small_cnn".

    Parameters
    ----------
    n_features, n_outputs : int
        Values of an image, and width of the logits.
    image_shape : (int, int, int), optional
        Channels, height and width; by default one square channel of `n_features` values.
    channels : sequence of int
        Output channels of both convolutions of each pair.
    hidden_layer_sizes : sequence of int
        Units of the layers after the last pooling.

    Raises
    ------
    ValueError
        If the image shape does not hold `n_features` values or is too small for the layers, or
        a parameter is out of its range.

    References
    ----------
    H. Zhang et al., "Theoretically Principled Trade-off between Robustness and Accuracy", ICML
    2019, whose code calls it SmallCNN. N. Carlini and D. Wagner, "Towards Evaluating the
    Robustness of Neural Networks", IEEE S&P 2017, where it comes from.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import SmallCNN
    >>> net = SmallCNN(784, 10)
    >>> net(torch.zeros(2, 784)).shape, sum(p.numel() for p in net.parameters())
    (torch.Size([2, 10]), 312202)
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        image_shape: tuple[int, int, int] | None = None,
        channels: Sequence[int] = (32, 64),
        hidden_layer_sizes: Sequence[int] = (200, 200),
    ) -> None:
        super().__init__()
        counts = {"n_features": n_features, "n_outputs": n_outputs}
        validate_parameter_constraints(dict.fromkeys(counts, COUNT), counts, "SmallCNN")
        check_widths("channels", channels)
        self.image_shape = image_shape_of(image_shape, n_features)
        height, width = (_left(side, len(channels)) for side in self.image_shape[1:])
        if min(height, width) < 1:
            raise ValueError(
                f"image_shape must leave room for {len(channels)} pairs of convolutions of "
                f"{KERNEL}x{KERNEL} with a pooling after each; got {self.image_shape}. Pass fewer "
                "channels."
            )
        self.convolutions = nn.Sequential()
        n_in = self.image_shape[0]
        for n_out in channels:
            for size in (n_in, n_out):
                self.convolutions.extend([nn.Conv2d(size, n_out, KERNEL), nn.ReLU()])
            self.convolutions.append(nn.MaxPool2d(WINDOW))
            n_in = n_out
        self.head = nn.Sequential(nn.Flatten())
        n_in = n_in * height * width
        for n_out in layer_widths(hidden_layer_sizes):
            self.head.extend([nn.Linear(n_in, n_out), nn.ReLU()])
            n_in = n_out
        self.head.append(nn.Linear(n_in, n_outputs))
        for part in self.convolutions:
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                nn.init.kaiming_normal_(part.weight)
                nn.init.zeros_(part.bias)


def _left(side: int, n_pairs: int) -> int:
    """Return what pairs of convolutions, each with a pooling, leave of a side."""
    for _ in range(n_pairs):
        side = (side - 2 * (KERNEL - 1)) // WINDOW
    return side
