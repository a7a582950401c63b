"""Values that name their features follow the columns of X, or are refused."""

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from sklearn_iso import ThreatModel
from sklearn_iso._threat.named import Named
from sklearn_iso.attacks import MinimumNormEnsemble
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    make_adversarial_scorer,
    make_distortion_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.plotting import AdversarialExamplesDisplay, RobustnessCurveDisplay

RAW, Y = load_iris(return_X_y=True, as_frame=True)
X = RAW.rename(columns=dict(zip(RAW.columns, "dcba", strict=True)))[::5]
Y = Y[::5]
MODEL = LogisticRegression(max_iter=500).fit(X, Y)
BARE = LogisticRegression(max_iter=500).fit(X.to_numpy(), Y)
EACH = np.array([0.0, 0.3, 0.6, 1.0])
SERIES = pd.Series(EACH, index=X.columns)
TURNED = SERIES.sort_index()
ONE_ROW = TURNED.to_frame().T
ATTACK = {"attack": "fgsm"}
FORMS = [SERIES, TURNED, TURNED.to_dict(), ONE_ROW, pl.from_pandas(ONE_ROW)]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__module__)
def test_units_by_name_are_those_in_the_order_of_the_columns(form):
    found, expected, other = (
        adversarial_accuracy(MODEL, X, Y, eps=1, threat=ThreatModel(units=units), **ATTACK)
        for units in (form, EACH, EACH[::-1])
    )
    assert found == expected != other


