"""What goes wrong with tables by itself: noise, drift, rounding, outliers, lost cells."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, SupportsFloat, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._protocols import Samples
from sklearn_iso._threat.named import Named
from sklearn_iso._threat.parts import PerFeature
from sklearn_iso.metrics._columns import (
    Change,
    Column,
    Columns,
    Kind,
    Lost,
    Moved,
    Taken,
    columns_of_container,
)

Severities: TypeAlias = float | Sequence[float] | Mapping[str, float | Sequence[float]]
#: How far an outlier lies off, in standard deviations of its column.
FAR = 10.0
#: Severities by default: of noise, drift and rounding in standard deviations, else a share.
DEVIATIONS, SHARES = (0.1, 0.3, 1.0), (0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Draw:
    """How to corrupt once: how much, which way, with what random numbers."""

    severity: float
    sign: int
    generator: np.random.Generator

    def hit(self, n: int) -> NDArray[np.bool_]:
        """Draw which samples are hit, each with the severity as its probability."""
        return self.generator.random(n) < self.severity


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption.

    Attributes
    ----------
    name : str
    severities : tuple of float
        By default.
    unit : str
        Of a severity, for people.
    largest : float
        Severity that none can exceed.
    signs : tuple of int
        Of which the worse is told.
    is_random : bool
        Whether repeats differ.
    """

    name: str
    severities: tuple[float, ...]
    unit: str
    largest: float = np.inf
    signs: tuple[int, ...] = (1,)
    is_random: bool = True


Cells = Callable[[Column, float, Draw], Change]


@dataclass(frozen=True)
class OfColumns(Corruption):
    """A corruption of the columns of a table, each by itself."""

    kinds: tuple[Kind, ...] = (Kind.NUMBERS,)
    change: Cells = lambda column, spread, draw: Moved(column.values)


def _noise(column: Column, spread: float, draw: Draw) -> Change:
    noise = draw.generator.standard_normal(len(column.values))
    return Moved(column.values + draw.severity * spread * noise)


def _drift(column: Column, spread: float, draw: Draw) -> Change:
    return Moved(column.values + draw.sign * draw.severity * spread)


def _rounding(column: Column, spread: float, draw: Draw) -> Change:
    step = draw.severity * spread
    return Moved(np.round(column.values / step) * step if step else column.values)


def _outliers(column: Column, spread: float, draw: Draw) -> Change:
    hit = draw.hit(len(column.values))
    side = np.where(draw.generator.random(len(hit)) < 0.5, -1.0, 1.0)
    return Moved(column.values + np.where(hit, side * FAR * spread, 0.0))


def _missing(column: Column, spread: float, draw: Draw) -> Change:
    return Lost(draw.hit(len(column.values)))


def _swapped(column: Column, spread: float, draw: Draw) -> Change:
    codes = column.values.astype(np.intp)
    n_categories, stays = int(codes.max()) + 1, np.arange(len(codes))
    hit = draw.hit(len(codes)) & (codes >= 0)
    step = 1 + np.floor(draw.generator.random(len(codes)) * (n_categories - 1)).astype(np.intp)
    if n_categories < 2:
        return Taken(stays)
    _, first = np.unique(codes[codes >= 0], return_index=True)
    holders = np.flatnonzero(codes >= 0)[first]
    return Taken(np.where(hit, holders[(codes + step) % n_categories], stays))


