"""Many networks of one shape trained at once on the same batches, each under its own alpha."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_iso._geometry import Blocks, class_blocks, fitted_factors, one_block
from sklearn_iso._geometry.distances import centred_rows, pull_rows, stacked_distances
from sklearn_iso._protocols import Context
from sklearn_iso._threads import threads_for
from sklearn_iso._training.data import ArrayDataset, make_iterator
from sklearn_iso._training.numerics import denormals_flushed
from sklearn_iso._training.randomness import Randomness
from sklearn_iso._training.settings import OPTIMIZERS, SCHEDULES, TrainingSettings
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import (
    AdversarialCrossEntropy,
    Batch,
    NeighborIsometry,
    Penalty,
    WithinClassIsometry,
    WorstCaseIsometry,
)
from sklearn_iso.penalties._neighbours import neighbour_pairs
from sklearn_iso.penalties._pairwise import PairwiseIsometry

#: Parameters of the pairwise term that the stacked form has.
_PAIRWISE = {
    "loss": "normalized_stress",
    "scale": "fitted",
    "two_sided": True,
    "metric": "l2",
    "target": "input",
    "layers": None,
}
#: Terms of adversarial examples, of one sample each: stacked samples are samples.
_ADVERSARIAL = (WorstCaseIsometry, AdversarialCrossEntropy)


def can_stack(penalty: Penalty) -> bool:
    """Return whether the terms of a penalty have a stacked form.

    Examples
    --------
    >>> from sklearn_iso.penalties import GlobalIsometry, make_penalty
    >>> from sklearn_iso._training.stacked import can_stack
    >>> can_stack(make_penalty("isometric")), can_stack(GlobalIsometry())
    (True, False)
    """
    for _, _, term in penalty.terms():
        params = term.get_params()
        if type(term) in (WithinClassIsometry, NeighborIsometry):
            if any(params[name] != value for name, value in _PAIRWISE.items()):
                return False
        elif type(term) not in _ADVERSARIAL or params["layers"] != "logits":
            return False
    return True


def linear_layers(mlp: MLP) -> list[nn.Linear]:
    """Return the linear layers of a perceptron, the output last."""
    return [part for part in (*mlp.hidden, mlp.output) if isinstance(part, nn.Linear)]


class StackedMLP(nn.Module):
    """Perceptrons of one shape side by side; samples come stacked, those of the first copy first.

    Parameters
    ----------
    mlps : sequence of MLP
        Where each copy starts; they share the input similarity.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import MLP
    >>> from sklearn_iso._training.stacked import StackedMLP
    >>> mlp = MLP(3, 2, hidden_layer_sizes=(4,))
    >>> X = torch.ones(5, 3)
    >>> bool(torch.allclose(StackedMLP([mlp, mlp])(X.repeat(2, 1)), mlp(X).repeat(2, 1)))
    True
    """

    offset: Tensor
    factor: Tensor

    def __init__(self, mlps: Sequence[MLP]) -> None:
        super().__init__()
        self.register_buffer("offset", mlps[0].offset)
        self.register_buffer("factor", mlps[0].factor)
        self.n_copies = len(mlps)
        self.activations = [part for part in mlps[0].hidden if not isinstance(part, nn.Linear)]
        layers = list(zip(*map(linear_layers, mlps), strict=True))
        self.weights = nn.ParameterList(
            torch.stack([layer.weight.detach().mT for layer in same]) for same in layers
        )
        self.biases = nn.ParameterList(
            torch.stack([layer.bias.detach().unsqueeze(0) for layer in same]) for same in layers
        )

    def forward(self, X: Tensor) -> Tensor:
        """Return the logits (n_copies * n, n_outputs) of stacked samples."""
        return self.forward_hidden(X)[0]

    def forward_hidden(self, X: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits and the activations of each hidden layer, in order."""
        Z = torch.addcmul(self.offset, X, self.factor).unflatten(0, (self.n_copies, -1))
        hidden = []
        for weight, bias, activation in zip(
            self.weights, self.biases, [*self.activations, None], strict=True
        ):
            Z = torch.baddbmm(bias, Z, weight)
            if activation is not None:
                Z = activation(Z)
                hidden.append(Z.flatten(0, 1))
        return Z.flatten(0, 1), hidden

    def state_of(self, copy: int) -> dict[str, Tensor]:
        """Return the state of one copy, as a perceptron names it."""
        names = [f"hidden.{2 * k}" for k in range(len(self.activations))] + ["output"]
        state = {"offset": self.offset, "factor": self.factor}
        for name, weight, bias in zip(names, self.weights, self.biases, strict=True):
            state |= {f"{name}.weight": weight[copy].mT, f"{name}.bias": bias[copy, 0]}
        return {name: value.detach().clone() for name, value in state.items()}


