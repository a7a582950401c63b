"""The samples that changes of one-hot categories lead to: all of them, one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.domain import Domain
from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import Mask

#: Of one sample.
MOST_VARIANTS = 10_000


def held(threat: ThreatModel, n_features: int) -> ThreatModel:
    """Return a resolved threat in which categories stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.categories import held
    >>> held(ThreatModel(categories=[(0, 1)]).resolve(np.zeros((1, 3))), 3)
    ThreatModel(immutable=<mask of 2 among 3 features>)
    """
    if not threat.categories:
        return threat
    mask = np.zeros(n_features, dtype=bool)
    if threat.immutable is not None:
        mask |= threat.immutable_mask()
    for group in threat.categories:
        mask[np.array(group, dtype=int)] = True
    return replace(threat, categories=None, max_changes=1, immutable=Mask.of(mask))


def variants(x: NDArray, threat: ThreatModel) -> NDArray:
    """Return a sample and all that changes of its categories lead to.

    Raises
    ------
    ValueError
        If there are too many.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.categories import variants
    >>> variants(np.array([1.0, 0.0, 3.0]), ThreatModel(categories=[(0, 1)]))
    array([[1., 0., 3.],
           [0., 1., 3.]])
    """
    movable = Domain.of(threat, len(x)).units > 0
    groups = [np.array(group, dtype=int) for group in threat.categories or ()]
    flips = [(group, _flips(x, group, movable)) for group in groups]
    some = [one for one in flips if one[1]]
    found = [x]
    for n_changes in range(1, min(threat.max_changes, len(some)) + 1):
        for chosen in combinations(some, n_changes):
            for columns in product(*(flip for _, flip in chosen)):
                changed = x.copy()
                for (group, _), column in zip(chosen, columns, strict=True):
                    changed[group] = 0
                    changed[column] = 1
                found.append(changed)
                if len(found) > MOST_VARIANTS:
                    raise ValueError(
                        f"A certificate goes through all changes of categories, at most "
                        f"{MOST_VARIANTS} for a sample; there are more. Lower max_changes, or list "
                        "fewer groups."
                    )
    return np.stack(found)


def _flips(x: NDArray, group: NDArray, movable: NDArray) -> list[int]:
    """Return the columns that the 1 of a group may move to."""
    own = group[x[group].argmax()]
    if not movable[own]:
        return []
    others: list[int] = group[movable[group] & (group != own)].tolist()
    return others
