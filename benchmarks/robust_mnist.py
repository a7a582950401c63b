"""How robust is each way of training the same network, for the same training seconds?

Full MNIST. Accuracy on the 10,000 test images, and on the first 1,000 of them under the cascade
of attacks at six budgets. Rows of the package train for a fixed number of epochs; every peer
trains for as many epochs as fill the CPU seconds of the slowest of them. Rows that the JSON holds
are skipped, so that a run can be taken up again; `--confirm` attacks rows with AutoAttack as well,
and with a cascade that ends in 2,000 queries of random search, half of them patches of the images.

    SKLEARN_ISO_DATA=folder python benchmarks/robust_mnist.py [--network mlp] [--seeds 0 1 2]
        [--methods NAME ...] [--confirm] [--images 1000] [--report]
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from robustness.measures import BUDGETS, CONFIRMED_BY, label, measure
from robustness.methods import ARCHITECTURES, METHODS
from robustness.report import in_order, print_table, save_figure
from torch import Tensor, nn

from sklearn_iso.datasets import load_mnist

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_suffix(".json")
NETWORKS = ROOT / "output" / "robust-mnist"
PACKAGES = ("torch", "scikit-learn", "pyautoattack", "deel-torchlip")


def key_of(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["network"], row["method"], row["seed"]


class Results:
    """The rows of the JSON, read anew for every change: two networks may run side by side."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        if self.path.exists():
            rows = json.loads(self.path.read_text())["rows"]
        return rows

    def find(self, network: str, method: str, seed: int) -> dict[str, Any] | None:
        return next((r for r in self.rows if key_of(r) == (network, method, seed)), None)

    def budget(self, network: str) -> float:
        """Return the CPU seconds of the slowest row that sets the budget."""
        rows = [r for r in self.rows if r["network"] == network and r["sets_the_budget"]]
        if not rows:
            raise SystemExit("The package's rows set the budget of the peers: run one first.")
        return max(r["train_seconds"] for r in rows)

    def put(self, row: dict[str, Any]) -> None:
        """Add a row, or put it in place of the old one."""
        table = {key_of(r): r for r in self.rows} | {key_of(row): row}
        settings = {
            "budgets": [label(*b) for b in BUDGETS], "bounds": [0, 1], "threads": 1,
            "versions": {name: version(name) for name in PACKAGES},
        }  # fmt: skip
        text = json.dumps({"settings": settings, "rows": list(table.values())}, indent=1)
        self.path.write_text(text + "\n")


def cache_path(network: str, method: str, seed: int) -> Path:
    name = "".join(c if c.isalnum() else "-" for c in f"{network} {method} {seed}")
    return NETWORKS / f"{name}.pt"


def train_row(
    results: Results, network: str, method: str, seed: int, data: tuple[np.ndarray, ...]
) -> tuple[dict[str, Any], nn.Module]:
    """Train a network, or take it from the cache."""
    path = cache_path(network, method, seed)
    if path.exists():
        kept = torch.load(path, weights_only=False)
        return kept["row"], kept["model"]
    kind = METHODS[network][method]
    seconds = 0.0 if kind.sets_the_budget else results.budget(network)
    trained = kind.fit(ARCHITECTURES[network], data[0], data[2], seed, seconds)
    row = {
        "network": network, "method": method, "seed": seed,
        "sets_the_budget": kind.sets_the_budget, "epochs": trained.epochs,
        "train_seconds": round(trained.seconds, 1),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"row": row, "model": trained.model}, path)
    return row, trained.model


def confirm(results: Results, row: dict[str, Any], X: Tensor, y: Tensor, budgets: list) -> None:
    """Add what stronger attacks leave, on as many of the first test images as are passed."""
    path = cache_path(row["network"], row["method"], row["seed"])
    if not path.exists():
        print(f"{row['method']}: no trained network in {NETWORKS}; left out")
        return
    model = torch.load(path, weights_only=False)["model"]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name, (title, attack) in CONFIRMED_BY.items():
        found = row.setdefault(name, {})
        for budget in budgets:
            if found.get(label(*budget), {}).get("images", 0) < len(X):
                start = time.process_time()
                accuracy = attack(model, X, y, *budget)
                found[label(*budget)] = {"images": len(X), "accuracy": round(accuracy, 4)}
                results.put(row)
                print(f"{row['network']:8} {row['method']:36} {row['seed']} {title} "
                      f"{label(*budget)}: {accuracy:.4f} ({time.process_time() - start:.0f} s)",
                      flush=True)  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=ARCHITECTURES, default="mlp")
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--confirm", action="store_true", help="AutoAttack, and patches")
    parser.add_argument("--budgets", nargs="+", help='for --confirm, such as "linf 0.1"')
    parser.add_argument("--report", action="store_true", help="table and figure of the JSON")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    results = Results(RESULTS)
    if options.report:
        known = [r | {"ours": METHODS[r["network"]][r["method"]].ours} for r in results.rows]
        rows = in_order(known, METHODS)
        print_table(rows)
        save_figure(rows, ROOT / "docs" / "images" / "robust_mnist.png")
        return
    torch.set_num_threads(1)
    X_train, X_test, y_train, y_test = load_mnist()
    data = (X_train.astype(np.float32), X_test.astype(np.float32), y_train, y_test)
    X, y = torch.from_numpy(data[1]), torch.from_numpy(y_test).long()
    chosen = [b for b in BUDGETS if not options.budgets or label(*b) in options.budgets]
    for seed in options.seeds:
        for method in options.methods or METHODS[options.network]:
            row = results.find(options.network, method, seed)
            if row is None:
                row, model = train_row(results, options.network, method, seed, data)
                row |= measure(model, X, y, options.images)
                results.put(row)
                print(json.dumps(row), flush=True)
            if options.confirm:
                confirm(results, row, X[: options.images], y[: options.images], chosen)


if __name__ == "__main__":
    main()
