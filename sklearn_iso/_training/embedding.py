"""Objective of an embedding: the way back, plus alpha times what the map does to distances."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_iso._training.objective import Loss, add_terms, as_predicting, is_noisy
from sklearn_iso._training.sharing import ALONE, Alone, Share
from sklearn_iso._training.state import own_attributes
from sklearn_iso.modules import Autoencoder
from sklearn_iso.modules._representations import first_output
from sklearn_iso.penalties import Batch, Penalty

if TYPE_CHECKING:
    from sklearn_iso._training.distributed import Processes

#: Strength of the draw to the guide at first, beside penalties of order 1; and the share of the
#: training over which it fades. Measured on rolls: stronger or longer, the map stays where the
#: guide is, which is not where the stress is least.
GUIDE_STRENGTH, GUIDED = 0.03, 0.1


class EmbeddingObjective(nn.Module):
    r"""The training objective of an autoencoder whose embedding keeps distances.

    .. math:: L = \frac{\sum_i w_i \lVert g(f(x_i)) - x_i \rVert^2}{c^2 \sum_i w_i}
              + \alpha \Bigl( \sum_k w_k P_k(f) + \sum_l v_l Q_l(g) \Bigr)

    Parameters
    ----------
    penalty : Penalty
        Calibrated; acts on the encoder.
    decoder_penalty : Penalty or None
        Calibrated; acts on the decoder, at the embeddings of the samples.
    alpha : float
        Strength of both; 0 leaves a plain autoencoder.
    mean_square : float
        The :math:`c^2`: mean squared distance of the training samples from their mean.
    labels : Tensor of shape (n_training_rows,)
        Class of each training sample, all 0 without y.
    distances : ndarray of shape (n_training_rows, n_training_rows), optional
        Those of metric="precomputed".
    guide : Tensor of shape (n_training_rows, n_components), optional
        Where the samples are drawn to at first, so that a map that starts folded unfolds whatever
        the seed: a term that fades to 0 over the first tenth of the training.

    Notes
    -----
    The y of a batch is the number of each of its samples among the training samples: what else is
    known about a row is looked up by it.
    """

    shares_batches = True
    guide: Tensor | None = None  # of objectives stored before there was one

    def __init__(
        self,
        penalty: Penalty,
        decoder_penalty: Penalty | None,
        alpha: float,
        *,
        mean_square: float,
        labels: Tensor,
        distances: NDArray | None = None,
        guide: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.penalty, self.decoder_penalty, self.alpha = penalty, decoder_penalty, alpha
        self.mean_square, self.labels, self.distances = mean_square, labels, distances
        self.guide = guide

    def forward(
        self,
        module: Autoencoder,
        X: Tensor,
        index: Tensor,
        weight: Tensor,
        *,
        generator: torch.Generator,
        progress: float = 1.0,
        processes: Processes | None = None,
    ) -> Loss:
        """Return the loss of a batch, `progress` of the training done.

        Several processes share it: then what this one contributes, of the same batch in all.
        """
        terms = self.penalty.terms() if self.alpha else []
        part: Alone = ALONE
        if processes is not None:
            part = Share(processes, X, self._labels(index, X), weight, index)
        X, index, weight = part.own(X, index, weight)
        if any(term.needs_input_gradient for _, _, term in terms):
            X = X.detach().requires_grad_()
        noisy = module.training and is_noisy(module)
        Z: Tensor | None = first_output(module.encoder(X)) if noisy else None
        with as_predicting(module) if noisy else nullcontext():
            batch = self._batch(
                module.encoder, X, index, weight, generator=generator, progress=progress
            )
            values = part.values(terms, batch)
            values += self._of_guide(batch, part)
            values += self._of_decoder(module.decoder, batch, part)
        Z = batch.logits if Z is None else Z
        squares = (first_output(module.decoder(Z)) - X.detach()).flatten(1).square().sum(1)
        error = torch.dot(weight, squares) / (weight.sum() * self.mean_square)
        return add_terms("reconstruction_error", part.of_mean(error), Z, values, self.alpha)

    def _batch(
        self,
        encoder: nn.Module,
        X: Tensor,
        index: Tensor,
        weight: Tensor,
        *,
        generator: torch.Generator,
        progress: float,
    ) -> Batch:
        terms = self.penalty.terms() if self.alpha else []
        return Batch(
            encoder,
            X,
            self._labels(index, X),
            weight,
            layers="logits",
            choices=[term.layers for _, _, term in terms],
            generator=generator,
            progress=progress,
            index=index,
            distances=self._given(index.cpu(), X),
        )

    def _labels(self, index: Tensor, X: Tensor) -> Tensor:
        """Return the class of each sample, where X is."""
        return self.labels[index.cpu()].to(X.device)

    def __getstate__(self) -> dict[str, object]:
        return own_attributes(self)

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__init__()
        vars(self).update(state)
        self.labels = torch.tensor(self.labels)
        self.guide = None if self.guide is None else torch.tensor(self.guide)

    def _given(self, rows: Tensor, X: Tensor) -> Tensor | None:
        if self.distances is None:
            return None
        index = rows.numpy()
        return torch.from_numpy(self.distances[index[:, None], index]).to(X)

    def _of_guide(self, batch: Batch, part: Alone) -> list[tuple[str, float, Tensor]]:
        if self.guide is None or not self.alpha or batch.index is None:
            return []
        places = self.guide[batch.index.cpu()].to(batch.logits)
        squares = (batch.logits - places).square().sum(1)
        size = self.guide.square().sum(1).mean()
        pull = torch.dot(batch.weight, squares) / (batch.weight.sum() * size)
        strength = GUIDE_STRENGTH * max(0.0, 1 - batch.progress / GUIDED)
        return [("guide", strength, part.of_mean(pull))]

    def _of_decoder(
        self, decoder: nn.Module, batch: Batch, part: Alone
    ) -> list[tuple[str, float, Tensor]]:
        if self.decoder_penalty is None or not self.alpha:
            return []
        terms = self.decoder_penalty.terms()
        batch = part.whole(batch)
        Z = batch.logits.detach().requires_grad_()
        onward = Batch(
            decoder,
            Z,
            batch.y,
            batch.weight,
            layers="logits",
            choices=[term.layers for _, _, term in terms],
            generator=batch.generator,
            progress=batch.progress,
        )
        return [
            (f"decoder_{name}", factor, part.of_whole(term(onward))) for name, factor, term in terms
        ]

    def release(self) -> None:
        """Let go of the training data, and of what the penalties kept of it."""
        self.labels, self.distances, self.guide = self.labels[:0], None, None
        for penalty in (self.penalty, self.decoder_penalty):
            if penalty is not None:
                penalty.release()
