"""Whether the worst pairs that a network was trained on are still the worst when it is trained."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet

from sklearn_iso._threads import threads_for
from sklearn_iso._training.data import ArrayDataset
from sklearn_iso._training.objective import as_predicting
from sklearn_iso.modules._compiled import reusable_graphs
from sklearn_iso.modules._parts import largest_product
from sklearn_iso.penalties import Batch, Penalty, WorstCaseIsometry

#: Training samples that are looked at, from all over the data.
N_ROWS = 256
#: Gain of one more step that is warned of. Networks that are sound show 1.0 to 1.6.
LARGE_GAIN = 2.0

Finding = tuple[WorstCaseIsometry, float, float]


def look_at_pairs(net: NeuralNet, penalty: Penalty, train: ArrayDataset) -> list[Finding]:
    """Return the worst-case terms of a penalty, with the expansion found and that a step further.

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
    size = largest_product(net.module_, len(index))
    with threads_for(size), as_predicting(net.module_), reusable_graphs(net.module_):
        batch = Batch(
            net.module_,
            X.requires_grad_(),
            y,
            weight,
            layers=net.criterion_.layers,
            choices=[term.layers for term in terms],
            generator=generator,
        )
        return [(term, *term.found_and_further(batch)) for term in terms]


def warn_of_weak_pairs(net: NeuralNet, penalty: Penalty, train: ArrayDataset) -> None:
    """Warn with a ConvergenceWarning of each term that holds its scale only where it looks.

    Pairs that become longer and are still within the scale hide nothing.
    """
    for term, found, further in look_at_pairs(net, penalty, train):
        if further > max(1.0, LARGE_GAIN * found):
            warnings.warn(
                f"One more step lengthens the worst pairs of {term!r} from {found:.2g} to "
                f"{further:.2g} times its scale: the network has learned to be flat where the "
                "ascent looks and steep beside it, and is less robust than its training suggests. "
                "Raise n_steps of WorstCaseIsometry, or train for fewer epochs.",
                ConvergenceWarning,
                stacklevel=2,
            )
