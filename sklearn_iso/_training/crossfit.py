"""One network as the mean of members that each leave a fold of the samples out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sklearn_iso._training.objective import Loss
from sklearn_iso._training.stacked import StackedMLP, linear_layers, stacked_term
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import Batch, Penalty


@dataclass(frozen=True)
class Candidate:
    """How strongly the members of one candidate are held back.

    Attributes
    ----------
    alpha : float
        Strength of the penalty.
    weight_decay : float
    """

    alpha: float
    weight_decay: float


class Members(nn.Module):
    """The members of all candidates: for each candidate one that leaves out each fold.

    Parameters
    ----------
    mlps : sequence of MLP
        Where the members of every candidate start, one for each fold.
    candidates : sequence of Candidate
        Those without a penalty first.
    """

    def __init__(self, mlps: Sequence[MLP], candidates: Sequence[Candidate]) -> None:
        super().__init__()
        self.n_folds, self.candidates = len(mlps), list(candidates)
        n_plain = sum(candidate.alpha == 0 for candidate in candidates)
        counts = [n_plain, len(candidates) - n_plain]
        # Two stacks: only one of them pays for the penalty.
        self.stacks = nn.ModuleList(StackedMLP([*mlps] * n) for n in counts if n)

    def each(self, X: Tensor) -> Tensor:
        """Return the logits (n_candidates, n_folds, n_samples, n_outputs) of all members."""
        logits = [
            stack(X.repeat(stack.n_copies, 1)).unflatten(0, (-1, self.n_folds, len(X)))
            for stack, _ in self.parts()
        ]
        return torch.cat(logits)

    def _place(self, candidate: int) -> tuple[StackedMLP, int]:
        """Return the stack of a candidate, and where it is there."""
        for stack, candidates in self.parts():
            if candidate < len(candidates):
                return stack, candidate
            candidate -= len(candidates)
        raise IndexError(candidate)

    def parts(self) -> list[tuple[StackedMLP, list[Candidate]]]:
        """Return each stack with its candidates."""
        parts, start = [], 0
        for stack in self.stacks:
            assert isinstance(stack, StackedMLP)
            stop = start + stack.n_copies // self.n_folds
            parts.append((stack, self.candidates[start:stop]))
            start = stop
        return parts

    def forward(self, X: Tensor) -> Tensor:
        """Return the mean logits (n_samples, n_outputs), for callbacks that ask while it trains."""
        return self.each(X).mean(dim=(0, 1))

    def merged(self, candidate: int, temperature: float, like: MLP) -> MLP:
        r"""Return one perceptron with the mean of the logits of a candidate's members.

        .. math:: f(x) = \frac{1}{K T} \sum_{k=1}^{K} f_k(x)

        Its layers hold those of the members side by side, with weights of 0 between members.

        Parameters
        ----------
        candidate : int
        temperature : float
            The T, which divides the logits.
        like : MLP
            Gets the weights; its hidden layers are `n_folds` times as wide as the members'.

        Returns
        -------
        mlp : MLP
        """
        stack, place = self._place(candidate)
        copies = slice(place * self.n_folds, (place + 1) * self.n_folds)
        layers = linear_layers(like)
        with torch.no_grad():
            for k, layer in enumerate(layers):
                weight, bias = stack.weights[k][copies].mT, stack.biases[k][copies, 0]
                if k == len(layers) - 1:
                    scale = 1 / (self.n_folds * temperature)
                    layer.weight.copy_(torch.cat([*weight], dim=1) * scale)
                    layer.bias.copy_(bias.sum(0) * scale)
                    continue
                layer.weight.copy_(weight.flatten(0, 1) if k == 0 else torch.block_diag(*weight))
                layer.bias.copy_(bias.flatten())
        return like


class CrossFitObjective(nn.Module):
    r"""Sum of the objectives of all members, each without the samples of its fold.

    .. math:: L = \sum_{c, k} \mathrm{CE}_k(f_{ck}) + \alpha_c P_k(f_{ck})
              + \frac{\lambda_c}{2} \lVert W_{ck} \rVert^2

    where the sums of :math:`\mathrm{CE}_k` and :math:`P_k` run over the samples outside fold k.
    Its value is the mean over the members, its gradient that of the sum: the gradient of a
    member is that of its own objective.

    Parameters
    ----------
    penalty : Penalty
        Calibrated; :func:`~sklearn_iso._training.stacked.can_stack` it.
    data_term : {"classification_loss", "squared_error"}
        The latter in place of the cross-entropy.
    unit : float, default=1
        What the weights were divided by: neighbours count by their weight.
    """

    def __init__(
        self, penalty: Penalty, data_term: str = "classification_loss", unit: float = 1.0
    ) -> None:
        super().__init__()
        self.penalty, self.data_term, self.unit = penalty, data_term, unit

    def forward(
        self,
        module: Members,
        X: Tensor,
        y: Tensor,
        weight: Tensor,
        *,
        generator: torch.Generator,
        progress: float = 1.0,
    ) -> Loss:
        """Return the loss of a batch; `weight` (n_samples, n_folds) is 0 within the fold."""
        tiny = torch.finfo(weight.dtype).tiny
        share = weight.T / weight.sum(0).clamp_min(tiny).unsqueeze(1)
        total, errors, values, outputs = weight.new_zeros(()), 0.0, [], []
        for stack, candidates in module.parts():
            here, counts = share.repeat(len(candidates), 1), weight.T * self.unit
            alpha = _by_copy(here, [one.alpha for one in candidates], module.n_folds)
            decay = _by_copy(here, [one.weight_decay for one in candidates], module.n_folds)
            if alpha.any():
                batch = _batch(stack, X, y, here, alpha, generator=generator, progress=progress)
                logits = batch.logits
                values = [
                    (
                        name,
                        factor,
                        stacked_term(term, batch, X, y, weight=here, alpha=alpha, counts=counts),
                    )
                    for name, factor, term in self.penalty.terms()
                ]
                total = total + sum(factor * value for _, factor, value in values)
            else:
                logits = stack(X.repeat(stack.n_copies, 1))
            error = _LOSSES[self.data_term](logits, y, here)
            errors += error.item()
            total = total + error + _half_squares(stack, decay)
            outputs.append(logits.detach().unflatten(0, (stack.n_copies, -1)))
        n_members = module.n_folds * len(module.candidates)
        strength = module.n_folds * sum(one.alpha for one in module.candidates)
        # The value of the mean, the gradient of the sum.
        total = total + (total / n_members - total).detach()
        parts = {self.data_term: errors / n_members, "penalty": 0.0}
        for name, factor, value in values:
            number = value.item() / strength
            parts["penalty"] += factor * number
            if len(values) > 1:
                parts[name] = number
        return Loss(total, torch.cat(outputs).mean(0), parts)


def _by_copy(like: Tensor, numbers: list[float], n_folds: int) -> Tensor:
    """Return the number of each candidate for each of its members."""
    return like.new_tensor(numbers).repeat_interleave(n_folds)


def _batch(
    stack: StackedMLP,
    X: Tensor,
    y: Tensor,
    share: Tensor,
    alpha: Tensor,
    *,
    generator: torch.Generator,
    progress: float,
) -> Batch:
    """Return the samples of all members as one batch, weighted by alpha."""
    return Batch(
        stack,
        X.repeat(stack.n_copies, 1).requires_grad_(),
        y.repeat(stack.n_copies),
        (alpha.unsqueeze(1) * share).flatten(),
        layers="hidden",
        choices=["hidden", "logits"],
        generator=generator,
        progress=progress,
    )


def _cross_entropy(logits: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """Return the sum over the members of their weighted means."""
    losses = nn.functional.cross_entropy(logits, y.repeat(len(share)), reduction="none")
    return torch.dot(losses, share.flatten())


def _squared_error(outputs: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """Return the sum over the members of their weighted means."""
    squares = (outputs[:, 0] - y.repeat(len(share))).square()
    return torch.dot(squares, share.flatten())


#: What the members learn from, by the name of its column in the history.
_LOSSES = {"classification_loss": _cross_entropy, "squared_error": _squared_error}


def _half_squares(stack: StackedMLP, decay: Tensor) -> Tensor:
    squares = [weights.square().flatten(1).sum(1) for weights in stack.weights]
    return torch.dot(torch.stack(squares).sum(0), decay) / 2
