"""Scores whose search knows the shape of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lit_window import SIDE, LitWindow
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from sklearn_iso.attacks import PGD, AttackEnsemble, Square
from sklearn_iso.metrics import (
    adversarial_accuracy,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.metrics._images import knowing_images
from sklearn_iso.modules import ConvNet

X, Y = np.zeros((5, SIDE * SIDE)), np.zeros(5, dtype=int)
SEARCH = {"threat": "l2", "random_state": 0}
SHAPE = (SIDE, SIDE)


@pytest.fixture(scope="module")
def lit_window():
    return LitWindow().fit(X, [0, 0, 0, 0, 1])


def test_search_moves_patches_where_the_shape_of_an_image_is_told(lit_window):
    for kind in (Square, AttackEnsemble):
        options = {"eps": 1.0, **SEARCH}
        blind, seen = (kind(n_queries=500, image_shape=shape) for shape in (None, list(SHAPE)))
        assert adversarial_accuracy(lit_window, X, Y, attack=blind, **options) == 1
        assert adversarial_accuracy(lit_window, X, Y, attack=seen, **options) == 0
        scorer = make_adversarial_scorer(attack=seen, **options)
        assert scorer(lit_window, X, Y) == 0 and hash(scorer)


def test_curve_and_report_search_in_patches_too(lit_window):
    attack = AttackEnsemble(n_queries=500)
    blind = robustness_curve(lit_window, X, Y, eps=[0, 1.0], attack=attack, **SEARCH)
    attack = AttackEnsemble(n_queries=500, image_shape=SHAPE)
    seen = robustness_curve(lit_window, X, Y, eps=[0, 1.0], attack=attack, **SEARCH)
    report = robustness_report(lit_window, X, Y, eps=[0, 1.0], attack=attack, **SEARCH)
    assert blind.tolist() == [1, 1] and seen.tolist() == report.accuracy.tolist() == [1, 0]
    assert report.broken_by["square"].tolist() == [0, 5]


def test_shape_that_is_no_image_of_a_row_is_refused():
    digits, y = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=20, tol=1).fit(digits, y)
    for eps in (0, 0.1):
        with pytest.raises(ValueError, match="image_shape must hold the 64 values of a row"):
            adversarial_accuracy(
                model, digits, y, eps=eps, attack=AttackEnsemble(image_shape=(5, 5))
            )


def test_a_network_tells_the_search_the_shape_of_its_images_where_nobody_else_did():
    network = nn.Sequential(nn.Identity(), ConvNet(64, 3, channels=(2,)))
    flat, images = torch.zeros(2, 64), torch.zeros(2, 1, 8, 8)
    for kind in (AttackEnsemble, Square):
        assert knowing_images(kind(), network, flat).image_shape == (1, 8, 8)
        told = kind(image_shape=(4, 16))
        assert knowing_images(told, network, flat) is told
        for twin, X in ((network, images), (network, flat[:, :63]), (nn.Identity(), flat)):
            assert knowing_images(kind(), twin, X) == kind()
        assert knowing_images(kind(), None, flat) == kind()
    for other in (PGD(), knowing_images):
        assert knowing_images(other, network, flat) is other