class StackedObjective:
    r"""Sum over the copies of classification loss and :math:`\alpha_k` times the penalty.

    Its gradient is for each copy that of its own objective.

    Parameters
    ----------
    penalty : Penalty
        Calibrated; :func:`can_stack` it.
    alphas : sequence of float
        Strength for each copy.
    """

    def __init__(self, penalty: Penalty, alphas: Sequence[float]) -> None:
        self.penalty, self.alphas = penalty, list(alphas)

    def __call__(
        self,
        stack: StackedMLP,
        X: Tensor,
        y: Tensor,
        weight: Tensor,
        *,
        generator: torch.Generator,
        progress: float,
    ) -> Tensor:
        """Return the loss of a batch."""
        n_copies = stack.n_copies
        alpha = weight.new_tensor(self.alphas)
        batch = Batch(
            stack,
            X.repeat(n_copies, *[1] * (X.ndim - 1)).requires_grad_(),
            y.repeat(n_copies),
            torch.outer(alpha, weight).flatten(),
            layers="hidden",
            choices=["hidden", "logits"],
            generator=generator,
            progress=progress,
        )
        losses = nn.functional.cross_entropy(batch.logits, batch.y, reduction="none")
        total = torch.mv(losses.unflatten(0, (n_copies, -1)), weight).sum() / weight.sum()
        if not any(self.alphas):
            return total
        for _, factor, term in self.penalty.terms():
            value = stacked_term(term, batch, X, y, weight=weight, alpha=alpha, counts=weight)
            total = torch.add(total, value, alpha=factor)
        return total


