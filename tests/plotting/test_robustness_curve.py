import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from lit_window import SIDE, LitWindow
from matplotlib.colors import to_hex
from scipy.stats import norm as normal
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.metrics import robustness_curve, robustness_report
from sklearn_iso.plotting import RobustnessCurveDisplay

EPS = [0.0, 0.1, 0.2]
ACCURACY = [0.97, 0.5, 0.0]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted():
    X, y = make_blobs(60, centers=3, random_state=0)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X, y


def draw(**parameters):
    return RobustnessCurveDisplay.from_predictions(EPS, ACCURACY, threat="linf", **parameters)


def test_parameters_are_attributes():
    display = draw(n_samples=100, name="model")
    np.testing.assert_array_equal(display.eps, EPS)
    np.testing.assert_array_equal(display.accuracy, ACCURACY)
    found = (display.threat, display.n_samples, display.estimator_name)
    assert found == (ThreatModel("linf"), 100, "model")


def test_constructor_draws_nothing_and_plot_returns_the_display():
    display = RobustnessCurveDisplay(EPS, ACCURACY, threat="l2")
    assert not plt.get_fignums()
    assert display.plot() is display
    assert display.figure_ is display.ax_.figure


def test_curve_goes_through_the_accuracies():
    np.testing.assert_array_equal(draw().line_.get_xydata(), np.transpose([EPS, ACCURACY]))


def test_curve_from_an_estimator_has_the_values_of_the_metric(fitted):
    model, X, y = fitted
    display = RobustnessCurveDisplay.from_estimator(model, X, y, eps=[0, 0.5, 2], threat="l2")
    expected = robustness_curve(model, X, y, eps=[0, 0.5, 2], threat="l2", random_state=0)
    np.testing.assert_array_equal(display.accuracy, expected)
    assert display.accuracy[0] == model.score(X, y) > display.accuracy[-1]
    assert display.n_samples == len(X)
    assert display.estimator_name == "LogisticRegression"


def test_weighted_curve_has_the_band_of_as_many_equal_samples(fitted):
    model, X, y = fitted
    weight = np.where(y == 1, 3.0, 0.0) + (y == 2)
    options = {"eps": [0, 0.5], "attack": "fgsm"}
    display = RobustnessCurveDisplay.from_estimator(model, X, y, **options, sample_weight=weight)
    expected = robustness_curve(model, X, y, **options, sample_weight=weight)
    np.testing.assert_array_equal(display.accuracy, expected)
    assert display.n_samples == round(weight.sum() ** 2 / (weight**2).sum()) < len(X)


def test_curve_from_an_estimator_of_images_is_searched_in_patches():
    X, y = np.zeros((5, SIDE * SIDE)), np.zeros(5, dtype=int)
    model = LitWindow().fit(X, [0, 0, 0, 0, 1])
    options = {"eps": [0, 1.0], "threat": "l2", "random_state": 0}
    blind = RobustnessCurveDisplay.from_estimator(model, X, y, **options)
    attack = AttackEnsemble(image_shape=(SIDE, SIDE))
    seen = RobustnessCurveDisplay.from_estimator(model, X, y, attack=attack, **options)
    assert blind.accuracy.tolist() == [1, 1] and seen.accuracy[1] < 1


def test_several_models_share_axes_in_different_colours_and_markers():
    first = draw(name="first", n_samples=50)
    second = draw(name="second", n_samples=50, ax=first.ax_)
    assert second.ax_ is first.ax_
    assert len(plt.get_fignums()) == 1
    assert first.line_.get_color() != second.line_.get_color()
    assert first.line_.get_marker() != second.line_.get_marker()
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert labels == ["first", "second"]


def test_band_is_the_wilson_interval():
    n = 40
    band = draw(n_samples=n).band_.get_paths()[0].vertices
    z, share = normal.ppf(0.975), np.round(np.array(ACCURACY) * n) / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    for eps, low, high in zip(EPS, centre - half, centre + half, strict=True):
        drawn = band[np.isclose(band[:, 0], eps), 1]
        assert (drawn.min(), drawn.max()) == pytest.approx((low, high), abs=1e-12)


