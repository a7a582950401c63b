"""Which embedding keeps distances best, and still does on points it has not seen?

- digits: scikit-learn's 1,797 images, pixels / 16, distances between pixels;
- swiss roll: 3,000 points, measured against its true geodesic distances, as it is flat once
  unrolled, and its SNS against straight lines too; Isomap and
  IsometricTransformer(penalty="geodesic") both with 10 neighbours.

70 % of the rows train, 2 components, 3 seeds (each its own split). Measured on train and on
unseen rows: scale-normalised stress (SNS), Shepard correlation, trustworthiness at 10, and p95 / p5
of the distance ratios, beside the SNS of a map that puts all points at one distance (floor); CPU
seconds of one thread; and how far the embedding of a row alone is from its embedding among others,
in standard deviations (row-wise).

    python benchmarks/embeddings.py [--only digits|swiss_roll|inverse|mnist] [--seeds 3]
                                    [--method PCA] [--report]

Peers that are not installed are skipped, with the reason; --method measures some anew beside the
figures of the others. `inverse` is reconstruction of unseen digits at 16 components beside PCA;
`mnist` (where SKLEARN_ISO_DATA names its folder) is 60,000 images at 2 and 16 components. Finished
parts replace their own figures in embeddings.json, and --report prints its tables.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import resource
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits, make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.manifold import MDS, Isomap
from sklearn.model_selection import train_test_split
from sklearn.random_projection import GaussianRandomProjection

from sklearn_iso import IsometricTransformer
from sklearn_iso.datasets import load_mnist
from sklearn_iso.metrics import distortion_report, scale_normalized_stress

N_NEIGHBORS, N_ALONE = 10, 5
OURS, STRAIGHT = "IsometricTransformer", "IsometricTransformer, global"
RESULTS = Path(__file__).with_suffix(".json")
PACKAGES = ("numpy", "scikit-learn", "torch", "umap-learn", "parametric-umap", "torchdr")
HEADS = (
    "method", "seeds", "SNS, train", "SNS", "Shepard", "trustworthiness", "p95 / p5", "row-wise",
    "fit seconds", "transform seconds",
)  # fmt: skip
COLUMNS = ("sns", "shepard", "trustworthiness", "p95_p5")

Rows = NDArray[np.float64]


def digits(seed: int) -> tuple[Rows, Rows]:
    X = load_digits().data / 16
    return X, X


def swiss_roll(seed: int) -> tuple[Rows, Rows]:
    X, t = make_swiss_roll(3000, random_state=seed)
    # Length of the spiral r = t from its centre.
    length = (t * np.sqrt(1 + t**2) + np.arcsinh(t)) / 2
    return X, np.column_stack([length, X[:, 1]])


DATA = {"digits": digits, "swiss_roll": swiss_roll}
PENALTY = {"digits": "global", "swiss_roll": "geodesic"}


def umap_learn(seed: int) -> Any:
    import umap

    return umap.UMAP(n_components=2, random_state=seed)


def parametric_umap(seed: int) -> Any:
    from parametric_umap import ParametricUMAP

    torch.manual_seed(seed)
    # A network of our size; its defaults (3 layers of 1,024, batches of 32 edges) take much longer.
    return ParametricUMAP(
        n_components=2, hidden_dim=128, n_layers=2, batch_size=512, learning_rate=1e-3, device="cpu"
    )


class TorchDRUMAP:
    """TorchDR's UMAP, which wants its training rows again to embed others."""

    def __init__(self, seed: int) -> None:
        import torchdr

        self.model = torchdr.UMAP(n_components=2, random_state=seed, device="cpu")

    def fit_transform(self, X: Rows) -> Any:
        self.X_train = X
        return self.model.fit_transform(X)

    def transform(self, X: Rows) -> Any:
        return self.model.transform(X, X_train=self.X_train)


#: What is measured on one data set only: its default is the default of digits.
ONLY = {STRAIGHT: "swiss_roll"}

