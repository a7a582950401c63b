"""Images that move by a pixel or two in training."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
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
    random_state : int or None, default=0
        Seed of the shifts, beside the epoch and the batch: a run that is resumed sees the same.
        None takes fresh entropy.

    Raises
    ------
    ValueError
        From ``fit``, if a parameter is out of its range, or a sample holds no such image.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.augmentation import RandomShifts
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = IsometricClassifier(callbacks=[RandomShifts((8, 8))], random_state=0)
    >>> classifier.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.9
    True
    """

    _parameter_constraints: dict[str, Sequence[object]] = {
        "image_shape": [tuple, list, None],
        "n_pixels": [Interval(Integral, 1, None, closed="left")],
        "fill": [Interval(Real, None, None, closed="neither")],
        "random_state": [Interval(Integral, 0, None, closed="left"), None],
    }

    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        n_pixels: int = 1,
        *,
        fill: float = 0.0,
        random_state: int | None = 0,
    ) -> None:
        self.image_shape, self.n_pixels = image_shape, n_pixels
        self.fill, self.random_state = fill, random_state

    def on_train_begin(
        self, net: NeuralNet, X: object = None, y: object = None, **kwargs: object
    ) -> None:
        """Check the parameters."""
        given = {name: getattr(self, name) for name in self._parameter_constraints}
        validate_parameter_constraints(self._parameter_constraints, given, type(self).__name__)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Seed the shifts of an epoch."""
        seed = None if self.random_state is None else [self.random_state, len(net.history)]
        self.generator_ = np.random.default_rng(seed)

    def on_batch_begin(
        self, net: NeuralNet, batch: tuple[Tensor, Tensor], training: bool, **kwargs: object
    ) -> None:
        """Shift the images of a training batch, in place."""
        if not training:
            return
        X, _ = batch
        layout = ImageLayout.of(X.shape[1:], self.image_shape)
        if self.n_pixels >= (side := min(layout.height, layout.width)):
            raise ValueError(
                f"n_pixels must be less than the sides of an image, of which one is {side}; got "
                f"{self.n_pixels}. Take 1 or 2."
            )
        if abs(self.fill) > (most := torch.finfo(X.dtype).max):
            raise ValueError(
                f"fill must be a value of X, whose dtype {X.dtype} ends at {most:.3g}; got "
                f"{self.fill:g}. Take the value of the background."
            )
        moves = self.generator_.integers(-self.n_pixels, self.n_pixels + 1, size=(len(X), 2))
        X.copy_(shifted(X, layout, torch.from_numpy(moves).to(X.device), self.fill))


def shifted(X: Tensor, image: ImageLayout, moves: Tensor, fill: float) -> Tensor:
    """Return images (n, ...) moved down and right by whole pixels (n, 2).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.patches import ImageLayout
    >>> from sklearn_iso._training.shifts import shifted
    >>> image = ImageLayout.of((4,), (2, 2))
    >>> shifted(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), image, torch.tensor([[0, 1]]), fill=0.0)
    tensor([[0., 1., 0., 3.]])
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
