"""A report of natural robustness as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

from sklearn_iso.metrics._corruption_lines import CorruptionLine

#: Columns that the last line names.
MOST_COLUMNS = 5


class Told(Protocol):
    """What a report has to tell."""

    @property
    def estimator_name(self) -> str:
        """The class of the estimator."""

    @property
    def scoring(self) -> str:
        """The name of the score."""

    @property
    def n_samples(self) -> int:
        """How many samples."""

    @property
    def n_repeats(self) -> int:
        """How many repeats."""

    @property
    def clean(self) -> float:
        """The score without corruption."""

    @property
    def clean_interval(self) -> tuple[float, float] | None:
        """Its interval."""

    @property
    def lines(self) -> Sequence[CorruptionLine]:
        """All lines."""

    @property
    def left_out(self) -> str:
        """Why columns were not looked at alone."""

    @property
    def worst_columns(self) -> dict[str, float]:
        """Columns that hurt alone."""


def _interval(low: float | None, high: float | None) -> str:
    return "unknown" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def _heading(report: Told) -> str:
    clean = _interval(*(report.clean_interval or (None, None)))
    return (
        f"Corruption of {report.estimator_name}: {report.scoring}, {report.n_samples} samples, "
        f"{report.n_repeats} repeats\nClean: {report.clean:.3f} {clean}"
    )


def _rows(report: Told) -> list[tuple[str, str, str, str, str, str]]:
    """Head and lines of all columns; the last two cells are text."""
    rows = [("corruption", "severity", "score", "95% interval", "drop", "worst column alone")]
    for line in report.lines:
        if line.column is not None:
            continue
        name, severity = line.corruption, f"{line.severity:g}"
        if line.score is None or line.drop is None:
            rows.append((name, severity, "refused", "", "", line.refused))
            continue
        interval, drop = _interval(line.low, line.high), f"{round(line.drop, 3) + 0.0:.3f}"
        rows.append((name, severity, f"{line.score:.3f}", interval, drop, _worst(report, line)))
    return rows


def _worst(report: Told, line: CorruptionLine) -> str:
    """Tell which column alone hurts most by the same corruption of the same severity."""
    same = (line.corruption, line.severity)
    alone = [one for one in report.lines if one.column and (one.corruption, one.severity) == same]
    harm = {one.column: one.drop for one in alone if one.hurts and one.drop is not None}
    refused = sum(bool(one.refused) for one in alone)
    told = [f"{name} {harm[name]:.3f}" for name in sorted(harm, key=lambda name: -harm[name])[:1]]
    return ", ".join([*told, *([f"{refused} refused"] if refused else [])])


def _verdict(report: Told) -> str:
    if report.left_out:
        return f"Columns alone: left out ({report.left_out})."
    worst = list(report.worst_columns.items())
    if not worst:
        return "No column hurts alone."
    told = ", ".join(f"{name} {drop:.3f}" for name, drop in worst[:MOST_COLUMNS])
    more = f", and {len(worst) - MOST_COLUMNS} more" if len(worst) > MOST_COLUMNS else ""
    return f"Columns that hurt alone, by their largest drop: {told}{more}."


def as_text(report: Told) -> str:
    """Return a report as a table of plain text.

    Examples
    --------
    See :func:`sklearn_iso.metrics.corruption_report`.
    """
    rows = _rows(report)
    first, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells, last in rows:
        numbers = [cell.rjust(width) for cell, width in zip(cells, widths[:-1], strict=True)]
        lines.append("  ".join([name.ljust(first), *numbers, last]).rstrip())
    return "\n".join([_heading(report), "", *lines, "", _verdict(report)])


def as_html(report: Told) -> str:
    """Return a report as HTML, with all text escaped.

    Examples
    --------
    See :func:`sklearn_iso.metrics.corruption_report`.
    """
    head, *body = _rows(report)
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    title, clean = map(escape, _heading(report).split("\n"))
    return (
        f"<div><h4>{title}</h4><p>{clean}</p><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{rows}</tbody></table><p>{escape(_verdict(report))}</p></div>"
    )
