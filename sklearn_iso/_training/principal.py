"""Principal axes of weighted samples: where the map of an embedding starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.utils import gen_batches
from sklearn.utils.extmath import randomized_svd, svd_flip

#: Features up to which the covariance matrix is formed.
MAX_FEATURES = 2000


def principal_axes(
    X: NDArray,
    weight: NDArray,
    shift: NDArray,
    n_components: int,
    rng: np.random.RandomState,
) -> NDArray[np.float64]:
    r"""Return the orthonormal axes along which weighted samples vary most.

    The leading eigenvectors of :math:`\sum_i w_i (x_i - \mu) (x_i - \mu)^\top`, each with its
    largest entry positive.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    weight : ndarray of shape (n_samples,)
    shift : ndarray of shape (n_features,)
        The mean.
    n_components : int
    rng : numpy.random.RandomState
        Draws the start of a randomised decomposition above 2,000 features.

    Returns
    -------
    axes : ndarray of shape (n_components, n_features)

    References
    ----------
    N. Halko, P. G. Martinsson, J. A. Tropp, "Finding structure with randomness", SIAM Review
    2011.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._training.principal import principal_axes
    >>> X = np.array([[0.0, -2.0], [0.0, 2.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> principal_axes(X, np.ones(4), np.zeros(2), 1, np.random.RandomState(0)).round(6)
    array([[0., 1.]])
    """
    n_features = X.shape[1]
    if n_features > MAX_FEATURES:
        rows = (X - shift) * np.sqrt(weight)[:, None]
        axes = randomized_svd(rows, n_components, n_iter=7, random_state=rng)[2]
    else:
        covariance = np.zeros((n_features, n_features))
        for rows in gen_batches(len(X), 1024):
            centred = (X[rows] - shift).astype(np.float64)
            covariance += (centred * weight[rows, None]).T @ centred
        last = n_features - 1
        values = eigh(covariance, subset_by_index=[last - n_components + 1, last])[1]
        axes = values.T[::-1]
    flipped: NDArray[np.float64] = svd_flip(None, axes.copy(), u_based_decision=False)[1]
    return flipped
