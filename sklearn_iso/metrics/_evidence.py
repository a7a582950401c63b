"""What a report rests on, as JSON: settings, versions, hashes of the data and of the model."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import scipy
import sklearn
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sklearn_iso._threat.named import Named
from sklearn_iso._version import __version__
from sklearn_iso.metrics._digests import Digest, digest_of_data, digest_of_model
from sklearn_iso.metrics._findings import Finding

#: Grows when a key changes its meaning or goes away.
FORMAT = 1
#: What JSON holds.
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Settings of a report, and hashes of what it was made of.

    Attributes
    ----------
    settings : dict of str to object
        By the names of parameters.
    digests : dict of str to Digest
        Of the model and the data.
    samples : dict of str to list
        What is known of each sample, by name; may be empty.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._evidence import Evidence
    >>> evidence = Evidence.of({"eps": 1}, DummyClassifier(), [[0.0]], [0], None)
    >>> sorted(evidence.digests)
    ['X', 'model', 'y']
    """

    settings: Mapping[str, object] = field(default_factory=dict)
    digests: Mapping[str, Digest] = field(default_factory=dict)
    samples: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        settings: Mapping[str, object],
        estimator: object,
        X: object,
        y: object,
        sample_weight: object,
        *,
        samples: Mapping[str, object] | None = None,
    ) -> Evidence:
        """Return evidence, with hashes of what is there."""
        digests = {"model": digest_of_model(estimator), "X": digest_of_data(X)}
        digests["y"] = digest_of_data(y)
        if sample_weight is not None:
            digests["sample_weight"] = digest_of_data(sample_weight)
        return cls({name: plain(value) for name, value in settings.items()}, digests, samples or {})

    def and_distances(self, name: str, distances: ArrayLike | None, source: str) -> Evidence:
        """Return the same with a number for each sample, chosen from those of the X passed.

        Samples know their `position`, and settings the number of samples, `n_samples_given`.

        Raises
        ------
        ValueError
            If there is not one number for each sample of X, or one of the report has none.

        Examples
        --------
        >>> from sklearn_iso.metrics._evidence import Evidence
        >>> evidence = Evidence({"n_samples_given": 2}, samples={"position": [1]})
        >>> evidence.and_distances("distance", [0.5, 0.75], "some_metric").samples["distance"]
        [0.75]
        """
        if distances is None:
            return self
        values = np.array(distances, dtype=object)
        with contextlib.suppress(TypeError, ValueError):  # what is no number stays as it came
            values = values.astype(np.float64)
        n = self.settings.get("n_samples_given")
        if values.dtype.kind != "f" or values.shape != (n,):
            raise ValueError(
                f"{name}s must be those of the {n} samples of X, a number each; got shape "
                f"{values.shape} of dtype {values.dtype}. Pass what {source} returns for the same "
                "X."
            )
        chosen = values[np.array(self.samples["position"], dtype=int)]
        if n_missing := int(np.isnan(chosen).sum()):
            raise ValueError(
                f"{name}s must be numbers for all samples of the report; {n_missing} are NaN. "
                f"Pass the same sample_weight to {source} and robustness_report."
            )
        return replace(self, samples={**self.samples, name: chosen.tolist()})


