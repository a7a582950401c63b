"""Where the ascent of a worst-case pair starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso._geometry.norms import Norm
from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso.penalties._batch import Batch

Start = Literal["margin", "random", "uniform", "patches"]
STARTS: tuple[Start, ...] = get_args(Start)
#: Most patches that a pair starts with.
MOST_PATCHES = 4
#: Turns that a sign makes between rows a radius apart: enough for both to be independent.
FREQUENCY = 10.0
#: Directions in which rows are told apart: in one alone, two may lie side by side.
N_DIRECTIONS = 4


def shared_draw(Z: Tensor, batch: Batch) -> Tensor:
    """Return one normal draw for all rows, so that a row twice is a row of weight 2."""
    u = torch.randn(Z.shape[1], generator=batch.generator, dtype=torch.float64)
    return u.to(Z).expand_as(Z)


def random_patches(batch: Batch, image_shape: Sequence[int] | None, norm: Norm) -> Tensor:
    """Return the sum of a few patches, of size 1 and the same for all samples."""
    n_patches = int(torch.randint(1, MOST_PATCHES + 1, (), generator=batch.generator))
    layout = ImageLayout.of(batch.X.shape[1:], image_shape)
    drawn = layout.patches(n_patches, batch.generator, torch.float64)
    total = drawn.sum(dim=0, keepdim=True)
    # In a small image two may be opposites; then the first of them is left.
    total = total if total.any() else drawn[:1]
    return (total / norm.size(total)).reshape(1, *batch.X.shape[1:]).to(batch.X).expand_as(batch.X)


def uniform_points(batch: Batch, norm: Norm, radius: float) -> Tensor:
    """Return a uniform point of the unit ball for each row, the same one for equal rows.

    Absolute values are drawn once for the batch; signs are those of the row, as a ball has the
    same mirror images in every norm.
    """
    drawn = norm.random((1, *batch.X.shape[1:]), batch.generator, torch.float64)
    return drawn.to(batch.X) * random_signs(batch, radius)


def random_signs(batch: Batch, radius: float) -> Tensor:
    r"""Return a sign for each value of X: equal rows agree in them, and others share nothing.

    .. math:: \operatorname{sign} \cos\big(2 \pi (\phi_k + \omega_k^\top U x_i / r)\big)

    As the phases are uniform, the signs of a row are fair and independent, whatever the row. As
    the frequencies are high, so are those of two rows that are farther apart than the radius in
    the few random directions U.
    """
    draw = partial(torch.randn, generator=batch.generator, dtype=torch.float64)
    X = batch.X.detach().flatten(1).double()
    place = X @ (draw(X.shape[1], N_DIRECTIONS) / radius).to(X)
    phase = torch.rand(X.shape[1], generator=batch.generator, dtype=torch.float64).to(X)
    turns = phase + place @ (FREQUENCY * draw(N_DIRECTIONS, X.shape[1])).to(X)
    negative = torch.cos(2 * math.pi * turns) < 0
    return (1 - 2 * negative.to(batch.X)).reshape(batch.X.shape)


def along_gradient(gradient: Tensor, norm: Norm, box: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return the step of the unit ball, and of a box around 0, that climbs along a gradient.

    With the norm "l1" the steepest step moves one feature only: it must be one that the box lets
    move, or the pair has no length and, as a displacement of 0 has no gradient, never gets one.
    """
    return norm.steepest(gradient) if box is None else norm.farthest(gradient, *box)


def moved_into(direction: Tensor, norm: Norm, box: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return a direction moved into the unit ball and a box around 0, if there is one."""
    return direction if box is None else norm.project_into(direction, *box)


def either_way(direction: Tensor, norm: Norm, box: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return a direction moved into the box, or its opposite where the box allows nothing of it.

    Dark patches do not darken what is black, and a displacement of 0 has no gradient to follow.
    """
    inside = moved_into(direction, norm, box)
    held = ~inside.flatten(1).any(dim=1)
    return torch.where(along(held, inside), moved_into(-direction, norm, box), inside)
