"""Where the ascent of a worst-case pair starts."""

from __future__ import annotations

from collections.abc import Sequence
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


def uniform_point(batch: Batch, norm: Norm) -> Tensor:
    """Return one point of the unit ball for all rows, drawn uniformly."""
    drawn = norm.random((1, *batch.X.shape[1:]), batch.generator, torch.float64)
    return drawn.to(batch.X).expand_as(batch.X)


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
