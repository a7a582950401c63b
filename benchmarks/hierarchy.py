"""Do stacked isometric blocks learn labels of several levels well, and robustly?

Three questions, each with its peers in the same run:

- torus: bands of 2, 4 and 8 classes around a tube. Accuracy at every level on fresh points, and
  the correlation of the distances after each block with those of the input, within the classes of
  its level, with the penalty and without; distances within and between classes.
- mnist: halves, pairs and single digits, beside the flat classifier of the same settings: accuracy,
  the tree distance of errors, robust accuracy of every level (L2, attack ensemble), and
  what of an answer remains right where an attack on the digit succeeds.
- peers: hiclass, one classifier for each parent, logistic or a perceptron, on digits and on two
  taxonomies of 40 Gaussians: hierarchical F1, seconds, robust accuracy of the leaf (L2, PGD-40 on
  the product of the local probabilities, judged by what each model predicts).

    python benchmarks/hierarchy.py [torus|mnist|peers] [--seeds 3]    # all three by default
    python benchmarks/hierarchy.py report|draw    # of what is saved; draw fits two networks again
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
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from sklearn_iso import HierarchicalIsometricClassifier, IsometricClassifier, ThreatModel
from sklearn_iso.attacks import pgd
from sklearn_iso.datasets import digit_paths, load_mnist, make_taxonomy, make_torus
from sklearn_iso.metrics import adversarial_accuracy, hierarchical_f1_score, tree_distance
from sklearn_iso.modules import BestLeaf
from sklearn_iso.twins import as_torch

HERE = Path(__file__)
IMAGES = HERE.parents[1] / "docs" / "images"
TORUS = {"activation": "tanh", "penalty": "within_class", "batch_size": 128}
TORUS_EPOCHS = {20_000: 25, 1600: 200}  # training points (1,600: the paper): epochs
N_FRESH, N_PAIRS = 4000, 1200
MNIST = {"max_epochs": 6}
N_MNIST, N_ATTACKED, EPS = 20_000, 500, 1.58
PEERS = {"penalty": "worst_case", "block_sizes": (256, 128, 128), "learning_rate": 0.01}
EPOCHS = {"digits": (15, 128), "taxonomy": (18, 512), "anisotropic taxonomy": (22, 512)}
EPS_SHARE = 0.2  # of the median distance to the nearest row of another leaf


def torus(n_seeds: int) -> list[dict[str, Any]]:
    rows = []
    for n_train, epochs in TORUS_EPOCHS.items():
        for seed in range(n_seeds):
            for alpha in (0.0, 1.0):
                rows.append(one_torus(n_train, epochs, seed, alpha))
                print(rows[-1], flush=True)
    return rows


def one_torus(n_train: int, epochs: int, seed: int, alpha: float) -> dict[str, Any]:
    X, Y = make_torus(n_train, random_state=seed)
    X_fresh, Y_fresh = make_torus(N_FRESH, random_state=1000 + seed)
    model = HierarchicalIsometricClassifier(alpha, max_epochs=epochs, random_state=seed, **TORUS)
    seconds = timed(lambda: model.fit(X, Y))
    few = slice(N_PAIRS)
    Z = [model.transform(X_fresh[few], level=k) for k in range(3)]
    levels = list(zip(Z, Y_fresh[few].T, strict=True))
    if seed == 0 and n_train == max(TORUS_EPOCHS):
        draw_torus(alpha, Z, X_fresh[few], Y_fresh[few])
    return {
        "train": n_train,
        "alpha": alpha,
        "seed": seed,
        "accuracy": (model.predict(X_fresh) == Y_fresh).mean(axis=0).round(4).tolist(),
        "training accuracy": (model.predict(X) == Y).mean(axis=0).round(4).tolist(),
        "correlation": [round(within_correlation(X_fresh[few], z, y), 3) for z, y in levels],
        "within over between": [round(ratio(z, y) / ratio(X_fresh[few], y), 3) for z, y in levels],
        "seconds": round(seconds, 1),
    }


def within_correlation(X: NDArray, Z: NDArray, y: NDArray) -> float:
    """Return the correlation of distances in X and Z over all pairs of rows of one class."""
    pairs = [(pdist(X[y == c]), pdist(Z[y == c])) for c in np.unique(y)]
    d_X, d_Z = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return float(np.corrcoef(d_X, d_Z)[0, 1])


def ratio(Z: NDArray, y: NDArray) -> float:
    """Return the mean distance within classes over that between them."""
    d, same = squareform(pdist(Z)), y[:, None] == y[None]
    off = ~np.eye(len(y), dtype=bool)
    return float(d[same & off].mean() / d[~same].mean())


class Coarse(ClassifierMixin, BaseEstimator):
    """A flat classifier of digits that answers with their label at one level."""

    def __init__(self, flat: Any, cells: NDArray) -> None:
        self.flat, self.cells = flat, cells
        self.classes_ = np.unique(cells)

    def fit(self, X: Any, y: Any) -> Coarse:
        return self

    def predict(self, X: NDArray) -> NDArray:
        return self.cells[self.flat.predict(X)]

    def to_torch(self) -> nn.Module:
        return BestLeaf(self.flat.to_torch(), torch.from_numpy(self.cells)).eval()

    def __sklearn_is_fitted__(self) -> bool:
        return True


def mnist(n_seeds: int) -> list[dict[str, Any]]:
    X, X_test, y, y_test = load_mnist()
    X, y = X[:N_MNIST], y[:N_MNIST]
    paths = digit_paths(np.arange(10))
    rows = []
    for seed in range(n_seeds):
        flat = IsometricClassifier(random_state=seed, **MNIST)
        stacked = HierarchicalIsometricClassifier(random_state=seed, **MNIST)
        seconds = [timed(lambda f=flat: f.fit(X, y)), timed(lambda s=stacked: s.fit(X, paths[y]))]
        models = {
            "flat": (flat.predict, [Coarse(flat, paths[:, k]) for k in range(3)]),
            "hierarchical": (stacked.predict, [stacked.at_level(k) for k in range(3)]),
        }
        for (name, (predict, levels)), spent in zip(models.items(), seconds, strict=True):
            if name == "flat":
                predict = lambda X, f=flat: paths[f.predict(X)]  # noqa: E731
            rows.append({"model": name, "seed": seed, "seconds": round(spent, 1)})
            rows[-1] |= judge(predict, levels, X_test, paths[y_test], seed)
            print(rows[-1], flush=True)
    return rows


def judge(predict: Any, levels: list[Any], X: NDArray, Y: NDArray, seed: int) -> dict[str, Any]:
    """Return what a model of digits is worth, with and without an attack on the digit."""
    found = predict(X)
    few, paths = X[:N_ATTACKED], Y[:N_ATTACKED]
    X_adv = attack(as_torch(levels[-1]), few, paths[:, -1], EPS, ThreatModel("l2", bounds=(0, 1)))
    answers = predict(X_adv)
    wrong = answers[:, -1] != paths[:, -1]
    return {
        "accuracy": (found == Y).mean(axis=0).round(4).tolist(),
        "tree distance of errors": round(tree_distance(Y, found, errors_only=True), 3),
        "tree distance": round(tree_distance(Y, found), 4),
        "robust accuracy": [
            round(adversarial_accuracy(level, few, paths[:, k], eps=EPS,
                                       threat=ThreatModel("l2", bounds=(0, 1)),
                                       random_state=seed), 3)
            for k, level in enumerate(levels)
        ],
        "coarse right among fine errors under attack": round(
            float((answers[wrong, 0] == paths[wrong, 0]).mean()), 3
        ),
        "tree distance of errors under attack": round(
            tree_distance(paths, answers, errors_only=True), 3
        ),
    }  # fmt: skip


def attack(twin: nn.Module, X: NDArray, y: NDArray, eps: float, threat: Any = "l2") -> NDArray:
    """Return rows moved by PGD-40 within an L2 ball; y counts the twin's columns."""
    found = pgd(twin, torch.from_numpy(X), torch.from_numpy(y), eps=eps, threat=threat,
                random_state=0)  # fmt: skip
    return found.numpy()


