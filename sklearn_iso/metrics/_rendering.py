"""A report of robustness as text and as HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Protocol, TypeVar

from numpy.typing import NDArray

from sklearn_iso._threat import ThreatModel
from sklearn_iso.metrics._assumptions import Assumed, as_lines
from sklearn_iso.metrics._findings import Finding
from sklearn_iso.metrics._proven import Proven
from sklearn_iso.metrics._proven_ranges import ProvenErrors

MOST_CLASSES = 10
Table = tuple[list[str], list[list[str]]]


class Told(Protocol):
    """What every report tells beside its table."""

    @property
    def estimator_name(self) -> str: ...

    @property
    def threat(self) -> ThreatModel: ...

    @property
    def n_samples(self) -> int: ...

    @property
    def n_effective(self) -> float | None: ...

    @property
    def kind(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def checked(self) -> tuple[str, ...]: ...

    @property
    def n_diagnosed(self) -> int: ...

    @property
    def warnings(self) -> Sequence[Finding]: ...

    @property
    def eps(self) -> NDArray: ...

    @property
    def interval(self) -> NDArray: ...

    @property
    def assumed(self) -> tuple[Assumed, ...]: ...


class OfClassifier(Told, Protocol):
    """What the table of a classifier takes."""

    @property
    def accuracy(self) -> NDArray: ...

    @property
    def classes(self) -> NDArray: ...

    @property
    def class_accuracy(self) -> NDArray: ...

    @property
    def broken_by(self) -> Mapping[str, NDArray]: ...

    @property
    def proven(self) -> Proven | None: ...


class OfRegressor(Told, Protocol):
    """What the table of a regressor takes."""

    @property
    def loss(self) -> str: ...

    @property
    def error(self) -> NDArray: ...

    @property
    def r2(self) -> NDArray: ...

    @property
    def found_by(self) -> Mapping[str, NDArray]: ...

    @property
    def proven(self) -> ProvenErrors | None: ...


R = TypeVar("R", bound=Told)


def _heading(report: Told) -> tuple[str, str]:
    as_good_as = "" if report.n_effective is None else f", weighted: as {report.n_effective:.4g}"
    norm = report.threat.norm.name
    return (
        f"Robustness of {report.estimator_name}: {norm}, {report.n_samples} samples{as_good_as}",
        f"Evaluation: {report.kind} ({report.reason})",
    )


def _verdict(report: Told) -> str:
    n = len(report.checked)
    looked = f"{n} diagnostics of false robustness on {report.n_diagnosed} samples"
    if report.warnings:
        warned = len(report.warnings)
        return f"{warned} warning{'s' * (warned > 1)}, of {looked}:"
    return f"No warnings: {looked}."


def of_classifier(report: OfClassifier) -> Table:
    """Return the head and the rows of a table; the last column is text.

    Examples
    --------
    See :func:`sklearn_iso.metrics.robustness_report`.
    """
    labels = [str(label) for label in report.classes.tolist()]
    shown = labels if len(labels) <= MOST_CLASSES else []
    proven = report.proven
    head = ["eps", "accuracy", "95% interval", *shown, "broken by"]
    head[1:1] = [] if proven is None else ["certified"]
    rows = []
    for position, eps in enumerate(report.eps.tolist()):
        low, high = report.interval[position].tolist()
        of_classes = [f"{share:.3f}" for share in report.class_accuracy[position].tolist()]
        broken = [f"{name} {counts[position]}" for name, counts in report.broken_by.items()
                  if counts[position]]  # fmt: skip
        rows.append([
            f"{eps:.4g}", *([] if proven is None else [f"{proven.accuracy[position]:.3f}"]),
            f"{report.accuracy[position]:.3f}", f"[{low:.3f}, {high:.3f}]",
            *(of_classes if shown else []), ", ".join(broken),
        ])  # fmt: skip
    return head, rows


def of_regressor(report: OfRegressor) -> Table:
    """Return the head and the rows of a table; the last column is text.

    Examples
    --------
    See :func:`sklearn_iso.metrics.robustness_report`.
    """
    head = ["eps", report.loss.replace("_", " "), "95% interval", "R2", "found by"]
    proven = report.proven
    head[2:2] = [] if proven is None else ["certified"]
    rows = []
    for position, eps in enumerate(report.eps.tolist()):
        low, high = report.interval[position].tolist()
        found = [f"{name} {counts[position]}" for name, counts in report.found_by.items()
                 if counts[position]]  # fmt: skip
        rows.append([
            f"{eps:.4g}", f"{report.error[position]:.4g}",
            *([] if proven is None else [f"{proven.error[position]:.4g}"]),
            f"[{low:.4g}, {high:.4g}]", f"{report.r2[position]:.3f}", ", ".join(found),
        ])  # fmt: skip
    return head, rows


def as_text(report: R, table: Callable[[R], Table]) -> str:
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
    head_lines = [*_heading(report), *as_lines(report.assumed, report.threat.max_changes)]
    return "\n".join([*head_lines, "", *lines, "", _verdict(report), *found])


def as_html(report: R, table: Callable[[R], Table]) -> str:
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
