"""What a reader of a shipped model wants to know, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Protocol

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_iso._version import __version__

#: Most class labels that are spelt out.
_MOST_LABELS = 20


class Report(Protocol):
    """What prints as a table, such as the reports of :mod:`sklearn_iso.metrics`."""

    def to_frame(self) -> object:
        """Return the table."""


def model_card(
    estimator: BaseEstimator,
    *,
    title: str | None = None,
    metrics: Mapping[str, float] | None = None,
    reports: Report | str | Sequence[Report | str] = (),
) -> str:
    """Return a model card in Markdown: what an estimator is, takes, gives and was trained with.

    What the model is for, the origin of its data and its licence only you know: the card ends
    with a place for them.

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
    title : str, optional
        The name of its class by default.
    metrics : mapping of str to float, optional
        What you measured, by name; with the data in the name, as "accuracy on test samples".
    reports : report, str, or list of them, default=()
        Reports of :mod:`sklearn_iso.metrics`, whose tables the card shows, or text of your own.
        Hashes of the model and the data stand below a report that knows them.

    Returns
    -------
    card : str
        Text in Markdown.

    References
    ----------
    M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.persistence import model_card
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = IsometricClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> print(model_card(clf, title="Iris", metrics={"accuracy, training": 0.8}))
    # Iris
    <BLANKLINE>
    ...
    | accuracy, training | 0.8 |
    ...
    """
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title must be text; got {title!r}.")
    if metrics is not None and not (
        isinstance(metrics, Mapping) and all(isinstance(value, Real) for value in metrics.values())
    ):
        raise TypeError(f"metrics must map names to numbers; got {metrics!r}.")
    told = _checked(reports)
    check_is_fitted(estimator)
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    versions = f"sklearn-iso {__version__}, scikit-learn {sklearn.__version__}"
    sections = [
        f"# {title or type(last).__name__}",
        f"```python\n{estimator!r}\n```",
        f"Trained with {versions}, torch {torch.__version__}.",
        _table("Input and output", _interface(estimator, last)),
        _table("Training", _training(last)),
        _table("Measured", {name: f"{value:.4g}" for name, value in (metrics or {}).items()}),
        "## Reports" if told else "",
        *(_reported(report) for report in told),
        "## Use, data and limits\n\nTo be written: what the model is for and not for, where its "
        "data come from, its licence.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _checked(reports: str | Report | Sequence[str | Report]) -> list[str | Report]:
    """Return reports in a list."""
    listed = [*reports] if isinstance(reports, list | tuple) else [reports]
    known = [one for one in listed if isinstance(one, str) or hasattr(one, "to_frame")]
    if len(known) < len(listed):
        raise TypeError(
            f"reports must be reports of sklearn_iso.metrics, or text; got {reports!r}. Pass what "
            "robustness_report or corruption_report returned."
        )
    return known


def _reported(report: str | Report) -> str:
    """Return a report as it prints, and what it was measured on."""
    text = str(report)
    fence = "```"
    while fence in text:
        fence += "`"
    block = f"{fence}text\n{text}\n{fence}"
    if not hasattr(report, "to_json") or isinstance(report, str):
        return block
    hashes = json.loads(report.to_json()).get("hashes", {})
    lines = [f"- SHA-256 of {name}: `{one['sha256']}`" for name, one in hashes.items()
             if one["sha256"]]  # fmt: skip
    return "\n\n".join([block, "\n".join(lines)]) if lines else block


def _interface(estimator: BaseEstimator, last: BaseEstimator) -> dict[str, object]:
    rows: dict[str, object] = {"features": estimator.n_features_in_}
    if hasattr(estimator, "feature_names_in_"):
        rows["names of the features"] = ", ".join(estimator.feature_names_in_)
    if hasattr(last, "classes_"):
        if isinstance(last.classes_, list) and any(map(np.ndim, last.classes_)):
            rows |= {f"classes of level {k}": _some(c) for k, c in enumerate(last.classes_)}
        else:
            rows["classes"] = _some(last.classes_)
    return rows


def _some(labels: NDArray) -> str:
    return ", ".join([*map(str, labels[:_MOST_LABELS]), *["..."] * (len(labels) > _MOST_LABELS)])


def _training(last: BaseEstimator) -> dict[str, object]:
    rows: dict[str, object] = {}
    if hasattr(last, "net_"):
        rows["weights"] = sum(p.numel() for p in last.net_.module_.parameters())
    if getattr(last, "selection_", None) is not None:
        n_tried = len(last.selection_["alpha"])
        rows["alpha and weight decay"] = f"chosen among {n_tried} candidates by held out samples"
    for text, name in (
        ("alpha", "alpha_"),
        ("weight decay", "weight_decay_"),
        ("temperature of the logits", "temperature_"),
        ("share of the predictions that is kept", "shrinkage_"),
        ("epochs", "n_iter_"),
        ("radius of the worst case, in units of the last step's input", "radius_"),
        ("scale of the worst case, output per unit of input", "scale_"),
        ("stress of the training samples", "stress_"),
        ("reconstruction error of the training samples", "reconstruction_error_"),
    ):
        if hasattr(last, name):
            rows[text] = getattr(last, name)
    for name, values in getattr(last, "history_", {}).items():
        if name != "epoch" and values:
            rows[f"last {name.replace('_', ' ')}"] = values[-1]
    return rows


def _table(title: str, rows: Mapping[str, object]) -> str:
    if not rows:
        return ""
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join([f"## {title}\n", "| | |", "|---|---|", *lines])


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
