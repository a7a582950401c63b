"""Certificates of trees beside those of ART and of Veritas used directly, in one run.

Breast cancer in [0, 1], L-infinity. ART (`adversarial-robustness-toolbox` and `six`, by pip with
--no-deps): how many of its bounds exceed the distance of an adversarial example that the estimator
itself confirms. Veritas (`dtai-veritas`): CPU time of its own search for the distance and of ours
on the same ensembles and samples, and what ours proves of full forests in a third of the time.
A package that is not installed is left out.

    python benchmarks/certificates_peers.py [--quick] [--only false time limit]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso._certificates import certifier_of
from sklearn_iso.metrics import certified_distance

SEED, HELD_OUT = 0, 100
#: Of ART: as many samples, and its search as in its examples.
SAMPLES_OF_ART, ART = 20, {"eps_init": 0.3, "nb_search_steps": 10, "max_clique": 2, "max_level": 2}
#: Of Veritas: first radius, steps (10 is its default, 20 reach 1e-6) and seconds for a sample.
START, STEPS, LONGEST = 1.0, (10, 20), 20.0
SAMPLES_OF_FULL = 12
PACKAGES = ("adversarial-robustness-toolbox", "dtai-veritas", "scikit-learn", "numpy")

Data = tuple[NDArray, NDArray, NDArray, NDArray]
FALSE: dict[str, tuple[Callable[..., Any], ClassifierMixin]] = {
    "random forest of 10": (load_breast_cancer, RandomForestClassifier(10, random_state=SEED)),
    "extra trees of 10": (load_breast_cancer, ExtraTreesClassifier(10, random_state=SEED)),
    "gradient boosting of 20": (
        load_breast_cancer, GradientBoostingClassifier(n_estimators=20, random_state=SEED),
    ),
    "one decision tree": (load_breast_cancer, DecisionTreeClassifier(random_state=SEED)),
    "random forest of 10, iris": (load_iris, RandomForestClassifier(10, random_state=SEED)),
}  # fmt: skip
TIMED: dict[str, tuple[ClassifierMixin, int]] = {
    "tree": (DecisionTreeClassifier(random_state=SEED), HELD_OUT),
    "forest of 25, depth 8": (RandomForestClassifier(25, max_depth=8, random_state=SEED), HELD_OUT),
    "boosting of 50": (GradientBoostingClassifier(n_estimators=50, random_state=SEED), HELD_OUT),
    "full forest of 100": (RandomForestClassifier(100, random_state=SEED), SAMPLES_OF_FULL),
}


def split(load: Callable[..., Any]) -> Data:
    X, y = load(return_X_y=True)
    held_out = min(HELD_OUT, len(X) // 3)
    X = MinMaxScaler().fit_transform(X)
    return train_test_split(X, y, test_size=held_out, random_state=SEED, stratify=y)


def right(model: ClassifierMixin, X: NDArray, y: NDArray, n_samples: int) -> tuple:
    at = model.predict(X[:n_samples]) == y[:n_samples]
    return X[:n_samples][at], y[:n_samples][at]


def false_certificates(n_samples: int) -> Iterator[dict[str, Any]]:
    """Count bounds of ART above the distance of a confirmed adversarial example."""
    from art.estimators.classification import SklearnClassifier
    from art.metrics import RobustnessVerificationTreeModelsCliqueMethod

    for name, (load, model) in FALSE.items():
        X_train, X_test, y_train, y_test = split(load)
        X, y = right(model.fit(X_train, y_train), X_test, y_test, n_samples)
        row: dict[str, Any] = {"part": "false", "model": name, "samples": len(X)}
        try:
            verifier = RobustnessVerificationTreeModelsCliqueMethod(
                classifier=SklearnClassifier(model), verbose=False
            )
            one_hot = np.eye(y_train.max() + 1)
            bounds = [
                verifier.verify(x=X[[i]].copy(), y=one_hot[y[[i]]], **ART)[0] for i in range(len(X))
            ]
        except AttributeError as error:
            yield row | {"raises": f"{type(error).__name__}: {error}"}
            continue
        certifier = certifier_of(model)
        errors = certifier.witness(X, y, ThreatModel(bounds=(0, 1)).resolve(X))
        if (model.predict(errors) == y).any():
            raise AssertionError("an adversarial example is none")
        distances = np.abs(errors - X).max(axis=1)
        ours = certified_distance(model, X, y, threat=ThreatModel(bounds=(0, 1)))
        yield row | {
            "false": int((np.array(bounds) > distances).sum()),
            "false_ours": int((ours > distances * (1 + 1e-12)).sum()),
            "mean_of_bounds": np.mean(bounds), "mean_of_distances": distances.mean(),
            "largest_factor": float((np.array(bounds) / distances).max()),
        }  # fmt: skip


def by_veritas(trees: Any, x: NDArray, label: int, steps: int) -> tuple[float, float]:
    """Return between what the search of the package itself finds the distance."""
    import veritas

    sides = (trees, None) if label == 1 else (None, trees)
    search = veritas.VeritasRobustnessSearch(
        x, START, *sides, num_steps=steps, silent=True, max_time=LONGEST
    )
    return search.search()[1:]


def times(names: list[str], n_samples: int | None) -> Iterator[dict[str, Any]]:
    """Compare CPU times on the same samples, model by model; conversion of trees counts too."""
    import veritas

    X_train, X_test, y_train, y_test = split(load_breast_cancer)
    for name in names:
        model, most = TIMED[name]
        X, y = right(model.fit(X_train, y_train), X_test, y_test, n_samples or most)
        limit = LONGEST if name.startswith("full") else None
        start = time.process_time()
        ours = certified_distance(model, X, y, time_limit=limit)
        seconds = (time.process_time() - start) / len(X)
        row = {"part": "time", "model": name, "samples": len(X), "ms": 1e3 * seconds,
               "mean": ours.mean()}  # fmt: skip
        for steps in STEPS if limit is None else STEPS[:1]:
            start = time.process_time()
            trees = veritas.get_addtree(model, silent=True)
            found = np.array([by_veritas(trees, *one, steps) for one in zip(X, y, strict=True)])
            theirs = (time.process_time() - start) / len(X)
            row |= {
                f"veritas_{steps}_ms": 1e3 * theirs, f"ratio_{steps}": seconds / theirs,
                f"veritas_{steps}_between": found.mean(axis=0).round(5).tolist(),
            }  # fmt: skip
        yield row


def limited(n_samples: int) -> Iterator[dict[str, Any]]:
    """Compare bounds of full forests in a third of the exact time with the exact ones."""
    X_train, X_test, y_train, y_test = split(load_breast_cancer)
    model, _ = TIMED["full forest of 100"]
    X, y = right(model.fit(X_train, y_train), X_test, y_test, n_samples)
    threat, certifier = ThreatModel().resolve(X), certifier_of(model)
    certifier.distances(X[:1], y[:1], threat)  # makes the grid
    shares, ended = [], 0
    for i in range(len(X)):
        start = time.monotonic()
        exact = certifier.within(LONGEST).distances(X[[i]], y[[i]], threat)[0]
        seconds = time.monotonic() - start
        ended += seconds < LONGEST
        hurried = certifier.within(seconds / 3).distances(X[[i]], y[[i]], threat)[0]
        shares.append(hurried / exact)
    yield {
        "part": "limit", "model": "full forest of 100", "samples": len(X), "exact_in_time": ended,
        "median_share": np.median(shares), "least_share": min(shares),
        "within_10_percent": float(np.mean(np.array(shares) >= 0.9)),
    }  # fmt: skip


def measured(parts: list[str], models: list[str], quick: bool) -> Iterator[dict[str, Any]]:
    if "false" in parts and find_spec("art"):
        yield from false_certificates(6 if quick else SAMPLES_OF_ART)
    if find_spec("veritas"):
        if "time" in parts:
            yield from times(models, 10 if quick else None)
        if "limit" in parts:
            yield from limited(3 if quick else SAMPLES_OF_FULL)


def installed(name: str) -> str | None:
    try:
        return version(name)
    except ImportError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few samples, not saved")
    parts = ["false", "time", "limit"]
    parser.add_argument("--only", choices=parts, nargs="+", default=parts)
    parser.add_argument("--models", choices=TIMED, nargs="+", default=list(TIMED))
    options = parser.parse_args()
    path = Path(__file__).with_suffix(".json")
    found = json.loads(path.read_text()) if path.exists() else {"settings": {}, "rows": []}
    before, kept = found["settings"].get("versions", {}), found["rows"]
    settings = {
        "seed": SEED, "held_out": HELD_OUT, "art": ART, "samples_of_art": SAMPLES_OF_ART,
        "first_radius": START, "longest": LONGEST, "threads": 1,
        "versions": {name: installed(name) or before.get(name) for name in PACKAGES},
    }  # fmt: skip
    print(json.dumps(settings))
    for row in measured(options.only, options.models, options.quick):
        row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        print(json.dumps(row), flush=True)
        same = (row["part"], row["model"])
        kept = [one for one in kept if (one["part"], one["model"]) != same] + [row]
        if not options.quick:
            path.write_text(json.dumps({"settings": settings, "rows": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
