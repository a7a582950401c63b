"""The largest budget that something is proven for, found for many samples at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

#: A bound that is positive where the budget of a sample is proven: (samples, budgets) -> bounds.
Bound = Callable[[NDArray, NDArray], NDArray]
RTOL = 1e-3
#: Where a proof does not end, the search for the first budget without one does.
MOST_DOUBLINGS = 40
MOST_STEPS = 24
#: Aims fall short by this share, as what is exactly on the boundary cannot be proven.
SHORT = 1e-6


def largest_budgets(bound: Bound, start: NDArray, most: NDArray, rtol: float = RTOL) -> NDArray:
    r"""Return the largest budgets that were found to be proven, 0 where none was.

    From a first guess, budgets double until there is no proof; then a secant of the bound, a little
    more than what is proven, and the middle take turns to close in on the largest. Each result was
    proven itself: the bound need not decrease with the budget.

    Parameters
    ----------
    bound : callable
        ``bound(samples, budgets)`` returns a number for each of the samples, which are positions;
        a positive one is a proof.
    start : ndarray of shape (n,)
        First guesses, positive.
    most : ndarray of shape (n,)
        Budgets from which on nothing changes, inf if there are none; where such a one is proven,
        the result is inf.
    rtol : float
        Budgets are searched until they are known to this share.

    Returns
    -------
    budgets : ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._certificates.budgets import largest_budgets
    >>> bound = lambda samples, budgets: 3.0 - budgets
    >>> float(largest_budgets(bound, np.ones(1), np.full(1, np.inf)).round(3)[0])
    3.0
    """
    n = len(start)
    proven, at_proven = np.zeros(n), bound(np.arange(n), np.zeros(n))
    failed, at_failed = np.full(n, np.inf), np.full(n, -np.inf)
    holds, guess = at_proven > 0, np.minimum(start, most)
    for step in range(MOST_DOUBLINGS + MOST_STEPS):
        bracketed = np.isfinite(failed)
        open_ended = np.isfinite(proven) & (step < MOST_DOUBLINGS)
        with np.errstate(invalid="ignore"):  # of infinite distances
            wide = failed - proven > rtol * proven
        going = np.flatnonzero(holds & np.where(bracketed, wide, open_ended))
        if not len(going):
            break
        found = bound(going, guess[going])
        good, bad = going[found > 0], going[~(found > 0)]
        proven[good], at_proven[good] = guess[good], found[found > 0]
        failed[bad], at_failed[bad] = guess[bad], found[~(found > 0)]
        proven[good[guess[good] >= most[good]]] = np.inf
        guess = _next(step, rtol, proven, failed, most, at_proven=at_proven, at_failed=at_failed)
    return np.where(holds, proven, 0.0)


def _next(
    step: int,
    rtol: float,
    proven: NDArray,
    failed: NDArray,
    most: NDArray,
    *,
    at_proven: NDArray,
    at_failed: NDArray,
) -> NDArray:
    """Return the next budgets: doubled where nothing failed, and else between the two."""
    with np.errstate(invalid="ignore", over="ignore"):
        share = at_proven / (at_proven - at_failed)
        secant = proven + (failed - proven) * share * (1 - SHORT)
        aim = (secant, proven * (1 + 0.9 * rtol), (proven + failed) / 2)[step % 3]
        usable = np.isfinite(aim) & (aim > proven) & (aim < failed)
        inside = np.where(usable, aim, (proven + failed) / 2)
        return np.where(np.isfinite(failed), inside, np.minimum(2 * proven, most))
