import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from scipy.spatial.distance import pdist, squareform
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB

from sklearn_iso.metrics import isometry_distortion
from sklearn_iso.plotting import ShepardDisplay

X, y = load_iris(return_X_y=True)
FEW = slice(None, None, 5)
MODEL = PCA(n_components=1).fit(X)
Z = MODEL.transform(X)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_constructor_draws_nothing_and_plot_returns_the_display():
    display = ShepardDisplay([1, 2], [2, 3])
    assert not plt.get_fignums()
    assert display.plot() is display
    assert display.figure_ is display.ax_.figure


def test_given_axes_are_used():
    _, ax = plt.subplots()
    assert ShepardDisplay([1, 2], [2, 3]).plot(ax=ax).ax_ is ax
    assert len(plt.get_fignums()) == 1


def test_few_samples_show_every_pair_at_its_distances():
    display = ShepardDisplay.from_predictions(X[FEW], Z[FEW])
    np.testing.assert_allclose(np.sort(display.d_X), np.sort(pdist(X[FEW])), rtol=1e-12)
    np.testing.assert_allclose(np.sort(display.d_Z), np.sort(pdist(Z[FEW])), rtol=1e-12)


def test_same_class_tells_the_pairs_of_a_class():
    display = ShepardDisplay.from_predictions(X[FEW], Z[FEW], y[FEW])
    same = squareform(y[FEW][:, None] == y[FEW], checks=False)
    np.testing.assert_allclose(display.d_X[display.same_class], pdist(X[FEW])[same], rtol=1e-12)


@pytest.mark.parametrize("labels", [None, y])
def test_stress_is_that_of_the_metric(labels):
    display = ShepardDisplay.from_estimator(MODEL, X, labels, n_pairs=100)
    assert display.stress == isometry_distortion(X, Z, labels)
    assert f"stress {display.stress:.3f}" in display.line_.get_label()


@pytest.mark.parametrize("labels", [None, y[FEW]])
def test_scale_is_the_least_squares_slope_through_the_origin(labels):
    display = ShepardDisplay.from_predictions(X[FEW], Z[FEW], labels)
    chosen = slice(None) if labels is None else display.same_class
    regression = LinearRegression(fit_intercept=False)
    regression.fit(display.d_X[chosen, None], display.d_Z[chosen])
    assert display.scale == pytest.approx(regression.coef_[0], rel=1e-12)
    (_, origin), (right, top) = display.line_.get_xydata()
    assert (origin, top) == (0, pytest.approx(display.scale * right))


def test_similarity_lies_on_the_line():
    display = ShepardDisplay.from_predictions(X, 3 * X + 1, y)
    np.testing.assert_allclose(display.d_Z, display.scale * display.d_X, rtol=1e-9, atol=1e-12)
    assert display.scale == pytest.approx(3)


@pytest.mark.parametrize("labels, n_groups", [(None, 1), (y, 2)])
@pytest.mark.parametrize("n_pairs, kind", [(3000, PathCollection), (20_000, PolyCollection)])
def test_few_pairs_are_dots_and_many_are_hexagons_of_each_group(labels, n_groups, n_pairs, kind):
    display = ShepardDisplay.from_predictions(X, Z, labels, n_pairs=n_pairs)
    assert [type(artist) for artist in display.artists_] == [kind] * n_groups


def test_hexagons_count_every_pair_once():
    display = ShepardDisplay.from_predictions(X, Z, y)
    counts = [artist.get_array().sum() for artist in display.artists_]
    assert counts == [(~display.same_class).sum(), display.same_class.sum()]


def test_with_labels_at_least_half_of_the_sampled_pairs_are_within_a_class():
    labels = np.arange(len(X)) // 2  # 75 classes of two: one pair in 150 is within a class
    display = ShepardDisplay.from_predictions(X, Z, labels, n_pairs=1000)
    assert display.same_class.sum() >= 500
    assert 400 < (~display.same_class).sum() <= 500


def test_sample_repeats_for_its_seed():
    first, again, other = (
        ShepardDisplay.from_predictions(X, Z, n_pairs=50, random_state=seed).d_X
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_collapsed_representation_is_drawn():
    display = ShepardDisplay.from_predictions(X, np.zeros_like(Z), y)
    assert (display.scale, display.stress) == (0, 1)


def test_title_is_the_name_of_the_estimator():
    assert ShepardDisplay.from_estimator(MODEL, X).ax_.get_title() == "PCA"
    assert ShepardDisplay.from_estimator(MODEL, X, name="other").ax_.get_title() == "other"


def test_estimator_without_a_representation_is_an_error():
    with pytest.raises(TypeError, match="GaussianNB has no transform"):
        ShepardDisplay.from_estimator(GaussianNB().fit(X, y), X, y)


def test_unequal_lengths_are_an_error():
    with pytest.raises(ValueError, match=r"same length.*found shapes \(2,\), \(3,\)"):
        ShepardDisplay([1, 2], [1, 2, 3])


@pytest.mark.parametrize("d_X, d_Z", [([], []), ([[1.0]], [[2.0]])])
def test_what_is_no_list_of_pairs_is_an_error(d_X, d_Z):
    with pytest.raises(ValueError, match="of at least one pair; found shapes"):
        ShepardDisplay(d_X, d_Z)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_what_is_no_distance_is_an_error(wrong):
    with pytest.raises(ValueError, match=f"d_Z must hold distances.*found {wrong} for pair 1"):
        ShepardDisplay([1, 2], [1, wrong])


def test_a_diagram_needs_pairs():
    with pytest.raises(ValueError, match="'n_pairs' parameter .* Got 0"):
        ShepardDisplay.from_predictions(X, Z, n_pairs=0)


@pytest.mark.parametrize("n_pairs", [500, 20_000])
def test_no_pair_lies_under_the_legend(n_pairs):
    far_apart = np.column_stack([X, 10.0 * y])  # classes at all heights above the line
    for rows, size in ((1, (10, 4.2)), (2, (12, 7)), (2, (7, 5))):
        figure, axes = plt.subplots(rows, 2, figsize=size, layout="constrained")
        for ax, named in zip(axes.flat, (far_apart, Z), strict=False):
            display = ShepardDisplay.from_predictions(X, named, y, n_pairs=n_pairs, ax=ax)
            figure.canvas.draw()
            legend = ax.get_legend().get_window_extent()
            top = ax.transData.transform([0, display.d_Z.max()])[1]
            assert top < legend.y0


def test_on_shared_axes_the_legend_tells_whose_pairs_are_which():
    first = ShepardDisplay.from_predictions(X, Z, y, name="first")
    assert first.ax_.get_title() == "first"
    second = ShepardDisplay.from_predictions(X, 2 * Z, y, name="second", ax=first.ax_)
    ShepardDisplay.from_predictions(X, 3 * Z, y, name="third", ax=first.ax_)
    assert len(plt.get_fignums()) == 1
    assert first.ax_.get_title() == ""
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    for name in ("first", "second", "third"):
        assert sum(label.startswith(f"{name}: ") for label in labels) == 3
    assert first.line_.get_color() != second.line_.get_color()
    assert first.line_.get_linestyle() != second.line_.get_linestyle()
    shades = [display.artists_[1].get_cmap()(1.0) for display in (first, second)]
    assert shades[0] != shades[1]


def test_importing_the_displays_does_not_import_matplotlib():
    code = "import sys, sklearn_iso.plotting; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
