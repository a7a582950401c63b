"""A report of robustness as text and as HTML."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

MOST_CLASSES = 10
Table = Callable[[Any], tuple[list[str], list[list[str]]]]


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


def of_classifier(report: Any) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table; the last column is text.

    Examples
    --------
    See :func:`sklearn_iso.metrics.robustness_report`.
    """
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


def of_regressor(report: Any) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table; the last column is text.

    Examples
    --------
    See :func:`sklearn_iso.metrics.robustness_report`.
    """
    head = ["eps", report.loss.replace("_", " "), "95% interval", "R2", "found by"]
    rows = []
    for position, eps in enumerate(report.eps.tolist()):
        low, high = report.interval[position].tolist()
        found = [f"{name} {counts[position]}" for name, counts in report.found_by.items()
                 if counts[position]]  # fmt: skip
        rows.append([
            f"{eps:.4g}", f"{report.error[position]:.4g}", f"[{low:.4g}, {high:.4g}]",
            f"{report.r2[position]:.3f}", ", ".join(found),
        ])  # fmt: skip
    return head, rows


def as_text(report: Any, table: Table = of_classifier) -> str:
    """Return a report as a table of plain text.

    Examples
    --------
    See :func:`sklearn_iso.metrics.robustness_report`.
    """
    head, rows = table(report)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for cells in (head, *rows):
        numbers = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)][:-1]
        lines.append("  ".join(["", *numbers, cells[-1]])[1:].rstrip())
    found = [f"- {finding}" for finding in report.warnings]
    return "\n".join([*_heading(report), "", *lines, "", _verdict(report), *found])


def as_html(report: Any, table: Table = of_classifier) -> str:
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
    head, rows = table(report)
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    found = "".join(
        f"<li><b>{escape(finding.name)}</b>: {escape(finding.seen)}. "
        f"<i>Next: {escape(finding.next_step)}.</i></li>"
        for finding in report.warnings
    )
    return (
        f"<div><h4>{title}</h4><p>{evaluation}</p><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table><p>{escape(_verdict(report))}</p><ul>{found}</ul></div>"
    )
