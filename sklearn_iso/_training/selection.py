"""Which candidate the held out samples speak for, and at what temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from sklearn_iso._training.crossfit import Members
from sklearn_iso._training.data import ArrayDataset, make_iterator
from sklearn_iso._weighting import effective_number

#: Standard errors that the held out loss of the choice may lie above the least.
TOLERANCE = 1.0
#: Logarithms of the inverse temperature among which the best is sought.
_RANGE = (-2.0, 2.0)
#: Least share of the predictions of numbers that is kept.
_LEAST_SHARE = 0.01
_BATCH = 1024


@dataclass(frozen=True)
class Excess:
    """Mean losses, and by how much each lies above the least.

    Attributes
    ----------
    mean, excess, std_error : ndarray of shape (n_candidates,)
        The last is the standard error of the difference.
    """

    mean: NDArray
    excess: NDArray
    std_error: NDArray

    def within(self, resolution: float) -> NDArray:
        """Return whether each lies within a standard error, and a resolution, of the least."""
        close: NDArray = self.excess <= TOLERANCE * self.std_error + resolution
        return close


@dataclass(frozen=True)
class Selection:
    """What the held out samples said.

    Attributes
    ----------
    index : int
        Of the candidate chosen.
    temperature : float
        What its outputs are to be divided by.
    losses : dict of str to Excess
        Of each candidate. Of classes "log_loss", at its best temperature, and "error", the share of
        samples that it gets wrong; of numbers "squared_error".
    """

    index: int
    temperature: float
    losses: dict[str, Excess]


def held_out_outputs(members: Members, samples: ArrayDataset, fold: NDArray) -> NDArray:
    """Return the outputs for each sample of the members that have not seen it.

    Parameters
    ----------
    members : Members
    samples : ArrayDataset
    fold : ndarray of shape (n_samples,)
        The member of a candidate that left the sample out.

    Returns
    -------
    outputs : ndarray of shape (n_candidates, n_samples, n_outputs)
    """
    device = next(members.parameters()).device
    parts, start = [], 0
    with torch.no_grad():
        for X, _ in make_iterator(samples, _BATCH):
            by_member = members.each(X.to(device))
            index = torch.from_numpy(fold[start : start + len(X)]).to(device)
            start += len(X)
            parts.append(by_member[:, index, torch.arange(len(X), device=device)])
    outputs: NDArray = torch.cat(parts, dim=1).double().numpy(force=True)
    return outputs


def select_for_classes(logits: NDArray, y: NDArray, weight: NDArray, group: NDArray) -> Selection:
    r"""Return the last candidate that the held out samples cannot tell from the best.

    Neither its log loss nor its error is more than a standard error above the least. Candidates
    come in the order of preference, the last one preferred: where the data cannot tell two of
    them apart, the more robust one costs nothing. The standard error is that of the mean
    difference d of the losses of the same samples; equal samples are one observation.

    .. math:: \bar d = \frac{\sum_i w_i d_i}{\sum_i w_i}, \qquad
              \mathrm{se}^2 = \frac{\sum_g w_g^2 (d_g - \bar d)^2}{(\sum_g w_g)^2}

    with :math:`w_g` the weight of all samples that equal each other. Of n samples none tells
    probabilities of less than about 1 / n from 0: differences of the log loss below 1 / n count
    as none, and labels are smoothed by 1 / (n + 2), Platt's rule, which keeps the temperature
    finite where no sample is wrong.

    Parameters
    ----------
    logits : ndarray of shape (n_candidates, n_samples, n_classes)
    y : ndarray of shape (n_samples,)
    weight : ndarray of shape (n_samples,)
    group : ndarray of shape (n_samples,)
        The same number for samples that equal each other.
    """
    n_effective = number_of_distinct(weight, group)
    fitted = [_tempered(one, y, weight, 1 / (n_effective + 2)) for one in logits]
    log_loss = _excess(np.array([loss for loss, _ in fitted]), weight, group)
    error = _excess((logits.argmax(axis=2) != y).astype(np.float64), weight, group)
    best = np.arange(len(logits)) == log_loss.mean.argmin()
    index = int(np.flatnonzero(best | (log_loss.within(1 / n_effective) & error.within(0.0)))[-1])
    return Selection(index, fitted[index][1], {"log_loss": log_loss, "error": error})


def select_for_numbers(outputs: NDArray, y: NDArray, weight: NDArray, group: NDArray) -> Selection:
    r"""Return the last candidate whose squared error is within a standard error of the least.

    Outputs are first divided by the temperature that makes the error least, at least 1: where
    held out samples tell that predictions go too far from the mean of y, which is 0 here, they
    are drawn towards it.

    .. math:: \frac{1}{T} = \min\left(\frac{\sum_i w_i y_i f(x_i)}{\sum_i w_i f(x_i)^2}, 1\right)

    Parameters
    ----------
    outputs : ndarray of shape (n_candidates, n_samples, 1)
    y, weight : ndarray of shape (n_samples,)
    group : ndarray of shape (n_samples,)
        The same number for samples that equal each other.
    """
    predicted = outputs[:, :, 0]
    squares = np.maximum(predicted**2 @ weight, np.finfo(np.float64).tiny)
    share = ((predicted * y) @ weight / squares).clip(_LEAST_SHARE, 1)
    error = _excess((share[:, None] * predicted - y) ** 2, weight, group)
    index = int(np.flatnonzero(error.within(0.0))[-1])
    return Selection(index, float(1 / share[index]), {"squared_error": error})


def number_of_distinct(weight: NDArray, group: NDArray) -> float:
    """Return how many distinct samples of equal weight would tell as much.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._training.selection import number_of_distinct
    >>> number_of_distinct(np.array([1.0, 1.0, 2.0]), np.array([0, 0, 1]))
    2.0
    """
    total = np.bincount(group, weights=weight).astype(np.float64)
    return effective_number(total, len(total))


def _excess(losses: NDArray, weight: NDArray, group: NDArray) -> Excess:
    means = np.average(losses, axis=1, weights=weight)
    differences = losses - losses[means.argmin()]
    excess = means - means.min()
    total = np.bincount(group, weights=weight)[group]  # of each sample's equals, itself included
    spread = (differences - excess[:, None]) ** 2 @ (weight * total)
    return Excess(means, excess, np.sqrt(spread) / weight.sum(dtype=np.float64))


def _tempered(
    logits: NDArray, y: NDArray, weight: NDArray, smoothing: float
) -> tuple[NDArray, float]:
    """Return the log loss of each sample at the temperature that makes its mean least."""
    samples = np.arange(len(y))

    def losses(log_factor: float) -> NDArray:
        errors = -log_softmax(logits * np.exp(log_factor), axis=1)
        result: NDArray = (1 - smoothing) * errors[samples, y] + smoothing * errors.mean(axis=1)
        return result

    best = minimize_scalar(
        lambda value: np.average(losses(value), weights=weight), bounds=_RANGE, method="bounded"
    )
    return losses(best.x), float(np.exp(-best.x))
