"""check_adversarial_scorer: each broken law of a scorer is named."""

import numpy as np
import pytest

from sklearn_iso.metrics import make_adversarial_scorer
from sklearn_iso.testing import (
    LawBrokenError,
    check_adversarial_scorer,
)


def gradients_only(estimator, X, y):
    """Trust the gradients, also where there are none."""
    if not hasattr(estimator, "coef_"):
        return estimator.score(X, y)
    return make_adversarial_scorer(eps=0.2)(estimator, X, y)


def share_of_the_right(estimator, X, y):
    right = estimator.predict(X) == y
    return make_adversarial_scorer(eps=0.2)(estimator, X[right], y[right])


def overstated(estimator, X, y):
    return make_adversarial_scorer(eps=0.1)(estimator, X, y)


def understated(estimator, X, y):
    return make_adversarial_scorer(eps=0.4)(estimator, X, y)


def global_seed(estimator, X, y):
    np.random.seed(0)
    return make_adversarial_scorer(eps=0.2)(estimator, X, y)


def right_scorer(estimator, X, y):
    return make_adversarial_scorer(eps=0.2, random_state=0)(estimator, X, y)


def position_scorer(estimator, X, y):
    """Take 0 and 1 for the labels."""
    return right_scorer(estimator, X, estimator.classes_[(np.asarray(y) > 0.5).astype(int)])


def remember(estimator, X, y):
    estimator.seen_ = len(X)
    return right_scorer(estimator, X, y)


def write_rows(estimator, X, y):
    score = right_scorer(estimator, X, y)
    X *= 2
    return score


def write_y(estimator, X, y):
    score = right_scorer(estimator, X, y)
    y[:] = y[0]
    return score


def weights_ignored(estimator, X, y, sample_weight=None):
    return right_scorer(estimator, X, y)


@pytest.mark.parametrize(
    "scorer, message",
    [
        (lambda *args: None, "one number; got NoneType"),
        (lambda *args: np.array([right_scorer(*args)]), "one number; got ndarray"),
        (lambda *args: np.nan, "finite number; got nan"),
        (lambda *args: 100 * right_scorer(*args), "the score is 0.5; got 50"),
        (position_scorer, "the score is 0.5; got 0.2"),
        (remember, "leave the estimator as it was"),
        (write_rows, "leave X as it was"),
        (write_y, "leave y as it was"),
        (overstated, "within the budget must count as misclassified"),
        (understated, "beyond the budget must count as right"),
        (share_of_the_right, "All samples count"),
        (gradients_only, "hides its gradient is as robust as it was"),
        (global_seed, "global generators"),
        (weights_ignored, "A row of weight 2 counts twice"),
    ],
)
def test_broken_law_of_a_scorer_is_named(scorer, message):
    with pytest.raises(LawBrokenError, match=message):
        check_adversarial_scorer(scorer, eps=0.2, threat="linf")


CANNOT_BE = (
    {"eps": np.inf},
    {"eps": 0},
    {"reach": 1},
    {"reach": np.nan},
    {"threat": "l0"},
    {"threat": 0},
)


@pytest.mark.parametrize("change", CANNOT_BE)
def test_check_of_a_scorer_that_cannot_be_is_an_error(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        check_adversarial_scorer(right_scorer, **{"eps": 0.2, "threat": "linf"} | change)


def test_scorer_without_a_budget_must_be_told_one():
    with pytest.raises(ValueError, match="Pass eps=0.1, threat='linf'"):
        check_adversarial_scorer(overstated)
