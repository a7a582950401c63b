"""A report of the robustness of a regressor: error and R2 by budget, and what may be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.metrics import r2_score

from sklearn_iso._protocols import Predictor, Samples
from sklearn_iso._threat import ThreatModel
from sklearn_iso._weighting import effective_number
from sklearn_iso.attacks import Attack
from sklearn_iso.attacks._parameters import RandomState, as_generator
from sklearn_iso.metrics._access import Gradients
from sklearn_iso.metrics._assumptions import Assumed, assumptions, budgets_fit
from sklearn_iso.metrics._diagnostics import estimator_answers
from sklearn_iso.metrics._evidence import Evidence
from sklearn_iso.metrics._findings import Finding, draw
from sklearn_iso.metrics._frames import frame_of
from sklearn_iso.metrics._known_errors import STAGE
from sklearn_iso.metrics._proven_ranges import ProvenErrors
from sklearn_iso.metrics._regression_evaluation import Method, RegressionEvaluation, Worst
from sklearn_iso.metrics._regression_evidence import LossesAsJson, regression_evidence
from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss
from sklearn_iso.metrics._rendering import as_html, as_text, of_regressor
from sklearn_iso.metrics._worst_runs import WorstRuns, worst_runs

if TYPE_CHECKING:
    from pandas import DataFrame

#: Share by which a second search may raise the mean loss.
SHARE_FOUND_LATER = 0.02


@dataclass(frozen=True, eq=False)
class RegressionReport(LossesAsJson):
    r"""What :func:`robustness_report` found of a regressor; it prints as a table.

    Attributes
    ----------
    estimator_name : str
    threat : ThreatModel
        What an attack could do, as it was passed.
    n_samples : int
        Number of samples, those of weight 0 left out.
    loss : str
        Name of the loss.
    eps : ndarray of shape (n_budgets,)
    error : ndarray of shape (n_budgets,)
        Mean of the worst losses found within each budget. It never falls with eps, by
        construction.
    interval : ndarray of shape (n_budgets, 2)
        95% intervals of the mean over samples, by its standard error.
    r2 : ndarray of shape (n_budgets,)
        Coefficient of determination of the worst predictions found, over several outputs the mean.
    found_by : dict of str to ndarray of shape (n_budgets,)
        For how many samples, whatever their weights, each attack found the worst prediction;
        "clean" are those of which none was found worse than without an attack.
    kind : {"white-box", "surrogate", "score-based"}
        What evaluation was possible.
    reason : str
        Why.
    warnings : tuple of Finding
        Signs that figures are too low, each with what to do next.
    checked : tuple of str
        The diagnostics that were run.
    n_diagnosed : int
        Samples that they looked at.
    n_refused : int
        Perturbed points within reach of the budgets at which the estimator gave no answer.
    n_effective : float or None
        With weights, the number of samples of equal weight that tell as much (Kish):
        :math:`(\sum_i w_i)^2 / \sum_i w_i^2`.
    assumed : tuple of Assumed
        What the threat was taken to mean for each column of a table with text, categories,
        booleans or missing values. Empty for tables of numbers.
    evidence : Evidence
        Settings, hashes, and the worst loss of each sample, for :meth:`to_json`.
    proven : ProvenErrors, or None
        With ``certify=True`` the method of the proofs, the mean of the losses that no perturbation
        within each budget exceeds, and these losses.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_iso.metrics import robustness_report
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ridge = Ridge().fit(X, y)
    >>> report = robustness_report(ridge, X, y, eps=[0, 0.01], threat="l2", random_state=0)
    >>> print(report)
    Robustness of Ridge: l2, 442 samples
    Evaluation: white-box (its twin predicts as the estimator does on these samples)
    <BLANKLINE>
      eps  absolute error    95% interval     R2  found by
        0           47.61  [44.67, 50.54]  0.451  clean 442
     0.01           52.72  [49.79, 55.66]  0.365  frank_wolfe 442
    <BLANKLINE>
    No warnings: 3 diagnostics of false robustness on 100 samples.
    """

    estimator_name: str
    threat: ThreatModel
    n_samples: int
    loss: str
    eps: NDArray[np.float64]
    error: NDArray[np.float64]
    interval: NDArray[np.float64]
    r2: NDArray[np.float64]
    found_by: dict[str, NDArray[np.int_]]
    kind: str
    reason: str
    warnings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = field(default=(), repr=False)
    n_diagnosed: int = 0
    n_refused: int = 0
    n_effective: float | None = None
    assumed: tuple[Assumed, ...] = ()
    evidence: Evidence = field(default_factory=Evidence, repr=False)
    proven: ProvenErrors | None = None

    def columns(self) -> dict[str, NDArray]:
        """Return the table by column, one entry for each budget.

        Returns
        -------
        columns : dict of str to ndarray of shape (n_budgets,)
            What the table holds, by its heading.
        """
        found = {f"found by {stage}": counts for stage, counts in self.found_by.items()}
        return {
            "eps": self.eps,
            self.loss: self.error,
            **({} if self.proven is None else {"certified": self.proven.error}),
            "low": self.interval[:, 0],
            "high": self.interval[:, 1],
            "r2": self.r2,
            **found,
        }

    def to_frame(self) -> DataFrame:
        """Return the table as a pandas DataFrame, one row for each budget.

        Returns
        -------
        table : pandas.DataFrame
            What :meth:`columns` returns.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return frame_of(self.columns(), type(self).__name__, "columns()")

    def __str__(self) -> str:
        """Return a table for people."""
        return as_text(self, of_regressor)

    def _repr_html_(self) -> str:
        return as_html(self, of_regressor)


