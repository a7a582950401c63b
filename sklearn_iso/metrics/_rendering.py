"""A report of robustness as text and as HTML."""

from __future__ import annotations

from html import escape
from typing import Any

from sklearn_iso.metrics._assumptions import as_lines

MOST_CLASSES = 10


def _heading(report: Any) -> tuple[str, str]:
    as_good_as = "" if report.n_effective is None else f", weighted: as {report.n_effective:.4g}"
    norm = report.threat.norm.name
    return (
        f"Robustness of {report.estimator_name}: {norm}, {report.n_samples} samples{as_good_as}",
        f"Evaluation: {report.kind} ({report.reason})",
    )


def _verdict(report: Any) -> str:
    n = len(report.checked)
    looked = f"{n} diagnostics of false robustness on {report.n_diagnosed} samples"
    if report.warnings:
        return f"{len(report.warnings)} warnings, of {looked}:"
    return f"No warnings: {looked}."


def _table(report: Any) -> tuple[list[str], list[list[str]]]:
    """Head and samples; the last column is text."""
    labels = [str(label) for label in report.classes.tolist()]
    shown = labels if len(labels) <= MOST_CLASSES else []
    head = ["eps", "accuracy", "95% interval", *shown, "broken by"]
    rows = []
    for position, eps in enumerate(report.eps.tolist()):
        low, high = report.interval[position].tolist()
        of_classes = [f"{share:.3f}" for share in report.class_accuracy[position].tolist()]
        broken = [f"{name} {counts[position]}" for name, counts in report.broken_by.items()
                  if counts[position]]  # fmt: skip
        rows.append([
            f"{eps:.4g}", f"{report.accuracy[position]:.3f}", f"[{low:.3f}, {high:.3f}]",
            *(of_classes if shown else []), ", ".join(broken),
        ])  # fmt: skip
    return head, rows


def as_text(report: Any) -> str:
    """Return a report as a table of plain text.

    Examples
    --------
    See :func:`sklearn_iso.metrics.robustness_report`.
    """
    head, rows = _table(report)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for cells in (head, *rows):
        numbers = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)][:-1]
        lines.append("  ".join(["", *numbers, cells[-1]])[1:].rstrip())
    found = [f"- {finding}" for finding in report.warnings]
    head_lines = [*_heading(report), *as_lines(report.assumed, report.threat.max_changes)]
    return "\n".join([*head_lines, "", *lines, "", _verdict(report), *found])


def as_html(report: Any) -> str:
    """Return a report as HTML, with all text escaped.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics import robustness_report
    >>> X, y = load_iris(return_X_y=True)
    >>> "<table>" in robustness_report(GaussianNB().fit(X, y), X, y, eps=[0])._repr_html_()
    True
    """
    title, evaluation = map(escape, _heading(report))
    head, rows = _table(report)
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    lines = as_lines(report.assumed, report.threat.max_changes)
    assumed = "".join(f"<p>{escape(line)}</p>" for line in lines)
    found = "".join(
        f"<li><b>{escape(finding.name)}</b>: {escape(finding.seen)}. "
        f"<i>Next: {escape(finding.next_step)}.</i></li>"
        for finding in report.warnings
    )
    return (
        f"<div><h4>{title}</h4><p>{evaluation}</p>{assumed}<table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table><p>{escape(_verdict(report))}</p><ul>{found}</ul></div>"
    )
