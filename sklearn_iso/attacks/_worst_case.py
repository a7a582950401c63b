"""The largest loss of outputs that an attack finds, where nothing is an error that would end it."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from sklearn_iso.attacks._attack import AttackState, on_copies
from sklearn_iso.attacks._losses import Loss
from sklearn_iso.attacks._objective import Logits, Unending

#: Outputs up to which every direction is climbed, each of them up or down.
MOST_OUTPUTS = 3


class WorstCaseState(AttackState):
    """Samples whose loss an attack raises; all of them stay under attack.

    Parameters
    ----------
    outputs : callable
        Maps points of shape (n, ...) to outputs of shape (n, n_outputs).
    X : Tensor of shape (n, ...)
    y : Tensor of shape (n, n_outputs)
        What the loss takes beside the outputs: targets or directions.
    loss : callable
        Maps outputs and y to one value for each sample.
    batch_size : int

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import PGD, Budget
    >>> from sklearn_iso.attacks._worst_case import WorstCaseState, along_direction
    >>> X = torch.tensor([[1.0], [2.0]])
    >>> state = WorstCaseState(torch.square, X, torch.ones(2, 1), along_direction, 10)
    >>> PGD().run(state, Budget.of(X, eps=0.5), torch.Generator().manual_seed(0))
    >>> state.X_adv
    tensor([[1.5000],
            [2.5000]])
    """

    def __init__(self, outputs: Logits, X: Tensor, y: Tensor, loss: Loss, batch_size: int) -> None:
        self.loss = loss
        super().__init__(outputs, X, y, batch_size)

    def objective(self, loss: Loss) -> Unending:
        """Return the loss of this state, whatever loss of classes is asked for."""
        return Unending(self.logits, self.loss)

    def reassess(self, outputs: Logits) -> None:
        """Go on with other outputs, from the same points."""
        self.logits = on_copies(outputs)
        objective = self.objective(self.loss)
        for rows in self.batches():
            self.best_loss[rows] = objective.value(self.X_adv[rows], self.y[rows])[0].to(self.X)

    def _checked(self, y: Tensor) -> Tensor:
        return y

    def _judge(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        everyone = torch.ones(len(rows), dtype=torch.bool, device=self.X.device)
        return everyone, torch.empty(len(rows), 0, dtype=torch.long, device=self.X.device)


def along_direction(outputs: Tensor, direction: Tensor) -> Tensor:
    """Return how far outputs go in a direction, of shape (n,).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._worst_case import along_direction
    >>> along_direction(torch.tensor([[2.0, 3.0]]), torch.tensor([[1.0, -1.0]]))
    tensor([-1.])
    """
    return (outputs * direction.to(outputs)).sum(dim=1)


def directions(deviation: Tensor) -> list[Tensor]:
    """Return the directions in which outputs are to move away from their targets.

    Every output up or down where there are few; else that of the deviations as they are, and the
    opposite one.

    Parameters
    ----------
    deviation : Tensor of shape (n, n_outputs)
        Outputs less targets.

    Returns
    -------
    list of Tensor of the shape of deviation

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._worst_case import directions
    >>> directions(torch.tensor([[0.5], [-3.0]]))
    [tensor([[1.],
            [1.]]), tensor([[-1.],
            [-1.]])]
    """
    n_outputs = deviation.shape[1]
    if n_outputs <= MOST_OUTPUTS:
        return [
            deviation.new_tensor(signs).expand_as(deviation)
            for signs in product((1.0, -1.0), repeat=n_outputs)
        ]
    own = torch.where(deviation < 0, -1.0, 1.0).to(deviation)
    return [own, -own]
