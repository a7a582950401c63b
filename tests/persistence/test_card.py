"""Laws of model cards: they state what the model is, and invent nothing."""

from __future__ import annotations

import json

import numpy as np
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
from sklearn_iso.metrics import corruption_report, distortion_report, robustness_report
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


def test_a_card_shows_reports_as_they_print_with_the_hashes_of_model_and_data():
    clf = IsometricClassifier(max_epochs=2, random_state=0).fit(X, y)
    robust = robustness_report(clf, X, y, eps=[0.1], n_diagnosed=0, random_state=0)
    natural = corruption_report(clf, X, y, n_repeats=1, severities=[0.5])
    flat = distortion_report(X.to_numpy(), clf.transform(X))
    card = model_card(clf, reports=[robust, natural, flat, "By hand: `fine`."])
    for report in (robust, natural, flat, "By hand: `fine`."):
        assert f"```text\n{report}\n```" in card
    hashes = json.loads(natural.to_json())["hashes"]
    assert set(hashes) == {"model", "X", "y"}
    for name, one in hashes.items():
        assert card.count(f"- SHA-256 of {name}: `{one['sha256']}`") == 2
    assert model_card(clf, reports=natural) == model_card(clf, reports=[natural])
    assert card.index("## Reports") < card.index("## Use, data and limits")
    assert "## Reports" not in model_card(clf)


def test_a_fence_of_a_report_is_longer_than_those_in_its_text():
    clf = IsometricClassifier(max_epochs=1, random_state=0).fit(X, y)
    assert "````text\na ``` b\n````" in model_card(clf, reports="a ``` b")


@pytest.mark.parametrize("wrong", [None, 1, [1.0], {"a": 1}.values(), np.zeros(2), object()])
def test_what_is_no_report_is_refused(wrong):
    clf = IsometricClassifier(max_epochs=1, random_state=0).fit(X, y)
    with pytest.raises(TypeError, match="reports must be reports of sklearn_iso.metrics"):
        model_card(clf, reports=wrong)
