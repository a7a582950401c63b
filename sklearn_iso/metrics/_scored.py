"""Scores of an estimator on changed samples, and how certain they and their differences are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Protocol, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import check_scoring
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from sklearn_iso._labels import check_labels_known
from sklearn_iso._protocols import Predictor, Samples
from sklearn_iso._silence import without_warnings
from sklearn_iso._weighting import effective_number
from sklearn_iso.metrics._routing import takes_weights
from sklearn_iso.metrics._table import own_copy
from sklearn_iso.metrics._weights import share, wilson_interval
from sklearn_iso.twins._labels import check_kind, one_each

Interval = tuple[float, float]
Answer = Callable[[Samples], ArrayLike]
Scoring = str | Callable[..., float] | None
#: Groups of samples that are left out in turn.
N_GROUPS = 20


@dataclass(frozen=True, eq=False)
class Scored:
    """A score, and the parts that tell how certain it is.

    Attributes
    ----------
    score : float
    parts : ndarray
        Whether each sample is right, or the score without each group of samples; of several
        repeats their mean. Empty where a score without some samples does not exist.
    """

    score: float
    parts: NDArray[np.float64]

    @classmethod
    def mean(cls, repeats: list[Scored]) -> Scored:
        """Return the mean of repeats, sample by sample or group by group; equal ones stay as is."""
        first = repeats[0]
        complete = all(one.parts.size for one in repeats)
        more = [one.parts - first.parts for one in repeats] if complete else []
        parts = first.parts + np.mean(more, axis=0) if complete else np.empty(0)
        return cls(first.score + float(np.mean([r.score - first.score for r in repeats])), parts)


class Measure(Protocol):
    """A score with intervals."""

    @property
    def name(self) -> str:
        """What is scored."""

    def of(self, X: Samples) -> Scored:
        """Return the score on changed samples; an estimator may raise any error."""

    def interval(self, scored: Scored, n_repeats: int) -> Interval | None:
        """Return the 95% interval of the score of all samples like these."""

    def drop_interval(self, clean: Scored, scored: Scored) -> Interval | None:
        """Return the 95% interval of what a score lies below the clean one."""


@dataclass(frozen=True, eq=False)
class Accuracy:
    r"""Share of samples that are right.

    Repeats are averaged sample by sample, as samples are drawn and corrupted each by itself: with
    :math:`m_i` the share of repeats in which sample i is right, the variance of the mean is
    :math:`\sum_i w_i^2 (m_i - \bar m)^2 / (\sum_i w_i)^2`, that of samples and repeats together.
    The interval is Wilson's, of as many samples as have this variance.

    References
    ----------
    Agresti, Min, Simple Improved Confidence Intervals for Comparing Matched Proportions,
    Statistics in Medicine 24, 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._scored import Accuracy
    >>> X, y = np.zeros((4, 1)), np.array([0, 0, 0, 1])
    >>> measure = Accuracy(DummyClassifier().fit(X, y), y)
    >>> measure.of(X).score
    0.75
    """

    estimator: Predictor
    y: NDArray
    weight: NDArray[np.float64] | None = None
    name: str = "accuracy"

    def of(self, X: Samples) -> Scored:
        """Return the accuracy, and which samples are right."""
        labels = one_each(self.estimator.predict(X), len(self.y))
        if np.asarray(labels != labels, dtype=bool).any():
            raise ValueError("it predicts NaN")
        right = np.asarray(self.y == labels, dtype=np.float64)
        if not right.any():
            check_kind(self.y, labels, "the estimator's predictions")
        return Scored(float(share(right, self.weight)), right)

    def interval(self, scored: Scored, n_repeats: int) -> Interval | None:
        """Return Wilson's interval."""
        n, p = effective_number(self.weight, len(self.y)), scored.score
        variance = self._variance(scored.parts)
        most = n * n_repeats
        n_like = np.clip(p * (1 - p) / variance, n, most) if variance > 0 else n
        if 0 < p < 1 and variance == 0:
            n_like = most  # every sample is right in the same share of the repeats
        return wilson_interval(p, float(n_like))

    def drop_interval(self, clean: Scored, scored: Scored) -> Interval | None:
        """Return the interval of paired differences of Agresti and Min.

        It is the normal one with half a sample more that gets worse, half a one that gets better
        and one that stays: without them a few changes among few samples would look too certain.
        """
        differences = clean.parts - scored.parts
        n, drop = effective_number(self.weight, len(differences)), clean.score - scored.score
        squares = float(share(differences**2, self.weight))
        middle = n * drop / (n + 2)
        variance = ((n * squares + 1) / (n + 2) - middle**2) / (n + 2)
        half = float(ndtri(0.975)) * np.sqrt(variance)
        return max(-1.0, middle - half), min(1.0, middle + half)

    def _variance(self, values: NDArray[np.float64]) -> float:
        """Return the variance of a weighted mean of values of independent samples."""
        weight = np.ones(len(values)) if self.weight is None else self.weight
        centred = weight * (values - share(values, self.weight))
        n = effective_number(self.weight, len(values))
        unbiased = n / (n - 1) if n > 1 else 1.0
        return float(unbiased * (centred @ centred) / weight.sum() ** 2)


