"""What a report of a regressor rests on: the worst loss found of each sample at each budget."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sklearn_iso.metrics._evidence import Evidence, Report, figures_of, write
from sklearn_iso.metrics._proven_ranges import ProvenErrors
from sklearn_iso.metrics._worst_runs import WorstRuns


class Told(Report, Protocol):
    """What a report of a regressor has to tell."""

    @property
    def loss(self) -> str:
        """Name of the loss."""

    @property
    def proven(self) -> ProvenErrors | None:
        """What is proven of each sample."""


def regression_evidence(
    data: tuple[object, object, object, ArrayLike | None],
    runs: WorstRuns,
    settings: Mapping[str, object],
    proven: ProvenErrors | None = None,
) -> Evidence:
    """Return what is known of each sample, with settings and hashes.

    Parameters
    ----------
    data : (estimator, X, y, sample_weight)
        As the user passed them.
    runs : WorstRuns
    settings : mapping of str to object
    proven : ProvenErrors, or None

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
    if proven is not None:
        samples["certified_loss"] = proven.losses.T.tolist()
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
        bounds of the worst ones, distances upper bounds. With ``certify=True`` it also holds the
        method of the proofs, and upper bounds of the worst losses.

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
        proof = None if self.proven is None else self.proven.method
        figures = figures_of(self, loss=self.loss, proof=proof)
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
