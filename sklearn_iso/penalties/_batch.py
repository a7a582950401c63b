"""What a penalty sees of a batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from sklearn_iso._geometry import pulled_back
from sklearn_iso.modules import Layers, represent, represent_many

T = TypeVar("T")


class Batch:
    """A batch of samples with the representations that the penalties ask for.

    Parameters
    ----------
    module : nn.Module
        The map X -> logits.
    X : Tensor of shape (n_samples, ...)
        Input.
    y : Tensor of shape (n_samples,)
        Class of each sample, as an index.
    weight : Tensor of shape (n_samples,)
        Weight of each sample, positive.
    layers : {"hidden", "last_hidden", "logits"} or sequence of str
        Representations meant by a penalty that names none of its own.
    choices : sequence of layers
        Every choice that will be asked for, so that one forward pass serves all.
    generator : torch.Generator
        Draws whatever a penalty draws.
    progress : float, default=1.0
        Share of the training done, from 0 to 1.
    index : Tensor of shape (n_samples,), optional
        Number of each sample among the training samples.
    distances : Tensor of shape (n_samples, n_samples), optional
        Distances between the samples that were given instead of a metric.

    Attributes
    ----------
    logits : Tensor of shape (n_samples, n_outputs)
    total_weight : float
        Sum of the weights.
    margin_gradient : Tensor of the shape of X
        Gradient of the second largest logit less the largest.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.penalties import Batch
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> generator = torch.Generator().manual_seed(0)
    >>> X, y, weight = torch.zeros(5, 4), torch.zeros(5, dtype=int), torch.ones(5)
    >>> batch = Batch(net, X, y, weight, layers="hidden", generator=generator)
    >>> [tuple(Z.shape) for Z in batch.representations()]
    [(5, 3)]
    """

    def __init__(
        self,
        module: nn.Module,
        X: Tensor,
        y: Tensor,
        weight: Tensor,
        *,
        layers: Layers = "hidden",
        choices: Sequence[Layers | None] = (),
        generator: torch.Generator,
        progress: float = 1.0,
        index: Tensor | None = None,
        distances: Tensor | None = None,
    ) -> None:
        self.index, self.distances = index, distances
        self.module, self.X, self.y, self.weight = module, X, y, weight
        self.layers, self.generator, self.progress = layers, generator, progress
        every = [self._default(choice) for choice in choices]
        once = dict.fromkeys(layers for layers in every if isinstance(layers, str))
        asked = [*once, *(layers for layers in every if not isinstance(layers, str))]
        self.logits, found = represent_many(module, X, asked)
        self._representations = dict(zip(map(_key, asked), found, strict=True))
        self._computed: dict[Hashable, object] = {}

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return self.weight.sum().item()

    @cached_property
    def margin_gradient(self) -> Tensor:
        """Gradient at X of the second largest logit less the largest: one for all penalties."""
        return pulled_back(self.logits, self.X, _towards_runner_up(self.logits))

    def representations(self, layers: Layers | None = None) -> tuple[Tensor, ...]:
        """Return the chosen representations of X, each (n_samples, n_units).

        Parameters
        ----------
        layers : {"hidden", "last_hidden", "logits"}, sequence of str, or None, default=None
            Keyword, or names of submodules, whose outputs are taken; None means those of the
            estimator.

        Returns
        -------
        representations : tuple of Tensor of shape (n_samples, n_units)
            One for each layer.
        """
        layers = self._default(layers)
        key = _key(layers)
        if key not in self._representations:
            self._representations[key] = represent(self.module, self.X, layers)
        return self._representations[key]

    def represent(self, X: Tensor, layers: Layers | None = None) -> tuple[Tensor, ...]:
        """Return the chosen representations of another input of the same shape.

        Parameters
        ----------
        X : Tensor of the shape of the batch
            Samples.
        layers : {"hidden", "last_hidden", "logits"}, sequence of str, or None, default=None
            Keyword, or names of submodules, whose outputs are taken; None means those of the
            estimator.

        Returns
        -------
        representations : tuple of Tensor of shape (n_samples, n_units)
            One for each layer.
        """
        return represent(self.module, X, self._default(layers))

    def pass_on(self, X: Tensor, layers: Layers | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the logits and the chosen representations of another input, from one pass.

        Parameters
        ----------
        X : Tensor of the shape of the batch
            Samples.
        layers : {"hidden", "last_hidden", "logits"}, sequence of str, or None
            Keyword, or names of submodules, whose outputs are taken; None means those of the
            estimator.

        Returns
        -------
        logits : Tensor of shape (n_samples, n_outputs)
            Scores.
        representations : tuple of Tensor of shape (n_samples, n_units)
            One for each layer.
        """
        logits, (found,) = represent_many(self.module, X, [self._default(layers)])
        return logits, found

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return what `compute` returns, computed once for all equal keys: penalties share it.

        Parameters
        ----------
        key : hashable
            What the result depends on, beside the batch.
        compute : callable
            Without parameters.

        Returns
        -------
        result : object
            What `compute` returned the first time.

        Examples
        --------
        >>> import torch
        >>> from torch import nn
        >>> from sklearn_iso.penalties import Batch
        >>> X, y, weight = torch.zeros(5, 4), torch.zeros(5, dtype=int), torch.ones(5)
        >>> batch = Batch(nn.Linear(4, 3), X, y, weight, generator=torch.Generator())
        >>> batch.once("size", lambda: 5), batch.once("size", lambda: 6)
        (5, 5)
        """
        if key not in self._computed:
            self._computed[key] = compute()
        return cast(T, self._computed[key])

    def _default(self, layers: Layers | None) -> Layers:
        return self.layers if layers is None else layers


def _towards_runner_up(logits: Tensor) -> Tensor:
    """Return for each sample +1 at the second largest logit and -1 at the largest."""
    top = logits.detach().topk(2, dim=1).indices
    signs = logits.new_tensor([-1.0, 1.0]).expand(len(logits), 2)
    return torch.zeros_like(logits).scatter_(1, top, signs)


def _key(layers: Layers) -> str | tuple[str, ...]:
    return layers if isinstance(layers, str) else tuple(layers)
