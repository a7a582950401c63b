"""Accuracy of a fitted classifier under attack, as a function and as a scorer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any

from numpy.typing import ArrayLike
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params

from sklearn_iso.attacks import ATTACKS
from sklearn_iso.metrics.breaking import Attack, Procedure
from sklearn_iso.metrics.case import Case
from sklearn_iso.metrics.nested import nested_runs
from sklearn_iso.metrics.options import check_options
from sklearn_iso.metrics.routing import WeightedScorer
from sklearn_iso.metrics.unseen import warn_of_unseen
from sklearn_iso.metrics.weights import weighted
from sklearn_iso.modules.ambient import gradients_on
from sklearn_iso.threat import Threat, as_threat, check_eps

#: Of eps and threat, `check_eps` and `as_threat` know the remedies.
PROCEDURE_CONSTRAINTS: dict[str, list[Any]] = {
    "attack": [StrOptions(set(ATTACKS)), callable],
    "n_steps": [Interval(Integral, 1, None, closed="left"), None],
    "n_restarts": [Interval(Integral, 1, None, closed="left"), None],
    "n_queries": [Interval(Integral, 0, None, closed="left"), None],
    "image_shape": ["array-like", None],
    "random_state": ["random_state"],
}


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        **PROCEDURE_CONSTRAINTS,
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=False,
)
@gradients_on()
def adversarial_accuracy(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    threat: Threat = "linf",
    attack: str | Attack = "cascade",
    n_steps: int | None = None,
    n_restarts: int | None = None,
    n_queries: int | None = None,
    image_shape: Any = None,
    random_state: Any = None,
    sample_weight: ArrayLike | None = None,
) -> float:
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
    at all. :func:`sklearn_iso.metrics.robustness_report` tells which it was.

    The estimator itself has the last word: a point counts as fooled only if
    ``estimator.predict`` errs on it. Samples that are misclassified without an attack count as
    fooled. With eps 0 this is the accuracy. A perturbed point that the estimator refuses, by an
    error or by NaN, does not count as fooled; a
    :class:`sklearn_iso.exceptions.RefusedPointsWarning` tells how many there were.

    Parameters
    ----------
    estimator : fitted classifier
    X : array-like or sparse matrix of shape (n_samples, n_features), or a pandas or polars \
        DataFrame
        What a user passes to ``predict``. Integers are attacked as floats.
    y : array-like of shape (n_samples,)
        Labels. Samples whose label is not in ``estimator.classes_`` count as misclassified,
        with a warning.
    eps : float
        Budget, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`: the norm, units of the
        features (without them those of X), bounds, what stays, and categories.
    attack : {"cascade", "pgd", "apgd", "fgsm", "ddn", "fmn", "fab", "square", "rays"} or callable
        "cascade" is the evaluation described above. The others run alone: "square" on scores,
        "rays" on labels, all else on gradients. A callable has the signature of
        :func:`sklearn_iso.attacks.pgd`: ``(logits, X, y, *, eps, threat)``, and where it
        takes them ``n_steps``, ``n_restarts`` and ``random_state``.
    n_steps, n_restarts : int or None
        Steps of each run of a single attack, and runs; None: as many as it takes by itself
        (:mod:`sklearn_iso.attacks`; 40 and 1 for "pgd"). "cascade" has its own.
    n_queries : int or None
        Points of each row that gradient-free attacks ask about. None: 1000 where there are no
        gradients, 500 where they do not settle the matter (also where a short random search on
        100 rows that they leave over breaks some), else none. A number: as many on all rows
        that gradients leave over. Where there are no gradients half of them go to random
        search, a quarter to changes of single features, and a quarter to labels.
        Single attacks by gradients have no use for it.
    image_shape : (height, width), or with the channels first or last, optional
        What a row holds, where it is an image; the channels are the smaller one of the outer
        two sizes. Then half of the steps of random search on scores move patches of
        neighbouring pixels. Single attacks by gradients and rays have no use for it.
    random_state : int, RandomState or None
        Draws starting points and random steps; None takes fresh entropy.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples, at least 0; 2 counts as the sample twice. Samples of weight 0
        are left out and not attacked.

    Returns
    -------
    float
        An upper bound of the accuracy under the strongest attack of this budget.

    Raises
    ------
    ValueError
        If X is empty, not numeric, not finite or outside of the bounds, y or the predictions
        are not of the type of ``estimator.classes_``, a parameter is out of its range, none of
        the attack's, or names other columns than those of X, or an attack by gradients was asked
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
    budget, threat = check_eps(eps), as_threat(threat)
    check_options(
        attack, n_steps=n_steps, n_restarts=n_restarts, n_queries=n_queries, image_shape=image_shape
    )
    weight, X, y = weighted(sample_weight, X, y)
    case = Case.of(estimator, X, y, threat=threat, image_shape=image_shape)
    procedure = Procedure(attack, n_steps, n_restarts, n_queries, random_state)
    runs = nested_runs(case, [budget], procedure, weight=weight)
    case.refused.warn()
    warn_of_unseen(int(runs.unseen.sum()), len(case.table), "the accuracy")
    return float(runs.accuracy[0])


@dataclass(frozen=True)
class AdversarialScorer(WeightedScorer):
    """Callable ``(estimator, X, y, sample_weight=None)`` that returns the adversarial accuracy.

    Greater is better. Made by :func:`make_adversarial_scorer`.

    Examples
    --------
    >>> from sklearn_iso.metrics.adversarial import AdversarialScorer
    >>> AdversarialScorer(eps=0.1, attack="fgsm").attack
    'fgsm'
    """

    eps: float
    threat: Threat = "linf"
    attack: str | Attack = "cascade"
    n_steps: int | None = None
    n_restarts: int | None = None
    n_queries: int | None = None
    image_shape: Any = None
    random_state: Any = 0

    @gradients_on()
    def __call__(
        self, estimator: Any, X: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the adversarial accuracy of a fitted estimator on X and y."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        return adversarial_accuracy(estimator, X, y, sample_weight=sample_weight, **options)


@validate_params(PROCEDURE_CONSTRAINTS, prefer_skip_nested_validation=False)
def make_adversarial_scorer(
    *,
    eps: float,
    threat: Threat = "linf",
    attack: str | Attack = "cascade",
    n_steps: int | None = None,
    n_restarts: int | None = None,
    n_queries: int | None = None,
    image_shape: Any = None,
    random_state: Any = 0,
) -> AdversarialScorer:
    """Return a scorer of the accuracy under attack, for cross-validation and searches.

    Parameters
    ----------
    eps, threat, attack, n_steps, n_restarts, n_queries, image_shape, random_state
        As in :func:`adversarial_accuracy`. A fixed random_state attacks every candidate of a
        search from the same starting points.

    Returns
    -------
    AdversarialScorer
        Picklable callable ``(estimator, X, y, sample_weight=None) -> float``; greater is
        better. Searches pass it the weights of their ``fit``, under metadata routing after
        ``scorer.set_score_request(sample_weight=True)``.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or none of the attack's.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn_iso.metrics import make_adversarial_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> scoring = {"clean": "accuracy", "robust": make_adversarial_scorer(eps=0.2)}
    >>> scores = cross_validate(LogisticRegression(max_iter=500), X, y, scoring=scoring)
    >>> bool((scores["test_robust"] <= scores["test_clean"]).all())
    True
    """
    check_options(
        attack, n_steps=n_steps, n_restarts=n_restarts, n_queries=n_queries, image_shape=image_shape
    )
    return AdversarialScorer(
        eps=check_eps(eps),
        threat=as_threat(threat),
        attack=attack,
        n_steps=n_steps,
        n_restarts=n_restarts,
        n_queries=n_queries,
        image_shape=None if image_shape is None else tuple(image_shape),
        random_state=random_state,
    )
