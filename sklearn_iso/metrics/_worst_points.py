"""The worst point found for each sample of a classifier, by the estimator's own scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso.attacks._attack import NO_ANSWER
from sklearn_iso.attacks._losses import Loss, cross_entropy, margin
from sklearn_iso.metrics._answers import Answers, probabilities_of
from sklearn_iso.metrics._problem import Problem
from sklearn_iso.metrics._refused import Refused

TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Harm:
    r"""How bad the scores of points are for the true class; larger is worse.

    .. math:: \log \sum_{j \ne y} p_j - \log p_y, \qquad \max_{j \ne y} s_j - s_y

    The first of ``predict_proba``, which grows with the log loss, else the second of
    ``decision_function``.

    Parameters
    ----------
    columns : callable
        Maps points to logarithms of probabilities, or to decision values, one for each class.
    loss : callable
        Of columns and labels.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._worst_points import Harm
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(GaussianNB().fit(X, y), X, y)
    >>> Harm.of(problem)(problem.points([0, 1]), problem.labels([0, 1])) < -10
    array([ True,  True])
    """

    columns: Callable[[Tensor], Tensor]
    loss: Loss

    @classmethod
    def of(cls, problem: Problem) -> Harm | None:
        """Return how to rank points by the scores of an estimator; None if it has none."""
        if len(problem.classes) < 2:
            return None
        probabilities = probabilities_of(problem)
        if probabilities is not None:
            return cls(lambda x: probabilities(x).clamp(min=TINY).log(), cross_entropy)
        scores = Answers.of(problem).scores
        return None if scores is None else cls(scores, margin)

    @torch.no_grad()
    def __call__(self, X: Tensor, y: Tensor) -> NDArray[np.float64]:
        """Return one number for each point, NaN where there is no answer."""
        harm: NDArray[np.float64] = self.loss(self.columns(X), y).numpy()
        return harm


@dataclass
class WorstPoints:
    """The worst points of samples found so far.

    A sample that an attack broke is at a point that the estimator errs on, from then on at the
    worst of them; one that holds is at the worst of those that it gets right.

    Attributes
    ----------
    problem : Problem
    X_adv : Tensor of shape (n, ...)
    broken : ndarray of bool, shape (n,)
        Which samples are misclassified at their points.
    scores : Harm or None
    harm : ndarray of shape (n,)
        Of the points; NaN where nothing is known of it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._worst_points import WorstPoints
    >>> X, y = np.array([[0.0], [1.0]]), [0, 1]
    >>> worst = WorstPoints.of(Problem.of(LogisticRegression().fit(X, y), X, y))
    >>> worst(np.array([0, 1]), worst.X_adv + 0.25, np.array([False, False]))
    >>> worst.X_adv
    tensor([[0.2500],
            [1.0000]], dtype=torch.float64)
    """

    problem: Problem
    X_adv: Tensor
    broken: NDArray[np.bool_]
    scores: Harm | None
    harm: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem) -> WorstPoints:
        """Return samples as they are."""
        # Refused points are counted where they were attacked, not again where they are compared.
        problem = replace(problem, refused=Refused())
        X, harm = problem.points(), np.full(len(problem.table), np.nan)
        scores = Harm.of(problem)
        known = np.flatnonzero(problem.codes >= 0)
        if scores is not None and len(known):
            harm[known] = scores(problem.points(known), problem.labels(known))
        return cls(problem, X.clone(), ~problem.right(), scores, harm)

    def __call__(self, samples: NDArray, X_adv: Tensor, misclassified: NDArray) -> None:
        """Take what an attack broke, and of the rest what is worse."""
        new = misclassified & ~self.broken[samples]
        self._compare(samples[~new], X_adv[torch.from_numpy(~new)])
        hit = samples[new]
        self.X_adv[hit], self.broken[hit] = X_adv[torch.from_numpy(new)], True
        if self.scores is not None and len(hit):
            self.harm[hit] = self.scores(self.X_adv[hit], self.problem.labels(hit))

    def offer(self, samples: NDArray, X_adv: Tensor) -> None:
        """Take what is worse of points that break no sample that holds."""
        self(samples, X_adv, np.zeros(len(samples), dtype=bool))

    def _compare(self, samples: NDArray, X_adv: Tensor) -> None:
        if self.scores is None or not len(samples):
            return
        harm = self.scores(X_adv, self.problem.labels(samples))
        worse = np.flatnonzero(np.isfinite(harm) & ~(harm <= self.harm[samples]))
        if not len(worse):
            return
        at = samples[worse]
        columns = self.problem.predict_perturbed(X_adv[worse].numpy(), at)
        wrong = columns != self.problem.codes[at]
        taken = (wrong == self.broken[at]) & (columns != NO_ANSWER)
        self.X_adv[at[taken]] = X_adv[worse[taken]]
        self.harm[at[taken]] = harm[worse[taken]]
