"""Samples under attack, in the container of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_regressor
from sklearn.utils._param_validation import HasMethods
from torch import Tensor

from sklearn_iso._threat import Threat, as_threat, check_eps
from sklearn_iso._typed import validate_params
from sklearn_iso.attacks import FGSM, Attack, AttackEnsemble, Coordinates, Square, as_attack
from sklearn_iso.attacks._ascent import GradientAscent
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.attacks._losses import cross_entropy
from sklearn_iso.attacks._parameters import as_generator
from sklearn_iso.attacks._worst_case import WorstCaseState
from sklearn_iso.metrics._access import Followed
from sklearn_iso.metrics._adversarial import PROCEDURE_CONSTRAINTS, nested_runs, no_loss_of
from sklearn_iso.metrics._evaluation import AUTOMATIC_QUERIES, Evaluation
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._refused import Refused
from sklearn_iso.metrics._regression_evaluation import BATCH, CLIMBS, RegressionEvaluation
from sklearn_iso.metrics._regression_problem import LossLike, RegressionProblem, SampleLoss
from sklearn_iso.metrics._unseen import warn_of_unseen
from sklearn_iso.metrics._worst_points import WorstPoints
from sklearn_iso.modules._ambient import gradients_on

Method = Attack | Callable[..., Tensor]
#: Attacks that can raise a loss further where they have broken a sample.
GO_ON = (GradientAscent, FGSM, Square, Coordinates)


@validate_params(
    {"estimator": [HasMethods(["fit", "predict"])], **PROCEDURE_CONSTRAINTS},
    prefer_skip_nested_validation=False,
)
@gradients_on()
def adversarial_examples(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    threat: Threat = "linf",
    attack: AttackLike = "auto",
    random_state: Any = None,
    loss: LossLike | None = None,
) -> Any:
    r"""Return the samples as an attack leaves them, for any metric of predictions.

    .. math:: x_i' = \arg\max_{x'} \ell(y_i, x'), \qquad
              \|(x' - x_i) / u\| \le \varepsilon

    as far as the attack finds it. For classifiers :math:`\ell` is first whether the estimator
    errs, which is decided as in :func:`adversarial_accuracy`: with the same ``random_state`` the
    accuracy on what comes back is that figure. Among points of the same verdict it is the log
    loss of the true class by the estimator's own ``predict_proba``, or else how far its
    ``decision_function`` is for another class. Candidates are the sample itself, where every
    attack ended, and, with the attack "auto", where an ascent of the log loss ended that goes on
    beyond the first error: from vertex to vertex of the budget, which is exact for linear
    classifiers of two classes, then by :class:`sklearn_iso.attacks.APGD`. Without gradients
    random search and changes of single features take their place.
    Samples that are misclassified without an attack take part in it; without scores
    they come back as they are. An attack by gradient ascent goes on in the same way by itself;
    others, which look for the closest error or for labels alone, do not.

    For regressors the points are those of the worst losses, see :func:`adversarial_error`.

    Parameters
    ----------
    estimator : fitted classifier or regressor
        Of one output for a classifier, see :func:`at_output`.
    X : array-like or sparse matrix of shape (n_samples, n_features), or a pandas or polars \
        DataFrame
        What a user passes to ``predict``.
    y : array-like of shape (n_samples,), or (n_samples, n_outputs) for regressors
        Labels or targets.
    eps : float
        Budget, in units of the threat.
    threat : ThreatModel, or the name of a norm, default="linf"
        What an attack may do, see :class:`sklearn_iso.ThreatModel`.
    attack : str, Attack or callable, default="auto"
        "auto" is the evaluation of :func:`adversarial_accuracy`: one attack after the other, by
        scores or labels where there are no gradients. An attack of :mod:`sklearn_iso.attacks`,
        its name, such as "pgd", or a callable ``(logits, X, y, *, eps, threat)`` runs alone.
    random_state : int, RandomState instance or None, default=None
        Draws starting points and random steps; None takes fresh entropy.
    loss : {"absolute_error", "squared_error"} or callable, optional
        Loss of a regressor. None is "absolute_error".

    Returns
    -------
    array, sparse matrix or DataFrame of the shape of X
        In the container of X, with its columns and index: an array for lists. Columns of integers
        that may move become floats. With eps 0 the values of X.

    Raises
    ------
    ValueError
        If X is empty, has nothing that may move or change, is infinite or outside of the bounds,
        y or the predictions are not of the type of ``estimator.classes_``, a parameter is out of
        its range, or an attack by gradients was asked for and the twin disagrees with the
        estimator.
    TypeError
        If the estimator is neither a classifier of one output nor a regressor, loss was set for
        a classifier, or an attack by gradients was asked for and there are none.

    See Also
    --------
    make_adversarial_scorer : Any scorer of scikit-learn on these samples.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.metrics import classification_report, log_loss
    >>> from sklearn_iso.metrics import adversarial_accuracy, adversarial_examples
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> X_adv = adversarial_examples(model, X, y, eps=0.2, random_state=0)
    >>> model.score(X_adv, y) == adversarial_accuracy(model, X, y, eps=0.2, random_state=0)
    True
    >>> log_loss(y, model.predict_proba(X_adv)) > log_loss(y, model.predict_proba(X))
    True

    Figures of each class under attack, here with weights:

    >>> weight = 1 + y
    >>> print(classification_report(y, model.predict(X_adv), sample_weight=weight))
                  precision    recall  f1-score   support
    ...
    """
    budget, threat, attack = check_eps(eps), as_threat(threat), as_attack(attack)
    if is_regressor(estimator):
        of_sample = SampleLoss("absolute_error" if loss is None else loss)
        of_numbers = RegressionProblem.of(estimator, X, y, threat=threat)
        evaluation = RegressionEvaluation.of(of_numbers, of_sample, attack, random_state)
        points = evaluation.clean()
        evaluation.attack(points, budget)
        of_numbers.refused.warn()
        return of_numbers.table.with_values(points.X_adv.numpy(), np.arange(len(points.loss)))
    if loss is not None:
        raise TypeError(no_loss_of(estimator, loss))
    problem = Problem.of(estimator, X, y, threat=threat)
    worst, n_unseen = _of_classes(problem, budget, attack, random_state)
    problem.refused.warn()
    warn_of_unseen(n_unseen, problem, "the accuracy")
    return problem.table.with_values(worst.X_adv.numpy(), np.arange(len(problem.table)))


def _of_classes(
    problem: Problem, eps: float, attack: Method, random_state: Any
) -> tuple[WorstPoints, int]:
    """Return samples of a classifier under attack, and for how many no other label was met."""
    worst = WorstPoints.of(problem)
    runs = nested_runs(problem, [eps], attack, random_state, watch=worst)
    labelled = np.flatnonzero(problem.codes >= 0)
    if len(labelled) and not problem.budget(problem.points(labelled), eps).is_zero:
        evaluation = runs.evaluation or Evaluation.of(problem, attack, random_state, labelled)
        _go_on(evaluation, labelled, eps, worst)
    return worst, int(runs.unseen.sum())


def _go_on(evaluation: Evaluation, samples: NDArray, eps: float, worst: WorstPoints) -> None:
    """Climb the loss of samples, whether or not they are broken, and offer where that ends."""
    if worst.scores is None:
        return
    method, access, problem = evaluation.method, evaluation.access, evaluation.problem
    X, y = problem.points(samples), problem.labels(samples)
    budget, size = problem.budget(X, eps), getattr(method, "batch_size", BATCH)

    def run(attacks: Iterable[Attack], state: WorstCaseState) -> None:
        for attack in attacks:
            attack.run(state, budget, as_generator(evaluation.generator))
            budget.verify(X, state.X_adv)
            worst.offer(samples, state.X_adv.detach())

    by_scores = WorstCaseState(worst.scores.columns, X, y, worst.scores.loss, size)
    if isinstance(method, AttackEnsemble):
        if access.climbs:
            run(
                CLIMBS, WorstCaseState(Followed(access.model, Refused()), X, y, cross_entropy, size)
            )
        if not access.trusted:
            run(_searches(method), by_scores)
    elif isinstance(method, GO_ON) and method.asks == "scores":
        run([method], by_scores)
    elif isinstance(method, GO_ON):
        if isinstance(method, GradientAscent):  # its loss is that of the state
            method = replace(method, loss="cross_entropy")
        run([method], WorstCaseState(Followed(access.model, Refused()), X, y, cross_entropy, size))


def _searches(method: AttackEnsemble) -> list[Attack]:
    """Return searches without gradients, of half the points that the attack itself asked about."""
    n_each = (AUTOMATIC_QUERIES if method.n_queries is None else method.n_queries) // 4
    if n_each < 1:
        return []
    shape = method.image_shape
    return [Square(n_queries=n_each, image_shape=shape), Coordinates(n_queries=n_each)]
