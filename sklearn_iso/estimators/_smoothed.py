"""SmoothedClassifier: the majority of a classifier's answers around a sample, with a radius."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.utils import Tags, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sklearn_iso._labels import check_labels_known
from sklearn_iso._randomness import private_random_state, seeded
from sklearn_iso._typed import (
    BaseEstimator,
    ClassifierMixin,
    Constraints,
    MetaEstimatorMixin,
    clone,
    fit_context,
)
from sklearn_iso.estimators._input import plain_array

#: Numbers in what the classifier is asked at once.
CHUNK = 2**21
#: Standard deviations beyond which no draw lies.
FARTHEST = 10


class SmoothedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    r"""The majority of a classifier's answers in Gaussian noise, which large steps cannot change.

    .. math:: g(x) = \arg\max_c \; P(f(x + \epsilon) = c), \qquad
              \epsilon \sim \mathcal N(0, \sigma^2 I)

    Whatever the classifier f is, if the class of the majority has a probability of at least p > 1/2
    then g is constant within the Euclidean radius

    .. math:: r = \sigma\, \Phi^{-1}(p)

    around x. The probability is not known but estimated from draws: p is a lower confidence bound
    (Clopper and Pearson), so that a radius is wrong with a probability of at most `alpha`. The
    classifier should know noise: train it on noisy samples, with `n_copies` or by itself.

    Parameters
    ----------
    estimator : classifier
        The f; a clone of it is fitted. Where its `random_state` is None, it is drawn.
    sigma : float, default=0.25
        Standard deviation of the noise, in the units of X: scale X, so that one fits all features.
    n_samples : int, default=1000
        Draws of noise that vote. The radius is at most that of as many equal votes, 2.46 sigma by
        default.
    n_guess : int, default=100
        Further draws, which choose the class whose radius is estimated.
    alpha : float, default=0.001
        Probability with which the radius of a sample may be wrong, from 0 to 1.
    n_copies : int, default=0
        Noisy copies of each sample on which the classifier is fitted; 0 fits it on X itself.
    random_state : int, RandomState instance or None, default=None
        Draws the noise. It is the same for every sample, and in each call after a fit: radii are
        certain to `alpha` each, and not independent of each other.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Names of the columns, if X had them.

    References
    ----------
    J. Cohen, E. Rosenfeld, J. Z. Kolter, "Certified Adversarial Robustness via Randomized
    Smoothing", ICML 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_iso import SmoothedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> smoothed = SmoothedClassifier(KNeighborsClassifier(), sigma=0.3, random_state=0).fit(X, y)
    >>> smoothed.predict(X[:1]), smoothed.certified_radius(X[:1]).round(2)
    (array([0]), array([0.74]))
    """

    _parameter_constraints: Constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_guess": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "n_copies": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        sigma: float = 0.25,
        n_samples: int = 1000,
        n_guess: int = 100,
        alpha: float = 0.001,
        n_copies: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.sigma = sigma
        self.n_samples = n_samples
        self.n_guess = n_guess
        self.alpha = alpha
        self.n_copies = n_copies
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> SmoothedClassifier:
        """Fit a clone of the classifier, on noisy copies if there are to be any.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), optional
            Handed to the classifier, which must take it.

        Returns
        -------
        self : SmoothedClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is out of its range, X holds NaN, a label is missing, a weight is
            negative, or sigma too large for the dtype of X.
        """
        X, y = plain_array(X), plain_array(y)
        samples, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_labels_known(labels)
        check_classification_targets(labels)
        self._check_sigma(samples.dtype)
        random = private_random_state(self.random_state)
        noise_seed = int(random.randint(2**31 - 1))
        weights = {}
        if sample_weight is not None:
            checked = _check_sample_weight(sample_weight, samples, ensure_non_negative=True)
            weights["sample_weight"] = np.tile(checked, max(1, self.n_copies))
        if self.n_copies:
            samples = np.concatenate([samples] * self.n_copies)
            samples = samples + self._drawn(random, samples.shape, samples.dtype)
            labels = np.tile(labels, self.n_copies)
        fitted = seeded(clone(self.estimator), random).fit(samples, labels, **weights)
        self._noise_seed, self.estimator_, self.classes_ = noise_seed, fitted, fitted.classes_
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the class of most votes for each sample, also where no radius is certain.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Values of ``classes_``.
        """
        shares = self.predict_proba(X)
        labels: NDArray = self.classes_[shares.argmax(axis=1)]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return the share of votes of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        shares : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        shares: NDArray = self._votes(self._checked(X), self.n_samples) / self.n_samples
        return shares

    def certified_radius(self, X: ArrayLike) -> NDArray:
        r"""Return for each sample a Euclidean radius within which the prediction stays.

        .. math:: r = \sigma\, \Phi^{-1}(\underline p)

        with a lower confidence bound of the probability of the class that `n_guess` further draws
        chose.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        radii : ndarray of shape (n_samples,)
            In the units of X; 0 where the bound is not above 1/2, and nothing is certain. Each is
            wrong with a probability of at most `alpha`. Where it is positive, the class is that of
            :meth:`predict`.
        """
        samples = self._checked(X)
        guess = self._votes(samples, self.n_guess, 1).argmax(axis=1)
        counts = self._votes(samples, self.n_samples)[np.arange(len(samples)), guess]
        # The bound of no vote at all is 0, at which the distribution is not defined.
        least = stats.beta.ppf(self.alpha, np.maximum(counts, 1), self.n_samples - counts + 1)
        certain = np.where(counts > 0, least, 0.0)
        return np.where(certain > 0.5, self.sigma * stats.norm.ppf(np.maximum(certain, 0.5)), 0.0)

    def _checked(self, X: ArrayLike) -> NDArray:
        check_is_fitted(self)
        samples: NDArray = validate_data(
            self, plain_array(X), reset=False, dtype=[np.float64, np.float32]
        )
        return samples

    def _check_sigma(self, dtype: np.dtype) -> None:
        if self.sigma > (most := float(np.finfo(dtype).max) / FARTHEST):
            raise ValueError(
                f"sigma must be at most {most:.3g} for samples of {dtype}, whose noise overflows "
                f"else; got {self.sigma:g}. Scale X and sigma down, or pass X as float64."
            )

    def _drawn(
        self, random: np.random.RandomState, shape: tuple[int, ...], dtype: np.dtype
    ) -> NDArray:
        self._check_sigma(dtype)
        noise: NDArray = (self.sigma * random.standard_normal(shape)).astype(dtype)
        return noise

    def _votes(self, samples: NDArray, n_draws: int, stream: int = 0) -> NDArray:
        """Return how many draws go to each class, (n, n_classes)."""
        votes = np.zeros((len(samples), len(self.classes_)), dtype=np.int64)
        rows = np.arange(len(samples))
        for noise in self._noise(samples, n_draws, stream):
            noisy = (samples[None] + noise[:, None]).reshape(-1, samples.shape[1])
            codes = np.searchsorted(self.classes_, self.estimator_.predict(noisy))
            for chosen in codes.reshape(len(noise), len(samples)):
                votes[rows, chosen] += 1
        return votes

    def _noise(self, samples: NDArray, n_draws: int, stream: int) -> Iterator[NDArray]:
        """Yield the draws, the same in each call, a few at a time."""
        random = np.random.RandomState([self._noise_seed, stream])
        n_features = samples.shape[1]
        at_once = max(1, CHUNK // max(1, samples.size))
        for start in range(0, n_draws, at_once):
            shape = (min(at_once, n_draws - start), n_features)
            yield self._drawn(random, shape, samples.dtype)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        if inner.classifier_tags is not None and tags.classifier_tags is not None:
            tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
            tags.classifier_tags.poor_score = inner.classifier_tags.poor_score
        return tags
