"""Samples of which a search by labels alone learned nothing."""

from __future__ import annotations

import warnings

from sklearn_iso.metrics._answers import Answers
from sklearn_iso.metrics._findings import Finding
from sklearn_iso.metrics._problem import Problem


def told(n_unseen: int, n_samples: int) -> str:
    """Tell how many samples met no other label.

    Examples
    --------
    >>> from sklearn_iso.metrics._unseen import told
    >>> told(3, 40)
    'no point with another label was met for 3 of 40 samples, so there was nothing to start from'
    """
    return (
        f"no point with another label was met for {n_unseen} of {n_samples} samples, so there was "
        "nothing to start from"
    )


def warn_of_unseen(n_unseen: int, problem: Problem, figure: str, *, by_scores: bool = True) -> None:
    """Warn that a figure may be too high, where labels alone were searched in vain.

    Scores are advised where a search `by_scores` would ask for them, and there are none that
    decide.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._unseen import warn_of_unseen
    >>> X, y = [[0.0], [1.0]], [0, 1]
    >>> warn_of_unseen(0, Problem.of(DummyClassifier().fit(X, y), X, y), "the accuracy")
    """
    if not n_unseen:
        return
    remedies = [
        "Raise n_queries of the attack",
        "pass a threat of units in which features are alike",
    ]
    if by_scores:
        remedies += _scores_advised(problem)
    warnings.warn(
        "The search by labels alone needs errors to start from; "
        f"{told(n_unseen, len(problem.table))}, and {figure} may be too high. "
        f"{', '.join(remedies[:-1])}, or {remedies[-1]}.",
        stacklevel=5,  # beyond the measure, its gradients and its check of parameters
    )


def _scores_advised(problem: Problem) -> list[str]:
    """Return the advice to have scores, where there are none that decide."""
    if Answers.of(problem).scores is not None:
        return []
    return [
        "give the estimator scores (predict_proba or decision_function) that decide as predict does"
    ]


def starts_were_found(n_unseen: int, problem: Problem) -> Finding | None:
    """Tell whether a search by labels alone had an error to start from for every sample.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._unseen import starts_were_found
    >>> X, y = [[0.0], [1.0]], [0, 1]
    >>> problem = Problem.of(DummyClassifier().fit(X, y), X, y)
    >>> starts_were_found(1, problem).name, starts_were_found(0, problem)
    ('no other label met', None)
    """
    if not n_unseen:
        return None
    remedies = ["raise n_queries", *_scores_advised(problem)]
    return Finding(
        "no other label met",
        told(n_unseen, len(problem.table)),
        f"{', or '.join(remedies)}; until then these samples count as robust and nothing is known "
        "of them",
    )