def test_band_has_the_colour_of_its_curve():
    display = draw(n_samples=40)
    assert to_hex(display.band_.get_facecolor()[0]) == to_hex(display.line_.get_color())


def test_without_n_samples_there_is_no_band():
    assert draw().band_ is None


@pytest.mark.parametrize(
    "norm, symbol", [("linf", r"\infty"), (np.inf, r"\infty"), ("l2", "2"), (2, "2"), (1, "1")]
)
def test_label_names_the_norm_and_the_unit(norm, symbol):
    label = RobustnessCurveDisplay(EPS, ACCURACY, threat=norm).plot().ax_.get_xlabel()
    assert f"_{symbol}$" in label
    assert "units of the features" in label


def test_name_and_style_of_plot_override_those_of_the_display():
    display = RobustnessCurveDisplay(EPS, ACCURACY, threat="l2", estimator_name="old")
    display.plot(name="new", color="black", linestyle="--")
    assert display.line_.get_label() == "new"
    assert (display.line_.get_color(), display.line_.get_linestyle()) == ("black", "--")


def test_an_unnamed_curve_has_no_legend():
    assert draw().ax_.get_legend() is None


def test_unequal_lengths_are_an_error():
    with pytest.raises(ValueError, match=r"same length; found shapes \(3,\) and \(2,\)"):
        RobustnessCurveDisplay(EPS, [0.9, 0.8], threat="l2")


@pytest.mark.parametrize("wrong", [97, -0.1, np.nan])
def test_accuracies_that_are_no_shares_are_an_error(wrong):
    with pytest.raises(ValueError, match=r"accuracy must lie in \[0, 1\].*not percentages"):
        RobustnessCurveDisplay(EPS, [wrong, 0.5, 0.1], threat="l2")


def test_units_and_fixed_columns_reach_the_attack(fitted):
    model, X, y = fitted
    threat = {"eps": [0.2, 0.5], "threat": ThreatModel("l2", units=X.std(axis=0), immutable=[1])}
    display = RobustnessCurveDisplay.from_estimator(model, X, y, **threat)
    expected = robustness_curve(model, X, y, random_state=0, **threat)
    np.testing.assert_array_equal(display.accuracy, expected)
    assert display.accuracy[-1] > robustness_curve(
        model, X, y, eps=[0.5], threat=ThreatModel("l2", units=X.std(axis=0)), random_state=0
    )
    assert "the units given" in display.ax_.get_xlabel()


def test_budgets_are_drawn_in_order():
    display = RobustnessCurveDisplay([0.2, 0, 0.1], [0, 0.9, 0.5], threat="l2", n_samples=10).plot()
    np.testing.assert_array_equal(display.line_.get_xydata(), [[0, 0.9], [0.1, 0.5], [0.2, 0]])
    band = display.band_.get_paths()[0].vertices
    for eps, accuracy in display.line_.get_xydata():
        heights = band[np.isclose(band[:, 0], eps), 1]
        assert heights.min() <= accuracy <= heights.max()


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_budgets_that_are_none_are_an_error(wrong):
    with pytest.raises(ValueError, match="eps must be finite and at least 0"):
        RobustnessCurveDisplay([wrong, 0, 0.1], ACCURACY, threat="l2")


@pytest.mark.parametrize("wrong", [0, -3, 2.5])
def test_numbers_of_samples_that_are_no_counts_are_an_error(wrong):
    with pytest.raises(ValueError, match=f"n_samples must be a whole number.*got {wrong}"):
        RobustnessCurveDisplay(EPS, ACCURACY, threat="l2", n_samples=wrong)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = RobustnessCurveDisplay(EPS, ACCURACY, threat="l2")
    with pytest.raises(ImportError, match=r"RobustnessCurveDisplay.*sklearn-iso\[plot\]"):
        display.plot()


# ---- what is proven

CERTIFIED = [0.97, 0.3, 0.0]


