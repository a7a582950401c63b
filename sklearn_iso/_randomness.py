"""Random numbers that are ours alone: the global generators stay as they were."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state


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
