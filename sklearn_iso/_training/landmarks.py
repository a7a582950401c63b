"""Classical scaling from landmarks: where the map of given distances is first drawn to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.utils import gen_batches

#: Share of the largest eigenvalue below which a direction is rounding.
_NOISE = 1e-10


def landmark_coordinates(
    distances: NDArray, landmarks: NDArray, weight: NDArray, n_components: int
) -> NDArray[np.float64]:
    r"""Return coordinates of all samples whose distances come close to those from some of them.

    With :math:`W` the weights of the landmarks, of sum 1, and :math:`\Delta` their squared
    distances, centred by it, the leading eigenvalues and vectors of
    :math:`-\tfrac12 W^{1/2} \Delta W^{1/2} = U \Lambda U^\top` place a row at squared distances
    :math:`\delta` from the landmarks at

    .. math:: z = -\tfrac12 \Lambda^{-1/2} U^\top W^{1/2} (\delta - \bar\delta)

    with the mean :math:`\bar\delta` of the landmarks' own. Distances of points in n_components
    dimensions are kept exactly; a weight of 2 is the sample twice.

    Parameters
    ----------
    distances : ndarray of shape (n_landmarks, n_samples)
    landmarks : ndarray of shape (n_landmarks,)
        Which samples the landmarks are.
    weight : ndarray of shape (n_samples,)
    n_components : int

    Returns
    -------
    coordinates : ndarray of shape (n_samples, n_components)
        Of weighted mean 0 over the landmarks; 0 in directions that the distances do not span.

    References
    ----------
    V. de Silva, J. B. Tenenbaum, "Sparse multidimensional scaling using landmark points", 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._training.landmarks import landmark_coordinates
    >>> line = np.array([0.0, 2.0, 7.0])
    >>> Z = landmark_coordinates(abs(line[:2, None] - line), np.arange(2), np.ones(3), 1)
    >>> abs(Z[0] - Z).round(6).ravel()
    array([0., 2., 7.])
    """
    share = weight[landmarks].astype(np.float64)
    share /= share.sum()
    root = np.sqrt(share)[:, None]
    own = np.square(distances[:, landmarks], dtype=np.float64)
    mean = (own @ share)[:, None]
    own -= mean
    centred = own - share @ own
    kept = min(n_components, len(landmarks))
    last = len(landmarks) - 1
    values, vectors = eigh(-0.5 * root * centred * root.T, subset_by_index=[last - kept + 1, last])
    real = values > _NOISE * max(values[-1], 0.0)
    axes = (root * vectors[:, real] / np.sqrt(values[real]))[:, ::-1]
    coordinates = np.zeros((distances.shape[1], n_components))
    for rows in gen_batches(len(coordinates), 1024):  # keep the temporary in float64 small
        squared = np.square(distances[:, rows], dtype=np.float64) - mean
        coordinates[rows, : axes.shape[1]] = -0.5 * squared.T @ axes
    return coordinates
