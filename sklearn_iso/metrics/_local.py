"""How a fitted map stretches the space around single points."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from sklearn_iso._protocols import Transformer
from sklearn_iso.metrics._stretch import check_quantile
from sklearn_iso.metrics._weights import upper_quantile, weighted
from sklearn_iso.modules._ambient import gradients_on
from sklearn_iso.twins import as_torch

_ENTRIES = 2**22  # of the Jacobians held at once: 32 MB of float64
_LEAST_WIDTH = 32  # by which the rounding of a Jacobian's entries is bounded, however few they are


@gradients_on()
def jacobian_singular_values(estimator: Transformer, X: ArrayLike) -> NDArray[np.float64]:
    r"""Return the singular values of the Jacobian of ``transform`` at each point.

    .. math:: \sigma_1 \ge \dots \ge \sigma_k \text{ of } J(x) = \partial f / \partial x

    They say how much f stretches the k principal directions around x: all 1 for a local
    isometry, all equal for a local similarity.

    Parameters
    ----------
    estimator : fitted transformer or Pipeline
        With a differentiable twin (:func:`sklearn_iso.twins.as_torch`).
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    values : ndarray of shape (n_samples, k)
        In decreasing order, k the lesser of the widths of X and of ``transform(X)``; in units of
        the representation over units of X. What rounding cannot tell from 0 is 0: values up to
        the largest times the greater width (at least 32) times the resolution of the numbers.

    Raises
    ------
    NotDifferentiableError
        If the estimator, or a step of it, has no twin.
    ValueError
        If X holds NaN or infinity.

    References
    ----------
    Any differential geometry; for networks J. Sokolić et al., "Robust Large Margin Deep Neural
    Networks", IEEE TSP 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso.metrics import jacobian_singular_values
    >>> X = np.array([[0.0, 0.0], [2.0, 8.0]])
    >>> jacobian_singular_values(StandardScaler().fit(X), X)[0]
    array([1.  , 0.25])
    """
    twin = as_torch(estimator, transform=True)
    _check_width(estimator, X)
    rows = check_array(X, dtype=np.float64, allow_nd=True, input_name="X")
    resolution = torch.finfo(twin(torch.from_numpy(rows[:1].copy())).dtype).eps
    return np.concatenate([_resolved(J, resolution) for J in jacobians(twin, rows)])


def _resolved(J: NDArray[np.float64], resolution: float) -> NDArray[np.float64]:
    """Return singular values, with 0 for those that rounding makes, as a matrix's rank has it."""
    values = np.linalg.svd(J, compute_uv=False)
    floor = values[:, :1] * max(*J.shape[1:], _LEAST_WIDTH) * resolution
    resolved: NDArray[np.float64] = np.where(values > floor, values, 0)
    return resolved


def _check_width(estimator: object, X: ArrayLike) -> None:
    expected, shape = getattr(estimator, "n_features_in_", None), np.shape(X)
    if expected is not None and len(shape) == 2 and shape[1] != expected:
        raise ValueError(
            f"X must have the {expected} features that the estimator was fitted on; got "
            f"{shape[1]}. Pass samples of the same table."
        )


def jacobians(twin: torch.nn.Module, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
    """Yield the Jacobians of a module at all points, as many at once as memory allows.

    Parameters
    ----------
    twin : nn.Module
        Maps every sample by itself.
    X : array-like of shape (n_samples, ...)

    Yields
    ------
    parts : ndarray of shape (n, width of the output, width of a row)

    Raises
    ------
    ValueError
        If X holds NaN or infinity.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.metrics._local import jacobians
    >>> next(jacobians(torch.square, [[1.0, 3.0]])).tolist()
    [[[2.0, 0.0], [0.0, 6.0]]]
    """
    rows = check_array(X, dtype=[np.float64, np.float32], allow_nd=True, input_name="X")
    points = torch.from_numpy(np.array(rows))
    width = twin(points[:1]).flatten(1).shape[1]
    step = max(1, _ENTRIES // (points[0].numel() * width))
    for part in points.split(step):
        yield _jacobians(twin, part).detach().double().numpy()


def _jacobians(twin: torch.nn.Module, points: torch.Tensor) -> torch.Tensor:
    points = points.clone().requires_grad_()
    with torch.enable_grad():
        Z = twin(points).flatten(1)
        # Samples are independent, so the gradient of a column's sum is that of every sample.
        columns = [
            torch.autograd.grad(Z[:, k].sum(), points, retain_graph=True)[0].flatten(1)
            for k in range(Z.shape[1])
        ]
    return torch.stack(columns, dim=1)


@gradients_on()
def local_distortion(
    estimator: Transformer,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    quantile: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return how unevenly a map stretches the directions around a point, at a quantile.

    .. math:: Q_q\{\sigma_1(x_i) / \sigma_k(x_i)\}

    with the singular values of :func:`jacobian_singular_values`. It has no unit, lies in
    [1, inf], is 1 for a local similarity, and infinite where a direction collapses that the
    representation had room for.

    Parameters
    ----------
    estimator : fitted transformer or Pipeline
    X : array-like of shape (n_samples, n_features)
    y : ignored
        The arguments are those of a scorer: ``scoring=local_distortion`` would prefer uneven maps,
        ``scoring=lambda *args: -local_distortion(*args)`` prefers even ones.
    quantile : float, default=0.5
        Over the points, in [0, 1].
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the points, at least 0: 2 is the point twice, and 0 leaves it out.

    Returns
    -------
    distortion : float
        The quantile, at least 1.

    Raises
    ------
    NotDifferentiableError
        If the estimator, or a step of it, has no twin.
    ValueError
        If X holds NaN or infinity, or a parameter is out of its range.

    References
    ----------
    Any differential geometry; for networks J. Sokolić et al., "Robust Large Margin Deep Neural
    Networks", IEEE TSP 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_iso.metrics import local_distortion
    >>> X, _ = load_iris(return_X_y=True)
    >>> round(local_distortion(PCA(2).fit(X), X), 6)
    1.0
    """
    check_quantile(quantile)
    weight, X = weighted(sample_weight, X)
    values = jacobian_singular_values(estimator, X)
    smallest = values[:, -1]
    ratios = np.divide(values[:, 0], smallest, out=np.full(len(values), np.inf), where=smallest > 0)
    return upper_quantile(ratios, quantile, weight)
