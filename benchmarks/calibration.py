"""Is the estimator robust without tuning, and do its automatic units deserve to be so?

Eleven data sets that scikit-learn ships or that are generated here. The unit of every data set is
q, the median distance to the nearest other class. Measured on test rows: accuracy, and the area
under the robustness curve, that is the mean accuracy under an L2 attack over budgets from 0 to
0.5 q (1 would be perfect). The attack is Auto-PGD on the classification loss, nested budgets.

- chosen: IsometricClassifier(), whose alpha held out samples choose, beside alpha=0, 5 seeds.
- default: alpha=1, one network, beside alpha=0, 5 seeds.
- unlabelled: the same, with no cross-entropy at the adversarial examples.
- study: radius in units of q, scale in units of 1 / q, alpha and the weight of that cross-entropy,
  each varied with the others at their defaults, 4 seeds; --grid adds all combinations.

    python benchmarks/calibration.py [--only chosen|default|unlabelled|study] [--data NAME ...]
        [--grid] [--report]

Finished cells are kept in output/calibration, so an interrupted run goes on where it stopped, and
--report only summarises them. Delete the folder to measure anew.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from sklearn_iso import IsometricClassifier
from sklearn_iso.attacks import APGD
from sklearn_iso.metrics import robustness_curve
from sklearn_iso.penalties import (
    WithinClassIsometry,
    WorstCaseIsometry,
    nearest_other_class_distance,
)

CELLS = Path(__file__).parents[1] / "output" / "calibration"
FRACTIONS = np.linspace(0, 0.5, 6)  # budgets over q
ATTACK = {"attack": APGD(n_steps=30), "random_state": 0}
# The study chooses, so its seeds are others than those that the choice is measured on.
SEEDS = {"chosen": range(5), "default": range(5), "unlabelled": range(5), "study": range(100, 104)}
DEFAULTS = {"radius": 0.5, "scale": 5.0, "alpha": 1.0, "cross_entropy": 0.5}
CHOICES = {
    "radius": (0.25, 0.5, 1.0),
    "scale": (2.5, 5.0, 7.5, 10.0),
    "alpha": (0.3, 1.0, 3.0, 10.0),
    "cross_entropy": (0.0, 0.25, 0.5, 1.0),
}
N_SAMPLES = 1000  # of generated data; half of all data is for testing
#: What tells the settings apart.
PARAMETERS = ("radius", "scale", "alpha", "cross_entropy")

Rows = tuple[NDArray, NDArray]
Setting = dict[str, Any]


def faces(seed: int, n_people: int = 40, n_images: int = 10, side: int = 32) -> Rows:
    """Images like Olivetti's: a smooth face for each person, its light, position and mimic."""
    rng = np.random.default_rng(seed)

    def smooth(sigma: float, size: float) -> NDArray:
        noise = gaussian_filter(rng.normal(size=(side, side)), sigma, mode="wrap")
        return size * noise / noise.std()

    mean, images = smooth(5, 0.15), []
    for _ in range(n_people):
        person = mean + smooth(3, 0.1)
        for _ in range(n_images):
            across, down = np.meshgrid(*2 * [np.linspace(-1, 1, side)])
            light = 0.1 * (rng.normal() * across + rng.normal() * down)
            image = shift(person, rng.normal(size=2), order=1, mode="wrap")
            image = 0.5 + image + light + smooth(3, 0.05) + 0.02 * rng.normal(size=(side, side))
            images.append(image.clip(0, 1).ravel())
    return np.array(images), np.repeat(np.arange(n_people), n_images)


def blobs(seed: int, n_classes: int, n_features: int) -> Rows:
    return datasets.make_classification(
        N_SAMPLES, n_features, n_informative=n_features // 2, n_redundant=n_features // 4,
        n_classes=n_classes, class_sep=1.5, flip_y=0.01, random_state=seed,
    )  # fmt: skip


DATA: dict[str, Callable[[int], Rows]] = {
    "digits": lambda seed: datasets.load_digits(return_X_y=True),
    "breast_cancer": lambda seed: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda seed: datasets.load_wine(return_X_y=True),
    "iris": lambda seed: datasets.load_iris(return_X_y=True),
    "moons": lambda seed: datasets.make_moons(N_SAMPLES, noise=0.15, random_state=seed),
    "circles": lambda seed: datasets.make_circles(
        N_SAMPLES, noise=0.08, factor=0.5, random_state=seed
    ),
    "classification, 2 of 20": lambda seed: blobs(seed, 2, 20),
    "classification, 5 of 20": lambda seed: blobs(seed, 5, 20),
    "classification, 10 of 40": lambda seed: blobs(seed, 10, 40),
    "gaussian quantiles, 3 of 5": lambda seed: datasets.make_gaussian_quantiles(
        n_samples=N_SAMPLES, n_features=5, n_classes=3, random_state=seed
    ),
    "faces, 40 of 1024": faces,
}
RAW = {"faces, 40 of 1024"}  # pixels share a unit: no standardisation


