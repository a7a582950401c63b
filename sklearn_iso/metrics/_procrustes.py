"""The angle between the shapes of two representations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sklearn_iso.metrics._centering import Centered, Values, centered_pair, cross_product, in_step


def procrustes_distance(
    X: ArrayLike, Z: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    r"""Return the Procrustes distance between the shapes of X and Z: an angle.

    .. math::

        \theta = \arccos \max_{Q^\top Q = I} \frac{\langle \bar X, \bar Z Q \rangle}
                                                  {\|\bar X\|_F \, \|\bar Z\|_F}
               = \arccos \frac{\|\bar X^\top \bar Z\|_*}{\|\bar X\|_F \, \|\bar Z\|_F}

    Both sides are centred and divided by their size, and one is rotated or mirrored onto the other
    as well as possible; the side with fewer features gets features of 0. What is left is a
    distance between shapes, in radians, in [0, pi/2]. It is 0 where Z is similar to X, changes
    under no rotation, reflection, shift or scaling of either side, and keeps the triangle
    inequality, so that representations can be clustered by it.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space, or one representation. Further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        The representations of the same points, sample by sample; any number of features.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0: a weight of 2 is the sample twice, one of 0 leaves it
        out.

    Returns
    -------
    distance : float
        The angle, computed in float64. It is pi/2 where one side has collapsed to a point, and 0
        where both have.

    Raises
    ------
    ValueError
        If X or Z holds NaN or infinity or fewer than two samples, or if their lengths differ.

    See Also
    --------
    centered_kernel_alignment : Does not ask which feature became which, either.
    isometry_distortion : Compares distances of pairs, within a class if asked.

    Notes
    -----
    ``scipy.spatial.procrustes`` returns the disparity :math:`\sin^2 \theta` of the same fit. Time
    grows with the samples times the product of the features; data are centred in blocks.

    References
    ----------
    A. H. Williams, E. Kunz, S. Kornblith, S. W. Linderman, "Generalized Shape Metrics on Neural
    Representations", NeurIPS 2021, arXiv 2110.14739.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics import procrustes_distance
    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    >>> round(procrustes_distance(square, 3 * square[:, ::-1] + 1), 9)
    0.0
    >>> round(procrustes_distance(square, square * [1, 0]), 4)  # a quarter of pi
    0.7854
    """
    A, B = centered_pair(X, Z, sample_weight)
    if A.points.shape[1] < B.points.shape[1]:
        A, B = B, A
    size_A, size_B = (float(np.sqrt(side.squared_norms().sum())) for side in (A, B))
    if size_A == 0 or size_B == 0:
        return 0.0 if size_A == size_B else float(np.pi / 2)
    return _angle(A, B, (size_A, size_B))


def _angle(A: Centered, B: Centered, sizes: tuple[float, float]) -> float:
    """Return the angle, by the length of the chord: arccos near 1 keeps half of the digits."""
    n_features, n_fewer = A.points.shape[1], B.points.shape[1]
    product = np.zeros((n_features, n_features))
    product[:n_fewer] = cross_product(A, B).T
    left, _, right = np.linalg.svd(product)
    turned = (left @ right)[:n_fewer]  # B times this lies as close to A as it can
    chord = np.sqrt(sum(_squared_gap(a, b @ turned, sizes) for a, b in in_step(A, B)))
    return float(2 * np.arcsin(min(chord / 2, np.sqrt(0.5))))


def _squared_gap(a: Values, b: Values, sizes: tuple[float, float]) -> float:
    return float(np.sum((a / sizes[0] - b / sizes[1]) ** 2))
