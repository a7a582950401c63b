"""How robust does the network of TRADES become on MNIST in the same time, by three trainings?

`SmallCNN` at an L-infinity budget of 0.3, trained for the same CPU seconds by the penalty of the
preset "images_large_budgets", by PGD training and by TRADES (beta 6), whose balls grow over the
first 30% of the time. Ours looks for its pairs from other starts than the preset, by five steps,
and up to a radius of 0.36, which it reaches in 15% of the time. All else is shared: Adam
at 1e-3, falling linearly to 0 with the time, batches of 128, images that are shifted by up to one
pixel at random, products in bfloat16, and an exponential mean of the weights, which is what is
measured. The last 5,000 training images are held out: every twentieth of the time PGD measures the
first of them and a line is added to the log. Of the last weights and those that PGD left the most
of, the package's ensemble, ending in random search with patches, chooses on others of them; rows
without "kept" are of the latter. Test images are attacked once, at the end, in float32, by
AutoAttack if pyautoattack is installed, and else by the ensemble. Time is that of training alone.
With --confirm nothing is trained: the ensemble that chooses attacks the same test images of runs
that have a row and a checkpoint, and the row keeps as "ensemble" what it leaves.
More run where they are named: PGD training with our radius and warm-up, and ours up to 0.42, within
0.32 from random directions, or searching as the preset does, from which this network learns to hide
its errors. A killed run goes on with --resume from its last measurement.

With --union the budgets are 0.3 in L-infinity and 2.0 in L2, and a sample counts that holds in
both. Ours draws for each batch one of the penalties of the presets "images_large_budgets", found as
above, and "images_l2", whose ascent starts in wider balls; peers are PGD training in a ball that is
drawn likewise, and MSD. By name, the second is found as its preset does, or as the first.

A step allocates some hundred megabytes; on Linux huge pages save time, and were on for the rows of
the JSON: THP_MEM_ALLOC_ENABLE=1, MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ at
2000000000 and 4000000000, GLIBC_TUNABLES=glibc.malloc.hugetlb=1.

    SKLEARN_ISO_DATA=folder python benchmarks/trades_mnist.py --minutes 60 [--methods NAME ...]
        [--union] [--seed 0] [--images 1000] [--threads 1] [--float32] [--resume] [--quick]
        [--confirm]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from robustness.long_run import (
    BATCH_SIZE,
    DECAY,
    LEARNING_RATE,
    N_POINTS,
    Loss,
    Method,
    Plan,
    Run,
    checkpoint_of,
    trained,
)
from robustness.measures import (
    accuracy,
    autoattack_examples,
    ensemble_examples,
    right_ones,
    under_all,
)
from robustness.peers import AdversarialTraining, Ball, EitherNorm, SteepestOfNorms, Trades
from torch import Tensor, nn

from sklearn_iso import preset
from sklearn_iso._training import Objective
from sklearn_iso.datasets import load_mnist
from sklearn_iso.modules import SmallCNN
from sklearn_iso.penalties import Penalty

FOLDER = Path(__file__).parents[1] / "output" / "trades-mnist"
RESULTS = Path(__file__).with_suffix(".json")
LINF, L2 = ("linf", 0.3), ("l2", 2.0)
BETA, N_STEPS, WARMUP, N_HELD_OUT = 6.0, 10, 0.3, 5_000
PACKAGES = ("torch", "scikit-learn", "numpy")
#: What tells a run from others.
SAME = ("union", "method", "minutes", "seed")


#: How worst pairs are looked for: from uniform points and patches five steps find what this network
#: learns, within ten epochs, to hide from the preset's starts and seven steps.
SEARCH = {"start": ("uniform", "patches"), "n_steps": 5, "step_size": 0.4, "warmup": 0.15}
#: The search of each of our rows, and its largest radius over that of the preset: chosen on
#: held-out images.
OURS: dict[str, dict[str, Any]] = {
    "isometric": {**SEARCH, "radius_factor": 1.125},
    "isometric, radius 0.42": {**SEARCH, "radius_factor": 1.3125},
    "isometric, random directions": {"start": "random", "n_steps": N_STEPS, "step_size": 0.25},
    "isometric, the preset's search": {},
}  # fmt: skip
#: The search of the pairs in L2 beside them. A network that is robust in L-infinity is flat for
#: short moves of many pixels, so the ascent starts in wider balls; that of the preset "images_l2"
#: and that of the pairs above find less of what the network learned to hide.
OURS_L2: dict[str, dict[str, Any]] = {
    "isometric": {
        "start": ("uniform", "patches"), "n_steps": 8, "step_size": 0.8, "first_radius": 4.0,
    },
    "isometric, L2 by the preset's search": {},
    "isometric, L2 from uniform points": OURS["isometric"],
}  # fmt: skip
#: A peer with the radius and the warm-up of ours.
WIDE_PGD: dict[str, dict[str, Any]] = {"PGD training, radius 0.36": {"warmup": 0.15}}


def isometric(*searches: tuple[str, dict[str, Any]]) -> Method:
    """The objective of one preset or another, drawn for each batch, and how it looks for pairs."""

    def of_data(X: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        few = X[:BATCH_SIZE], y[:BATCH_SIZE]
        objectives = [_objective(name, few, **search) for name, search in searches]

        def loss(module: nn.Module, X: Tensor, y: Tensor, share: float) -> Tensor:
            at = 0 if len(objectives) == 1 else _drawn(len(objectives), generator)
            options = {"generator": generator, "progress": share}
            return objectives[at](module, X, y, torch.ones(len(X)), **options).total

        return loss

    return of_data


def _objective(
    name: str, few: tuple[Tensor, Tensor], radius_factor: float = 1.0, **search: Any
) -> Objective:
    chosen: Any = preset(name)
    penalty: Penalty = chosen.penalty
    radius = radius_factor * float(penalty.get_params()["radius"])
    penalty.set_params(**search, radius=radius).calibrate(*few)
    return Objective(penalty, chosen.alpha, chosen.layers)


def _drawn(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (), generator=generator))


def peer(make: Callable[..., Any], *budgets: tuple[str, float], warmup: float = WARMUP) -> Method:
    """The loss of a peer, in balls that grow to their full size."""

    def of_data(X: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        def loss(module: nn.Module, X: Tensor, y: Tensor, share: float) -> Tensor:
            size = min(1.0, share / warmup + 0.01)
            balls = tuple(Ball(norm, size * eps, N_STEPS) for norm, eps in budgets)
            found: Tensor = make(balls if len(balls) > 1 else balls[0])(module, X, y)
            return found

        return loss

    return of_data


METHODS: dict[str, Method] = {
    **{name: isometric(("images_large_budgets", own)) for name, own in OURS.items()},
    "PGD training": peer(AdversarialTraining, LINF),
    "TRADES": peer(partial(Trades, strength=BETA), LINF),
    **{name: peer(AdversarialTraining, ("linf", 0.36), **own) for name, own in WIDE_PGD.items()},
}
UNION: dict[str, Method] = {
    **{
        name: isometric(("images_large_budgets", OURS["isometric"]), ("images_l2", own))
        for name, own in OURS_L2.items()
    },
    "PGD training": peer(EitherNorm, LINF, L2),
    "MSD": peer(SteepestOfNorms, LINF, L2),
}
#: Others run only where they are named.
MAIN = ["isometric", "PGD training", "TRADES"]
MAIN_UNION = ["isometric", "PGD training", "MSD"]


def measured_on_test(
    module: nn.Module, X: Tensor, y: Tensor, budgets: list[tuple[str, float]]
) -> dict[str, Any]:
    known = find_spec("pyautoattack") is not None
    attack = autoattack_examples if known else ensemble_examples
    held = {
        f"robust {norm}": right_ones(module, attack(module, X, y, norm, eps), y)
        for norm, eps in budgets
    }
    every = torch.stack(list(held.values())).all(dim=0)
    return {
        "n_attacked": len(X),
        "attack": f"pyautoattack {version('pyautoattack')}" if known else "ensemble",
        "robust": float(every.double().mean()),
        **{name: float(one.double().mean()) for name, one in held.items() if len(held) > 1},
    }  # fmt: skip


def known_rows() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []


def is_same(row: dict[str, Any], run: dict[str, Any]) -> bool:
    return all(row[name] == run[name] for name in SAME)


def keep(row: dict[str, Any]) -> None:
    """Put a row in place of that of the same run."""
    with FileLock(FOLDER / "results.lock"):
        rows = [old for old in known_rows() if not is_same(old, row)] + [row]
        rows.sort(key=lambda found: [found[name] for name in SAME])
        versions = {name: version(name) for name in PACKAGES}
        RESULTS.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


def confirm(run: Run, settings: dict[str, Any], checkpoint: Path, X: Tensor, y: Tensor) -> None:
    """Attack the test images of a row by the ensemble, and keep what it leaves."""
    rows = [row for row in known_rows() if is_same(row, settings) and "kept" in row]
    if not rows or not checkpoint.exists():
        raise SystemExit(
            f"--confirm takes a row that says which weights were kept, and {checkpoint}; got "
            f"{len(rows)} rows of {settings['method']!r}. Run it without --confirm before."
        )
    (row,) = rows
    run.restore(checkpoint)
    module, few = run.with_weights(row["kept"]), row["n_attacked"]
    left = under_all(module, X[:few], y[:few], *run.plan.budgets)
    print(json.dumps({"method": row["method"], "robust": row["robust"], "ensemble": left}))
    keep(row | {"ensemble": left})


def _own(name: str, union: bool) -> dict[str, Any]:
    """The settings of a method that are not those of all."""
    if not union:
        return (OURS | WIDE_PGD).get(name, {})
    return {"linf": OURS["isometric"], "l2": OURS_L2[name]} if name in OURS_L2 else {}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="CPU time of each training")
    parser.add_argument("--union", action="store_true", help="budgets of two norms at once")
    parser.add_argument("--methods", nargs="+", choices={**METHODS, **UNION})
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=1000, help="test images under attack")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="no products in bfloat16")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--confirm", action="store_true", help="attack once more, train nothing")
    parser.add_argument("--quick", action="store_true", help="5 seconds each, few images, not kept")
    options = parser.parse_args()
    options.methods = options.methods or (MAIN_UNION if options.union else MAIN)
    if options.quick:
        options.minutes, options.images = 1 / 12, 20
    return options


def path_of(method: str, options: argparse.Namespace) -> Path:
    name = f"{method.replace(' ', '-').replace(',', '')}-{options.minutes:g}-{options.seed}"
    return FOLDER / f"{'union-' * options.union}{name}{'-quick' * options.quick}"


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
    budgets = [LINF, L2] if options.union else [LINF]
    settings = {
        "union": options.union, "budgets": budgets, "minutes": options.minutes,
        "seed": options.seed, "threads": options.threads, "beta": BETA, "n_steps": N_STEPS,
        "warmup": WARMUP, "learning_rate": LEARNING_RATE, "batch_size": BATCH_SIZE,
        "decay": DECAY, "bfloat16": not options.float32, "n_train": len(X),
        "n_held_out": len(held_out[0]),
    }  # fmt: skip
    print(json.dumps(settings), flush=True)
    methods = UNION if options.union else METHODS
    for name in options.methods:
        plan = Plan(methods[name], budgets, options.seed, 60 * options.minutes, not options.float32)
        run = Run(partial(SmallCNN, 784, 10), plan, X, y)
        if options.confirm:
            checkpoint = checkpoint_of(path_of(name, options))
            confirm(run, settings | {"method": name}, checkpoint, X_test, y_test)
            continue
        n_points = 2 if options.quick else N_POINTS
        module, chosen = trained(run, held_out, path_of(name, options), options.resume, n_points)
        few = X_test[: options.images], y_test[: options.images]
        test = {"clean": accuracy(module, X_test, y_test), "n_test": len(X_test)}
        row = {"method": name, **settings, **_own(name, options.union), **chosen, **test}
        row |= {**measured_on_test(module, *few, budgets), "log": run.log}
        print(json.dumps(row), flush=True)
        if not options.quick:
            keep(row)


if __name__ == "__main__":
    main()