def test_units_and_bounds_by_name_are_those_in_the_order_of_the_columns():
    few, y = X[::4], Y[::4]
    low, high = few.min() - 0.1, few.max() + 0.1
    bounds = (low.to_numpy(), high.to_numpy())
    by_name, by_order, otherwise = (
        [
            robustness_curve(MODEL, few, y, eps=[0.5, 1], threat=threat, **ATTACK),
            robustness_report(
                MODEL, few, y, eps=[1], n_diagnosed=0, threat=threat, **ATTACK
            ).accuracy,
            adversarial_distance(
                MODEL, few, y, attack=MinimumNormEnsemble(n_steps=2), threat=threat
            ),
        ]
        for threat in (
            ThreatModel(units=TURNED, bounds=(low.sort_index(), high.to_dict())),
            ThreatModel(units=EACH, bounds=bounds),
            ThreatModel(units=EACH[::-1], bounds=bounds),
        )
    )
    for found, expected, other in zip(by_name, by_order, otherwise, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert (found != other).any()


def test_pictures_follow_names():
    scale = X.std().to_numpy() + EACH
    named = pd.Series(scale, index=X.columns).sort_index()
    by_name, by_position = (
        AdversarialExamplesDisplay.from_estimator(
            MODEL, X, Y, eps=0.5, threat=ThreatModel(units=units), **ATTACK
        )
        for units in (named, scale)
    )
    np.testing.assert_array_equal(by_name.movement, by_position.movement)
    again = AdversarialExamplesDisplay(
        by_name.X, by_name.X_adv, units=named, feature_names=list(X.columns)
    )
    expected = AdversarialExamplesDisplay(by_name.X, by_name.X_adv, units=scale)
    np.testing.assert_array_equal(again.movement, expected.movement)
    curves = [
        RobustnessCurveDisplay.from_estimator(
            MODEL, X, Y, eps=[0.5], threat=ThreatModel(units=units), **ATTACK
        ).accuracy
        for units in (TURNED, EACH)
    ]
    np.testing.assert_array_equal(*curves)
    plt.close("all")


def test_named_masks_fix_the_features_that_they_name():
    mask = SERIES == 1.0
    read_only = mask.to_numpy(copy=True)
    read_only.flags.writeable = False
    by_name, by_dict, by_position, by_number, otherwise = (
        adversarial_accuracy(MODEL, X, Y, eps=0.9, threat=ThreatModel(immutable=fixed), **ATTACK)
        for fixed in (mask.sort_index(), mask.sort_index().to_dict(), read_only, [3], [0])
    )
    assert by_name == by_dict == by_position == by_number != otherwise


@pytest.mark.parametrize(
    "values, frame, message",
    [
        (TURNED.rename({"a": "z"}), X, r"it names \['z'\], and X has columns \['d', 'c'"),
        (TURNED[:3], X, r"it has none for \['d'\]"),
        (pd.concat([SERIES, SERIES[:1]]), X, "it names a column twice"),
        (SERIES, X.to_numpy(), r"it names \['d', 'c', 'b', 'a'\], and X has no column names"),
        (pd.Series(EACH, index=[4, 5, 6, 7]), X.to_numpy(), r"it names \[4, 5, 6, 7\]"),
    ],
)
def test_names_that_are_not_those_of_the_columns_are_refused(values, frame, message):
    model = MODEL if frame is X else BARE
    by_units, by_bounds = ThreatModel(units=values), ThreatModel(bounds=(values, values))
    for threat in (by_units, by_bounds):
        with pytest.raises(ValueError, match=message):
            adversarial_accuracy(model, frame, Y, eps=1, threat=threat, **ATTACK)
    with pytest.raises(ValueError, match=message):
        robustness_curve(model, frame, Y, eps=[0.5], threat=by_units, **ATTACK)
    with pytest.raises(ValueError, match=message):
        adversarial_distance(model, frame, Y, threat=by_units)


def test_numbers_are_positions_unless_columns_are_named_by_other_numbers():
    values = pd.Series(EACH)
    turned = values.iloc[::-1]
    for form in (values, turned, pl.Series(EACH)):
        for table in (X, X.to_numpy()):
            assert ThreatModel(units=form).resolve(table).units == tuple(EACH)
    numbered = X.set_axis([3, 2, 1, 0], axis=1)
    assert ThreatModel(units=turned).resolve(numbered).units == tuple(EACH[::-1])
    assert ThreatModel(immutable=[3]).resolve(numbered).immutable_mask().tolist()[0]


def test_scorers_keep_names_and_still_compare_hash_and_pickle():
    threat = ThreatModel(units=TURNED, bounds=((X.min() - 1).to_dict(), 9), immutable=SERIES == 1.0)
    scorer = make_adversarial_scorer(eps=1, threat=threat, **ATTACK)
    again = pickle.loads(pickle.dumps(scorer))
    assert again == scorer and hash(again) == hash(scorer)
    assert "units={'a': 1, 'b': 0.6, 'c': 0.3, 'd': 0}" in repr(scorer)
    by_position = ThreatModel(units=EACH, bounds=((X.min() - 1).to_numpy(), 9), immutable=[3])
    expected = adversarial_accuracy(MODEL, X, Y, eps=1, threat=by_position, **ATTACK)
    assert scorer(MODEL, X, Y) == again(MODEL, X, Y) == expected
    turned, columns = X[X.columns[::-1]], GridSearchCV(MODEL, {"C": [1.0]}, scoring=scorer, cv=2)
    assert columns.fit(turned, Y).best_score_ == columns.fit(X, Y).best_score_


def test_distortion_in_named_units_follows_the_columns():
    pca, scale = PCA(2).fit(X), SERIES + 1
    scores = [
        make_distortion_scorer(scale=s)(pca, X, Y)
        for s in (scale.sort_index(), (EACH + 1).tolist())
    ]
    assert scores[0] == scores[1] != make_distortion_scorer(scale=(EACH + 1)[::-1])(pca, X, Y)
    with pytest.raises(ValueError, match="scale must hold one value for each column of X"):
        make_distortion_scorer(scale=scale.rename({"a": "z"}))(pca, X, Y)
    with pytest.raises(ValueError, match="scale must be finite"):
        make_distortion_scorer(scale={"a": "large"})


def test_values_without_names_stay_as_they_came():
    for values in (0.5, [1, 2], (1, 2), np.ones(2), pl.Series([1.0])):
        assert Named.of(values) is None