def regression_report(
    problem: RegressionProblem,
    loss: SampleLoss,
    sizes: NDArray[np.float64],
    attack: Method,
    *,
    random_state: RandomState,
    n_diagnosed: int,
    progress: bool,
    told_threat: ThreatModel,
    data: tuple[Predictor, Samples, ArrayLike, ArrayLike | None],
    certify: bool = False,
    n_jobs: int | None = None,
) -> RegressionReport:
    """Attack within all budgets, and look for signs that figures are too low.

    Parameters
    ----------
    problem : RegressionProblem
    loss : SampleLoss
    sizes : ndarray of shape (n_budgets,)
    attack : Attack or callable
    random_state : int, RandomState, torch.Generator or None
    n_diagnosed : int
    progress : bool
    told_threat : ThreatModel
        As it was passed.
    data : (estimator, X, y, sample_weight)
        As they were passed.
    certify : bool
        Whether to prove what can be proven, too.
    n_jobs : int, optional

    Examples
    --------
    See :class:`RegressionReport`.
    """
    generator = as_generator(random_state) if isinstance(attack, Attack) else random_state
    runs = worst_runs(
        problem, loss, sizes.tolist(), attack, generator, progress=progress, n_jobs=n_jobs
    )
    n = len(problem.table)
    n_effective = effective_number(problem.weight, n)
    found, checked, n_looked_at = _diagnose(runs, sizes, n_diagnosed, as_generator(random_state))
    assumed = assumptions(problem.table, problem.threat)
    if assumed:
        found = [*budgets_fit(assumed, sizes.tolist()), *found]
        checked = (*checked, budgets_fit.__name__)
    access = runs.evaluation.access
    settings = {
        "eps": sizes, "threat": told_threat, "attack": attack, "loss": loss.given,
        "random_state": random_state, "certify": certify,
    }  # fmt: skip
    proven = _proven(data, told_threat, loss, runs, sizes) if certify else None
    return RegressionReport(
        estimator_name=type(problem.estimator).__name__,
        threat=told_threat,
        n_samples=n,
        loss=loss.name,
        eps=sizes,
        error=runs.mean,
        interval=_intervals(runs, n_effective),
        r2=_r2(runs),
        found_by=_found_by(runs),
        kind=access.kind.value,
        reason=_reason(access.reason, runs),
        warnings=(*found, *estimator_answers(problem.refused)),
        checked=checked,
        n_diagnosed=n_looked_at,
        n_refused=problem.refused.n_points,
        n_effective=None if problem.weight is None else n_effective,
        assumed=assumed,
        evidence=regression_evidence(data, runs, settings, proven),
        proven=proven,
    )


def _proven(
    data: tuple[Predictor, Samples, ArrayLike, ArrayLike | None],
    threat: ThreatModel,
    loss: SampleLoss,
    runs: WorstRuns,
    sizes: NDArray,
) -> ProvenErrors:
    """Prove what can be proven of an estimator, X, y and weights as a user passes them."""
    estimator, X, y, weight = data
    problem = RegressionProblem.of(
        estimator, X, y, threat=threat, sample_weight=weight, missing=True
    )
    return ProvenErrors.of(problem, loss, sizes.tolist(), runs.loss)


