"""Do slopes of a network of images lead anywhere? A cheap look before a long random search."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sklearn_iso.attacks._apgd import APGD
from sklearn_iso.attacks._attack import AttackState
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._square import Square

#: Samples that are looked at, steps of ascent and queries of random search on each.
N_SAMPLES, N_STEPS, N_QUERIES = 50, 60, 100
#: Share of these samples on which the search may get farther where slopes lead somewhere.
SHARE_MISLED = 0.05


def slopes_mislead(
    state: AttackState,
    budget: Budget,
    image_shape: Sequence[int] | None,
    generator: torch.Generator,
) -> bool:
    """Whether a short random search gets farther than ascent on samples that are still robust.

    Parameters
    ----------
    state : AttackState
    budget : Budget
        Around the samples of the state.
    image_shape : (height, width), or with the channels first or last, or None
        What a flat sample holds, where it is an image.
    generator : torch.Generator
        On the CPU.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import Budget
    >>> from sklearn_iso.attacks._attack import AttackState
    >>> from sklearn_iso.attacks._misled import slopes_mislead
    >>> X, y, generator = torch.zeros(10, 2, 2), torch.zeros(10, dtype=int), torch.Generator()
    >>> linear = lambda x: torch.stack([9 - x.sum(dim=(1, 2)), x.sum(dim=(1, 2))], dim=1)
    >>> stairs = lambda x: linear(x.detach().round() + 1e-3 * (x.detach() - x))
    >>> budget = Budget.of(X, eps=1.0)
    >>> [slopes_mislead(AttackState(f, X, y, 10), budget, None, generator)
    ...  for f in (linear, stairs)]
    [False, True]
    """
    left = state.robust.nonzero().squeeze(1)
    some = left[:: max(1, -(-len(left) // N_SAMPLES))]
    if not len(some):
        return False
    reached = []
    for attack in (
        APGD(n_steps=N_STEPS, loss="margin"),
        Square(n_queries=N_QUERIES, image_shape=image_shape),
    ):
        part = AttackState(state.logits, state.X[some], state.y[some], state.batch_size)
        attack.run(part, budget, generator)
        reached.append(part.objective(margin).value(part.X_adv, part.y)[0])
    farther = reached[1] > reached[0]
    return int(farther.sum()) > SHARE_MISLED * len(some)
