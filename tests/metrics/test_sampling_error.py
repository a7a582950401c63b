"""Intervals of weighted quantiles hold what they claim, by simulation."""

import numpy as np
import pytest
from scipy.stats import norm

from sklearn_iso.metrics._sampling_error import quantile_interval

N_VALUES, N_SAMPLES = 300, 250

#: Weights by a generator and normal values, and by how much they shift the weighted quantiles.
INDEPENDENT = {
    "uniform": lambda rng, x: rng.random(len(x)) + 0.01,
    "products of exponentials": lambda rng, x: rng.exponential(size=(2, len(x))).prod(axis=0),
    "lognormal": lambda rng, x: rng.lognormal(size=len(x)),
    "integers": lambda rng, x: rng.integers(1, 6, size=len(x)).astype(float),
    "counts with a few large": lambda rng, x: np.where(rng.random(len(x)) < 0.1, 10.0, 1.0),
}
GROWING = {slope: lambda rng, x, slope=slope: np.exp(slope * x) for slope in (-0.5, 0.5)}


def coverage(draw, quantile, truth):
    """Return how often an interval holds the truth, of the samples that have one."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(N_SAMPLES):
        values = rng.normal(size=N_VALUES)
        interval = quantile_interval(values, quantile, draw(rng, values))
        if interval is not None:
            held.append(interval.low <= truth <= interval.high)
    assert len(held) > N_SAMPLES / 2
    return np.mean(held)


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("name", INDEPENDENT)
def test_an_interval_of_a_weighted_quantile_covers_it_with_95_percent(name, quantile):
    # Of 250 samples, 0.92 is two standard deviations below 0.95.
    assert coverage(INDEPENDENT[name], quantile, norm.ppf(quantile)) >= 0.92


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("slope", GROWING)
def test_it_does_where_weights_grow_or_fall_with_the_values(slope, quantile):
    # Weights exp(s x) of normal x are those of a normal variable about s.
    assert coverage(GROWING[slope], quantile, norm.ppf(quantile) + slope) >= 0.92


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_integer_weights_make_no_narrower_interval_than_their_copies(quantile):
    rng = np.random.default_rng(0)
    for _ in range(100):
        values, weight = rng.normal(size=200), rng.integers(1, 6, size=200)
        found = quantile_interval(values, quantile, weight.astype(float))
        copies = quantile_interval(np.repeat(values, weight), quantile)
        assert found.value == copies.value
        assert found.low <= copies.low and found.high >= copies.high


@pytest.mark.parametrize("weight", [0.1, 1 / 3, 1.0, 7.0])
@pytest.mark.parametrize("n", [97, 100, 1000])
def test_equal_weights_are_none(n, weight):
    values = np.random.default_rng(0).normal(size=n)
    for quantile in (0.1, 0.5, 0.75, 0.9):
        found = quantile_interval(values, quantile, np.full(n, weight))
        assert found == quantile_interval(values, quantile)
