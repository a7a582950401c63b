"""IsometricClassifierCV: the strength of the penalty by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, issparse
from sklearn import get_config
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import InvalidParameterError, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso._protocols import RandomState, Samples
from sklearn_iso._training import row_weights
from sklearn_iso._typed import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
    fit_context,
)
from sklearn_iso.estimators._alpha_path import Rows, Scorer, fits_by_alpha, scores_by_alpha
from sklearn_iso.estimators._base import StoredEstimator, with_dtypes
from sklearn_iso.estimators._classifier import IsometricClassifier
from sklearn_iso.estimators._input import check_fit_input
from sklearn_iso.estimators._splits import Splits, folds_of
from sklearn_iso.estimators._tasks import Parts, data_of_fit
from sklearn_iso.modules._build import has_own_sizes


class IsometricClassifierCV(
    ClassNamePrefixFeaturesOutMixin,
    ClassifierMixin,
    TransformerMixin,
    MetaEstimatorMixin,
    StoredEstimator,
):
    """IsometricClassifier whose `alpha` is chosen by cross-validation.

    The scores are those of ``GridSearchCV`` over alpha. Small networks with the default kind
    of penalty train under all alphas at once, on the same batches, which is several times
    faster than one by one; others, compiled ones and those in mixed precision train one by one.

    Parameters
    ----------
    alphas : sequence of float, default=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
        Strengths to try, at least 0.
    estimator : IsometricClassifier, optional
        All other parameters, reached as ``estimator__max_epochs``; its alpha and its
        `warm_start` are not used. The default is ``IsometricClassifier()``.
    cv : int, splitter or iterable, optional
        Number of stratified folds, 5 by default, a splitter of scikit-learn, or pairs of arrays
        of training and test rows.
    scoring : str or callable, optional
        The score to maximise; accuracy by default. An adversarial one trades accuracy for
        robustness: :func:`sklearn_iso.metrics.make_adversarial_scorer`.
    warm_start : bool, default=False
        Walk the alphas of a fold from the smallest to the largest, each fit starting at the
        weights of the one before: fewer epochs may then suffice. Networks train one by one, and
        the scores are no longer those of a grid search.
    random_state : int, RandomState instance or None, default=None
        Seeds the networks, all alike, where `estimator` has no seed of its own.

    Attributes
    ----------
    alpha_ : float
        The best alpha; the first of equals.
    best_score_ : float
        Its mean score.
    cv_results_ : dict of str to ndarray
        "alpha", "mean_test_score", "std_test_score" and "split0_test_score", ...
    estimator_ : IsometricClassifier
        Fitted on all samples with the best alpha.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    See Also
    --------
    sklearn.model_selection.GridSearchCV : The same over any parameters, one by one.
    sklearn_iso.model_selection.refit_robust : Choose by accuracy and robustness.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_iso import IsometricClassifier, IsometricClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> quick = IsometricClassifier(hidden_layer_sizes=(16,), max_epochs=20, random_state=0)
    >>> clf = IsometricClassifierCV(alphas=[0.1, 1.0, 10.0], estimator=quick).fit(X, y)
    >>> clf.cv_results_["mean_test_score"].shape
    (3,)
    """

    _parameter_constraints: dict = {
        "alphas": ["array-like"],
        "estimator": "no_validation",  # by _inner, which says what to pass
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        alphas: Sequence[float] = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0),
        *,
        estimator: IsometricClassifier | None = None,
        cv: Splits = None,
        scoring: str | Callable[..., float] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.alphas = alphas
        self.estimator = estimator
        self.cv = cv
        self.scoring = scoring
        self.warm_start = warm_start
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> IsometricClassifierCV:
        """Score every alpha on every fold, and fit the best one on all samples.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or torch Dataset
            Input; more dimensions are passed on to a `module`. A Dataset of pairs (x, y), which has
            a length, is read into memory by folds; then leave out y.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in every fit and, where `scoring` takes weights, in every score;
            under metadata routing, where `scoring` asks for them.

        Returns
        -------
        self : IsometricClassifierCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter breaks its rule.
        TrainingDivergedError
            If the loss of a fit becomes NaN or infinite.
        """
        alphas = check_alphas(self.alphas)
        classifier = self._classifier()
        rows = self._rows(X, y, sample_weight, has_own_sizes(classifier.module))
        folds = folds_of(self.cv, rows.X, rows.y)
        scorer = self._scorer(classifier, sample_weight)
        parts = Parts(self, len(folds) + 1, data_of_fit(X, y, sample_weight))
        by_fold = parts.each("fold", folds)
        scores = scores_by_alpha(classifier, alphas, rows, by_fold, scorer, warm=self.warm_start)
        self._set_results(alphas, scores)
        # As they came: with the names of the features.
        came = Rows(cast(NDArray, X), cast(NDArray, y), cast(NDArray | None, sample_weight))
        self._refit(classifier, alphas, came, parts)
        parts.end()
        return self

    def _scorer(self, classifier: IsometricClassifier, sample_weight: ArrayLike | None) -> Scorer:
        """Return the scorer, without weights where routing is enabled and it asks for none."""
        scorer = check_scoring(classifier, scoring=self.scoring)
        if sample_weight is None or not get_config()["enable_metadata_routing"]:
            return scorer
        routed = process_routing(self, "fit", sample_weight=sample_weight)
        if "sample_weight" in routed.scorer.score:
            return scorer
        return lambda fitted, X, y: scorer(fitted, X, y)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return who takes the weights of a fit: this estimator, and the scorer if it asks."""
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                scorer=check_scoring(self._inner(), scoring=self.scoring),
                method_mapping=MethodMapping().add(caller="fit", callee="score"),
            )
        )

    def _refit(
        self, classifier: IsometricClassifier, alphas: list[float], rows: Rows, parts: Parts
    ) -> None:
        """Fit the best alpha on all samples, as the folds came to it."""
        smaller = [alpha for alpha in alphas if alpha < self.alpha_ and self.warm_start]
        for _ in fits_by_alpha(classifier, smaller, rows, self.warm_start):
            pass
        with parts.part("refit", classifier):
            last = fits_by_alpha(classifier, [self.alpha_], rows, self.warm_start)
            ((_, self.estimator_),) = last
        self.classes_ = self.estimator_.classes_

    def _rows(
        self,
        X: Samples,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        many_dimensions: bool,
    ) -> Rows:
        """Return the checked samples; sparse ones stay so until a batch asks for them."""
        checked, labels = check_fit_input(self, X, y, many_dimensions=many_dimensions, lazy=True)
        check_classification_targets(labels)
        weight = sample_weight
        if weight is not None:
            weight = row_weights(weight, checked)
        return Rows(cast(csr_matrix, X).tocsr() if issparse(X) else checked, labels, weight)

    def _inner(self) -> IsometricClassifier:
        """Return the classifier whose alpha is sought.

        Raises
        ------
        InvalidParameterError
            If `estimator` is anything else; it is a ValueError and a TypeError.
        """
        if self.estimator is None:
            return IsometricClassifier()
        if not isinstance(self.estimator, IsometricClassifier):
            raise InvalidParameterError(
                "estimator must be an IsometricClassifier, an instance, whose alpha is to be "
                f"chosen; got {self.estimator!r}. Pass for example "
                "estimator=IsometricClassifier(max_epochs=50), or search over another estimator "
                "with sklearn.model_selection.GridSearchCV."
            )
        return self.estimator

    def _classifier(self) -> IsometricClassifier:
        classifier: IsometricClassifier = clone(self._inner())
        classifier._validate_params()  # networks that train at once skip its own fit
        if not isinstance(classifier.random_state, int | np.integer):
            source: RandomState = classifier.random_state
            source = self.random_state if source is None else source
            seeded = isinstance(source, int | np.integer)
            rng = np.random.RandomState() if source is None else check_random_state(source)
            classifier.set_params(random_state=source if seeded else int(rng.randint(2**31 - 1)))
        return classifier

    def _set_results(self, alphas: list[float], scores: NDArray[np.float64]) -> None:
        mean = scores.mean(axis=1)
        if not np.isfinite(mean).any():
            raise ValueError(
                "An alpha is chosen by its score, and no score is finite. Check the scoring."
            )
        best = int(np.nanargmax(mean))
        self.cv_results_ = {
            "alpha": np.array(alphas),
            "mean_test_score": mean,
            "std_test_score": scores.std(axis=1),
        } | {f"split{k}_test_score": column for k, column in enumerate(scores.T)}
        self.alpha_, self.best_score_ = alphas[best], float(mean[best])

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            As the best estimator predicts them.
        """
        return self._fitted().predict(X)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Of the best estimator.
        """
        return self._fitted().predict_proba(X)

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """Return the logarithm of :meth:`predict_proba`, without its underflow.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Of the best estimator.
        """
        return self._fitted().predict_log_proba(X)

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Return the logits, as :meth:`IsometricClassifier.decision_function` does.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Of the best estimator.
        """
        return self._fitted().decision_function(X)

    def transform(self, X: ArrayLike) -> NDArray:
        """Return the representation of each sample, as :class:`IsometricClassifier` does.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_units)
            Of the best estimator.
        """
        return self._fitted().transform(X)

    def to_torch(self, *, transform: bool = False) -> nn.Module:
        """Return a copy of the trained module, as :meth:`IsometricClassifier.to_torch` does.

        Parameters
        ----------
        transform : bool, default=False
            Whether the module ends at the representation.

        Returns
        -------
        module : nn.Module
            From X to the logits, or to the representation.
        """
        return self._fitted().to_torch(transform=transform)

    def _fitted(self) -> IsometricClassifier:
        check_is_fitted(self)
        return self.estimator_

    @property
    def _n_features_out(self) -> int:
        """Width of the representation."""
        return self.estimator_._n_features_out

    @property
    def _row_size(self) -> int:
        """Values of a row."""
        return self.estimator_._row_size

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return with_dtypes(tags, single=bool(getattr(self.estimator, "mixed_precision", False)))


def check_alphas(alphas: ArrayLike) -> list[float]:
    """Return the strengths to try, checked."""
    try:
        found = np.asarray(alphas, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all() or found.min() < 0:
        raise ValueError(
            f"alphas must be a list of numbers, at least 0; got {alphas!r}. Pass for example "
            "numpy.logspace(-2, 1, 10)."
        )
    return [float(alpha) for alpha in found]
