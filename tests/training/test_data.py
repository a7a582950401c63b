"""Rows in batches."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_iso._training import (
    ArrayBatches,
    ArrayDataset,
)
from sklearn_iso._training.data import make_iterator


def rows(n):
    return ArrayDataset(np.arange(2.0 * n).reshape(n, 2), np.arange(n) % 3, np.ones(n))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 15), st.booleans())
def test_every_pass_sees_every_row_once_with_its_label(n, batch_size, shuffle):
    generator = torch.Generator().manual_seed(0) if shuffle else None
    batches = ArrayBatches(rows(n), batch_size, generator)
    found = list(batches)
    assert len(found) == len(batches)
    X = torch.cat([X for X, _ in found])
    y = torch.cat([y for _, (y, _) in found])
    index = (X[:, 0] / 2).long()
    assert sorted(index.tolist()) == list(range(n))
    assert torch.equal(y, index % 3)
    assert shuffle or torch.equal(index, torch.arange(n))


def test_shuffled_passes_differ_and_repeat_by_seed():
    def order(seed):
        batches = ArrayBatches(rows(20), 5, torch.Generator().manual_seed(seed))
        return [[X[:, 0].tolist() for X, _ in batches] for _ in range(2)]

    first, second = order(0)
    assert first != second
    assert order(0) == [first, second]


def test_read_only_rows_come_without_a_warning():
    dataset = rows(6)
    dataset.X.flags.writeable = False
    assert len(list(ArrayBatches(dataset, 4))) == 2


def test_other_data_sets_go_through_a_data_loader():
    dataset = torch.utils.data.TensorDataset(torch.arange(10.0))
    before = torch.get_rng_state()
    loader = make_iterator(dataset, 4, torch.Generator().manual_seed(0))
    assert sorted(torch.cat([batch[0] for batch in loader]).tolist()) == list(range(10))
    assert torch.equal(before, torch.get_rng_state())
