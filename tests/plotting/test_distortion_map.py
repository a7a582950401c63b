import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import LogNorm
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import HierarchicalIsometricClassifier, IsometricClassifier
from sklearn_iso.metrics import jacobian_singular_values
from sklearn_iso.plotting import DistortionMapDisplay
from sklearn_iso.twins import NotDifferentiableError

X, y = make_blobs(60, centers=3, random_state=0)
GRID = (np.linspace(0, 1, 5), np.linspace(0, 2, 6))


def linear_map(A, **parameters):
    return DistortionMapDisplay(*GRID, np.broadcast_to(np.asarray(A, float), (6, 5, 2, 2)),
                                **parameters)  # fmt: skip


@pytest.fixture(scope="module")
def classifier():
    net = IsometricClassifier(hidden_layer_sizes=(8, 8), max_epochs=5, random_state=0)
    return make_pipeline(StandardScaler(), net).fit(X, y)


def test_constructor_draws_nothing_and_plot_returns_the_display():
    display = linear_map(np.eye(2))
    assert not plt.get_fignums()
    assert display.plot() is display
    assert display.figure_ is display.ax_.figure


@pytest.mark.parametrize(
    "measure, expected", [("expansion", 4.0), ("contraction", 0.5), ("distortion", 2.0)]
)
def test_background_of_a_linear_map_is_exact(measure, expected):
    display = linear_map([[0, 4], [2, 0]]).plot(measure=measure)
    np.testing.assert_allclose(display.mesh_.get_array(), expected)


def test_background_has_the_singular_values_of_the_metric():
    scaler = FunctionTransformer(np.square).fit(X)
    display = DistortionMapDisplay.from_estimator(scaler, X, grid_resolution=7)
    grid = np.stack([a.ravel() for a in np.meshgrid(display.x0, display.x1)], axis=1)
    expected = jacobian_singular_values(scaler, grid)
    np.testing.assert_allclose(display.singular_values.reshape(-1, 2), expected)
    # x -> x^2 stretches by 2 |x|: an oracle without any code of ours
    np.testing.assert_allclose(expected, np.sort(2 * np.abs(grid), axis=1)[:, ::-1])
    np.testing.assert_allclose(display.mesh_.get_array().ravel(), expected[:, 0])


@pytest.mark.parametrize("A", [[[3, 1], [0, 1]], [[1, 0], [0, 0.7]]])
def test_the_map_takes_every_ellipse_to_a_circle_of_the_radius(A):
    display = linear_map(A).plot(n_ellipses=3)
    paths = display.ellipses_.get_paths()
    assert len(paths) == 9
    for path in paths:
        outline = path.vertices[:-1]
        arms = (outline - outline.mean(axis=0)) @ np.transpose(A)
        np.testing.assert_allclose(np.linalg.norm(arms, axis=1), display.radius_)


def test_similarities_have_circles_of_one_size():
    paths = linear_map([[0, -5], [5, 0]]).plot(n_ellipses=3).ellipses_.get_paths()
    radii = [np.linalg.norm(p.vertices - p.vertices[:-1].mean(axis=0), axis=1) for p in paths]
    np.testing.assert_allclose(radii, radii[0][0])


@pytest.mark.parametrize("A", [[[1, 0], [0, 0]], [[0, 0], [0, 0]]])
def test_ellipses_of_collapsed_directions_end_at_their_neighbours(A):
    display = linear_map(A).plot(n_ellipses=3)
    for path in display.ellipses_.get_paths():
        assert np.isfinite(path.vertices).all()
        assert np.ptp(path.vertices, axis=0).max() == pytest.approx(2 * 1 / 4)


def test_ellipses_can_be_left_out():
    assert linear_map(np.eye(2)).plot(n_ellipses=0).ellipses_ is None


def test_regions_are_the_predictions_of_the_estimator(classifier):
    display = DistortionMapDisplay.from_estimator(classifier, X, y, grid_resolution=6)
    m1, m0 = display.classes.shape
    axes = (np.linspace(a[0], a[-1], m) for a, m in ((display.x0, m0), (display.x1, m1)))
    grid = np.stack([a.ravel() for a in np.meshgrid(*axes)], axis=1)
    np.testing.assert_array_equal(display.classes.ravel(), classifier.predict(grid))


def test_representation_or_scores_are_chosen_by_response_method(classifier):
    maps = {
        method: DistortionMapDisplay.from_estimator(
            classifier, X, response_method=method, grid_resolution=5
        ).jacobians
        for method in ("auto", "transform", "decision_function")
    }
    assert maps["transform"].shape[2:] == (8, 2)
    assert maps["decision_function"].shape[2:] == (3, 2)
    np.testing.assert_array_equal(maps["auto"], maps["transform"])


def test_a_classifier_without_representation_shows_its_scores():
    model = LogisticRegression().fit(X, y)
    display = DistortionMapDisplay.from_estimator(model, X, y, grid_resolution=5)
    np.testing.assert_allclose(display.jacobians[0, 0], model.coef_, rtol=1e-6)