TABLE_CORRUPTIONS = {
    one.name: one
    for one in (
        OfColumns("noise", DEVIATIONS, "standard deviations", change=_noise),
        OfColumns("drift", DEVIATIONS, "standard deviations", signs=(1, -1), is_random=False,
                  change=_drift),
        OfColumns("rounding", DEVIATIONS, "standard deviations", is_random=False, change=_rounding),
        OfColumns("outliers", SHARES, "share of cells", 1.0, change=_outliers),
        OfColumns("missing", SHARES, "share of cells", 1.0, kinds=tuple(Kind), change=_missing),
        OfColumns("swapped", SHARES, "share of cells", 1.0, kinds=(Kind.CATEGORIES,),
                  change=_swapped),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Dose:
    """One corruption of one severity, of all columns or of one.

    Attributes
    ----------
    corruption : Corruption
    severity : float
    column : int or None
        None for all.
    """

    corruption: Corruption
    severity: float
    column: int | None = None

    def draw(self, seed: int, repeat: int, sign: int, column: int = 0) -> Draw:
        """Return the random numbers of a column: the same whatever else is corrupted."""
        key = [seed, zlib.crc32(self.corruption.name.encode()), repeat, column]
        return Draw(self.severity, sign, np.random.default_rng(key))


class Corruptible(Protocol):
    """Samples that corruptions can be applied to."""

    names: list[str]

    def known(self) -> dict[str, Corruption]:
        """Return the corruptions that apply, by name."""

    def positions(self, corruption: Corruption) -> list[int]:
        """Return the columns that a corruption changes."""

    def corrupted(self, dose: Dose, seed: int, repeat: int, sign: int) -> Samples:
        """Return corrupted samples in the container of X."""


class CorruptibleTable:
    """Samples of a table.

    Parameters
    ----------
    X : array-like, sparse matrix or frame of shape (n_samples, n_columns)
    units : float, array-like of shape (n_columns,), values by name, or None
        What a severity of 1 is; None for the standard deviation of each column.

    Examples
    --------
    >>> from sklearn_iso.metrics._corruptions import TABLE_CORRUPTIONS, CorruptibleTable, Dose
    >>> table = CorruptibleTable([[1.0, 5.0], [3.0, 5.0]])
    >>> table.corrupted(Dose(TABLE_CORRUPTIONS["drift"], 0.5), seed=0, repeat=0, sign=1)
    array([[1.5, 5. ],
           [3.5, 5. ]])
    """

    def __init__(self, X: Samples, units: PerFeature | None = None) -> None:
        self.container: Columns = columns_of_container(X)
        self.columns = self.container.columns
        self.names = [column.name for column in self.columns]
        self.spreads = _spreads(self.columns, units)

    def known(self) -> dict[str, Corruption]:
        """Return the corruptions that apply to at least one column."""
        return {name: one for name, one in TABLE_CORRUPTIONS.items() if self.positions(one)}

    def positions(self, corruption: Corruption) -> list[int]:
        """Return the columns of the kinds that a corruption changes."""
        kinds = corruption.kinds if isinstance(corruption, OfColumns) else ()
        return [p for p, column in enumerate(self.columns) if column.kind in kinds]

    def corrupted(self, dose: Dose, seed: int, repeat: int, sign: int) -> Samples:
        """Return a copy of X of which all columns, or one, are corrupted; X itself for 0."""
        if dose.severity == 0 or not isinstance(dose.corruption, OfColumns):
            return self.container.changed({})
        at = self.positions(dose.corruption) if dose.column is None else [dose.column]
        return self.container.changed(
            {
                position: dose.corruption.change(
                    self.columns[position],
                    self.spreads[position],
                    dose.draw(seed, repeat, sign, position),
                )
                for position in at
            }
        )


def _spreads(columns: Sequence[Column], units: PerFeature | None) -> list[float]:
    """Return what a severity of 1 is in each column."""
    spreads = [column.spread for column in columns]
    if units is None:
        return spreads
    named, names = Named.of(units), [column.name for column in columns]
    if named is not None:
        given = dict(zip(map(str, named.names), named.values, strict=True))
        if unknown := sorted(given.keys() - set(names)):
            raise ValueError(
                f"units must be given by names of columns of X; got {unknown}, and X has {names}."
            )
        values = [given.get(name, spread) for name, spread in zip(names, spreads, strict=True)]
    else:
        array = np.array(units, dtype=object)  # also of lists of unequal length
        shape = array.shape
        if shape not in ((), (len(columns),)):
            raise ValueError(
                f"units must be one number, one for each of the {len(columns)} columns, or numbers "
                f"by name; got shape {shape}."
            )
        values = np.broadcast_to(array, len(columns)).tolist()
    return [check_unit(value) for value in values]


def check_unit(value: object) -> float:
    """Return a unit as a number.

    Raises
    ------
    ValueError
        If it is negative or not finite.

    Examples
    --------
    >>> from sklearn_iso.metrics._corruptions import check_unit
    >>> check_unit(2)
    2.0
    """
    try:
        number = float(cast(SupportsFloat, value))
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number) or number < 0:
        raise ValueError(
            f"units must be finite numbers of at least 0; got {value!r}. Pass for example the "
            "standard deviations of the training samples."
        )
    return number


def doses_of(
    subject: Corruptible, corruptions: str | Sequence[str], severities: Severities | None
) -> dict[str, tuple[Dose, ...]]:
    """Return what to apply to all columns, by the name of the corruption.

    Raises
    ------
    ValueError
        If a corruption is not known or has no column to apply to, or a severity is out of range.

    Examples
    --------
    >>> from sklearn_iso.metrics._corruptions import CorruptibleTable, doses_of
    >>> table = CorruptibleTable([[1.0, 5.0], [3.0, 5.0]])
    >>> [dose.severity for dose in doses_of(table, "noise", [0, 1])["noise"]]
    [0.0, 1.0]
    """
    known = subject.known()
    names = _names(corruptions, known)
    given = severities if isinstance(severities, dict) else dict.fromkeys(names, severities)
    if unknown := sorted(map(str, given.keys() - set(names))):
        raise ValueError(
            f"severities must be given for corruptions that are asked for, of {names}; got "
            f"{unknown}."
        )
    return {
        name: tuple(Dose(known[name], s) for s in _severities(known[name], given.get(name)))
        for name in names
    }


def _names(corruptions: str | Sequence[str], known: dict[str, Corruption]) -> list[str]:
    if isinstance(corruptions, str):
        names = list(known) if corruptions == "auto" else [corruptions]
    else:
        names = list(corruptions)
    # Of what is no text, some could not even be looked up.
    if not names or not all(isinstance(name, str) and name in known for name in names):
        raise ValueError(
            f"corruptions must be 'auto' or among those that apply to X, {list(known)}; got "
            f"{corruptions!r}. 'swapped' needs columns of text, categories or bool, and those of "
            "images need image_shape."
        )
    return list(dict.fromkeys(names))


def _severities(corruption: Corruption, severities: Severities | None) -> tuple[float, ...]:
    if severities is None:
        return corruption.severities
    try:
        values = np.atleast_1d(np.array(severities, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.ndim != 1 or not values.size or not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            f"severities must be finite numbers of at least 0, in a list; got {severities!r}. Pass "
            "for example [0.1, 0.3], or a dict of such lists by the name of the corruption."
        )
    if values.max() > corruption.largest:
        raise ValueError(
            f"severities of {corruption.name!r} are a {corruption.unit}, at most "
            f"{corruption.largest:g}; got {values.max():g}. Pass a dict to give each corruption "
            f"severities of its own, as {{{corruption.name!r}: [0.1]}}."
        )
    return tuple(dict.fromkeys(values.tolist()))


def alone(dose: Dose, column: int) -> Dose:
    """Return the same for one column.

    Examples
    --------
    >>> from sklearn_iso.metrics._corruptions import TABLE_CORRUPTIONS, Dose, alone
    >>> alone(Dose(TABLE_CORRUPTIONS["noise"], 0.1), 3).column
    3
    """
    return replace(dose, column=column)
