"""What a report of a regressor rests on: the worst loss found of each sample at each budget."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from numbers import Real
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso.metrics._evidence import Evidence, write
from sklearn_iso.metrics._findings import Finding
from sklearn_iso.metrics._worst_runs import WorstRuns


class Told(Protocol):
    """What a report has to tell."""

    @property
    def estimator_name(self) -> str:
        """The class of the estimator."""

    @property
    def n_samples(self) -> int:
        """How many samples."""

    @property
    def loss(self) -> str:
        """Name of the loss."""

    @property
    def kind(self) -> str:
        """What evaluation was possible."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def warnings(self) -> Sequence[Finding]:
        """Signs that figures are too low."""

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


def regression_evidence(
    data: tuple[object, object, object, ArrayLike | None],
    runs: WorstRuns,
    settings: Mapping[str, object],
) -> Evidence:
    """Return what is known of each sample, with settings and hashes.

    Parameters
    ----------
    data : (estimator, X, y, sample_weight)
        As the user passed them.
    runs : WorstRuns
    settings : mapping of str to object

    Examples
    --------
    See :meth:`sklearn_iso.metrics.RegressionReport.to_json`.
    """
    estimator, X, y, weight = data
    n = runs.loss.shape[1]
    given = np.arange(n) if weight is None else np.flatnonzero(np.asarray(weight))
    predicted = np.moveaxis(runs.predicted, 0, 1)  # of each sample at each budget
    samples = {
        "position": given.tolist(),
        "loss": runs.loss.T.tolist(),
        "prediction": (predicted[..., 0] if predicted.shape[2] == 1 else predicted).tolist(),
        "found_by": runs.stage.T.tolist(),
    }
    counted = {"n_samples_given": n if weight is None else len(np.asarray(weight))}
    return Evidence.of({**settings, **counted}, estimator, X, y, weight, samples=samples)


class LossesAsJson:
    """A report of a regressor that tells its evidence.

    Examples
    --------
    See :meth:`to_json`.
    """

    def to_json(
        self: Told,
        path: str | os.PathLike[str] | None = None,
        *,
        distances: ArrayLike | None = None,
        tolerance: float | None = None,
        date: str | None = None,
    ) -> str:
        """Return the evidence as JSON, and write it to a file.

        It holds the table, the warnings, the settings, versions of the libraries, hashes of the
        model and the data, and of each sample at each budget, in the order of `eps`, the worst
        loss found, the prediction that it is of, and which attack found it. Losses are lower
        bounds of the worst ones, distances upper bounds.

        Parameters
        ----------
        path : path-like, optional
            Where to write it.
        distances : array-like of shape (n_samples,), optional
            Of the samples of X, as :func:`adversarial_distance` returns them at a tolerance.
        tolerance : float, optional
            That of the distances, in units of y; both are passed, or neither.
        date : str, optional
            Told as it is; without one there is none, and equal calls give equal text.

        Returns
        -------
        str
            Valid JSON. Null is what is not known; an infinite distance is the text "inf".

        Raises
        ------
        ValueError
            If distances are not one number for each sample of X, they come without a tolerance
            or the reverse, or path names no file.
        TypeError
            If date is no text.

        Examples
        --------
        >>> import json
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.linear_model import Ridge
        >>> from sklearn_iso.metrics import robustness_report
        >>> X, y = load_diabetes(return_X_y=True)
        >>> ridge = Ridge().fit(X, y)
        >>> report = robustness_report(ridge, X, y, eps=[0, 0.01], threat="l2", random_state=0)
        >>> told = json.loads(report.to_json())
        >>> told["samples"]["found_by"][0]
        ['clean', 'frank_wolfe']
        """
        evidence = self.evidence.and_distances("distance", distances, "adversarial_distance")
        if distances is not None or tolerance is not None:
            evidence = _at_tolerance(evidence, tolerance, known=distances is not None)
        figures = {
            "n_samples": self.n_samples,
            "n_effective": self.n_effective,
            "evaluation": self.kind,
            "reason": self.reason,
            "loss": self.loss,
            "table": self.columns(),
            "warnings": [asdict(finding) for finding in self.warnings],
            "diagnostics": self.checked,
            "n_diagnosed": self.n_diagnosed,
            "n_refused": self.n_refused,
        }
        return write(
            "regression_report", self.estimator_name, figures, evidence, path=path, date=date
        )


def _at_tolerance(evidence: Evidence, tolerance: float | None, *, known: bool) -> Evidence:
    """Return the same with the tolerance of its distances among the settings."""
    size = np.nan
    with contextlib.suppress(OverflowError):  # of whole numbers that no float holds
        size = float(tolerance) if isinstance(tolerance, Real) else np.nan
    if not (known and np.isfinite(size) and size > 0):
        raise ValueError(
            "distances of a regressor go with their tolerance, a positive number; got "
            f"tolerance={tolerance!r} with distances {'given' if known else 'missing'}. Pass the "
            "tolerance that adversarial_distance got, and what it returned."
        )
    return replace(evidence, settings={**evidence.settings, "tolerance": size})