def split(name: str, seed: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    X, y = DATA[name](seed)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=seed
    )
    if name not in RAW:
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    # float32 is what most people train in, and twice as fast.
    return X_train.astype(np.float32), X_test.astype(np.float32), y_train, y_test


def unit_of(X: NDArray, y: NDArray) -> float:
    generator = torch.Generator().manual_seed(0)
    return nearest_other_class_distance(
        torch.from_numpy(X), torch.from_numpy(y), generator=generator
    )


def estimator(setting: Setting, unit: float, seed: int) -> IsometricClassifier:
    units = {"radius": unit, "scale": 1 / unit, "cross_entropy": 1.0}
    chosen = {name: setting[name] * one for name, one in units.items() if name in setting}
    if not chosen:
        return IsometricClassifier(alpha=setting["alpha"], random_state=seed)
    cross_entropy = chosen.pop("cross_entropy", 0.0)
    penalty = WithinClassIsometry() + WorstCaseIsometry(**chosen).with_cross_entropy(cross_entropy)
    return IsometricClassifier(alpha=setting["alpha"], penalty=penalty, random_state=seed)


def measure(name: str, seed: int, setting: Setting) -> dict[str, Any]:
    X_train, X_test, y_train, y_test = split(name, seed)
    unit = unit_of(X_train, y_train)
    start = time.perf_counter()
    model = estimator(setting, unit, seed).fit(X_train, y_train)
    seconds = time.perf_counter() - start
    curve = robustness_curve(
        model, X_test, y_test, eps=FRACTIONS * unit, threat="l2", verbose=False, **ATTACK
    )
    return {"data": name, "seed": seed, **setting, "unit": round(unit, 4),
            "curve": curve.round(4).tolist(), "seconds": round(seconds, 2)}  # fmt: skip


PLAIN: Setting = {"alpha": 0.0}
GRID: list[Setting] = [
    dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())
]
#: Those that differ from the defaults in one choice at most.
STAR = [s for s in GRID if sum(s[name] != DEFAULTS[name] for name in s) <= 1]
SETTINGS: dict[str, list[Setting]] = {
    "chosen": [PLAIN, {"alpha": "auto"}],
    "default": [PLAIN, {"alpha": 1.0}],
    "unlabelled": [PLAIN, {"alpha": 1.0, "cross_entropy": 0.0}],
    "study": [PLAIN, *STAR],
}


def key(cell: dict[str, Any]) -> tuple:
    return (cell["data"], cell["seed"], *(cell.get(name) for name in PARAMETERS))


