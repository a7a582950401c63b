"""Losses that an attack climbs: one value for each sample, larger is closer to an error."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def _without_label(logits: Tensor, y: Tensor) -> Tensor:
    """Logits with the entry of the label at minus infinity."""
    return logits.scatter(1, y.unsqueeze(1), -torch.inf)


def _of_label(logits: Tensor, y: Tensor) -> Tensor:
    return logits.gather(1, y.unsqueeze(1)).squeeze(1)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    r"""Log-odds of an error, an increasing function of the cross-entropy.

    .. math:: \ell_i = \log \sum_{j \ne y_i} e^{z_{ij}} - z_{i y_i}, \qquad
              \mathrm{CE}_i = \log(1 + e^{\ell_i})

    Both rank the same perturbations in the same order and have the same steepest direction.
    Where the network is confident the gradient of the cross-entropy itself underflows (in
    float32 it loses the label's term beyond a gap of 17 and vanishes beyond 104), and an
    attack that follows it stalls; the gradient of the log-odds never does.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
    y : Tensor of shape (n,), integers

    Returns
    -------
    Tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._losses import cross_entropy
    >>> logits, y = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([0])
    >>> bool(torch.isclose(torch.nn.functional.softplus(cross_entropy(logits, y)),
    ...                    torch.nn.functional.cross_entropy(logits, y)))
    True
    """
    return _without_label(logits, y).logsumexp(dim=1) - _of_label(logits, y)


def margin(logits: Tensor, y: Tensor) -> Tensor:
    r"""Best wrong logit minus the logit of the label, :math:`\max_{j \ne y_i} z_{ij} - z_{iy_i}`.

    Positive where the sample is misclassified.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
    y : Tensor of shape (n,), integers

    Returns
    -------
    Tensor of shape (n,)

    References
    ----------
    Carlini, Wagner, Towards Evaluating the Robustness of Neural Networks, S&P 2017.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._losses import margin
    >>> margin(torch.tensor([[2.0, 0.0, 1.5]]), torch.tensor([0]))
    tensor([-0.5000])
    """
    return _without_label(logits, y).amax(dim=1) - _of_label(logits, y)


def targeted_margin(logits: Tensor, goals: Tensor) -> Tensor:
    r"""Logit of a target class minus that of the label, :math:`z_{it_i} - z_{iy_i}`.

    Unlike :func:`margin` it does not change class on the way, so that an attack can try one
    boundary after another; unlike the difference of logits ratio it needs no third class.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
    goals : Tensor of shape (n, 2), integers
        Label and target of each sample.

    Returns
    -------
    Tensor of shape (n,)

    References
    ----------
    Gowal et al., An Alternative Surrogate Loss for PGD-based Adversarial Testing,
    arXiv 1910.09338 (MultiTargeted).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._losses import targeted_margin
    >>> targeted_margin(torch.tensor([[2.0, 0.0, 1.5]]), torch.tensor([[0, 1]]))
    tensor([-2.])
    """
    of_label, of_target = logits.gather(1, goals).unbind(dim=1)
    return of_target - of_label


#: Losses that an attack maximises, by name.
LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "margin": margin,
    "targeted_margin": targeted_margin,
}


def get_loss(loss: str) -> Loss:
    """Loss of a name.

    Parameters
    ----------
    loss : {"cross_entropy", "margin", "targeted_margin"}

    Returns
    -------
    callable
        Maps logits and y (for "targeted_margin" label and target) to one value for each sample.

    Raises
    ------
    ValueError
        If no such loss is known.

    Examples
    --------
    >>> from sklearn_iso.attacks._losses import get_loss
    >>> get_loss("margin").__name__
    'margin'
    """
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(map(repr, LOSSES))}; got {loss!r}.")
    return LOSSES[loss]
