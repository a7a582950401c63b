"""Scores of classes from their pairs, one for each pair: votes, and a surrogate with a slope."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_iso.twins._responses import first_argmax, with_winner

VOTES = (
    "predicts by one-vs-one votes, which have no gradient; scores are each class's "
    "closest pair, with the estimator's predictions"
)


class PairVotes(nn.Module):
    """Turns margins of pairs into class scores.

    Margins have shape (n, n_classes * (n_classes - 1) / 2), in the order (0, 1), (0, 2), ...,
    (1, 2), ..., and are positive where the first of the pair wins.

    Parameters
    ----------
    n_classes : int

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._one_vs_one import PairVotes
    >>> margins = torch.tensor([[1.0, 2.0, -3.0]])  # 0 beats 1 and 2; 2 beats 1
    >>> pairs = PairVotes(3)
    >>> pairs.votes(margins > 0), pairs.closest(margins)
    (tensor([[2., 0., 1.]], dtype=torch.float64), tensor([[ 1., -3., -2.]]))
    """

    sign: Tensor
    own: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        first, second = np.triu_indices(n_classes, 1)
        classes = np.arange(n_classes)
        sign = (first[:, None] == classes).astype(float) - (second[:, None] == classes)
        own = np.stack([np.flatnonzero(sign[:, column]) for column in classes])
        self.register_buffer("sign", torch.from_numpy(sign))
        self.register_buffer("own", torch.from_numpy(own))

    def votes(self, first_wins: Tensor) -> Tensor:
        """Return the number of pairs that each class wins."""
        wins = first_wins.to(self.sign)
        return wins @ self.sign.clamp_min(0) + (1 - wins) @ (-self.sign).clamp_min(0)

    def closest(self, margins: Tensor) -> Tensor:
        """Return each class's smallest margin; a class that beats all others has the largest."""
        signs = self.sign.to(margins).T.gather(1, self.own)
        return (margins[:, self.own] * signs).amin(dim=2)

    def tie_broken(self, votes: Tensor, margins: Tensor) -> Tensor:
        """Return votes plus sums of margins squeezed to (-1/3, 1/3), as scikit-learn does."""
        sums = margins @ self.sign.to(margins)
        return votes.to(margins) + sums / (3 * (sums.abs() + 1))

    def scores(self, margins: Tensor, ranking: Tensor) -> Tensor:
        """Return closest pairs with the winner of a ranking, the first of equals, on top."""
        return with_winner(self.closest(margins), first_argmax(ranking.detach()))
