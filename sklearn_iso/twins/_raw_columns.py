"""Twins of estimators that take raw columns: numbers follow gradients, categories are looked up."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from torch import Tensor, nn

from sklearn_iso._geometry.norm import attached
from sklearn_iso._protocols import Entries, Frame, Transformer, is_pandas
from sklearn_iso._silence import without_warnings
from sklearn_iso.twins._columns import SideBySide, positions_of
from sklearn_iso.twins._registry import NotDifferentiableError, as_torch, reading, twin_of_step
from sklearn_iso.twins._responses import Chain

#: Entries of transformed rows that are kept; of more the memory starts anew.
MOST_ENTRIES = 20_000_000


class RawSpace(Protocol):
    """What a twin asks of a table whose points it gets."""

    names: list[Hashable]

    def is_number(self, position: int) -> bool:
        """Whether a column holds numbers."""

    def is_discrete(self, position: int) -> bool:
        """Whether a column holds one of a few values only."""

    def numbers(self, X: Tensor, positions: Sequence[int]) -> Tensor:
        """Return columns of numbers, NaN where they are missing."""

    def codes(self, X: Tensor, positions: Sequence[int]) -> Tensor:
        """Return columns as positions in their vocabularies."""

    def frame(self, codes: NDArray, positions: Sequence[int]) -> Frame | NDArray:
        """Return columns in the container of the user, from positions in their vocabularies."""


class Numbers(nn.Module):
    """Columns of numbers at points of a table, NaN where they are missing."""

    def __init__(self, space: RawSpace, positions: Sequence[int]) -> None:
        super().__init__()
        self.space, self.positions = space, list(positions)

    def forward(self, X: Tensor) -> Tensor:
        """Return the columns."""
        return self.space.numbers(X, self.positions)


class LookedUp(nn.Module):
    """What a fitted transformer makes of categories, asked once of each combination.

    Its gradient is 0. Where the transformer refuses a combination the result is NaN.
    """

    def __init__(
        self, transformer: Transformer, space: RawSpace, positions: Sequence[int], flat: bool
    ):
        super().__init__()
        self.transformer, self.space, self.flat = transformer, space, flat
        self.positions = list(positions)
        generator = torch.Generator().manual_seed(0)
        # Odd factors spread combinations over all 64-bit integers.
        factors = torch.randint(-(2**62), 2**62, (len(self.positions),), generator=generator)
        self.factors = 2 * factors + 1
        self.forget()

    def forget(self) -> None:
        """Forget all answers."""
        self.keys = torch.empty(0, dtype=torch.int64)
        self.refused = torch.empty(0, dtype=torch.bool)
        self.rows: Tensor | None = None
        self.has_refused = False

    def forward(self, X: Tensor) -> Tensor:
        """Return the transformed columns."""
        at = self._places(X)
        if self.rows is None:  # no samples
            return X[:, :0]
        return attached(self.rows[at].to(X), X)

    def refuses(self, X: Tensor) -> Tensor:
        """Return at which points the transformer refuses the combination, of shape (n,).

        What it answers may be NaN, too, where a value is missing.
        """
        at = self._places(X)
        return self.refused[at]

    def _places(self, X: Tensor) -> Tensor:
        """Return where among the answers those of points are, and ask for what is not there."""
        codes = self.space.codes(X, self.positions).cpu()
        keys = (codes * self.factors).sum(dim=1)
        at, known = self._find(keys)
        if known.all():
            return at
        self._learn(codes[~known], keys[~known])
        at, known = self._find(keys)
        if not known.all():  # the memory was full
            self._learn(codes, keys)
            at, _ = self._find(keys)
        return at

    def _find(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        if not len(self.keys):
            return torch.zeros_like(keys), torch.zeros_like(keys, dtype=torch.bool)
        at = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return at, self.keys[at] == keys

    def _learn(self, codes: Tensor, keys: Tensor) -> None:
        new, inverse = torch.unique(keys, return_inverse=True)
        first = torch.full_like(new, len(keys)).scatter_reduce(
            0, inverse, torch.arange(len(keys)), "amin"
        )
        rows, refused = self._transformed(codes[first].numpy())
        if self.rows is not None and self.rows.shape[1] != rows.shape[1]:
            rows = rows[:, :1].expand(-1, self.rows.shape[1]) * torch.nan
        if self.rows is not None and self.rows.numel() + rows.numel() < MOST_ENTRIES:
            new, rows = torch.cat([self.keys, new]), torch.cat([self.rows, rows])
            refused = torch.cat([self.refused, refused])
        order = new.argsort()
        self.keys, self.rows, self.refused = new[order], rows[order], refused[order]
        self.has_refused |= bool(refused.any())

    def _transformed(self, codes: NDArray) -> tuple[Tensor, Tensor]:
        """Transform combinations together, or one by one where that is an error.

        Return the rows, and which are refused.
        """
        with without_warnings():
            try:
                return self._asked(codes), torch.zeros(len(codes), dtype=torch.bool)
            except (TypeError, ValueError):
                if len(codes) == 1:
                    width = 1 if self.rows is None else self.rows.shape[1]
                    row = torch.full((1, width), torch.nan, dtype=torch.float64)
                    return row, torch.ones(1, dtype=torch.bool)
        parts = [self._transformed(part) for part in np.array_split(codes, 2)]
        width = max(part.shape[1] for part, _ in parts)
        wide = [part if part.shape[1] == width else part.expand(-1, width) for part, _ in parts]
        return torch.cat(wide), torch.cat([refused for _, refused in parts])

    def _asked(self, codes: NDArray) -> Tensor:
        frame: Frame | Entries = self.space.frame(codes, self.positions)
        if self.flat:
            frame = frame.iloc[:, 0] if is_pandas(frame) else frame[:, 0]
        answer = self.transformer.transform(frame)
        answer = answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)
        return torch.from_numpy(np.asarray(answer, dtype=np.float64).reshape(len(codes), -1))


@dataclass(frozen=True)
class Reader:
    """How estimators read some columns of a table."""

    space: RawSpace
    positions: tuple[int, ...]

    def twin(self, estimator: BaseEstimator, transform: bool) -> nn.Module:
        """Return the twin of an estimator that takes these columns, for points of the table."""
        if isinstance(estimator, ColumnTransformer):
            return self._of_each(estimator)
        return self._of_all(estimator, self.positions, transform)

    def _of_all(
        self,
        estimator: BaseEstimator,
        positions: Sequence[int],
        transform: bool,
        flat: bool = False,
    ) -> nn.Module:
        """Return the twin of an estimator that treats columns all alike."""
        discrete = all(map(self.space.is_discrete, positions))
        looks_up = discrete and hasattr(estimator, "transform") and not is_classifier(estimator)
        if all(map(self.space.is_number, positions)) and not flat:
            try:
                with reading(None):
                    built = as_torch(estimator, transform=transform)
                return Chain(Numbers(self.space, positions), built)
            except NotDifferentiableError as error:
                if not looks_up:
                    raise self._explained(error, positions) from None
        if looks_up:
            return LookedUp(estimator, self.space, positions, flat)
        raise NotDifferentiableError(estimator, reason=self._mixed(positions))

    def _mixed(self, positions: Sequence[int]) -> str:
        text = [self.space.names[p] for p in positions if not self.space.is_number(p)]
        moved = [self.space.names[p] for p in positions if not self.space.is_discrete(p)]
        held = f"column {text[0]!r} holds no numbers" if text else "it takes one column"
        return f"{held} and stands beside column {moved[0]!r}, which moves" if moved else held

    def _explained(
        self, error: NotDifferentiableError, positions: Sequence[int]
    ) -> NotDifferentiableError:
        moved = [self.space.names[p] for p in positions if not self.space.is_discrete(p)]
        if not moved or error.reason is None or "categories" not in error.reason:
            return error
        reason = f"{error.reason}, and column {moved[0]!r} moves as a number"
        return NotDifferentiableError(error.estimator, error.path, reason)

    def _of_each(self, transformer: ColumnTransformer) -> nn.Module:
        branches, weights = [], []
        for name, step, columns in transformer.transformers_:
            if isinstance(step, str) and step == "drop":
                continue  # X may come without these columns
            positions = self.positions_of(transformer, columns)
            if not len(positions):
                continue
            branches.append(self._branch(name, step, positions, is_flat(columns)))
            weights.append((transformer.transformer_weights or {}).get(name, 1.0))
        return SideBySide(branches, weights)

    def positions_of(self, transformer: ColumnTransformer, columns: ArrayLike | slice) -> list[int]:
        """Return the positions in the table of columns that a ColumnTransformer takes."""
        names = getattr(transformer, "feature_names_in_", None)
        at = positions_of(columns, transformer.n_features_in_, names)
        if names is None:
            return [self.positions[position] for position in at]
        own = {self.space.names[position]: position for position in self.positions}
        return [own[names[position]] for position in at]

    def _branch(
        self, name: str, step: BaseEstimator, positions: list[int], flat: bool
    ) -> nn.Module:
        if isinstance(step, str):  # passthrough
            if all(map(self.space.is_number, positions)):
                return Numbers(self.space, positions)
            raise NotDifferentiableError(step, (name,), reason="it passes on text")
        try:
            return self._of_all(step, positions, True, flat)
        except NotDifferentiableError as error:
            if flat:
                raise error.within(name) from None
            alike = error
        try:
            with reading(Reader(self.space, tuple(positions))):
                return twin_of_step(name, step, transform=True)
        except NotDifferentiableError:
            raise alike.within(name) from None


def is_flat(columns: ArrayLike | slice) -> bool:
    """Return whether a transformer gets one column as a vector, and not as a table.

    Examples
    --------
    >>> from sklearn_iso.twins._raw_columns import is_flat
    >>> is_flat("plan"), is_flat(["plan"])
    (True, False)
    """
    return not isinstance(columns, slice) and np.ndim(columns) == 0


def of_raw_columns(
    estimator: BaseEstimator, space: RawSpace, *, transform: bool = False
) -> nn.Module:
    """Return the differentiable twin of a fitted estimator of raw columns, for points of a table.

    Columns of numbers pass through the twins of the steps that take them; a step that takes
    categories is asked itself, once for each combination of them.

    Parameters
    ----------
    estimator : fitted estimator
        One that takes the columns of the table as a user passes them.
    space : RawSpace
    transform : bool
        Return the twin of `transform`, and not that of what decides.

    Raises
    ------
    NotDifferentiableError
        If a step of numbers has no twin, or a step takes numbers that move beside text.
    """
    with reading(Reader(space, tuple(range(len(space.names))))):
        return as_torch(estimator, transform=transform)
