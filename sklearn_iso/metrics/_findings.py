"""What a diagnosis found, and the draw of samples that it looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso._geometry.norm import attached
from sklearn_iso.attacks import STAGES, Attack, AttackEnsemble
from sklearn_iso.metrics._access import Access
from sklearn_iso.metrics._problem import Problem

#: Stages whose attacks go beyond the budget, and come back.
LEAVE_THE_BUDGET = ("wide_margin", "boundary", "nearest")


@dataclass(frozen=True)
class Finding:
    """A sign that a robustness figure is too high, and what to do next.

    Attributes
    ----------
    name : str
        Which diagnostic.
    seen : str
        What was seen.
    next_step : str
        What to do.

    Examples
    --------
    >>> from sklearn_iso.metrics import Finding
    >>> print(Finding("too few samples", "10 samples", "pass more"))
    too few samples: 10 samples. Next: pass more.
    """

    name: str
    seen: str
    next_step: str

    def __str__(self) -> str:
        """Tell all in a line."""
        return f"{self.name}: {self.seen}. Next: {self.next_step}."


@dataclass(frozen=True)
class Sample:
    """A seeded draw of samples that are right without an attack, under one budget.

    Parameters
    ----------
    problem : Problem
    access : Access
    rows : ndarray of int
    eps : float
        Budget of the comparisons between attacks.
    generator : torch.Generator
    image_shape : tuple of int or None
        What a sample holds, where it is an image.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._access import Access
    >>> from sklearn_iso.metrics._findings import Sample
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> Sample(problem, Access.of(problem), np.arange(9), 4.0, torch.Generator()).white_box.all()
    np.True_
    """

    problem: Problem
    access: Access
    rows: NDArray
    eps: float
    generator: torch.Generator = field(repr=False)
    image_shape: tuple[int, ...] | None = None

    @property
    def X(self) -> Tensor:
        """The points."""
        return self.problem.points(self.rows)

    @property
    def y(self) -> Tensor:
        """Columns of their labels."""
        return self.problem.labels(self.rows)

    def logits(self, x: Tensor) -> Tensor:
        """Scores of the twin; flat where no gradient leads through it, as behind steps."""
        return attached(self.access.logits(x), x)

    def misclassified_under(self, attack: Attack, answer: Callable) -> NDArray:
        """Which samples an attack on an answer gets the estimator to err on, within eps."""
        return self.within(self.eps, attack, answer)

    def within(self, eps: float, attack: Attack, answer: Callable) -> NDArray:
        """Which samples an attack gets the estimator to err on, within any budget."""
        threat, generator = self.problem.threat, self.generator
        X_adv = attack(answer, self.X, self.y, eps=eps, threat=threat, random_state=generator)
        return self._misclassified_at(X_adv, eps)

    def _misclassified_at(self, X_adv: Tensor, eps: float) -> NDArray:
        X_adv = self.problem.candidate(self.X, X_adv, eps, self.rows)
        self.problem.budget(self.X, eps).verify(self.X, X_adv)
        return self.problem.misclassified_at(X_adv, self.rows)

    @cached_property
    def _broken_by(self) -> tuple[NDArray, NDArray]:
        """Which samples the gradient attacks of the evaluation break, and which of them did."""
        X_adv, stage = AttackEnsemble().with_stages(
            self.logits, self.X, self.y,
            eps=self.eps, threat=self.problem.threat, random_state=self.generator,
        )  # fmt: skip
        return self._misclassified_at(X_adv, self.eps), stage.cpu().numpy()

    @property
    def white_box(self) -> NDArray:
        """Which samples the gradient attacks of the evaluation break."""
        return self._broken_by[0]

    @property
    def from_beyond(self) -> NDArray:
        """Which of them an attack breaks that leaves the budget on its way, and no ascent in it."""
        broken, stage = self._broken_by
        return broken & np.isin(stage, [STAGES.index(name) for name in LEAVE_THE_BUDGET])

    def climbed(self, eps: float) -> NDArray:
        """Which samples the gradient attacks of the evaluation break within a budget."""
        return self.within(eps, AttackEnsemble(), self.logits)

    def share(self, count: int) -> str:
        """Tell a count of samples as words."""
        return f"{count} of {len(self.rows)} samples"

    def many(self, count: int, share: float = 0.02) -> bool:
        """Whether a count of samples is more than chance and rounding explain."""
        return count > max(1, share * len(self.rows))


def draw(right: NDArray, n_samples: int, generator: torch.Generator) -> NDArray:
    """Draw samples that are right without an attack.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_iso.metrics._findings import draw
    >>> draw(np.array([True, False, True]), 5, torch.Generator())
    array([0, 2])
    """
    rows = np.flatnonzero(right)
    order = torch.randperm(len(rows), generator=generator).numpy()[:n_samples]
    chosen: NDArray = np.sort(rows[order])
    return chosen
