"""Accuracy of a fitted classifier under attack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import HasMethods, StrOptions
from torch import Tensor
from tqdm import tqdm

from sklearn_iso._protocols import Predictor, RandomState
from sklearn_iso._threat import Threat, as_threat, check_eps
from sklearn_iso._typed import Constraints, validate_params
from sklearn_iso.attacks import Attack, as_attack
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.metrics._evaluation import Evaluation, Watch
from sklearn_iso.metrics._jobs import over_parts
from sklearn_iso.metrics._outputs import by_output, over_outputs
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._result import Result
from sklearn_iso.metrics._unseen import warn_of_unseen
from sklearn_iso.metrics._weights import share
from sklearn_iso.metrics._worst_runs import SECONDS_BEFORE_A_BAR
from sklearn_iso.modules._ambient import gradients_on

#: Of eps, threat and attack, `check_eps`, `as_threat` and `as_attack` know the remedies.
PROCEDURE_CONSTRAINTS: Constraints = {"random_state": ["random_state"]}
JOBS_CONSTRAINTS: Constraints = {"n_jobs": [Integral, None]}


@overload
def adversarial_accuracy(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    threat: Threat = "linf",
    attack: AttackLike = "auto",
    random_state: RandomState = None,
    sample_weight: ArrayLike | None = None,
    multioutput: Literal["uniform_average"] = ...,
    n_jobs: int | None = None,
) -> float: ...


@overload
def adversarial_accuracy(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    threat: Threat = "linf",
    attack: AttackLike = "auto",
    random_state: RandomState = None,
    sample_weight: ArrayLike | None = None,
    multioutput: Literal["raw_values"],
    n_jobs: int | None = None,
) -> NDArray[np.float64]: ...


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        **PROCEDURE_CONSTRAINTS,
        **JOBS_CONSTRAINTS,
        "sample_weight": ["array-like", None],
        "multioutput": [StrOptions({"uniform_average", "raw_values"})],
    },
    prefer_skip_nested_validation=False,
)
@gradients_on()
def adversarial_accuracy(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    threat: Threat = "linf",
    attack: AttackLike = "auto",
    random_state: RandomState = None,
    sample_weight: ArrayLike | None = None,
    multioutput: Literal["uniform_average", "raw_values"] = "uniform_average",
    n_jobs: int | None = None,
) -> float | NDArray[np.float64]:
    r"""Return the share of all samples that an attack cannot get misclassified.

    .. math:: \frac1n \, \#\{ i : \hat y(x_i) = y_i \text{ and } \hat y(x_i') = y_i \}, \qquad
              \|(x_i' - x_i) / u\| \le \varepsilon

    With weights, the share of their sum.

    Every fitted classifier gets a result. The default attack follows the gradients of the
    estimator's twin (:func:`sklearn_iso.twins.as_torch`) where there is one that predicts as
    the estimator does. Where the twin declares itself a surrogate, gradient-free attacks
    follow on what it leaves over; where there is none (trees, forests, boosting), or it
    disagrees, or its gradients vanish, they are all there is: random search on
    ``decision_function`` or ``predict_proba``, then changes of single features added up, and
    last, or alone where scores do not decide as ``predict`` does, a search by labels, which
    brings errors back feature by feature and along rays. It warns where that met no other label
    at all. :func:`sklearn_iso.metrics.robustness_report` tells which it was. Of trees, linear
    classifiers and one nearest neighbour the errors are taken, too, that a certificate knows
    (:func:`certified_distance`); samples about which nothing remains to be found are not searched.

    The estimator itself has the last word: a point counts as misclassified only if
    ``estimator.predict`` errs on it. Samples that are misclassified without an attack count as
    misclassified. With eps 0 this is the accuracy. A perturbed point that the estimator refuses, by
    an error or by NaN, does not count as misclassified; a
    :class:`sklearn_iso.exceptions.RefusedPointsWarning` tells how many there were.

    Parameters
    ----------
    estimator : fitted classifier
    X : array-like or sparse matrix of shape (n_samples, n_features), or a pandas or polars \
        DataFrame
        What a user passes to ``predict``. Integers are attacked as floats. In tables, columns of
        text, categories and booleans stay, unless the threat names them as categories, and what
        is missing stays missing.
    y : array-like of shape (n_samples,), or (n_samples, n_outputs)
        Labels. Samples whose label is not in ``estimator.classes_`` count as misclassified,
        with a warning. Of several outputs each is attacked on its own, see :func:`at_output`.
    eps : float
        Budget, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`: the norm, units of the
        features (without them those of X), bounds, what stays, and categories.
    attack : str, Attack or callable, default="auto"
        "auto" is the evaluation described above,
        :class:`sklearn_iso.attacks.AttackEnsemble`. The others run alone, each with its own
        parameters: :class:`sklearn_iso.attacks.Square` on scores,
        :class:`sklearn_iso.attacks.RayS` on labels, all else of :mod:`sklearn_iso.attacks` on
        gradients, such as ``PGD(n_steps=100)``. A name is short for an attack with its defaults:
        "pgd", "apgd", "fgsm", "ddn", "fmn", "fab", "square", "rays". A callable has the signature
        ``(logits, X, y, *, eps, threat)``, and gets ``random_state`` where it takes it.
    random_state : int, RandomState or None
        Draws starting points and random steps; None takes fresh entropy.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0; 2 counts as the sample twice. Samples of weight 0
        are left out and not attacked.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        What comes back of several outputs: the mean of their accuracies, or each of them.
    n_jobs : int or None, default=None
        Processes that attack 50 samples at a time, each with one thread; -1 for one on each core.
        The backend is that of :func:`joblib.parallel_config`. Figures are equal, bit by bit, for
        every number and backend. None attacks all samples at once in this process, with other
        random draws. The estimator must pickle.

    Returns
    -------
    float, or ndarray of shape (n_outputs,)
        An upper bound of the accuracy under the strongest attack of this budget; an array of
        several outputs with ``multioutput="raw_values"``.

    Raises
    ------
    ValueError
        If X is empty, has nothing that may move or change, is infinite or outside of the bounds,
        y or the predictions are not of the type of ``estimator.classes_``, a parameter is out of
        its range, or names other columns than those of X, or an attack by gradients was asked
        for and the twin disagrees with the estimator.
    TypeError
        If estimator is no classifier, or an attack by gradients was asked for and it has none.

    Warns
    -----
    UserWarning
        If y holds labels that are not in ``estimator.classes_``.

    References
    ----------
    Carlini et al., On Evaluating Adversarial Robustness, arXiv 1902.06705.
    Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks, ICML 2020.
    Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso.metrics import adversarial_accuracy
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> centimetres = 0.3
    >>> round(adversarial_accuracy(pipeline, X, y, eps=centimetres, random_state=0), 2)
    0.69
    >>> adversarial_accuracy(pipeline, X, y, eps=0) == pipeline.score(X, y)
    True
    """
    budget, threat, attack = check_eps(eps), as_threat(threat), as_attack(attack)
    outputs = by_output(estimator, y)
    if outputs is not None:
        of_one = partial(
            adversarial_accuracy, X=X, eps=budget, threat=threat, attack=attack,
            random_state=random_state, sample_weight=sample_weight, n_jobs=n_jobs,
        )  # fmt: skip
        return over_outputs([of_one(one, y=labels) for one, labels in outputs], multioutput)
    problem = Problem.of(estimator, X, y, threat=threat, sample_weight=sample_weight)
    runs = nested_runs(problem, [budget], attack, random_state, n_jobs=n_jobs)
    problem.refused.warn()
    warn_of_unseen(int(runs.unseen.sum()), problem, "the accuracy")
    return float(runs.accuracy[0])


@dataclass(frozen=True, eq=False)
class Runs:
    """What nested runs broke.

    A sample that breaks at one budget is broken at all larger ones, as these contain it: accuracy
    never rises with the budget, by construction.

    Attributes
    ----------
    accuracy : ndarray of shape (n_budgets,)
        In the order in which the budgets came.
    robust : ndarray of bool, shape (n_budgets, n)
        Which samples hold at each budget.
    stage : ndarray of str, shape (n,)
        What broke each sample: "clean" without an attack, empty where nothing did.
    evaluation : Evaluation or None
        None if there was nothing to attack.
    unseen : ndarray of bool, shape (n,)
        Which samples hold because a search by labels alone met no other label.
    exact : ndarray of bool, shape (n,)
        Of which samples proofs knew the answer before any search, at each budget.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.attacks import AttackEnsemble
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._adversarial import nested_runs
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> nested_runs(problem, [5.0, 0.0], AttackEnsemble(), 0).accuracy.round(2)
    array([0.  , 0.97])
    """

    accuracy: NDArray
    robust: NDArray
    stage: NDArray
    evaluation: Evaluation | None
    unseen: NDArray
    exact: NDArray


def nested_runs(
    problem: Problem,
    budgets: Sequence[float],
    attack: Attack | Callable[..., Tensor],
    random_state: RandomState | torch.Generator,
    progress: bool = False,
    *,
    watch: Watch | None = None,
    n_jobs: int | None = None,
) -> Runs:
    """Attack with growing budgets, each the samples that are left.

    Parameters
    ----------
    problem : Problem
    budgets : sequence of float
        In any order; each contains the smaller ones.
    attack : Attack or callable
    random_state : int, RandomState, torch.Generator or None
    progress : bool
        Show a bar on terminals where it takes more than two seconds.
    watch : callable, optional
        Hears of all points that an attack ends on, see :class:`Watch`.
    n_jobs : int, optional
        Processes for parts of the samples; nothing can watch those.

    Returns
    -------
    Runs

    Examples
    --------
    See :class:`Runs`.
    """
    for eps in budgets:
        problem.budget(problem.points(slice(1)), eps)
    if isinstance(attack, Attack):  # also where nothing is left to attack
        attack.check(problem.points(slice(1)), problem.threat)
    right = problem.right()
    alive, stage = right.copy(), np.where(right, "", "clean").astype(object)
    robust = np.zeros((len(budgets), len(right)), dtype=bool)
    unseen, exact = np.zeros(len(right), dtype=bool), right.copy()
    evaluation = None
    order = sorted(range(len(budgets)), key=lambda position: budgets[position])
    hidden = None if progress else True
    bar = tqdm(order, desc="attack", unit="budget", delay=SECONDS_BEFORE_A_BAR, disable=hidden)
    for position in bar:
        eps, rows = budgets[position], np.flatnonzero(alive)
        if len(rows) and not problem.budget(problem.points(slice(1)), eps).is_zero:
            evaluation = evaluation or Evaluation.of(problem, attack, random_state, rows)
            if n_jobs is None:
                broken = evaluation.attack(rows, eps, watch)
            else:
                broken = _attack_parts(evaluation, rows, eps, n_jobs)
            unseen[rows] = broken.unseen & ~broken.misclassified
            exact[rows] &= broken.exact
            alive[rows[broken.misclassified]] = False
            stage[rows[broken.misclassified]] = broken.stage[broken.misclassified]
        robust[position] = alive
    return Runs(share(robust, problem.weight), robust, stage, evaluation, unseen, exact)


def _attack_parts(evaluation: Evaluation, rows: NDArray, eps: float, n_jobs: int) -> Result:
    """Attack samples part by part, in processes."""
    problem = evaluation.problem
    problem.count_refusals_within(problem.threat.widest(eps))
    # A new value, without what an evaluation computes once and keeps: not all of that pickles.
    shared = replace(evaluation), eps
    return Result.joined(
        over_parts(
            _attack_part, shared, rows, problem=problem, random_state=evaluation.generator,
            n_jobs=n_jobs,
        )
    )  # fmt: skip


def _attack_part(shared: tuple[Evaluation, float], rows: NDArray, seed: int) -> Result:
    evaluation, eps = shared
    is_ours = isinstance(evaluation.method, Attack)
    generator = torch.Generator().manual_seed(seed) if is_ours else seed
    return replace(evaluation, generator=generator).attack(rows, eps)


def no_loss_of(estimator: object, loss: object) -> str:
    """Tell that a loss was set for a classifier.

    Examples
    --------
    >>> from sklearn_iso.metrics._adversarial import no_loss_of
    >>> no_loss_of(object(), "squared_error")
    "loss must be left out but for a regressor; got loss='squared_error' for object."
    """
    return f"loss must be left out but for a regressor; got {loss=} for {type(estimator).__name__}."
