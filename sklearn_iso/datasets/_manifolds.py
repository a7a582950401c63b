"""Toy manifolds of known geometry, with labels: two linked rings and a torus."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_iso._randomness import private_random_state
from sklearn_iso._typed import Constraints, validate_params

_CONSTRAINTS: Constraints = {
    "n_samples": [Interval(Integral, 1, None, closed="left")],
    "noise": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
}
_LENGTH = [Interval(Real, 0, None, closed="neither")]


@validate_params({**_CONSTRAINTS, "radius": _LENGTH}, prefer_skip_nested_validation=True)
def make_entangled_rings(
    n_samples: int = 400,
    *,
    radius: float = 1.0,
    noise: float = 0.0,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    r"""Make two rings in space that are linked like those of a chain, a class each.

    .. math:: \rho \, (\cos t, \sin t, 0) \quad \text{and} \quad
              \rho \, (1 + \cos t, 0, \sin t), \qquad t \sim U(0, 2 \pi)

    Each runs through the centre of the other, and every point of one is at distance `radius`
    from the other. No continuous map of the space onto itself pulls them apart, so a network
    that separates them must either tear them or take them through further dimensions.

    Parameters
    ----------
    n_samples : int, default=400
        Points in all, shuffled; each class has half of them, the first one more if odd.
    radius : float, default=1.0
        Of both rings.
    noise : float, default=0.0
        Standard deviation of the Gaussian noise added to every coordinate.
    random_state : int, RandomState instance or None, default=None
        Draws angles, order and noise. The points under the noise do not depend on `noise`.

    Returns
    -------
    X : ndarray of shape (n_samples, 3)
        The points.
    y : ndarray of shape (n_samples,), int64
        The ring of each point, 0 or 1.

    References
    ----------
    K. Beshkov, J. Verhellen, M. E. Lepperød, "Isometric Representations in Neural Networks
    Improve Robustness", Scientific Reports 2025, doi:10.1038/s41598-025-20619-0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.datasets import make_entangled_rings
    >>> X, y = make_entangled_rings(6, radius=2.0, random_state=0)
    >>> y
    array([1, 0, 1, 1, 0, 0])
    >>> np.linalg.norm(X[y == 0], axis=1).round(6)
    array([2., 2., 2.])
    """
    rng = private_random_state(random_state)
    n_samples = int(n_samples)
    y = rng.permutation(np.arange(n_samples) % 2).astype(np.int64)
    angle = rng.uniform(0, 2 * np.pi, n_samples)
    cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros(n_samples)
    flat = np.column_stack([cos, sin, zero])
    upright = np.column_stack([1 + cos, zero, sin])
    X = radius * np.where(y[:, None] == 0, flat, upright)
    return X + noise * rng.normal(size=X.shape), y


@validate_params(
    {
        **_CONSTRAINTS,
        "major_radius": _LENGTH,
        "minor_radius": _LENGTH,
        "n_levels": [Interval(Integral, 1, 30, closed="both")],
        "labels": [StrOptions({"levels", "finest"})],
    },
    prefer_skip_nested_validation=True,
)
def make_torus(
    n_samples: int = 1600,
    *,
    n_levels: int = 3,
    labels: str = "levels",
    major_radius: float = 2 / 3,
    minor_radius: float = 1 / 3,
    noise: float = 0.0,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    r"""Make a torus in space whose classes form a hierarchy: 2, 4, 8 and so on.

    .. math:: \bigl((R + r \cos v) \cos u, \; (R + r \cos v) \sin u, \; r \sin v\bigr),
              \qquad u, v \sim U(0, 2 \pi)

    The classes are arcs of equal length of the angle `v` around the tube: bands that run round
    the torus and lie side by side. Those of each level halve those of the level above.

    Parameters
    ----------
    n_samples : int, default=1600
    n_levels : int, default=3
        Levels of the hierarchy; level k, from 1, has 2^k classes.
    labels : {"levels", "finest"}, default="levels"
        Return the labels of all levels, or those of the finest alone.
    major_radius : float, default=2/3
        R, from the centre of the torus to the centre of the tube.
    minor_radius : float, default=1/3
        r, of the tube; less than `major_radius`.
    noise : float, default=0.0
        Standard deviation of the Gaussian noise added to every coordinate.
    random_state : int, RandomState instance or None, default=None
        Draws angles and noise. The points under the noise do not depend on `noise`.

    Returns
    -------
    X : ndarray of shape (n_samples, 3)
        The points, uniform in both angles, and so denser on the inside of the torus.
    y : ndarray of shape (n_samples, n_levels) or, for "finest", (n_samples,), int64
        Classes in the order of `v`, coarse to fine. Class c of a level lies in class c // 2 of
        the level above it.

    Raises
    ------
    ValueError
        If the tube is so thick that the torus meets itself.

    References
    ----------
    K. Beshkov, J. Verhellen, M. E. Lepperød, "Isometric Representations in Neural Networks
    Improve Robustness", Scientific Reports 2025, doi:10.1038/s41598-025-20619-0.

    Examples
    --------
    >>> from sklearn_iso.datasets import make_torus
    >>> X, y = make_torus(4, random_state=0)
    >>> y
    array([[0, 1, 3],
           [1, 2, 5],
           [0, 1, 3],
           [1, 3, 7]])
    """
    if minor_radius >= major_radius:
        raise ValueError(
            "minor_radius must be less than major_radius, or the torus meets itself; got "
            f"minor_radius={minor_radius}, major_radius={major_radius}."
        )
    rng = private_random_state(random_state)
    n_samples = int(n_samples)
    u, v = rng.uniform(0, 2 * np.pi, (2, n_samples))
    ring = major_radius + minor_radius * np.cos(v)
    X = np.column_stack([ring * np.cos(u), ring * np.sin(u), minor_radius * np.sin(v)])
    n_finest = 2**n_levels
    y = np.minimum(n_finest * v / (2 * np.pi), n_finest - 1).astype(np.int64)
    if labels == "levels":
        y = y[:, None] // 2 ** np.arange(n_levels - 1, -1, -1)
    return X + noise * rng.normal(size=X.shape), y
