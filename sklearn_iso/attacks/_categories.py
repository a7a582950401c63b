"""One-hot groups: features that change together, from one category to another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]
#: How far from 0 and 1 the entries of a group may be: a few units in the last place of float32.
ROUNDING = 1e-6


def _check_one_hot(X: Tensor, group: Tensor) -> None:
    block = X[:, group.to(X.device)]
    nearest = block.round()  # an encoding may have passed through a scaler and back
    off = (block - nearest).abs() > ROUNDING
    wrong = off.any(dim=1) | (nearest < 0).any(dim=1) | (nearest.sum(dim=1) != 1)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"X must hold exactly one 1, and 0 elsewhere, in each group of categories; columns "
            f"{group.tolist()} of sample {row} hold {block[row].tolist()}. Pass the columns of one "
            "encoded feature, before any scaling."
        )


@dataclass(frozen=True)
class Categories:
    """One-hot groups of columns, of which an attack may change a few.

    A flip moves the 1 of a group to another of its columns. It is no matter of eps: an attack
    may flip up to `max_changes` groups of a row and move the other features within the ball.

    Parameters
    ----------
    groups : tuple of Tensor
        Column numbers of each group.
    movable : Tensor of shape (n_features,), bool
        Columns that a flip may set or clear.
    max_changes : int
        Most groups that change in a row.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._categories import Categories
    >>> X = torch.tensor([[0.3, 1.0, 0.0]])
    >>> movable = torch.ones(3, dtype=torch.bool)
    >>> categories = Categories.of(X, [(1, 2)], max_changes=1, movable=movable)
    >>> categories.best_flip(X, score=lambda x: x[:, 2])
    tensor([[0.3000, 0.0000, 1.0000]])
    """

    groups: tuple[Tensor, ...]
    movable: Tensor
    max_changes: int

    @classmethod
    def of(
        cls, X: Tensor, groups: Sequence[Sequence[Hashable]], *, max_changes: int, movable: Tensor
    ) -> Categories:
        """Return groups of column numbers, checked on the samples of X.

        Raises
        ------
        ValueError
            If X is not one-hot in a group.
        """
        columns = tuple(torch.tensor(group, device=X.device) for group in groups)
        for group in columns:
            _check_one_hot(X, group)
        return cls(columns, movable, max_changes)

    @property
    def columns(self) -> Tensor:
        """Mask of the columns that belong to a group, of shape (n_features,)."""
        mask = torch.zeros_like(self.movable)
        for group in self.groups:
            mask[group] = True
        return mask

    @property
    def can_flip(self) -> bool:
        """Whether any group has two columns that may change."""
        return self.max_changes > 0 and any(int(self.movable[g].sum()) > 1 for g in self.groups)

    def flips(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Every flip of one group: which samples may make it, and all samples after it."""
        for group in self.groups:
            from_movable = (x[:, group] * self.movable[group]).sum(dim=1) > 0.5
            for column in group[self.movable[group]].tolist():
                flipped = x.clone()
                flipped[:, group] = 0
                flipped[:, column] = 1
                yield from_movable & (x[:, column] < 0.5), flipped

    def best_flip(self, x: Tensor, score: Score) -> Tensor:
        """Rows after the one flip, of all that a row may make, that scores highest."""
        best, top = x.clone(), torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
        for possible, flipped in self.flips(x):
            value = score(flipped).to(top)
            better = possible & (value > top)
            best[better], top[better] = flipped[better], value[better]
        return best

    def graft(self, X: Tensor, x: Tensor) -> Tensor:
        """Return X with the categories of x."""
        return torch.where(self.columns, x, X)

    def verify(self, X: Tensor, X_adv: Tensor) -> None:
        """Raise a ValueError where X_adv is not one-hot or flips more than it may."""
        n_flips = torch.zeros(len(X), dtype=torch.int64, device=X.device)
        for group in self.groups:
            _check_one_hot(X_adv, group)
            n_flips += (X[:, group] != X_adv[:, group]).any(dim=1)
        touched = ((X != X_adv) & self.columns & ~self.movable).any()
        if touched or (len(n_flips) and n_flips.max() > self.max_changes):
            raise ValueError(
                f"An attack must change at most max_changes={self.max_changes} groups of "
                f"categories and no immutable column; found {int(n_flips.max())} changes in a row."
            )
