"""Laws of model cards: they state what the model is, and invent nothing."""

from __future__ import annotations

import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricRegressor,
    IsometricTransformer,
)
from sklearn_iso.datasets import make_torus
from sklearn_iso.persistence import model_card

X, y = load_iris(return_X_y=True, as_frame=True)


def test_a_card_states_parameters_classes_features_and_training():
    clf = IsometricClassifier(alpha=0.5, max_epochs=3, random_state=0).fit(X, y)
    card = model_card(make_pipeline(StandardScaler(), clf).fit(X, y))
    assert card.startswith("# IsometricClassifier\n")
    assert "alpha=0.5" in card and "StandardScaler()" in card
    assert "| classes | 0, 1, 2 |" in card and "| epochs | 3 |" in card
    assert f"| names of the features | {', '.join(X.columns)} |" in card
    assert "| weights | 34563 |" in card


def test_a_card_states_what_held_out_samples_chose():
    clf = IsometricClassifier(max_epochs=3, random_state=0).fit(X, y)
    card = model_card(clf)
    assert "| alpha and weight decay | chosen among 4 candidates by held out samples |" in card
    assert f"| alpha | {clf.alpha_:.4g} |" in card
    assert f"| temperature of the logits | {clf.temperature_:.4g} |" in card
    regressor = IsometricRegressor(max_epochs=3, random_state=0).fit(X, y)
    assert "| share of the predictions that is kept |" in model_card(regressor)
    assert "chosen" not in model_card(IsometricClassifier(alpha=1, max_epochs=3).fit(X, y))


def test_a_card_states_what_was_measured_and_nothing_else():
    clf = IsometricClassifier(max_epochs=1, random_state=0).fit(X, y)
    assert "## Measured" not in model_card(clf)
    assert "| accuracy \\| test | 0.9123 |" in model_card(clf, metrics={"accuracy | test": 0.91234})


def test_a_card_of_an_embedding_states_its_stress():
    embedding = IsometricTransformer(max_epochs=2, random_state=0).fit(X)
    card = model_card(embedding, title="Iris in the plane")
    assert card.startswith("# Iris in the plane\n")
    assert f"| stress of the training samples | {embedding.stress_:.4g} |" in card
    assert "classes" not in card


def test_a_card_states_the_labels_of_every_level():
    X, Y = make_torus(60, n_levels=2, random_state=0)
    card = model_card(HierarchicalIsometricClassifier(max_epochs=1).fit(X, Y))
    assert "| classes of level 0 | 0, 1 |" in card
    assert "| classes of level 1 | 0, 1, 2, 3 |" in card


def test_an_estimator_that_is_not_fitted_has_no_card():
    with pytest.raises(NotFittedError):
        model_card(IsometricClassifier())