class LocalScores(nn.Module):
    """The log-probability of every leaf under a model of one classifier for each parent."""

    def __init__(self, model: Any, leaves: list[str]) -> None:
        super().__init__()
        self.twins, self.steps = nn.ModuleList(), {}
        graph, self.leaves = model.hierarchy_, leaves
        self._walk(graph, model.root_, [])

    def _walk(self, graph: Any, node: str, path: list[tuple[int, int]]) -> None:
        children = list(graph.successors(node))
        if not children:
            self.steps[node.split("::HiClass::Separator::")[-1]] = path
            return
        local = graph.nodes[node]["classifier"]
        if len(children) == 1:  # a constant: nothing to lose, nothing to climb
            self._walk(graph, children[0], path)
            return
        place = len(self.twins)
        self.twins.append(as_torch(local))
        columns = [str(label) for label in local.classes_]
        for child in children:
            self._walk(graph, child, [*path, (place, columns.index(str(child)))])

    def forward(self, X: Tensor) -> Tensor:
        found = [torch.log_softmax(twin(X), dim=1) for twin in self.twins]
        sums = [sum(found[place][:, c] for place, c in self.steps[leaf]) for leaf in self.leaves]
        return torch.stack(sums, dim=1)


def peers(n_seeds: int) -> list[dict[str, Any]]:
    rows = []
    for task in EPOCHS:
        for seed in range(n_seeds):
            X, X_test, Y, Y_test = data_of(task, seed)
            leaves = np.unique(Y[:, -1]).tolist()
            eps = EPS_SHARE * nearest_other(X, Y[:, -1])
            codes = np.searchsorted(leaves, Y_test[:, -1])
            for model in models_of(task, seed).values():
                model.fit(X[:300], Y[:300])  # what a process loads once is no part of a fit
            for name, model in models_of(task, seed).items():
                fit_seconds = timed(lambda model=model, X=X, Y=Y: model.fit(X, Y))
                predict = [timed(lambda m=model, X=X_test: m.predict(X)) for _ in range(5)]
                found = model.predict(X_test)
                twin = twin_of(model, leaves)
                X_adv = attack(twin, X_test, codes, eps)
                robust = (model.predict(X_adv)[:, -1] == Y_test[:, -1]) & (
                    found[:, -1] == Y_test[:, -1]
                )
                rows.append({
                    "data": task, "model": name, "seed": seed,
                    "hierarchical F1": round(hierarchical_f1_score(Y_test, found), 4),
                    "leaf accuracy": round(float((found == Y_test)[:, -1].mean()), 4),
                    "robust accuracy": round(float(robust.mean()), 4), "eps": round(eps, 3),
                    "fit seconds": round(fit_seconds, 3),
                    "predict seconds": round(min(predict), 4),
                })  # fmt: skip
                print(rows[-1], flush=True)
    return rows


