"""What an estimator answers without gradients: its scores where they decide, and its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sklearn_iso.attacks._attack import NO_ANSWER
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._table import Asked

Answer = Callable[[Tensor], Tensor]
SHARE_THAT_MAY_DIFFER = 0.01  # ties that rounding decides


def agrees(n_different: int, n_rows: int) -> bool:
    """Whether two predictors that differ on some samples still count as one.

    Examples
    --------
    >>> from sklearn_iso.metrics._answers import agrees
    >>> agrees(1, 10), agrees(3, 200)
    (True, False)
    """
    return n_different <= max(1, SHARE_THAT_MAY_DIFFER * n_rows)


def closest_one_vs_one(margins: NDArray, n_classes: int) -> NDArray:
    """Scores of classes from margins of one-vs-one margins: each class's smallest margin.

    Margins stand in the order (0, 1), (0, 2), ..., (1, 2), ... and are positive where the first
    of the pair wins. Unlike votes they tell an attack how near a change is.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._answers import closest_one_vs_one
    >>> closest_one_vs_one(np.array([[1.0, 2.0, -3.0]]), 3)
    array([[ 1., -3., -2.]])
    """
    scores = np.full((len(margins), n_classes), np.inf)
    pairs = zip(*np.triu_indices(n_classes, 1), strict=True)
    for pair, (first, second) in enumerate(pairs):
        scores[:, first] = np.minimum(scores[:, first], margins[:, pair])
        scores[:, second] = np.minimum(scores[:, second], -margins[:, pair])
    return scores


def _as_columns(answer: ArrayLike, n_classes: int) -> Iterator[NDArray]:
    """Yield what an answer may mean as one score for each class."""
    values = np.asarray(answer, dtype=np.float64)
    if values.ndim == 1 and n_classes == 2:
        yield np.stack([-values, values], axis=1)
    if values.ndim == 2 and values.shape[1] == n_classes:
        yield values
    if values.ndim == 2 and n_classes > 2 and values.shape[1] == n_classes * (n_classes - 1) // 2:
        yield closest_one_vs_one(values, n_classes)
        yield closest_one_vs_one(-values, n_classes)


@dataclass(frozen=True)
class Answers:
    """Callables on tensors for attacks without gradients.

    Attributes
    ----------
    predict : callable
        Maps points to columns of the predicted labels.
    scores : callable or None
        Maps points to one score for each class, the largest of which decides; None if the
        estimator has no scores that decide as it does.
    source : str
        Where the scores are from, or why there are none.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics._answers import Answers
    >>> from sklearn_iso.metrics._problem import Problem
    >>> X, y = load_iris(return_X_y=True)
    >>> Answers.of(Problem.of(DecisionTreeClassifier().fit(X, y), X, y)).source
    'its predict_proba'
    """

    predict: Answer
    scores: Answer | None
    source: str

    @classmethod
    def labels_alone(cls, problem: Problem, why: str) -> Answers:
        """Return the labels of the estimator of a problem, and no scores."""
        sure = problem.knows_far_away()

        def predict(x: Tensor) -> Tensor:
            points = x.detach().numpy()
            columns = problem.predict_perturbed(points)
            if not sure:
                columns[~problem.knows(points)] = NO_ANSWER
            return torch.from_numpy(columns)

        return cls(predict, None, why)

    def judged(self, judge: Callable[[Answer], Answer]) -> Answers:
        """Return the answers as something else has them judged."""
        scores = None if self.scores is None else judge(self.scores)
        return replace(self, predict=judge(self.predict), scores=scores)

    @classmethod
    def of(cls, problem: Problem) -> Answers:
        """Return the answers of the estimator of a problem, compared on its data."""
        asked = Asked(problem.estimator, problem.classes, problem.table)
        values = problem.table.values
        expected, refused = problem.predict(values), []
        for name in ("decision_function", "predict_proba"):
            if not hasattr(asked, name):
                continue
            meanings = _meanings(getattr(asked, name), values, len(problem.classes))
            differ = [int((scores.argmax(axis=1) != expected).sum()) for scores in meanings]
            if differ and agrees(min(differ), len(values)):
                scores = _scores(name, problem, int(np.argmin(differ)))
                return replace(cls.labels_alone(problem, f"its {name}"), scores=scores)
            refused.append(name)
        why = "it has neither decision_function nor predict_proba"
        if refused:
            why = f"its predict does not follow its {' or '.join(refused)}"
        return cls.labels_alone(problem, why)


def probabilities_of(problem: Problem) -> Answer | None:
    """Return what maps points to the probability of each class, or None if there are none.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics._answers import probabilities_of
    >>> from sklearn_iso.metrics._problem import Problem
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(GaussianNB().fit(X, y), X, y)
    >>> probabilities_of(problem)(problem.points([0])).round()
    tensor([[1., 0., 0.]], dtype=torch.float64)
    """
    asked, n_classes = (
        Asked(problem.estimator, problem.classes, problem.table),
        len(problem.classes),
    )
    if not hasattr(asked, "predict_proba"):
        return None
    meanings = _meanings(asked.predict_proba, problem.table.values, n_classes)
    is_probability = bool(meanings) and bool((meanings[0] >= 0).all())
    return _scores("predict_proba", problem, 0) if is_probability else None


def _meanings(method: Callable, values: NDArray, n_classes: int) -> list[NDArray]:
    """Return what the answers at X may mean: nothing where there are none, or some are NaN."""
    try:
        meanings = list(_as_columns(method(values), n_classes))
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return []  # it predicts, but has no scores
    return [] if any(np.isnan(columns).any() for columns in meanings) else meanings


def _scores(name: str, problem: Problem, meaning: int) -> Answer:
    n_classes, ask = len(problem.classes), problem.table.asked

    def scores(x: Tensor) -> Tensor:
        points = x.detach().numpy()
        columns = np.full((len(points), n_classes), np.nan)
        parts = problem.refused.ask(
            lambda at: list(_as_columns(ask(problem.estimator, name, points[at]), n_classes))[
                meaning
            ],
            points,
            thorough=False,
        )
        for at, answer in parts:
            columns[at] = answer
            unknown = np.isnan(answer).any(axis=1)
            problem.refused.note(points[at[unknown]], "its scores are NaN")
        # Log-probabilities may be minus infinity; NaN tells an attack that there is no answer.
        largest = np.finfo(np.float64).max / 4
        return torch.from_numpy(np.clip(columns, -largest, largest))

    return scores
