"""How robust is each way of training the same network, for the same training time?

Full MNIST. Accuracy on the 10,000 test images, and on the first 1,000 of them under the attack
ensemble at six budgets. `--time` measures first what an epoch of each method costs, next to a
plain one. Rows of the package train for a fixed number of epochs; every peer trains for as many
epochs as take the time of the longest of them. Rows that the JSON holds are skipped, so that a run
can be taken up again; `--again` measures those whose trained networks are still there anew, as
after a change of the attacks, and `--fresh` trains them anew as well. `--confirm` attacks rows with
AutoAttack as well, and with an ensemble that ends in 2,000 queries of random search, half of them
patches of the images. `--threads 2` tells what a fit takes by the clock on two cores, if nothing
else runs.

    SKLEARN_ISO_DATA=folder python benchmarks/robust_mnist.py [--network mlp] [--seeds 0 1 2]
        [--methods NAME ...] [--threads 1] [--time] [--again] [--fresh] [--confirm]
        [--images 1000] [--report]
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
from filelock import FileLock
from robustness.measures import BUDGETS, CONFIRMED_BY, label, measure
from robustness.methods import ARCHITECTURES, METHODS
from robustness.report import in_order, print_table, save_figure
from robustness.timing import Ratios, planned_epochs, times_plain
from torch import Tensor, nn

from sklearn_iso.datasets import load_mnist

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_suffix(".json")
NETWORKS = ROOT / "output" / "robust-mnist"
PACKAGES = ("torch", "scikit-learn", "pyautoattack", "deel-torchlip")


def key_of(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["network"], row["method"], row["seed"]


class Results:
    """The JSON, read anew for every change: two networks may run side by side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        NETWORKS.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(NETWORKS / "results.lock")

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = {"settings": {}, "rows": []}
        return json.loads(self.path.read_text()) if self.path.exists() else found

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.read()["rows"]
        return rows

    def find(self, network: str, method: str, seed: int) -> dict[str, Any] | None:
        return next((r for r in self.rows if key_of(r) == (network, method, seed)), None)

    def ratios(self, network: str) -> Ratios:
        """Time of an epoch of each method, in plain epochs."""
        known: dict[str, Ratios] = self.read()["settings"].get("times_plain", {})
        ratios = known.get(network, {})
        unknown = METHODS[network].keys() - ratios.keys()
        if unknown:
            raise SystemExit(
                f"How long do epochs of {sorted(unknown)} take? Run --time --network {network} "
                "first, with --methods for these alone."
            )
        return ratios

    def put(self, row: dict[str, Any]) -> None:
        """Add a row, or put it in place of the old one."""
        with self.lock:
            found = self.read()
            table = {key_of(r): r for r in found["rows"]} | {key_of(row): row}
            self._write(found["settings"], list(table.values()))

    def put_ratios(self, network: str, ratios: Ratios) -> None:
        with self.lock:
            found = self.read()
            known = found["settings"].setdefault("times_plain", {})
            known[network] = known.get(network, {}) | ratios
            self._write(found["settings"], found["rows"])

    def _write(self, settings: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        settings = settings | {
            "budgets": [label(*b) for b in BUDGETS], "bounds": [0, 1], "threads": 1,
            "versions": {name: version(name) for name in PACKAGES},
        }  # fmt: skip
        self.path.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")


def cache_path(network: str, method: str, seed: int) -> Path:
    name = "".join(c if c.isalnum() else "-" for c in f"{network} {method} {seed}")
    return NETWORKS / f"{name}.pt"


def is_trained(row: dict[str, Any]) -> bool:
    """Whether the network of a row is still there; says so where it is not."""
    found = cache_path(*key_of(row)).exists()
    if not found:
        print(f"{row['method']}, seed {row['seed']}: no trained network in {NETWORKS}; left out")
    return found


def train_row(
    results: Results, network: str, method: str, seed: int, data: tuple[np.ndarray, ...]
) -> tuple[dict[str, Any], nn.Module]:
    """Train a network, or take it from the cache."""
    path = cache_path(network, method, seed)
    if path.exists():
        kept = torch.load(path, weights_only=False)
        return kept["row"], kept["model"]
    kind = METHODS[network][method]
    architecture = ARCHITECTURES[network]
    epochs = planned_epochs(method, METHODS[network], architecture, results.ratios(network))
    start = time.perf_counter()
    trained = kind.fit(architecture, data[0], data[2], seed, epochs)
    row = {
        "network": network, "method": method, "seed": seed, "epochs": trained.epochs,
        "train_seconds": round(trained.seconds, 1), "threads": torch.get_num_threads(),
        "wall_seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"row": row, "model": trained.model}, path)
    return row, trained.model


def with_times(results: Results, row: dict[str, Any]) -> dict[str, Any]:
    """Add what the report asks of a row beside its measures."""
    ratio = results.ratios(row["network"])[row["method"]]
    return row | {
        "ours": METHODS[row["network"]][row["method"]].ours,
        "times_plain": ratio, "plain_epochs": row["epochs"] * ratio,
    }  # fmt: skip


def confirm(results: Results, row: dict[str, Any], X: Tensor, y: Tensor, budgets: list) -> None:
    """Add what stronger attacks leave, on as many of the first test images as are passed."""
    if not is_trained(row):
        return
    model = torch.load(cache_path(*key_of(row)), weights_only=False)["model"]
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
    parser.add_argument("--threads", type=int, default=1, help="threads of each training")
    parser.add_argument("--again", action="store_true", help="measure rows that are there anew")
    parser.add_argument("--fresh", action="store_true", help="use no row of an earlier run")
    parser.add_argument("--confirm", action="store_true", help="AutoAttack, and patches")
    parser.add_argument("--budgets", nargs="+", help='for --confirm, such as "linf 0.1"')
    parser.add_argument("--time", action="store_true", help="how long epochs take, side by side")
    parser.add_argument("--report", action="store_true", help="table and figure of the JSON")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    results = Results(RESULTS)
    if options.report:
        rows = in_order([with_times(results, row) for row in results.rows], METHODS)
        print_table(rows)
        save_figure(rows, ROOT / "docs" / "images" / "robust_mnist.png")
        return
    torch.set_num_threads(options.threads)
    X_train, X_test, y_train, y_test = load_mnist()
    data = (X_train.astype(np.float32), X_test.astype(np.float32), y_train, y_test)
    X, y = torch.from_numpy(data[1]), torch.from_numpy(y_test).long()
    methods = options.methods or list(METHODS[options.network])
    if options.time:
        table = METHODS[options.network]
        timed = {name: table[name] for name in methods}
        architecture = ARCHITECTURES[options.network]
        ratios = times_plain(timed, table["plain"], architecture, data[0], data[2])
        results.put_ratios(options.network, ratios)
        return
    chosen = [b for b in BUDGETS if not options.budgets or label(*b) in options.budgets]
    for seed in options.seeds:
        for method in methods:
            if options.fresh:
                cache_path(options.network, method, seed).unlink(missing_ok=True)
            row = None if options.fresh else results.find(options.network, method, seed)
            if row is None or (options.again and is_trained(row)):
                fresh, model = train_row(results, options.network, method, seed, data)
                # What AutoAttack leaves still holds; the patches end an ensemble of another day.
                kept = {k: v for k, v in (row or {}).items() if k != "patches"}
                row = kept | fresh | measure(model, X, y, options.images)
                results.put(row)
                print(json.dumps(row), flush=True)
            if options.confirm:
                confirm(results, row, X[: options.images], y[: options.images], chosen)


if __name__ == "__main__":
    main()
