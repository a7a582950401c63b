import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import IsometricClassifier
from sklearn_iso.metrics import make_adversarial_scorer, make_distortion_scorer
from sklearn_iso.plotting import AlphaPathDisplay

ALPHA = [0.0, 0.1, 10.0]
FOLDS = np.array([[0.9, 1.0], [0.8, 0.9], [0.5, 0.8]])
X, y = load_iris(return_X_y=True)
SCORING = {
    "distortion": make_distortion_scorer(),
    "robust": make_adversarial_scorer(eps=0.3, attack="fgsm"),
    "clean": "accuracy",
}


def pipeline(alpha=1.0):
    net = IsometricClassifier(alpha, hidden_layer_sizes=(8,), max_epochs=3, random_state=0)
    return make_pipeline(StandardScaler(), net)


@pytest.fixture(scope="module")
def search():
    grid = {"isometricclassifier__alpha": [10.0, 0.0, 1.0]}
    return GridSearchCV(pipeline(), grid, scoring=SCORING, refit="clean", cv=2).fit(X, y)


def test_constructor_draws_nothing_and_plot_returns_the_display():
    display = AlphaPathDisplay(ALPHA, {"clean": [1, 0.9, 0.8]})
    assert not plt.get_fignums()
    assert display.plot() is display
    assert display.figure_ is display.ax_.figure


def test_curves_go_through_the_means_of_the_folds():
    display = AlphaPathDisplay.from_predictions(ALPHA, {"clean": FOLDS})
    expected = np.transpose([ALPHA, FOLDS.mean(axis=1)])
    np.testing.assert_allclose(display.lines_["clean"].get_xydata(), expected)


def test_band_is_one_standard_error_of_the_folds():
    display = AlphaPathDisplay.from_predictions(ALPHA, {"clean": FOLDS})
    band = display.bands_["clean"]
    half = np.abs(FOLDS[:, 1] - FOLDS[:, 0]) / 2  # of two folds: std(ddof=1) / sqrt(2)
    drawn = band.get_paths()[0].vertices
    for alpha, mean, error in zip(ALPHA, FOLDS.mean(axis=1), half, strict=True):
        heights = drawn[np.isclose(drawn[:, 0], alpha), 1]
        assert (heights.min(), heights.max()) == pytest.approx((mean - error, mean + error))
    assert to_hex(band.get_facecolor()[0]) == to_hex(display.lines_["clean"].get_color())


def test_single_scores_have_no_band():
    assert not AlphaPathDisplay.from_predictions(ALPHA, {"clean": [1, 0.9, 0.8]}).bands_


def test_a_search_is_drawn_in_order_of_alpha_with_all_its_scores(search):
    display = AlphaPathDisplay.from_estimator(search)
    assert list(display.lines_) == ["clean", "robust", "distortion"]
    np.testing.assert_array_equal(display.alpha, [0, 1, 10])
    for name, scorer in SCORING.items():
        expected = [
            cross_val_score(pipeline(alpha), X, y, scoring=scorer, cv=2).mean()
            for alpha in display.alpha
        ]
        sign = -1 if name == "distortion" else 1
        np.testing.assert_allclose(display.lines_[name].get_ydata(), sign * np.array(expected))


def test_the_best_alpha_of_a_search_is_marked(search):
    display = AlphaPathDisplay.from_estimator(search)
    best = search.best_params_["isometricclassifier__alpha"]
    assert display.chosen == best
    np.testing.assert_array_equal(display.chosen_.get_xdata(), [best, best])


def test_every_alpha_has_its_tick_and_zero_has_room():
    ax = AlphaPathDisplay(ALPHA, {"clean": FOLDS}).plot().ax_
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "0.1", "10"]
    at = ax.transData.transform([(alpha, 0) for alpha in ALPHA])[:, 0]
    assert (np.diff(at) > 30).all()  # pixels: symlog, as a logarithmic axis has no 0


