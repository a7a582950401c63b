"""A report of robustness: the curve, its certainty, what broke what, and what may be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, TypedDict, overload

import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_regressor
from sklearn.utils._param_validation import Interval

from sklearn_iso._protocols import Classifier, Predictor, RandomState
from sklearn_iso._threat import Threat, ThreatModel, as_threat
from sklearn_iso._typed import validate_params
from sklearn_iso._weighting import effective_number
from sklearn_iso.attacks import Attack, AttackEnsemble, RayS, Square, as_attack
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.attacks._parameters import as_generator
from sklearn_iso.metrics._access import AccessKind
from sklearn_iso.metrics._adversarial import JOBS_CONSTRAINTS, Runs, nested_runs, no_loss_of
from sklearn_iso.metrics._assumptions import Assumed, assumptions, budgets_fit
from sklearn_iso.metrics._curve import CURVE_CONSTRAINTS, check_budgets
from sklearn_iso.metrics._diagnostics import checks_for, estimator_answers, samples_suffice
from sklearn_iso.metrics._evidence import Evidence
from sklearn_iso.metrics._figures import figures
from sklearn_iso.metrics._findings import Finding, Sample, draw
from sklearn_iso.metrics._frames import frame_of
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._proven import Proven
from sklearn_iso.metrics._regression_problem import LossLike, RegressionProblem, SampleLoss
from sklearn_iso.metrics._regression_report import RegressionReport, regression_report
from sklearn_iso.metrics._rendering import as_html, as_text, of_classifier
from sklearn_iso.metrics._repeated import search_suffices
from sklearn_iso.metrics._robustness_evidence import ToldAsJson, evidence_of
from sklearn_iso.metrics._unseen import starts_were_found
from sklearn_iso.modules._ambient import gradients_on

if TYPE_CHECKING:
    from pandas import DataFrame
    from typing_extensions import Unpack

#: Attacks of which more queries may break more.
SEARCHES = (AttackEnsemble, Square, RayS)


@dataclass(frozen=True, eq=False)
class RobustnessReport(ToldAsJson):
    r"""What :func:`robustness_report` found; it prints as a table.

    Attributes
    ----------
    estimator_name : str
    threat : ThreatModel
        What an attack could do, as it was passed.
    n_samples : int
        Number of samples, those of weight 0 left out.
    eps : ndarray of shape (n_budgets,)
    accuracy : ndarray of shape (n_budgets,)
        Share of all samples, or of the sum of their weights, that hold. It never rises with eps,
        by construction: what breaks at a budget counts as broken at all larger ones.
    interval : ndarray of shape (n_budgets, 2)
        95% Wilson intervals, of `n_effective` samples.
    classes : ndarray of shape (n_classes,)
    class_counts : ndarray of shape (n_classes,)
        Samples of each class; those of labels that are not among the classes are in none.
    class_accuracy : ndarray of shape (n_budgets, n_classes)
        NaN for classes without samples.
    broken_by : dict of str to ndarray of shape (n_budgets,)
        How many samples, whatever their weights, each attack had broken by each budget; "clean"
        are those misclassified without an attack.
    kind : {"none", "white-box", "surrogate", "score-based", "decision-based"}
        What evaluation was possible; "none" if there was nothing to attack.
    reason : str
        Why.
    warnings : tuple of Finding
        Signs that figures are too high, each with what to do next.
    checked : tuple of str
        The diagnostics that were run.
    n_diagnosed : int
        Samples that they looked at.
    n_refused : int
        Perturbed points within reach of the budgets at which the estimator gave no answer: it
        raised an error, or its scores were NaN. They count as not adversarial.
    n_effective : float or None
        With weights, the number of samples of equal weight that tell as much (Kish):
        :math:`(\sum_i w_i)^2 / \sum_i w_i^2`.
    n_unseen : int
        Samples that were searched by labels alone without meeting another label: they count as
        robust, and nothing is known of them.
    evidence : Evidence
        Settings, hashes, and what broke each sample, for :meth:`to_json`.
    assumed : tuple of Assumed
        What the threat was taken to mean for each column of a table with text, categories,
        booleans or missing values: its name, its kind ("moves", "may change" or "stays"), unit
        and bounds. Empty for tables of numbers.

    proven : Proven, or None
        With ``certify=True`` the method of the proofs, the share of the samples that no
        perturbation within each budget gets misclassified, and of each sample whether it is
        "certified", "broken" or "open".

    Examples
    --------
    See :func:`robustness_report`.

    >>> from sklearn_iso.metrics import RobustnessReport
    >>> RobustnessReport.__name__
    'RobustnessReport'
    """

    estimator_name: str
    threat: ThreatModel
    n_samples: int
    eps: NDArray
    accuracy: NDArray
    interval: NDArray
    classes: NDArray
    class_counts: NDArray
    class_accuracy: NDArray
    broken_by: dict[str, NDArray]
    kind: str
    reason: str
    warnings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = field(default=(), repr=False)
    n_diagnosed: int = 0
    n_refused: int = 0
    n_effective: float | None = None
    n_unseen: int = 0
    evidence: Evidence = field(default_factory=Evidence, repr=False)
    assumed: tuple[Assumed, ...] = ()
    proven: Proven | None = None

    def columns(self) -> dict[str, NDArray]:
        """Return the table by column, one entry for each budget.

        Returns
        -------
        columns : dict of str to ndarray of shape (n_budgets,)
            What the table holds, by its heading.
        """
        of_classes = {
            f"accuracy of {label}": self.class_accuracy[:, position]
            for position, label in enumerate(self.classes.tolist())
        }
        broken = {f"broken by {stage}": counts for stage, counts in self.broken_by.items()}
        return {
            "eps": self.eps,
            "accuracy": self.accuracy,
            **({} if self.proven is None else {"certified": self.proven.accuracy}),
            "low": self.interval[:, 0],
            "high": self.interval[:, 1],
            **of_classes,
            **broken,
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
        return as_text(self, of_classifier)

    def _repr_html_(self) -> str:
        return as_html(self, of_classifier)


class _Options(TypedDict, total=False):
    threat: Threat
    attack: AttackLike
    loss: LossLike | None
    n_diagnosed: int
    random_state: RandomState
    verbose: bool
    sample_weight: ArrayLike | None
    certify: bool
    n_jobs: int | None


@overload
def robustness_report(
    estimator: Classifier, X: ArrayLike, y: ArrayLike, *, eps: ArrayLike, **how: Unpack[_Options]
) -> RobustnessReport: ...
@overload
def robustness_report(
    estimator: Predictor, X: ArrayLike, y: ArrayLike, *, eps: ArrayLike, **how: Unpack[_Options]
) -> RobustnessReport | RegressionReport: ...
@validate_params(
    {
        **CURVE_CONSTRAINTS,
        "n_diagnosed": [Interval(Integral, 0, None, closed="left")],
        "certify": ["boolean"],
        **JOBS_CONSTRAINTS,
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=False,
)
@gradients_on()
def robustness_report(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: ArrayLike,
    threat: Threat = "linf",
    attack: AttackLike = "auto",
    loss: LossLike | None = None,
    n_diagnosed: int = 100,
    random_state: RandomState = None,
    verbose: bool = True,
    sample_weight: ArrayLike | None = None,
    certify: bool = False,
    n_jobs: int | None = None,
) -> RobustnessReport | RegressionReport:
    """Evaluate the robustness of any fitted estimator, and whether to believe the figures.

    Besides the curve of :func:`robustness_curve` the report tells what evaluation was possible,
    which attack broke what, and the diagnostics of false robustness on a seeded draw of samples:
    gradients that vanish or are NaN, probabilities in place of logits, predictions that do not
    repeat, weak attacks that beat strong ones (one step, noise, transfer from a linear model,
    random search), more steps that break more, samples that hold at an unbounded budget, larger
    budgets that break less. The report of a regressor tells the error and R2 at each budget,
    and whether gradients vanish, predictions repeat, and a second search finds more. Of tables
    with text or missing values it also tells what the threat means for each column, and looks for
    budgets that hardly move one or cross all its values.

    Parameters
    ----------
    estimator : fitted classifier or regressor
    X : array-like or sparse matrix of shape (n_samples, n_features), or a DataFrame
    y : array-like of shape (n_samples,)
        Labels, or targets of a regressor.
    eps : float, or array-like of shape (n_budgets,)
        Budgets, in units of the threat.
    threat : ThreatModel, or the name of a norm, default="linf"
        What an attack may do, see :class:`sklearn_iso.ThreatModel`.
    attack : str, Attack or callable, default="auto"
        "auto" is the evaluation of :func:`adversarial_accuracy`: one attack after the other, by
        scores or labels where there are no gradients. An attack of :mod:`sklearn_iso.attacks`,
        its name, such as "pgd", or a callable ``(logits, X, y, *, eps, threat)`` runs alone.
    loss : {"absolute_error", "squared_error"} or callable, optional
        Loss of a regressor. None is "absolute_error", and all that a classifier takes.
    n_diagnosed : int
        Samples for the diagnostics; 0 leaves out those that attack.
    random_state : int, RandomState instance or None, default=None
        Seed of the attacks and of the samples for the diagnostics.
    verbose : bool
        Show a progress bar on terminals if it takes more than two seconds.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0. Accuracies are weighted; numbers of samples count each
        as one.
    certify : bool, default=False
        Prove what can be proven, too: the accuracy, or the error, under the strongest attack lies
        between the column "certified" and that of the attacks. For tables of numbers and
        estimators that :func:`certified_accuracy` or :func:`certified_error` takes.
    n_jobs : int or None, default=None
        Processes that attack 50 samples at a time. None attacks all at once in this one.

    Returns
    -------
    RobustnessReport, or RegressionReport for a regressor
        Prints as a table, with the findings below it.

    Raises
    ------
    ValueError
        If the data or a parameter break their rule, or an attack leaves its budget or the bounds,
        touches what is immutable, or returns NaN.
    TypeError
        If estimator is neither a classifier nor a regressor, a classifier came with a loss, an
        attack by gradients was asked for and there are none, or nothing can be certified.

    References
    ----------
    Carlini et al., On Evaluating Adversarial Robustness, arXiv 1902.06705.
    Athalye, Carlini, Wagner, Obfuscated Gradients Give a False Sense of Security, ICML 2018.
    Pintor et al., Indicators of Attack Failure, NeurIPS 2022.
    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal of the
    American Statistical Association 22, 1927.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics import robustness_report
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = LogisticRegression(max_iter=500).fit(X, y)
    >>> report = robustness_report(classifier, X, y, eps=[0, 0.2, 0.4], random_state=0)
    >>> print(report)
    Robustness of LogisticRegression: linf, 150 samples
    Evaluation: white-box (its twin equals the estimator on these samples)
    <BLANKLINE>
     eps  accuracy    95% interval      0      1      2  broken by
       0     0.973  [0.933, 0.990]  1.000  0.940  0.980  clean 4
     0.2     0.867  [0.803, 0.912]  1.000  0.800  0.800  clean 4, cross_entropy 16
     0.4     0.640  [0.561, 0.712]  1.000  0.420  0.500  clean 4, cross_entropy 50
    <BLANKLINE>
    No warnings: 14 diagnostics of false robustness on 100 samples.
    """
    sizes, threat, attack = check_budgets(eps), as_threat(threat), as_attack(attack)
    if is_regressor(estimator):
        return regression_report(
            RegressionProblem.of(estimator, X, y, threat=threat, sample_weight=sample_weight),
            SampleLoss("absolute_error" if loss is None else loss), sizes, attack,
            random_state=random_state, n_diagnosed=n_diagnosed, progress=bool(verbose),
            told_threat=threat, data=(estimator, X, y, sample_weight), certify=certify,
            n_jobs=n_jobs,
        )  # fmt: skip
    if loss is not None:
        raise TypeError(no_loss_of(estimator, loss))
    problem = Problem.of(estimator, X, y, threat=threat, sample_weight=sample_weight)
    budgets = sizes.tolist()
    generator = as_generator(random_state) if isinstance(attack, Attack) else random_state
    runs = nested_runs(problem, budgets, attack, generator, progress=bool(verbose), n_jobs=n_jobs)
    found, checked, n_looked_at = _diagnose(
        problem, runs, budgets, n_diagnosed, as_generator(random_state)
    )
    assumed = assumptions(problem.table, problem.threat)
    if assumed:
        found, checked = [*budgets_fit(assumed, budgets), *found], (*checked, budgets_fit.__name__)
    told = {"eps": sizes, "threat": threat, "attack": attack, "random_state": random_state}
    jobs = {} if n_jobs is None else {"n_jobs": n_jobs}  # which decide the random draws
    settings = {**told, "certify": certify, **jobs}
    data = (estimator, X, y, sample_weight)
    proven = Proven.of_data(data, threat, budgets, runs.robust) if certify else None
    return RobustnessReport(
        estimator_name=type(estimator).__name__,
        threat=threat,
        eps=sizes,
        warnings=(*found, *estimator_answers(problem.refused)),
        checked=checked,
        n_diagnosed=n_looked_at,
        evidence=evidence_of(data, runs, budgets, settings, proven),
        assumed=assumed,
        proven=proven,
        **figures(problem, runs),
    )


def _diagnose(
    problem: Problem,
    runs: Runs,
    budgets: list[float],
    n_diagnosed: int,
    generator: torch.Generator,
) -> tuple[list[Finding], tuple[str, ...], int]:
    """Return findings, names of the checks, and how many samples they looked at."""
    n, n_unseen = len(problem.table), int(runs.unseen.sum())
    few = samples_suffice(round(effective_number(problem.weight, n)))
    found = [f for f in (few, starts_were_found(n_unseen, problem)) if f is not None]
    names: tuple[str, ...] = ("samples_suffice",)
    evaluation = runs.evaluation
    if n_unseen or (evaluation is not None and evaluation.access.kind is AccessKind.LABELS):
        names = (*names, "starts_were_found")
    right = runs.stage != "clean"
    if evaluation is None or not n_diagnosed or not right.any():
        return found, names, 0
    telling = _telling(runs, budgets)
    eps = budgets[telling]
    samples = draw(right, n_diagnosed, generator)
    shape = getattr(evaluation.method, "image_shape", None)
    sample = Sample(problem, evaluation.access, samples, eps, generator, shape)
    checks = checks_for(evaluation.access, attacked=True)
    findings = [check(sample) for check in checks]
    names = (*names, *(check.__name__ for check in checks))
    if not evaluation.access.trusted and isinstance(evaluation.method, SEARCHES):
        findings.append(search_suffices(sample, evaluation, runs.robust[telling][sample.rows]))
        names = (*names, search_suffices.__name__)
    found += [finding for finding in findings if finding is not None]
    return found, names, len(sample.rows)


def _telling(runs: Runs, budgets: list[float]) -> int:
    """Return the budget at which about half of what is right breaks: there attacks differ most."""
    half = float((runs.stage != "clean").mean()) / 2

    def rank(position: int) -> tuple[bool, float, float]:
        size = budgets[position]
        return size == 0, abs(float(runs.accuracy[position]) - half), -size

    return min(range(len(budgets)), key=rank)
