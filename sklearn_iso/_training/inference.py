"""A trained module over samples of numpy, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_iso._threads import threads_for
from sklearn_iso.modules import Autoencoder, Layers, represent
from sklearn_iso.modules._ambient import own_modes_without_gradients
from sklearn_iso.modules._orthogonal import as_plain
from sklearn_iso.modules._parts import first_weight, is_training, largest_product
from sklearn_iso.modules._representations import first_output

#: Samples that pass through the network at once.
ROWS = 1024


def logits(module: nn.Module, X: NDArray) -> NDArray:
    """Return the logits (n_samples, n_outputs) of a module in evaluation mode."""
    plain = as_plain(module)
    return _by_batch(plain, X, lambda rows: first_output(plain(rows)))


def probabilities(logits: NDArray) -> NDArray:
    """Return the softmax of logits over their second axis.

    That of scipy, bit by bit, whose preparations cost as much as a small network for one sample.
    """
    shifted: NDArray = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= np.add.reduce(shifted, axis=1, keepdims=True)
    return shifted


def representation(module: nn.Module, X: NDArray, layers: Layers) -> NDArray:
    """Return the last of the chosen representations (n_samples, n_units)."""
    plain = as_plain(module)
    return _by_batch(plain, X, lambda rows: represent(plain, rows, layers)[-1])


def squared_errors(module: Autoencoder, X: NDArray) -> NDArray:
    """Return how far (n_samples,), squared, each sample is from its way there and back."""
    return _by_batch(module, X, lambda rows: (module(rows)[1] - rows).flatten(1).square().sum(1))


def _by_batch(module: nn.Module, X: NDArray, function: Callable[[Tensor], Tensor]) -> NDArray:
    if is_training(module):
        module.eval()
    first = first_weight(module)
    outputs, n_samples = None, len(X)
    size = largest_product(module, min(n_samples, ROWS))
    with threads_for(size), own_modes_without_gradients():
        for start in range(0, n_samples, ROWS):
            rows = slice(start, min(start + ROWS, n_samples))
            # torch takes no negative strides, as those of X[::-1]: a copy of the batch has none.
            batch = torch.from_numpy(np.array(X[rows], order="C")).to(first)
            part = function(batch).numpy(force=True)
            if outputs is None:
                # Filled batch by batch: small arrays between large ones would hold on to the heap.
                outputs = np.empty((n_samples, *part.shape[1:]), dtype=part.dtype)
            _check_shape(part.shape, (rows.stop - start, *outputs.shape[1:]))
            outputs[rows] = part
    return np.empty(0) if outputs is None else outputs


def _check_shape(found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise ValueError(
            f"A module must return one output for each sample, all of one shape: {expected} was "
            f"expected of a batch of {expected[0]}; got {found}. Flatten from the second axis on."
        )
