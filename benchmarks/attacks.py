"""How strong and how fast are the attacks beside those of foolbox, ART and AutoAttack?

Three MNIST networks of the same shape (256-128 ReLU): trained plainly, on PGD examples, and by
IsometricClassifier with its default penalty. The same shuffled test images, float32 and one
thread for all; times are CPU seconds of one run each, after a warm-up.

    SKLEARN_ISO_DATA=folder python benchmarks/attacks.py [--images 1000] [--quick]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import foolbox
import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from pyautoattack import AutoAttack
from torch import Tensor, nn

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.attacks import apgd, attack_ensemble, ddn, distances, fmn, get_norm, pgd
from sklearn_iso.datasets import load_mnist
from sklearn_iso.twins import as_torch

Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]
HIDDEN, BATCH_SIZE, LEARNING_RATE, EPOCHS, SEED = (256, 128), 256, 1e-3, 5, 0
CACHE = Path(__file__).parents[1] / "output" / "benchmark-networks"
BUDGETS = {"linf": 0.1, "l2": 1.0}
N_STEPS = 40
PACKAGES = ("torch", "foolbox", "adversarial-robustness-toolbox", "pyautoattack")
AUTOATTACK_NORMS = {"linf": "Linf", "l2": "L2"}


def network() -> nn.Sequential:
    first, second = HIDDEN
    return nn.Sequential(
        nn.Linear(784, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(),
        nn.Linear(second, 10),
    )  # fmt: skip


def plain_loop(
    model: nn.Module, X: Tensor, y: Tensor, eps: float, norm: str, n_steps: int = 40
) -> Tensor:
    """The textbook's attack as people write it: constant steps, the whole batch throughout."""
    step = 2.5 * eps / n_steps
    start = torch.rand_like(X) * 2 - 1
    X_adv = X + eps * (start if norm == "linf" else start / start.norm(dim=1, keepdim=True))
    X_adv = X_adv.clamp(0, 1)
    for _ in range(n_steps):
        X_adv.requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(X_adv), y), X_adv)
        with torch.no_grad():
            if norm == "linf":
                X_adv = (X_adv + step * gradient.sign()).clamp(X - eps, X + eps)
            else:
                moved = X_adv + step * nn.functional.normalize(gradient) - X
                X_adv = X + moved * (eps / moved.norm(dim=1, keepdim=True)).clamp(max=1)
            X_adv = X_adv.clamp(0, 1)
    return X_adv


def train(X: Tensor, y: Tensor, adversarial: bool) -> nn.Module:
    torch.manual_seed(SEED)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(X)).split(BATCH_SIZE):
            points = X[rows]
            if adversarial:
                points = plain_loop(model, points, y[rows], 0.1, "linf", n_steps=3)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(points), y[rows]).backward()
            optimizer.step()
    return model


def isometric(X: Tensor, y: Tensor) -> nn.Module:
    estimator = IsometricClassifier(
        hidden_layer_sizes=HIDDEN, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
        max_epochs=EPOCHS, random_state=SEED,
    ).fit(X.numpy(), y.numpy())  # fmt: skip
    return as_torch(estimator)


def cached(name: str, make: Callable[[], nn.Module]) -> nn.Module:
    path = CACHE / f"{name}-{EPOCHS}-{SEED}.pt"
    if path.exists():
        model = network()
        model.load_state_dict(torch.load(path, weights_only=True))
        return model
    CACHE.mkdir(parents=True, exist_ok=True)
    model = make()
    torch.save(model.state_dict(), path)
    return model


def networks(X: Tensor, y: Tensor) -> dict[str, nn.Module]:
    """All three; the estimator's is trained anew each time, as its code is what may change."""
    return {
        "plain": cached("plain", lambda: train(X, y, adversarial=False)).eval(),
        "PGD-trained": cached("PGD-trained", lambda: train(X, y, adversarial=True)).eval(),
        "isometric": isometric(X, y).eval(),
    }


