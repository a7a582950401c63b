"""What a fit says where its worst pairs are not the worst any longer."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from penalty_batches import batch_of
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sklearn_iso import IsometricClassifier, IsometricRegressor
from sklearn_iso.modules import ConvNet
from sklearn_iso.penalties import WorstCaseIsometry

RNG = np.random.RandomState(0)
X = RNG.randn(60, 4).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


class Masked(nn.Module):
    """Nearly flat at 0; the slope that matters shows a step away from there."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.signs = nn.Parameter(1.0 - 2.0 * torch.arange(n_outputs))

    def forward(self, X):
        return X[:, :1] * (0.1 + 5 * X[:, 1:2]) * self.signs


def gain(module, X, **params):
    penalty = WorstCaseIsometry(radius=1.0, scale=1.0, **params)
    y = torch.zeros(len(X), dtype=torch.int64)
    penalty.calibrate(X, y)
    found, further = penalty.found_and_further(batch_of(module, X.clone(), y))
    return further / found


def test_one_more_step_gains_nothing_where_the_map_is_linear_and_rank_one():
    line = nn.Linear(4, 2, bias=False).double()
    with torch.no_grad():
        line.weight[1] = -line.weight[0]
    assert gain(line, torch.randn(9, 4, dtype=torch.float64)) == pytest.approx(1.0)


def test_one_more_step_turns_a_pair_to_the_largest_singular_value():
    # From the slope of the margin, along (1, -3), a step along the slope there, (1, -27).
    module = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.diag(torch.tensor([1.0, 3.0])))
    x = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    start, after = np.array([1.0, -3.0]), np.array([1.0, -3.0]) / 10**0.5
    slope = np.array([1.0, 9.0]) * after / np.linalg.norm(np.array([1.0, 3.0]) * after)
    after = after + slope / np.linalg.norm(slope)

    def length(direction):
        return np.linalg.norm(np.array([1.0, 3.0]) * direction / np.linalg.norm(direction))

    assert gain(module, x, n_steps=1) == pytest.approx(length(after) / length(start))


def test_pairs_looked_at_have_the_radius_itself_whatever_radius_a_batch_would_draw():
    # f = x (0.1 + 5 y), from 0: first (r, 0), which moves f by 0.1 r, then a turn towards y.
    x, y, r = torch.zeros(1, 4, dtype=torch.float64), torch.zeros(1, dtype=torch.int64), 1.0
    turn = np.array([1.0, 0.0]) + np.array([0.1, 5 * r]) / np.hypot(0.1, 5 * r)
    across, along = r * turn / np.linalg.norm(turn)
    expected = across * (0.1 + 5 * along)
    penalty = WorstCaseIsometry(radius=r, scale=1.0, n_steps=1).calibrate(x, y)
    for seed in range(5):
        batch = batch_of(Masked(4, 2).double(), x, y, seed=seed)
        # Logits f and -f: both move.
        found, further = penalty.found_and_further(batch)
        assert found == pytest.approx(2**0.5 * 0.1 * r / r)
        assert further == pytest.approx(2**0.5 * expected / r)


def test_auto_takes_a_further_gradient_where_layers_are_not_linear_alone():
    module, same = ConvNet(64, 3).double(), nn.Sequential(nn.Linear(64, 3)).double()
    x, y = torch.randn(5, 64, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])
    for network, n_steps in ((module, 2), (same, 1)):
        values = []
        for chosen in ("auto", n_steps, 3 - n_steps):
            penalty = WorstCaseIsometry(radius=1.0, scale=0.01, n_steps=chosen).calibrate(x, y)
            values.append(penalty(batch_of(network, x.clone(), y)).item())
        assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("kind", [IsometricClassifier, IsometricRegressor])
def test_fit_warns_where_one_more_step_lengthens_its_pairs_by_far(kind):
    rows = (0.001 * X).astype(np.float32)
    penalty = WorstCaseIsometry(radius=3.0, scale=1.0, n_steps=1)
    model = kind(module=Masked, penalty=penalty, max_epochs=1, learning_rate=1e-6, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"One more step .* Raise n_steps"):
        model.fit(rows, Y)


def test_longer_pairs_within_the_scale_hide_nothing():
    rows = (0.001 * X).astype(np.float32)
    penalty = WorstCaseIsometry(radius=3.0, scale=100.0, n_steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        IsometricClassifier(
            module=Masked, penalty=penalty, max_epochs=1, learning_rate=1e-6, random_state=0
        ).fit(rows, Y)


def test_sound_fits_and_plain_ones_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        IsometricClassifier(max_epochs=3, random_state=0).fit(X, Y)
        IsometricClassifier(alpha=0, module=Masked, max_epochs=3, random_state=0).fit(X, Y)
