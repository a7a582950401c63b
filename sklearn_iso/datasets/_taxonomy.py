"""Labels of several levels: Gaussians on a tree, and the digits."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval

from sklearn_iso._randomness import private_random_state
from sklearn_iso._typed import validate_params


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "branching": ["array-like"],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "spread": [Interval(Real, 0, None, closed="neither")],
        "decay": [Interval(Real, 0, None, closed="neither")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "anisotropy": [Interval(Real, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_taxonomy(
    n_samples: int = 2000,
    *,
    branching: Sequence[int] = (4, 2, 5),
    n_features: int = 20,
    spread: float = 4.0,
    decay: float = 0.5,
    noise: float = 1.0,
    anisotropy: float = 1.0,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.float64], NDArray]:
    r"""Make Gaussian classes whose centres branch like a tree.

    .. math:: \mu_{\text{child}} = \mu_{\text{parent}} + s\, d^k u, \qquad
              u \sim U(S^{n-1}), \qquad x \sim N(\mu_{\text{leaf}}, \Sigma_{\text{leaf}})

    A label of level k lies at distance :math:`s d^k` from its parent, in a direction of its own.

    Parameters
    ----------
    n_samples : int, default=2000
        Points in all, shuffled; the leaves have the same number of them, up to one.
    branching : sequence of int, default=(4, 2, 5)
        Children of each label of a level; their product is the number of leaves.
    n_features : int, default=20
    spread : float, default=4.0
        The s, distance of the coarsest centres from the origin.
    decay : float, default=0.5
        The d.
    noise : float, default=1.0
        Standard deviation of the points around the centre of their leaf.
    anisotropy : float, default=1.0
        With 1 the points of a leaf spread alike in every direction, and the best classifier is
        linear. With a greater factor each leaf has axes of its own, along which the noise is
        multiplied by up to that factor or divided by it.
    random_state : int, RandomState instance or None, default=None
        Draws centres, order and noise.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The samples.
    Y : ndarray of str of shape (n_samples, n_levels)
        Coarse to fine; "2/0/1" is the second child of the first child of the third.

    Raises
    ------
    ValueError
        If a label has no children, or the centres lie too far apart for floats.

    Examples
    --------
    >>> from sklearn_iso.datasets import make_taxonomy
    >>> X, Y = make_taxonomy(6, branching=(2, 3), random_state=0)
    >>> sorted(Y[:, 1].tolist())
    ['0/0', '0/1', '0/2', '1/0', '1/1', '1/2']
    """
    counts = list(np.ravel(np.asarray(branching, dtype=object)))
    if not counts or not all(isinstance(count, Integral) and int(count) > 0 for count in counts):
        raise ValueError(
            f"branching must hold at least one positive integer, the children of each label of a "
            f"level; got {branching!r}."
        )
    with np.errstate(over="ignore"):
        lengths = spread * np.float64(decay) ** np.arange(len(counts))
    if not np.isfinite(lengths).all():
        raise ValueError(
            f"spread * decay**level must be finite at each of the {len(counts)} levels; got "
            f"spread={spread!r} and decay={decay!r}. Pass a decay below 1."
        )
    rng = private_random_state(random_state)
    n_samples, n_features = int(n_samples), int(n_features)
    centres, names = np.zeros((1, n_features)), [[""]]
    for level, count in enumerate(counts):
        directions = rng.normal(size=(len(centres) * count, n_features))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        centres = np.repeat(centres, count, axis=0) + lengths[level] * directions
        names = [
            [*path, f"{path[-1]}/{child}".lstrip("/")] for path in names for child in range(count)
        ]
    leaf = rng.permutation(np.arange(n_samples) % len(centres))
    X = rng.normal(size=(n_samples, n_features))
    if anisotropy > 1:
        for cell in range(len(centres)):
            axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
            lengths = anisotropy ** rng.uniform(-1, 1, n_features)
            X[leaf == cell] = X[leaf == cell] * lengths @ axes.T
    X = centres[leaf] + noise * X
    return X, np.array([path[1:] for path in names])[leaf]


@validate_params({"tree": ["boolean"]}, prefer_skip_nested_validation=True)
def digit_paths(y: ArrayLike, *, tree: bool = True) -> NDArray[np.int64]:
    """Return the paper's levels of the digits: halves, pairs, single digits.

    The paper divides {0-4 | 5-9}, then {01, 23, 45, 67, 89}. The pair 45 lies in both halves,
    so this is no tree; by default it is divided along them, into 4 and 5.

    Parameters
    ----------
    y : array-like of int of shape (n_samples,)
        Digits, 0 to 9.
    tree : bool, default=True
        Divide the pair 45; False returns the levels as the paper has them.

    Returns
    -------
    Y : ndarray of int of shape (n_samples, 3)
        Coarse to fine. Halves are 0 and 1; pairs count from 0 in the order of their digits.

    Raises
    ------
    ValueError
        If y holds anything but digits.

    References
    ----------
    K. Beshkov, J. Verhellen, M. E. Lepperød, "Isometric Representations in Neural Networks
    Improve Robustness", Scientific Reports 2025, doi:10.1038/s41598-025-20619-0.

    Examples
    --------
    >>> from sklearn_iso.datasets import digit_paths
    >>> digit_paths([3, 4, 5, 9]).tolist()
    [[0, 1, 3], [0, 2, 4], [1, 3, 5], [1, 5, 9]]
    """
    digits = np.asarray(y)
    if digits.ndim != 1 or digits.dtype.kind not in "iu" or not np.isin(digits, range(10)).all():
        raise ValueError(
            f"y must hold digits, integers from 0 to 9, of shape (n_samples,); got dtype "
            f"{digits.dtype} of shape {digits.shape} with values {np.unique(digits)[:12].tolist()}."
        )
    digits = digits.astype(np.int64)
    half = (digits > 4).astype(np.int64)
    pair = digits // 2 + (half if tree else 0)
    return np.column_stack([half, pair, digits])
