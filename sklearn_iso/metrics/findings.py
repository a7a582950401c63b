"""What a diagnosis found, and the sample of rows that it looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso.attacks import cascade_stages
from sklearn_iso.geometry.norm import attached
from sklearn_iso.metrics.case import Case
from sklearn_iso.metrics.evaluation import Access


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
    >>> from sklearn_iso.metrics.findings import Finding
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
    """A seeded sample of rows that are right without an attack, under one budget.

    Parameters
    ----------
    case : Case
    access : Access
    rows : ndarray of int
    eps : float
        Budget of the comparisons between attacks.
    generator : torch.Generator

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics.case import Case
    >>> from sklearn_iso.metrics.evaluation import Access
    >>> from sklearn_iso.metrics.findings import Sample
    >>> X, y = load_iris(return_X_y=True)
    >>> case = Case.of(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> Sample(case, Access.of(case), np.arange(9), 4.0, torch.Generator()).white_box.all()
    np.True_
    """

    case: Case
    access: Access
    rows: NDArray
    eps: float
    generator: torch.Generator = field(repr=False)

    @property
    def X(self) -> Tensor:
        """The points."""
        return self.case.points(self.rows)

    @property
    def y(self) -> Tensor:
        """Columns of their labels."""
        return self.case.labels(self.rows)

    def logits(self, x: Tensor) -> Tensor:
        """Scores of the twin; flat where no gradient leads through it, as behind steps."""
        return attached(self.access.logits(x), x)

    def fooled_by(self, attack: Callable, answer: Callable | None, **options: Any) -> NDArray:
        """Which rows an attack on an answer gets the estimator to err on, within eps."""
        return self.within(self.eps, attack, answer, **options)

    def within(
        self, eps: float, attack: Callable, answer: Callable | None, **options: Any
    ) -> NDArray:
        """Which rows an attack gets the estimator to err on, within any budget."""
        X_adv = attack(answer, self.X, self.y, eps=eps, threat=self.case.threat, **options)
        self.case.budget(self.X, eps).verify(self.X, X_adv)
        return self.case.fools(X_adv, self.rows)

    @cached_property
    def white_box(self) -> NDArray:
        """Which rows the gradient attacks of the evaluation fool."""
        return self.climbed(self.eps)

    def climbed(self, eps: float) -> NDArray:
        """Which rows the gradient attacks of the evaluation fool within a budget."""
        return self.within(eps, _cascade, self.logits, random_state=self.generator)

    def share(self, count: int) -> str:
        """Tell a count of rows as words."""
        return f"{count} of {len(self.rows)} samples"

    def many(self, count: int, share: float = 0.02) -> bool:
        """Whether a count of rows is more than chance and rounding explain."""
        return count > max(1, share * len(self.rows))


def _cascade(*args: Any, **options: Any) -> Tensor:
    return cascade_stages(*args, **options)[0]


def draw(right: NDArray, n_samples: int, generator: torch.Generator) -> NDArray:
    """Draw rows that are right without an attack.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_iso.metrics.findings import draw
    >>> draw(np.array([True, False, True]), 5, torch.Generator())
    array([0, 2])
    """
    rows = np.flatnonzero(right)
    order = torch.randperm(len(rows), generator=generator).numpy()[:n_samples]
    chosen: NDArray = np.sort(rows[order])
    return chosen
