"""The features of an X: their shape, their names, and which of them hold no numbers."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from sklearn_iso._protocols import Samples
from sklearn_iso._threat.categories import ALL, Choice, Groups
from sklearn_iso._threat.columns import Kind, columns_in, has_columns
from sklearn_iso._threat.named import Named
from sklearn_iso._threat.parts import Columns, Mask, Values, numbers_of, values_of


@dataclass(frozen=True)
class Features:
    """The shape of a sample of X, and the names of its columns where it has some.

    Parameters
    ----------
    shape : tuple of int
    names : list or None
    kinds : tuple of Kind, or None
        What the columns of a frame, or of an array of objects, hold; None where they count as
        numbers alone.
    are_booleans : bool
        Whether they are booleans, all of them, which count as the numbers 0 and 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso._threat.features import Features
    >>> Features.of(pd.DataFrame({"age": [42], "height": [1.8]})).positions(["height"], "immutable")
    (1,)
    """

    shape: tuple[int, ...]
    names: list[Hashable] | None = None
    kinds: tuple[Kind, ...] | None = None
    are_booleans: bool = False

    @classmethod
    def of(cls, X: Samples) -> Features:
        """Return the features of an array, a tensor, a sparse matrix or a frame."""
        shape = tuple(X.shape) if hasattr(X, "shape") else np.shape(X)
        names = list(X.columns) if hasattr(X, "columns") else None
        kinds, are_booleans = None, False
        if has_columns(X) and (names is None or len(set(names)) == len(names)):
            kinds = tuple(column.kind for column in columns_in(X))
            # Booleans alone count as the numbers 0 and 1.
            are_booleans = set(kinds) == {Kind.BOOLEANS}
            if are_booleans or set(kinds) == {Kind.NUMBERS}:
                kinds = None
        return cls(shape[1:], names, kinds, are_booleans)

    def values(
        self, values: Values, what: str, remedy: str | None = None, neutral: float = 1.0
    ) -> Values:
        """Return one number, or one for each feature in the order of the columns.

        Where columns hold no numbers, they may be left out by name, and get the neutral value:
        of text, no other makes sense.

        Raises
        ------
        ValueError
            If they name other features than the columns of X, have another shape, or tell of
            text what holds of numbers only.
        """
        if isinstance(values, Named):
            self._check_is_table(what)
            values = self._completed(values, neutral)
            values = values_of(values.in_order(self.names, self.shape[0], remedy or what), what)
            return values if self.kinds is None else self._of_numbers(values, what, neutral)
        shape = numbers_of(values).shape
        if shape not in ((), self.shape):
            raise ValueError(
                f"{what} must be one number or one for each feature, of shape {self.shape}; got "
                f"shape {shape}."
            )
        return values if self.kinds is None else self._of_numbers(values, what, neutral)

    def label(self, position: int) -> Hashable:
        """Return the name of a column, or its number where there are no names."""
        return self.names[position] if self.names is not None else position

    def _completed(self, values: Named, neutral: float) -> Named:
        """Add the columns that hold no numbers where they were left out."""
        kinds = [] if self.kinds is None else list(enumerate(self.kinds))
        lacking = [self.label(position) for position, kind in kinds if kind is not Kind.NUMBERS]
        lacking = [name for name in lacking if name not in values.names]
        filled = (*values.values, *(neutral for _ in lacking))
        return Named((*values.names, *lacking), filled)

    def _of_numbers(self, values: Values, what: str, neutral: float) -> Values:
        """Check that text has no unit and no bound, and give none to booleans."""
        array = numbers_of(values)
        if not array.ndim or self.kinds is None:
            return values
        for position, kind in enumerate(self.kinds):
            given = array[position]
            if kind is Kind.TEXT and given not in (neutral, 0.0 if neutral == 1.0 else neutral):
                raise ValueError(
                    f"{what} must be of columns of numbers; column {self.label(position)!r} holds "
                    f"{kind.value}, and got {given:g}. Leave it out by name, or pass "
                    f"{neutral:g} for it."
                )
            if kind is Kind.BOOLEANS and given != 0.0:
                array[position] = neutral
        return values_of(array, what)

    def _check_is_table(self, what: str) -> None:
        if len(self.shape) != 1:
            raise ValueError(
                f"{what} may name features only where X is a table; samples of X have shape "
                f"{self.shape}. Pass an array of the shape of a sample."
            )

    def mask(self, immutable: Mask | Named | Columns | None) -> Mask | None:
        """Return which features are immutable."""
        if immutable is None:
            return None
        if isinstance(immutable, Named):
            self._check_is_table("immutable")
            return Mask.of(immutable.in_order(self.names, self.shape[0], "immutable"))
        if isinstance(immutable, Mask):
            shape, found = immutable.shape, immutable
        elif len(self.shape) == 1:
            return Mask(self.shape, tuple(sorted(set(self.positions(immutable, "immutable")))))
        else:
            shape, found = (len(immutable),), None
        if shape != self.shape or found is None:
            raise ValueError(
                "immutable must be a mask of booleans, one for each feature, of shape "
                f"{self.shape}; got shape {shape}."
            )
        return found

    def groups(self, groups: Groups, fixed: Mask | None) -> Groups:
        """Return the groups of categories by column number; "all" are those that may change.

        Raises
        ------
        ValueError
            If a single column is to change and to stay, or none holds categories.
        """
        stays = set() if fixed is None else set(fixed.positions)
        if groups == ALL:
            kinds = self.kinds or (Kind.BOOLEANS,) * (self.shape[0] if self.are_booleans else 0)
            all_of_them = [
                Choice(position)
                for position, kind in enumerate(kinds)
                if kind is not Kind.NUMBERS and position not in stays
            ]
            if not all_of_them:
                raise ValueError(
                    "categories='all' needs a column of text, categories or booleans that is not "
                    "immutable; X has none. Name columns of numbers that stand for categories."
                )
            return tuple(all_of_them)
        found = tuple(self._group(group) for group in groups if not isinstance(group, str))
        for group in found:
            if isinstance(group, Choice) and group.column in stays:
                raise ValueError(
                    "categories and immutable must not share columns; both name "
                    f"{self.label(group.column)!r}. Leave it out of one of them."
                )
        return found

    def _group(self, group: Columns | Choice) -> Columns | Choice:
        if len(self.shape) != 1:
            raise ValueError(
                f"categories need X of shape (n, n_features); samples have shape {self.shape}. "
                "Flatten the samples."
            )
        if isinstance(group, Choice):
            return Choice(self.positions((group.column,), "categories")[0], group.values)
        return self.positions(group, "categories")

    def positions(self, columns: Columns | list[Hashable], what: str) -> tuple[int, ...]:
        """Return the positions of columns told by number or by name.

        Raises
        ------
        ValueError
            If a column is not there.
        """
        n_features, numbers = self.shape[0], [c for c in columns if isinstance(c, int)]
        if len(numbers) == len(columns) and not self._have_names_like_numbers():
            if max(numbers) >= n_features:
                raise ValueError(
                    f"{what} must hold column numbers from 0 to {n_features - 1}; got "
                    f"{list(columns)!r}."
                )
            return tuple(numbers)
        known = {name: position for position, name in enumerate(self.names or [])}
        missing = [name for name in columns if name not in known]
        if missing:
            have = f"columns {self.names}" if self.names else "no column names"
            raise ValueError(
                f"{what} must hold column numbers or names of columns of X; found {missing[:5]}, "
                f"and X has {have}."
            )
        return tuple(known[name] for name in columns)

    def _have_names_like_numbers(self) -> bool:
        """Whether columns are named by numbers that are not their positions."""
        names = self.names
        if names is None or not all(isinstance(name, int | np.integer) for name in names):
            return False
        return names != list(range(len(names)))