def stacked_term(
    term: Penalty,
    batch: Batch,
    X: Tensor,
    y: Tensor,
    *,
    weight: Tensor,
    alpha: Tensor,
    counts: Tensor,
) -> Tensor:
    """Return the sum over the copies of alpha times a penalty.

    Parameters
    ----------
    term : WithinClassIsometry, NeighborIsometry, WorstCaseIsometry or AdversarialCrossEntropy
    batch : Batch
        The samples of every copy, weighted by ``alpha * weight / weight.sum()`` up to a factor.
    X, y : Tensor
        The samples of one copy.
    weight : Tensor of shape (n_samples,) or (n_copies, n_samples)
    alpha : Tensor of shape (n_copies,)
    counts : Tensor of shape (n_samples,) or (n_folds, n_samples)
        What each sample counts for among the neighbours of others, in each fold of the copies.

    Returns
    -------
    value : Tensor of shape ()
    """
    if isinstance(term, _ADVERSARIAL):
        return term(batch) * float(alpha.sum())
    pairwise = cast(PairwiseIsometry, term)
    samples = slice(pairwise.max_samples)
    weights = weight.view(-1, len(y))[:, samples]
    ones = torch.ones_like(weights[0])
    blocks = (
        one_block(ones) if isinstance(term, NeighborIsometry) else class_blocks(y[samples], ones)
    )
    placed = weights[:, blocks.index]
    pair_weight = blocks.pair_weight * placed.unsqueeze(-1) * placed.unsqueeze(-2)
    d_X = blocks.distances(X[samples], 2.0)
    if isinstance(term, NeighborIsometry):
        near = neighbour_pairs(d_X[0], counts.view(-1, len(y))[:, samples], term.n_neighbors)
        pair_weight = pair_weight * near.repeat(len(pair_weight) // len(near), 1, 1).unsqueeze(1)
    values = [
        _StackedStress.apply(Z.unflatten(0, (len(alpha), -1)), blocks, pair_weight, d_X, alpha)
        for Z in batch.representations(None)
    ]
    return torch.stack(values).mean()


class _Context(Context):
    """What the gradient of stacked stresses needs."""

    blocks: Blocks
    shape: torch.Size


class _StackedStress(torch.autograd.Function):
    """Normalised stress with a fitted scale, of every copy's map, in one go."""

    @staticmethod
    def forward(
        ctx: _Context, Z: Tensor, blocks: Blocks, pair_weight: Tensor, d_X: Tensor, alpha: Tensor
    ) -> Tensor:
        n_copies, n_rows = Z.shape[:2]
        offsets = n_rows * torch.arange(n_copies, device=Z.device).view(-1, 1, 1)
        index = (blocks.index + offsets).flatten(0, 1)
        rows = centred_rows(Z.flatten(0, 1), index)
        d_Z = stacked_distances([rows])
        by_copy = d_Z.view(n_copies, *d_X.shape)
        c = d_Z.new_tensor(fitted_factors(d_X, by_copy, pair_weight)).view(-1, 1, 1, 1)
        residual = (by_copy * c).sub_(d_X)
        slope = residual * pair_weight
        divisor = (pair_weight * d_X.square()).flatten(1).sum(1)
        share = torch.where(divisor > 0, alpha / divisor, 0.0)  # no pair, no stress
        ctx.save_for_backward(rows, d_Z, slope * (4 * c * share.view(-1, 1, 1, 1)))
        ctx.blocks, ctx.shape = blocks, Z.shape
        return torch.dot((slope * residual).flatten(1).sum(1), share)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, d_Z, pull = ctx.saved_tensors
        (pulled,) = pull_rows([rows], d_Z, (pull * gradient).view_as(d_Z))
        n_copies, place = ctx.shape[0], ctx.blocks.place
        whole = pulled.new_zeros(ctx.shape)
        whole[:, : len(place)] = pulled.view(n_copies, -1, ctx.shape[2])[:, place]
        return whole, None, None, None, None


def train_stacked(
    stack: StackedMLP,
    objective: StackedObjective,
    rows: ArrayDataset,
    settings: TrainingSettings,
    *,
    shuffling: torch.Generator,
    randomness: Randomness,
) -> bool:
    """Train all copies as a fit trains one, and return whether their weights are finite.

    Parameters
    ----------
    stack : StackedMLP
        Trained in place.
    objective : StackedObjective
    rows : ArrayDataset
    settings : TrainingSettings
    shuffling : torch.Generator
        Orders the samples of every epoch.
    randomness : Randomness
        Draws of the penalty, the same for every copy.

    Returns
    -------
    finite : bool
    """
    optimizer = OPTIMIZERS[str(settings.optimizer)](
        stack.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = SCHEDULES[settings.learning_rate_schedule]
    parameters = list(stack.parameters())
    generator = shuffling if settings.shuffle else None
    batches = make_iterator(rows, settings.batch_size, generator, settings.samples_per_class)
    widest = max(parameter[0].numel() for parameter in parameters)
    with threads_for(stack.n_copies * settings.batch_size * widest), denormals_flushed():
        for epoch in range(settings.max_epochs):
            factor = 1.0 if schedule is None else schedule(epoch, settings.max_epochs)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * factor
            progress = (epoch + 1) / settings.max_epochs
            for X, (y, weight) in batches:
                loss = objective(
                    stack, X, y, weight, generator=randomness.penalty, progress=progress
                )
                gradients = torch.autograd.grad(loss, parameters)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
    return all(bool(np.isfinite(p.detach().numpy()).all()) for p in parameters)
