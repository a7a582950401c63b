"""What each corruption does to a score: one line of a report each."""

from __future__ import annotations

from dataclasses import dataclass

from sklearn_iso.metrics._corruptions import Corruptible, Dose
from sklearn_iso.metrics._refused import NEVER_A_REFUSAL, _named
from sklearn_iso.metrics._scored import Measure, Scored, quietly


@dataclass(frozen=True)
class CorruptionLine:
    """What one corruption of one severity does.

    Attributes
    ----------
    corruption : str
    severity : float
    column : str or None
        The only one that is corrupted; None where all are.
    score : float or None
        Mean over repeats; None where the estimator refused.
    low, high : float or None
        95% interval of the score; None where none exists.
    drop : float or None
        How much the score lies below the clean one.
    drop_low, drop_high : float or None
        95% interval of the drop.
    refused : str
        What the estimator said where it gave no answer.
    """

    corruption: str
    severity: float
    column: str | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    drop: float | None = None
    drop_low: float | None = None
    drop_high: float | None = None
    refused: str = ""

    @property
    def hurts(self) -> bool:
        """Whether the interval of the drop lies above 0."""
        return self.drop_low is not None and self.drop_low > 0


class CorruptionRun:
    """Samples to corrupt, and how to score them.

    Attributes
    ----------
    clean : Scored
        Without corruption.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics._corruption_lines import CorruptionRun
    >>> from sklearn_iso.metrics._corruptions import CorruptibleTable
    >>> from sklearn_iso.metrics._scored import measure_of
    >>> X, y = load_iris(return_X_y=True)
    >>> measure = measure_of(GaussianNB().fit(X, y), y, None, None, 0)
    >>> CorruptionRun(CorruptibleTable(X), measure, 5, 0).clean.score
    0.96
    """

    def __init__(self, subject: Corruptible, measure: Measure, n_repeats: int, seed: int) -> None:
        self.subject, self.measure, self.n_repeats, self.seed = subject, measure, n_repeats, seed
        dose = Dose(next(iter(subject.known().values())), 0.0)
        self.clean = measure.of(subject.corrupted(dose, seed, 0, 1))

    def line(self, dose: Dose) -> CorruptionLine:
        """Return what a dose does, or why the estimator refused."""
        name = None if dose.column is None else self.subject.names[dose.column]
        try:
            scored = self._worst(dose)
        except NEVER_A_REFUSAL:
            raise
        except Exception as error:
            return CorruptionLine(dose.corruption.name, dose.severity, name, refused=_named(error))
        low, high = self.measure.interval(scored, self._repeats(dose)) or (None, None)
        least, most = self.measure.drop_interval(self.clean, scored) or (None, None)
        return CorruptionLine(
            dose.corruption.name, dose.severity, name, scored.score, low, high,
            self.clean.score - scored.score, least, most,
        )  # fmt: skip

    def _repeats(self, dose: Dose) -> int:
        return self.n_repeats if dose.corruption.is_random and dose.severity > 0 else 1

    def _worst(self, dose: Dose) -> Scored:
        """Return the mean of the repeats, of the worse sign."""
        of_signs = [
            Scored.mean(
                [
                    quietly(self.measure, self.subject.corrupted(dose, self.seed, repeat, sign))
                    for repeat in range(self._repeats(dose))
                ]
            )
            for sign in dose.corruption.signs
        ]
        return min(of_signs, key=lambda scored: scored.score)
