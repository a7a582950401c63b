"""How do time and memory grow with the samples, the batch and the classes?

Ten blobs in 20 columns, float32, one thread. Each job runs at ever larger sizes until one call
takes more than the limit, and the exponent is the slope of log time over log size, by least
squares, where the constant cost of a call no longer shows: from 10,000 samples, batches of 256 and
16 classes on, and over the last three sizes at least. Times are CPU seconds, the least of three
calls where a call takes less than a second. Each job has a process of its own, so that its peak of
memory is its own too. Approximate neighbours are those of pynndescent, compiled before the clock
starts; where it is not installed, that job is skipped.

    python benchmarks/scale.py [--only NAME ...] [--limit 20] [--largest 1000000] [--quick]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso._training import Objective
from sklearn_iso.metrics import (
    adversarial_accuracy,
    certified_accuracy,
    continuity,
    isometry_distortion,
    robustness_report,
    trustworthiness,
)
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import (
    GeodesicIsometry,
    GlobalIsometry,
    Penalty,
    WithinClassIsometry,
    WorstCaseIsometry,
)

RESULTS = Path(__file__).with_suffix(".json")
SEED, EPS = 0, 0.5
BY_SAMPLES = [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000]
BY_BATCH = [64, 128, 256, 512, 1024, 2048, 4096]
BY_CLASSES = [2, 4, 8, 16, 32, 64, 128, 256]
PACKAGES = ("torch", "scikit-learn", "numpy")
APPROXIMATE = "fit a geodesic embedding, approximate neighbours"
#: What a job needs beyond the package.
NEEDS = {APPROXIMATE: "pynndescent"}
#: Of a size, makes what is timed: what comes before does not count.
Job = Callable[[int], Callable[[], object]]


def blobs(n: int, n_classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    X, y = make_blobs(n, 20, centers=n_classes, cluster_std=5.0, random_state=SEED)
    return X.astype(np.float32), y


def fitted() -> IsometricClassifier:
    X, y = blobs(5_000)
    return IsometricClassifier(alpha=1, max_epochs=5, random_state=SEED).fit(X, y)


def fit(**options: object) -> Job:
    def job(n: int) -> Callable[[], object]:
        model = IsometricClassifier(max_epochs=2, random_state=SEED, **options)
        return partial(model.fit, *blobs(n))

    return job


def fit_regressor(n: int) -> Callable[[], object]:
    X, _ = blobs(n)
    model = IsometricRegressor(alpha=0.3, max_epochs=2, random_state=SEED)
    return partial(model.fit, X, X[:, 0] * X[:, 1])


def embedding(penalty: object) -> Job:
    def job(n: int) -> Callable[[], object]:
        model = IsometricTransformer(penalty=penalty, max_epochs=2, random_state=SEED)
        return partial(model.fit, blobs(n)[0])

    return job


@cache
def approximate() -> GeodesicIsometry:
    from pynndescent import PyNNDescentTransformer

    # Of few trees it would miss many neighbours: see benchmarks/approximate_neighbours.py.
    neighbors = PyNNDescentTransformer(n_neighbors=10, n_trees=40, n_jobs=1, random_state=SEED)
    for n in (1_000, 20_000):  # compiles, for few samples and for many
        clone(neighbors).fit_transform(blobs(n)[0])
    return GeodesicIsometry(neighbors=neighbors)


def use(method: str) -> Job:
    return lambda n: partial(getattr(fitted(), method), blobs(n)[0])


def attacked(make: Callable[[], object]) -> Job:
    def job(n: int) -> Callable[[], object]:
        model, (X, y) = make().fit(*blobs(2_000)), blobs(n)
        return lambda: adversarial_accuracy(model, X, y, eps=EPS, random_state=SEED)

    return job


def of_ours(measure: Callable[..., object], **options: object) -> Job:
    def job(n: int) -> Callable[[], object]:
        model, (X, y) = fitted(), blobs(n)
        return lambda: measure(model, X, y, **options)

    return job


def of_pairs(measure: Callable[..., object], **options: object) -> Job:
    def job(n: int) -> Callable[[], object]:
        X, _ = blobs(n)
        return lambda: measure(X, X[:, :2], **options)

    return job


def distortion(n: int) -> Callable[[], object]:
    X, y = blobs(n)
    model = fitted()
    return lambda: isometry_distortion(X, model.transform(X), random_state=SEED)


def penalty_of(penalty: Penalty, size_is: str) -> Job:
    def job(size: int) -> Callable[[], object]:
        n, n_classes = (size, 10) if size_is == "batch" else (1024, size)
        X, y = (torch.from_numpy(part) for part in blobs(n, n_classes))
        y, weight = y.long(), torch.ones(n)
        module = MLP(20, n_classes, hidden_layer_sizes=(256, 128))
        objective = Objective(penalty.calibrate(X, y), 1.0, "hidden")
        generator = torch.Generator().manual_seed(SEED)

        def step() -> None:
            module.zero_grad()
            objective(module, X, y, weight, generator=generator).total.backward()

        return step

    return job


def jobs() -> dict[str, tuple[str, Job]]:
    """Return what the sizes of each job are, and the job."""
    all_samples = {
        "fit, alpha=0": fit(alpha=0),
        "fit, alpha=1": fit(alpha=1),
        'fit, alpha="auto"': fit(),
        "fit a regressor": fit_regressor,
        "fit an embedding": embedding("global"),
        "fit a geodesic embedding": embedding(GeodesicIsometry()),
        APPROXIMATE: lambda n: embedding(approximate())(n),
        "predict": use("predict"),
        "transform": use("transform"),
        "adversarial_accuracy, ours": attacked(lambda: IsometricClassifier(random_state=SEED)),
        "adversarial_accuracy, LogisticRegression": attacked(LogisticRegression),
        "adversarial_accuracy, SVC": attacked(SVC),
        "adversarial_accuracy, forest of 25": attacked(
            lambda: RandomForestClassifier(25, random_state=SEED)
        ),
        "adversarial_accuracy, HistGradientBoosting": attacked(
            lambda: HistGradientBoostingClassifier(max_iter=25, random_state=SEED)
        ),
        "certified_accuracy, ours": of_ours(certified_accuracy, eps=EPS),
        "robustness_report, ours": of_ours(robustness_report, eps=[EPS], random_state=SEED),
        "isometry_distortion": distortion,
        "trustworthiness": of_pairs(trustworthiness, random_state=SEED),
        "continuity": of_pairs(continuity, random_state=SEED),
    }
    penalties = {
        "within-class": WithinClassIsometry(),
        "global": GlobalIsometry(),
        "worst-case": WorstCaseIsometry(),
    }
    of_penalties = {
        f"{name} step, by {size_is}": (size_is, penalty_of(penalty, size_is))
        for size_is in ("batch", "classes")
        for name, penalty in penalties.items()
    }
    return {name: ("samples", job) for name, job in all_samples.items()} | of_penalties


SIZES = {"samples": BY_SAMPLES, "batch": BY_BATCH, "classes": BY_CLASSES}
#: Where the cost of a call no longer shows.
FROM = {"samples": 10_000, "batch": 256, "classes": 16}


def seconds_of(call: Callable[[], object]) -> float:
    times: list[float] = []
    while len(times) < 3 and sum(times) < 1:
        before = time.process_time()
        call()
        times.append(time.process_time() - before)
    return min(times)


def measure(name: str, limit: float, largest: int) -> dict[str, object]:
    """Run a job at growing sizes."""
    size_is, job = jobs()[name]
    rows = []
    for size in SIZES[size_is]:
        if size > largest:
            break
        seconds = seconds_of(job(size))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of kB on Linux
        rows.append({"size": size, "seconds": round(seconds, 5), "peak_mb": round(peak)})
        if seconds > limit:
            break
    return {"by": size_is, "rows": rows, "exponent": exponent(rows, FROM[size_is])}


def exponent(rows: list[dict], start: int) -> float | None:
    """Return the slope of log time over log size, of the last three sizes at least."""
    if len(rows) < 3:
        return None
    kept = max(3, sum(row["size"] >= start for row in rows))
    size, seconds = (np.log([row[name] for row in rows[-kept:]]) for name in ("size", "seconds"))
    return round(float(np.polyfit(size, seconds, 1)[0]), 2)


def keep(name: str, found: dict[str, object]) -> None:
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {"jobs": {}}
    used = [*PACKAGES, *([NEEDS[name]] if name in NEEDS else [])]
    known["versions"] = known.get("versions", {}) | {package: version(package) for package in used}
    known["jobs"][name] = found
    known["jobs"] = {job: known["jobs"][job] for job in jobs() if job in known["jobs"]}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=jobs(), default=list(jobs()))
    parser.add_argument("--limit", type=float, default=20, help="seconds, of the last size")
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="small sizes, not kept")
    parser.add_argument("--one", choices=jobs(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.limit, options.largest = 1, 2_000
    torch.set_num_threads(1)
    if options.one:
        warnings.simplefilter("ignore")  # few epochs
        with threadpool_limits(1):
            print(json.dumps(measure(options.one, options.limit, options.largest)))
        return
    for name in options.only:
        if name in NEEDS and find_spec(NEEDS[name]) is None:
            print(f"{name}: skipped, as {NEEDS[name]} is not installed", flush=True)
            continue
        command = [sys.executable, __file__, "--one", name, "--limit", str(options.limit)]
        command += ["--largest", str(options.largest)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            print(f"{name}: {ran.stderr}", flush=True)
            continue
        found = json.loads(ran.stdout.splitlines()[-1])
        last = found["rows"][-1]
        print(
            f"{name:45s} exponent {found['exponent']}, {last['seconds']:.3g} s and "
            f"{last['peak_mb']} MB at {last['size']:,} {found['by']}", flush=True,
        )  # fmt: skip
        if not options.quick:
            keep(name, found | {"limit": options.limit})


if __name__ == "__main__":
    main()
