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
    loss, scale, two_sided, metric, target, layers
        As in :class:`~sklearn_iso.penalties.PairwiseIsometry`.
    max_samples : int or None, default=128
        As in :class:`~sklearn_iso.penalties.PairwiseIsometry`.

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