def finished(part: str) -> list[dict[str, Any]]:
    files = sorted(CELLS.glob(f"{part}*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def run(part: str, names: list[str], settings: list[Setting]) -> None:
    CELLS.mkdir(parents=True, exist_ok=True)
    done = {key(cell) for cell in finished(part)}
    wanted = itertools.product(SEEDS[part], names, settings)
    todo = [w for w in wanted if key({"data": w[1], "seed": w[0], **w[2]}) not in done]
    # One file for each selection of data, so that two runs side by side write two files.
    path = CELLS / f"{part}-{list(DATA).index(names[0])}-{len(names)}.jsonl"
    with path.open("a") as file:
        for seed, name, setting in tqdm(todo, desc=part, unit="fit", mininterval=5):
            file.write(json.dumps(measure(name, seed, setting)) + "\n")
            file.flush()


def area(curves: NDArray) -> NDArray:
    """Mean accuracy over the budgets, by the trapezoidal rule."""
    return np.trapezoid(curves, FRACTIONS, axis=-1) / FRACTIONS[-1]


def curves_of(cells: list[dict[str, Any]], name: str, setting: Setting) -> NDArray:
    """Curves in the order of seeds, shape (n_seeds, n_budgets)."""
    chosen = [
        cell for cell in cells
        if cell["data"] == name and all(cell.get(k) == setting.get(k) for k in PARAMETERS)
    ]  # fmt: skip
    return np.array([cell["curve"] for cell in sorted(chosen, key=lambda cell: cell["seed"])])


def report_default(cells: list[dict[str, Any]], part: str = "default") -> dict[str, Any]:
    rows = {}
    names = [name for name in DATA if any(cell["data"] == name for cell in cells)]
    for name in names:
        plain, ours = (curves_of(cells, name, s) for s in SETTINGS[part])
        seconds = [
            np.mean([c["seconds"] for c in cells if key(c)[0] == name and c["alpha"] == s["alpha"]])
            for s in SETTINGS[part]
        ]
        gain, loss = area(ours) - area(plain), plain[:, 0] - ours[:, 0]
        rows[name] = {
            "seeds": len(plain),
            "unit": float(np.mean([c["unit"] for c in cells if c["data"] == name])),
            "clean": [plain[:, 0].mean(), ours[:, 0].mean()],
            "area": [area(plain).mean(), area(ours).mean()],
            "gain": gain.mean(), "gain_spread": gain.std(ddof=1),
            "loss": loss.mean(), "loss_spread": loss.std(ddof=1),
            "curve": [plain.mean(0).tolist(), ours.mean(0).tolist()],
            "seconds": seconds,
        }  # fmt: skip
    gains = np.array([row["gain"] for row in rows.values()])
    losses = np.array([row["loss"] for row in rows.values()])
    return {
        "rows": rows,
        "higher on": f"{int((gains > 0).sum())} of {len(rows)}",
        "mean gain": gains.mean(),
        "largest clean loss": losses.max(),
        "met": {
            "area higher on at least 7 of 8": bool((gains > 0).mean() >= 7 / 8),
            "by .03 on average": bool(gains.mean() >= 0.03),
            "clean at most .01 lower on each": bool((losses <= 0.01).all()),
        },
    }


def report_study(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Every measured setting against alpha=0: gain of area and loss of clean accuracy."""
    names = [name for name in DATA if any(cell["data"] == name for cell in cells)]
    rows = []
    for setting in GRID:
        gains, losses = {}, {}
        for name in names:
            plain, ours = (curves_of(cells, name, s) for s in (PLAIN, setting))
            n_seeds = min(len(plain), len(ours))
            if not n_seeds:
                continue
            plain, ours = plain[:n_seeds], ours[:n_seeds]
            gains[name] = float((area(ours) - area(plain)).mean())
            losses[name] = float((plain[:, 0] - ours[:, 0]).mean())
        if len(gains) == len(names):
            rows.append({
                **setting, "data_sets": len(gains), "mean_gain": np.mean(list(gains.values())),
                "least_gain": min(gains.values()), "mean_loss": np.mean(list(losses.values())),
                "largest_loss": max(losses.values()), "gain": gains, "loss": losses,
            })  # fmt: skip
    return {"seeds": list(SEEDS["study"]), "rows": rows}


def show_default(result: dict[str, Any]) -> None:
    print(f"{'data (classes of features)':28} {'q':>6} {'clean 0':>8} {'clean 1':>8} "
          f"{'area 0':>7} {'area 1':>7} {'gain':>6} {'+-':>5} {'s 0':>5} {'s 1':>5}")  # fmt: skip
    for name, row in result["rows"].items():
        print(f"{name:28} {row['unit']:6.2f} {row['clean'][0]:8.3f} {row['clean'][1]:8.3f} "
              f"{row['area'][0]:7.3f} {row['area'][1]:7.3f} {row['gain']:6.3f} "
              f"{row['gain_spread']:5.3f} {row['seconds'][0]:5.1f} "
              f"{row['seconds'][1]:5.1f}")  # fmt: skip
    for title in ("higher on", "mean gain", "largest clean loss", "met"):
        print(f"{title}: {result[title]}")


def show_study(result: dict[str, Any]) -> None:
    print(
        f"{'radius':>7} {'scale':>7} {'alpha':>6} {'label':>6} {'data':>5} {'mean gain':>10} "
        f"{'least gain':>11} {'mean loss':>10} {'largest loss':>13}  largest loss on"
    )
    for row in sorted(result["rows"], key=lambda row: -row["mean_gain"]):
        worst = max(row["loss"], key=row["loss"].get)
        print(f"{row['radius']:6}q {row['scale']:5}/q {row['alpha']:6} "
              f"{row['cross_entropy']:6} {row['data_sets']:5} "
              f"{row['mean_gain']:10.3f} {row['least_gain']:11.3f} {row['mean_loss']:10.4f} "
              f"{row['largest_loss']:13.4f}  {worst}")  # fmt: skip


REPORTS = {
    "chosen": (partial(report_default, part="chosen"), show_default),
    "default": (report_default, show_default),
    "unlabelled": (partial(report_default, part="unlabelled"), show_default),
    "study": (report_study, show_study),
}


def rounded(value: Any) -> Any:
    """JSON of four decimals, numpy numbers included."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [rounded(item) for item in value]
    return round(float(value), 4) if isinstance(value, (float, np.floating)) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(REPORTS))
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--grid", action="store_true", help="study all combinations")
    parser.add_argument("--report", action="store_true", help="summarise finished cells only")
    options = parser.parse_args()
    path = Path(__file__).with_suffix(".json")
    results = json.loads(path.read_text()) if path.exists() else {}
    for part in [options.only] if options.only else REPORTS:
        if not options.report:
            settings = [PLAIN, *GRID] if options.grid and part == "study" else SETTINGS[part]
            run(part, options.data, settings)
        cells = finished(part)
        if not cells:
            continue
        report, show = REPORTS[part]
        print(f"\n{part}: seeds {list(SEEDS[part])}, budgets {FRACTIONS.round(2).tolist()} q, "
              f"{ATTACK}, half of the rows for testing")  # fmt: skip
        result = report(cells)
        show(result)
        results["settings"] = {"fractions": FRACTIONS.tolist(), "attack": ATTACK}
        results[part] = result
        path.write_text(json.dumps(rounded(results), indent=1) + "\n")


if __name__ == "__main__":
    main()
