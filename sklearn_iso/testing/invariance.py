"""Check that a measure of distortion looks at distances and at nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sklearn_iso.testing.broken import LawBrokenError, shown
from sklearn_iso.testing.clouds import point_clouds
from sklearn_iso.testing.examples import repeatable
from sklearn_iso.testing.maps import bi_lipschitz_maps, rigid_motions, similarities


def check_rigid_motion_invariance(
    metric: Callable[[Any, Any], float],
    *,
    scale_invariant: bool = False,
    min_samples: int = 12,
    rtol: float = 1e-6,
    max_examples: int = 25,
) -> None:
    r"""Check that a measure of a map does not change under rigid motions of either side.

    .. math:: m(A X, B Z) = m(X, Z) \qquad \text{for rotations, reflections, translations } A, B

    and, with `scale_invariant`, for similarities A and B. Points and motions are drawn by
    hypothesis, and a failing example is shrunk.

    Parameters
    ----------
    metric : callable
        ``metric(X, Z) -> float`` for points X and their images Z, row by row.
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
        If the values differ, or one is NaN; an AssertionError, with the smallest example found.

    Examples
    --------
    >>> from sklearn_iso.metrics import isometry_distortion
    >>> from sklearn_iso.testing import check_rigid_motion_invariance
    >>> check_rigid_motion_invariance(isometry_distortion, scale_invariant=True)
    >>> check_rigid_motion_invariance(lambda X, Z: abs(X - Z).mean())
    Traceback (most recent call last):
    sklearn_iso.testing.broken.LawBrokenError: A measure must not change under rigid motions ...
    """
    moves = similarities() if scale_invariant else rigid_motions()
    clouds = point_clouds(
        min_samples=min_samples, max_samples=max(20, min_samples), general_position=True
    )

    @repeatable(max_examples)
    @given(X=clouds, bend=bi_lipschitz_maps(), of_X=moves, of_Z=moves, width=st.integers(1, 5))
    def keeps_its_value(X: Any, bend: Any, of_X: Any, of_Z: Any, width: int) -> None:
        Z = bend.in_units_of(X)(X)[:, :width]
        moved = of_X.in_units_of(X)(X), of_Z.in_units_of(Z)(Z)
        before, after = float(metric(X, Z)), float(metric(*moved))
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
