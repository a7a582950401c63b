"""Choices that trade accuracy for robustness: between candidates of a search, between epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_iso._training import RobustEarlyStopping
from sklearn_iso._typed import validate_params

__all__ = ["RobustEarlyStopping", "refit_robust"]

#: What a scorer of clean accuracy is usually called in ``scoring={...}``.
_CLEAN_NAMES = ("clean", "accuracy", "balanced_accuracy")


@validate_params(
    {
        "max_accuracy_drop": [Interval(Real, 0, None, closed="left"), StrOptions({"std_error"})],
        "clean": [str, None],
        "robust": [str, None],
    },
    prefer_skip_nested_validation=True,
)
def refit_robust(
    max_accuracy_drop: float | str = 0.01,
    *,
    clean: str | None = None,
    robust: str | None = None,
) -> _RefitRobust:
    r"""Return a choice for ``refit=``: the most robust candidate that is accurate enough.

    .. math:: \arg\max_c \, \mathrm{robust}_c \quad \text{such that} \quad
              \mathrm{clean}_c \ge \max_{c'} \mathrm{clean}_{c'} - \delta

    with mean test scores over the folds. Of candidates that are equally robust the most
    accurate wins, then the first.

    Parameters
    ----------
    max_accuracy_drop : float or "std_error", default=0.01
        The delta, at least 0: how much clean score may be paid. "std_error" takes the standard
        error over the folds of the most accurate candidate.
    clean, robust : str, optional
        Names of the two scorers in ``scoring={...}``. By default "clean", "accuracy" or
        "balanced_accuracy", and the one other scorer.

    Returns
    -------
    choice : callable
        ``choice(cv_results_) -> index of the best candidate``; it can be pickled.

    Raises
    ------
    ValueError
        If `max_accuracy_drop` is out of range; when called, if the scorers are not found or no
        candidate has finite scores.

    References
    ----------
    L. Breiman, J. Friedman, R. Olshen, C. Stone, *Classification and Regression Trees*, 1984,
    section 3.4.3, for the rule of one standard error.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_iso.metrics import make_adversarial_scorer
    >>> from sklearn_iso.model_selection import refit_robust
    >>> X, y = load_iris(return_X_y=True)
    >>> scoring = {"clean": "accuracy", "robust": make_adversarial_scorer(eps=0.3)}
    >>> search = GridSearchCV(
    ...     LogisticRegression(max_iter=1000), {"C": [0.001, 1, 100]}, scoring=scoring,
    ...     refit=refit_robust(max_accuracy_drop=0.02),
    ... ).fit(X, y)
    >>> search.best_params_
    {'C': 1}
    """
    return _RefitRobust(max_accuracy_drop, clean, robust)


@dataclass(frozen=True)
class _RefitRobust:
    """The callable that :func:`refit_robust` makes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.model_selection import refit_robust
    >>> scores = {"mean_test_clean": [0.98, 0.975, 0.9], "mean_test_robust": [0.1, 0.7, 0.8]}
    >>> refit_robust(0.01)(scores)
    1
    """

    max_accuracy_drop: float | str = 0.01
    clean: str | None = None
    robust: str | None = None

    def __call__(self, cv_results: Mapping[str, NDArray]) -> int:
        """Return the index of the best candidate."""
        name, other = self._names(cv_results)
        clean, robust = (_mean_scores(cv_results, scorer) for scorer in (name, other))
        usable = np.isfinite(clean) & np.isfinite(robust)
        if not usable.any():
            raise ValueError(
                f"A choice needs a candidate with finite scores {name!r} and {other!r}; all "
                "are NaN. Run the search with error_score='raise' to see why."
            )
        best = int(np.flatnonzero(usable)[clean[usable].argmax()])
        drop = self._drop(cv_results, name, best)
        allowed = np.flatnonzero(usable & (clean >= clean[best] - drop - 1e-12))
        order = np.lexsort((allowed, -clean[allowed], -robust[allowed]))
        return int(allowed[order[0]])

    def _drop(self, cv_results: Mapping[str, NDArray], clean: str, best: int) -> float:
        if self.max_accuracy_drop != "std_error":
            return float(self.max_accuracy_drop)
        n_folds = sum(
            key.startswith("split") and key.endswith(f"_test_{clean}") for key in cv_results
        )
        return float(cv_results[f"std_test_{clean}"][best] / max(1, n_folds - 1) ** 0.5)

    def _names(self, cv_results: Mapping[str, NDArray]) -> tuple[str, str]:
        known = [key.removeprefix("mean_test_") for key in cv_results if "mean_test_" in key]
        clean = self.clean or next((name for name in _CLEAN_NAMES if name in known), "")
        others = [name for name in known if name != clean]
        robust = self.robust or (others[0] if len(others) == 1 else "")
        if clean not in known or robust not in known:
            raise ValueError(
                f"refit_robust needs the scorers of clean accuracy and of robustness among "
                f"{known}; got clean={self.clean!r}, robust={self.robust!r}. Name both, as in "
                "refit_robust(clean='accuracy', robust='adversarial') with "
                "scoring={'accuracy': ..., 'adversarial': ...}."
            )
        return clean, robust


def _mean_scores(cv_results: Mapping[str, NDArray], name: str) -> NDArray[np.float64]:
    return np.asarray(cv_results[f"mean_test_{name}"], dtype=np.float64)
