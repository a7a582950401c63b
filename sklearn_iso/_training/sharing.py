"""What one of several processes does of a batch, so that the sum over them is the whole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sklearn_iso._protocols import Context
from sklearn_iso.modules import Layers
from sklearn_iso.penalties import Batch, PairwiseIsometry, Penalty

if TYPE_CHECKING:
    from sklearn_iso._training.distributed import Processes

Term = tuple[str, float, Penalty]
Value = tuple[str, float, Tensor]


class Alone:
    """All of a batch: what one process does that is alone."""

    def own(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the part of tensors (n_samples, ...) that this process passes on."""
        return tensors

    def of_mean(self, value: Tensor) -> Tensor:
        """Return what a weighted mean over the own samples contributes to that over all."""
        return value

    def of_whole(self, value: Tensor) -> Tensor:
        """Return what a value that all processes compute alike contributes to itself."""
        return value

    def whole(self, batch: Batch) -> Batch:
        """Return the whole of a batch of which `batch` holds the own samples."""
        return batch

    def values(self, terms: Sequence[Term], batch: Batch) -> list[Value]:
        """Return the name, the factor and the contribution of each term of a penalty."""
        return [(name, factor, term(batch)) for name, factor, term in terms]


ALONE = Alone()


class Share(Alone):
    r"""A run of the samples of a batch: what one of m processes does.

    .. math:: L = \sum_r \Bigl( \frac{W_r}{\sum_s W_s} L_r + \frac{1}{m} P \Bigr)

    with the weight :math:`W_r` of the samples of process r, means :math:`L_r` over them, and
    penalties P that couple samples, which every process computes of all representations.

    Parameters
    ----------
    processes : Processes
    X, y, weight : Tensor of shape (n_samples, ...)
        The whole batch, the same in all processes.
    index : Tensor of shape (n_samples,), optional
        Number of each sample among the training samples.
    """

    def __init__(
        self,
        processes: Processes,
        X: Tensor,
        y: Tensor,
        weight: Tensor,
        index: Tensor | None = None,
    ) -> None:
        self.processes = processes
        self.X, self.y, self.weight, self.index = X, y, weight, index

    @cached_property
    def bounds(self) -> list[int]:
        """Where the samples of each process begin, and where the last ones end."""
        n_samples, size = len(self.X), self.processes.size
        return [n_samples * rank // size for rank in range(size + 1)]

    @cached_property
    def fraction(self) -> float:
        """Share of the own samples in the weight of the batch."""
        start, stop = self.bounds[self.processes.rank], self.bounds[self.processes.rank + 1]
        own = self.weight[start:stop].sum(dtype=torch.float64)
        return float(own / self.weight.sum(dtype=torch.float64))

    def own(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the own samples; where there are none, one that counts for nothing."""
        start, stop = self.bounds[self.processes.rank], self.bounds[self.processes.rank + 1]
        passed = slice(start, stop) if start < stop else slice(0, 1)
        return tuple(tensor[passed] for tensor in tensors)

    def of_mean(self, value: Tensor) -> Tensor:
        """Return the mean times the share of the own samples."""
        return value * self.fraction

    def of_whole(self, value: Tensor) -> Tensor:
        """Return the value over the number of processes."""
        return value / self.processes.size

    def whole(self, batch: Batch) -> Batch:
        """Return all samples, with representations gathered from all processes."""
        return self._gathered(batch, len(self.X))

    def values(self, terms: Sequence[Term], batch: Batch) -> list[Value]:
        """Return the contributions: samples by themselves are shared out, pairs are gathered.

        A penalty that couples samples and differentiates with respect to X sees a pass of the
        whole batch, in every process.
        """
        coupled = [t for _, _, t in terms if not (t.by_sample or t.needs_input_gradient)]
        n_read = max((self._n_read(term) for term in coupled), default=0)
        layers = [term.layers for _, _, term in terms if term.needs_input_gradient]
        values = []
        for name, factor, term in terms:
            if term.by_sample:
                values.append((name, factor, self.of_mean(term(batch))))
                continue
            if term.needs_input_gradient:
                where = batch.once("repeated", lambda: self._repeated(batch, layers))
            else:
                where = self._gathered(batch, n_read)
            values.append((name, factor, self.of_whole(term(where))))
        return values

    def gather(self, own: Tensor, n_samples: int) -> Tensor:
        """Return the first samples (n_samples, ...) of the batch, of which some are the own."""
        ends = [min(bound, n_samples) for bound in self.bounds]
        sizes = [stop - start for start, stop in zip(ends, ends[1:], strict=False)]
        rows = own[: sizes[self.processes.rank]]
        gathered: Tensor = _Gather.apply(rows, self.processes, sizes)
        return gathered

    def _n_read(self, term: Penalty) -> int:
        """Return from how many samples of the batch, its first, a penalty forms pairs."""
        most = term.max_samples if isinstance(term, PairwiseIsometry) else None
        return len(self.X) if most is None else min(most, len(self.X))

    def _gathered(self, batch: Batch, n_samples: int) -> Batch:
        return batch.once(("gathered", n_samples), lambda: GatheredBatch(batch, self, n_samples))

    def _repeated(self, batch: Batch, choices: Sequence[Layers | None]) -> Batch:
        return Batch(
            batch.module,
            self.X.detach().requires_grad_(),
            self.y,
            self.weight,
            layers=batch.layers,
            choices=choices,
            generator=batch.generator,
            progress=batch.progress,
            index=self.index,
        )


class GatheredBatch(Batch):
    """The first samples of a batch, with representations from all processes.

    Parameters
    ----------
    batch : Batch
        The own samples.
    share : Share
    n_samples : int
    """

    def __init__(self, batch: Batch, share: Share, n_samples: int) -> None:
        self._batch, self._share, self._n_samples = batch, share, n_samples
        self.module, self.layers = batch.module, batch.layers
        self.generator, self.progress = batch.generator, batch.progress
        self.X, self.y = share.X[:n_samples].detach(), share.y[:n_samples]
        self.weight = share.weight[:n_samples]
        self.index = None if share.index is None else share.index[:n_samples]
        self.distances = None
        self._representations = {}
        self._computed = {}

    @cached_property
    def logits(self) -> Tensor:  # type: ignore[override]
        """Logits of all samples."""
        return self._share.gather(self._batch.logits, self._n_samples)

    def representations(self, layers: Layers | None = None) -> tuple[Tensor, ...]:
        """Return the chosen representations of all samples, gathered in one message."""
        key = ("representations", str(self._default(layers)))
        return self.once(key, lambda: self._gathered(self._batch.representations(layers)))

    def _gathered(self, own: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        joined = self._share.gather(torch.cat(own, dim=1), self._n_samples)
        return joined.split([part.shape[1] for part in own], dim=1)


class _Context(Context):
    """What the gradient of a gathering needs."""

    own: slice
    n_processes: int


class _Gather(torch.autograd.Function):
    """Samples of all processes, each of which differentiates the same function of them."""

    @staticmethod
    def forward(ctx: _Context, own: Tensor, processes: Processes, sizes: list[int]) -> Tensor:
        start = sum(sizes[: processes.rank])
        ctx.own, ctx.n_processes = slice(start, start + len(own)), processes.size
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own
        parts = processes.gathered(padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # The sum over processes of equal gradients: no message is needed.
        return gradient[ctx.own] * ctx.n_processes, None, None
