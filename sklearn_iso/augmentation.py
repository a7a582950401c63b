"""Changes of the training samples that leave their labels alone, anew in every epoch."""

from sklearn_iso._training.shifts import RandomShifts

__all__ = ["RandomShifts"]
