"""Errors that a caller may want to tell apart."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "CheckpointInUseError",
    "ModelFileError",
    "NotCertifiableError",
    "ProcessLostError",
    "RefusedPointsWarning",
    "TrainingDivergedError",
]


class TrainingDivergedError(ArithmeticError):
    """The training loss became NaN or infinite.

    The estimator that raises it keeps its last good state and can be used.

    Parameters
    ----------
    epoch : int
        The epoch, counted from 1, in which the loss was no longer finite.
    learning_rate : float
        The learning rate that was set.

    Examples
    --------
    >>> from sklearn_iso.exceptions import TrainingDivergedError
    >>> print(TrainingDivergedError(3, 10.0))
    The training loss must stay finite; it became NaN or infinite in epoch 3. The estimator \
keeps the weights from before that epoch. Lower learning_rate (now 10.0) or alpha, or scale \
the features.
    """

    def __init__(self, epoch: int, learning_rate: float) -> None:
        super().__init__(epoch, learning_rate)
        self.epoch = epoch
        self.learning_rate = learning_rate

    def __str__(self) -> str:
        """Return the rule, what came and the remedy."""
        return (
            f"The training loss must stay finite; it became NaN or infinite in epoch "
            f"{self.epoch}. The estimator keeps the weights from before that epoch. "
            f"Lower learning_rate (now {self.learning_rate}) or alpha, or scale the features."
        )


class CheckpointInUseError(RuntimeError):
    """Another fit is at work on the path of a checkpoint.

    Parameters
    ----------
    path : str
        The path of the checkpoint.

    Examples
    --------
    >>> from sklearn_iso.exceptions import CheckpointInUseError
    >>> print(CheckpointInUseError("a.checkpoint"))
    Only one fit at a time may use a checkpoint; another one is at work on 'a.checkpoint'. Wait \
for it to end, or pass another path.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        """Return the rule, what came and the remedy."""
        return (
            f"Only one fit at a time may use a checkpoint; another one is at work on "
            f"{self.path!r}. Wait for it to end, or pass another path."
        )


class NotCertifiableError(TypeError):
    """Nothing can be proven about an estimator, or about a step inside of one.

    Parameters
    ----------
    estimator : object
        The innermost estimator without a proof.
    path : tuple of str
        Names of the steps that lead to it.
    reason : str or None
        Why there is none.
    known : sequence of str
        Names of the classes with a proof.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_iso.exceptions import NotCertifiableError
    >>> print(NotCertifiableError(Ridge(), ("ridge",), "it predicts numbers"))
    Step 'ridge' (Ridge) cannot be certified: it predicts numbers. Measure it by attack, with \
adversarial_accuracy, adversarial_error or adversarial_distance.
    """

    def __init__(
        self,
        estimator: object,
        path: tuple[str, ...] = (),
        reason: str | None = None,
        known: Sequence[str] = (),
    ) -> None:
        super().__init__(estimator, path, reason, known)
        self.estimator, self.path, self.reason, self.known = estimator, path, reason, known

    def within(self, step: str) -> NotCertifiableError:
        """Return the same error, told from outside of a named step.

        Parameters
        ----------
        step : str
            Name of the step.

        Returns
        -------
        error : NotCertifiableError
            With the step before the reason.
        """
        return NotCertifiableError(self.estimator, (step, *self.path), self.reason, self.known)

    def __str__(self) -> str:
        """Say what cannot be certified, what can, and what to do."""
        kind = type(self.estimator).__name__
        where = f"Step {' > '.join(map(repr, self.path))} ({kind})" if self.path else kind
        why = f": {self.reason}" if self.reason else ""
        others = f" These can: {', '.join(self.known)}." if self.known else ""
        return (
            f"{where} cannot be certified{why}.{others} Measure it by attack, with "
            "adversarial_accuracy, adversarial_error or adversarial_distance."
        )


class ProcessLostError(RuntimeError):
    """A process of a fit that runs on several of them has ended, or ended the fit.

    Parameters
    ----------
    processes : sequence of int
        Their ranks.
    reason : str
        What became of them.

    Examples
    --------
    >>> from sklearn_iso.exceptions import ProcessLostError
    >>> print(ProcessLostError([1], "showed no more sign of life"))
    A joint fit needs all of its processes to its end; process 1 showed no more sign of life. \
Start them again: with a Checkpoint among the callbacks, the fit goes on from there.
    """

    def __init__(self, processes: Sequence[int], reason: str) -> None:
        super().__init__(processes, reason)
        self.processes, self.reason = list(processes), reason

    def __str__(self) -> str:
        """Return the rule, what came and the remedy."""
        ranks = ", ".join(map(str, self.processes))
        who = f"process {ranks}" if len(self.processes) == 1 else f"processes {ranks}"
        return (
            f"A joint fit needs all of its processes to its end; {who} {self.reason}. Start them "
            "again: with a Checkpoint among the callbacks, the fit goes on from there."
        )


class RefusedPointsWarning(UserWarning):
    """An estimator gave no answer at points that an attack led to.

    It raised an error there, or its probabilities were NaN. Such points are no adversarial
    examples; `bounds` and `immutable` keep attacks where the estimator predicts.
    """


class ModelFileError(ValueError):
    """A model file is damaged, of a newer version, or holds what may not be loaded."""
