"""What certifies a fitted estimator: the methods of all kinds in one shape."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


@runtime_checkable
class Timed(Protocol):
    """A certifier that may be told how long to search."""

    def within(self, time_limit: float | None) -> Certifier:
        """Return the same certifier with a limit of seconds for each sample."""


@runtime_checkable
class Witnessing(Protocol):
    """A certifier that also knows errors: upper bounds that go with its lower ones."""

    def witness(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> NDArray:
        """Return the nearest errors that it found; samples without one as they are."""
