"""What every display promises, whatever it shows."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from sklearn_iso import plotting
from sklearn_iso.plotting._axes import COLORS

IMAGES = np.linspace(0, 1, 24).reshape(2, 12)
JACOBIANS = np.broadcast_to(np.eye(2), (3, 3, 2, 2))
AXIS = [0.0, 1.0, 2.0]
PLANE = np.arange(8.0).reshape(4, 2) ** 2
DISTANCES = np.arange(1.0, 7.0)[:, None]
#: Arguments of from_predictions; whether several models fit on one axes.
KNOWN = {
    "RobustnessCurveDisplay": (([0, 1], [0.9, 0.1]), {"threat": "l2"}, True),
    "ShepardDisplay": ((DISTANCES, DISTANCES**2), {}, True),
    "DistortionMapDisplay": ((AXIS, AXIS, JACOBIANS), {}, False),
    "EmbeddingDisplay": ((PLANE, 2 * PLANE), {}, False),
    "TrainingCurveDisplay": (({"epoch": [1, 2], "penalty": [0.5, 0.1]},), {}, True),
    "AlphaPathDisplay": (([0, 1], {"clean": [0.9, 0.8]}), {}, True),
    "AdversarialExamplesDisplay": ((IMAGES, 1 - IMAGES), {}, True),
}
PICTURES = {
    **KNOWN,
    "images": ((IMAGES, 1 - IMAGES), {"image_shape": (3, 4)}, False),
}


def draw(case, **options):
    arguments, fixed, _ = PICTURES[case]
    display = getattr(plotting, case, plotting.AdversarialExamplesDisplay)
    return display.from_predictions(*arguments, **fixed, **options)


def test_all_displays_are_held_to_these_laws():
    assert set(KNOWN) == set(plotting.__all__)


@pytest.mark.parametrize("name", plotting.__all__)
def test_a_display_is_made_from_an_estimator_or_from_what_is_known(name):
    display = getattr(plotting, name)
    for maker in ("from_estimator", "from_predictions"):
        parameters = inspect.signature(getattr(display, maker)).parameters
        assert {"name", "ax"} <= set(parameters)
        assert inspect.ismethod(getattr(display, maker))


@pytest.mark.parametrize("case", PICTURES)
def test_a_display_draws_on_the_axes_given_and_returns_itself(case):
    _, ax = plt.subplots()
    display = draw(case, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert len(plt.get_fignums()) == 1
    assert display.plot() is display
    assert display.ax_ is not ax


@pytest.mark.parametrize("case", [case for case, (_, _, shared) in PICTURES.items() if shared])
def test_models_on_shared_axes_are_told_apart_by_look_and_legend(case):
    first = draw(case, name="first")
    second = draw(case, name="second", ax=first.ax_)
    assert second.ax_ is first.ax_
    handles, labels = first.ax_.get_legend_handles_labels()
    looks = {"first": set(), "second": set()}
    for handle, label in zip(handles, labels, strict=True):
        (owner,) = [name for name in looks if label.startswith(name)]
        line = hasattr(handle, "get_marker")
        color = handle.get_color() if line else tuple(handle.get_facecolor().ravel())
        looks[owner].add((color, handle.get_linestyle() if line else None))
    assert looks["first"] and looks["second"]
    assert not looks["first"] & looks["second"]


@pytest.mark.parametrize("case", [case for case, (_, _, shared) in PICTURES.items() if not shared])
def test_a_picture_that_fills_its_axes_does_not_cover_another(case):
    first = draw(case)
    with pytest.raises(ValueError, match="fills its axes, and there is something on these already"):
        draw(case, ax=first.ax_)


@pytest.mark.parametrize("case", ["RobustnessCurveDisplay"])
def test_twenty_four_models_on_one_axes_all_look_different(case):
    ax = None
    for _ in range(24):
        ax = draw(case, ax=ax).ax_
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 24


# Brettel, Vienot and Mollon's simulation in its linear form: Vienot, Brettel and Mollon, "Digital
# video colourmaps for checking the legibility of displays by dichromats", 1999.
DICHROMATS = {
    "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


@pytest.mark.parametrize("blindness", DICHROMATS)
def test_dichromats_tell_the_colours_apart(blindness):
    linear = np.array([to_rgb(color) for color in COLORS]) ** 2.2
    seen = np.clip(linear @ np.transpose(DICHROMATS[blindness]), 0, 1) ** (1 / 2.2)
    gaps = np.linalg.norm(seen[:, None] - seen[None], axis=2)[np.triu_indices(len(COLORS), 1)]
    assert gaps.min() > 0.1
