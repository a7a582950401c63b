"""What changes of one-hot categories make of the samples of a problem."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.categories import held, variants
from sklearn_iso._threat import ThreatModel
from sklearn_iso.metrics._problem import Attackable


def every_variant(problem: Attackable, rows: NDArray) -> tuple[NDArray, NDArray, ThreatModel]:
    """Return what changes of categories make of samples, whose they are, and a threat without.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._variants import every_variant
    >>> from sklearn_iso.metrics._problem import Attackable, Problem
    >>> X, y, threat = np.array([[0.0, 1.0], [1.0, 0.0]]), [0, 1], ThreatModel(categories=[(0, 1)])
    >>> problem = Problem.of(DecisionTreeClassifier().fit(X, y), X, y, threat=threat)
    >>> every_variant(problem, np.array([1]))[:2]
    (array([[1., 0.],
           [0., 1.]]), array([1, 1]))
    """
    X, threat = problem.table.values, problem.threat
    if not threat.categories:
        return X[rows], rows, threat
    every = [variants(X[row], threat) for row in rows]
    owner = np.repeat(rows, list(map(len, every)))
    return np.concatenate([X[:0], *every]), owner, held(threat, X.shape[1])
