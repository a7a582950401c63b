"""Which coordinates the raw columns of a table get, and the threat by coordinate."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.categories import Choice
from sklearn_iso._threat.columns import Column, Kind
from sklearn_iso._threat.parts import Mask, ObservedRange, like, numbers_of
from sklearn_iso.metrics._raw_columns import Category, Number, RawColumn, Vocabulary

#: Most values of a column that may change; each is a coordinate of every sample.
MOST_VALUES = 500


def _groups(threat: ThreatModel) -> tuple[dict[int, tuple[Hashable, ...]], list[tuple[int, ...]]]:
    """Return the raw columns that may change with known values, and the one-hot groups."""
    choices, groups = {}, []
    for group in threat.categories or ():
        if isinstance(group, Choice) and isinstance(group.column, int):
            choices[group.column] = group.values or ()
        elif isinstance(group, tuple):
            groups.append(tuple(one for one in group if isinstance(one, int)))
    return choices, groups


def _stays(threat: ThreatModel, n_columns: int) -> NDArray:
    """Return which columns are immutable or have unit 0."""
    fixed = np.zeros(n_columns, dtype=bool)
    if threat.immutable is not None:
        fixed = threat.immutable_mask()
    if threat.units is not None:
        fixed = fixed | (np.broadcast_to(numbers_of(threat.units), n_columns) == 0)
    return fixed


def check_columns(given: Sequence[Column], threat: ThreatModel) -> None:
    """Raise a ValueError where columns are not what a threat, by position, takes them for.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._threat.columns import columns_in
    >>> from sklearn_iso.metrics._layout import check_columns
    >>> X = pd.DataFrame({"age": [30.0], "plan": ["a"]})
    >>> check_columns(columns_in(X), ThreatModel(bounds=(0, 20)).resolve(X))
    Traceback (most recent call last):
    ValueError: X must lie inside bounds; column 'age' holds 30 in sample 0, outside of [0, 20]. ...
    """
    for column in given:
        if column.numbers is not None and np.isinf(column.numbers).any():
            raise ValueError(
                f"X must be finite where it is not missing; column {column.name!r} holds infinity. "
                "Drop these samples, or clip them."
            )
    choices, groups = _groups(threat)
    for position in (position for group in groups for position in group):
        if given[position].numbers is None:
            raise ValueError(
                "A group of categories must hold the one-hot columns of one feature, of 0 and 1; "
                f"column {given[position].name!r} holds text. Name it alone, outside of a list."
            )
    if _is_one_hot([given[position] for position in choices]):
        names = [given[position].name for position in choices]
        raise ValueError(
            f"categories must list the columns of a one-hot encoding as one group; columns {names} "
            f"hold exactly one 1 in each sample. Pass categories=[{names}]."
        )
    _check_bounds(given, threat)


def _is_one_hot(columns: Sequence[Column]) -> bool:
    values = [column.numbers for column in columns if column.kind is Kind.NUMBERS]
    if len(values) < 2 or len(values) < len(columns):
        return False
    block = np.stack([np.asarray(one) for one in values], axis=1)
    return bool(np.isin(block, (0, 1)).all() and (block.sum(axis=1) == 1).all())


def _check_bounds(given: Sequence[Column], threat: ThreatModel) -> None:
    if threat.bounds is None or isinstance(threat.bounds, ObservedRange):
        return
    sides = (np.broadcast_to(numbers_of(side), len(given)) for side in threat.bounds)
    for column, low, high in zip(given, *sides, strict=True):
        if column.kind is not Kind.NUMBERS or column.numbers is None:
            continue
        slack = 1e-6 * np.maximum(np.abs(column.numbers), 1e-30)
        outside = (column.numbers < low - slack) | (column.numbers > high + slack)
        if outside.any():
            sample = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"X must lie inside bounds; column {column.name!r} holds "
                f"{column.numbers[sample]:.6g} in sample {sample}, outside of [{low:g}, {high:g}]. "
                "Widen the bounds, or clip X."
            )


def laid_out(given: Sequence[Column], threat: ThreatModel) -> list[RawColumn]:
    """Return columns, the coordinates of each after those of the one before.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._threat.columns import columns_in
    >>> from sklearn_iso.metrics._layout import laid_out
    >>> X = pd.DataFrame({"age": [30.0, None], "plan": ["a", "b"]})
    >>> [column.at for column in laid_out(columns_in(X), ThreatModel())]
    [0, 2]
    """
    stays = _stays(threat, len(given))
    choices, groups = _groups(threat)
    grouped = {position for group in groups for position in group}
    raw: list[RawColumn] = []
    at = 0
    for position, column in enumerate(given):
        if position in choices:
            one = _choice(column, at, choices[position])
        elif column.numbers is not None:
            one = _number(column, at, bool(stays[position]), position in grouped)
        else:
            one = Category(column.name, at, Vocabulary.of(column), changes=False, is_number=False)
        raw.append(one)
        at += one.width
    return raw


def _choice(column: Column, at: int, values: Sequence[Hashable]) -> RawColumn:
    column.distinct()  # says what is wrong with values that do not hash
    vocabulary = Vocabulary.of(column, values)
    if vocabulary.n_known > MOST_VALUES:
        raise ValueError(
            f"A column of categories must hold at most {MOST_VALUES} different values to change; "
            f"{column.name!r} holds {vocabulary.n_known}. Leave it out of categories."
        )
    # A column of nothing but gaps counts as one of numbers, and may yet become text.
    holds_text = any(isinstance(one, str | bytes) for one in vocabulary.values or ())
    is_number = column.numbers is not None and not holds_text
    return Category(column.name, at, vocabulary, vocabulary.n_known > 1, is_number)


def _number(column: Column, at: int, stays: bool, in_group: bool) -> RawColumn:
    numbers = np.asarray(column.numbers)
    absent = np.isnan(numbers)
    is_bool = column.kind is Kind.BOOLEANS
    stays = stays or bool(absent.all()) or (is_bool and not in_group)
    whole = None
    if in_group:
        whole = Vocabulary.of(column, [False, True] if is_bool else [0, 1])
    elif stays:
        whole = Vocabulary.of(column)
        if not np.diff(whole.numbers()[: whole.n_known]).all():
            # Such as numbers of accounts, which are larger than float64 tells apart.
            return Category(column.name, at, whole, changes=False, is_number=True)
    # One of the values: the middle of two may break a rule, such as that of whole numbers.
    fill = 0.0 if absent.all() else float(np.quantile(numbers[~absent], 0.5, method="lower"))
    gap = at + 1 if absent.any() else None
    return Number(column.name, column.raw, at, gap, fill, whole, stays)


def by_coordinate(raw: Sequence[RawColumn], threat: ThreatModel) -> ThreatModel:
    """Return the threat for the coordinates of columns.

    Raises
    ------
    ValueError
        If nothing is left to an attack.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._threat.columns import columns_in
    >>> from sklearn_iso.metrics._layout import by_coordinate, laid_out
    >>> X = pd.DataFrame({"age": [30.0, None], "plan": ["a", "b"]})
    >>> by_coordinate(laid_out(columns_in(X), ThreatModel()), ThreatModel())
    ThreatModel(immutable=<mask of 2 among 3 features>)
    """
    fixed = np.ones(sum(one.width for one in raw), dtype=bool)
    for one in raw:
        if isinstance(one, Number):
            fixed[one.at] = one.stays
        elif one.changes:
            fixed[one.at : one.at + one.vocabulary.n_known] = False
    if fixed.all():
        raise ValueError(
            "A threat must leave something to the attack; every column of X stays as it is. Name "
            "columns of text that may change as categories, or leave columns of numbers out of "
            "immutable. Accuracy without an attack is what the estimator's score returns."
        )
    choices, groups = _groups(threat)
    changing = [raw[position] for position in choices]
    changing = [one for one in changing if isinstance(one, Category) and one.changes]
    ranges = [tuple(range(one.at, one.at + one.width)) for one in changing]
    known = [*ranges, *(tuple(raw[position].at for position in group) for group in groups)]
    units, bounds = threat.units, threat.bounds
    if units is not None:
        units = _of_coordinates(numbers_of(units), raw, 1.0)
    if bounds is not None:
        sides = zip(bounds, (-np.inf, np.inf), strict=True)
        bounds = like(bounds, *(_of_coordinates(numbers_of(s), raw, free) for s, free in sides))
    return replace(
        threat, units=units, bounds=bounds, immutable=Mask.of(fixed),
        categories=tuple(known) or None, max_changes=threat.max_changes if known else 1,
        **_rules(raw, threat),
    )  # fmt: skip


def _rules(raw: Sequence[RawColumn], threat: ThreatModel) -> dict[str, Any]:
    """Return the rules of the data for the coordinates of columns of numbers without gaps."""
    if threat.repair is not None:
        raise ValueError(
            "repair is a rule for tables of numbers; X holds text, categories, booleans or missing "
            "values. Tell linear rules as relations, or pass is_valid."
        )

    def place(position: Hashable, what: str) -> int:
        one = raw[cast(int, position)]
        if not isinstance(one, Number) or (what == "relations" and one.gap is not None):
            raise ValueError(
                f"{what} must be of columns of numbers, relations of those without missing values; "
                f"column {one.name!r} is none. Leave it out."
            )
        return one.at

    found: dict[str, Any] = {
        name: tuple(place(position, name) for position in columns)
        for name in ("integers", "increasing", "decreasing")
        if (columns := getattr(threat, name)) is not None
    }
    if threat.relations is not None:
        found["relations"] = tuple(
            replace(
                one,
                terms=tuple((place(at, "relations"), by) for at, by in one.terms),
                dependent=None if one.dependent is None else place(one.dependent, "relations"),
            )
            for one in threat.relations
        )
    return found


def _of_coordinates(values: NDArray, raw: Sequence[RawColumn], neutral: float) -> tuple[float, ...]:
    """Return one value for each coordinate: that of its column, where it is one of numbers."""
    by_column = np.broadcast_to(values, len(raw))
    spread = np.full(sum(one.width for one in raw), neutral)
    for one, value in zip(raw, by_column, strict=True):
        if isinstance(one, Number):
            spread[one.at] = value
    return tuple(spread.tolist())
