"""Laws of the distances along the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import make_swiss_roll
from sklearn.manifold import Isomap
from torch import nn

from sklearn_iso import IsometricClassifier
from sklearn_iso.penalties import Batch, GeodesicIsometry, GlobalIsometry, WithinClassIsometry
from sklearn_iso.penalties import _geodesic as room

ROLL = make_swiss_roll(120, random_state=0)[0]
LINE = np.arange(12.0)[:, None] ** 1.5


def calibrated(X, weight=None, **params):
    rows = torch.from_numpy(X)
    labels, generator = torch.zeros(len(X), dtype=int), torch.Generator().manual_seed(0)
    return GeodesicIsometry(**params).calibrate(rows, labels, weight, generator)


def value(penalty, X, module, weight=None, index=None):
    rows = torch.from_numpy(X)
    weight = torch.ones(len(X)).double() if weight is None else weight
    index = torch.arange(len(X)) if index is None else index
    batch = Batch(
        module, rows[index], torch.zeros(len(index), dtype=int), weight[index], index=index,
        layers="logits", generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    return penalty(batch).item()


def linear(n_features, n_outputs=2):
    module = nn.Linear(n_features, n_outputs).double()
    generator = torch.Generator().manual_seed(2)
    nn.init.normal_(module.weight, generator=generator)
    return module


def test_distances_are_those_of_isomap():
    expected = Isomap(n_neighbors=6).fit(ROLL).dist_matrix_
    found = calibrated(ROLL, n_neighbors=6).distances_between(torch.arange(len(ROLL)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_distances_of_two_neighbours_add_up_along_a_line():
    found = calibrated(LINE, n_neighbors=2).distances_between(torch.arange(12))
    np.testing.assert_allclose(found.numpy(), cdist(LINE, LINE), rtol=1e-12)


def test_isometry_of_a_line_costs_nothing_and_a_fold_does():
    penalty = calibrated(LINE, n_neighbors=1, scale=1.0, max_samples=None)
    assert value(penalty, LINE, nn.Identity()) == pytest.approx(0, abs=1e-12)

    class Fold(nn.Module):
        def forward(self, X):
            return (X - 10).abs()

    assert value(penalty, LINE, Fold()) > 0.1


def test_weight_two_equals_the_row_twice():
    repeats = torch.arange(len(ROLL)) % 3 + 1
    twice = np.repeat(ROLL, repeats.numpy(), axis=0)
    module, params = linear(3), {"n_neighbors": 6, "max_samples": None}
    weighted = value(calibrated(ROLL, **params), ROLL, module, repeats.double())
    assert weighted == pytest.approx(value(calibrated(twice, **params), twice, module), rel=1e-9)


def test_pairs_with_a_landmark_keep_their_distance(monkeypatch):
    exact = calibrated(ROLL, n_neighbors=6)
    monkeypatch.setattr(room, "MAX_EXACT", 100)
    penalty = calibrated(ROLL, n_neighbors=6, n_landmarks=30)
    assert len(penalty.landmarks_) == 30
    index = torch.cat([torch.arange(40), torch.from_numpy(penalty.landmarks_)[:5]])
    d_X, known = penalty._known(index)
    expected = exact.distances_between(index)
    torch.testing.assert_close(d_X[known], expected[known], rtol=1e-12, atol=0)
    is_landmark = torch.isin(index, torch.from_numpy(penalty.landmarks_))
    assert torch.equal(known, is_landmark[:, None] | is_landmark[None])


def test_landmarks_complete_a_batch_that_has_none(monkeypatch):
    monkeypatch.setattr(room, "MAX_EXACT", 10)
    penalty = calibrated(LINE, n_neighbors=1, n_landmarks=3, scale=1.0)
    others = torch.from_numpy(np.setdiff1d(np.arange(12), penalty.landmarks_))
    assert value(penalty, LINE, nn.Identity(), index=others) == pytest.approx(0, abs=1e-12)
    # Maps that shrink by a half are off by a half everywhere.
    assert value(penalty, LINE, _Half(), index=others) == pytest.approx(0.25, rel=1e-9)


class _Half(nn.Module):
    def forward(self, X):
        return X / 2


def test_classifier_says_that_it_tells_no_row_numbers():
    model = IsometricClassifier(penalty=GeodesicIsometry(n_neighbors=30), max_epochs=1)
    with pytest.raises(ValueError, match="needs the number of each training sample.*Transformer"):
        model.fit(ROLL, np.arange(120) % 2)


def test_precomputed_metric_without_distances_says_where_to_pass_them():
    model = IsometricClassifier(penalty=WithinClassIsometry(metric="precomputed"), max_epochs=1)
    with pytest.raises(ValueError, match=r"fit\(X, distances=D\)"):
        model.fit(ROLL, np.arange(120) % 2)


def test_layers_have_no_precomputed_distances():
    penalty = GlobalIsometry(metric="precomputed", target="previous")
    with pytest.raises(ValueError, match="Pass target='input'"):
        penalty.calibrate(torch.zeros(3, 2), torch.zeros(3, dtype=int))
