"""Raw columns as coordinates that an attack moves, and back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso._geometry.norm import attached
from sklearn_iso._protocols import Entries
from sklearn_iso._threat.columns import (
    Column,
    as_list,
    codes_of,
    first_of_each,
    in_order,
    is_missing,
    key_of,
)
from sklearn_iso.metrics._series import extended, moved, representable, taken


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The values of a column, each once, those that stand for none last.

    Parameters
    ----------
    entries : pandas or polars Series, or ndarray
        In the container and dtype of the user.
    values : list, or None
        The same as Python's own values; None where they do not hash, and each sample has its own.
    n_known : int
        How many are not missing.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.columns import Column
    >>> from sklearn_iso.metrics._raw_columns import Vocabulary
    >>> column = Column.of("plan", np.array(["b", None, "a", "b"], dtype=object))
    >>> Vocabulary.of(column, ["c"]).values, Vocabulary.of(column).codes(column)
    (['a', 'b', 'c', None], array([1, 2, 0, 1]))
    """

    entries: Entries
    values: list[Hashable] | None
    n_known: int

    @classmethod
    def of(cls, column: Column, further: Sequence[Hashable] = ()) -> Vocabulary:
        """Return the values of a column, and further ones that its dtype can hold."""
        raw, first = column.raw, first_of_each(column.raw)
        entries = extended(raw, first, representable(further, raw))
        values = as_list(entries)
        try:
            distinct = {key_of(one): one for one in values}.values()
        except TypeError:
            return cls(entries, None, len(values))
        known = in_order([one for one in distinct if not is_missing(one)])
        ordered = [*known, *(one for one in distinct if is_missing(one))]
        entries = taken(entries, first_positions(entries, ordered))
        return cls(entries, ordered, len(known))

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self.entries)

    def codes(self, column: Column) -> NDArray:
        """Return the position of each entry of a column."""
        if self.values is None:
            return np.arange(len(column.raw))
        return codes_of(column.raw, self.values)

    def numbers(self) -> NDArray:
        """Return the values as numbers, NaN for those that stand for none."""
        values = [] if self.values is None else self.values
        return np.array([np.nan if is_missing(one) else one for one in values], dtype=float)


def first_positions(entries: Entries, values: Sequence[Hashable]) -> NDArray:
    """Return where each of some values stands first among entries.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._raw_columns import first_positions
    >>> first_positions(np.array(["b", "a", "b"]), ["a", "b"])
    array([1, 0])
    """
    codes = codes_of(entries, values)
    at = np.zeros(len(values), dtype=np.int64)
    at[codes[::-1]] = np.arange(len(codes))[::-1]
    return at


@dataclass(frozen=True, eq=False)
class Number:
    """A column of numbers as one coordinate, and one that tells where a value is missing.

    Parameters
    ----------
    name : str, or any other label
    raw : pandas or polars Series, or ndarray
    at : int
        Its coordinate.
    gap : int, or None
        The coordinate that is 1 where a value is missing.
    fill : float
        The coordinate of a missing value, which is never read.
    whole : Vocabulary, or None
        The values of a column that holds no others, as it stays or is part of a one-hot group.
    stays : bool
        Whether the values are never moved.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_iso.metrics._raw_columns import Number
    >>> number = Number("age", np.array([1.0, np.nan]), at=0, gap=1, fill=1.0, whole=None)
    >>> number.decoded(torch.tensor([[1.5, 0.0], [2.0, 1.0]]))
    array([1.5, nan])
    """

    name: Hashable
    raw: Entries
    at: int
    gap: int | None
    fill: float
    whole: Vocabulary | None
    stays: bool = False

    is_number = True

    @property
    def is_discrete(self) -> bool:
        """Whether it holds one of a few values only."""
        return self.whole is not None

    @property
    def width(self) -> int:
        """Return the number of coordinates."""
        return 1 if self.gap is None else 2

    def encoded(self, column: Column) -> NDArray:
        """Return the coordinates of a column, of shape (n, width)."""
        numbers = np.asarray(column.numbers)
        absent = np.isnan(numbers)
        filled = np.where(absent, self.fill, numbers)
        return np.stack([filled, absent] if self.gap is not None else [filled], axis=1)

    def numbers(self, X: Tensor) -> Tensor:
        """Return the values at points, NaN where they are missing, of shape (n,)."""
        values = X[:, self.at]
        return values if self.gap is None else torch.where(X[:, self.gap] > 0.5, torch.nan, values)

    def codes(self, X: Tensor) -> Tensor:
        """Return the position of the nearest value of the vocabulary, of shape (n,)."""
        whole = vocabulary_of(self)
        known = whole.numbers()[: whole.n_known]
        between = torch.from_numpy((known[1:] + known[:-1]) / 2).to(X)
        codes = torch.searchsorted(between, X[:, self.at].detach().contiguous())
        return codes if self.gap is None else torch.where(X[:, self.gap] > 0.5, len(known), codes)

    def decoded(self, X: Tensor) -> Entries:
        """Return the column of points in the dtype of the user."""
        if self.whole is not None:
            return taken_entries(self.whole, self.codes(X))
        return moved(self.numbers(X).numpy(), self.raw)

    @property
    def labels(self) -> list[str]:
        """Names of the coordinates."""
        return [str(self.name), f"{self.name} is missing"][: self.width]