def data_of(task: str, seed: int) -> list[NDArray]:
    if task == "digits":
        X, y = load_digits(return_X_y=True)
        Y = np.char.add(np.array(["half ", "pair ", "digit "]), digit_paths(y).astype(str))
    else:
        factor = 3.0 if task.startswith("aniso") else 1.0
        X, Y = make_taxonomy(6000, spread=8.0, anisotropy=factor, random_state=seed)
    X, X_test, Y, Y_test = train_test_split(
        X.astype(np.float32), Y, random_state=seed, stratify=Y[:, -1]
    )
    scaler = StandardScaler().fit(X)
    return [scaler.transform(X), scaler.transform(X_test), Y, Y_test]


def models_of(task: str, seed: int) -> dict[str, Any]:
    from hiclass import LocalClassifierPerParentNode

    epochs, batch_size = EPOCHS[task]
    return {
        "hiclass, logistic": LocalClassifierPerParentNode(LogisticRegression(max_iter=1000)),
        "hiclass, perceptron": LocalClassifierPerParentNode(
            MLPClassifier(max_iter=200, random_state=seed)
        ),
        "ours, alpha=0": HierarchicalIsometricClassifier(
            0.0, max_epochs=epochs, batch_size=batch_size, random_state=seed, **PEERS
        ),
        "ours": HierarchicalIsometricClassifier(
            max_epochs=epochs, batch_size=batch_size, random_state=seed, **PEERS
        ),
    }


def twin_of(model: Any, leaves: list[str]) -> nn.Module:
    if isinstance(model, HierarchicalIsometricClassifier):
        order = np.argsort(model.tree_.leaves[:, -1])
        scores = as_torch(model)
        return nn.Sequential(scores, Columns(order))
    return LocalScores(model, leaves).eval().requires_grad_(False)


class Columns(nn.Module):
    """Columns in a given order."""

    def __init__(self, order: NDArray) -> None:
        super().__init__()
        self.order = torch.from_numpy(order)

    def forward(self, scores: Tensor) -> Tensor:
        return scores[:, self.order]


def nearest_other(X: NDArray, y: NDArray) -> float:
    """Return the median distance of the first 1,000 rows to the nearest of another leaf."""
    d = squareform(pdist(X[:1000]))
    d[y[:1000, None] == y[None, :1000]] = np.inf
    return float(np.median(d.min(axis=1)))


