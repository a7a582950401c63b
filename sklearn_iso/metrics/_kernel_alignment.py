"""Linear centred kernel alignment of two representations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sklearn_iso.metrics._centering import Centered, centered_pair, cross_product
from sklearn_iso.metrics._pairs import check_flag

#: Of what remains after a difference of larger terms, this share is rounding.
_ROUNDING = 1e-12


def centered_kernel_alignment(
    X: ArrayLike,
    Z: ArrayLike,
    *,
    debiased: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the linear centred kernel alignment (CKA) of X and Z.

    .. math::

        \mathrm{CKA} = \frac{\|\bar X^\top \bar Z\|_F^2}
                            {\|\bar X^\top \bar X\|_F \, \|\bar Z^\top \bar Z\|_F}

    It is the cosine between the matrices of inner products of the centred samples, in [0, 1]. It
    is 1 where Z is similar to X and does not change under rotations, permutations of features,
    shifts or a scaling of either side; unlike a regression it does change under other linear
    maps. Directions of large variance decide.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space, or one representation. Further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        The representations of the same points, sample by sample; any number of features.
    debiased : bool, default=False
        Whether to leave each sample's product with itself out. With fewer samples than features
        CKA is close to 1 even for unrelated noise; the debiased value is then close to 0. It
        lies in [-1, 1].
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0: a weight of 2 is the sample twice, one of 0 leaves it
        out. Not with `debiased`, where a sample twice is a pair.

    Returns
    -------
    alignment : float
        Computed in float64; 0 where a side has collapsed to a point.

    Raises
    ------
    ValueError
        If X or Z holds NaN or infinity or fewer than two samples (four if `debiased`), if their
        lengths differ, or if weights that are not equal are given for the debiased value.

    See Also
    --------
    procrustes_distance : A metric, and stricter: directions of little variance count too.
    representational_similarity : Compares distances of samples, by rank.

    Notes
    -----
    Kernels of n x n samples are never formed: time grows with the samples times the product of
    the features.

    References
    ----------
    S. Kornblith, M. Norouzi, H. Lee, G. Hinton, "Similarity of Neural Network Representations
    Revisited", ICML 2019, arXiv 1905.00414.

    L. Song, A. Smola, A. Gretton, J. Bedo, K. Borgwardt, "Feature Selection via Dependence
    Maximization", JMLR 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics import centered_kernel_alignment
    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    >>> centered_kernel_alignment(square, 3 * square[:, ::-1] + 1)
    1.0
    >>> round(centered_kernel_alignment(square, square * [1, 0]), 4)  # one over root two
    0.7071
    """
    check_flag(debiased, "debiased")
    A, B = centered_pair(X, Z, sample_weight)
    if debiased:
        _check_debiased(len(A.points), weighted=A.is_weighted)
    product = _debiased_product if debiased else _product
    size_A, size_B = product(A, A), product(B, B)
    if size_A == 0 or size_B == 0:
        return 0.0
    cosine = product(A, B) / (np.sqrt(size_A) * np.sqrt(size_B))
    return float(np.clip(cosine, -1, 1))


def _product(A: Centered, B: Centered) -> float:
    """Return the inner product of two centred linear kernels."""
    return float(np.sum(cross_product(A, B) ** 2))


def _debiased_product(A: Centered, B: Centered) -> float:
    """Return the same without the diagonals, equation (5) of Song et al. for centred points.

    Rows of the centred kernels add up to 0, so that every sum without the diagonal follows from
    the diagonal.
    """
    n = len(A.points)
    k, l_ = A.squared_norms(), B.squared_norms()
    whole = _product(A, B)
    value = whole - n / (n - 2) * float(k @ l_) + float(k.sum() * l_.sum()) / ((n - 1) * (n - 2))
    return value if abs(value) > _ROUNDING * whole else 0.0


def _check_debiased(n_samples: int, *, weighted: bool) -> None:
    if n_samples < 4:
        raise ValueError(
            f"debiased=True needs at least 4 samples; got {n_samples}. Pass more samples, or "
            "debiased=False."
        )
    if weighted:
        raise ValueError(
            "debiased=True takes no sample_weight but equal ones: a sample of weight 2 would be a "
            "pair of its own. Leave the weights out, or pass debiased=False."
        )
