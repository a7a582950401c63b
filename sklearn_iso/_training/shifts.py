"""Images that move by a pixel or two in training."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from sklearn_iso._geometry.patches import ImageLayout


class RandomShifts(Callback):
    """Shift each image of a training batch by some pixels, anew in every epoch.

    Parameters
    ----------
    image_shape : (height, width), or with the channels first or last, default=None
        What a sample holds. None: what its shape says, or one square channel.
    n_pixels : int, default=1
        Most pixels that an image moves along each axis.
    fill : float, default=0.0
        Value of the pixels that come in from outside, in the units of X.
    random_state : int, default=0
        Seed of the shifts, beside the epoch and the batch: a run that is resumed sees the same.

    Raises
    ------
    ValueError
        From ``fit``, if n_pixels is no integer of at least 1, or a sample holds no such image.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.patches import ImageLayout
    >>> from sklearn_iso._training.shifts import shifted
    >>> image = ImageLayout.of((4,), (2, 2))
    >>> shifted(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), image, torch.tensor([[0, 1]]), fill=0.0)
    tensor([[0., 1., 0., 3.]])
    """

    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        n_pixels: int = 1,
        *,
        fill: float = 0.0,
        random_state: int = 0,
    ) -> None:
        self.image_shape, self.n_pixels = image_shape, n_pixels
        self.fill, self.random_state = fill, random_state

    def on_train_begin(
        self, net: NeuralNet, X: object = None, y: object = None, **kwargs: object
    ) -> None:
        """Check the parameter."""
        if not isinstance(self.n_pixels, Integral) or self.n_pixels < 1:
            raise ValueError(
                f"n_pixels must be an integer of at least 1; got {self.n_pixels!r}. Leave the "
                "callback out to train on images as they are."
            )

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Seed the shifts of an epoch."""
        self.generator_ = np.random.default_rng([self.random_state, len(net.history)])

    def on_batch_begin(
        self, net: NeuralNet, batch: tuple[Tensor, Tensor], training: bool, **kwargs: object
    ) -> None:
        """Shift the images of a training batch, in place."""
        if not training:
            return
        X, _ = batch
        layout = ImageLayout.of(X.shape[1:], self.image_shape)
        moves = self.generator_.integers(-self.n_pixels, self.n_pixels + 1, size=(len(X), 2))
        X.copy_(shifted(X, layout, torch.from_numpy(moves).to(X.device), self.fill))


def shifted(X: Tensor, image: ImageLayout, moves: Tensor, fill: float) -> Tensor:
    """Return images (n, ...) moved down and right by whole pixels (n, 2).

    Examples
    --------
    See :class:`RandomShifts`.
    """
    most = int(moves.abs().amax()) if len(moves) else 0
    if image.channels_last:
        images = X.reshape(len(X), image.height, image.width, image.channels).permute(0, 3, 1, 2)
    else:
        images = X.reshape(len(X), image.channels, image.height, image.width)
    padded = nn.functional.pad(images, (most,) * 4, value=fill)
    found = torch.empty_like(images)
    for down, right in torch.unique(moves, dim=0).tolist():
        at = ((moves[:, 0] == down) & (moves[:, 1] == right)).nonzero().squeeze(1)
        top, left = most - down, most - right
        found[at] = padded[at, :, top : top + image.height, left : left + image.width]
    return (found.permute(0, 2, 3, 1) if image.channels_last else found).reshape(X.shape)
