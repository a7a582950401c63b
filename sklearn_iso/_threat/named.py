"""Values that tell by name which feature they are for: Series, frames of one sample, dicts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Columns = tuple[Hashable, ...]


@dataclass(frozen=True, repr=False)
class Named:
    """One value for each feature, by the names of the features; it compares and hashes.

    Examples
    --------
    >>> from sklearn_iso._threat.named import Named
    >>> Named(("age", "height"), (1.0, 0.1))
    {'age': 1.0, 'height': 0.1}
    """

    names: Columns
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: object) -> Named | None:
        """Return named values, None for those that have only positions, such as polars Series.

        Raises
        ------
        ValueError
            If a frame has not exactly one sample.

        Examples
        --------
        >>> Named.of([1.0, 0.1]) is None, Named.of({"age": 1.0})
        (True, {'age': 1.0})
        """
        if isinstance(values, Named):
            return values
        if isinstance(values, Mapping):
            return cls(tuple(values), tuple(values.values()))
        if not hasattr(values, "to_numpy"):
            return None
        array = values.to_numpy()
        if hasattr(values, "columns"):
            if len(array) != 1:
                raise ValueError(
                    "A frame that holds one value for each feature must have one row; got shape "
                    f"{array.shape}. Pass for example a frame's std() or max()."
                )
            return cls(tuple(values.columns), tuple(array[0].tolist()))
        if not hasattr(values, "index") or array.ndim != 1:
            return None
        return cls(tuple(values.index.tolist()), tuple(array.tolist()))

    @property
    def is_mask(self) -> bool:
        """Whether all values are booleans."""
        return bool(self.values) and all(
            isinstance(value, (bool, np.bool_)) for value in self.values
        )

    def in_order(self, columns: list[Hashable] | None, n_features: int, what: str) -> NDArray:
        """Return the values in the order of some columns.

        Numbers are those of columns, unless columns are named by other numbers.

        Raises
        ------
        ValueError
            If a name is unknown or told twice, or a column has no value.

        Examples
        --------
        >>> Named(("b", "a"), (2, 1)).in_order(["a", "b"], 2, "eps")
        array([1, 2])
        """
        values = np.array(self.values)
        if columns is not None and list(self.names) == columns:
            return values
        known = {name: position for position, name in enumerate(columns or [])}
        if not known or not all(isinstance(name, (int, np.integer)) for name in known):
            known |= {number: number for number in range(n_features)}
        places = [known.get(name, -1) for name in self.names]
        wrong = ""
        if -1 in places:
            unknown = [name for name, place in zip(self.names, places, strict=True) if place < 0]
            have = f"X has columns {columns}" if columns else "X has no column names"
            wrong = f"it names {unknown[:5]}, and {have}"
        elif len(set(places)) < len(places):
            wrong = "it names a column twice"
        elif len(places) < n_features:
            named = columns or list(range(n_features))
            lack = [name for place, name in enumerate(named) if place not in set(places)]
            wrong = f"it has none for {lack[:5]}"
        if wrong:
            raise ValueError(
                f"{what} must hold one value for each column of X, by its name; {wrong}. Pass X "
                f"as a frame with those columns, or the values alone in the order of the columns, "
                f"such as {what}.to_numpy()."
            )
        ordered: NDArray = values[np.argsort(places)]
        return ordered

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.names)

    def __repr__(self) -> str:
        """Return them as a dict."""
        return repr(dict(zip(self.names, self.values, strict=True)))
