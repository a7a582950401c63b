"""Minimum-norm attacks through the public interface of attackbenchlib, which counts queries."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import MinimumNormEnsemble

#: Of attackbenchlib: passes of each image, forwards and backwards counted each.
N_QUERIES, BATCH_SIZE, SEED = 2000, 50, 0
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]


def ours(norm: str) -> Attack:
    threat = ThreatModel(norm, bounds=(0, 1))

    def attack(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return MinimumNormEnsemble()(model, inputs, labels, threat=threat, random_state=SEED)

    return attack


def theirs(norm: str) -> Attack:
    """DDN or FMN of adversarial-library, of as many steps as the queries allow."""
    from adv_lib.attacks import ddn, fmn

    def attack(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        if norm == "l2":
            found: Tensor = ddn(model, inputs, labels, steps=N_QUERIES // 2)
        else:
            found = fmn(model, inputs, labels, norm=float("inf"), steps=N_QUERIES // 2)
        return found

    return attack


def through_attackbench(model: nn.Module, X: Tensor, y: Tensor, norm: str) -> list[dict[str, Any]]:
    """Median distances and queries of both, as attackbenchlib counts them.

    It keeps the closest error of all points that an attack asks about, whichever it returns.
    """
    import attackbench

    torch.manual_seed(SEED)
    loader = DataLoader(TensorDataset(X, y), batch_size=BATCH_SIZE)
    rows = []
    for name, attack in {"sklearn-iso": ours(norm), "adversarial-library": theirs(norm)}.items():
        wrapped = attackbench.create_custom_attack(attack, attack_name=name)
        takes_no_keywords: Attack = lambda model, inputs, labels, run=wrapped: run(  # noqa: E731
            model, inputs, labels
        )
        silent = io.StringIO()
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            found = attackbench.run_attack(
                model, loader, takes_no_keywords, norm, device=torch.device("cpu"),
                query_budget=N_QUERIES, debug=True,
            )  # fmt: skip
        queries = np.add(found["num_forwards"], found["num_backwards"])
        rows.append({
            "attack": name, "median": round(float(np.median(found["distances"][norm])), 4),
            "queries": round(float(np.mean(queries)), 1),
            "success": round(float(np.mean(found["adv_success"])), 4),
        })  # fmt: skip
    return rows