class Remembered:
    """An estimator that answers for all samples at once, and then for some of them.

    For scorers of scikit-learn, which ask for nothing but its answers.

    Of the X that it knows, and of the part that was chosen last, it looks its answers up; of
    anything else it asks the estimator.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._scored import Remembered
    >>> X = [[0.0], [1.0]]
    >>> estimator = Remembered(DummyClassifier().fit(X, [0, 0]), X)
    >>> estimator.predict(X), estimator.predict(estimator.chosen([1]))
    (array([0, 0]), array([0]))
    """

    def __init__(self, estimator: Predictor, X: Samples) -> None:
        self._estimator, self._X, self._answers = estimator, X, dict[str, ArrayLike]()
        self._part: Samples = X
        self._samples: NDArray[np.intp] | None = None

    def chosen(self, samples: NDArray[np.intp]) -> Samples:
        """Return some samples, which are known from now on."""
        part: Samples = _safe_indexing(self._X, samples)
        self._part, self._samples = part, samples
        return part

    def __getattr__(self, name: str) -> object:
        found = getattr(self._estimator, name)
        if name in ("predict", "predict_proba", "decision_function", "predict_log_proba"):
            return self._remembering(name, found)
        return found

    def _remembering(self, name: str, method: Answer) -> Answer:
        @wraps(method)  # scorers ask for the name
        def answer(X: Samples) -> ArrayLike:
            if X is not self._X and X is not self._part:
                return method(X)
            if name not in self._answers:
                self._answers[name] = method(own_copy(self._X))
            answers = self._answers[name]
            if X is self._X:
                return answers
            some: ArrayLike = _safe_indexing(answers, self._samples)
            return some

        return answer


@dataclass(frozen=True, eq=False)
class AnyScore:
    r"""The score of any scorer of scikit-learn, with the interval of a jackknife over groups.

    Each of G groups of samples is left out in turn; with :math:`s_g` the score without group g,
    the mean over repeats, the variance is :math:`\frac{G - 1}{G} \sum_g (s_g - \bar s)^2`, and
    the interval that of Student's t with G - 1 degrees of freedom.

    References
    ----------
    Efron, Tibshirani, An Introduction to the Bootstrap, Chapman and Hall 1993, chapter 11.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.metrics import get_scorer
    >>> from sklearn_iso.metrics._scored import AnyScore
    >>> X, y = np.zeros((4, 1)), np.array([0.0, 0.0, 4.0, 4.0])
    >>> model, error = DummyRegressor().fit(X, y), get_scorer("neg_mean_squared_error")
    >>> measure = AnyScore.by_groups(model, y, None, name="mse", scorer=error, seed=0)
    >>> measure.of(X).score, measure.interval(measure.of(X), 1)
    (-4.0, (-4.0, -4.0))
    """

    estimator: Predictor
    y: ArrayLike
    weight: NDArray[np.float64] | None
    name: str
    scorer: Callable[..., float]
    groups: NDArray[np.intp]

    @classmethod
    def by_groups(
        cls,
        estimator: Predictor,
        y: ArrayLike,
        weight: NDArray[np.float64] | None,
        *,
        name: str,
        scorer: Callable[..., float],
        seed: int,
    ) -> AnyScore:
        """Draw groups of equal size: by chance alone, as the samples themselves are drawn."""
        n = _num_samples(y)
        groups = np.random.default_rng([seed, 0]).permutation(np.arange(n) % min(N_GROUPS, n))
        return cls(estimator, y, weight, name, scorer, groups)

    def of(self, X: Samples) -> Scored:
        """Return the score, and those without each group."""
        remembered = Remembered(self.estimator, X)
        score = self._score(remembered, X, self.y, self.weight)
        if np.isnan(score):
            raise ValueError("scoring must give a number; it gives NaN")
        return Scored(score, self._without_each(remembered))

    def _asked(self, remembered: Remembered) -> Remembered | Predictor:
        """Return whom the scorer asks: one of somebody else's may look into the estimator."""
        of_sklearn = type(self.scorer).__module__.startswith("sklearn.metrics.")
        return remembered if of_sklearn else self.estimator

    def _score(
        self,
        remembered: Remembered,
        X: Samples,
        y: ArrayLike,
        weight: NDArray[np.float64] | None,
    ) -> float:
        options = {} if weight is None else {"sample_weight": weight}
        found = self.scorer(self._asked(remembered), X, y, **options)
        if np.ndim(found) or not isinstance(found, SupportsFloat):
            raise ValueError(
                f"scoring must give a number; it gives {type(found).__name__} {found!r}"
            )
        return float(found)

    def _without_each(self, remembered: Remembered) -> NDArray[np.float64]:
        scores = []
        for group in range(int(self.groups.max()) + 1):
            kept = np.flatnonzero(self.groups != group)
            weight = None if self.weight is None else self.weight[kept]
            part, labels = remembered.chosen(kept), _safe_indexing(self.y, kept)
            try:
                with without_warnings():  # the score of all samples has warned
                    scores.append(self._score(remembered, part, labels, weight))
            except ValueError:  # too few samples, or a class is gone
                return np.empty(0)
        known = np.array(scores)
        return known if np.isfinite(known).all() else np.empty(0)

    def interval(self, scored: Scored, n_repeats: int) -> Interval | None:
        """Return the interval of the jackknife; None where it does not exist."""
        half = self._half(scored.parts)
        return None if half is None else (scored.score - half, scored.score + half)

    def drop_interval(self, clean: Scored, scored: Scored) -> Interval | None:
        """Return that of the difference, which leaves out the same groups of both."""
        if not clean.parts.size or not scored.parts.size:
            return None
        half, drop = self._half(clean.parts - scored.parts), clean.score - scored.score
        return None if half is None else (drop - half, drop + half)

    def _half(self, parts: NDArray[np.float64]) -> float | None:
        n = len(parts)
        if n < 2:
            return None
        variance = (n - 1) / n * float(((parts - parts.mean()) ** 2).sum())
        return float(stdtrit(n - 1, 0.975) * np.sqrt(variance))


