"""How much robustness on MNIST can be proven after training on interval bounds?

The preset "images_certified", a ConvNet 32-64 under the worst logits that intervals allow, trained
for a budget in L-infinity of 0.1 or 0.3. The last 5,000 training images are held out, and measured
every few epochs. With --shift images move by some pixels, anew in every epoch. The 10,000 test
images are measured once, at the end. With --second the fit goes on from there for some epochs, at
a radius closer to the budget and with hardly a weight on the accuracy at the images themselves.
With --mixed the products of the training, and only those, are in bfloat16.
"certified" is `certified_accuracy`, which counts the rounding of float32, and "intervals" the same
by interval arithmetic alone. A killed run goes on with --resume, and ends at the same network.

    SKLEARN_ISO_DATA=folder python benchmarks/certified_mnist.py --eps 0.1 [--epochs 40]
        [--radius 0.2] [--shift 1] [--second 0.33] [--mixed] [--seed 0] [--resume] [--quick]
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
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn

from sklearn_iso import IsometricClassifier, ThreatModel, load, preset
from sklearn_iso.augmentation import RandomShifts
from sklearn_iso.datasets import load_mnist
from sklearn_iso.metrics import adversarial_accuracy, certified_accuracy
from sklearn_iso.modules._intervals import graph_of, worst_logits
from sklearn_iso.persistence import Checkpoint

FOLDER = Path(__file__).parents[1] / "output" / "certified-mnist"
RESULTS = Path(__file__).with_suffix(".json")
N_HELD_OUT = 5_000
EVERY = 2  # epochs between two checkpoints and two lines of the log
N_ATTACKED = 200
#: The radius that the network is trained at, for each budget.
RADIUS = {0.1: 0.2, 0.3: 0.38}
#: Of the second fit: the worst logits alone count.
SECOND = {"alpha": 20.0, "learning_rate": 5e-4}
#: What tells runs from each other.
CHOSEN = ("eps", "radius", "epochs", "shift", "second", "second_epochs", "mixed", "seed")
PACKAGES = ("torch", "scikit-learn", "skorch", "numpy")


def by_intervals(module: nn.Module, X: np.ndarray, y: np.ndarray, eps: float) -> tuple[float, ...]:
    """Return the accuracy, and the share of samples that interval arithmetic certifies."""
    right = held = 0
    with torch.no_grad():
        for part in np.array_split(np.arange(len(X)), -(-len(X) // 500)):
            samples, classes = torch.from_numpy(X[part]), torch.from_numpy(y[part])
            low, high = (samples - eps).clamp_min(0), (samples + eps).clamp_max(1)
            worst = worst_logits(graph_of(module, X.shape[1:]), low, high, classes)
            others = worst.scatter(1, classes[:, None], -torch.inf)
            held += int((others.amax(1) < 0).sum())
            right += int((module(samples).argmax(1) == classes).sum())
    return right / len(X), held / len(X)


class Log(Callback):
    """Measures the held out images every few epochs, and writes down what a run has cost."""

    def __init__(self, path: Path, held_out: tuple[np.ndarray, np.ndarray], eps: float) -> None:
        self.path, self.held_out, self.eps = path, held_out, eps

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Add to what the run has cost before it was killed."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        done = [row for row in map(json.loads, lines) if row["epoch"] <= len(net.history)]
        last = done[-1] if done else {"cpu": 0.0, "wall": 0.0}
        self.cpu, self.wall = time.process_time() - last["cpu"], time.monotonic() - last["wall"]
        self.path.write_text("".join(json.dumps(row) + "\n" for row in done))

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Write one line."""
        epoch = len(net.history)
        if epoch % EVERY and epoch != net.max_epochs:
            return
        clean, certified = by_intervals(net.module_, *self.held_out, self.eps)
        row = {
            "epoch": epoch, "loss": net.history[-1]["train_loss"], "held_out_clean": clean,
            "held_out_intervals": certified, **self.cost(),
        }  # fmt: skip
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    def cost(self) -> dict[str, float]:
        cpu, wall = time.process_time() - self.cpu, time.monotonic() - self.wall
        return {"cpu": round(cpu, 1), "wall": round(wall, 1)}


def classifier_for(options: argparse.Namespace, callbacks: list[Callback]) -> IsometricClassifier:
    chosen = {"max_epochs": options.epochs} if options.epochs else {}
    classifier = preset(
        "images_certified", random_state=options.seed, callbacks=callbacks, **chosen
    )
    return classifier.set_params(penalty__radius=options.radius, mixed_precision=options.mixed)


