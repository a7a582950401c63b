"""Warnings of measures name the line that called them."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.exceptions import RefusedPointsWarning
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    adversarial_examples,
    robustness_curve,
)

X = np.random.default_rng(0).uniform(size=(10, 2))
FOREIGN = np.array([0] * 9 + [7])  # a label that the fit does not know
SHORT = {"attack": AttackEnsemble(n_queries=20), "random_state": 0}


class One(ClassifierMixin, BaseEstimator):
    """Predicts 0 by label alone, and refuses points beyond those of X."""

    def fit(self, X, y):
        self.classes_, self.n_features_in_ = np.array([0, 1]), 2
        return self

    def predict(self, X):
        if (np.asarray(X)[:, 0] > 1.05).any():
            raise ValueError("beyond what it knows")
        return np.zeros(len(X), dtype=int)


CALLS = {
    "accuracy": lambda y: adversarial_accuracy(One().fit(X, y), X, y, eps=0.5, **SHORT),
    "curve": lambda y: robustness_curve(One().fit(X, y), X, y, eps=[0.5], **SHORT),
    "examples": lambda y: adversarial_examples(One().fit(X, y), X, y, eps=0.5, **SHORT),
    "distance": lambda y: adversarial_distance(One().fit(X, y), X, y, random_state=0),
}


@pytest.mark.parametrize("name", CALLS)
def test_warnings_name_the_line_of_the_caller(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[name](FOREIGN)
    told = " ".join(str(one.message) for one in caught)
    assert len(caught) == 3 and any(one.category is RefusedPointsWarning for one in caught)
    assert "not fitted on" in told and "labels alone" in told
    assert {one.filename for one in caught} == {__file__}
