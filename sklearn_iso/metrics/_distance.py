"""The smallest perturbation found for each sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.utils._param_validation import HasMethods

from sklearn_iso._protocols import Predictor, RandomState
from sklearn_iso._threads import threads_for
from sklearn_iso._threat import Threat
from sklearn_iso._typed import Constraints, validate_params
from sklearn_iso.attacks import DDN, FAB, FMN, MinimumNormEnsemble, RayS, SigmaZero
from sklearn_iso.attacks._attack import AttackState, MinimumNormAttack
from sklearn_iso.attacks._parameters import as_generator
from sklearn_iso.metrics._access import Access, Gradients
from sklearn_iso.metrics._combinations import every_combination, leaves_none_out
from sklearn_iso.metrics._evaluation import AUTOMATIC_QUERIES
from sklearn_iso.metrics._jobs import over_parts
from sklearn_iso.metrics._known_errors import KnownErrors
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._regression_distance import (
    DeviationProblem,
    check_tolerance,
    deviation_distances,
)
from sklearn_iso.metrics._regression_problem import RegressionProblem
from sklearn_iso.metrics._settling import Settling
from sklearn_iso.metrics._unseen import warn_of_unseen
from sklearn_iso.metrics._weights import check_weights
from sklearn_iso.modules._ambient import gradients_on

MinimumNormName = Literal["auto", "ddn", "fmn", "fab", "sigma_zero", "rays"]

DISTANCE_CONSTRAINTS: Constraints = {
    "random_state": ["random_state"],
    "sample_weight": ["array-like", None],
}


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        **DISTANCE_CONSTRAINTS,
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=False,
)
@gradients_on()
def adversarial_distance(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    threat: Threat = "linf",
    tolerance: float | None = None,
    attack: MinimumNormName | MinimumNormAttack = "auto",
    random_state: RandomState = None,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> NDArray:
    r"""Return the size of the smallest perturbation found that gets each prediction wrong.

    .. math:: d_i = \min_{x'} \{ \|(x' - x_i) / u\| : \hat y(x') \ne y_i \}

    Of a classifier, the smallest that gets a sample misclassified. Of a regressor, the smallest
    that moves any of its outputs by more than the tolerance t,

    .. math:: d_i = \min_{x'} \{ \|(x' - x_i) / u\| : \|f(x') - f(x_i)\|_\infty > t \}

    or with y the smallest at which an error is larger, with :math:`y_i` in place of
    :math:`f(x_i)`.

    An upper bound of the distance to the nearest error. Minimum-norm attacks follow the
    gradients of the estimator's twin, :func:`sklearn_iso.attacks.ddn` in "l2" and
    :func:`sklearn_iso.attacks.fmn` otherwise, and its boundary,
    :func:`sklearn_iso.attacks.fab`; the nearer error counts. Where the twin is a surrogate,
    and for samples on which it finds nothing, :func:`sklearn_iso.attacks.rays` searches by
    labels alone; where there is no twin that agrees, it does so for all. The nearest errors that
    a certificate knows are taken as well (:func:`certified_distance`): the distances of single
    trees are exact in every norm, "l0" among them, those of ensembles of trees in "linf" as far
    as a short search goes, and those of one Euclidean neighbour in all norms but "l0". The
    estimator has the last word, and what it refuses is no error, as in
    :func:`sklearn_iso.metrics.adversarial_accuracy`. For a regressor the classes are "within the
    tolerance", "above" and "below", and the same attacks run; the distances of linear ones and of
    single trees are exact.

    Parameters
    ----------
    estimator : fitted classifier or regressor
    X : array-like or sparse matrix of shape (n_samples, n_features), or a DataFrame
    y : array-like of shape (n_samples,), or of several outputs (n_samples, n_outputs)
        Labels, of which those that are not in ``estimator.classes_`` count as misclassified, or
        targets. Without them deviations of a regressor are counted from its predictions; a
        classifier needs them.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`: the norm, the units u of the
        features (without them those of X), bounds, what stays, and categories. Another category
        adds nothing to the distance.
    tolerance : float, optional
        For a regressor, which needs it: how far a prediction may be away, in units of y.
    attack : str or minimum-norm attack, default="auto"
        "auto" is the search described above,
        :class:`sklearn_iso.attacks.MinimumNormEnsemble`, whose parameters tell how long it takes.
        :class:`sklearn_iso.attacks.DDN`, :class:`sklearn_iso.attacks.FMN`,
        :class:`sklearn_iso.attacks.FAB` and :class:`sklearn_iso.attacks.RayS` run alone; their
        names are short for their defaults.
    random_state : int, RandomState or None
        Draws the rays; None takes fresh entropy.
    sample_weight : array-like of shape (n_samples,), optional
        Samples of weight 0 are left out: they are not attacked, and their distance is NaN. Other
        weights, at least 0, change no distance; they are for what follows, such as
        ``numpy.average(distances[w > 0], weights=w[w > 0])``.
    n_jobs : int or None, default=None
        Processes for 50 samples at a time, each with one thread; -1 for one on each core. None
        does all at once in this process, with other random draws. The estimator must pickle.

    Returns
    -------
    ndarray of shape (n_samples,)
        0 where a sample is misclassified, or beyond the tolerance, as it is, infinity where no
        error was found, NaN where its weight is 0; a warning tells where labels alone were
        searched, no other label was ever met, and no proof says that there is none.

    Raises
    ------
    ValueError
        If X is empty, is infinite or outside of the bounds, y or the predictions are not of the
        type of ``estimator.classes_``, y or the tolerance is missing or out of place, or a
        parameter is out of its range.
    TypeError
        If estimator is neither a classifier nor a regressor, or one attack by gradients was asked
        for and it has none.

    References
    ----------
    Rony et al., Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial
    Attacks and Defenses, CVPR 2019.
    Pintor, Roli, Brendel, Biggio, Fast Minimum-norm Adversarial Attacks through Adaptive Norm
    Constraints, NeurIPS 2021.
    Croce, Hein, Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary Attack,
    ICML 2020.
    Chen, Gu, RayS: a Ray Searching Method for Hard-label Adversarial Attack, KDD 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics import adversarial_distance
    >>> X, y = np.array([[-1.0], [3.0], [-2.0], [2.0]]), [0, 1, 0, 1]
    >>> classifier = LogisticRegression().fit(X, y)
    >>> boundary = -classifier.intercept_ / classifier.coef_[0]
    >>> distances = adversarial_distance(classifier, X, y)
    >>> bool(np.allclose(distances, np.abs(X[:, 0] - boundary), rtol=1e-3))
    True
    """
    counts = None if sample_weight is None else check_weights(sample_weight, X) > 0
    method = as_minimum_norm(attack)
    if is_regressor(estimator):
        t = check_tolerance(tolerance)
        of_numbers = RegressionProblem.of(
            estimator, X, y, threat=threat, sample_weight=sample_weight, needs_y=False
        )
        deviations = DeviationProblem(of_numbers, t)
        found = deviation_distances(deviations, method, random_state, n_jobs=n_jobs)
        of_numbers.refused.warn()
        return _of_all(found, counts)
    y = check_classes(y, tolerance, estimator)
    problem = Problem.of(estimator, X, y, threat=threat, sample_weight=sample_weight)
    method.check(problem.points(), problem.threat)
    found, rows = np.zeros(len(problem.table)), np.flatnonzero(problem.right())
    if len(rows):
        search = Search(problem, method, as_generator(random_state))
        found[rows], n_unseen = search.distances(rows, n_jobs)
        warn_of_unseen(n_unseen, problem, "their distance, infinity,", by_scores=False)
    problem.refused.warn()
    return _of_all(found, counts)


def check_classes(y: ArrayLike | None, tolerance: object, estimator: object) -> ArrayLike:
    """Return the labels of a classifier, which needs them and has no tolerance.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._distance import check_classes
    >>> check_classes([0, 1], None, DummyClassifier())
    [0, 1]
    """
    name = type(estimator).__name__
    if tolerance is not None and is_classifier(estimator):
        raise ValueError(
            f"tolerance must be left out for a classifier; got {tolerance!r} for {name}, whose "
            "labels are right or wrong."
        )
    if y is None:
        raise ValueError(f"y must hold the labels of X for {name}; got None.")
    return y


def as_minimum_norm(attack: MinimumNormName | MinimumNormAttack) -> MinimumNormAttack:
    """Return a minimum-norm attack, with its defaults where a name came.

    Examples
    --------
    >>> from sklearn_iso.metrics._distance import as_minimum_norm
    >>> as_minimum_norm("auto"), as_minimum_norm("fab")
    (MinimumNormEnsemble(), FAB())
    """
    kinds = (MinimumNormEnsemble, DDN, FMN, FAB, SigmaZero, RayS)
    known: dict[str, type[MinimumNormAttack]] = {kind.name: kind for kind in kinds}
    if isinstance(attack, str) and attack in known:
        return known[attack]()
    if isinstance(attack, MinimumNormAttack):
        return attack
    raise ValueError(
        f"attack must be a minimum-norm attack, one of {', '.join(map(repr, known))}, or one of "
        f"{', '.join(kind.__name__ for kind in kinds)} with its parameters; got {attack!r}. Pass "
        "for example MinimumNormEnsemble(n_steps=200)."
    )


def _of_all(found: NDArray, counts: NDArray | None) -> NDArray:
    """Return what was found for the samples that count, and NaN for the others."""
    if counts is None:
        return found
    distances = np.full(len(counts), np.nan)
    distances[counts] = found
    return distances


@dataclass(frozen=True)
class Search:
    """Minimum-norm attacks on samples of a problem, and what the estimator says of their points.

    Parameters
    ----------
    problem : Problem
    method : MinimumNormAttack
    generator : torch.Generator

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import FAB
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._distance import Search
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(GaussianNB().fit(X, y), X, y, threat=ThreatModel(units=[1, 1, 0, 2]))
    >>> Search(problem, FAB(), torch.Generator()).distances(np.array([0, 99]))[0].round(2)
    array([0.37, 0.3 ])
    """

    problem: Problem
    method: MinimumNormAttack
    generator: torch.Generator

    def distances(self, rows: NDArray, n_jobs: int | None = None) -> tuple[NDArray, int]:
        """Return the distances of the closest errors found for samples that are right.

        And of how many samples nothing is known, as labels alone were searched and no other label
        was met.
        """
        problem = self.problem
        problem.count_refusals_within(np.ptp(problem.table.values, axis=0))
        access = Access.of(problem, rows, self.method.asks)
        if n_jobs is None:
            return self.distances_through(access, rows)
        parts = over_parts(
            _distances_of_part, (self, access), rows, problem=problem,
            random_state=self.generator, n_jobs=n_jobs,
        )  # fmt: skip
        return np.concatenate([found for found, _ in parts]), sum(n for _, n in parts)

    def distances_through(self, access: Access, rows: NDArray) -> tuple[NDArray, int]:
        """Return the same of some samples, through the access that all have."""
        problem = self.problem
        walks = self._follows_gradients(access)
        distance, settled = self._known(rows)
        left, n_unseen = np.flatnonzero(~settled | access.trusted), 0
        if len(left):
            found, n_unseen = self._searched(access, rows[left], walks)
            distance[left] = np.minimum(distance[left], found)
        if problem.table.is_raw and isinstance(self.method, MinimumNormEnsemble):
            far = np.flatnonzero(distance > 0)
            _, misclassified = every_combination(access, rows[far])
            distance[far[misclassified]] = 0.0
            n_unseen = 0 if leaves_none_out(problem.threat) else min(n_unseen, len(far))
        return distance, n_unseen

    def _known(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Return the distances of errors that are known, and where nothing remains to find."""
        distance, settled = np.full(len(rows), np.inf), np.zeros(len(rows), dtype=bool)
        if not isinstance(self.method, MinimumNormEnsemble):
            return distance, settled
        known = KnownErrors.of(self.problem)
        errors = None if known is None else known.nearest(rows)
        if errors is None:
            return distance, settled
        hit = errors.misclassified
        X = self.problem.points(rows[hit])
        distance[hit] = Settling(self.problem).sizes(X, errors.points[hit])
        return distance, errors.settled

    def _searched(self, access: Access, rows: NDArray, walks: bool) -> tuple[NDArray, int]:
        method = self.method
        distance = np.full(len(rows), np.inf)
        if walks:
            with threads_for(access.largest_product(len(rows))):
                state = self._found(method, access.logits, rows)
            distance = Settling(self.problem).settle(state.X_adv, rows, exact=access.trusted)
        search = method if isinstance(method, RayS) else self._search_by_labels()
        left = np.flatnonzero(np.isinf(distance) | (not access.trusted))
        if search is None or not len(left):
            return distance, 0
        state = self._found(search, access.answers.predict, rows[left])
        shorter = Settling(self.problem).settle(state.X_adv, rows[left], exact=False)
        distance[left] = np.minimum(distance[left], shorter)
        unseen = np.isinf(distance[left]) & ~state.seen.numpy() & (not access.trusted)
        return distance, self._n_unknown(rows[left[unseen]])

    def _n_unknown(self, rows: NDArray) -> int:
        """Return for how many samples that met no other label no proof says that there is none."""
        searched_alone = len(rows) and not isinstance(self.method, MinimumNormEnsemble)
        known = KnownErrors.of(self.problem) if searched_alone else None
        errors = None if known is None else known.nearest(rows)
        if errors is None:  # the ensemble has left out what is proven
            return len(rows)
        return int((errors.misclassified | ~errors.settled).sum())

    def _follows_gradients(self, access: Access) -> bool:
        """Whether to walk, also where gradients vanish in places if steps were asked for."""
        if self.method.asks != "gradients":
            return False
        if not isinstance(self.method, MinimumNormEnsemble):
            access.require_gradients()
            return True
        asked = {"n_steps": self.method.n_steps, "n_restarts": self.method.n_restarts}
        told = {name: count for name, count in asked.items() if count is not None}
        if access.climbs or not told:
            return access.climbs
        if access.gradients is Gradients.VANISH:
            return True
        name, count = next(iter(told.items()))
        raise ValueError(
            f"{name} must be left out where there are no gradients to follow; got "
            f"{name}={count!r}, and {access.reason}. Set n_queries, of the search by labels."
        )

    def _search_by_labels(self) -> RayS | None:
        """Return the search that follows gradients; none where one attack was to run alone."""
        if not isinstance(self.method, MinimumNormEnsemble) or self.method.n_queries == 0:
            return None
        return RayS(n_queries=self.method.n_queries or AUTOMATIC_QUERIES)

    def _found(self, method: MinimumNormAttack, answer: Callable, rows: NDArray) -> AttackState:
        return method.closest_errors(
            answer, self.problem.points(rows), self.problem.labels(rows),
            threat=self.problem.threat, random_state=self.generator,
        )  # fmt: skip


def _distances_of_part(
    shared: tuple[Search, Access], rows: NDArray, seed: int
) -> tuple[NDArray, int]:
    search, access = shared
    own = replace(search, generator=torch.Generator().manual_seed(seed))
    return own.distances_through(access, rows)
