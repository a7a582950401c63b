"""Classification loss plus alpha times the penalty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from sklearn_iso._training.sharing import ALONE, Alone, Share
from sklearn_iso._training.state import own_attributes
from sklearn_iso.modules import Layers
from sklearn_iso.modules._parts import parts_of
from sklearn_iso.modules._representations import copy_for, first_output
from sklearn_iso.penalties import Batch, Penalty

if TYPE_CHECKING:
    from sklearn_iso._training.distributed import Processes

#: Largest factor that torch applies to float32.
_LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class Loss:
    """The loss of a batch and what it is made of.

    Attributes
    ----------
    total : Tensor
        ``data term + alpha * penalty``.
    logits : Tensor of shape (n_samples, n_outputs)
        Of the own samples, where several processes share a batch; the other two are contributions
        then, whose sums over the processes are those of the batch.
    parts : dict of str to float
        The data term ("classification_loss" or "reconstruction_error"), "penalty" and, for a
        sum, each of its terms; empty without a penalty, when the total says it all.
    """

    total: Tensor
    logits: Tensor
    parts: dict[str, float]


class Objective(nn.Module):
    r"""The training objective.

    .. math:: L = \frac{\sum_i w_i \mathrm{CE}(f(x_i), y_i)}{\sum_i w_i}
              + \alpha \sum_k w_k P_k

    Parameters
    ----------
    penalty : Penalty
        Calibrated.
    alpha : float
        Strength; 0 skips the penalty altogether.
    layers : layers
        Representations of the penalties that name none.
    weighted : bool, default=True
        False where all samples weigh the same, which torch's mean serves faster.
    data_term : {"classification_loss", "squared_error"}
        Cross-entropy, or the mean of ``(f(x) - y)^2``.
    """

    shares_batches = True

    def __init__(
        self,
        penalty: Penalty,
        alpha: float,
        layers: Layers,
        *,
        weighted: bool = True,
        data_term: str = "classification_loss",
    ) -> None:
        super().__init__()
        self.penalty, self.alpha, self.layers, self.weighted = penalty, alpha, layers, weighted
        self.data_term = data_term

    @property
    def grows_by_batch(self) -> bool:
        """Whether a term takes its progress by batches, and not by epochs."""
        return bool(self.alpha) and any(term.grows_by_batch for _, _, term in self.penalty.terms())

    def forward(
        self,
        module: nn.Module,
        X: Tensor,
        y: Tensor,
        weight: Tensor,
        *,
        generator: torch.Generator,
        progress: float = 1.0,
        processes: Processes | None = None,
    ) -> Loss:
        """Return the loss of a batch, `progress` of the training done.

        Several processes share it: then what this one contributes, of the same batch in all.
        """
        data_loss = DATA_TERMS[self.data_term]
        part: Alone = ALONE if processes is None else Share(processes, X, y, weight)
        X, y, weight = part.own(X, y, weight)
        if not self.alpha:  # no detour for a plain network
            outputs = first_output(module(X))
            loss = part.of_mean(data_loss(outputs, y, weight, self.weighted))
            return Loss(loss, outputs, {})
        terms = self.penalty.terms()
        if any(term.needs_input_gradient for _, _, term in terms):
            X = X.detach().requires_grad_()
        choices = [term.layers for _, _, term in terms]
        noisy = module.training and is_noisy(module)
        logits: Tensor | None = first_output(module(copy_for(module, X))) if noisy else None
        with as_predicting(module) if noisy else nullcontext():
            batch = Batch(
                module,
                X,
                y,
                weight,
                layers=self.layers,
                choices=choices,
                generator=generator,
                progress=progress,
            )
            values = part.values(terms, batch)
        logits = batch.logits if logits is None else logits
        loss = part.of_mean(data_loss(logits, y, weight, self.weighted))
        return add_terms(self.data_term, loss, logits, values, self.alpha)

    def __getstate__(self) -> dict[str, object]:
        return own_attributes(self)

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__init__()
        vars(self).update(state)


def cross_entropy(logits: Tensor, y: Tensor, weight: Tensor, weighted: bool) -> Tensor:
    """Return the weighted mean cross-entropy; unweighted, all samples weigh the same."""
    if not weighted:
        return nn.functional.cross_entropy(logits, y)
    losses = nn.functional.cross_entropy(logits, y, reduction="none")
    return torch.dot(weight, losses) / weight.sum()


def squared_error(outputs: Tensor, y: Tensor, weight: Tensor, weighted: bool) -> Tensor:
    """Return the weighted mean squared error of outputs of shape (n_samples, 1)."""
    squares = (outputs[:, 0] - y).square()
    return torch.dot(weight, squares) / weight.sum() if weighted else squares.mean()


#: What penalties are added to, by the name of its column in the history.
DATA_TERMS = {"classification_loss": cross_entropy, "squared_error": squared_error}


def add_terms(
    name: str,
    data_term: Tensor,
    logits: Tensor,
    values: list[tuple[str, float, Tensor]],
    alpha: float,
) -> Loss:
    """Return ``data_term + alpha * sum of factor * value``, with its parts by name."""
    total, parts = data_term, {name: data_term.item(), "penalty": 0.0}
    for term, factor, value in values:
        # Beyond float32, an error of torch's that names no parameter: infinity names two.
        total = torch.add(total, value, alpha=min(alpha * factor, _LARGEST))
        number = value.item()
        parts["penalty"] += factor * number
        if len(values) > 1:
            parts[term] = number
    return Loss(total, logits, parts)


def is_noisy(module: nn.Module) -> bool:
    """Return whether the output of a row in training depends on chance or on other rows."""
    return any(isinstance(part, _DropoutNd | _BatchNorm) for part in parts_of(module))


@contextmanager
def as_predicting(module: nn.Module) -> Iterator[None]:
    """Evaluate the map that predictions use, so that a pair differs by its input alone."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
