"""The proofs about a classification problem: of its samples, and of all that may become of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_iso._certificates import certifier_of
from sklearn_iso._certificates.certifier import Certifier, Timed
from sklearn_iso._protocols import Predictor
from sklearn_iso._threat import ThreatModel
from sklearn_iso.attacks._attack import NO_ANSWER
from sklearn_iso.metrics._encoding import Encoding
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._variants import every_variant


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proven about the samples of a problem.

    Parameters
    ----------
    problem : Problem
    encoding : Encoding
        What the certifier gets of points.
    certifier : Certifier
    """

    problem: Problem
    encoding: Encoding
    certifier: Certifier

    @classmethod
    def of(cls, problem: Problem, time_limit: float | None) -> Certificate:
        """Return the proofs about a problem, within seconds a sample where a search takes long.

        Raises
        ------
        NotCertifiableError
            If there are none for the estimator.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> from sklearn_iso.metrics._certificate import Certificate
        >>> from sklearn_iso.metrics._problem import Problem
        >>> X, y = np.array([[0.0], [1.0], [3.0]]), [0, 0, 1]
        >>> problem = Problem.of(DecisionTreeClassifier().fit(X, y), X, y)
        >>> certificate = Certificate.of(problem, time_limit=None)
        >>> certificate.holds(1.5), certificate.distances().round(3)
        (array([ True, False, False]), array([2., 1., 1.]))
        """
        encoding = Encoding.of(problem.estimator, problem.table)
        certifier = certifier_for(encoding.estimator, time_limit)
        if encoding.inner is not None:
            encoding.check(problem.table.answered(problem.estimator.predict))
        return cls(problem, encoding, certifier)

    @property
    def method(self) -> str:
        """How it proves."""
        return self.certifier.method

    def holds(self, eps: float) -> NDArray:
        """Return which samples no perturbation within eps gets misclassified."""
        holds = self.problem.right()
        moved = Moved.of(self.problem, self.encoding, np.flatnonzero(holds))
        held_there = moved.right.copy()
        asked = moved.asked
        if asked.any() and eps > 0:
            held_there[asked] = self.certifier.holds(*moved.question(self.encoding), eps)
        np.logical_and.at(holds, moved.owner, held_there)
        return holds

    def distances(self) -> NDArray[np.float64]:
        """Return a lower bound of the distance of each sample to the nearest error."""
        found, rows = np.zeros(len(self.problem.table)), np.flatnonzero(self.problem.right())
        moved = Moved.of(self.problem, self.encoding, rows)
        bounds, asked = np.zeros(len(moved.owner)), moved.asked
        if asked.any():
            bounds[asked] = self.certifier.distances(*moved.question(self.encoding))
        found[rows] = np.inf
        np.minimum.at(found, moved.owner, bounds)
        return found


@dataclass(frozen=True, eq=False)
class Moved:
    """Samples with all that changes of their categories lead to.

    Parameters
    ----------
    points : ndarray of shape (n, n_coordinates)
        Of the table.
    owner : ndarray of int, shape (n,)
        The sample that each comes from.
    codes : ndarray of int, shape (n,)
    right : ndarray of bool, shape (n,)
        Which are classified correctly.
    threat : ThreatModel
        In which categories stay.
    """

    points: NDArray
    owner: NDArray
    codes: NDArray
    right: NDArray
    threat: ThreatModel

    @classmethod
    def of(cls, problem: Problem, encoding: Encoding, rows: NDArray) -> Moved:
        """Return samples that are right, and what they may be changed to.

        Categories that an encoder refuses lead nowhere.
        """
        points, owner, threat = every_variant(problem, rows)
        right = np.ones(len(points), dtype=bool)
        if len(points) and problem.threat.categories:
            known = ~encoding.refuses(points)
            points, owner = points[known], owner[known]
            predicted = problem.predict_perturbed(points, owner)
            right = (predicted == problem.codes[owner]) & (predicted != NO_ANSWER)
        return cls(points, owner, problem.codes[owner], right, threat)

    @property
    def asked(self) -> NDArray:
        """Which are to be proven: all of a sample are right, or nothing holds."""
        return ~np.isin(self.owner, self.owner[~self.right])

    def question(self, encoding: Encoding) -> tuple[NDArray, NDArray, ThreatModel]:
        """Return what a certifier is asked about."""
        asked = self.asked
        return (
            encoding.samples(self.points[asked]),
            self.codes[asked],
            encoding.threat(self.threat),
        )


def certifier_for(estimator: Predictor, time_limit: float | None) -> Certifier:
    """Return what certifies an estimator, within seconds a sample where a search takes long.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics._certificate import certifier_for
    >>> tree = DecisionTreeClassifier().fit(np.array([[0.0], [1.0]]), [0, 1])
    >>> certifier_for(tree, None).exact
    True
    """
    certifier = certifier_of(cast(BaseEstimator, estimator))
    return certifier.within(time_limit) if isinstance(certifier, Timed) else certifier
