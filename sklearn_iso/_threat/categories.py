"""Which columns of a threat hold categories: groups of one-hot columns, and raw columns."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, cast

import numpy as np

from sklearn_iso._threat.parts import Columns, GroupsLike, as_array, columns_told

ALL: Literal["all"] = "all"


@dataclass(frozen=True, repr=False)
class Choice:
    """A raw column that holds one category a sample, and may change to another.

    Parameters
    ----------
    column : int or str, or any other label
        Its number or name.
    values : tuple, or None
        What it may become, where data have shown it; None: what the samples at hand hold.

    Examples
    --------
    >>> from sklearn_iso._threat.categories import Choice
    >>> Choice("plan"), Choice("plan", ("basic", "family"))
    ('plan', <'plan': 2 values>)
    """

    column: Hashable
    values: tuple[Hashable, ...] | None = None

    def __repr__(self) -> str:
        """Return the name, and how many values are known."""
        if self.values is None:
            return repr(self.column)
        return f"<{self.column!r}: {len(self.values)} values>"


#: Groups and raw columns, "all" raw columns that hold no numbers, or none.
Groups = tuple[Columns | Choice, ...] | Literal["all"]


def categories_of(categories: GroupsLike | None) -> Groups | None:
    """Return groups of two or more columns and single raw columns, none of them told twice.

    Examples
    --------
    >>> from sklearn_iso._threat.categories import categories_of
    >>> categories_of([["red", "green"], (3, 4, 5), "plan"])
    (('red', 'green'), (3, 4, 5), 'plan')
    """
    if categories is None:
        return None
    if isinstance(categories, str) and categories == ALL:
        return ALL
    rule = "categories must list groups of columns and single ones: a single column holds "
    rule += "categories itself, a group has the numbers or names of the columns of one one-hot "
    rule += "encoded feature, two or more"
    if isinstance(categories, str | bytes | Mapping | set | frozenset):
        raise ValueError(
            f"{rule}; got {categories!r}. Pass for example categories=[(3, 4, 5)], "
            "categories=['plan'], or 'all' for all columns of text, categories and booleans."
        )
    try:
        listed = list(categories)
    except TypeError:
        raise ValueError(f"{rule}; got {categories!r}. Pass for example [(3, 4, 5)].") from None
    groups = tuple(_group(group, rule) for group in listed)
    seen = [column for group in groups for column in members(group)]
    if len(set(seen)) < len(seen):
        raise ValueError(
            f"The groups of categories must not share columns; got {categories!r}. Each column "
            "belongs to one encoded feature."
        )
    return groups or None


def members(group: Columns | Choice) -> Columns:
    """Return the columns of a group.

    Examples
    --------
    >>> from sklearn_iso._threat.categories import Choice, members
    >>> members((3, 4)), members(Choice("plan"))
    ((3, 4), ('plan',))
    """
    return (group.column,) if isinstance(group, Choice) else group


def has_raw_columns(groups: Groups | None) -> bool:
    """Tell whether categories name single columns, which a table has and a tensor has not.

    Examples
    --------
    >>> from sklearn_iso._threat.categories import Choice, has_raw_columns
    >>> has_raw_columns(((3, 4),)), has_raw_columns((Choice("plan"),)), has_raw_columns("all")
    (False, True, True)
    """
    listed = () if groups is None else groups
    return listed == ALL or any(isinstance(group, Choice) for group in listed)


def one_hot(groups: Groups | None) -> tuple[tuple[int, ...], ...]:
    """Return the column numbers of groups, once they are known and no raw columns are left.

    Raises
    ------
    ValueError
        If a raw column is among them: of numbers alone, nothing tells what it may become.

    Examples
    --------
    >>> from sklearn_iso._threat.categories import one_hot
    >>> one_hot(((3, 4),)), one_hot(None)
    (((3, 4),), ())
    """
    found: list[tuple[int, ...]] = []
    for group in () if groups is None else groups:
        if isinstance(group, str | Choice):
            raise ValueError(
                f"categories of tensors must be groups of one-hot columns; found {group!r}, a raw "
                "column. Evaluate the table itself, with sklearn_iso.metrics, or encode it and "
                "pass the columns of its encoding as a group."
            )
        found.append(tuple(column for column in group if isinstance(column, int)))
    return tuple(found)


def _group(group: object, rule: str) -> Columns | Choice:
    if isinstance(group, Choice):
        return group
    if isinstance(group, str):
        return Choice(group)
    given = as_array(group)
    if given is not None and given.ndim == 0 and given.dtype.kind in "iu":
        (column,) = columns_told(given.ravel(), group, "categories must hold column numbers")
        return Choice(column)
    if given is None or given.ndim != 1 or len(given) < 2 or given.dtype == bool:
        raise ValueError(f"{rule}; found {group!r}. Pass for example categories=[(3, 4, 5)].")
    return columns_told(given, group, rule)


def changes_of(max_changes: object, categories: Groups | None) -> int:
    """Return a number of groups that may change, which makes sense with categories only.

    Examples
    --------
    >>> from sklearn_iso._threat.categories import changes_of
    >>> changes_of(2, "all")
    2
    """
    is_count = isinstance(max_changes, Integral | np.integer) and not isinstance(max_changes, bool)
    n_changes = int(cast(int, max_changes)) if is_count else -1
    if n_changes < 0:
        raise ValueError(f"max_changes must be an integer of at least 0; got {max_changes!r}.")
    if n_changes > 1 and not categories:
        raise ValueError(
            "max_changes is a number of groups of categories; got "
            f"max_changes={max_changes!r} without any. Pass the columns of each group as "
            "categories, or leave max_changes out."
        )
    return n_changes
