"""Which candidate the held out samples speak for, and at what temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from sklearn_iso.training.crossfit import Members
from sklearn_iso.training.data import ArrayDataset, make_iterator

#: Standard errors that the held out loss of the choice may lie above the least.
TOLERANCE = 1.0
#: Logarithms of the inverse temperature among which the best is sought.
_RANGE = (-2.0, 2.0)
_BATCH = 1024


@dataclass(frozen=True)
class Selection:
    """What the held out samples said.

    Attributes
    ----------
    index : int
        Of the candidate chosen.
    temperature : float
        What its logits are to be divided by.
    losses, excess, std_errors : ndarray of shape (n_candidates,)
        Mean held out log loss of each candidate at its best temperature, how far it lies above the
        least of them, and the standard error of that difference.
    """

    index: int
    temperature: float
    losses: NDArray
    excess: NDArray
    std_errors: NDArray


def held_out_logits(members: Members, samples: ArrayDataset, fold: NDArray) -> NDArray:
    """Return the logits of each sample by the members that have not seen it.

    Parameters
    ----------
    members : Members
    samples : ArrayDataset
    fold : ndarray of shape (n_samples,)
        The member of a candidate that left the sample out.

    Returns
    -------
    logits : ndarray of shape (n_candidates, n_samples, n_classes)
    """
    device = next(members.parameters()).device
    parts, start = [], 0
    with torch.no_grad():
        for X, _ in make_iterator(samples, _BATCH):
            by_member = members.each(X.to(device))
            index = torch.from_numpy(fold[start : start + len(X)]).to(device)
            start += len(X)
            parts.append(by_member[:, index, torch.arange(len(X), device=device)])
    logits: NDArray = torch.cat(parts, dim=1).double().numpy(force=True)
    return logits


def select(logits: NDArray, y: NDArray, weight: NDArray, group: NDArray) -> Selection:
    r"""Return the last candidate whose held out log loss is within a standard error of the least.

    Candidates come in the order of preference, the last one preferred: where the data cannot tell
    two of them apart, the more robust one costs nothing. The standard error is that of the mean
    difference of the losses of the same samples; equal samples are one observation.

    .. math:: \bar d = \frac{\sum_i w_i d_i}{\sum_i w_i}, \qquad
              \mathrm{se}^2 = \frac{\sum_g w_g^2 (d_g - \bar d)^2}{(\sum_g w_g)^2}

    with :math:`w_g` the weight of all samples that equal each other.

    Parameters
    ----------
    logits : ndarray of shape (n_candidates, n_samples, n_classes)
    y : ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,)
    group : ndarray of shape (n_samples,)
        The same number for samples that equal each other.
    """
    fitted = [_tempered(one, y, weight) for one in logits]
    losses = np.array([loss for loss, _ in fitted])
    means = np.average(losses, axis=1, weights=weight)
    differences = losses - losses[means.argmin()]
    excess = means - means.min()
    total = np.bincount(group, weights=weight)[group]  # of each sample's equals, itself included
    spread = (differences - excess[:, None]) ** 2 @ (weight * total)
    std_errors = np.sqrt(spread) / weight.sum(dtype=np.float64)
    index = int(np.flatnonzero(excess <= TOLERANCE * std_errors)[-1])
    return Selection(index, fitted[index][1], means, excess, std_errors)


def _tempered(logits: NDArray, y: NDArray, weight: NDArray) -> tuple[NDArray, float]:
    """Return the log loss of each sample at the temperature that makes its mean least."""
    samples = np.arange(len(y))

    def losses(log_factor: float) -> NDArray:
        result: NDArray = -log_softmax(logits * np.exp(log_factor), axis=1)[samples, y]
        return result

    best = minimize_scalar(
        lambda value: np.average(losses(value), weights=weight), bounds=_RANGE, method="bounded"
    )
    return losses(best.x), float(np.exp(-best.x))