@dataclass(frozen=True, eq=False)
class Category:
    """A column of categories: one coordinate of codes that stays, or one-hot ones that may change.

    Parameters
    ----------
    name : str, or any other label
    at : int
        Its first coordinate.
    vocabulary : Vocabulary
    changes : bool
        Whether it has a coordinate for each value.
    is_number : bool
        Whether its values are numbers.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_iso._threat.columns import Column
    >>> from sklearn_iso.metrics._raw_columns import Category, Vocabulary
    >>> column = Column.of("plan", np.array(["b", "a"]))
    >>> plan = Category("plan", 0, Vocabulary.of(column), changes=True, is_number=False)
    >>> plan.encoded(column)
    array([[0., 1.],
           [1., 0.]])
    >>> plan.decoded(torch.tensor([[0.0, 1.0]]))
    array(['b'], dtype='<U1')
    """

    name: Hashable
    at: int
    vocabulary: Vocabulary
    changes: bool
    is_number: bool

    is_discrete = True

    @property
    def width(self) -> int:
        """Return the number of coordinates."""
        return len(self.vocabulary) if self.changes else 1

    def encoded(self, column: Column) -> NDArray:
        """Return the coordinates of a column, of shape (n, width)."""
        codes = self.vocabulary.codes(column)
        if self.changes:
            one_hot: NDArray = np.eye(self.width)[codes]
            return one_hot
        return codes[:, np.newaxis].astype(np.float64)

    def codes(self, X: Tensor) -> Tensor:
        """Return the position of the value among those of the vocabulary, of shape (n,)."""
        points = X.detach()
        if self.changes:
            return points[:, self.at : self.at + self.width].argmax(dim=1)
        return points[:, self.at].round().clamp(0, len(self.vocabulary) - 1).long()

    def numbers(self, X: Tensor) -> Tensor:
        """Return the values at points, NaN where they are missing, of shape (n,)."""
        return attached(torch.from_numpy(self.vocabulary.numbers()).to(X)[self.codes(X)], X)

    def decoded(self, X: Tensor) -> Entries:
        """Return the column of points in the dtype of the user."""
        return taken_entries(self.vocabulary, self.codes(X))

    @property
    def labels(self) -> list[str]:
        """Names of the coordinates."""
        if not self.changes:
            return [str(self.name)]
        return [f"{self.name}={value}" for value in self.vocabulary.values or ()]


RawColumn = Number | Category


def taken_entries(vocabulary: Vocabulary, codes: Tensor | NDArray) -> Entries:
    """Return the values at some codes, in the dtype of the user.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.columns import Column
    >>> from sklearn_iso.metrics._raw_columns import Vocabulary, taken_entries
    >>> taken_entries(Vocabulary.of(Column.of("plan", np.array(["b", "a"]))), np.array([1]))
    array(['b'], dtype='<U1')
    """
    positions = codes.numpy() if isinstance(codes, Tensor) else codes
    entries = vocabulary.entries
    return entries.take(positions) if hasattr(entries, "take") else entries[positions]


def vocabulary_of(raw: RawColumn) -> Vocabulary:
    """Return the values of a column that is discrete.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.columns import Column
    >>> from sklearn_iso.metrics._raw_columns import Category, Vocabulary, vocabulary_of
    >>> words = Vocabulary.of(Column.of("plan", np.array(["b", "a"])))
    >>> vocabulary_of(Category("plan", 0, words, changes=False, is_number=False)) is words
    True
    """
    vocabulary = raw.vocabulary if isinstance(raw, Category) else raw.whole
    if vocabulary is None:
        raise TypeError(f"Column {raw.name!r} takes any value; it has no vocabulary.")
    return vocabulary
