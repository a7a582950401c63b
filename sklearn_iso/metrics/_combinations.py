"""Every combination of categories, where there are few: none is missed by a greedy search."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from math import prod

import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso._threat import ThreatModel
from sklearn_iso.attacks._attack import verdict
from sklearn_iso.metrics._access import Access, moves_numbers

MOST_COMBINATIONS = 256


def assignments(threat: ThreatModel, most: int = MOST_COMBINATIONS) -> list[dict[int, int]]:
    """Return all that categories may become, as the coordinate that is 1 of each group.

    Nothing where there are more than some number of them, or no group may change.

    Parameters
    ----------
    threat : ThreatModel
        By coordinate.

    Examples
    --------
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._combinations import assignments
    >>> assignments(ThreatModel(categories=[(0, 1), (2, 3)]))
    [{0: 0}, {0: 1}, {1: 2}, {1: 3}]
    >>> len(assignments(ThreatModel(categories=[(0, 1), (2, 3)], max_changes=2)))
    4
    """
    fixed = set() if threat.immutable is None else set(threat.immutable_mask().nonzero()[0])
    free = [tuple(at for at in group if at not in fixed) for group in threat.one_hot()]
    chosen = list(combinations(range(len(free)), min(threat.max_changes, len(free))))
    sizes = (prod(len(free[group]) for group in groups) for groups in chosen)
    if not threat.max_changes or not free or sum(sizes) > most:
        return []
    return [
        dict(zip(groups, columns, strict=True))
        for groups in chosen
        for columns in product(*(free[group] for group in groups))
    ]


def changed(X: Tensor, threat: ThreatModel) -> Iterator[Tensor]:
    """Yield points after each combination of categories; what is fixed in a group stays.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._combinations import changed
    >>> list(changed(torch.tensor([[1.0, 0.0]]), ThreatModel(categories=[(0, 1)])))
    [tensor([[1., 0.]]), tensor([[0., 1.]])]
    """
    groups = [list(group) for group in threat.one_hot()]
    fixed = torch.zeros(X.shape[1], dtype=torch.bool)
    if threat.immutable is not None:
        fixed = torch.from_numpy(threat.immutable_mask())
    for assignment in assignments(threat):
        points = X.clone()
        for group, column in assignment.items():
            columns = groups[group]
            free = ~(X[:, columns] * fixed[columns]).any(dim=1)
            block = points[:, columns].clone()
            block[free] = (torch.tensor(columns) == column).to(X)
            points[:, columns] = block
        yield points


def every_combination(access: Access, samples: NDArray) -> tuple[Tensor, NDArray]:
    """Try all combinations of categories on samples, the other features as they are.

    Parameters
    ----------
    access : Access
    samples : ndarray of int
        Classified correctly as they are.

    Returns
    -------
    points : Tensor of shape (n, n_coordinates)
    misclassified : ndarray of bool, shape (n,)

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._access import Access, moves_numbers
    >>> from sklearn_iso.metrics._combinations import every_combination
    >>> from sklearn_iso.metrics._problem import Problem
    >>> X, y = pd.DataFrame({"plan": ["a", "b"]}), [0, 1]
    >>> tree = make_pipeline(OneHotEncoder(), DecisionTreeClassifier()).fit(X, y)
    >>> problem = Problem.of(tree, X, y, threat=ThreatModel(categories=["plan"]))
    >>> every_combination(Access.of(problem), pd.Index([0, 1]).to_numpy())[1]
    array([ True,  True])
    """
    problem = access.problem
    X, y = problem.points(samples), problem.labels(samples)
    best, misclassified = X.clone(), torch.zeros(len(X), dtype=torch.bool)
    for points in changed(X, problem.threat):
        left = (~misclassified & (points != X).any(dim=1)).nonzero().squeeze(1)
        if access.trusted and len(left):
            with torch.no_grad():
                left = left[verdict(access.model(points[left]), y[left])]
        if len(left):
            hit = left[
                torch.from_numpy(problem.misclassified_at(points[left], samples[left.numpy()]))
            ]
            best[hit], misclassified[hit] = points[hit], True
    return best, misclassified.numpy()


def leaves_none_out(threat: ThreatModel) -> bool:
    """Tell whether the combinations of categories are all that there is to a threat.

    Examples
    --------
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._combinations import leaves_none_out
    >>> leaves_none_out(ThreatModel(categories=[(1, 2)])), leaves_none_out(ThreatModel())
    (False, False)
    """
    return bool(assignments(threat)) and not moves_numbers(threat)
