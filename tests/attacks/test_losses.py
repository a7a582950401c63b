"""Losses rank as the textbook does, and keep their gradient where it underflows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sklearn_iso.attacks._losses import cross_entropy, get_loss, margin

logits_and_labels = st.tuples(st.integers(1, 5), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(
        arrays(np.float64, shape, elements=st.floats(-20, 20)),
        arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)),
    )
)


@given(logits_and_labels)
@settings(deadline=None)
def test_softplus_of_the_log_odds_is_the_cross_entropy(given_rows):
    logits, y = map(torch.tensor, given_rows)
    expected = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    actual = torch.nn.functional.softplus(cross_entropy(logits, y))
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


@given(logits_and_labels)
@settings(deadline=None)
def test_margin_is_the_best_other_logit_minus_that_of_the_label(given_rows):
    logits, y = given_rows
    expected = [
        np.delete(row, label).max() - row[label] for row, label in zip(logits, y, strict=True)
    ]
    np.testing.assert_allclose(margin(torch.tensor(logits), torch.tensor(y)), expected)


@pytest.mark.parametrize("loss", [cross_entropy, margin])
@pytest.mark.parametrize("gap", [1.0, 50.0, 1e4, 1e30])
def test_gradient_survives_any_confidence_in_float32(loss, gap):
    logits = torch.tensor([[gap, 0.0, -gap]], requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(logits, torch.tensor([0])).sum(), logits)
    assert gradient[0, 0] == -1
    softmax_of_the_others = 1 / (1 + np.exp(-gap))
    assert gradient[0, 1] == pytest.approx(1 if loss is margin else softmax_of_the_others)


def test_steepest_direction_is_that_of_the_cross_entropy():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits.requires_grad_()
    y = torch.arange(6) % 4
    (ours,) = torch.autograd.grad(cross_entropy(logits, y).sum(), logits)
    textbook = torch.nn.functional.cross_entropy(logits, y, reduction="sum")
    (theirs,) = torch.autograd.grad(textbook, logits)
    torch.testing.assert_close(
        torch.nn.functional.normalize(ours), torch.nn.functional.normalize(theirs)
    )


@pytest.mark.parametrize("unknown", ["ce", None, ["margin"]])
def test_unknown_loss_is_an_error_that_lists_the_known(unknown):
    with pytest.raises(ValueError, match="'cross_entropy', 'margin', 'targeted_margin'; got"):
        get_loss(unknown)