def measure_of(
    estimator: Predictor,
    y: ArrayLike,
    weight: NDArray[np.float64] | None,
    scoring: Scoring,
    seed: int,
) -> Measure:
    """Return how to score an estimator.

    Raises
    ------
    TypeError
        If it is neither a classifier nor a regressor, and no scorer was given.
    ValueError
        If the label of a sample is missing, or there are weights and a scorer takes none.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier, DummyRegressor
    >>> from sklearn_iso.metrics._scored import measure_of
    >>> measure_of(DummyClassifier(), [0, 1], None, None, 0).name
    'accuracy'
    >>> measure_of(DummyRegressor(), [0, 1], None, None, 0).name
    'r2'
    """
    labels = np.asarray(y)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    of_classes = is_classifier(estimator)
    if of_classes and labels.ndim == 1:
        check_labels_known(labels)
    if of_classes and scoring in (None, "accuracy") and labels.ndim == 1:
        return Accuracy(estimator, labels, weight)
    if isinstance(scoring, type):
        raise ValueError(
            "scoring must be the name of a scorer or a callable (estimator, X, y); got the class "
            f"{scoring.__name__}. Pass an instance of it."
        )
    if scoring is None and not of_classes and not is_regressor(estimator):
        raise TypeError(
            f"estimator must be a classifier or a regressor, or scoring must say how to score it; "
            f"got {type(estimator).__name__}. Pass scoring=, as for cross_val_score."
        )
    if scoring is None and not of_classes:
        scoring = "r2"
    scorer = check_scoring(estimator, scoring)
    if weight is not None and not takes_weights(scorer):
        raise ValueError(
            f"sample_weight must be left out for a scorer that takes none; got scoring={scoring!r}."
        )
    return AnyScore.by_groups(estimator, y, weight, name=_name(scoring), scorer=scorer, seed=seed)


def _name(scoring: Scoring) -> str:
    """Return what a table calls a score."""
    if scoring is None or isinstance(scoring, str):
        return scoring or "score"
    named = getattr(scoring, "_score_func", scoring)  # that of a scorer of scikit-learn
    return str(getattr(named, "__name__", type(named).__name__))


def quietly(measure: Measure, X: Samples) -> Scored:
    """Return the score on corrupted samples, without the warnings that these cause.

    Examples
    --------
    See :class:`Accuracy`.
    """
    with np.errstate(all="ignore"), without_warnings():
        return measure.of(X)
