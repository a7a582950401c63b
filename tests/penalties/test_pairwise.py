"""Penalties on pairs differ by their pairs, and by nothing else."""

from __future__ import annotations

import inspect

import pytest
import torch
from penalty_batches import batch_of, data
from torch import nn

from sklearn_iso.penalties import (
    GlobalIsometry,
    NeighborIsometry,
    PairwiseIsometry,
    WithinClassIsometry,
)

KINDS = [GlobalIsometry, NeighborIsometry, WithinClassIsometry]


class BetweenClassIsometry(PairwiseIsometry):
    """All pairs but those of one class."""

    def pairs(self, batch, samples):
        y = batch.y[samples]
        return super().pairs(batch, samples).only(y[:, None] != y[None])


def test_own_pairs_are_the_ones_that_count():
    X, y, weight = data()
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3)).double()
    batch = batch_of(module, X, y, weight)
    (Z,) = batch.representations("hidden")
    above = below = 0.0
    for i in range(9):
        for j in range(9):
            if y[i] != y[j]:
                d_X, d_Z = (X[i] - X[j]).norm(), (Z[i] - Z[j]).norm()
                above += weight[i] * weight[j] * (d_Z / 0.5 - d_X) ** 2
                below += weight[i] * weight[j] * d_X**2
    penalty = BetweenClassIsometry(scale=0.5, max_samples=9).calibrate(X, y)
    torch.testing.assert_close(penalty(batch), above / below)


@pytest.mark.parametrize("kind", KINDS)
def test_a_penalty_on_pairs_shares_every_parameter_with_the_base(kind):
    shared = set(inspect.signature(PairwiseIsometry.__init__).parameters)
    own = {NeighborIsometry: {"n_neighbors"}}.get(kind, set())
    assert set(inspect.signature(kind.__init__).parameters) == shared | own
    values = {"loss": "raw_stress", "scale": 2.0, "metric": "l1", "target": "previous",
              "two_sided": False, "layers": "logits", "max_samples": 7}  # fmt: skip
    assert {"self", *values} == shared
    found = kind(**values).get_params()
    assert {name: found[name] for name in values} == values


@pytest.mark.parametrize("kind", [*KINDS, BetweenClassIsometry])
def test_previous_layer_has_no_distances_that_were_given(kind):
    with pytest.raises(ValueError, match="target='previous'.*no precomputed distances"):
        kind(metric="precomputed", target="previous").calibrate(*data())


def test_pairs_are_what_a_subclass_has_to_say():
    with pytest.raises(TypeError, match="abstract method '?pairs"):
        PairwiseIsometry()