def plain(value: object) -> Json:
    """Return a value as what JSON holds: null for NaN, text for infinities and all that is else.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._evidence import plain
    >>> plain({"eps": np.array([0.5, np.nan, np.inf]), "attack": print})
    {'eps': [0.5, None, 'inf'], 'attack': 'builtins.print'}
    >>> from sklearn_iso import ThreatModel
    >>> plain(ThreatModel("l2", units=[1, 2]))["units"]
    [1.0, 2.0]
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    named = value if isinstance(value, Mapping) else _named(value) or _fields(value)
    if named is not None:
        return {str(name): plain(one) for name, one in named.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    return _plain_scalar(value)


def _named(value: object) -> Mapping[Hashable, float] | None:
    """Return values that come with names as a dict."""
    named = Named.of(value) if isinstance(value, Named) or hasattr(value, "to_numpy") else None
    return None if named is None else dict(zip(named.names, named.values, strict=True))


def _fields(value: object) -> Mapping[str, object] | None:
    """Return a dataclass by its fields, which tell what its repr cuts short."""
    if not is_dataclass(value) or isinstance(value, type):
        return None
    return {"repr": _told(value)} | {one.name: getattr(value, one.name) for one in fields(value)}


def _plain_scalar(value: object) -> Json:
    if isinstance(value, float):
        number = float(value)
        return number if np.isfinite(number) else None if np.isnan(number) else repr(number)
    if value is None or isinstance(value, bool | str):
        return value
    return int(value) if isinstance(value, int) else _told(value)


def _told(value: object) -> str:
    """Return the repr of an object, or its name where that would be an address."""
    text = repr(value)
    if " at 0x" not in text and not hasattr(value, "__qualname__"):
        return text
    thing = value if hasattr(value, "__qualname__") else type(value)
    return f"{thing.__module__}.{thing.__qualname__}"


class Report(Protocol):
    """What reports of classifiers and of regressors both tell."""

    @property
    def estimator_name(self) -> str:
        """The class of the estimator."""

    @property
    def n_samples(self) -> int:
        """How many samples."""

    @property
    def kind(self) -> str:
        """What evaluation was possible."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def warnings(self) -> Sequence[Finding]:
        """Signs that figures cannot be trusted."""

    @property
    def checked(self) -> Sequence[str]:
        """The diagnostics that were run."""

    @property
    def n_diagnosed(self) -> int:
        """Samples that they looked at."""

    @property
    def n_refused(self) -> int:
        """Perturbed points without an answer."""

    @property
    def n_effective(self) -> float | None:
        """Number of samples of equal weight."""

    @property
    def evidence(self) -> Evidence:
        """Settings, hashes and samples."""

    def columns(self) -> dict[str, NDArray]:
        """Return the table by column."""


def figures_of(report: Report, **own: object) -> dict[str, object]:
    """Return the figures that every report tells, and those of its own kind.

    Examples
    --------
    See :meth:`sklearn_iso.metrics.RobustnessReport.to_json`.
    """
    return {
        "n_samples": report.n_samples,
        "n_effective": report.n_effective,
        "evaluation": report.kind,
        "reason": report.reason,
        **own,
        "table": report.columns(),
        "warnings": [asdict(finding) for finding in report.warnings],
        "diagnostics": report.checked,
        "n_diagnosed": report.n_diagnosed,
        "n_refused": report.n_refused,
    }


def write(
    kind: str,
    estimator_name: str,
    figures: Mapping[str, object],
    evidence: Evidence,
    *,
    path: str | os.PathLike[str] | None,
    date: str | None,
) -> str:
    """Return a report as JSON, and write it where a path is given.

    Raises
    ------
    ValueError, TypeError
        If path names no file, or date is no text.

    Examples
    --------
    >>> from sklearn_iso.metrics._evidence import Evidence, write
    >>> '"report": "some"' in write("some", "SVC", {}, Evidence(), path=None, date=None)
    True
    """
    if date is not None and not isinstance(date, str):
        raise TypeError(f"date must be text, such as '2026-11-30'; got {date!r}.")
    content: dict[str, object] = {"format": FORMAT, "report": kind, "estimator": estimator_name}
    if date is not None:
        content["date"] = date
    content |= {
        "versions": versions(),
        "hashes": {name: asdict(digest) for name, digest in evidence.digests.items()},
        "settings": evidence.settings,
        "results": figures,
        "samples": evidence.samples,
    }
    text = _lines(plain(content)) + "\n"
    if path is not None:
        if not isinstance(path, str | os.PathLike) or "\0" in str(path):
            raise ValueError(f"path must name a file, in text or a pathlib.Path; got {path!r}.")
        Path(path).write_text(text, encoding="utf-8")
    return text


def _lines(value: Json, indent: str = "") -> str:
    """Return JSON with a line for each name, and for each object in a list; lists stay short."""
    deeper = indent + " "
    if isinstance(value, dict) and value:
        parts = [f"{json.dumps(n)}: {_lines(one, deeper)}" for n, one in value.items()]
        return "{\n" + ",\n".join(deeper + part for part in parts) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        parts = [json.dumps(one, allow_nan=False, ensure_ascii=False) for one in value]
        return "[\n" + ",\n".join(deeper + part for part in parts) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def versions() -> dict[str, str]:
    """Return the versions of what computes.

    Examples
    --------
    >>> from sklearn_iso.metrics._evidence import versions
    >>> sorted(versions())
    ['numpy', 'python', 'scikit-learn', 'scipy', 'sklearn_iso', 'torch']
    """
    return {
        "python": platform.python_version(),
        "sklearn_iso": __version__,
        "scikit-learn": sklearn.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
