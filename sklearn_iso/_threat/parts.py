"""The parts of a threat as plain values that compare and hash, each checked without an X."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sklearn_iso._threat.named import Columns, Named

#: One number, nested tuples of numbers of the shape of a sample, or numbers by name.
Nested = float | tuple["Nested", ...]
Values = Nested | Named
#: A repr lists so many values, and counts more.
MOST_SHOWN = 6


@dataclass(frozen=True, repr=False)
class Mask:
    """Which features of a sample are meant, where a user passed a mask.

    Parameters
    ----------
    shape : tuple of int
        That of a sample.
    positions : tuple of int
        Those of the features that are meant, counted through the flat sample.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.parts import Mask
    >>> Mask.of(np.array([True, False, True])), Mask((3,), (2,)).array()
    (<mask of 2 among 3 features>, array([False, False,  True]))
    """

    shape: tuple[int, ...]
    positions: tuple[int, ...]

    @classmethod
    def of(cls, mask: NDArray) -> Mask:
        """Return the mask of an array of booleans."""
        return cls(mask.shape, tuple(np.flatnonzero(mask).tolist()))

    def array(self) -> NDArray:
        """Return an array of booleans of the shape of a sample."""
        mask = np.zeros(self.shape, dtype=bool)
        mask.reshape(-1)[list(self.positions)] = True
        return mask

    def __repr__(self) -> str:
        """Return a count."""
        return f"<mask of {len(self.positions)} among {int(np.prod(self.shape))} features>"


#: One number, an array of the shape of a sample, or numbers by name: a dict, Series or frame.
PerFeature = ArrayLike | Mapping[Any, float] | Named
#: A pair of low and high bounds.
Bounds = Sequence[PerFeature]
#: Numbers or names of columns, or a mask: of the shape of a sample, or by name.
Chosen = ArrayLike | Sequence[Hashable] | Mapping[Any, bool] | Mask | Named
#: Groups of columns.
GroupsLike = Iterable[ArrayLike | Sequence[Hashable] | Hashable]


class ObservedRange(tuple[Values, Values]):
    """Bounds that data have shown: no rule of a domain, so that a sample beyond widens its own.

    Examples
    --------
    >>> from sklearn_iso._threat.parts import ObservedRange
    >>> ObservedRange((0.0, 1.0)) == (0.0, 1.0)
    False
    """

    def __eq__(self, other: object) -> bool:
        """Whether the other is such a range, of the same bounds."""
        return isinstance(other, ObservedRange) and tuple(self) == tuple(other)

    def __ne__(self, other: object) -> bool:
        """Whether the other is no such range, or of other bounds."""
        return not self == other

    def __hash__(self) -> int:
        """Return a hash of the bounds."""
        return hash(tuple(self))

    def __repr__(self) -> str:
        """Return the bounds, and where they are from."""
        return f"<seen in data: {shown(tuple(self))}>"


def check_eps(eps: object) -> float:
    """Return a budget as a number: finite, not negative, and one for all features.

    Examples
    --------
    >>> from sklearn_iso._threat import check_eps
    >>> check_eps(1)
    1.0
    >>> check_eps([0.1, 0.2])
    Traceback (most recent call last):
    ValueError: eps must be one number, a multiple of the threat's units; got [0.1, 0.2]. Pass ...
    """
    given = eps.item() if isinstance(eps, Tensor | np.ndarray) and eps.ndim == 0 else eps
    if not isinstance(given, Real):
        raise ValueError(
            f"eps must be one number, a multiple of the threat's units; got {eps!r}. Pass one "
            "value for each feature as units, threat=ThreatModel(units=...), and eps=1."
        )
    number = float(given)
    if not np.isfinite(number) or number < 0:
        raise ValueError(f"eps must be finite and not negative; got {eps!r}. Pass 0 for no attack.")
    return number


def values_of(values: PerFeature, what: str) -> Values:
    """Return numbers as a plain value: one, one for each feature, or by name; none of them NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.parts import values_of
    >>> values_of(np.ones(2), "units"), values_of({"age": 2}, "units")
    ((1.0, 1.0), {'age': 2.0})
    """
    named = Named.of(values)
    given = named.values if named is not None else values
    try:
        given = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{what} must be one number or one for each feature; got {values!r}."
        ) from None
    if np.isnan(array).any():
        raise ValueError(f"{what} must not hold NaN; got {values!r}.")
    if not array.size:
        raise ValueError(f"{what} must be one number or one for each feature; got none.")
    if named is not None:
        return Named(named.names, tuple(array.tolist()))
    plain: Nested = _tuples(array.tolist())
    return plain


def _tuples(nested: float | list) -> Nested:
    return tuple(map(_tuples, nested)) if isinstance(nested, list) else nested


def numbers_of(values: Values) -> NDArray:
    """Return the numbers of a plain value as an array, without their names."""
    return np.array(values.values if isinstance(values, Named) else values, dtype=np.float64)


def units_of(units: PerFeature | None) -> Values | None:
    """Return checked units: finite, not negative, and not all 0.

    Examples
    --------
    >>> from sklearn_iso._threat.parts import units_of
    >>> units_of([0.5, 0])
    (0.5, 0.0)
    """
    if units is None:
        return None
    values = values_of(units, "units")
    numbers = numbers_of(values)
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        raise ValueError(
            f"units must be finite and not negative; got {units!r}. Pass 0 for features that "
            "stay as they are."
        )
    if not numbers.any():
        raise ValueError(
            f"units must leave at least one feature to the attack; all are 0, got {units!r}."
        )
    return values


def bounds_of(bounds: Bounds | None) -> tuple[Values, Values] | None:
    """Return checked bounds: a pair of plain values, the low ones not above the high ones.

    Examples
    --------
    >>> from sklearn_iso._threat.parts import bounds_of
    >>> bounds_of([0, (1, 2)])
    (0.0, (1.0, 2.0))
    """
    if bounds is None:
        return None
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise ValueError(
            f"bounds must be None or a pair (low, high); got {bounds!r}. Each of the two is one "
            "number or one for each feature."
        )
    sides = [
        values_of(side, f"the {name} of bounds") for side, name in zip(bounds, SIDES, strict=True)
    ]
    low, high = sides
    by_name = [side.names for side in sides if isinstance(side, Named)]
    if len(by_name) != 1 and len(set(map(frozenset, by_name))) <= 1:
        # Others are compared once the order of their names is known.
        low_numbers, high_numbers = (_sorted_by_name(side) for side in sides)
        check_order(low_numbers, high_numbers, bounds)
    return like(bounds, low, high)


def like(bounds: object, low: Values, high: Values) -> tuple[Values, Values]:
    """Return other bounds of the same kind: those that data have shown, or a rule."""
    return ObservedRange((low, high)) if isinstance(bounds, ObservedRange) else (low, high)


SIDES = ("low", "high")


def _sorted_by_name(values: Values) -> NDArray:
    numbers = numbers_of(values)
    if isinstance(values, Named):
        return numbers[np.argsort([str(name) for name in values.names], kind="stable")]
    return numbers


def check_order(low: NDArray, high: NDArray, bounds: object) -> None:
    """Raise a ValueError where a low bound is above its high one."""
    if low.ndim and high.ndim and low.shape != high.shape:
        raise ValueError(
            f"bounds must be a pair (low, high) of one shape; got {low.shape} and {high.shape}."
        )
    if (low > high).any():
        raise ValueError(f"bounds must be a pair (low, high) with low <= high; got {bounds!r}.")


def immutable_of(immutable: Chosen | None) -> Mask | Named | Columns | None:
    """Return columns that stay, as a mask, a mask by name, or a tuple of numbers or names.

    Examples
    --------
    >>> from sklearn_iso._threat.parts import immutable_of
    >>> immutable_of(["age"]), immutable_of([True, False]), immutable_of([])
    (('age',), <mask of 1 among 2 features>, None)
    """
    if immutable is None or isinstance(immutable, Mask):
        return immutable
    rule = "immutable must be a mask of booleans, or a list of column numbers or names"
    named = Named.of(immutable)
    if named is not None and named.is_mask:
        if all(named.values):
            raise ValueError(_NOTHING_LEFT)
        return named
    given = as_array(immutable)
    if isinstance(immutable, list) and _are_labels(immutable):
        return tuple(immutable)
    if given is None:
        raise ValueError(f"{rule}; got {immutable!r}.")
    if not given.size:
        return None
    if given.dtype == bool:
        if given.all():
            raise ValueError(_NOTHING_LEFT)
        return Mask.of(given)
    return columns_told(given.ravel(), immutable, rule)


def _are_labels(names: list[Any]) -> bool:
    """Whether names are tuples with text in them, those of columns of several levels."""
    return bool(names) and all(
        isinstance(name, tuple) and any(isinstance(part, str) for part in name) for name in names
    )


_NOTHING_LEFT = (
    "immutable must leave at least one feature to the attack; every feature is immutable. "
    "Accuracy without an attack is what the estimator's score returns."
)


def check_some_left(fixed: NDArray) -> None:
    """Raise a ValueError where every feature is immutable."""
    if fixed.all():
        raise ValueError(_NOTHING_LEFT)


def as_array(given: object) -> NDArray | None:
    """Return an array, None for what is none: dicts, sets, lists of unequal length.

    Examples
    --------
    >>> from sklearn_iso._threat.parts import as_array
    >>> as_array([1, 2]), as_array({1: 2})
    (array([1, 2]), None)
    """
    if isinstance(given, Mapping | set | frozenset):
        return None
    try:
        array = np.array(given.cpu().numpy() if isinstance(given, Tensor) else given)
    except (TypeError, ValueError):
        return None
    return None if array.dtype == object and array.ndim == 0 else array


def columns_told(given: NDArray, passed: object, rule: str) -> Columns:
    """Return numbers or names of columns, or raise a ValueError that tells the rule.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.parts import columns_told
    >>> columns_told(np.array([3, 4]), None, "rule")
    (3, 4)
    """
    columns = tuple(given.tolist())
    if given.dtype.kind in "iu":
        if given.min() < 0:
            raise ValueError(f"{rule}, from 0 on; got {passed!r}.")
        return columns
    if given.dtype.kind in "fc" or not all(isinstance(one, Hashable) for one in columns):
        raise ValueError(f"{rule}; got {passed!r}.")
    return columns


def shown(part: object) -> str:
    """Return a part of a threat as short text.

    Examples
    --------
    >>> from sklearn_iso._threat.parts import shown
    >>> shown((0.0, (1.0, 2.0))), shown(tuple(range(99)))
    ('(0, (1, 2))', '<99 values>')
    """
    if isinstance(part, float):
        return f"{part:g}"
    if isinstance(part, Named):
        if len(part) > MOST_SHOWN:
            return f"<{len(part)} values by name>"
        pairs = zip(part.names, part.values, strict=True)
        return "{" + ", ".join(f"{name!r}: {shown(value)}" for name, value in pairs) + "}"
    if isinstance(part, ObservedRange) or not isinstance(part, tuple):
        return repr(part)
    if len(part) > MOST_SHOWN or any(isinstance(one, tuple) and _is_deep(one) for one in part):
        return f"<{_count(part)} values>"
    inside = ", ".join(map(shown, part))
    return f"({inside},)" if len(part) == 1 else f"({inside})"


def without(values: Values, names: Container[Hashable], neutral: float) -> Values:
    """Return values by name, those aside that say nothing of some columns.

    Examples
    --------
    >>> from sklearn_iso._threat.parts import Named, without
    >>> without(Named(("age", "plan"), (10.0, 1.0)), {"plan"}, 1.0)
    {'age': 10.0}
    """
    if not isinstance(values, Named):
        return values
    pairs = zip(values.names, values.values, strict=True)
    kept = [pair for pair in pairs if pair[0] not in names or pair[1] != neutral]
    return Named(tuple(name for name, _ in kept), tuple(value for _, value in kept))


def _is_deep(part: tuple[object, ...]) -> bool:
    return any(isinstance(one, tuple) for one in part)


def _count(part: object) -> int:
    return sum(map(_count, part)) if isinstance(part, tuple) else 1
