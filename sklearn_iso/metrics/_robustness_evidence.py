"""What a report of robustness rests on: what broke each sample, and at which budget."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sklearn_iso.metrics._adversarial import Runs
from sklearn_iso.metrics._evidence import Evidence, Report, figures_of, write
from sklearn_iso.metrics._proven import Proven

#: Share by which rounding may put a lower bound above an upper one.
ROUNDING = 1e-5


class Told(Report, Protocol):
    """What a report of a classifier has to tell."""

    @property
    def n_unseen(self) -> int:
        """Samples of which nothing is known."""

    @property
    def proven(self) -> Proven | None:
        """What is proven of each sample."""


def evidence_of(
    data: tuple[object, object, object, ArrayLike | None],
    runs: Runs,
    budgets: Sequence[float],
    settings: Mapping[str, object],
    proven: Proven | None = None,
) -> Evidence:
    """Return what is known of each sample, with settings and hashes.

    Parameters
    ----------
    data : (estimator, X, y, sample_weight)
        As the user passed them.
    runs : Runs
    budgets : sequence of float
        In the order of the runs.
    settings : mapping of str to object
    proven : Proven, or None
        Of the same samples and budgets.

    Examples
    --------
    See :meth:`sklearn_iso.metrics.RobustnessReport.to_json`.
    """
    estimator, X, y, weight = data
    given = np.arange(len(runs.stage)) if weight is None else np.flatnonzero(np.asarray(weight))
    sizes = np.array(budgets, dtype=np.float64)
    broken_at = np.where(runs.robust, np.inf, sizes[:, None]).min(axis=0)
    broken_at = np.where(runs.stage == "clean", 0.0, broken_at)
    samples: dict[str, object] = {
        "position": given.tolist(),
        "broken_by": [stage or None for stage in runs.stage.tolist()],
        "broken_at": np.where(np.isinf(broken_at), np.nan, broken_at).tolist(),
        "unseen": runs.unseen.tolist(),
    }
    if proven is not None:
        samples["certified_at"] = proven.largest(budgets).tolist()
        samples["verdicts"] = proven.verdicts.T.tolist()
    counted = {"n_samples_given": len(runs.stage) if weight is None else len(np.asarray(weight))}
    return Evidence.of({**settings, **counted}, estimator, X, y, weight, samples=samples)


class ToldAsJson:
    """A report of robustness that tells its evidence.

    Examples
    --------
    See :meth:`to_json`.
    """

    def to_json(
        self: Told,
        path: str | os.PathLike[str] | None = None,
        *,
        distances: ArrayLike | None = None,
        certified_distances: ArrayLike | None = None,
        date: str | None = None,
    ) -> str:
        """Return the evidence as JSON, and write it to a file.

        It holds the table, the warnings, the settings, versions of the libraries, hashes of the
        model and the data, and of each sample what broke it and at which budget. Budgets and
        distances are upper bounds of those at which a sample breaks. A report with
        ``certify=True`` also tells the method of the proofs, and of each sample its verdict at
        each budget and the largest budget within which it provably holds: lower bounds.

        Parameters
        ----------
        path : path-like, optional
            Where to write it.
        distances : array-like of shape (n_samples,), optional
            Of the samples of X, as :func:`adversarial_distance` returns them.
        certified_distances : array-like of shape (n_samples,), optional
            Of the samples of X, as :func:`certified_distance` returns them: lower bounds.
        date : str, optional
            Told as it is; without one there is none, and equal calls give equal text.

        Returns
        -------
        str
            Valid JSON. Null is what is not known or did not happen, such as the budget at which a
            sample broke that held; an infinite distance is the text "inf".

        Raises
        ------
        ValueError
            If distances are not one number for each sample of X, a certified one is larger than
            a budget that broke the sample, or path names no file.
        TypeError
            If date is no text.

        Examples
        --------
        >>> import json
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn_iso.metrics import robustness_report
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = LogisticRegression(max_iter=500).fit(X, y)
        >>> report = robustness_report(classifier, X, y, eps=[0.2, 0.4], random_state=0)
        >>> told = json.loads(report.to_json())
        >>> told["samples"]["broken_by"][70], told["samples"]["broken_at"][70]
        ('clean', 0.0)
        """
        evidence = self.evidence.and_distances("distance", distances, "adversarial_distance")
        evidence = evidence.and_distances(
            "certified_distance", certified_distances, "certified_distance"
        )
        _check_bounds(evidence.samples)
        proof = None if self.proven is None else self.proven.method
        figures = {**figures_of(self, proof=proof), "n_unseen": self.n_unseen}
        return write(
            "robustness_report", self.estimator_name, figures, evidence, path=path, date=date
        )


def _check_bounds(samples: Mapping[str, object]) -> None:
    """Raise a ValueError where a proof contradicts what an attack has shown."""
    proven = samples.get("certified_distance")
    if proven is None:
        return
    lower = np.array(proven, dtype=np.float64)
    for name in ("broken_at", "distance"):
        upper = np.array(samples.get(name, np.nan), dtype=np.float64)
        too_far = lower > upper * (1 + ROUNDING)
        if too_far.any():
            raise ValueError(
                "certified_distances must be lower bounds; those of "
                f"{int(too_far.sum())} samples lie above {name}, where an attack got them "
                "misclassified. Pass the certified_distance of the same estimator, X, y and threat."
            )
