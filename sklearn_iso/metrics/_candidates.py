"""What a user's own rules say of perturbed points: how to repair them, and which are valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.rules import UserRule
from sklearn_iso.attacks import Budget
from sklearn_iso.attacks._attack import NO_ANSWER
from sklearn_iso.metrics._table import Table

MOST_NAMED = 5


@dataclass(frozen=True)
class Candidates:
    """Callables of a threat that take X as the user passed it.

    Parameters
    ----------
    table : Table
    repair : callable, or None
        Maps X to X.
    is_valid : callable, or None
        Maps X to one bool for each sample.

    Raises
    ------
    ValueError
        If samples of the table are not valid themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._candidates import Candidates
    >>> from sklearn_iso.metrics._table import Table
    >>> table = Table(np.array([[0.5], [1.0]]))
    >>> candidates = Candidates(table, lambda X: X.clip(0, 1), lambda X: X[:, 0] > 0.2)
    >>> candidates.repaired(np.array([[2.0]])), candidates.valid(np.array([[0.1]]))
    (array([[1.]]), array([False]))
    """

    table: Table
    repair: UserRule | None
    is_valid: UserRule | None

    @classmethod
    def of(cls, table: Table, threat: ThreatModel) -> Candidates | None:
        """Return what a threat says of candidates; None where it has no such rule."""
        if threat.repair is None and threat.is_valid is None:
            return None
        return cls(table, threat.repair, threat.is_valid)

    def __post_init__(self) -> None:
        """Check that the samples themselves are valid."""
        repaired = self.repaired(self.table.values)
        known = np.isfinite(repaired).reshape(len(repaired), -1).all(axis=1)
        wrong = np.flatnonzero(~(self.valid(self.table.values) & self.valid(repaired) & known))
        if len(wrong):
            named = ", ".join(map(str, wrong[:MOST_NAMED].tolist()))
            more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
            raise ValueError(
                "is_valid must hold for X itself, repaired or not; it does not for "
                f"{len(wrong)} of {len(self.table)} samples, numbers {named}{more}. Drop these "
                "samples, or correct is_valid."
            )

    def repaired(self, values: NDArray, rows: NDArray | None = None) -> NDArray:
        """Return values of some samples as repaired; NaN where a repair came to no number.

        Raises
        ------
        ValueError
            If what comes back is no X of numbers of the same shape and columns.
        """
        if self.repair is None:
            return values
        back = self.repair(self.table.with_values(values, rows))
        columns = list(back.columns) if hasattr(back, "columns") else None
        if columns is not None and self.table.columns not in (None, columns):
            raise ValueError(
                f"repair must return the columns of X, {self.table.columns}; got {columns}."
            )
        try:
            array = np.asarray(back.toarray() if hasattr(back, "toarray") else back)
            array = array.astype(values.dtype)  # a copy
        except (TypeError, ValueError):
            raise ValueError(
                f"repair must return an X of numbers; got {type(back).__name__}."
            ) from None
        if array.shape != values.shape:
            raise ValueError(
                f"repair must return values of shape {values.shape}; got shape {array.shape}."
            )
        unknown = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        array[unknown] = np.nan
        return array

    def valid(self, values: NDArray, rows: NDArray | None = None) -> NDArray:
        """Return which values are valid.

        Raises
        ------
        ValueError
            If there is not one bool for each sample.
        """
        if self.is_valid is None:
            return np.ones(len(values), dtype=bool)
        said = np.asarray(self.is_valid(self.table.with_values(values, rows)))
        if said.shape != (len(values),) or said.dtype.kind != "b":
            raise ValueError(
                f"is_valid must return one bool for each sample, of shape ({len(values)},); got "
                f"{said.dtype} of shape {said.shape}."
            )
        return said

    def judged(self, answer: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return an answer that repairs points first and knows nothing of those not valid.

        Gradients pass a repair as if it were not there.
        """

        def judge(x: Tensor) -> Tensor:
            values = x.detach().numpy()
            repaired = self.repaired(values)
            unknown = np.isnan(repaired).reshape(len(values), -1).any(axis=1)
            repaired[unknown] = values[unknown]
            said = answer(x + (torch.from_numpy(repaired) - x).detach())
            wrong = torch.from_numpy(~self.valid(repaired) | unknown)
            if not wrong.any():
                return said
            if said.ndim == 1:
                return said.masked_fill(wrong, NO_ANSWER)
            return said.masked_fill(wrong[:, None], torch.nan)

        return judge

    def settled(self, X: Tensor, X_adv: Tensor, budget: Budget, rows: NDArray) -> Tensor:
        """Return points as repaired, checked against the budget where that moved them.

        Raises
        ------
        ValueError
            If a repair moves what is immutable, or leaves the budget.
        """
        values = X_adv.detach().cpu().numpy()
        back = torch.from_numpy(self.repaired(values, rows)).to(X_adv)
        # What was no candidate to begin with is not repaired.
        still = (X_adv == X).flatten(1).all(dim=1) | ~back.flatten(1).isfinite().all(dim=1)
        back[still] = X[still]
        try:
            budget.verify(X, back)
        except ValueError as error:
            raise ValueError(
                f"repair must keep points within the threat; after it: {error} Tell linear rules "
                "as relations, which keep to the budget, or give larger units to columns that are "
                "computed from others."
            ) from error
        return back
