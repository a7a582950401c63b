"""What a fit takes from the data before it starts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_iso._training import input_similarity
from sklearn_iso._training.calibration import INPUT_LENGTH


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_input_similarity_centres_the_rows_at_the_stated_length(n, scale, offset):
    X = scale * (np.random.default_rng(n).normal(size=(n, 3)) + offset)
    weight = np.random.default_rng(n + 1).uniform(0.5, 2, n)
    shift, factor = input_similarity(X, weight)
    moved = factor * (X - shift)
    np.testing.assert_allclose(weight @ moved / weight.sum(), 0, atol=1e-6)
    length = np.sqrt(weight @ np.square(moved).sum(1) / weight.sum())
    assert length == pytest.approx(INPUT_LENGTH, rel=1e-6)


def test_input_similarity_of_many_rows_does_not_depend_on_the_batches():
    X = np.random.default_rng(0).normal(3, 2, size=(5000, 4)).astype(np.float32)
    shift, factor = input_similarity(X, np.ones(5000, np.float32))
    np.testing.assert_allclose(shift, X.mean(0, dtype=np.float64), rtol=1e-6)
    assert factor == pytest.approx(INPUT_LENGTH / np.sqrt(4 * X.var(0).mean()), rel=1e-4)


def test_input_similarity_of_identical_rows_has_factor_one():
    assert input_similarity(np.full((5, 2), 0.1), np.ones(5))[1] == 1.0
