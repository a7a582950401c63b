"""The search for the perturbation of each sample that moves a map the most."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sklearn_iso._geometry import pulled_back
from sklearn_iso._geometry.norms import Norm
from sklearn_iso.modules import Layers
from sklearn_iso.modules._dense import is_dense
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._expansion import joined
from sklearn_iso.penalties._starts import (
    Start,
    along_gradient,
    either_way,
    moved_into,
    random_patches,
    shared_draw,
    uniform_points,
)

Box = tuple[Tensor, Tensor]


def _displacement(logits: Tensor, moved: Tensor, logits_before: Tensor, Z: Tensor) -> Tensor:
    return torch.linalg.vector_norm(moved - Z, dim=1)


def _margin(logits: Tensor, moved: Tensor, logits_before: Tensor, Z: Tensor) -> Tensor:
    """Return by how much the largest other logit exceeds that of the class before the move."""
    top = logits_before.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, top, -math.inf).amax(dim=1)
    return others - logits.gather(1, top).squeeze(1)


Ascent = Literal["displacement", "margin"]
#: What gradient ascent climbs: logits and f at x + delta, logits and f at x -> one height a sample.
HEIGHTS = {"displacement": _displacement, "margin": _margin}
#: Gradients of a search that nobody chose: in a perceptron, and in any other network.
DENSE_STEPS, OTHER_STEPS = 1, 2
#: Last steps of an ascent from a wider ball that stay where the ball no longer shrinks.
STEPS_INSIDE = 2


@dataclass(frozen=True, eq=False)
class AdversarialExamples:
    """Samples of a batch moved by the perturbation that was found for each.

    Attributes
    ----------
    delta : Tensor of the shape of X
        Without a graph.
    logits : Tensor of shape (n_samples, n_outputs)
        At X + delta.
    moved : Tensor of shape (n_samples, n_units)
        The representation at X + delta, several layers as one vector.
    """

    delta: Tensor
    logits: Tensor
    moved: Tensor

    @classmethod
    def at(cls, batch: Batch, delta: Tensor, layers: Layers | None) -> AdversarialExamples:
        """Return the samples of a batch moved by given perturbations."""
        logits, moved = batch.pass_on(batch.X.detach() + delta, layers)
        return cls(delta, logits, joined(moved))


@dataclass(frozen=True)
class PerturbationSearch:
    """Gradient ascent within a ball around each sample, and a box.

    A value: penalties whose searches are equal share one search, and its adversarial examples,
    in every batch.

    Attributes
    ----------
    norm : Norm
    radius : float
        In the units of X.
    starts : tuple of str
        Where the ascent starts; of several, one is drawn for every batch.
    n_steps : "auto" or int
        Gradients taken of the ascent.
    ascent : {"displacement", "margin"}
        What further steps maximise.
    step_size, min_radius : float
        Length of a further step and least radius that is drawn, over the radius.
    bounds : (low, high) or None
        Range of the data, in the units of X.
    warmup : float
        Share of the training over which the radius grows.
    layers : layers or None
        The map; several layers count as one vector.
    image_shape : tuple of int or None
        What a sample holds, where a start is at patches.
    first_radius : float
        Of the ball in which the ascent starts, over the radius that is drawn.

    Examples
    --------
    >>> from sklearn_iso._geometry.norms import get_norm
    >>> from sklearn_iso.penalties._search import PerturbationSearch
    >>> PerturbationSearch(get_norm("l2"), 0.5) == PerturbationSearch(get_norm(2), 0.5)
    True
    """

    norm: Norm
    radius: float
    starts: tuple[Start, ...] = ("margin",)
    n_steps: Literal["auto"] | int = "auto"
    ascent: Ascent = "displacement"
    step_size: float = 1.0
    min_radius: float = 0.0
    bounds: tuple[float, float] | None = None
    warmup: float = 0.0
    layers: str | tuple[str, ...] | None = "logits"
    image_shape: tuple[int, ...] | None = None
    first_radius: float = 1.0

    def examples(self, batch: Batch) -> AdversarialExamples:
        """Return the adversarial examples of a batch, found once for all equal searches."""
        return batch.once(self, lambda: self._found(batch))

    def perturbation(self, batch: Batch) -> Tensor:
        """Return the perturbation of each sample, of a radius that is drawn, without a graph."""
        # One radius for the batch, not one a sample: a sample of weight 2 is the sample twice.
        draw = torch.rand((), generator=batch.generator, dtype=torch.float64)
        grown = min(1.0, batch.progress / self.warmup) if self.warmup else 1.0
        radius = self.radius * grown * (1 - (1 - self.min_radius) * float(draw))
        return self.climb(batch, radius)

    def climb(self, batch: Batch, radius: float, n_more: int = 0) -> Tensor:
        """Return perturbations of a radius, found with so many gradients more than `n_steps`."""
        Z = joined(batch.representations(self.layers))
        X, norm = batch.X.detach(), self.norm
        start, n_left = self.first(batch, Z, self._box(X, self.first_radius * radius))
        direction = self.first_radius * start
        for step in range(n_left + n_more):
            gradient = self._gradient(batch, Z.detach(), radius * direction)
            size = self._size(step, n_left)
            box = self._box(X, size * radius)
            moved = norm.projected_step(direction / size, gradient, self.step_size, step, box)
            direction = size * moved
        return radius * direction

    def _size(self, step: int, n_steps: int) -> float:
        """Return the size of the ball that a step ends in, over the radius."""
        done = (step + 1) / max(n_steps - STEPS_INSIDE, 1)
        return self.first_radius ** max(1 - done, 0.0)

    def first(self, batch: Batch, Z: Tensor, box: Box | None = None) -> tuple[Tensor, int]:
        """Return where the ascent starts in unit ball and box, and how many gradients are left."""
        several = len(self.starts) > 1
        chosen = torch.randint(len(self.starts), (), generator=batch.generator) if several else 0
        start = self.starts[int(chosen)]
        if start in ("uniform", "patches"):
            drawn = self._drawn(start, batch)
            # A margin has a gradient also where the box allows nothing of what is drawn.
            place = either_way if self.ascent == "displacement" else moved_into
            return place(drawn, self.norm, box), self._n_gradients(batch)
        if start == "margin":
            gradient = batch.margin_gradient
        else:
            gradient = pulled_back(Z, batch.X, shared_draw(Z, batch))
        return along_gradient(gradient, self.norm, box), self._n_gradients(batch) - 1

    def _drawn(self, start: Start, batch: Batch) -> Tensor:
        if start == "uniform":
            return uniform_points(batch, self.norm, self.radius)
        return random_patches(batch, self.image_shape, self.norm)

    def _found(self, batch: Batch) -> AdversarialExamples:
        return AdversarialExamples.at(batch, self.perturbation(batch), self.layers)

    def _box(self, X: Tensor, radius: float) -> Box | None:
        """Return how far each feature may move down and up, over the radius."""
        if self.bounds is None:
            return None
        low, high = self.bounds
        unit = max(radius, torch.finfo(X.dtype).tiny)
        return (low - X).clamp_max(0) / unit, (high - X).clamp_min(0) / unit

    def _n_gradients(self, batch: Batch) -> int:
        if isinstance(self.n_steps, str):
            return DENSE_STEPS if is_dense(batch.module) else OTHER_STEPS
        return int(self.n_steps)

    def _gradient(self, batch: Batch, Z: Tensor, delta: Tensor) -> Tensor:
        X = (batch.X.detach() + delta).requires_grad_()
        with torch.enable_grad():
            logits, moved = batch.pass_on(X, self.layers)
            height = HEIGHTS[self.ascent](logits, joined(moved), batch.logits.detach(), Z)
        # Samples are independent, so the gradient of the sum is that of every sample.
        (gradient,) = torch.autograd.grad(height.sum(), X)
        return gradient