def go_on(
    classifier: IsometricClassifier, options: argparse.Namespace, log: Log
) -> IsometricClassifier:
    """Return the classifier, ready for its second fit."""
    log.path.unlink(missing_ok=True)
    callbacks: list[Callback] = [log]
    if options.shift:
        callbacks.append(RandomShifts(n_pixels=options.shift, random_state=options.seed + 1))
    return classifier.set_params(
        warm_start=True, callbacks=callbacks, max_epochs=options.second_epochs,
        penalty__radius=options.second, penalty__warmup=0.0, **SECOND,
    )  # fmt: skip


def cost_of(path: Path) -> dict[str, float]:
    last = json.loads(path.read_text().splitlines()[-1])
    return {name: last[name] for name in ("cpu", "wall")}


def measure(classifier: IsometricClassifier, X: np.ndarray, y: np.ndarray, eps: float) -> dict:
    threat = ThreatModel("linf", bounds=(0, 1))
    clean, intervals = by_intervals(classifier.net_.module_, X, y, eps)
    attacked = adversarial_accuracy(
        classifier, X[:N_ATTACKED], y[:N_ATTACKED], eps=eps, threat=threat, random_state=0
    )
    certified = certified_accuracy(classifier, X, y, eps=eps, threat=threat)
    return {
        "clean": clean, "intervals": intervals, "certified": certified, "attacked": attacked,
        "n_test": len(X), "n_attacked": min(N_ATTACKED, len(X)),
    }  # fmt: skip


def keep(row: dict[str, Any]) -> None:
    with FileLock(FOLDER / "results.lock"):
        known = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
        rows = [
            old for old in known if any(old.get(name, False) != row[name] for name in CHOSEN)
        ] + [row]
        rows.sort(key=lambda found: [found.get(name, False) for name in CHOSEN])
        versions = {name: version(name) for name in PACKAGES}
        RESULTS.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eps", type=float, required=True)
    parser.add_argument("--epochs", type=int, help="default: that of the preset")
    parser.add_argument("--radius", type=float, help="default: 0.2 for 0.1, 0.38 for 0.3")
    parser.add_argument("--shift", type=int, default=0, help="pixels, in training")
    parser.add_argument("--second", type=float, default=0.0, help="radius of a second fit")
    parser.add_argument("--second-epochs", type=int, default=20)
    parser.add_argument("--mixed", action="store_true", help="products in bfloat16 in training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--quick", action="store_true", help="2,000 images, not saved")
    options = parser.parse_args()
    options.radius = options.radius or RADIUS[options.eps]
    return options


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    name = "-".join(str(getattr(options, key)) for key in CHOSEN)
    name += "-quick" if options.quick else ""
    paths = {kind: FOLDER / f"{name}.{kind}" for kind in ("checkpoint", "log", "model")}
    if not options.resume:
        for kind in ("checkpoint", "log"):
            paths[kind].unlink(missing_ok=True)

    X_train, X_test, y_train, y_test = load_mnist()
    held_out = X_train[-N_HELD_OUT:], y_train[-N_HELD_OUT:]
    X, y = X_train[:-N_HELD_OUT], y_train[:-N_HELD_OUT]
    if options.quick:
        X, y, X_test, y_test = X[:2000], y[:2000], X_test[:200], y_test[:200]
    log = Log(paths["log"], held_out, options.eps)
    callbacks = [log, Checkpoint(paths["checkpoint"], every=EVERY)]
    if options.shift:
        callbacks.append(RandomShifts(n_pixels=options.shift, random_state=options.seed))
    classifier = classifier_for(options, callbacks)
    settings = {
        "eps": options.eps, "radius": options.radius, "epochs": classifier.max_epochs,
        "shift": options.shift, "second": options.second,
        "second_epochs": options.second_epochs if options.second else 0,
        "mixed": options.mixed, "seed": options.seed, "threads": 1, "n_train": len(X),
    }  # fmt: skip
    print(json.dumps(settings), classifier, flush=True)
    if options.resume and paths["model"].exists():
        classifier = load(paths["model"])
    else:
        classifier.fit(X, y).set_params(callbacks=None).save(paths["model"])
    cost = cost_of(paths["log"])
    if options.second:
        second = paths["model"].with_suffix(f".{options.second}.log")
        go_on(classifier, options, Log(second, held_out, options.eps)).fit(X, y)
        classifier.set_params(callbacks=None).save(paths["model"].with_suffix(".second.model"))
        cost = {name: round(spent + cost_of(second)[name], 1) for name, spent in cost.items()}
    row = {**settings, **measure(classifier, X_test, y_test, options.eps), **cost}
    print(json.dumps(row), flush=True)
    if not options.quick:
        keep(row)


if __name__ == "__main__":
    main()