def foolbox_attack(attack: Any, eps: float | None) -> Attack:
    def run(model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        _, X_adv, _ = attack(wrapped, X, y, epsilons=eps)
        return X_adv

    return run


def art_pgd(eps: float, norm: str) -> Attack:
    def run(model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        classifier = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), input_shape=(784,), nb_classes=10, clip_values=(0, 1),
            device_type="cpu",
        )  # fmt: skip
        order = np.inf if norm == "linf" else 2
        attack = ProjectedGradientDescent(
            classifier, norm=order, eps=eps, eps_step=2.5 * eps / N_STEPS, max_iter=N_STEPS,
            num_random_init=1, batch_size=len(X), verbose=False,
        )  # fmt: skip
        return torch.from_numpy(attack.generate(X.numpy(), y.numpy()))

    return run


def autoattack(eps: float, norm: str) -> Attack:
    def run(model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        # Its square attack takes images only.
        on_images = nn.Sequential(nn.Flatten(), model).eval()
        attack = AutoAttack(on_images, eps=eps, norm=AUTOATTACK_NORMS[norm], seed=SEED)
        with contextlib.redirect_stdout(io.StringIO()):
            found, *_ = attack.run_standard_evaluation(X.view(-1, 1, 28, 28), y, batch_size=len(X))
        return found.reshape(len(X), -1)

    return run


def fixed_budget(eps: float, norm: str) -> dict[str, Attack]:
    """Every attack of one budget, ours first."""
    kinds = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
    theirs = kinds[norm](steps=N_STEPS, rel_stepsize=2.5 / N_STEPS)
    threat = ThreatModel(norm, bounds=(0, 1))
    ours: dict[str, Any] = {"eps": eps, "threat": threat, "random_state": SEED}
    return {
        "ours: pgd-40": lambda model, X, y: pgd(model, X, y, n_steps=N_STEPS, **ours),
        "ours: apgd-100": lambda model, X, y: apgd(model, X, y, loss="margin", **ours),
        "ours: cascade": lambda model, X, y: attack_ensemble(model, X, y, **ours),
        "plain loop: pgd-40": lambda model, X, y: plain_loop(model, X, y, eps, norm, N_STEPS),
        "foolbox: pgd-40": foolbox_attack(theirs, eps),
        "ART: pgd-40": art_pgd(eps, norm),
        "AutoAttack: standard": autoattack(eps, norm),
    }


def minimum_norm() -> dict[str, tuple[str, Attack]]:
    """Every minimum-norm attack and its norm, all of 100 steps in all."""
    box = {norm: {"threat": ThreatModel(norm, bounds=(0, 1))} for norm in ("l2", "linf")}
    theirs = foolbox.attacks
    return {
        "ours: ddn": ("l2", lambda model, X, y: ddn(model, X, y, **box["l2"])),
        "ours: fmn l2": ("l2", lambda model, X, y: fmn(model, X, y, **box["l2"])),
        "foolbox: ddn": ("l2", foolbox_attack(theirs.DDNAttack(steps=100), None)),
        "ours: fmn linf": ("linf", lambda model, X, y: fmn(model, X, y, **box["linf"])),
        "foolbox: fmn linf": ("linf", foolbox_attack(theirs.LInfFMNAttack(steps=100), None)),
    }


def timed(attack: Attack, model: nn.Module, X: Tensor, y: Tensor) -> tuple[Tensor, float]:
    attack(model, X[:20], y[:20])  # warm up
    torch.manual_seed(SEED)  # the peers draw from the global generators
    np.random.seed(SEED)
    start = time.process_time()
    X_adv = attack(model, X, y).detach()
    return X_adv, time.process_time() - start


@torch.no_grad()
def robust_accuracy(
    model: nn.Module, X: Tensor, y: Tensor, X_adv: Tensor, eps: float, norm: str
) -> float:
    """Share of rows never misclassified within the budget; a point outside of it breaks nobody."""
    size = get_norm(norm).size(X_adv - X)
    valid = (size <= eps * (1 + 1e-4)) & (X_adv >= 0).all(dim=1) & (X_adv <= 1).all(dim=1)
    wrong = (model(X_adv).argmax(dim=1) != y) & valid
    clean_error = model(X).argmax(dim=1) != y
    return 1 - float((wrong | clean_error).double().mean())


def measure(models: dict[str, nn.Module], X: Tensor, y: Tensor) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def note(**row: Any) -> None:
        rows.append(row)
        figures = [f"{value:.4f}" for value in row.values() if isinstance(value, float)]
        print(f"{row['network']:12} {row['norm']:5} {row['attack']:22} {'  '.join(figures)}",
              flush=True)  # fmt: skip

    for name, model in models.items():
        for norm, eps in BUDGETS.items():
            for label, attack in fixed_budget(eps, norm).items():
                X_adv, seconds = timed(attack, model, X, y)
                accuracy = robust_accuracy(model, X, y, X_adv, eps, norm)
                note(network=name, norm=norm, attack=label, accuracy=accuracy, seconds=seconds)
        for label, (norm, attack) in minimum_norm().items():
            X_adv, seconds = timed(attack, model, X, y)
            found = distances(model, X, y, X_adv, threat=norm)
            note(network=name, norm=norm, attack=label, median=float(found.median()),
                 seconds=seconds)  # fmt: skip
    return rows


def lines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Whether each promise is kept."""
    table = {(row["network"], row["norm"], row["attack"]): row for row in rows}
    peers = ("plain loop: pgd-40", "foolbox: pgd-40", "ART: pgd-40")
    found: list[dict[str, Any]] = []

    def check(network: str, norm: str, what: str, value: float, limit: float, most: bool) -> None:
        met = value <= limit + 1e-9 if most else value >= limit
        found.append({"network": network, "norm": norm, "what": what, "value": round(value, 4),
                      "line": f"{'<=' if most else '>='} {limit}", "met": met})  # fmt: skip

    for network, norm in dict.fromkeys((row["network"], row["norm"]) for row in rows):
        of = {attack: row for (n, p, attack), row in table.items() if (n, p) == (network, norm)}
        ours, reference = of["ours: cascade"], of["AutoAttack: standard"]
        gap = ours["accuracy"] - reference["accuracy"]
        check(network, norm, "cascade's accuracy beyond AutoAttack's", gap, 0.003, True)
        ratio = reference["seconds"] / ours["seconds"]
        check(network, norm, "AutoAttack's time over cascade's", ratio, 5, False)
        best = min(of[peer]["accuracy"] for peer in peers)
        gap = of["ours: pgd-40"]["accuracy"] - best
        check(network, norm, "pgd-40's accuracy beyond the best peer's", gap, 0.003, True)
        if network == "plain":
            fastest = min(of[peer]["seconds"] for peer in peers)
            ratio = fastest / of["ours: pgd-40"]["seconds"]
            check(network, norm, "fastest peer's time over pgd-40's", ratio, 3, False)
        if norm == "l2":
            ratio = of["ours: ddn"]["median"] / of["foolbox: ddn"]["median"]
            check(network, norm, "ddn's median distance over foolbox's", ratio, 1.0, True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="50 images, nothing saved")
    options = parser.parse_args()
    n_images = 50 if options.quick else options.images
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    X_train, X_test, y_train, y_test = load_mnist()
    shuffled = np.random.default_rng(SEED).permutation(len(X_test))[:n_images]
    X, y = torch.from_numpy(X_test[shuffled]).float(), torch.from_numpy(y_test[shuffled]).long()
    settings: dict[str, Any] = {
        "images": n_images, "seed": SEED, "hidden_layer_sizes": HIDDEN, "epochs": EPOCHS,
        "budgets": BUDGETS, "bounds": [0, 1], "dtype": "float32", "threads": 1,
        "versions": {name: version(name) for name in PACKAGES},
    }  # fmt: skip
    print(json.dumps(settings), flush=True)
    models = networks(torch.from_numpy(X_train).float(), torch.from_numpy(y_train).long())
    rows = measure(models, X, y)
    checked = lines(rows)
    for row in checked:
        print(f"{row['network']:12} {row['norm']:5} {row['what']:42} {row['value']:8.4f}  "
              f"line {row['line']:9} {'met' if row['met'] else 'NOT MET'}")  # fmt: skip
    if not options.quick:
        path = Path(__file__).with_suffix(".json")
        results = {"settings": settings, "attacks": rows, "lines": checked}
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"saved {path}")


if __name__ == "__main__":
    main()
