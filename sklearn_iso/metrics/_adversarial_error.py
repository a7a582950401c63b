"""Error of a fitted regressor under attack."""

from __future__ import annotations

from numbers import Integral

from numpy.typing import ArrayLike
from sklearn.utils._param_validation import HasMethods

from sklearn_iso._protocols import Predictor, RandomState
from sklearn_iso._threat import Threat, as_threat, check_eps
from sklearn_iso._typed import validate_params
from sklearn_iso.attacks import as_attack
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.metrics._regression_problem import LossLike, RegressionProblem, SampleLoss
from sklearn_iso.metrics._worst_runs import worst_runs
from sklearn_iso.modules._ambient import gradients_on


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        "random_state": ["random_state"],
        "sample_weight": ["array-like", None],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=False,
)
@gradients_on()
def adversarial_error(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    threat: Threat = "linf",
    loss: LossLike = "absolute_error",
    attack: AttackLike = "auto",
    random_state: RandomState = None,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> float:
    r"""Return the mean over all samples of the worst loss that an attack finds.

    .. math:: \frac1n \sum_i \max_{x_i'} \ell(y_i, f(x_i')), \qquad
              \|(x_i' - x_i) / u\| \le \varepsilon

    With weights, the weighted mean; over several outputs the loss is the mean of those of the
    outputs. With eps 0 this is the mean absolute or squared error.

    Every fitted regressor gets a result. The default attack climbs the predictions of the
    estimator's twin (:func:`sklearn_iso.twins.as_torch`), where there is one that predicts as
    the estimator does, once up and once down: from vertex to vertex of the budget, which is exact
    for linear models in every norm, and by :class:`sklearn_iso.attacks.APGD`. Where the twin
    declares itself a surrogate, or a short random search finds more, the searches without
    gradients follow: :class:`sklearn_iso.attacks.Square` and
    :class:`sklearn_iso.attacks.Coordinates` on the predictions themselves. Where there is no twin
    (trees, forests, boosting), they are all there is.

    The estimator itself has the last word: what counts is the loss of ``estimator.predict``. A
    perturbed point that it refuses, by an error or by NaN, does not count; a
    :class:`sklearn_iso.exceptions.RefusedPointsWarning` tells how many there were.

    Parameters
    ----------
    estimator : fitted regressor
    X : array-like or sparse matrix of shape (n_samples, n_features), or a pandas or polars \
        DataFrame
        What a user passes to ``predict``. Integers are attacked as floats.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    eps : float
        Budget, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`: the norm, units of the
        features (without them those of X), bounds, what stays, and categories.
    loss : {"absolute_error", "squared_error"} or callable, default="absolute_error"
        A callable maps y_true and y_pred, arrays of shape (n,) or (n, n_outputs), to n numbers.
        It is asked at the points where the predictions are largest and smallest, which is
        where a loss that grows with the deviation on either side is at its worst; one that
        falls again is not searched in between.
    attack : str, Attack or callable, default="auto"
        "auto" is the evaluation described above,
        :class:`sklearn_iso.attacks.AttackEnsemble`. :class:`sklearn_iso.attacks.PGD`,
        :class:`sklearn_iso.attacks.APGD` and :class:`sklearn_iso.attacks.FGSM` run alone on the
        twin, :class:`sklearn_iso.attacks.Square` and
        :class:`sklearn_iso.attacks.Coordinates` on the predictions; their losses of classes are
        not used. A callable has the signature ``(outputs, X, y, *, eps, threat)``, with targets y
        of shape (n, n_outputs).
    random_state : int, RandomState or None
        Draws starting points and random steps; None takes fresh entropy.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0; 2 counts as the sample twice. Samples of weight 0
        are left out and not attacked.
    n_jobs : int or None, default=None
        Processes for 50 samples at a time, each with one thread; -1 for one on each core. None
        does all at once in this process, with other random draws. The estimator must pickle.

    Returns
    -------
    float
        A lower bound of the mean of the worst losses within this budget.

    Raises
    ------
    ValueError
        If X or y are not finite numbers or not of one length, a parameter is out of its range, or
        an attack by gradients was asked for and the twin disagrees with the estimator.
    TypeError
        If estimator is no regressor, or an attack by gradients was asked for and it has none.

    See Also
    --------
    adversarial_accuracy : The same for classifiers.
    adversarial_distance : The least perturbation that moves a prediction by a tolerance.

    References
    ----------
    Jaggi, Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization, ICML 2013.
    Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks, ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.metrics import mean_absolute_error
    >>> from sklearn_iso.metrics import adversarial_error
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ridge = Ridge().fit(X, y)
    >>> error = adversarial_error(ridge, X, y, eps=0.01, threat="l2", random_state=0)
    >>> clean = mean_absolute_error(y, ridge.predict(X))
    >>> bool(np.isclose(error, clean + 0.01 * np.linalg.norm(ridge.coef_)))
    True
    """
    budget, threat, attack = check_eps(eps), as_threat(threat), as_attack(attack)
    of_sample = SampleLoss(loss)
    problem = RegressionProblem.of(estimator, X, y, threat=threat, sample_weight=sample_weight)
    runs = worst_runs(problem, of_sample, [budget], attack, random_state, n_jobs=n_jobs)
    problem.refused.warn()
    return float(runs.mean[0])
