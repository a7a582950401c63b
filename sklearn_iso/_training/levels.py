"""The objective of a hierarchy: one for each block, summed; and training block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn

from sklearn_iso._training.net import PenalizedNet, Rows, Step
from sklearn_iso._training.objective import Loss, add_terms, cross_entropy
from sklearn_iso._training.state import own_attributes
from sklearn_iso.modules import Layers, Stack, StackLevel
from sklearn_iso.modules._representations import is_keyword
from sklearn_iso.modules._stack import Pass
from sklearn_iso.penalties import Batch, Penalty

if TYPE_CHECKING:
    from typing_extensions import Unpack


class LevelsObjective(nn.Module):
    r"""Sum over the levels of classification loss and penalty.

    .. math:: L = \sum_k \bigl(\mathrm{CE}(f_k(X), y_k) + \alpha P_k(f_k, X, y_k)\bigr)

    A sample whose path leaves a level open counts neither in its classification loss nor in its
    penalty. The y of a batch is the number of the path of each sample.

    Parameters
    ----------
    penalties : sequence of Penalty
        One for each level, calibrated.
    cells : Tensor of int of shape (n_paths, n_levels)
        Class of each path at each level; -1 where it is open.
    alpha : float
    layers : layers
        Representations, within its block, of the penalties that name none.
    target : {"input", "previous"}
        Whose distances a block keeps: those of X, or of the output of the block before it.
    weighted : bool
        False where all samples weigh the same.
    """

    def __init__(
        self,
        penalties: Sequence[Penalty],
        cells: Tensor,
        alpha: float,
        layers: Layers,
        *,
        target: str = "input",
        weighted: bool = True,
    ) -> None:
        super().__init__()
        self.cells = cells
        self.penalties, self.alpha, self.layers = list(penalties), alpha, layers
        self.target, self.weighted = target, weighted
        self.open = (cells < 0).any(dim=0).tolist()
        self.active = tuple(range(len(self.penalties)))

    def forward(
        self,
        module: Stack,
        X: Tensor,
        y: Tensor,
        weight: Tensor,
        *,
        generator: torch.Generator,
        progress: float = 1.0,
    ) -> Loss:
        """Return the loss of a batch over the active levels, `progress` of the training done."""
        if self.alpha and self._needs_input_gradient():
            X = X.detach().requires_grad_()
        passes = module.passes(X, self.active[-1] + 1)
        cells = self.cells.to(y.device)[y]
        losses, values = [], []
        for level in self.active:
            labels, known = cells[:, level], weight
            if self.open[level]:
                known = weight * (labels >= 0)
                labels = labels.clamp_min(0)
                if not known.any():
                    continue
            weighted = self.weighted or self.open[level]
            losses.append(cross_entropy(passes[level][0], labels, known, weighted))
            if self.alpha:
                scope = _Scope(module, X, labels, known, level=level, passes=passes)
                values += self._penalties(scope, generator, progress)
        logits = torch.cat([logits for logits, _ in passes], dim=1)
        # A batch may leave every active level open: a loss of 0 that still has a gradient.
        total = torch.stack(losses).sum() if losses else logits.sum() * 0
        if not self.alpha:
            return Loss(total, logits, {})
        return add_terms("classification_loss", total, logits, values, self.alpha)

    def __getstate__(self) -> dict[str, object]:
        return own_attributes(self)

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__init__()
        vars(self).update(state)
        self.cells = torch.tensor(self.cells)

    def _needs_input_gradient(self) -> bool:
        terms = (term for penalty in self.penalties for _, _, term in penalty.terms())
        return any(term.needs_input_gradient for term in terms)

    def _penalties(
        self, scope: _Scope, generator: torch.Generator, progress: float
    ) -> list[tuple[str, float, Tensor]]:
        """Return the name, the factor and the value of each term of a level."""
        terms = self.penalties[scope.level].terms()
        prefix = f"level_{scope.level}_" if len(self.penalties) > 1 else ""
        values = []
        for previous in (False, True):
            # Only pairs within a batch can be measured at the output of another block.
            chosen = [entry for entry in terms if self._by_previous(entry[2], scope) == previous]
            if not chosen:
                continue
            choices = [self.layers if t.layers is None else t.layers for _, _, t in chosen]
            batch = scope.batch(
                previous,
                layers=self.layers,
                choices=choices,
                generator=generator,
                progress=progress,
            )
            values += [(prefix + name, factor, term(batch)) for name, factor, term in chosen]
        return values

    def _by_previous(self, term: Penalty, scope: _Scope) -> bool:
        return self.target == "previous" and scope.level > 0 and hasattr(term, "target")


class _Options(TypedDict):
    layers: Layers
    choices: Sequence[Layers]
    generator: torch.Generator
    progress: float


class _Scope:
    """One level of a batch."""

    def __init__(
        self,
        stack: Stack,
        X: Tensor,
        y: Tensor,
        weight: Tensor,
        *,
        level: int,
        passes: list[Pass],
    ) -> None:
        self.stack, self.X, self.y, self.weight = stack, X, y, weight
        self.level, self.passes = level, passes

    def batch(self, previous: bool, **options: Unpack[_Options]) -> Batch:
        """Return what a penalty of the level sees; X is the output of the block before, if asked.

        The forward pass of the batch is known already, and taken from there.
        """
        source = self.passes[self.level - 1][1][-1].detach() if previous else self.X
        known: tuple[Tensor, Pass] | None = (source, self.passes[self.level])
        if not previous and not all(map(is_keyword, options["choices"])):
            known = None  # layers by name are read while the module runs
        module = StackLevel(self.stack, self.level, known)
        return Batch(module, source, self.y, self.weight, **options)


class AlternatingNet(PenalizedNet):
    """Net that trains a stack block by block: for every batch one step of each, coarse to fine.

    The step of a block leaves all other blocks as they are, as in the training of Beshkov,
    Verhellen and Lepperød (2025).
    """

    def train_step(self, batch: Rows, **fit_params: object) -> Step:
        """Take one step with each block in turn, and return the sum of their losses."""
        objective, every = self.criterion_, self._trained
        levels = objective.active
        self._parts: Counter[str] = Counter()
        steps = []
        try:
            for level in levels:
                objective.active = (level,)
                block = self.module_.blocks[level]
                self._trained = [p for p in block.parameters() if p.requires_grad]
                steps.append(super().train_step(batch, **fit_params))
                # Without a gradient the optimiser leaves a weight as it is.
                self._zero_grad_optimizer()
        finally:
            objective.active, self._trained = levels, every
        del self._parts
        return {**steps[-1], "loss": torch.stack([step["loss"] for step in steps]).sum()}

    def _record(self, loss: Loss, prefix: str) -> Step:
        if prefix == "train":
            # What the history holds of a batch is the sum over its steps.
            self._parts.update(loss.parts)
            loss = replace(loss, parts=dict(self._parts))
        return super()._record(loss, prefix)
