"""Every public estimator keeps scikit-learn's contract, with no expected failure."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
)

QUICK = IsometricClassifier(hidden_layer_sizes=(32,), learning_rate=0.02, max_epochs=15)

ESTIMATORS = [
    IsometricClassifier(),
    IsometricClassifier(alpha=0, max_epochs=30),
    IsometricClassifier(penalty="within_class", max_epochs=30),
    IsometricClassifier(penalty="worst_case", max_epochs=30),
    IsometricClassifier(rows_per_class=2, max_epochs=30),
    IsometricTransformer(),
    IsometricClassifierCV((0.0, 1.0), estimator=QUICK, cv=2),
    IsometricRegressor(max_epochs=50),
    IsometricRegressor(alpha=0, max_epochs=50),
    HierarchicalIsometricClassifier(max_epochs=30),
]


@parametrize_with_checks(ESTIMATORS)
def test_estimator_keeps_the_scikit_learn_contract(estimator, check):
    check(estimator)
