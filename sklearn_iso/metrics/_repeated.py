"""Whether a search without gradients would break more if it went on."""

from __future__ import annotations

from dataclasses import replace

from numpy.typing import NDArray

from sklearn_iso.metrics._evaluation import Evaluation
from sklearn_iso.metrics._findings import Finding, Sample


def search_suffices(sample: Sample, evaluation: Evaluation, robust: NDArray) -> Finding | None:
    """Search again, with other draws, for samples that held; tell how many break on top.

    Parameters
    ----------
    sample : Sample
    evaluation : Evaluation
        Of which the samples held.
    robust : ndarray of bool, shape (n,)
        Which of the samples held in the search of the evaluation.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn_iso.attacks import AttackEnsemble
    >>> from sklearn_iso.metrics._evaluation import Evaluation
    >>> from sklearn_iso.metrics._findings import Sample
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._repeated import search_suffices
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(3, random_state=0).fit(X, y)
    >>> problem = Problem.of(forest, X, y, threat="l2")
    >>> rows = np.arange(50, 150, 3)
    >>> short, longer = (
    ...     Evaluation.of(problem, AttackEnsemble(n_queries=n), 0, rows) for n in (4, 200)
    ... )
    >>> sample = Sample(problem, short.access, rows, 0.4, torch.Generator())
    >>> held = ~short.attack(rows, sample.eps).misclassified
    >>> print(search_suffices(sample, longer, held).seen)
    a second search with other draws breaks 7 of 20 samples that held
    """
    rows = sample.rows[robust]
    again = replace(evaluation, generator=sample.generator)
    count = int(again.attack(rows, sample.eps).misclassified.sum())
    if not sample.many(count):
        return None
    return Finding(
        "search not finished",
        f"a second search with other draws breaks {count} of {len(rows)} samples that held",
        f"so many of the {len(sample.rows)} samples diagnosed, or more, count as robust and are "
        "not: raise n_queries until this finding goes away",
    )
