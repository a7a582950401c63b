"""Random numbers that are ours alone: the global generators stay as they were."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
from sklearn.utils import check_random_state


class _Parametrized(Protocol):
    """What has parameters by name, as every estimator of scikit-learn."""

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters."""

    def set_params(self, **params: object) -> object:
        """Set parameters."""


E = TypeVar("E", bound=_Parametrized)


def private_random_state(
    random_state: int | np.random.RandomState | None,
) -> np.random.RandomState:
    """Return scikit-learn's random state, but fresh entropy where it takes numpy's global one.

    Examples
    --------
    >>> from sklearn_iso._randomness import private_random_state
    >>> private_random_state(0).randint(10), private_random_state(0).randint(10)
    (5, 5)
    """
    if random_state is None:
        return np.random.RandomState()
    try:
        return check_random_state(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "random_state must be None, an integer from 0 to 2**32 - 1 or a numpy RandomState; got "
            f"{random_state!r}."
        ) from error


def seeded(estimator: E, random: np.random.RandomState) -> E:
    """Return an estimator whose random states that are None are numbers now, its parts' too.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_iso._randomness import seeded
    >>> seeded(PCA(random_state=3), np.random.RandomState(0))
    PCA(random_state=3)
    >>> seeded(PCA(), np.random.RandomState(0)).random_state is None
    False
    """
    params = estimator.get_params(deep=True)
    unset = [key for key, value in sorted(params.items()) if value is None]
    seeds = {
        key: int(random.randint(2**31 - 1))
        for key in unset
        if key == "random_state" or key.endswith("__random_state")
    }
    estimator.set_params(**seeds)
    return estimator
