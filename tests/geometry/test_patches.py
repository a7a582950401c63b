"""Laws of patches of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearn_iso._geometry.patches import LARGEST, ImageLayout


def drawn(layout, n=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return layout.patches(n, generator, torch.float64)


@given(
    channels=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_patch_is_one_square_window_of_every_channel(channels, height, width, seed):
    layout = ImageLayout(channels, height, width)
    images = drawn(layout, 5, seed).view(5, channels, height, width)
    longest = max(1, round(LARGEST * min(height, width)))
    for image in images:
        inside = image.ne(0)
        assert inside.any() and bool((inside == inside[0]).all())
        down, right = (inside[0].any(dim=d).nonzero().squeeze(1) for d in (1, 0))
        n_down, n_right = (int(axis[-1] - axis[0]) + 1 for axis in (down, right))
        assert n_down == n_right <= longest
        assert int(inside[0].sum()) == n_down * n_right
        assert float(image.abs().max()) <= 1


def test_patches_reach_every_pixel_and_take_either_sign():
    images = drawn(ImageLayout(1, 6, 6), n=500)
    assert bool((images > 0).any(dim=0).all()) and bool((images < 0).any(dim=0).all())


def test_channels_last_is_the_same_patch_with_the_channels_moved():
    first, last = ImageLayout.of((60,), (3, 4, 5)), ImageLayout.of((60,), (4, 5, 3))
    assert not first.channels_last and last.channels_last
    moved = drawn(first).view(-1, 3, 4, 5).movedim(1, -1).reshape(-1, 60)
    assert torch.equal(drawn(last), moved)


@pytest.mark.parametrize(
    ("row_shape", "image_shape", "layout"),
    [
        ((784,), None, ImageLayout(1, 28, 28)),
        ((6,), (2, 3), ImageLayout(1, 2, 3)),
        ((6,), np.array([2, 3]), ImageLayout(1, 2, 3)),
        ((2, 3), None, ImageLayout(1, 2, 3)),
        ((3, 8, 8), None, ImageLayout(3, 8, 8)),
        ((8, 8, 3), None, ImageLayout(3, 8, 8, channels_last=True)),
    ],
)
def test_layout_is_that_of_the_row_or_the_one_asked_for(row_shape, image_shape, layout):
    assert ImageLayout.of(row_shape, image_shape) == layout


@pytest.mark.parametrize(
    ("image_shape", "found"),
    [
        ((3, 3), r"must hold the 10 values of a row; \(3, 3\) holds 9"),
        (None, r"must be given where samples are flat and not square; they have 10 values"),
        ((10,), r"must be \(height, width\), or three sizes"),
        ((2.5, 4), "positive integers; got"),
        ((True, 10), "positive integers; got"),
        ((-1, 10), "positive integers; got"),
        ("images", "positive integers; got 'images'"),
    ],
)
def test_shape_that_is_no_image_of_a_row_is_named_in_the_error(image_shape, found):
    with pytest.raises(ValueError, match=found):
        ImageLayout.of((10,), image_shape)
