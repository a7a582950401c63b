"""What a report proves beside what its attacks found."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._protocols import Predictor
from sklearn_iso._threat import ThreatModel
from sklearn_iso.metrics._certificate import Certificate
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._weights import share


@dataclass(frozen=True, eq=False)
class Proven:
    """Lower bounds of the accuracy under attack, and what is known of each sample.

    Attributes
    ----------
    method : str
        How it was proven.
    accuracy : ndarray of shape (n_budgets,)
        Share of the samples that no perturbation within each budget gets misclassified.
    verdicts : ndarray of str, shape (n_budgets, n)
        "certified", "broken" by an attack, or "open": neither.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._proven import Proven
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), np.array([0, 0, 1])
    >>> problem = Problem.of(DecisionTreeClassifier().fit(X, y), X, y)
    >>> robust = np.array([[True, True, True], [True, False, False]])
    >>> Proven.of(problem, [0.5, 1.5], robust).accuracy
    array([1.        , 0.33333333])
    """

    method: str
    accuracy: NDArray[np.float64]
    verdicts: NDArray

    @classmethod
    def of(cls, problem: Problem, budgets: Sequence[float], robust: NDArray) -> Proven:
        """Prove what can be proven of samples, of which attacks left some robust.

        Raises
        ------
        NotCertifiableError
            If there are no proofs for the estimator.
        """
        certificate = Certificate.of(problem, None)
        held = np.stack([certificate.holds(eps) for eps in budgets])
        if contradicted := int((held & ~robust).any(axis=0).sum()):
            warnings.warn(
                f"A proof must not contradict an error that an attack has found; it does for "
                f"{contradicted} of {held.shape[1]} samples, which count as broken. Please report "
                f"this: {certificate.method}.",
                RuntimeWarning,
                stacklevel=2,
            )
        held &= robust
        verdicts = np.where(held, "certified", np.where(robust, "open", "broken"))
        return cls(certificate.method, share(held, problem.weight), verdicts)

    @classmethod
    def of_data(
        cls,
        data: tuple[Predictor, ArrayLike, ArrayLike, ArrayLike | None],
        threat: ThreatModel,
        budgets: Sequence[float],
        robust: NDArray,
    ) -> Proven:
        """Prove what can be proven of an estimator, X, y and weights as a user passes them.

        Raises
        ------
        NotCertifiableError
            If there are no proofs for the estimator.
        """
        estimator, X, y, weight = data
        problem = Problem.of(estimator, X, y, threat=threat, sample_weight=weight, missing=True)
        return cls.of(problem, budgets, robust)

    def largest(self, budgets: Sequence[float]) -> NDArray[np.float64]:
        """Return of each sample the largest budget within which it is certified, NaN if none.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_iso.metrics._proven import Proven
        >>> verdicts = np.array([["certified", "certified"], ["certified", "open"]])
        >>> Proven("by hand", np.array([1.0, 0.5]), verdicts).largest([0.5, 1.5])
        array([1.5, 0.5])
        """
        sizes = np.array(budgets, dtype=np.float64)[:, None]
        most = np.where(self.verdicts == "certified", sizes, -np.inf).max(axis=0)
        return np.where(np.isinf(most), np.nan, most)
