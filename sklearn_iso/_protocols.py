"""What the package asks of objects that others wrote: scikit-learn's conventions, as protocols.

scikit-learn has no type hints, and an estimator need not inherit from it. What goes into a method
of an estimator is Any here: whoever writes one decides which containers it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: What decides draws, as functions that scikit-learn checks take it.
RandomState = int | np.random.RandomState | None
#: Floats in the precision that came in.
Floats = NDArray[np.floating]
#: A measure of samples and their images, one number.
Measure = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


class Estimator(Protocol):
    """An estimator, fitted or not."""

    def fit(self, X: Any, /) -> object:
        """Learn from samples."""


class Predictor(Protocol):
    """A fitted estimator that predicts."""

    def predict(self, X: Any, /) -> NDArray:
        """Return a prediction for each sample."""


class Classifier(Predictor, Protocol):
    """A fitted classifier."""

    @property
    def classes_(self) -> Any:
        """Return the classes in order: an array, or one for each level of labels."""


class Transformer(Protocol):
    """A fitted estimator that represents samples by others."""

    def transform(self, X: Any, /) -> ArrayLike:
        """Return the representation of each sample."""


class Decider(Protocol):
    """A fitted estimator whose decision function represents samples."""

    def decision_function(self, X: Any, /) -> ArrayLike:
        """Return the values that decide for each sample."""


class Scorer(Protocol):
    """A scorer, as ``scoring`` of scikit-learn takes it."""

    def __call__(self, estimator: Any, X: Any, y: Any, /) -> float:
        """Return the score of a fitted estimator."""


class Search(Protocol):
    """A fitted search over parameters, such as GridSearchCV."""

    cv_results_: dict[str, Any]
    scorer_: Any  # one, or a dict of several


class Graph(Protocol):
    """What a directed graph of networkx has, its edges from coarse to fine."""

    @property
    def nodes(self) -> Iterable[Any]:
        """Return the labels."""

    def predecessors(self, n: Any, /) -> Iterable[Any]:
        """Return the labels above one."""


#: What tells the label above each: one, several in a container of which there may be one, or none.
Hierarchy = Mapping[Any, Hashable] | Graph
