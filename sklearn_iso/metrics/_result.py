"""What an evaluation finds: which samples are misclassified, by which attack, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Watch(Protocol):
    """What hears of the points that attacks end on, whether or not the estimator errs there.

    Examples
    --------
    >>> from sklearn_iso.metrics._result import Watch
    >>> watch: Watch = lambda samples, X_adv, misclassified: None
    """

    def __call__(self, samples: NDArray, X_adv: Tensor, misclassified: NDArray, /) -> None:
        """Hear of points of some samples, and which of them the estimator errs on."""


@dataclass
class Result:
    """Which samples an attack got misclassified, by which of its stages, and where.

    Attributes
    ----------
    samples : ndarray of shape (n,)
        Their numbers in the problem.
    X_adv : Tensor of shape (n, ...)
    misclassified : ndarray of bool, shape (n,)
        Which of them the estimator errs on.
    stage : ndarray of str, shape (n,)
        Which attack it was; empty where none was.
    unseen : ndarray of bool, shape (n,)
        For which samples labels alone were searched and no other label was ever met.
    exact : ndarray of bool, shape (n,)
        Of which samples a proof knew an error, or that there is none, before any search.
    watch : Watch or None

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn_iso.metrics._result import Result
    >>> Result.none(np.array([3, 5]), torch.zeros(2, 1)).misclassified
    array([False, False])
    """

    samples: NDArray
    X_adv: Tensor
    misclassified: NDArray
    stage: NDArray
    unseen: NDArray
    exact: NDArray
    watch: Watch | None = None

    @classmethod
    def none(cls, samples: NDArray, X: Tensor, watch: Watch | None = None) -> Result:
        """Return samples that nothing has got misclassified yet."""
        n = len(samples)
        stage, no = np.full(n, "", dtype=object), np.zeros(n, dtype=bool)
        return cls(samples, X.clone(), no.copy(), stage, no.copy(), no, watch)

    @classmethod
    def joined(cls, parts: Sequence[Result]) -> Result:
        """Return the results of parts of the samples as one, in their order."""
        return cls(
            np.concatenate([part.samples for part in parts]),
            torch.cat([part.X_adv for part in parts]),
            np.concatenate([part.misclassified for part in parts]),
            np.concatenate([part.stage for part in parts]),
            np.concatenate([part.unseen for part in parts]),
            np.concatenate([part.exact for part in parts]),
        )

    def record(
        self, at: NDArray, X_adv: Tensor, misclassified: NDArray, stage: str | NDArray
    ) -> None:
        """Note what an attack made of the samples at some positions."""
        if self.watch is not None:
            self.watch(self.samples[at], X_adv, misclassified)
        hit = at[misclassified]
        self.X_adv[hit], self.misclassified[hit] = X_adv[misclassified], True
        self.stage[hit] = stage if isinstance(stage, str) else stage[misclassified]

    def left(self, at: NDArray) -> NDArray:
        """Those of some positions that are still robust."""
        robust: NDArray = at[~self.misclassified[at]]
        return robust
