"""IsometricClassifierCV: the strength of the penalty by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, _fit_context, clone
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso.estimators.alpha_path import scores_by_alpha
from sklearn_iso.estimators.classifier import IsometricClassifier
from sklearn_iso.estimators.input import check_fit_input, check_predict_input


class IsometricClassifierCV(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """IsometricClassifier whose `alpha` is chosen by cross-validation.

    The scores are those of ``GridSearchCV`` over alpha. Small networks with the default kind
    of penalty train under all alphas at once, on the same batches, which is several times
    faster than one by one; others train one by one.

    Parameters
    ----------
    alphas : sequence of float, default=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
        Strengths to try, at least 0.
    estimator : IsometricClassifier, optional
        All other parameters, reached as ``estimator__max_epochs``; its alpha is not used. The
        default is ``IsometricClassifier()``.
    cv : int, splitter or iterable, optional
        Folds, as :func:`sklearn.model_selection.check_cv` takes them; 5 by default.
    scoring : str or callable, optional
        The score to maximise; accuracy by default. An adversarial one trades accuracy for
        robustness: :func:`sklearn_iso.metrics.make_adversarial_scorer`.
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
        Fitted on all rows with the best alpha.
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
        "estimator": [IsometricClassifier, None],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        alphas: Sequence[float] = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0),
        *,
        estimator: IsometricClassifier | None = None,
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.alphas = alphas
        self.estimator = estimator
        self.cv = cv
        self.scoring = scoring
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike) -> IsometricClassifierCV:
        """Score every alpha on every fold, and fit the best one on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self : IsometricClassifierCV

        Raises
        ------
        ValueError
            If the data or a parameter breaks its rule.
        TrainingDivergedError
            If the loss of a fit becomes NaN or infinite.
        """
        alphas = check_alphas(self.alphas)
        classifier = self._classifier()
        X, y = check_fit_input(self, X, y, many_dimensions=classifier.module is not None)
        check_classification_targets(y)
        folds = list(check_cv(self.cv, y, classifier=True).split(X, y))
        scorer = check_scoring(classifier, scoring=self.scoring)
        scores = scores_by_alpha(classifier, alphas, X, y, folds, scorer)
        self._set_results(alphas, scores)
        self.estimator_ = classifier.set_params(alpha=self.alpha_).fit(X, y)
        self.classes_ = self.estimator_.classes_
        return self

    def _classifier(self) -> IsometricClassifier:
        classifier = IsometricClassifier() if self.estimator is None else clone(self.estimator)
        if not isinstance(classifier.random_state, int | np.integer):
            source = classifier.random_state
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
        """Return the most probable class of each row."""
        estimator, rows = self._fitted(X)
        return estimator.predict(rows)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return the probability of each class, in the order of ``classes_``."""
        estimator, rows = self._fitted(X)
        return estimator.predict_proba(rows)

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """Return the logarithm of :meth:`predict_proba`, without its underflow."""
        estimator, rows = self._fitted(X)
        return estimator.predict_log_proba(rows)

    def to_torch(self) -> nn.Module:
        """Return a copy of the trained module, as :meth:`IsometricClassifier.to_torch` does."""
        check_is_fitted(self)
        return self.estimator_.to_torch()

    def _fitted(self, X: ArrayLike) -> tuple[IsometricClassifier, NDArray]:
        check_is_fitted(self)
        many = self.estimator_.module is not None
        return self.estimator_, check_predict_input(self, X, many_dimensions=many)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags


def check_alphas(alphas: Any) -> list[float]:
    """Return the strengths to try, checked."""
    found = np.asarray(alphas, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all() or found.min() < 0:
        raise ValueError(
            f"alphas must be a list of numbers, at least 0; got {alphas!r}. Pass for example "
            "numpy.logspace(-2, 1, 10)."
        )
    return [float(alpha) for alpha in found]