def test_on_shared_axes_colours_tell_scores_and_line_styles_tell_models():
    scores = {"clean": [1, 0.9, 0.8], "robust": [0.1, 0.5, 0.6]}
    first = AlphaPathDisplay.from_predictions(ALPHA, scores, name="first")
    second = AlphaPathDisplay.from_predictions(ALPHA, scores, name="second", ax=first.ax_)
    for score in scores:
        a, b = first.lines_[score], second.lines_[score]
        assert (a.get_color(), a.get_marker()) == (b.get_color(), b.get_marker())
        assert a.get_linestyle() != b.get_linestyle()
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert labels == ["first: clean", "first: robust", "second: clean", "second: robust"]


def test_models_of_other_alphas_and_scores_fit_on_shared_axes():
    first = AlphaPathDisplay.from_predictions([1, 10], {"clean": [0.9, 0.8], "far": [3, 2]})
    second = AlphaPathDisplay.from_predictions([10, 0.1], {"far": [0.4, 0.3]}, ax=first.ax_)
    assert second.ax_.get_ylim()[1] > 3
    assert [text.get_text() for text in second.ax_.get_xticklabels()] == ["0.1", "1", "10"]
    np.testing.assert_array_equal(second.lines_["far"].get_xydata(), [[0.1, 0.3], [10, 0.4]])
    assert first.lines_["far"].get_color() == second.lines_["far"].get_color()
    assert first.lines_["clean"].get_color() != second.lines_["far"].get_color()


def test_ticks_of_many_alphas_do_not_run_into_each_other():
    display = AlphaPathDisplay([0, *np.geomspace(0.01, 100, 25)], {"clean": np.ones(26)}).plot()
    display.figure_.canvas.draw()
    low, high = display.ax_.get_xlim()
    boxes = [
        text.get_window_extent()
        for text in display.ax_.get_xticklabels()
        if text.get_text() and low <= text.get_position()[0] <= high
    ]
    assert len(boxes) > 3
    assert all(a.x1 < b.x0 for a, b in zip(boxes[:-1], boxes[1:], strict=True))


def test_scores_that_failed_leave_gaps():
    display = AlphaPathDisplay([0, 1], {"clean": [np.nan, np.nan]}).plot()
    assert np.isnan(display.lines_["clean"].get_ydata()).all()


def test_a_search_over_another_parameter_too_is_an_error():
    grid = {"C": [0.1, 1], "fit_intercept": [True, False]}
    search = GridSearchCV(LogisticRegression(max_iter=1000), grid, cv=2).fit(X, y)
    with pytest.raises(ValueError, match=r"varied \['C', 'fit_intercept'\]. Search over alpha"):
        AlphaPathDisplay.from_estimator(search)


def test_a_parameter_of_another_name_can_be_named():
    grid = {"C": [1, 0.1]}
    search = GridSearchCV(LogisticRegression(max_iter=1000), grid, cv=2).fit(X, y)
    display = AlphaPathDisplay.from_estimator(search, param="C")
    expected = search.cv_results_["mean_test_score"][::-1]
    np.testing.assert_allclose(display.lines_["score"].get_ydata(), expected)


def test_what_is_no_search_is_an_error():
    with pytest.raises(TypeError, match="got LogisticRegression. Fit a GridSearchCV"):
        AlphaPathDisplay.from_estimator(LogisticRegression())


def test_scores_that_do_not_fit_and_negative_alphas_are_errors():
    with pytest.raises(ValueError, match=r"one row for each of 3 alphas; found shape \(2,\)"):
        AlphaPathDisplay(ALPHA, {"clean": [1, 0.9]})
    with pytest.raises(ValueError, match="at least one score; found none"):
        AlphaPathDisplay(ALPHA, {})
    with pytest.raises(ValueError, match="at least 0"):
        AlphaPathDisplay([-1.0], {"clean": [1]})
