"""How much longer does a penalty take, and what does the estimator cost beside its peers?

Same network (256-128 ReLU), batches, epochs, dtype (float32), Adam and one thread for all. Time is
CPU time; the candidates take turns within each repeat, a ratio is that of one repeat, and the
figure is the median over the repeats with its quartiles: shared cores change speed from one second
to the next. MLPClassifier and stock skorch have no penalty. The hand-written loops have the terms
of the penalty that they are named after, written straight, with the radius and the scale that a fit
has found: at equal weights and draws their loss is that of a fit, which is checked first.

    python benchmarks/fit_speed.py [--repeats 7] [--quick]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from sklearn_iso import IsometricClassifier
from sklearn_iso.datasets import load_mnist

HIDDEN, BATCH_SIZE, LEARNING_RATE = (256, 128), 256, 2e-3

#: Trains on X and y for so many epochs.
Fit = Callable[[np.ndarray, np.ndarray, int], object]


def network(n_features: int) -> nn.Sequential:
    first, second = HIDDEN
    return nn.Sequential(
        nn.Linear(n_features, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(),
        nn.Linear(second, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """The terms of a penalty as one would write them, with numbers found by a fit.

    Attributes
    ----------
    names : tuple of str
        Of "within_class", "worst_case", "adversarial_cross_entropy".
    """

    names: tuple[str, ...] = ()
    radius: float = 0.0
    scale: float = 0.0

    @classmethod
    def of(cls, fitted: IsometricClassifier) -> Terms:
        """Return those of a fit, in the units that its input similarity brings X to."""
        terms = {name: term for name, _, term in fitted.penalty_.terms()}
        worst, factor = terms.get("worst_case"), fitted.net_.module_.factor.item()
        if worst is None:
            return cls(tuple(terms))
        return cls(tuple(terms), worst.radius_ * factor, worst.scale_ / factor)

    def loss(self, module: nn.Sequential, X: Tensor, y: Tensor, draw: Tensor) -> Tensor:
        """Return cross-entropy plus the penalty; `draw` in [0, 1) says how long pairs are."""
        if not self.names:
            return nn.functional.cross_entropy(module(X), y)
        X = X.detach().requires_grad_("worst_case" in self.names)
        first = module[:2](X)
        second = module[2:4](first)
        logits = module[4](second)
        loss = nn.functional.cross_entropy(logits, y)
        if "within_class" in self.names:
            loss = loss + (stress(X, first, y) + stress(X, second, y)) / 2
        if "worst_case" in self.names:
            top = logits.topk(2, dim=1).values
            (gradient,) = torch.autograd.grad((top[:, 1] - top[:, 0]).sum(), X, retain_graph=True)
            length = self.radius * (1 - draw)
            delta = length * nn.functional.normalize(gradient)
            moved = module(X.detach() + delta)
            stretch = (moved - logits).norm(dim=1) / (self.scale * length)
            loss = loss + (stretch - 1).clamp(min=0).square().mean()
            if "adversarial_cross_entropy" in self.names:
                loss = loss + 0.5 * nn.functional.cross_entropy(moved, y)
        return loss


def stress(X: Tensor, Z: Tensor, y: Tensor, n_samples: int = 64) -> Tensor:
    """Return the normalised stress of the distances within classes, of the first samples."""
    X, Z, y = X[:n_samples].detach(), Z[:n_samples], y[:n_samples]
    same = y[:, None] == y
    d_X, d_Z = torch.cdist(X, X) * same, torch.cdist(Z, Z) * same
    factor = ((d_X * d_Z).sum() / d_Z.square().sum()).detach()
    return (factor * d_Z - d_X).square().sum() / d_X.square().sum()


def hand_written(terms: Terms) -> Fit:
    def fit(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
        module = network(X.shape[1])
        optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)
        rows, labels = torch.from_numpy(X), torch.from_numpy(y)
        for _ in range(epochs):
            for index in torch.randperm(len(rows)).split(BATCH_SIZE):
                optimizer.zero_grad()
                loss = terms.loss(module, rows[index], labels[index], torch.rand(()))
                loss.backward()
                optimizer.step()

    return fit


def stock_skorch(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    NeuralNetClassifier(
        network(X.shape[1]), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam,
        lr=LEARNING_RATE, max_epochs=epochs, batch_size=BATCH_SIZE, train_split=None,
        iterator_train__shuffle=True, verbose=0,
    ).fit(X, y)  # fmt: skip


def mlp_classifier(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    MLPClassifier(
        HIDDEN, batch_size=BATCH_SIZE, learning_rate_init=LEARNING_RATE, alpha=0.0,
        max_iter=epochs, n_iter_no_change=epochs, tol=0.0,
    ).fit(X, y)  # fmt: skip


def isometric(**params: Any) -> Fit:
    def fit(X: np.ndarray, y: np.ndarray, epochs: int) -> IsometricClassifier:
        return IsometricClassifier(
            hidden_layer_sizes=HIDDEN, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
            max_epochs=epochs, random_state=0, **params,
        ).fit(X, y)  # fmt: skip

    return fit


def candidates(X: np.ndarray, y: np.ndarray) -> dict[str, Fit]:
    """Return what takes turns; the hand-written loops get their numbers from a short fit."""
    found: dict[str, Fit] = {
        "hand-written, alpha=0": hand_written(Terms()),
        "MLPClassifier": mlp_classifier,
        "stock skorch": stock_skorch,
        "alpha=0": isometric(alpha=0),
    }
    for penalty in PENALTIES:
        fitted = isometric(alpha=1, penalty=penalty)(X, y, 1)
        terms = Terms.of(fitted)
        off = difference(fitted, terms, X, y)
        print(f"  {penalty}: the losses of a batch differ by {off:.0e}, relatively")
        found[f"hand-written, {penalty}"] = hand_written(terms)
        found[penalty] = isometric(alpha=1, penalty=penalty)
    return found | {"alpha='auto'": isometric()}


def difference(fitted: IsometricClassifier, terms: Terms, X: np.ndarray, y: np.ndarray) -> float:
    """Return how far the hand-written loss of a batch is from that of a fit, relatively."""
    rows, labels = torch.from_numpy(X[:BATCH_SIZE]), torch.from_numpy(y[:BATCH_SIZE])
    generator = torch.Generator().manual_seed(0)
    draw = torch.rand((), generator=generator, dtype=torch.float64)
    module, objective = fitted.net_.module_, fitted.net_.criterion_
    own = objective(module, rows, labels, torch.ones(len(rows)), generator=generator.manual_seed(0))
    alike = nn.Sequential(*module.hidden, module.output)
    written = terms.loss(alike, torch.addcmul(module.offset, rows, module.factor), labels, draw)
    return abs(written.item() / own.total.item() - 1)


#: Penalties whose fits stand beside a hand-written loop with the same terms.
PENALTIES = ("within_class", "worst_case", "isometric")

#: Ratio, and the most or least it should be where that is known, of all or by data set.
LINES: list[tuple[str, str, str, float | dict[str, float] | None]] = [
    ("alpha=0", "hand-written, alpha=0", "<=", 1.1),
    *((penalty, f"hand-written, {penalty}", "<=", 1.1) for penalty in PENALTIES),
    ("alpha=0", "MLPClassifier", "<=", 1.3),
    ("stock skorch", "alpha=0", ">=", {"digits": 2.0, "mnist-10k": 1.25}),
    ("within_class", "alpha=0", "<=", 1.7),
    ("worst_case", "alpha=0", "<=", 2.0),
    ("isometric", "alpha=0", "<=", 2.2),
    ("alpha='auto'", "alpha=0", "<=", None),
]


def measure(
    X: np.ndarray, y: np.ndarray, epochs: int, repeats: int
) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of a step, and what else a fit takes, of each candidate by repeat."""
    fits = candidates(X, y)
    n_steps = -(-len(X) // BATCH_SIZE)
    found: dict[str, dict[str, list[float]]] = {name: {"step": [], "once": []} for name in fits}
    for fit in fits.values():
        fit(X[:500], y[:500], 1)  # warm up
    for _ in range(repeats):
        for name, fit in fits.items():
            short, long = took(fit, X, y, 1), took(fit, X, y, epochs)
            step = (long - short) / (epochs - 1) / n_steps
            found[name]["step"].append(step)
            found[name]["once"].append(short - step * n_steps)
    return found


def took(fit: Fit, X: np.ndarray, y: np.ndarray, epochs: int) -> float:
    start = time.process_time()
    fit(X, y, epochs)
    return time.process_time() - start


def ratios(name: str, found: dict[str, dict[str, list[float]]]) -> list[dict[str, Any]]:
    """Return how long a step takes beside that of another candidate."""
    rows = []
    for one, other, sense, line in LINES:
        limit = line[name] if isinstance(line, dict) else line
        paired = np.array(found[one]["step"]) / np.array(found[other]["step"])
        low, ratio, high = np.quantile(paired, [0.25, 0.5, 0.75]).round(3).tolist()
        met = limit is None or (ratio <= limit if sense == "<=" else ratio >= limit)
        rows.append({"data": name, "ratio": f"{one} / {other}", "value": ratio,
                     "quartiles": [low, high], "line": f"{sense} {limit}" if limit else "none",
                     "met": met})  # fmt: skip
    return rows


def datasets(quick: bool) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    found = {"digits": (X, y, 5 if quick else 20)}
    try:
        X_train, _, y_train, _ = load_mnist()
    except (OSError, ValueError) as error:
        print(f"mnist-10k is left out: {error}")
    else:
        found["mnist-10k"] = (X_train[:10_000].copy(), y_train[:10_000], 2 if quick else 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs
    results: dict[str, Any] = {
        "settings": {
            "hidden_layer_sizes": HIDDEN, "batch_size": BATCH_SIZE, "dtype": "float32",
            "threads": 1, "repeats": options.repeats, "torch": torch.__version__,
        },
        "seconds": {}, "ratios": [],
    }  # fmt: skip
    with threadpool_limits(1), np.errstate(all="ignore"):
        for name, (X, y, epochs) in datasets(options.quick).items():
            print(f"{name}, {epochs} epochs of {-(-len(X) // BATCH_SIZE)} steps")
            found = measure(X, y, epochs, options.repeats)
            results["seconds"][name] = {"epochs": epochs, **found}
            for candidate, seconds in found.items():
                step, once = (1e3 * np.median(seconds[part]) for part in ("step", "once"))
                print(f"  {candidate:28} {step:7.2f} ms a step, {once:6.0f} ms once")
            for row in ratios(name, found):
                results["ratios"].append(row)
                low, high = row["quartiles"]
                print(f"{row['data']:10} {row['ratio']:44} {row['value']:6.2f}  "
                      f"({low:.2f} to {high:.2f})  line {row['line']:8} "
                      f"{'met' if row['met'] else 'NOT MET'}")  # fmt: skip
    if not options.quick:
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"saved {path}")


if __name__ == "__main__":
    main()
