"""Parts of the samples attacked at once, in processes or threads of joblib."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import TypeVar

from numpy.typing import NDArray
from sklearn.utils.parallel import Parallel, delayed

from sklearn_iso._threads import one_thread
from sklearn_iso.attacks._parameters import RandomState, as_generator, fork_seed
from sklearn_iso.metrics._problem import Attackable

S = TypeVar("S")
R = TypeVar("R")

#: Samples of a part, whatever the number of jobs: figures must not depend on it.
SAMPLES = 50


def over_parts(
    task: Callable[[S, NDArray, int], R],
    shared: S,
    samples: NDArray,
    *,
    problem: Attackable,
    random_state: RandomState,
    n_jobs: int,
) -> list[R]:
    """Return what a task makes of each part of some samples, in order.

    Every part works on a copy of its own, with a seed of its own and one thread, so that results
    are equal bit by bit for every number of jobs and on every backend.

    Parameters
    ----------
    task : callable
        Maps what is shared, the samples of a part and a seed to a result.
    shared : object
        What every part gets a copy of.
    samples : ndarray of shape (n,)
    problem : Attackable
        That which `shared` holds: points that are refused in a part are counted there.
    random_state : int, RandomState, torch.Generator or None
        Draws the seeds.
    n_jobs : int

    Returns
    -------
    list
        One result for each part.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics._jobs import over_parts
    >>> from sklearn_iso.metrics._problem import Problem
    >>> problem = Problem.of(DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1]), [[0.0]], [0])
    >>> def count(shared, samples, seed):
    ...     return len(samples)
    >>> samples = np.arange(120)
    >>> over_parts(count, None, samples, problem=problem, random_state=0, n_jobs=1)
    [50, 50, 20]
    """
    generator = as_generator(random_state)
    parts = [samples[start : start + SAMPLES] for start in range(0, len(samples), SAMPLES)]
    # Filters of warnings are those of the process: threads that change them in turns, as we and
    # scikit-learn do, may leave those of each other behind.
    with warnings.catch_warnings():
        found = Parallel(n_jobs=n_jobs)(
            delayed(_of_part)(task, (shared, problem), part, fork_seed(generator)) for part in parts
        )
    refused = problem.refused
    for _, n_refused, reason in found:
        refused.n_points += n_refused
        refused.reason = refused.reason or reason
    return [result for result, _, _ in found]


def _of_part(
    task: Callable[[S, NDArray, int], R], common: tuple[S, Attackable], samples: NDArray, seed: int
) -> tuple[R, int, str]:
    """Return what a task makes of a part, how many points were refused, and why."""
    shared, problem = copy.deepcopy(common)  # threads hold it in common
    before = problem.refused.n_points
    with one_thread():
        result = task(shared, samples, seed)
    return result, problem.refused.n_points - before, problem.refused.reason
