"""What certifies a fitted estimator: the methods of all kinds in one shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._threat import ThreatModel


class Certifier(Protocol):
    """Lower bounds of the distance to the nearest error, for one fitted estimator."""

    @property
    def method(self) -> str:
        """How it proves, in a few words that reports show."""

    @property
    def exact(self) -> bool:
        """Whether its bounds are the distances themselves."""

    def holds(self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float) -> NDArray:
        """Return for which samples no perturbation within eps is misclassified, as booleans.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            As the estimator gets it.
        codes : ndarray of shape (n,), integers
            Positions of the labels in the classes.
        threat : ThreatModel
            Resolved: by position.
        eps : float
            In units of the threat.
        """

    def distances(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> NDArray:
        """Return a lower bound of the distance of each sample, in units of the threat."""


class RangeCertifier(Protocol):
    """Bounds of what one fitted regressor predicts near samples."""

    @property
    def method(self) -> str:
        """How it proves, in a few words that reports show."""

    @property
    def exact(self) -> bool:
        """Whether ranges of one output, and distances, are no wider than they must be."""

    def ranges(self, X: NDArray, threat: ThreatModel, eps: NDArray) -> tuple[NDArray, NDArray]:
        """Return bounds of all predictions within budgets, each of shape (n, n_outputs).

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            As the estimator gets it.
        threat : ThreatModel
            Resolved: by position.
        eps : ndarray of shape (n,)
            A budget for each sample, in units of the threat.

        Returns
        -------
        low, high : ndarray of shape (n, n_outputs)
            Infinite where nothing is known.
        """

    def distances(self, X: NDArray, low: NDArray, high: NDArray, threat: ThreatModel) -> NDArray:
        """Return lower bounds of the distances at which predictions leave intervals.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
        low, high : ndarray of shape (n, n_outputs)
            The predictions of the samples themselves are inside, the ends included.
        threat : ThreatModel

        Returns
        -------
        distances : ndarray of shape (n,)
            In units of the threat.
        """


@runtime_checkable
class Timed(Protocol):
    """A certifier that may be told how long to search."""

    def within(self, time_limit: float | None) -> Certifier:
        """Return the same certifier with a limit of seconds for each sample."""


@runtime_checkable
class TimedRanges(Protocol):
    """Bounds of predictions for which it may be told how long to search."""

    def within(self, time_limit: float | None) -> RangeCertifier:
        """Return the same bounds with a limit of seconds for each sample."""


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors near samples, and whether others need be looked for.

    Parameters
    ----------
    points : ndarray of shape (n, n_features)
        The samples themselves where no error is known.
    known : ndarray of bool, shape (n,)
        Where one is.
    settled : ndarray of bool, shape (n,)
        Where proof says that the error is the nearest, or that there is none.
    """

    points: NDArray
    known: NDArray
    settled: NDArray

    @classmethod
    def none(cls, X: NDArray) -> Errors:
        """Return that nothing is known of samples."""
        return cls(X.copy(), np.zeros(len(X), dtype=bool), np.zeros(len(X), dtype=bool))


@runtime_checkable
class Witnessing(Protocol):
    """A certifier that also knows errors: upper bounds that go with its lower ones."""

    def errors(
        self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float | None = None
    ) -> Errors:
        """Return errors near samples that are classified correctly.

        The work is limited by counts and not by a clock: the same errors come back each time.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            As the estimator gets it.
        codes : ndarray of shape (n,), integers
        threat : ThreatModel
            Resolved: by position. Of norms in which nothing is known nothing comes back.
        eps : float, optional
            Any error within this distance will do, and none is farther. Without it the nearest
            are looked for.
        """
