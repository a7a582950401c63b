"""Perturbed points at which an estimator gives no answer: they are no adversarial examples."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._silence import without_warnings
from sklearn_iso.exceptions import RefusedPointsWarning

#: What an estimator says of some points: an array, or a list of one for each output.
Answer = NDArray | list[NDArray]
Box = tuple[NDArray, NDArray]
Part = tuple[NDArray, Answer]
Question = Callable[[NDArray], Answer]

#: Errors that tell of the machine, not of the point.
NEVER_A_REFUSAL = (MemoryError, OSError)
ASKED_ALONE = 8  # batches of at most so many points are taken apart at once
BATCHES_IN_VAIN, POINTS_TRIED = 10, 3
REMEDY = (
    "give the threat bounds=(low, high) that the estimator accepts, and as immutable= the features "
    "that must not move"
)


@dataclass
class Refused:
    """How many perturbed points an estimator refused, and why.

    Attributes
    ----------
    n_points : int
        Points within reach of the attack's budget.
    reason : str
        What the estimator said of the first of them.
    reach : (low, high) or None
        None counts all points. Some attacks look far beyond their budget, which tells nothing of
        what lies within.
    accepted : (low, high) or None
        Smallest box around the points that were told from refused ones: most domains are boxes.
    n_in_vain : int
        Batches in a row of which no point got an answer.

    Examples
    --------
    >>> import math
    >>> import numpy as np
    >>> from sklearn_iso.metrics._refused import Refused
    >>> points, refused = np.array([[4.0], [0.0]]), Refused()
    >>> refused.ask(lambda at: [1 / math.sqrt(x) for x in points[at, 0]], points)
    [(array([0]), [0.5])]
    >>> refused.n_points, refused.reason
    (1, 'ZeroDivisionError: float division by zero')
    """

    n_points: int = 0
    reason: str = ""
    reach: Box | None = None
    accepted: Box | None = None
    n_in_vain: int = 0

    def note(self, values: NDArray, reason: str) -> None:
        """Count points that got no answer."""
        if self.reach is not None and len(values):
            values = values[_inside(values, self.reach)]
        self.n_points += len(values)
        if len(values):
            self.reason = self.reason or reason

    def ask(self, question: Question, values: NDArray, *, thorough: bool = True) -> list[Part]:
        """Ask of all points, and where that is an error of ever smaller parts of them.

        Parameters
        ----------
        question : callable
            Maps the positions of some points to answers.
        values : ndarray of shape (n, ...)
            The points.
        thorough : bool
            Whether to ask of every single point even where none got an answer for long.

        Returns
        -------
        list of (positions, answers)
            Points that are in none of the parts got no answer.
        """
        parts: list[Part] = []
        with np.errstate(all="ignore"), without_warnings():
            error = _try(question, np.arange(len(values)), parts) if len(values) else None
            if error is None:
                self.n_in_vain = 0
            elif thorough or not self._is_hopeless(question, values):
                self._take_apart(question, values, parts)
                self.n_in_vain = 0 if parts else self.n_in_vain + 1
            else:
                self.note(values, _named(error))
        return parts

    def _is_hopeless(self, question: Question, values: NDArray) -> bool:
        """Whether, after many batches without an answer, some points have none either."""
        if self.n_in_vain < BATCHES_IN_VAIN:
            return False
        tried = np.arange(0, len(values), max(1, len(values) // POINTS_TRIED))
        return all(_try(question, at, []) for at in tried[:, np.newaxis])

    def _take_apart(self, question: Question, values: NDArray, parts: list[Part]) -> None:
        waiting = [np.arange(len(values))]
        if len(values) > ASKED_ALONE and self.accepted is not None:
            inside = _inside(values, self.accepted)
            if inside.any():
                waiting = [np.flatnonzero(~inside), np.flatnonzero(inside)]
        while waiting:
            at = waiting.pop()
            error = _try(question, at, parts) if len(at) else None
            if error is not None and len(at) == 1:
                self.note(values[at], _named(error))
            elif error is not None:
                n_parts = len(at) if len(at) <= ASKED_ALONE else 2
                waiting += np.array_split(at, n_parts)
        self._accept(values[np.concatenate([at for at, _ in parts])] if parts else values[:0])

    def _accept(self, values: NDArray) -> None:
        if not len(values):
            return
        low, high = values.min(axis=0), values.max(axis=0)
        if self.accepted is not None:
            low, high = np.minimum(low, self.accepted[0]), np.maximum(high, self.accepted[1])
        self.accepted = low, high

    def told(self) -> str:
        """Tell the count and the reason."""
        return f"the estimator gave no answer at {self.n_points:,} perturbed points ({self.reason})"

    def warn(self) -> None:
        """Warn once, if there were any."""
        if self.n_points:
            warnings.warn(
                f"The estimator should predict wherever an attack may lead; {self.told()}. They "
                f"count as not adversarial. To keep attacks where it predicts, {REMEDY}.",
                RefusedPointsWarning,
                stacklevel=5,  # beyond the measure, its gradients and its check of parameters
            )


def _try(question: Question, at: NDArray, parts: list[Part]) -> Exception | None:
    """Add the answers at some positions to the parts, or return the error."""
    try:
        parts.append((at, question(at)))
    except NEVER_A_REFUSAL:
        raise
    except Exception as error:
        return error
    return None


def _inside(values: NDArray, box: Box) -> NDArray:
    inside = ((values >= box[0]) & (values <= box[1])).reshape(len(values), -1)
    return np.asarray(inside.all(axis=1))


def _named(error: Exception, longest: int = 120) -> str:
    line = next(iter(str(error).strip().splitlines()), "")
    line = line if len(line) <= longest else line[: longest - 3] + "..."
    return f"{type(error).__name__}: {line}"
