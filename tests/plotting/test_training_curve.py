import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso.plotting import TrainingCurveDisplay

HISTORY = {
    "epoch": [1, 2, 3],
    "loss": [2.0, 1.0, 0.6],
    "classification_loss": [1.5, 0.9, 0.5],
    "penalty": [0.5, 0.1, 0.1],
}
SMALL = {"hidden_layer_sizes": (8, 4), "max_epochs": 3, "random_state": 0}
X, y = load_iris(return_X_y=True)


def test_constructor_draws_nothing_and_plot_returns_the_display():
    display = TrainingCurveDisplay(HISTORY)
    assert not plt.get_fignums()
    assert display.plot() is display
    assert display.figure_ is display.ax_.figure


def test_curves_are_the_columns_of_the_history_against_the_epochs():
    display = TrainingCurveDisplay(HISTORY).plot()
    assert list(display.lines_) == ["classification_loss", "penalty"]
    for term, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_xydata(), np.transpose([[1, 2, 3], HISTORY[term]]))


@pytest.mark.parametrize("wrap", ["bare", "pipeline", "search"])
def test_history_is_found_inside_of_pipelines_and_searches(wrap):
    model = IsometricClassifier(early_stopping=True, **SMALL)
    if wrap != "bare":
        model = make_pipeline(StandardScaler(), model)
    if wrap == "search":
        model = GridSearchCV(model, {"isometricclassifier__alpha": [1.0]}, cv=2)
    model.fit(X, y)
    display = TrainingCurveDisplay.from_estimator(model)
    last = {"bare": lambda: model, "pipeline": lambda: model[-1]}
    fitted = last.get(wrap, lambda: model.best_estimator_[-1])()
    assert set(display.lines_) == {"classification_loss", "penalty", "valid_classification_loss"}
    for term, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), fitted.history_[term])


def test_fits_with_and_without_a_penalty_show_the_same_validation_loss():
    fits = [IsometricClassifier(alpha=a, early_stopping=True, **SMALL).fit(X, y) for a in (0, 1)]
    terms = ("classification_loss", "penalty", "valid_classification_loss")
    for alpha, fit in enumerate(fits):
        history, display = fit.history_, TrainingCurveDisplay.from_estimator(fit)
        assert display.terms == tuple(term for term in terms if alpha or term != "penalty")
        whole = np.array(history["valid_classification_loss"])
        whole = whole + alpha * np.array(history["valid_penalty"])
        np.testing.assert_allclose(history["valid_loss"], whole, rtol=1e-6)


def test_a_history_with_nothing_but_the_whole_validation_loss_shows_that():
    display = TrainingCurveDisplay({**HISTORY, "valid_loss": [2.0, 1.5, 1.0]}).plot()
    assert "valid_loss" in display.lines_


def test_an_embedding_shows_its_reconstruction_error_without_nats():
    model = IsometricTransformer(hidden_layer_sizes=(8,), max_epochs=2, random_state=0).fit(X)
    display = TrainingCurveDisplay.from_estimator(model)
    error = display.lines_["reconstruction_error"].get_ydata()
    np.testing.assert_array_equal(error, model.history_["reconstruction_error"])
    assert "nats" not in display.ax_.get_ylabel()


def test_a_regressor_shows_its_squared_error_without_nats():
    model = IsometricRegressor(hidden_layer_sizes=(8,), max_epochs=2, random_state=0).fit(X, y)
    display = TrainingCurveDisplay.from_estimator(model)
    error = display.lines_["squared_error"].get_ydata()
    np.testing.assert_array_equal(error, model.history_["squared_error"])
    assert "nats" not in display.ax_.get_ylabel()


def test_a_penalty_that_is_zero_throughout_is_left_out():
    display = TrainingCurveDisplay({**HISTORY, "penalty": [0.0, 0.0, 0.0]})
    assert display.terms == ("classification_loss",)


def test_axis_is_logarithmic_only_where_all_values_are_positive():
    assert TrainingCurveDisplay(HISTORY).plot().ax_.get_yscale() == "log"
    history = {**HISTORY, "penalty": [0.5, 0.0, 0.1]}
    assert TrainingCurveDisplay(history).plot().ax_.get_yscale() == "linear"


def test_on_shared_axes_colours_tell_terms_and_line_styles_tell_fits():
    first = TrainingCurveDisplay(HISTORY, estimator_name="first").plot()
    second = TrainingCurveDisplay(HISTORY, estimator_name="second").plot(ax=first.ax_)
    assert len(plt.get_fignums()) == 1
    for term in first.terms:
        a, b = first.lines_[term], second.lines_[term]
        assert a.get_color() == b.get_color()
        assert a.get_linestyle() != b.get_linestyle()
    assert first.lines_["penalty"].get_color() != first.lines_["classification_loss"].get_color()
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert labels == [f"{fit}: {t}" for fit in ("first", "second")
                      for t in ("classification loss", "penalty")]  # fmt: skip


def test_one_epoch_is_visible():
    history = {name: values[:1] for name, values in HISTORY.items()}
    assert TrainingCurveDisplay(history).plot().lines_["penalty"].get_marker() == "o"


def test_ticks_stand_at_whole_epochs():
    twenty = {"epoch": range(1, 21), "classification_loss": np.linspace(2.0, 1.0, 20)}
    ticks = TrainingCurveDisplay(twenty).plot().ax_.get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_an_axis_that_is_logarithmic_already_stays_so():
    ax = plt.figure().subplots()
    ax.set_xscale("log")
    assert TrainingCurveDisplay(HISTORY).plot(ax).ax_.get_xscale() == "log"


def test_unequal_columns_are_an_error():
    with pytest.raises(ValueError, match="same length; found"):
        TrainingCurveDisplay({"epoch": [1, 2], "penalty": [0.1]})


@pytest.mark.parametrize("terms", [["nonsense"], []])
def test_terms_that_are_not_there_are_an_error(terms):
    with pytest.raises(ValueError, match="terms must be columns of the history.*penalty"):
        TrainingCurveDisplay(HISTORY, terms=terms)


def test_an_estimator_without_history_is_an_error():
    with pytest.raises(TypeError, match="LogisticRegression has none. Fit an IsometricClassifier"):
        TrainingCurveDisplay.from_estimator(LogisticRegression())
