"""A training for a given CPU time, which a killed process goes on with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from robustness.measures import accuracy, right_ones, under_all
from sklearn_iso import ThreatModel
from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso._training.acceleration import Acceleration, accelerated
from sklearn_iso._training.shifts import shifted
from sklearn_iso.attacks import PGD

LEARNING_RATE, BATCH_SIZE, DECAY = 1e-3, 128, 0.999
N_MEASURED, N_POINTS, N_COMPARED = 500, 20, 300
IMAGES = ImageLayout(channels=1, height=28, width=28)
#: Norms and sizes of perturbations.
Budgets = Sequence[tuple[str, float]]
#: From a network, a batch and the share of the time that is over to a loss.
Loss = Callable[[nn.Module, Tensor, Tensor, float], Tensor]
#: From training images, labels and random numbers to such a loss.
Method = Callable[[Tensor, Tensor, torch.Generator], Loss]


@dataclass(frozen=True)
class Plan:
    """What a run needs beside its data: held-out images are attacked within every budget."""

    method: Method
    budgets: Budgets
    seed: int
    seconds: float
    mixed_precision: bool


class Run:
    """One training: its network, and all that the next batch depends on."""

    def __init__(self, build: Callable[[], nn.Module], plan: Plan, X: Tensor, y: Tensor) -> None:
        torch.manual_seed(plan.seed)
        self.X, self.y, self.plan, self.spent = X, y, plan, 0.0
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.module = build().to(memory_format=torch.channels_last)
        self.mean = AveragedModel(self.module, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        self.acceleration = Acceleration(mixed_precision=plan.mixed_precision)
        self.loss = plan.method(X, y, self.generator)
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
            share = self.spent / self.plan.seconds
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
        """Add a line to the log, and keep the weights if PGD leaves the most of them so far."""
        module = self.mean.module.eval()
        few, labels = X[:N_MEASURED], y[:N_MEASURED]
        holds = torch.ones(len(few), dtype=torch.bool)
        found = {}
        for norm, eps in self.plan.budgets:
            attack, threat = PGD(n_steps=40), ThreatModel(norm, bounds=(0, 1))
            X_adv = attack(module, few, labels, eps=eps, threat=threat, random_state=0)
            right = right_ones(module, X_adv, labels)
            holds &= right
            found[f"held_out_{norm}"] = float(right.double().mean())
        robust = float(holds.double().mean())
        if robust > max((row["held_out_robust"] for row in self.log), default=-1.0):
            self.best = _copied(module)
        self.log.append({
            "seconds": round(self.spent, 1),
            "epochs": round(self.n_batches * BATCH_SIZE / len(self.X), 2),
            "held_out_clean": accuracy(module, X, y), "held_out_robust": robust,
            **(found if len(found) > 1 else {}),
        })  # fmt: skip

    def more_robust(self, X: Tensor, y: Tensor) -> tuple[nn.Module, dict[str, Any]]:
        """Return the last weights or those that PGD left the most of, and what chose between them.

        PGD misleads where a network hides its errors from it: the ensemble of attacks that ends in
        random search chooses, on other held-out images where there are enough.
        """
        few, labels = X[-N_COMPARED:], y[-N_COMPARED:]
        left = {
            name: under_all(self.with_weights(name), few, labels, *self.plan.budgets)
            for name in ("last", "most under PGD")
        }
        kept = max(left, key=left.__getitem__)
        return self.with_weights(kept), {"kept": kept, "held_out_ensemble": left}

    def with_weights(self, name: str) -> nn.Module:
        """Return the network with its "last" weights, or those that left the "most under PGD"."""
        weights = {"last": self.mean.module.state_dict(), "most under PGD": self.best}
        self.module.load_state_dict(weights[name])
        return self.module.eval().requires_grad_(False)

    def state(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(), "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state(),
            "global": torch.get_rng_state(), "best": self.best, "log": self.log,
            "spent": self.spent, "n_batches": self.n_batches,
        }  # fmt: skip

    def restore(self, checkpoint: Path) -> None:
        state = torch.load(checkpoint, weights_only=True)
        self.module.load_state_dict(state["module"])
        self.mean.load_state_dict(state["mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["global"])
        self.best, self.log = state["best"], state["log"]
        self.spent, self.n_batches = state["spent"], state["n_batches"]


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: v.clone() for name, v in module.state_dict().items()}


def checkpoint_of(path: Path) -> Path:
    return Path(f"{path}.checkpoint")


def trained(
    run: Run, held_out: tuple[Tensor, Tensor], path: Path, resume: bool, n_points: int
) -> tuple[nn.Module, dict[str, Any]]:
    """Train to the end, with a checkpoint at every measurement; return the more robust weights."""
    torch.set_flush_denormal(True)
    if resume and checkpoint_of(path).exists():
        run.restore(checkpoint_of(path))
    for point in range(len(run.log) + 1, n_points + 1):
        run.train_until(run.plan.seconds * point / n_points)
        run.measure(*held_out)
        print(path.name, json.dumps(run.log[-1]), flush=True)
        Path(f"{path}.log").write_text("".join(json.dumps(row) + "\n" for row in run.log))
        unfinished = Path(f"{path}.new")
        torch.save(run.state(), unfinished)
        unfinished.replace(checkpoint_of(path))
    return run.more_robust(*held_out)