def test_the_band_lies_between_proven_and_found_and_is_labelled():
    display = draw(certified=CERTIFIED)
    line, band, labels = display.proven_
    np.testing.assert_array_equal(line.get_xydata(), np.transpose([EPS, CERTIFIED]))
    corners = band.get_paths()[0].vertices
    for eps, low, high in zip(EPS, CERTIFIED, ACCURACY, strict=True):
        drawn = corners[np.isclose(corners[:, 0], eps), 1]
        assert (drawn.min(), drawn.max()) == (low, high)
    assert [label.get_text() for label in labels] == ["proven", "under attack", "open"]
    assert [label.xy for label in labels] == [(0.1, 0.3), (0.1, 0.5), (0.1, 0.4)]
    assert to_hex(band.get_facecolor()[0]) == to_hex(display.line_.get_color())
    assert display.ax_.get_legend() is None and display.ax_.get_ylabel() == "Accuracy"
    assert draw().proven_ is None and draw().ax_.get_ylabel() == "Accuracy under attack"


def test_where_nothing_is_open_one_label_says_so():
    labels = draw(certified=ACCURACY).proven_.labels
    assert [label.get_text() for label in labels] == ["proven, nothing open"]


def test_intervals_reach_from_below_the_proven_to_above_the_found():
    n = 40
    corners = draw(n_samples=n, certified=CERTIFIED).band_.get_paths()[0].vertices
    below, above = (
        draw_of.band_.get_paths()[0].vertices
        for draw_of in (
            RobustnessCurveDisplay.from_predictions(EPS, CERTIFIED, threat="linf", n_samples=n),
            draw(n_samples=n),
        )
    )
    for eps in EPS:
        drawn, low, high = (c[np.isclose(c[:, 0], eps), 1] for c in (corners, below, above))
        assert (drawn.min(), drawn.max()) == (low.min(), high.max())


def test_a_report_draws_itself_without_another_attack(fitted, monkeypatch):
    model, X, y = fitted
    report = robustness_report(
        model, X, y, eps=[0, 0.5, 2], n_diagnosed=0, random_state=0, certify=True
    )
    by_name = RobustnessCurveDisplay.from_estimator(
        model, X, y, eps=[0, 0.5, 2], certify=True, random_state=0
    )
    for name in ("robustness_curve", "certified_accuracy"):
        monkeypatch.setattr(f"sklearn_iso.plotting._robustness_curve.{name}", None)
    display = RobustnessCurveDisplay.from_report(report)
    np.testing.assert_array_equal(display.accuracy, report.accuracy)
    np.testing.assert_array_equal(display.certified, report.proven.accuracy)
    np.testing.assert_array_equal(by_name.certified, report.proven.accuracy)
    assert (display.n_samples, display.threat) == (len(X), report.threat)
    assert display.estimator_name == report.estimator_name


def test_a_report_of_a_regressor_draws_its_errors():
    X, _ = make_blobs(40, centers=1, random_state=0)
    y = X @ [1.0, 2.0]
    ridge = Ridge().fit(X, y)
    report = robustness_report(
        ridge, X, y, eps=[0, 0.5], loss="squared_error", n_diagnosed=0, random_state=0
    )
    display = RobustnessCurveDisplay.from_report(report, name="mine")
    np.testing.assert_array_equal(display.accuracy, report.error)
    assert display.ax_.get_ylabel() == "Squared error under attack"
    assert display.band_ is None and display.estimator_name == "mine"


def test_shares_that_cannot_be_proven_are_an_error():
    for wrong in ([0.97, 0.6, 0.0], [0.97, -0.1, 0.0], [0.9, np.nan, 0.0], [0.9, 0.1]):
        with pytest.raises(ValueError, match="certified must hold a share for each budget"):
            RobustnessCurveDisplay(EPS, ACCURACY, threat="l2", certified=wrong)
    with pytest.raises(ValueError, match="certified is a share of samples that hold"):
        RobustnessCurveDisplay(EPS, ACCURACY, threat="l2", certified=CERTIFIED, loss="error")
    with pytest.raises(TypeError, match="report must be what robustness_report returned; got int"):
        RobustnessCurveDisplay.from_report(3)
