"""The figures of a report: accuracy by budget and class, and what broke how many samples."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._weighting import effective_number
from sklearn_iso.metrics._adversarial import Runs
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._weights import wilson_interval


class Figures(TypedDict):
    """Those of a report that follow from a problem and its runs."""

    n_samples: int
    accuracy: NDArray
    interval: NDArray
    classes: NDArray
    class_counts: NDArray
    class_accuracy: NDArray
    broken_by: dict[str, NDArray]
    kind: str
    reason: str
    n_refused: int
    n_effective: float | None
    n_unseen: int


def figures(problem: Problem, runs: Runs) -> Figures:
    """Return what a report tells of runs at growing budgets.

    Examples
    --------
    See :func:`sklearn_iso.metrics.robustness_report`.
    """
    access = None if runs.evaluation is None else runs.evaluation.access
    n_effective = effective_number(problem.weight, len(problem.table))
    counted = problem.codes[problem.codes >= 0]
    return {
        "n_samples": len(problem.table),
        "accuracy": runs.accuracy,
        "interval": np.array([wilson_interval(held, n_effective) for held in runs.accuracy]),
        "classes": problem.classes,
        "class_counts": np.bincount(counted, minlength=len(problem.classes)),
        "class_accuracy": _of_classes(problem, runs),
        "broken_by": _broken_by(runs),
        "kind": "none" if access is None else access.kind.value,
        "reason": "there was nothing to attack" if access is None else _reason(access.reason, runs),
        "n_refused": problem.refused.n_points,
        "n_effective": None if problem.weight is None else n_effective,
        "n_unseen": int(runs.unseen.sum()),
    }


def _reason(reason: str, runs: Runs) -> str:
    """Tell of how many samples proofs knew the answer before any search."""
    n, n_exact = int((runs.stage != "clean").sum()), int(runs.exact.sum())
    told = f"exact errors were taken first, which settle {n_exact} of {n} samples"
    return f"{reason}; {told}" if n_exact else reason


def _of_classes(problem: Problem, runs: Runs) -> NDArray:
    """Accuracy of each class at each budget; NaN without samples."""
    of_class = (problem.codes == np.arange(len(problem.classes))[:, None]).astype(float)
    if problem.weight is not None:
        of_class *= problem.weight
    total = of_class.sum(axis=1)
    held = runs.robust.astype(float) @ of_class.T
    return np.divide(held, total, out=np.full_like(held, np.nan), where=total > 0)


def _broken_by(runs: Runs) -> dict[str, NDArray]:
    names = [name for name in dict.fromkeys(runs.stage.tolist()) if name]
    order = sorted(names, key=lambda name: (name != "clean", names.index(name)))
    return {name: (~runs.robust & (runs.stage == name)).sum(axis=1) for name in order}
