import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from lit_window import SIDE, LitWindow
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso.metrics import adversarial_accuracy
from sklearn_iso.plotting import AdversarialExamplesDisplay

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(3, 12))
MOVED = IMAGES + RNG.uniform(-0.5, 0.5, size=IMAGES.shape)


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True, as_frame=True)
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(X, y), X, y


def test_constructor_draws_nothing_and_plot_returns_the_display():
    display = AdversarialExamplesDisplay(IMAGES, MOVED)
    assert not plt.get_fignums()
    assert display.plot() is display
    assert display.figure_ is display.ax_.figure


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 3)])
def test_each_column_holds_original_perturbation_and_example(shape):
    display = AdversarialExamplesDisplay.from_predictions(IMAGES, MOVED, image_shape=shape)
    assert len(display.artists_) == 9
    low, high = MOVED.min(), MOVED.max()  # beyond 0 and 1: colours are scaled into them
    assert low < 0 < 1 < high
    for k in range(3):
        before, moved = IMAGES[k].reshape(shape), MOVED[k].reshape(shape)
        difference = moved - before
        if len(shape) == 3:
            difference = difference.mean(axis=-1)
            before, moved = ((image - low) / (high - low) for image in (before, moved))
        drawn = [artist.get_array() for artist in display.artists_[3 * k : 3 * k + 3]]
        for found, expected in zip(drawn, (before, difference, moved), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-12)


def test_perturbations_share_one_scale_with_zero_in_its_middle():
    display = AdversarialExamplesDisplay.from_predictions(IMAGES, MOVED, image_shape=(3, 4))
    strongest = np.abs(MOVED - IMAGES).max()
    for artist in display.artists_[1::3]:
        assert artist.get_clim() == (-strongest, strongest)


def test_images_do_not_overlap_and_stay_inside_the_axes():
    display = AdversarialExamplesDisplay.from_predictions(IMAGES, MOVED, image_shape=(3, 4))
    boxes = [artist.get_extent() for artist in display.artists_]
    for i, (left, right, bottom, top) in enumerate(boxes):
        assert display.ax_.get_xlim()[0] <= left < right <= display.ax_.get_xlim()[1]
        assert display.ax_.get_ylim()[0] <= bottom < top <= display.ax_.get_ylim()[1]
        for a, b, c, d in boxes[:i]:
            assert right <= a or b <= left or top <= c or d <= bottom


def test_captions_tell_the_predictions_and_who_holds():
    display = AdversarialExamplesDisplay.from_predictions(
        IMAGES, MOVED, ["a", "b", "c"], ["b", "b", "a"], image_shape=(3, 4)
    )
    assert [text.get_text() for text in display.ax_.texts] == ["a", "b", "b", "holds", "c", "a"]
    np.testing.assert_array_equal(display.misclassified, [True, False, True])


def test_movement_is_the_mean_absolute_change_of_misclassified_samples_in_units():
    units = np.array([2.0, 0.5, 1.0])
    X = np.zeros((3, 3))
    X_adv = np.array([[2.0, 1.0, 0.0], [-4.0, 0.0, 0.0], [9.0, 9.0, 9.0]])
    display = AdversarialExamplesDisplay.from_predictions(
        X, X_adv, [0, 0, 0], [1, 1, 0], units=units, feature_names=["a", "b", "c"]
    )
    np.testing.assert_allclose(display.movement, [3 / 2.0, 0.5 / 0.5, 0])
    (dots,) = display.artists_
    np.testing.assert_allclose(dots.get_xdata(), [1.5, 1.0, 0])
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["a", "b", "c"]


def test_features_are_ordered_by_how_far_they_moved():
    X_adv = np.array([[0.1, 0.3, 0.2]])
    display = AdversarialExamplesDisplay.from_predictions(np.zeros((1, 3)), X_adv)
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["x1", "x2", "x0"]


def test_a_second_model_is_drawn_on_the_features_of_the_first():
    first = AdversarialExamplesDisplay.from_predictions(
        np.zeros((1, 3)), np.array([[0.1, 0.3, 0.2]]), name="first"
    )
    second = AdversarialExamplesDisplay.from_predictions(
        np.zeros((1, 3)), np.array([[0.7, 0.0, 0.1]]), name="second", ax=first.ax_
    )
    np.testing.assert_allclose(second.artists_[0].get_xdata(), [0.0, 0.1, 0.7])
    assert first.artists_[0].get_color() != second.artists_[0].get_color()
    assert first.artists_[0].get_marker() != second.artists_[0].get_marker()
    assert first.ax_.get_xlim()[1] > 0.7
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert labels == ["first: 1 misclassified of 1", "second: 1 misclassified of 1"]


def test_an_attack_fools_as_many_as_the_metric_counts(wine):
    model, X, y = wine
    threat = ThreatModel("l2", units=X.std())
    display = AdversarialExamplesDisplay.from_estimator(model, X, y, eps=1, threat=threat)
    robust = adversarial_accuracy(model, X, y, eps=1, threat=threat, random_state=0)
    held = (~display.misclassified).sum() / len(X)
    assert held == pytest.approx(robust)
    assert len(display.misclassified) == round(accuracy_score(y, model.predict(X)) * len(X))


