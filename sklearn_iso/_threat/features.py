"""The features of an X: their shape, and their names."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_iso._threat.named import Named
from sklearn_iso._threat.parts import Columns, Mask, Values, numbers_of, values_of


@dataclass(frozen=True)
class Features:
    """The shape of a sample of X, and the names of its columns where it has some.

    Parameters
    ----------
    shape : tuple of int
    names : list or None

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso._threat.features import Features
    >>> Features.of(pd.DataFrame({"age": [42], "height": [1.8]})).positions(["height"], "immutable")
    (1,)
    """

    shape: tuple[int, ...]
    names: list[Any] | None = None

    @classmethod
    def of(cls, X: Any) -> Features:
        """Return the features of an array, a tensor, a sparse matrix or a frame."""
        shape = tuple(X.shape) if hasattr(X, "shape") else np.shape(X)
        return cls(shape[1:], list(X.columns) if hasattr(X, "columns") else None)

    def values(self, values: Values, what: str, remedy: str | None = None) -> Values:
        """Return one number, or one for each feature in the order of the columns.

        Raises
        ------
        ValueError
            If they name other features than the columns of X, or have another shape.
        """
        if isinstance(values, Named):
            self._check_is_table(what)
            return values_of(values.in_order(self.names, self.shape[0], remedy or what), what)
        shape = numbers_of(values).shape
        if shape not in ((), self.shape):
            raise ValueError(
                f"{what} must be one number or one for each feature, of shape {self.shape}; got "
                f"shape {shape}."
            )
        return values

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

    def group(self, group: Columns) -> Columns:
        """Return the column numbers of a group of categories."""
        if len(self.shape) != 1:
            raise ValueError(
                f"categories need X of shape (n, n_features); samples have shape {self.shape}. "
                "Flatten the samples."
            )
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