#: Name, the module that it needs, and a function from the data's name and a seed.
METHODS: dict[str, tuple[str, Callable[[str, int], Any]]] = {
    OURS: (
        "sklearn_iso",
        lambda data, seed: IsometricTransformer(penalty=PENALTY[data], random_state=seed),
    ),
    STRAIGHT: ("sklearn_iso", lambda data, seed: IsometricTransformer(random_state=seed)),
    "PCA": ("sklearn", lambda data, seed: PCA(2)),
    "random projection": (
        "sklearn",
        lambda data, seed: GaussianRandomProjection(2, random_state=seed),
    ),
    "metric MDS": (
        "sklearn",
        lambda data, seed: MDS(2, n_init=1, init="classical_mds", random_state=seed),
    ),
    "Isomap": ("sklearn", lambda data, seed: Isomap(n_components=2, n_neighbors=N_NEIGHBORS)),
    "UMAP": ("umap", lambda data, seed: umap_learn(seed)),
    "parametric UMAP": ("parametric_umap", lambda data, seed: parametric_umap(seed)),
    "TorchDR UMAP": ("torchdr", lambda data, seed: TorchDRUMAP(seed)),
}


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    start = time.process_time()
    return function(*arguments), time.process_time() - start


def as_array(Z: Any) -> Rows:
    values = Z.numpy(force=True) if isinstance(Z, torch.Tensor) else Z
    return np.asarray(values, dtype=np.float64)


def measures(D: Rows, Z: Rows) -> dict[str, float]:
    """All of the report; D are points whose Euclidean distances are the ones to keep."""
    report = distortion_report(D, Z, n_neighbors=10)
    names = ("stress", "shepard_correlation", "trustworthiness", "bi_lipschitz_ratio")
    found = dict(zip(COLUMNS, (report.values[name] for name in names), strict=True))
    return {**found, "floor": report.floor}


def measure(data: str, method: str, seed: int) -> dict[str, Any]:
    X, flat = DATA[data](seed)
    X_train, X_test, D_train, D_test = train_test_split(X, flat, test_size=0.3, random_state=seed)
    needs_float32 = method in ("parametric UMAP", "TorchDR UMAP")
    train, test = (
        part.astype(np.float32 if needs_float32 else float) for part in (X_train, X_test)
    )
    model = METHODS[method][1](data, seed)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        Z_train, seconds = timed(model.fit_transform, train)
    row: dict[str, Any] = {"data": data, "method": method, "seed": seed, "fit_seconds": seconds}
    row["train"] = measures(D_train, as_array(Z_train))
    try:
        Z, row["transform_seconds"] = timed(model.transform, test)
    except (AttributeError, NotImplementedError, ValueError) as error:
        row["no_transform"] = str(error).splitlines()[0]
        return row
    Z = as_array(Z)
    row["unseen"] = measures(D_test, Z)
    if X is not flat:
        row["unseen"]["straight_sns"] = scale_normalized_stress(X_test, Z)
    alone = np.vstack([as_array(model.transform(test[i : i + 1])) for i in range(N_ALONE)])
    row["row_wise"] = float(np.abs(alone - Z[:N_ALONE]).max() / Z.std())
    return row


