"""What does the default penalty of IsometricRegressor cost in R2, and what does it gain?

Four data sets of scikit-learn, standardised, three splits each. Robust R2 takes the largest
squared error that projected gradient ascent finds within an l2 ball of half the median
distance between nearest rows: the radius that the estimator chooses by itself.

    python benchmarks/regression.py        # writes regression.json beside this file
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_iso import IsometricRegressor

SETS = {
    "diabetes": load_diabetes(return_X_y=True),
    "friedman1": make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": make_friedman2(1000, noise=50.0, random_state=0),
    "friedman3": make_friedman3(1000, noise=0.1, random_state=0),
}
ALPHAS = (0.0, 0.1, 0.3, 1.0)
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


def measure(X, y, alpha, seed):
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    eps = IsometricRegressor(alpha=1.0, max_epochs=1, random_state=seed).fit(X, y).radius_
    regressor = IsometricRegressor(alpha=alpha, random_state=seed).fit(X, y)
    module = regressor.to_torch().requires_grad_(False)
    attacked = worst_squared_error(module, X_test, y_test, eps)
    return regressor.score(X_test, y_test), 1 - attacked / y_test.var(), eps


def main():
    rows = []
    for name, (X, y) in SETS.items():
        for alpha in ALPHAS:
            found = np.mean([measure(X, y, alpha, seed) for seed in range(3)], axis=0)
            row = dict(zip(("r2", "robust_r2", "eps"), found.round(4).tolist(), strict=True))
            rows.append({"data": name, "alpha": alpha} | row)
            print(rows[-1], flush=True)
    out = Path(__file__).with_suffix(".json")
    out.write_text(json.dumps({"splits": 3, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
