"""Images that move in training: what they become, and what stays as it was."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from sklearn_iso import IsometricClassifier
from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso._training.shifts import shifted
from sklearn_iso.augmentation import RandomShifts


@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 3))
def test_pixels_move_together_and_edges_are_filled(seed, channels_last, most):
    generator = np.random.default_rng(seed)
    shape = (5, 6, 3) if channels_last else (3, 5, 6)
    X = generator.normal(size=(7, *shape))
    moves = generator.integers(-most, most + 1, size=(7, 2))
    found = shifted(
        torch.from_numpy(X).flatten(1), ImageLayout.of((90,), shape), torch.from_numpy(moves), -2.0
    )
    spatial = (0, 1) if channels_last else (1, 2)
    for image, moved, (down, right) in zip(X, found.numpy(), moves, strict=True):
        padding = [(most, most) if axis in spatial else (0, 0) for axis in range(3)]
        wide = np.roll(np.pad(image, padding, constant_values=-2.0), (down, right), spatial)
        inside = [slice(most, -most) if axis in spatial else slice(None) for axis in range(3)]
        np.testing.assert_array_equal(moved.reshape(shape), wide[tuple(inside)])


def fitted(X, y, **parameters):
    shifts = RandomShifts(random_state=3)
    return IsometricClassifier(
        callbacks=[shifts], max_epochs=2, random_state=0, **parameters
    ).fit(X, y)  # fmt: skip


def test_a_fit_sees_shifted_images_the_same_each_time_and_leaves_x_alone():
    X, y = load_digits(return_X_y=True)
    X, y = X[:200].astype(np.float32), y[:200]
    before = X.copy()
    first, second = fitted(X, y).predict_proba(X), fitted(X, y).predict_proba(X)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(first, second)
    still = IsometricClassifier(max_epochs=2, random_state=0).fit(X, y).predict_proba(X)
    assert np.abs(first - still).max() > 1e-3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_pixels": 0}, "'n_pixels' parameter of RandomShifts must be an int in the range"),
        ({"n_pixels": 8}, "n_pixels must be less than the sides of an image, of which one is 8"),
        (
            {"image_shape": (5, 5)},
            r"hold the 64 values of a row; \(5, 5\) holds 25",
        ),
        ({"fill": 1e300}, r"fill must be a value of X, whose dtype torch.float32 ends at 3.4e\+38"),
        ({"fill": np.inf}, "'fill' parameter of RandomShifts must be a float in the range"),
    ],
)
def test_errors_tell_the_rule_and_what_came(parameters, message):
    X, y = load_digits(n_class=2, return_X_y=True)
    model = IsometricClassifier(callbacks=[RandomShifts(**parameters)], max_epochs=1)
    with pytest.raises(ValueError, match=message):
        model.fit(X[:40].astype(np.float32), y[:40])
