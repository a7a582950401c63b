"""How robust does the network of TRADES become on MNIST in the same time, by three trainings?

`SmallCNN` at an L-infinity budget of 0.3, trained for the same CPU seconds by the penalty of the
preset "images_large_budgets", by PGD training and by TRADES (beta 6), whose balls grow over the
first 30% of the time. All else is shared: Adam at 1e-3, falling linearly to 0 with the time,
batches of 128, images that are shifted by up to one pixel at random, products in bfloat16, and
an exponential mean of the weights, which is what is measured. The last 5,000 training images are
held out: every twentieth of the time an attack measures the first of them, a line is added to the
log, and the most robust weights are kept. Test images are attacked once, at the end, in float32,
by AutoAttack if pyautoattack is installed, and else by the package's ensemble. Time is that of
training alone. A killed run goes on with --resume from its last measurement.

    SKLEARN_ISO_DATA=folder python benchmarks/trades_mnist.py --minutes 60 [--methods NAME ...]
        [--seed 0] [--images 1000] [--threads 1] [--float32] [--resume] [--quick]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from robustness.measures import accuracy, under_autoattack, under_ensemble
from robustness.peers import AdversarialTraining, Ball, Trades
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sklearn_iso import ThreatModel, preset
from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso._training import Objective
from sklearn_iso._training.acceleration import Acceleration, accelerated
from sklearn_iso._training.shifts import shifted
from sklearn_iso.attacks import PGD
from sklearn_iso.datasets import load_mnist
from sklearn_iso.modules import SmallCNN

FOLDER = Path(__file__).parents[1] / "output" / "trades-mnist"
RESULTS = Path(__file__).with_suffix(".json")
EPS, BETA, N_STEPS, WARMUP = 0.3, 6.0, 10, 0.3
LEARNING_RATE, BATCH_SIZE, DECAY = 1e-3, 128, 0.999
N_HELD_OUT, N_MEASURED, N_POINTS = 5_000, 500, 20
PACKAGES = ("torch", "scikit-learn", "numpy")
#: From a network, a batch and the share of the time that is over to a loss.
IMAGES = ImageLayout(channels=1, height=28, width=28)
Loss = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


def isometric(X: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
    """The objective of the preset, whose warm-up is that of its penalty."""
    chosen = preset("images_large_budgets")
    penalty = chosen.penalty.calibrate(X[:BATCH_SIZE], y[:BATCH_SIZE])
    objective = Objective(penalty, chosen.alpha, chosen.layers)

    def loss(module: nn.Module, X: Tensor, y: Tensor, share: float) -> Tensor:
        options = {"generator": generator, "progress": share}
        return objective(module, X, y, torch.ones(len(X)), **options).total

    return loss


def peer(make: Callable[[Ball], Any]) -> Callable[..., Loss]:
    """The loss of a peer, in a ball that grows to its full size."""

    def of_data(X: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        def loss(module: nn.Module, X: Tensor, y: Tensor, share: float) -> Tensor:
            ball = replace(Ball("linf", EPS, N_STEPS), eps=EPS * min(1.0, share / WARMUP + 0.01))
            found: Tensor = make(ball)(module, X, y)
            return found

        return loss

    return of_data


METHODS: dict[str, Callable[..., Loss]] = {
    "isometric": isometric,
    "PGD training": peer(AdversarialTraining),
    "TRADES": peer(lambda ball: Trades(ball, BETA)),
}


class Run:
    """One training: its network, and all that the next batch depends on."""

    def __init__(
        self, method: str, seed: int, seconds: float, X: Tensor, y: Tensor, mixed: bool
    ) -> None:
        torch.manual_seed(seed)
        self.X, self.y, self.seconds, self.spent = X, y, seconds, 0.0
        self.generator = torch.Generator().manual_seed(seed)
        self.module = SmallCNN(784, 10).to(memory_format=torch.channels_last)
        self.mean = AveragedModel(self.module, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        self.acceleration = Acceleration(mixed_precision=mixed)
        self.loss = METHODS[method](X, y, self.generator)
        self.optimizer = torch.optim.Adam(self.module.parameters(), LEARNING_RATE, fused=True)
        self.log: list[dict[str, float]] = []
        self.best = _copied(self.mean.module)
        self.n_batches = 0

    def train_until(self, seconds: float) -> None:
        """Train until so many CPU seconds are spent."""
        self.module.train()
        start = time.process_time() - self.spent
        with accelerated(self.module, self.acceleration, "cpu"):
            while self.spent < seconds:
                self._train_epoch(start, seconds)

    def _train_epoch(self, start: float, seconds: float) -> None:
        for index in torch.randperm(len(self.X), generator=self.generator).split(BATCH_SIZE):
            share = self.spent / self.seconds
            self.optimizer.param_groups[0]["lr"] = LEARNING_RATE * max(1 - share, 0.0)
            moves = torch.randint(-1, 2, (len(index), 2), generator=self.generator)
            images = shifted(self.X[index], IMAGES, moves, fill=0.0)
            self.optimizer.zero_grad()
            self.loss(self.module, images, self.y[index], share).backward()
            self.optimizer.step()
            self.mean.update_parameters(self.module)
            self.n_batches += 1
            self.spent = time.process_time() - start
            if self.spent >= seconds:
                break

    def measure(self, X: Tensor, y: Tensor) -> None:
        """Add a line to the log, and keep the weights if they are the most robust so far."""
        module, threat = self.mean.module.eval(), ThreatModel("linf", bounds=(0, 1))
        X_adv = PGD(n_steps=40)(
            module, X[:N_MEASURED], y[:N_MEASURED], eps=EPS, threat=threat, random_state=0
        )
        robust = accuracy(module, X_adv, y[:N_MEASURED])
        if robust > max((row["held_out_robust"] for row in self.log), default=-1.0):
            self.best = _copied(module)
        self.log.append({
            "seconds": round(self.spent, 1), "epochs": self.n_batches * BATCH_SIZE / len(self.X),
            "held_out_clean": accuracy(module, X, y), "held_out_robust": robust,
        })  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(), "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state(),
            "global": torch.get_rng_state(), "best": self.best, "log": self.log,
            "spent": self.spent, "n_batches": self.n_batches,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.mean.load_state_dict(state["mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["global"])
        self.best, self.log = state["best"], state["log"]
        self.spent, self.n_batches = state["spent"], state["n_batches"]


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: v.clone() for name, v in module.state_dict().items()}


def trained(
    run: Run, held_out: tuple[Tensor, Tensor], path: Path, resume: bool, n_points: int
) -> nn.Module:
    """Train to the end, with a checkpoint at every measurement; return the most robust network."""
    torch.set_flush_denormal(True)
    if resume and Path(f"{path}.checkpoint").exists():
        run.restore(torch.load(Path(f"{path}.checkpoint"), weights_only=True))
    for point in range(len(run.log) + 1, n_points + 1):
        run.train_until(run.seconds * point / n_points)
        run.measure(*held_out)
        print(path.name, json.dumps(run.log[-1]), flush=True)
        Path(f"{path}.log").write_text("".join(json.dumps(row) + "\n" for row in run.log))
        unfinished = Path(f"{path}.new")
        torch.save(run.state(), unfinished)
        unfinished.replace(Path(f"{path}.checkpoint"))
    run.module.load_state_dict(run.best)
    return run.module.eval().requires_grad_(False)


def measured_on_test(module: nn.Module, X: Tensor, y: Tensor, n_images: int) -> dict[str, Any]:
    known = find_spec("pyautoattack") is not None
    attack = under_autoattack if known else under_ensemble
    return {
        "clean": accuracy(module, X, y), "n_test": len(X), "n_attacked": len(X[:n_images]),
        "attack": f"pyautoattack {version('pyautoattack')}" if known else "ensemble",
        "robust": attack(module, X[:n_images], y[:n_images], "linf", EPS),
    }  # fmt: skip


def keep(row: dict[str, Any]) -> None:
    """Put a row in place of that of the same run."""
    same = ("method", "minutes", "seed")
    with FileLock(FOLDER / "results.lock"):
        known = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
        rows = [old for old in known if any(old[name] != row[name] for name in same)] + [row]
        rows.sort(key=lambda found: [found[name] for name in same])
        versions = {name: version(name) for name in PACKAGES}
        RESULTS.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="CPU time of each training")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=1000, help="test images under attack")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="no products in bfloat16")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--quick", action="store_true", help="5 seconds each, few images, not kept")
    options = parser.parse_args()
    if options.quick:
        options.minutes, options.images = 1 / 12, 20
    return options


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = load_mnist()
    X_train, X_test = (torch.from_numpy(X.astype(np.float32)) for X in data[:2])
    y_train, y_test = (torch.from_numpy(y).long() for y in data[2:])
    held_out = X_train[-N_HELD_OUT:], y_train[-N_HELD_OUT:]
    X, y = X_train[:-N_HELD_OUT], y_train[:-N_HELD_OUT]
    if options.quick:
        held_out, X_test, y_test = (held_out[0][:50], held_out[1][:50]), X_test[:200], y_test[:200]
    settings = {
        "minutes": options.minutes, "seed": options.seed, "threads": options.threads, "eps": EPS,
        "beta": BETA, "n_steps": N_STEPS, "warmup": WARMUP, "learning_rate": LEARNING_RATE,
        "batch_size": BATCH_SIZE, "decay": DECAY, "bfloat16": not options.float32,
        "n_train": len(X), "n_held_out": len(held_out[0]),
    }  # fmt: skip
    print(json.dumps(settings), flush=True)
    for method in options.methods:
        name = f"{method.replace(' ', '-')}-{options.minutes:g}-{options.seed}"
        path = FOLDER / f"{name}{'-quick' if options.quick else ''}"
        run = Run(method, options.seed, 60 * options.minutes, X, y, mixed=not options.float32)
        module = trained(run, held_out, path, options.resume, 2 if options.quick else N_POINTS)
        test = measured_on_test(module, X_test, y_test, options.images)
        row = {"method": method, **settings, **test, "log": run.log}
        print(json.dumps(row), flush=True)
        if not options.quick:
            keep(row)


if __name__ == "__main__":
    main()
