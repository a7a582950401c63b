"""What is measured on a trained network."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import attack_ensemble

BUDGETS = (
    ("linf", 0.1), ("linf", 0.2), ("linf", 0.3), ("l2", 1.0), ("l2", 1.58), ("l2", 2.0),
)  # fmt: skip
N_JACOBIANS = 200
N_QUERIES = 2000


def label(norm: str, eps: float) -> str:
    return f"{norm} {eps:g}"


@torch.no_grad()
def right_ones(model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
    """Which rows are right, taken anew from the network."""
    return torch.cat([model(rows).argmax(dim=1) for rows in X.split(1000)]) == y


def accuracy(model: nn.Module, X: Tensor, y: Tensor) -> float:
    """Share of the rows that are right."""
    return float(right_ones(model, X, y).double().mean())


def ensemble_examples(
    model: nn.Module, X: Tensor, y: Tensor, norm: str, eps: float, **options: Any
) -> Tensor:
    threat = ThreatModel(norm, bounds=(0, 1))
    return attack_ensemble(model, X, y, eps=eps, threat=threat, random_state=0, **options)


def under_ensemble(
    model: nn.Module, X: Tensor, y: Tensor, norm: str, eps: float, **options: Any
) -> float:
    return accuracy(model, ensemble_examples(model, X, y, norm, eps, **options), y)


def under_patches(model: nn.Module, X: Tensor, y: Tensor, norm: str, eps: float) -> float:
    """Share that the attack ensemble leaves if it ends in random search with patches."""
    return under_all(model, X, y, (norm, eps))


def under_all(model: nn.Module, X: Tensor, y: Tensor, *budgets: tuple[str, float]) -> float:
    """Share that this ensemble leaves within every one of the budgets."""
    n_samples = len(X)
    patches = {"n_queries": N_QUERIES, "image_shape": (28, 28)}
    for budget in budgets:
        if len(X) > 0:
            held = right_ones(model, ensemble_examples(model, X, y, *budget, **patches), y)
            X, y = X[held], y[held]
    return len(X) / n_samples


def autoattack_examples(model: nn.Module, X: Tensor, y: Tensor, norm: str, eps: float) -> Tensor:
    from pyautoattack import AutoAttack

    # Its square attack takes images only.
    on_images = nn.Sequential(nn.Flatten(), model).eval()
    kind = {"linf": "Linf", "l2": "L2"}[norm]
    attack = AutoAttack(on_images, eps=eps, norm=kind, seed=0)
    images = X.view(-1, 1, 28, 28)
    with contextlib.redirect_stdout(io.StringIO()):
        found, *_ = attack.run_standard_evaluation(images, y, batch_size=250)
    X_adv = found.reshape(len(X), -1)
    size = (X_adv - X).norm(p=np.inf if norm == "linf" else 2, dim=1)
    if (size > eps * (1 + 1e-4)).any() or X_adv.min() < 0 or X_adv.max() > 1:
        raise AssertionError(f"AutoAttack left its budget: {float(size.max())} > {eps}")
    return X_adv


def under_autoattack(model: nn.Module, X: Tensor, y: Tensor, norm: str, eps: float) -> float:
    return accuracy(model, autoattack_examples(model, X, y, norm, eps), y)


#: Attacks that confirm a row, by the key in the JSON: their title, and what they leave.
CONFIRMED_BY: dict[str, tuple[str, Callable[..., float]]] = {
    "patches": ("attack ensemble and patches", under_patches),
    "autoattack": ("AutoAttack", under_autoattack),
}


def stretch(model: nn.Module, X: Tensor) -> dict[str, float]:
    """Median over rows of the largest and the smallest singular value of the Jacobian.

    Logits for each unit of X: what the map does to a short difference at its most and at its
    least, within the directions that it does not collapse.
    """
    X = X[:N_JACOBIANS].clone().requires_grad_()
    logits = model(X)
    rows = [
        torch.autograd.grad(logits[:, k].sum(), X, retain_graph=True)[0]
        for k in range(logits.shape[1])
    ]
    values = torch.linalg.svdvals(torch.stack(rows, dim=1).double())
    return {
        "expansion": round(float(values[:, 0].median()), 4),
        "contraction": round(float(values[:, -1].median()), 4),
    }


def measure(model: nn.Module, X_test: Tensor, y_test: Tensor, n_images: int) -> dict[str, Any]:
    """Accuracies, and how far the map stretches.

    "ascents" tells rows of today from those that were measured before the walks of the ensemble
    ended in ascents.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    few, labels = X_test[:n_images], y_test[:n_images]
    robust = {label(*b): under_ensemble(model, few, labels, *b) for b in BUDGETS}
    return {
        "images": n_images, "clean": accuracy(model, X_test, y_test), "cascade": robust,
        "ascents": True, **stretch(model, few),
    }  # fmt: skip