def timed(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def draw_torus(alpha: float, Z: list[NDArray], X: NDArray, Y: NDArray) -> None:
    """Save the representation after each block, coloured by level, and the distances."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap
    from sklearn.decomposition import PCA

    from sklearn_iso.plotting._axes import COLORS, CONTEXTS

    eight = ListedColormap([*COLORS, "#000000", "#F0E442"])
    figure, axes = plt.subplots(2, 3, figsize=(10, 7), layout="constrained")
    for level, (top, bottom) in enumerate(axes.T):
        two = PCA(2).fit_transform(Z[level])
        top.scatter(*two.T, c=Y[:, level], s=4, cmap=eight, vmin=0, vmax=7)
        top.set_title(f"block {level}: {len(np.unique(Y[:, level]))} classes")
        top.set_aspect("equal")
        top.set_xlabel("principal component 0, in units of Z")
        same = squareform(Y[:, level][:, None] != Y[:, level][None], checks=False) == 0
        d_X, d_Z = pdist(X), pdist(Z[level])
        scale = (d_X[same] @ d_Z[same]) / (d_X[same] @ d_X[same])
        chosen = np.random.default_rng(0).choice(len(d_X), 6000, replace=False)
        for label, mask, color in (("between", ~same, CONTEXTS[0]), ("within", same, COLORS[0])):
            part = chosen[mask[chosen]]
            bottom.scatter(d_X[part], d_Z[part] / scale, s=1.5, color=color, linewidths=0)
            bottom.plot([], [], "o", color=color, label=f"{label} classes")
        longest = d_X.max()
        bottom.plot([0, longest], [0, longest], "k-", lw=0.8)
        bottom.set(xlabel="distance in the input, in units of X", ylim=(0, 3 * longest))
        if level == 0:
            top.set_ylabel("principal component 1")
            bottom.set_ylabel("distance after the block,\nin units of X (best scale)")
            bottom.legend(loc="upper left", frameon=False)
    name = "without the penalty" if alpha == 0 else "with the penalty"
    figure.suptitle(f"Torus, representation after each block (principal plane), {name}")
    figure.savefig(IMAGES / f"hierarchy_torus_alpha{alpha:g}.png", dpi=110)
    plt.close(figure)


def report(saved: dict[str, Any]) -> None:
    """Print means over the seeds."""
    for part, content in saved.items():
        print(f"\n{part}")
        keys = {"torus": ["train", "alpha"], "mnist": ["model"], "peers": ["data", "model"]}[part]
        groups: dict[tuple, list[dict]] = {}
        for row in content["rows"]:
            groups.setdefault(tuple(row[key] for key in keys), []).append(row)
        for group, rows in groups.items():
            means = {
                name: np.mean([row[name] for row in rows], axis=0).round(4).tolist()
                for name in rows[0]
                if name not in (*keys, "seed")
            }
            print(" ", *group, means)


PARTS = {"torus": torus, "mnist": mnist, "peers": peers}
SETTINGS: dict[str, dict[str, Any]] = {
    "torus": TORUS | {"epochs": TORUS_EPOCHS, "fresh": N_FRESH, "rows of distances": N_PAIRS},
    "mnist": MNIST | {"train": N_MNIST, "attacked": N_ATTACKED, "eps": EPS, "norm": "l2"},
    "peers": PEERS | {"epochs and batch": EPOCHS, "eps": f"{EPS_SHARE} nearest other leaf"},
}


CHOICES = [*PARTS, "all", "report", "draw"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=CHOICES, default="all")
    parser.add_argument("--seeds", type=int, help="by default 3, and 2 for mnist")
    options = parser.parse_args()
    path = HERE.with_suffix(".json")
    saved = json.loads(path.read_text()) if path.exists() else {}
    if options.part == "report":
        report(saved)
        return
    torch.set_num_threads(1)
    if options.part == "draw":  # the torus again, one fit with the penalty and one without
        for alpha in (0.0, 1.0):
            one_torus(max(TORUS_EPOCHS), TORUS_EPOCHS[max(TORUS_EPOCHS)], 0, alpha)
        return
    for part in PARTS if options.part == "all" else [options.part]:
        packages = ["torch", "scikit-learn", *(["hiclass"] if part == "peers" else [])]
        versions = {name: version(name) for name in packages}
        rows = PARTS[part](options.seeds or (2 if part == "mnist" else 3))
        saved[part] = {"settings": SETTINGS[part] | {"threads": 1, "versions": versions}}
        saved[part]["rows"] = rows
        path.write_text(json.dumps(saved, indent=1) + "\n")
        report({part: saved[part]})


if __name__ == "__main__":
    main()
