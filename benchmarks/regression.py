"""What does the default of IsometricRegressor cost in R2, and what does it gain under attack?

Four data sets of scikit-learn, standardised, three splits each. Robust R2 takes the largest
squared error that projected gradient ascent finds within an l2 ball of half the median
distance between nearest samples: the radius that the estimator chooses by itself. Beside it
RidgeCV and MLPRegressor, on a target of mean 0 and standard deviation 1.

    python benchmarks/regression.py        # writes regression.json beside this file
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from sklearn_iso import IsometricRegressor

SETS = {
    "diabetes": load_diabetes(return_X_y=True),
    "friedman1": make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": make_friedman2(1000, noise=50.0, random_state=0),
    "friedman3": make_friedman3(1000, noise=0.1, random_state=0),
}
ALPHAS = ("auto", 0.0, 0.1, 0.3, 1.0)
PEERS = {
    "RidgeCV": lambda seed: RidgeCV(np.logspace(-3, 3, 13)),
    "MLPRegressor": lambda seed: MLPRegressor(max_iter=500, random_state=seed),
}
N_STEPS = 20


def worst_squared_error(module, X, y, eps):
    X, y = torch.tensor(X), torch.tensor(y)[:, None]
    delta = torch.randn(X.shape, generator=torch.Generator().manual_seed(0), dtype=X.dtype)
    delta *= eps / 2 / delta.norm(dim=1, keepdim=True)
    worst = (module(X) - y).square()
    for _ in range(N_STEPS):
        delta.requires_grad_()
        error = (module(X + delta) - y).square()
        worst = torch.maximum(worst, error.detach())
        (gradient,) = torch.autograd.grad(error.sum(), delta)
        step = gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-12)
        delta = (delta + eps / 5 * step).detach()
        delta *= (eps / delta.norm(dim=1, keepdim=True)).clamp_max(1)
    return torch.maximum(worst, (module(X + delta) - y).square()).mean().item()


def as_module(model):
    """Return a fitted peer as a torch module."""
    layers = [(model.coef_[:, None], model.intercept_)] if hasattr(model, "coef_") else None
    parts = []
    for weight, bias in layers or zip(model.coefs_, model.intercepts_, strict=True):
        linear = torch.nn.Linear(*weight.shape, dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.tensor(weight.T), torch.tensor(bias).view(-1)
        parts += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def measure(X, y, model, seed):
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    y, y_test = (y - y.mean()) / y.std(), (y_test - y.mean()) / y.std()
    eps = IsometricRegressor(alpha=1.0, max_epochs=1, random_state=seed).fit(X, y).radius_
    if model in PEERS:
        regressor = PEERS[model](seed).fit(X, y)
        module = as_module(regressor).requires_grad_(False)
    else:
        regressor = IsometricRegressor(alpha=model, random_state=seed).fit(X, y)
        module = regressor.to_torch().requires_grad_(False)
    attacked = worst_squared_error(module, X_test, y_test, eps)
    return regressor.score(X_test, y_test), 1 - attacked / y_test.var(), eps


def main():
    rows = []
    for name, (X, y) in SETS.items():
        for model in (*ALPHAS, *PEERS):
            found = np.mean([measure(X, y, model, seed) for seed in range(3)], axis=0)
            row = dict(zip(("r2", "robust_r2", "eps"), found.round(4).tolist(), strict=True))
            rows.append({"data": name, "alpha or peer": model} | row)
            print(rows[-1], flush=True)
    out = Path(__file__).with_suffix(".json")
    out.write_text(json.dumps({"splits": 3, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
