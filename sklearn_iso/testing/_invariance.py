"""Check that a measure of distortion looks at distances and at nothing else."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils._param_validation import Interval

from sklearn_iso._protocols import Floats, Measure
from sklearn_iso._typed import validate_params
from sklearn_iso.testing._broken import LawBrokenError, as_number, require, shown
from sklearn_iso.testing._clouds import point_clouds
from sklearn_iso.testing._examples import repeatable
from sklearn_iso.testing._maps import (
    bi_lipschitz_maps,
    rigid_motions,
    similarities,
)


@validate_params(
    {
        "metric": [callable],
        "scale_invariant": ["boolean"],
        "min_samples": [Interval(Integral, 1, None, closed="left")],
        "rtol": [Interval(Real, 0, None, closed="left")],
        "max_examples": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=False,
)
def check_rigid_motion_invariance(
    metric: Measure,
    *,
    scale_invariant: bool = False,
    min_samples: int = 12,
    rtol: float = 1e-6,
    max_examples: int = 25,
) -> None:
    r"""Check that a measure of a map does not change under rigid motions of either side.

    .. math:: m(A X, B Z) = m(X, Z) \qquad \text{for rotations, reflections, translations } A, B

    and, with `scale_invariant`, for similarities A and B. Nor may it write into the points.
    Points and motions are drawn by hypothesis, and a failing example is shrunk.

    Parameters
    ----------
    metric : callable
        ``metric(X, Z) -> float`` for points X and their images Z, sample by sample.
    scale_invariant : bool, default=False
        Whether it must not depend on the units of either side.
    min_samples : int, default=12
        Fewest points, for measures that count neighbours; 20 at most are drawn, or as many.
    rtol : float, default=1e-6
        Slack for rounding, relative to the larger of the values and 1.
    max_examples : int, default=25
        Examples drawn, the same each time.

    Raises
    ------
    LawBrokenError
        If the values differ, or one is NaN or no number; an AssertionError, with the smallest
        example found.
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from sklearn_iso.metrics import isometry_distortion
    >>> from sklearn_iso.testing import check_rigid_motion_invariance
    >>> check_rigid_motion_invariance(isometry_distortion, scale_invariant=True)
    >>> check_rigid_motion_invariance(lambda X, Z: abs(X - Z).mean())
    Traceback (most recent call last):
    sklearn_iso.testing._broken.LawBrokenError: A measure must not change under rigid motions ...
    """
    moves = similarities() if scale_invariant else rigid_motions()
    clouds = point_clouds(
        min_samples=min_samples, max_samples=max(20, min_samples), general_position=True
    )

    # The examples drawn follow from the source of this function.
    @repeatable(max_examples)
    @given(X=clouds, bend=bi_lipschitz_maps(), of_X=moves, of_Z=moves, width=st.integers(1, 5))
    def keeps_its_value(X: Any, bend: Any, of_X: Any, of_Z: Any, width: int) -> None:
        Z = bend.in_units_of(X)(X)[:, :width]
        moved = of_X.in_units_of(X)(X), of_Z.in_units_of(Z)(Z)
        before, after = _measured(metric, X, Z), _measured(metric, *moved)
        # NaN fails too, infinity equals itself.
        if before != after and not abs(after - before) <= rtol * max(1.0, abs(before)):
            kind = "similarities" if scale_invariant else "rigid motions"
            raise LawBrokenError(
                f"A measure must not change under {kind} of X and of Z; got {before!r} before "
                f"and {after!r} after, for {len(X)} points of {X.shape[1]} features, of which "
                f"the map keeps {Z.shape[1]}.\nX moved by {of_X}\nZ moved by {of_Z}\n"
                f"X: {shown(X)}"
            )

    with np.errstate(all="ignore"):
        keeps_its_value()


def _measured(metric: Measure, X: Floats, Z: Floats) -> float:
    points = X.copy(), Z.copy()
    found = as_number(metric(*points), "A measure")
    kept = np.array_equal(points[0], X) and np.array_equal(points[1], Z)
    require(kept, "A measure must leave X and Z as they were; it wrote into them.")
    return found