def alone() -> None:
    """Begin a process for one method: once numba has run, torch beside it is many times slower."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)


def compare(data: str, n_seeds: int, chosen: list[str]) -> list[dict[str, Any]]:
    rows = [row for row in stored(data) if row["method"] not in chosen]
    for method in chosen:
        if ONLY.get(method, data) != data:
            continue
        module, _ = METHODS[method]
        if importlib.util.find_spec(module) is None:
            print(f"{data}: {method} skipped, as {module} is not installed (the bench extra)")
            continue
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=alone) as process:
            for seed in range(n_seeds):
                try:
                    rows.append(process.submit(measure, data, method, seed).result())
                except Exception as error:  # a peer's failure is a result, too
                    if method == OURS:
                        raise
                    print(f"{data}: {method} failed: {type(error).__name__}: {error}")
                    break
                show(rows[-1])
    return sorted(rows, key=lambda row: list(METHODS).index(row["method"]))


def stored(part: str) -> list[dict[str, Any]]:
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return list(found.get(part, {"rows": []})["rows"])


def show(row: dict[str, Any]) -> None:
    for part in ("train", "unseen"):
        if part in row:
            figures = "  ".join(f"{row[part][name]:8.4f}" for name in (*COLUMNS, "floor"))
            seconds = row["fit_seconds" if part == "train" else "transform_seconds"]
            alone = f"  row-wise {row['row_wise']:.1e}" if part == "unseen" else ""
            print(f"{row['data']:10} {row['method']:20} {row['seed']} {part:6} {figures}  "
                  f"{seconds:7.2f} s{alone}", flush=True)  # fmt: skip
    if "no_transform" in row:
        print(f"{row['data']:10} {row['method']:20} cannot transform: {row['no_transform']}")


def mean_of(rows: list[dict[str, Any]], method: str, part: str, name: str) -> float:
    return float(np.mean([row[part][name] for row in rows if row["method"] == method]))


def lines(data: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Whether each promise is kept, on the mean of the seeds."""
    checks: list[tuple[str, float, float, bool]] = []

    def seconds(method: str) -> float:
        return float(np.mean([row["fit_seconds"] for row in rows if row["method"] == method]))

    if data == "digits":
        ratio = mean_of(rows, OURS, "train", "sns") / mean_of(rows, "metric MDS", "train", "sns")
        checks.append(("train SNS over metric MDS's", ratio, 1.03, True))
        checks.append(
            ("fit time over metric MDS's", seconds(OURS) / seconds("metric MDS"), 1, True)
        )
        checks.append(("unseen SNS", mean_of(rows, OURS, "unseen", "sns"), 0.335, True))
        checks.append(("unseen Shepard", mean_of(rows, OURS, "unseen", "shepard"), 0.68, False))
    else:
        checks.append(("unseen SNS", mean_of(rows, OURS, "unseen", "sns"), 0.0100, True))
        checks.append(("unseen Shepard", mean_of(rows, OURS, "unseen", "shepard"), 0.999, False))
    others = {row["method"] for row in rows if "unseen" in row} - {OURS, STRAIGHT}
    best = min(mean_of(rows, method, "unseen", "sns") for method in others)
    ratio = mean_of(rows, OURS, "unseen", "sns") / best
    checks.append(("unseen SNS over the best peer's", ratio, 1, True))
    apart = max(row["row_wise"] for row in rows if row["method"] == OURS)
    checks.append(("difference from a row alone, in sd", apart, 1e-9, True))
    return [
        {"data": data, "what": what, "value": value, "line": f"{'<=' if most else '>='} {limit}",
         "met": bool(value <= limit if most else value >= limit)}
        for what, value, limit, most in checks
    ]  # fmt: skip


def inverse(n_seeds: int) -> list[dict[str, Any]]:
    rows = []
    for seed in range(n_seeds):
        train, test = train_test_split(digits(seed)[0], test_size=0.3, random_state=seed)
        for model in (IsometricTransformer(16, random_state=seed), PCA(16)):
            fitted, seconds = timed(model.fit, train)
            Z = fitted.transform(test)
            error = np.square(fitted.inverse_transform(Z) - test).sum()
            share = float(error / np.square(test - train.mean(axis=0)).sum())
            row = {"method": type(model).__name__, "seed": seed, "fit_seconds": seconds,
                   "unseen_reconstruction_error": share,
                   "unseen_sns": scale_normalized_stress(test, Z)}  # fmt: skip
            print(row, flush=True)
            rows.append(row)
    return rows


