"""Scores whose search knows the shape of an image."""

from __future__ import annotations

import numpy as np
import pytest
from lit_window import SIDE, LitWindow
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from sklearn_iso.metrics import (
    adversarial_accuracy,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)

X, Y = np.zeros((5, SIDE * SIDE)), np.zeros(5, dtype=int)
SEARCH = {"threat": "l2", "n_queries": 500, "random_state": 0}
SHAPE = (SIDE, SIDE)


@pytest.fixture(scope="module")
def lit_window():
    return LitWindow().fit(X, [0, 0, 0, 0, 1])


def test_search_moves_patches_where_the_shape_of_an_image_is_told(lit_window):
    for attack in ("square", "cascade"):
        options = {"eps": 1.0, "attack": attack, **SEARCH}
        assert adversarial_accuracy(lit_window, X, Y, **options) == 1
        assert adversarial_accuracy(lit_window, X, Y, **options, image_shape=SHAPE) == 0
        scorer = make_adversarial_scorer(**options, image_shape=list(SHAPE))
        assert scorer(lit_window, X, Y) == 0 and hash(scorer)


def test_curve_and_report_search_in_patches_too(lit_window):
    blind = robustness_curve(lit_window, X, Y, eps=[0, 1.0], **SEARCH)
    seen = robustness_curve(lit_window, X, Y, eps=[0, 1.0], **SEARCH, image_shape=SHAPE)
    report = robustness_report(lit_window, X, Y, eps=[0, 1.0], **SEARCH, image_shape=SHAPE)
    assert blind.tolist() == [1, 1] and seen.tolist() == report.accuracy.tolist() == [1, 0]
    assert report.broken_by["square"].tolist() == [0, 5]


def test_shape_that_is_no_image_of_a_row_is_refused():
    digits, y = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=20, tol=1).fit(digits, y)
    with pytest.raises(ValueError, match="image_shape must hold the 64 values of a row"):
        adversarial_accuracy(model, digits, y, eps=0.1, image_shape=(5, 5))
