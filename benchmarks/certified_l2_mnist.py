"""How much L2 robustness of MNIST is certified for a network that is isometric by construction?

`preset("images_certified_l2")`, trained on the 60,000 training images. Certified accuracy on all
10,000 test images by the Lipschitz constants of the trained network, and accuracy under attack on
the first of them. With `--held-out`, it trains on so many images and measures on 5,000 other
training images, which is how settings are chosen. A fit that was interrupted goes on from its
checkpoint.

    SKLEARN_ISO_DATA=folder python benchmarks/certified_l2_mnist.py [--seed 0] [--epochs N]
        [--held-out N] [--attacked 500] [--set NAME=VALUE ...] [--name NAME] [--report]
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
from numpy.typing import NDArray

from sklearn_iso import IsometricClassifier, ThreatModel, load, preset
from sklearn_iso.datasets import load_mnist
from sklearn_iso.metrics import adversarial_accuracy, certified_distance
from sklearn_iso.persistence import Checkpoint

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_suffix(".json")
FOLDER = ROOT / "output" / "certified-l2-mnist"
BUDGETS = [0.5, 1.0, 1.58, 2.0]
THREAT = ThreatModel("l2", bounds=(0, 1))
PUBLISHED = {
    "Singla and Feizi, second order": 0.698,
    "GloRo": 0.628,
    "BCP": 0.480,
    "randomised smoothing, at 1.5, with probability .999": 0.82,
}


def data_of(options: argparse.Namespace) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    X, X_test, y, y_test = load_mnist()
    X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    if options.held_out:
        order = np.random.default_rng(1).permutation(len(X))
        test, train = order[:5000], order[5000 : 5000 + options.held_out]
        X, X_test, y, y_test = X[train], X[test], y[train], y[test]
    return X, X_test, y, y_test


def trained(
    options: argparse.Namespace, X: NDArray, y: NDArray
) -> tuple[IsometricClassifier, float]:
    """Return the classifier and the CPU seconds of its fit, from its files if they are there."""
    path, times = FOLDER / f"{options.name}.safetensors", FOLDER / f"{options.name}.json"
    if path.exists():
        return load(path), json.loads(times.read_text())
    start = time.process_time()
    FOLDER.mkdir(parents=True, exist_ok=True)
    given = {name: json.loads(value) for name, value in (one.split("=") for one in options.set)}
    penalty = {name: given.pop(name) for name in ("radius", "temperature") if name in given}
    if options.epochs:
        given["max_epochs"] = options.epochs
    classifier = preset("images_certified_l2", random_state=options.seed, **given)
    classifier.penalty.set_params(**penalty)
    print(classifier, f"{len(X)} images, {torch.get_num_threads()} threads", flush=True)
    every = Checkpoint(FOLDER / f"{options.name}.checkpoint")
    classifier.set_params(callbacks=[every]).fit(X, y).set_params(callbacks=None)
    classifier.save(path, include_optimizer=False)
    seconds = round(time.process_time() - start)  # without what came before an interruption
    times.write_text(json.dumps(seconds))
    return classifier, seconds


def proven(classifier: IsometricClassifier, X: NDArray, y: NDArray) -> dict[str, float]:
    """Return the certified accuracy at each budget."""
    distances = certified_distance(classifier, X, y, threat=THREAT)
    return {str(eps): round(float((distances > eps).mean()), 4) for eps in BUDGETS}


def measured(
    classifier: IsometricClassifier, X: NDArray, y: NDArray, n_attacked: int
) -> dict[str, Any]:
    start = time.process_time()
    certified = proven(classifier, X, y)
    row: dict[str, Any] = {
        "images": len(X),
        "clean": round(float(classifier.score(X, y)), 4),
        "certified": certified,
        "seconds": round(time.process_time() - start, 1),
    }
    if n_attacked:
        some = slice(n_attacked)
        row["attacked_images"], row["certified_of_these"] = (
            n_attacked,
            proven(classifier, X[some], y[some]),
        )
        row["attacked"] = {
            str(eps): round(
                adversarial_accuracy(
                    classifier, X[some], y[some], eps=eps, threat=THREAT, random_state=0
                ),
                4,
            )
            for eps in BUDGETS
        }
    return row


def report(results: dict[str, Any]) -> None:
    print("| network | clean | " + " | ".join(f"certified at {eps}" for eps in BUDGETS) + " |")
    print("|---|" + "---|" * (1 + len(BUDGETS)))
    for name, row in results.items():
        cells = [f"{row['clean']:.4f}", *(f"{row['certified'][str(e)]:.4f}" for e in BUDGETS)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    for name, figure in PUBLISHED.items():
        print(f"published: {name}: {figure:.3f}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="preset")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--held-out", type=int, default=0)
    parser.add_argument("--attacked", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], help="such as radius=1.58")
    parser.add_argument("--report", action="store_true", help="table of the JSON")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if options.report:
        report(results)
        return
    torch.set_num_threads(options.threads)
    X, X_test, y, y_test = data_of(options)
    classifier, seconds = trained(options, X, y)
    print(f"trained: {seconds} s of CPU", flush=True)
    row = measured(classifier, X_test, y_test, options.attacked)
    settings = {name: getattr(options, name) for name in ("seed", "held_out", "set")}
    row |= settings | {"epochs": classifier.n_iter_, "train_cpu_seconds": seconds}
    row["versions"] = {name: version(name) for name in ("torch", "scikit-learn")}
    print(json.dumps(row, indent=1), flush=True)
    if not options.held_out:
        RESULTS.write_text(json.dumps(results | {options.name: row}, indent=1) + "\n")
        report(results | {options.name: row})


if __name__ == "__main__":
    main()
