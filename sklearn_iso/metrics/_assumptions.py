"""What a threat was taken to mean, column by column, and whether budgets fit the columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import numbers_of
from sklearn_iso.metrics._findings import Finding
from sklearn_iso.metrics._raw_columns import Category, Number, RawColumn
from sklearn_iso.metrics._raw_table import RawTable
from sklearn_iso.metrics._table import Table

MOVES, MAY_CHANGE, STAYS = "moves", "may change", "stays"
MOST_NAMED, LONGEST_NAME = 8, 40
#: A largest budget of less than so many standard deviations hardly moves a column.
LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Assumed:
    """What an attack may do to a column of a raw table.

    Attributes
    ----------
    name : str
    kind : {"moves", "may change", "stays"}
    unit : float
        How far one unit of the budget moves it; NaN where it does not move.
    low, high : float
        Its bounds, infinite where there are none; NaN where it does not move.
    spread : float
        Standard deviation of its values; NaN where it does not move.
    extent : float
        How far its values reach; NaN where it does not move.
    n_values : int
        What it may change to; 0 where it does not.
    n_missing : int
        Samples that have no value.

    Examples
    --------
    >>> from sklearn_iso.metrics._assumptions import Assumed
    >>> print(Assumed("age", "moves", unit=10.0, low=18.0, high=80.0, n_missing=3))
    age (unit 10, 18 to 80, 3 missing)
    """

    name: str
    kind: str
    unit: float = np.nan
    low: float = np.nan
    high: float = np.nan
    spread: float = np.nan
    extent: float = np.nan
    n_values: int = 0
    n_missing: int = 0

    def __str__(self) -> str:
        """Tell the column in a few words."""
        told = []
        if self.kind == MOVES:
            told.append(f"unit {self.unit:.3g}")
            if np.isfinite([self.low, self.high]).any():
                told.append(f"{self.low:.4g} to {self.high:.4g}")
        if self.n_values:
            told.append(f"{self.n_values} values")
        if self.n_missing:
            told.append(f"{self.n_missing} missing")
        name = self.name
        if len(name) > LONGEST_NAME:
            name = f"{name[: LONGEST_NAME - 3]}..."
        return f"{name} ({', '.join(told)})" if told else name


def assumptions(table: Table, threat: ThreatModel) -> tuple[Assumed, ...]:
    """Return what an attack may do to each column of a raw table; nothing for one of numbers.

    Parameters
    ----------
    table : Table
    threat : ThreatModel
        By coordinate.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._assumptions import assumptions
    >>> from sklearn_iso.metrics._raw_table import table_of
    >>> X = pd.DataFrame({"age": [30.0, 50.0], "plan": ["b", "a"]})
    >>> table = table_of(X, ThreatModel(units={"age": 10}))
    >>> [str(one) for one in assumptions(table, table.threat(ThreatModel()))]
    ['age (unit 10)', 'plan']
    """
    if not isinstance(table, RawTable):
        return ()
    width = table.values.shape[1]
    units = np.broadcast_to(threat.radius(1.0), width)
    bounds = (-np.inf, np.inf) if threat.bounds is None else threat.bounds
    low, high = (np.broadcast_to(numbers_of(side), width) for side in bounds)
    grouped = {at for group in threat.one_hot() for at in group}
    return tuple(_assumed(raw, table.values, grouped, units, (low, high)) for raw in table.raw)


def _assumed(
    raw: RawColumn, values: NDArray, grouped: set[int], units: NDArray, bounds: Sequence[NDArray]
) -> Assumed:
    name = str(raw.name)
    if isinstance(raw, Category):
        n = raw.vocabulary.n_known if raw.changes else 0
        absent = np.asarray(values[:, raw.at] >= raw.vocabulary.n_known)
        if raw.changes:
            absent = np.asarray(values[:, raw.at + n : raw.at + raw.width].any(axis=1))
        kind = MAY_CHANGE if raw.changes else STAYS
        return Assumed(name, kind, n_values=n, n_missing=int(absent.sum()))
    return _of_number(raw, name, values, grouped, units=units, bounds=bounds)


def _of_number(
    raw: Number,
    name: str,
    values: NDArray,
    grouped: set[int],
    *,
    units: NDArray,
    bounds: Sequence[NDArray],
) -> Assumed:
    absent = np.zeros(len(values), dtype=bool)
    if raw.gap is not None:
        absent = values[:, raw.gap] > 0.5
    if raw.stays or raw.at in grouped:
        kind = MAY_CHANGE if raw.at in grouped and not raw.stays else STAYS
        return Assumed(name, kind, n_missing=int(absent.sum()))
    present = values[~absent, raw.at].astype(np.float64)
    low, high = (float(side[raw.at]) for side in bounds)
    return Assumed(
        name, MOVES, unit=float(units[raw.at]), low=low, high=high, spread=float(present.std()),
        extent=float(np.ptp(present)), n_missing=int(absent.sum()),
    )  # fmt: skip


def as_lines(assumed: Sequence[Assumed], max_changes: int) -> list[str]:
    """Tell assumptions in a line for each kind.

    Examples
    --------
    >>> from sklearn_iso.metrics._assumptions import Assumed, as_lines
    >>> as_lines([Assumed("age", "moves", unit=1.0), Assumed("plan", "may change", n_values=3)], 1)
    ['Columns that move: age (unit 1)', 'Columns that may change, at most 1: plan (3 values)']
    """
    heads = {
        MOVES: "Columns that move",
        MAY_CHANGE: f"Columns that may change, at most {max_changes}",
        STAYS: "Columns that stay",
    }
    lines = []
    for kind, head in heads.items():
        told = _few([str(one) for one in assumed if one.kind == kind])
        lines += [f"{head}: {told}"] if told else []
    return lines


def _few(told: list[str], most: int = MOST_NAMED) -> str:
    if len(told) > most:
        told = [*told[:most], f"and {len(told) - most} more"]
    return "; ".join(told)


def budgets_fit(assumed: Iterable[Assumed], budgets: Sequence[float]) -> list[Finding]:
    """Look for budgets that cross the whole range of a column, or hardly move it.

    Examples
    --------
    >>> from sklearn_iso.metrics._assumptions import Assumed, budgets_fit
    >>> age = Assumed("age", "moves", unit=1.0, spread=20.0, extent=60.0)
    >>> income = Assumed("income", "moves", unit=1.0, spread=2e4, extent=1e5)
    >>> print(budgets_fit([age, income], [0.1, 100])[0].seen)
    eps=100 moves 'age' by up to 100, and its values reach over 60
    >>> budgets_fit([age, income], [0.1, 1])[0].name
    'budget of no effect'
    """
    largest = max(budgets, default=0.0)
    moving = [one for one in assumed if one.kind == MOVES and one.unit > 0]
    wide = [one for one in moving if one.extent and largest * one.unit > one.extent]
    narrow = [one for one in moving if 0 < largest * one.unit < LEAST_SHARE * one.spread]
    remedy = "units of the columns, such as ThreatModel.from_data(X_train), make budgets alike"
    found = []
    if wide:
        found.append(
            Finding(
                "budget beyond the range",
                f"eps={largest:g} moves {_compared(wide, largest, 'its values reach over', 0)}",
                f"pass smaller budgets; {remedy}",
            )
        )
    if narrow:
        found.append(
            Finding(
                "budget of no effect",
                f"eps={largest:g} moves {_compared(narrow, largest, 'its deviation is', 1)}",
                f"pass larger budgets; {remedy}",
            )
        )
    return found


def _compared(columns: list[Assumed], eps: float, how: str, which: int) -> str:
    told = [
        f"{one.name!r} by up to {eps * one.unit:.3g}, and {how} "
        f"{(one.extent, one.spread)[which]:.3g}"
        for one in columns
    ]
    return _few(told, most=3)
