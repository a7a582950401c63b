"""Do the attacks find the errors of networks that lead attacks astray?

Five small networks on MNIST that seem more robust than they are, see robustness/deceptive.py, each
under one budget: what PGD with the cross-entropy leaves, what the attack ensemble leaves, which
knows that samples are images and chooses by itself whether a random search follows, also of the
same network with logits times 1000, and which share of the images `adversarial_distance` finds no
error of within the budget. Where pyautoattack is installed, AutoAttack (standard: its four
attacks, nine targets) then attacks the images that the ensemble left, so that the gap is at least
that to AutoAttack alone. With --attackbench, where attackbenchlib is installed, the minimum-norm
attacks of the package and of adversarial-library run through its public interface. Times are CPU
seconds of one thread.

    SKLEARN_ISO_DATA=folder python benchmarks/misleading.py [--images 200] [--networks NAME ...]
        [--queries 5000] [--attackbench IMAGES]

With --queries the ensemble runs once more, with so many queries of random search in any case.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from robustness.attackbench import through_attackbench
from robustness.deceptive import N_IMAGES, NETWORKS, SEED, network
from torch import Tensor, nn

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import (
    PGD,
    STAGES,
    AttackEnsemble,
    MinimumNormEnsemble,
    distances,
)  # fmt: skip
from sklearn_iso.datasets import load_mnist

NETWORKS_FOLDER = Path(__file__).parents[1] / "output" / "misleading"
RESULTS = Path(__file__).with_suffix(".json")
LINE, IMAGE = 0.01, (28, 28)
PACKAGES = ("torch", "pyautoattack")


@torch.no_grad()
def right(model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
    return model(X).argmax(dim=1) == y


def share(mask: Tensor) -> float:
    return round(float(mask.double().mean()), 4)


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    found = run()
    return found, round(time.process_time() - start, 1)


def by_ours(model: nn.Module, X: Tensor, y: Tensor, norm: str, eps: float) -> dict[str, Any]:
    """What PGD, the attack ensemble and the search of distances leave, and who broke the rest."""
    within: dict[str, Any] = {
        "eps": eps, "threat": ThreatModel(norm, bounds=(0, 1)), "random_state": SEED
    }  # fmt: skip
    row: dict[str, Any] = {"clean": share(right(model, X, y))}
    X_adv, row["pgd_seconds"] = timed(lambda: PGD(n_steps=40)(model, X, y, **within))
    row["pgd"] = share(right(model, X_adv, y))
    attack = AttackEnsemble(image_shape=IMAGE)
    (X_adv, stage), row["seconds"] = timed(lambda: attack.with_stages(model, X, y, **within))
    order = np.inf if norm == "linf" else 2
    if (X_adv - X).norm(p=order, dim=1).max() > eps * (1 + 1e-5):
        raise AssertionError("the attack ensemble left its budget")
    row["left"] = share(right(model, X_adv, y))
    row["broken_by"] = {
        name: int((stage == number).sum()) for number, name in enumerate(STAGES) if number
    }
    of_distance = {"threat": within["threat"], "random_state": SEED}
    X_adv, row["distance_seconds"] = timed(
        lambda: MinimumNormEnsemble()(model, X, y, **of_distance)
    )
    sizes = distances(model, X, y, X_adv, threat=within["threat"])
    row["median_distance"] = round(float(sizes.median()), 4)
    row["farther"] = share(sizes > eps)
    saturated, _ = attack.with_stages(lambda x: 1000 * model(x), X, y, **within)
    row["left_times_1000"] = share(right(model, saturated, y))
    return row | {"mask": stage < 0}


def by_autoattack(
    model: nn.Module, X: Tensor, y: Tensor, norm: str, eps: float
) -> tuple[int, float]:
    """How many samples AutoAttack breaks within the budget, and the CPU seconds."""
    from pyautoattack import AutoAttack

    if not len(X):
        return 0, 0.0
    images, kind = X.view(-1, 1, 28, 28), {"linf": "Linf", "l2": "L2"}[norm]
    attack = AutoAttack(nn.Sequential(nn.Flatten(), model).eval(), eps=eps, norm=kind, seed=SEED)
    with contextlib.redirect_stdout(io.StringIO()):
        (found, *_), seconds = timed(
            lambda: attack.run_standard_evaluation(images, y, batch_size=500)
        )
    found = found.flatten(1)
    sizes = (found - X).norm(p=np.inf if norm == "linf" else 2, dim=1)
    broken = ~right(model, found, y) & (sizes <= eps * (1 + 1e-4))
    return int(broken.sum()), seconds


def measure(name: str, model: nn.Module, X: Tensor, y: Tensor, queries: int = 0) -> dict[str, Any]:
    norm, eps = NETWORKS[name].norm, NETWORKS[name].eps
    row: dict[str, Any] = {"network": name, "norm": norm, "eps": eps, "images": len(X)}
    row |= by_ours(model, X, y, norm, eps)
    mask = row.pop("mask")
    if queries:
        attack = AttackEnsemble(n_queries=queries, image_shape=IMAGE)
        X_adv = attack(
            model, X, y, eps=eps, threat=ThreatModel(norm, bounds=(0, 1)), random_state=SEED
        )
        row |= {"queries": queries, "left_with_queries": share(right(model, X_adv, y))}
    if importlib.util.find_spec("pyautoattack"):
        broken, row["autoattack_seconds"] = by_autoattack(model, X[mask], y[mask], norm, eps)
        row["gap"] = round(broken / len(X), 4)
        row["met"] = row["gap"] <= LINE
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--queries", type=int, default=0, help="of random search, once more")
    parser.add_argument("--attackbench", type=int, default=0, help="images for attackbenchlib")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    X_train, X_test, y_train, y_test = load_mnist()
    data = torch.from_numpy(X_train).float(), torch.from_numpy(y_train).long()
    X, y = torch.from_numpy(X_test).float(), torch.from_numpy(y_test).long()
    settings = {
        "seed": SEED, "training_images": N_IMAGES, "bounds": [0, 1], "dtype": "float32",
        "threads": 1, "versions": {p: version(p) for p in PACKAGES if importlib.util.find_spec(p)},
    }  # fmt: skip
    print(json.dumps(settings), flush=True)
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows, benched = kept.get("rows", {}), kept.get("attackbench", {})
    for name in options.networks:
        model = network(name, *data, NETWORKS_FOLDER)
        if options.attackbench:
            few = X[: options.attackbench], y[: options.attackbench]
            benched[name] = through_attackbench(model, *few, NETWORKS[name].norm)
            print(name, json.dumps(benched[name]), flush=True)
        else:
            some = slice(options.images)
            rows[name] = measure(name, model, X[some], y[some], options.queries)
            print(json.dumps(rows[name]), flush=True)
        found = {"settings": settings, "rows": rows, "attackbench": benched}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
