"""Whether the worst pairs that a network was trained on are still the worst when it is trained."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from sklearn_iso.modules.compiled import reusable_graphs
from sklearn_iso.penalties import Batch, Penalty, WorstCaseIsometry
from sklearn_iso.training.data import ArrayDataset
from sklearn_iso.training.objective import as_predicting

#: Training rows that are looked at, from all over the data.
N_ROWS = 256
#: Gain of one more step that is warned of. Networks that are sound show 1.0 to 1.6.
LARGE_GAIN = 2.0


def gains(net: Any, penalty: Penalty, train: ArrayDataset) -> list[tuple[WorstCaseIsometry, float]]:
    """Return the gain of one more step of the ascent, for each worst-case term of a penalty.

    Parameters
    ----------
    net : PenalizedNet
        Trained.
    penalty : Penalty
        What trained it.
    train : ArrayDataset
    """
    terms = [term for _, _, term in penalty.terms() if isinstance(term, WorstCaseIsometry)]
    if not terms:
        return []
    index = np.linspace(0, len(train) - 1, min(N_ROWS, len(train))).astype(int)
    rows, (labels, weights) = train[index]
    X, y, weight = (torch.as_tensor(part).to(net.device) for part in (rows, labels, weights))
    generator = torch.Generator().manual_seed(0)
    with as_predicting(net.module_), reusable_graphs(net.module_):
        batch = Batch(
            net.module_,
            X.requires_grad_(),
            y,
            weight,
            layers=net.criterion_.layers,
            choices=[term.layers for term in terms],
            generator=generator,
        )
        return [(term, term.gain_of_a_step(batch)) for term in terms]


def warn_of_weak_pairs(net: Any, penalty: Penalty, train: ArrayDataset) -> None:
    """Warn with a ConvergenceWarning for each term whose ascent stops far below the worst pair."""
    for term, gain in gains(net, penalty, train):
        if gain > LARGE_GAIN:
            warnings.warn(
                f"One more step lengthens the worst pairs of {term!r} {gain:.1f} times: the "
                "network has learned to be flat where the ascent looks and steep beside it, and "
                "is less robust than its training suggests. Raise n_steps of WorstCaseIsometry, "
                "or train for fewer epochs.",
                ConvergenceWarning,
                stacklevel=2,
            )
