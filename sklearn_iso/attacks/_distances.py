"""How far each sample was moved, where it is misclassified."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_iso._threat import Threat
from sklearn_iso.attacks._attack import Logits, check_labels, verdict
from sklearn_iso.attacks._budget import Budget, check_points
from sklearn_iso.attacks._parameters import check_counts


@torch.no_grad()
def distances(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    X_adv: Tensor,
    *,
    threat: Threat = "l2",
    batch_size: int = 1000,
) -> Tensor:
    r"""Return how far each sample was moved, infinity where X_adv is not misclassified.

    .. math:: d_i = \|(x_i' - x_i) / u\|

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), or to labels (n,).
    X : Tensor of shape (n, ...)
    y : Tensor of shape (n,), integers
    X_adv : Tensor of the shape of X
        What an attack made of X.
    threat : ThreatModel, or the name of a norm
        Norm, units and what must stay, see :class:`sklearn_iso.ThreatModel`. Another category
        adds nothing to the distance; a sample of which an immutable feature moved is infinitely
        far.
    batch_size : int

    Returns
    -------
    Tensor of shape (n,), of the dtype of X
        In units of the threat.

    Raises
    ------
    ValueError
        If X and X_adv are no finite points of one shape, y no labels, or a parameter is out of
        its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import distances
    >>> X, X_adv = torch.tensor([[1.0, 0.0], [9.0, 0.0]]), torch.tensor([[-2.0, 4.0], [6.0, 4.0]])
    >>> distances(lambda x: torch.stack([x[:, 0], -x[:, 0]], 1), X, torch.tensor([0, 0]), X_adv)
    tensor([5., inf])
    """
    check_counts(batch_size=batch_size)
    for points in (X, X_adv):
        check_points(points)
    if X.shape != X_adv.shape:
        raise ValueError(
            f"X and X_adv must have one shape; got {tuple(X.shape)} and {tuple(X_adv.shape)}."
        )
    y = check_labels(y, len(X)).to(X.device)
    budget = Budget.of(X, threat=threat)
    sizes = budget.norm.size(budget.perturbations(X, X_adv))
    for rows in torch.arange(len(X)).split(int(batch_size)) if len(X) else ():
        right = ~verdict(logits(X_adv[rows]), y[rows])
        sizes[rows] = torch.where(right, torch.inf, sizes[rows])
    return sizes
