"""Whether a search without gradients would break more if it went on."""

from __future__ import annotations

from dataclasses import replace

from numpy.typing import NDArray

from sklearn_iso.metrics.breaking import Procedure
from sklearn_iso.metrics.findings import Finding, Sample


def search_suffices(sample: Sample, procedure: Procedure, robust: NDArray) -> Finding | None:
    """Search again, with other draws, for samples that held; tell how many break on top.

    Parameters
    ----------
    sample : Sample
    procedure : Procedure
        That of the evaluation.
    robust : ndarray of bool, shape (n,)
        Which of the samples held in the search of the evaluation.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics.breaking import Procedure
    >>> from sklearn_iso.metrics.case import Case
    >>> from sklearn_iso.metrics.evaluation import Access
    >>> from sklearn_iso.metrics.findings import Sample
    >>> from sklearn_iso.metrics.repeated import search_suffices
    >>> X, y = load_iris(return_X_y=True)
    >>> case = Case.of(DecisionTreeClassifier(random_state=0).fit(X, y), X, y)
    >>> sample = Sample(case, Access.of(case), np.arange(50, 150), 0.6, torch.Generator())
    >>> short, longer = (Procedure(n_queries=n, random_state=0) for n in (4, 400))
    >>> held = ~short.run(case, sample.access, sample.eps, sample.rows).fooled
    >>> print(search_suffices(sample, longer, held).seen)
    a second search with other draws breaks 16 of 33 samples that held
    """
    rows = sample.rows[robust]
    again = replace(procedure, random_state=sample.generator)
    count = int(again.run(sample.case, sample.access, sample.eps, rows).fooled.sum())
    if not sample.many(count):
        return None
    return Finding(
        "search not finished",
        f"a second search with other draws breaks {count} of {len(rows)} samples that held",
        f"so many of the {len(sample.rows)} samples diagnosed, or more, count as robust and are "
        "not: raise n_queries until this finding goes away",
    )