def _reason(reason: str, runs: WorstRuns) -> str:
    """Tell where the worst leaves of a tree were known before any search."""
    exact = (runs.stage == STAGE).any()
    return f"{reason}; exact errors were taken first, of the worst leaves" if exact else reason


def _intervals(runs: WorstRuns, n_effective: float) -> NDArray[np.float64]:
    weight, mean = runs.evaluation.problem.weight, runs.mean
    squares = np.average((runs.loss - mean[:, None]) ** 2, axis=1, weights=weight)
    half = ndtri(0.975) * np.sqrt(squares / max(1.0, n_effective - 1))
    return np.stack([mean - half, mean + half], axis=1)


def _r2(runs: WorstRuns) -> NDArray[np.float64]:
    problem = runs.evaluation.problem
    if len(problem.y) < 2:  # noqa: PLR2004
        return np.full(len(runs.predicted), np.nan)
    scores = [r2_score(problem.y, p, sample_weight=problem.weight) for p in runs.predicted]
    return np.array(scores)


def _found_by(runs: WorstRuns) -> dict[str, NDArray[np.int_]]:
    names = dict.fromkeys(runs.stage.ravel().tolist())
    order = sorted(names, key=lambda name: name != "clean")
    return {name: (runs.stage == name).sum(axis=1) for name in order}


def _diagnose(
    runs: WorstRuns, sizes: NDArray, n_diagnosed: int, generator: torch.Generator
) -> tuple[list[Finding], tuple[str, ...], int]:
    """Return findings, names of the checks, and how many samples they looked at."""
    problem = runs.evaluation.problem
    n = len(problem.table)
    findings, names = [_gradients_are_useful(runs.evaluation)], ["gradients_are_useful"]
    rows = draw(np.ones(n, dtype=bool), n_diagnosed, generator)
    if len(rows):
        findings += [_predictions_repeat(problem, rows), _search_suffices(runs, sizes, rows)]
        names += ["predictions_repeat", "search_suffices"]
    return [one for one in findings if one is not None], tuple(names), len(rows)


def _gradients_are_useful(evaluation: RegressionEvaluation) -> Finding | None:
    """Tell of gradients that vanish or are no numbers."""
    if evaluation.access.gradients not in (Gradients.VANISH, Gradients.NOT_FINITE):
        return None
    return Finding(
        "zero or NaN gradients",
        evaluation.access.reason,
        "do not believe attacks by gradients on this model, here or elsewhere; raise n_queries, "
        "or give the class a to_torch() with a smooth stand-in for that step",
    )


def _predictions_repeat(problem: RegressionProblem, rows: NDArray) -> Finding | None:
    """Ask the same question twice."""
    values = problem.table.values[rows]
    first, again = (problem.predict_perturbed(values, rows) for _ in range(2))
    differs = int((first != again).any(axis=1).sum())
    if not differs:
        return None
    return Finding(
        "predictions do not repeat",
        f"two predictions differ on {differs} of {len(rows)} samples, so the model is random",
        "fix its randomness in predict; the worst of many noisy answers is no error under attack",
    )


def _search_suffices(runs: WorstRuns, sizes: NDArray, rows: NDArray) -> Finding | None:
    """Attack some samples again, with other draws, within the largest budget."""
    evaluation, largest = runs.evaluation, int(np.argmax(sizes))
    problem = evaluation.problem
    weight = None if problem.weight is None else problem.weight[rows]
    table = problem.table.part(rows)
    some = replace(
        problem, table=table, y=problem.y[rows], clean=problem.clean[rows], weight=weight
    )
    before = runs.loss[largest][rows]
    again = replace(evaluation, problem=some, access=replace(evaluation.access, problem=some))
    worst = Worst.of(some.points(), runs.predicted[largest][rows], before)
    again.attack(worst, float(sizes[largest]))
    mean, more = (np.average(loss, weights=weight) for loss in (before, worst.loss))
    if more <= mean + SHARE_FOUND_LATER * abs(mean):
        return None
    return Finding(
        "search not finished",
        f"a second attack with other draws raises the mean loss from {mean:.4g} to {more:.4g} on "
        f"{len(rows)} samples",
        "raise n_queries until this finding goes away",
    )