def test_examples_lie_within_the_budget_and_are_what_the_estimator_errs_on(wine):
    model, X, y = wine
    threat = ThreatModel("l2", units=X.std(), immutable=["ash"])
    display = AdversarialExamplesDisplay.from_estimator(model, X, y, eps=1, threat=threat)
    lengths = np.linalg.norm((display.X_adv - display.X) / X.std().to_numpy(), axis=1)
    assert 0 < lengths.max() <= 1 + 1e-6
    predicted = model.predict(pd.DataFrame(display.X_adv, columns=X.columns))
    np.testing.assert_array_equal(predicted != display.y_pred, display.misclassified)
    assert dict(zip(X.columns, display.movement, strict=True))["ash"] == 0


def test_images_of_an_estimator_are_its_first_right_ones():
    X, y = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=200).fit(X[:300] / 16, y[:300])
    rows = np.flatnonzero(model.predict(X[300:400] / 16) == y[300:400])[:4]
    display = AdversarialExamplesDisplay.from_estimator(
        model, X[300:400] / 16, y[300:400], eps=0.5, image_shape=(8, 8), n_examples=4
    )
    np.testing.assert_array_equal(display.X, X[300:400][rows] / 16)
    assert display.ax_.get_title() == "LogisticRegression"


def test_nobody_misclassified_is_drawn_without_a_warning():
    display = AdversarialExamplesDisplay.from_predictions(
        np.zeros((2, 3)), np.ones((2, 3)), [0, 0], [0, 0]
    )
    assert np.isnan(display.movement).all()
    assert display.ax_.get_legend().get_texts()[0].get_text() == "0 misclassified of 2"


def test_images_that_are_drawn_are_searched_in_patches():
    X, y = np.zeros((5, SIDE * SIDE)), np.zeros(5, dtype=int)
    model = LitWindow().fit(X, [0, 0, 0, 0, 1])
    options = {"eps": 1.0, "threat": "l2", "random_state": 0}
    shape = {"image_shape": (SIDE, SIDE)}
    assert AdversarialExamplesDisplay.from_estimator(
        model, X, y, **options, **shape
    ).misclassified.any()
    assert not AdversarialExamplesDisplay.from_estimator(model, X, y, **options).misclassified.any()


def test_a_linear_regressor_is_moved_along_its_weights():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X = X.iloc[:40] / X.std()
    model = LinearRegression().fit(X, y[:40])
    display = AdversarialExamplesDisplay.from_estimator(model, X, y[:40], eps=0.5, threat="l2")
    weights = abs(model.coef_)
    np.testing.assert_allclose(display.movement, 0.5 * weights / np.linalg.norm(weights), atol=1e-6)
    moved = abs(model.predict(pd.DataFrame(display.X_adv, columns=X.columns)) - display.y_pred)
    np.testing.assert_allclose(moved, 0.5 * np.linalg.norm(weights), rtol=1e-6)
    (text,) = display.ax_.get_legend().get_texts()
    assert text.get_text() == f"LinearRegression: predictions move by {moved[0]:.3g} in the mean"
    assert "misclassified" not in display.ax_.get_xlabel()


def test_images_of_a_regressor_have_its_predictions_under_them():
    X, y = load_digits(return_X_y=True)
    model = LinearRegression().fit(X[:300] / 16, y[:300])
    display = AdversarialExamplesDisplay.from_estimator(
        model, X[:9] / 16, y[:9], eps=0.5, image_shape=(8, 8), n_examples=2
    )
    np.testing.assert_allclose(display.y_pred, model.predict(X[:2] / 16))
    np.testing.assert_allclose(display.y_adv, model.predict(display.X_adv))
    shown = {text.get_text() for text in display.ax_.texts}
    assert {f"{value:.4g}" for value in display.y_adv} <= shown


def test_errors_name_the_rule_and_the_remedy(wine):
    model, X, y = wine
    with pytest.raises(ValueError, match=r"same shape.*\(3, 12\) and \(2, 12\)"):
        AdversarialExamplesDisplay(IMAGES, MOVED[:2])
    with pytest.raises(ValueError, match=r"hold the 12 values of a row; \(5, 5\) holds 25"):
        AdversarialExamplesDisplay(IMAGES, MOVED, image_shape=(5, 5))
    with pytest.raises(ValueError, match=r"or \(height, width, 3\) for colours; got \(3, 2, 2\)"):
        AdversarialExamplesDisplay(IMAGES, MOVED, image_shape=(3, 2, 2))
    with pytest.raises(ValueError, match=r"y_adv must hold one label for each of 3 .*\(2,\)"):
        AdversarialExamplesDisplay(IMAGES, MOVED, y_pred=[0, 0, 0], y_adv=[0, 1])
    with pytest.raises(ValueError, match=r"hold 12 different names.*\['a', 'b'\]"):
        AdversarialExamplesDisplay(IMAGES, MOVED, feature_names=["a", "b"])
    with pytest.raises(ValueError, match=r"one for each of 12 features; found shape \(2,\)"):
        AdversarialExamplesDisplay(IMAGES, MOVED, units=[1, 2])
    with pytest.raises(ValueError, match=r"found shape \(3, 3, 4\). Pass image_shape=\(3, 4\)"):
        AdversarialExamplesDisplay(IMAGES.reshape(3, 3, 4), MOVED.reshape(3, 3, 4))
    with pytest.raises(ValueError, match="gets all 178 wrong"):
        AdversarialExamplesDisplay.from_estimator(model, X, (model.predict(X) + 1) % 3, eps=0.1)
    several = LinearRegression().fit(X, np.eye(len(X), 2))
    with pytest.raises(ValueError, match="the regressor has 2 outputs"):
        AdversarialExamplesDisplay.from_estimator(several, X, np.eye(len(X), 2), eps=0.1)