def mnist() -> list[dict[str, Any]]:
    if "SKLEARN_ISO_DATA" not in os.environ:
        print("mnist skipped, as SKLEARN_ISO_DATA names no folder with mnist.npz")
        return []
    X_train, X_test, _, _ = load_mnist()
    rows = []
    for n_components in (2, 16):
        start = time.perf_counter()
        model = IsometricTransformer(n_components, random_state=0).fit(X_train)
        row = {"n_components": n_components, "wall_seconds": time.perf_counter() - start,
               "train_sns": model.stress_, "reconstruction_error": model.reconstruction_error_,
               **measures(X_test[:2000].astype(float), as_array(model.transform(X_test[:2000]))),
               # Of the whole process, the data included.
               "peak_GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
               "threads": torch.get_num_threads()}  # fmt: skip
        print(row, flush=True)
        rows.append(row)
    return rows


def save(part: str, rows: list[dict[str, Any]], checked: list[dict[str, Any]]) -> None:
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found = {name: version(name) for name in PACKAGES if _is_there(name)}
    known = results.get(part, {}).get("versions", {})  # of peers whose rows are not new
    results[part] = {"versions": known | found, "rows": rows, "lines": checked}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(f"saved {RESULTS}", flush=True)


def report() -> None:
    """Print what is stored as tables, each figure the mean of its seeds."""
    for data in DATA:
        rows = stored(data)
        print(f"\n{data}; floor {np.mean([row['train']['floor'] for row in rows]):.3f}\n")
        straight = (
            ["SNS, straight"] if any("straight_sns" in r.get("unseen", {}) for r in rows) else []
        )
        heads = [*HEADS[:4], *straight, *HEADS[4:]]
        print(f"| {' | '.join(heads)} |\n|{len(heads) * '---|'}")
        for method in dict.fromkeys(row["method"] for row in rows):
            print("| " + " | ".join(_cells(method, rows, bool(straight))) + " |")
    print(
        "\n16 components, unseen digits\n\n| method | reconstruction error | SNS |\n|" + 3 * "---|"
    )
    for method in dict.fromkeys(row["method"] for row in stored("inverse")):
        own = [row for row in stored("inverse") if row["method"] == method]
        keys = ("unseen_reconstruction_error", "unseen_sns")
        error, sns = (np.mean([row[key] for row in own]) for key in keys)
        print(f"| {method} | {error:.3f} | {sns:.4f} |")


def _cells(method: str, rows: list[dict[str, Any]], straight: bool) -> list[str]:
    own = [row for row in rows if row["method"] == method]
    cells = [method, str(len(own)), f"{mean_of(rows, method, 'train', 'sns'):.4f}"]
    if "unseen" in own[0]:
        kinds = ["sns", "straight_sns"] if straight else ["sns"]
        cells += [f"{mean_of(rows, method, 'unseen', kind):.4f}" for kind in kinds]
        cells += [f"{mean_of(rows, method, 'unseen', name):.3f}" for name in COLUMNS[1:]]
        cells.append(f"{max(row['row_wise'] for row in own):.0e}")
    else:
        cells += (6 if straight else 5) * ["-"]
    times = [[row.get(key) for row in own] for key in ("fit_seconds", "transform_seconds")]
    return cells + ["-" if None in found else f"{np.mean(found):.3f}" for found in times]


def _is_there(package: str) -> bool:
    try:
        version(package)
    except ModuleNotFoundError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = [*DATA, "inverse", "mnist"]
    parser.add_argument("--only", choices=parts, action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--method", choices=METHODS, action="append")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    if options.report:
        return report()
    warnings.filterwarnings("ignore")
    for part in options.only or parts:
        if part != "mnist":
            torch.set_num_threads(1)
        if part in DATA:
            print(f"{'data':10} {'method':20} s part   {'  '.join(f'{c:>8}'[:8] for c in COLUMNS)}"
                  "     floor")  # fmt: skip
            rows = compare(part, options.seeds, options.method or list(METHODS))
            checked = lines(part, rows)
        else:
            rows, checked = (inverse(options.seeds) if part == "inverse" else mnist()), []
        for line in checked:
            print(f"{line['data']:10} {line['what']:36} {line['value']:8.4f}  line "
                  f"{line['line']:9} {'met' if line['met'] else 'NOT MET'}")  # fmt: skip
        if rows:
            save(part, rows, checked)


if __name__ == "__main__":
    main()
