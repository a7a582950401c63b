"""What an attack climbs: a loss of what a callable returns, and whether that is an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso.attacks._losses import Loss

Logits = Callable[[Tensor], Tensor]


def check_shape(logits: Tensor, n_rows: int) -> None:
    """Raise a ValueError unless logits are of shape (n_rows, at least 2).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._objective import check_shape
    >>> check_shape(torch.zeros(5, 2), n_rows=5)
    """
    if logits.ndim != 2 or logits.shape[0] != n_rows or logits.shape[1] < 2:
        raise ValueError(
            f"logits must return a tensor of shape ({n_rows}, n_classes) with at least 2 classes; "
            f"got {tuple(logits.shape)}. A single score z becomes torch.stack([0 * z, z], dim=1)."
        )


@dataclass(frozen=True)
class Objective:
    """What an attack climbs: a loss of the logits, and whether they are wrong.

    A sample whose logits are NaN or infinite has no adversarial example there: its loss is minus
    infinity and its gradient 0. A gradient that is NaN or infinite counts as 0 too.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes).
    loss : callable
        Maps logits and y to one value for each sample. For a targeted loss y has two columns,
        label and target.

    Attributes
    ----------
    can_err : bool
        Whether a point may be an error at all, which ends the search for its sample.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._objective import Objective
    >>> from sklearn_iso.attacks._losses import margin
    >>> objective = Objective(lambda x: x @ torch.tensor([[2.0, -1.0]]), margin)
    >>> objective.slope(torch.tensor([[1.0]]), torch.tensor([0]))
    (tensor([-3.]), tensor([False]), tensor([[-3.]]))
    """

    can_err: ClassVar[bool] = True

    logits: Logits
    loss: Loss

    @torch.no_grad()
    def value(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each sample, and whether it is misclassified."""
        logits = self.logits(x)
        return self._judged(logits, y)

    def slope(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, verdict and gradient; gradients go to x alone, never to module parameters."""
        with torch.enable_grad():
            # A tensor of inference_mode never takes a gradient, its copy does.
            x = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
            logits = self.logits(x)
            loss, wrong = self._judged(logits, y)
            gradient = _gradient(loss, x)
        finite = _finite_rows(gradient)
        if not finite.all():
            gradient = torch.where(along(finite, gradient), gradient, 0)
        return loss.detach(), wrong, gradient

    def _judged(self, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        check_shape(logits, len(y))
        loss, wrong = self.loss(logits, y), logits.detach().argmax(dim=1) != labels_of(y)
        known = _finite_rows(logits.detach())
        if not known.all():
            loss, wrong = loss.masked_fill(~known, -torch.inf), wrong & known
        return loss, wrong

    def check_slope(self, X: Tensor, y: Tensor) -> None:
        """Raise a ValueError if the logits of X are finite, but no sample's gradient is."""
        with torch.enable_grad():
            x = X.detach().requires_grad_()
            loss, _ = self._judged(self.logits(x), y)
            gradient = _gradient(loss, x)
        if len(X) and loss.isfinite().all() and not _finite_rows(gradient).any():
            raise ValueError(
                "The gradient of the logits in X must be finite; found NaN or infinity. Look for "
                "a square root, a norm or a logarithm at 0 in the callable."
            )


class Unending(Objective):
    """A loss of outputs that is climbed as far as it goes: no point is an error.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._objective import Unending
    >>> squared = lambda outputs, y: (outputs - y).square().sum(dim=1)
    >>> Unending(lambda x: 3 * x, squared).slope(torch.tensor([[1.0]]), torch.tensor([[1.0]]))
    (tensor([4.]), tensor([False]), tensor([[12.]]))
    """

    can_err = False

    def _judged(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        loss = self.loss(outputs, y)
        known = _finite_rows(outputs.detach()) & loss.detach().isfinite()
        return loss.masked_fill(~known, -torch.inf), torch.zeros_like(known)


def labels_of(goals: Tensor) -> Tensor:
    """Labels of goals that are labels alone (n,), or labels beside targets (n, 2).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._objective import labels_of
    >>> labels_of(torch.tensor([[3, 1], [0, 2]]))
    tensor([3, 0])
    """
    return goals if goals.ndim == 1 else goals[:, 0]


def _gradient(loss: Tensor, x: Tensor) -> Tensor:
    gradient = None
    if loss.requires_grad:
        (gradient,) = torch.autograd.grad(loss.sum(), x, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "logits must be differentiable in X; they do not depend on X through torch "
            "operations. Remove .detach(), .numpy() and torch.no_grad() from the callable."
        )
    return gradient


def _finite_rows(values: Tensor) -> Tensor:
    # The sum of finite entries may overflow, so it only says when a closer look is needed.
    if values.sum().isfinite():
        return torch.ones(len(values), dtype=torch.bool, device=values.device)
    return values.flatten(1).isfinite().all(dim=1)
