"""Isometry of all pairs: parametric multidimensional scaling."""

from __future__ import annotations

from sklearn_iso._geometry import Blocks
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._pairwise import PairwiseIsometry


class GlobalIsometry(PairwiseIsometry):
    r"""Stress of the distances between all samples, whatever their class.

    .. math:: P = \frac{\sum_{ij} w_i w_j (d_Z(z_i, z_j) / s - d_X(x_i, x_j))^2}
                       {\sum_{ij} w_i w_j\, d_X(x_i, x_j)^2}

    Labels are not used. On a classifier it works against the separation of the classes.

    Parameters
    ----------
    loss : {"normalized_stress", "raw_stress", "relative", "absolute"}, default="normalized_stress"
        Squares over the squared distances of X, or (raw, in squared units of X) over the
        weight of all pairs of samples; mean square of ``d_Z / (s d_X) - 1``; absolute residuals
        over the distances of X.
    scale : "fitted" or float, default="fitted"
        The s of ``d_Z = s * d_X``. "fitted" takes the best one of each layer and batch, so
        only the proportions of distances count.
    two_sided : bool, default=True
        Penalise contraction as well as expansion; one-sided asks for a non-expansive map
        and needs a number as scale.
    metric : {"l1", "l2", "linf", "precomputed"}, float from 1 to 100 or callable, default="l2"
        Distances of X: a norm, its p, a function from a tensor (n, ...) to (n, n), or those
        that were passed to ``IsometricTransformer.fit``.
    target : {"input", "previous"}, default="input"
        Whose distances each layer keeps: those of X, or those of the layer before it, which
        are held fixed as a target.
    layers : layers, optional
        Representations the penalty acts on; None means those of the estimator.
    max_samples : int or None, default=128
        Samples of a batch that pairs are formed from, its first: batches are shuffled, so they
        are a random draw. None takes all.

    References
    ----------
    I. Borg, P. Groenen, *Modern Multidimensional Scaling*, 2nd ed., Springer 2005, ch. 3.

    Examples
    --------
    >>> from sklearn_iso.penalties import GlobalIsometry
    >>> GlobalIsometry(metric="l1", scale=1.0)
    GlobalIsometry(metric='l1', scale=1.0)
    """

    def pairs(self, batch: Batch, samples: slice) -> Blocks:
        """Return all pairs."""
        return super().pairs(batch, samples)