def test_samples_are_drawn_class_by_class(classifier):
    display = DistortionMapDisplay.from_estimator(classifier, X, y, grid_resolution=5)
    drawn = [c.get_offsets() for c in display.ax_.collections if len(c.get_offsets()) == 20]
    for number, offsets in zip(range(3), drawn, strict=True):
        np.testing.assert_array_equal(offsets, X[y == number])


def test_a_data_frame_keeps_its_names_for_the_estimator_and_for_the_axes():
    frame = pd.DataFrame(X, columns=["age", "height"])
    model = LogisticRegression().fit(frame, y)  # it would warn of a grid without names
    display = DistortionMapDisplay.from_estimator(model, frame, y, grid_resolution=4)
    assert display.ax_.get_xlabel() == "age, in its unit"
    assert display.ax_.get_ylabel() == "height, in its unit"


def test_regions_of_a_hierarchy_are_those_of_its_paths():
    Y = np.array([["a", "a0"], ["a", "a1"], ["b", "b0"]])[y]
    model = HierarchicalIsometricClassifier(block_sizes=(8, 8), max_epochs=5, random_state=0)
    display = DistortionMapDisplay.from_estimator(model.fit(X, Y), X, Y, grid_resolution=4)
    m1, m0 = display.classes.shape
    axes = (np.linspace(a[0], a[-1], m) for a, m in ((display.x0, m0), (display.x1, m1)))
    paths = model.predict(np.stack([a.ravel() for a in np.meshgrid(*axes)], axis=1))
    same = (paths[:, None] == paths[None]).all(axis=2)
    numbers = display.classes.ravel()
    np.testing.assert_array_equal(numbers[:, None] == numbers[None], same)


@pytest.mark.parametrize("high, at_least", [(1.3, 3), (4.0, 3), (20.0, 5), (90.0, 5)])
def test_the_colour_bar_has_numbers_to_read(high, at_least):
    display = linear_map(np.eye(2)).plot(vmin=1, vmax=high)
    ticks = display.colorbar_.get_ticks()
    assert ((ticks >= 1) & (ticks <= high)).sum() >= at_least


def test_limits_of_several_maps_can_be_one():
    display = linear_map(np.eye(2)).plot(vmin=0.5, vmax=8)
    assert isinstance(display.mesh_.norm, LogNorm)
    assert (display.mesh_.norm.vmin, display.mesh_.norm.vmax) == (0.5, 8)


def test_axes_and_scale_name_their_units(classifier):
    display = DistortionMapDisplay.from_estimator(classifier, X, grid_resolution=5)
    assert display.ax_.get_xlabel() == "Feature 0, in its unit"
    assert "units of Z for each unit of X" in display.colorbar_.ax.get_ylabel()
    assert display.ax_.get_title() == "IsometricClassifier"


def test_errors_name_the_rule_and_the_remedy():
    with pytest.raises(ValueError, match=r"must have 2 features; found shape \(60, 1\)"):
        DistortionMapDisplay.from_estimator(PCA().fit(X[:, :1]), X[:, :1])
    with pytest.raises(ValueError, match="at least two outputs"):
        DistortionMapDisplay.from_estimator(PCA(1).fit(X), X, grid_resolution=4)
    with pytest.raises(ValueError, match="measure must be one of .*expansion"):
        linear_map(np.eye(2)).plot(measure="stress")
    with pytest.raises(ValueError, match="response_method must be"):
        DistortionMapDisplay.from_estimator(PCA().fit(X), X, response_method="predict")
    with pytest.raises(ValueError, match="'grid_resolution' parameter .* Got 1"):
        DistortionMapDisplay.from_estimator(PCA().fit(X), X, grid_resolution=1)
    with pytest.raises(ValueError, match="'n_ellipses' parameter .* Got -1"):
        linear_map(np.eye(2)).plot(n_ellipses=-1)
    with pytest.raises(ValueError, match="found 30 points of the grid of 30 where one is not"):
        linear_map(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match=r"x1 must hold at least two .* increasing .*\[1.0, 0.0\]"):
        DistortionMapDisplay([0, 1], [1, 0], np.ones((2, 2, 2, 2)))
    for shape in ((1, 2), (2, 1), (0, 2)):
        with pytest.raises(ValueError, match="classes must be a grid of at least two rows"):
            DistortionMapDisplay([0, 1], [0, 1], np.ones((2, 2, 2, 2)), classes=np.ones(shape))
    with pytest.raises(NotDifferentiableError):
        DistortionMapDisplay.from_estimator(DecisionTreeClassifier().fit(X, y), X)


def test_a_level_of_a_hierarchy_has_a_map_of_its_own():
    model = HierarchicalIsometricClassifier(block_sizes=(8, 8), max_epochs=3, random_state=0)
    fitted = model.fit(X, np.column_stack([y > 0, y]))
    display = DistortionMapDisplay.from_estimator(fitted.at_level(0), X, grid_resolution=4)
    values = jacobian_singular_values(fitted.at_level(0), X[:1])
    assert np.isfinite(values).all()
    assert np.isfinite(display.singular_values).all()
