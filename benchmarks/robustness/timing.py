"""What an epoch of each method costs, in epochs of the plain training, side by side.

Seconds of two runs say little of each other on a machine that others use as well: every method
is timed next to the plain one, and so for how many epochs a method may train depends on neither
the day nor the luck of a run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.training import Architecture

#: By network: about as many seconds for either.
N_ROWS = {"mlp": 12000, "convnet": 3000}
N_ROUNDS = 7

Ratios = dict[str, float]


def epoch_seconds(kind: Any, architecture: Architecture, X: np.ndarray, y: np.ndarray) -> float:
    """CPU seconds of two further epochs, so that what happens once is left out; for each."""
    n_rows = N_ROWS[architecture.name]
    one, three = (
        kind.fit(architecture, X[:n_rows], y[:n_rows], 0, epochs).seconds for epochs in (1, 3)
    )
    return (three - one) / 2


def times_plain(
    methods: dict[str, Any], plain: Any, architecture: Architecture, X: np.ndarray, y: np.ndarray
) -> Ratios:
    """Median over rounds of the time of an epoch over that of a plain one of the same round."""
    found: dict[str, list[float]] = {name: [] for name in methods}
    epoch_seconds(plain, architecture, X, y)  # the first is slower
    for _ in range(N_ROUNDS):
        for name, kind in methods.items():
            unit = epoch_seconds(plain, architecture, X, y)
            ratio = epoch_seconds(kind, architecture, X, y) / unit
            found[name].append(ratio)
            print(f"{architecture.name:8} {name:56} {ratio:5.2f}", flush=True)
    medians = {name: round(float(np.median(ratios)), 2) for name, ratios in found.items()}
    return medians | {"plain": 1.0}


def epochs_of_ours(kind: Any, architecture: Architecture) -> int:
    return kind.epochs or architecture.epochs


def budget(methods: dict[str, Any], architecture: Architecture, ratios: Ratios) -> float:
    """Plain epochs that the longest of the package's rows takes, of those that set the budget."""
    return max(
        epochs_of_ours(kind, architecture) * ratios[name]
        for name, kind in methods.items()
        if kind.sets_the_budget
    )


def planned_epochs(
    name: str, methods: dict[str, Any], architecture: Architecture, ratios: Ratios
) -> int:
    """Epochs of a row: the package's own are given, and a peer fills the budget."""
    kind = methods[name]
    if kind.ours:
        return epochs_of_ours(kind, architecture)
    return max(1, round(budget(methods, architecture, ratios) / ratios[name]))
