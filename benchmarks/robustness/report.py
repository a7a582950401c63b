"""The table and the figure of the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robustness.measures import BUDGETS, CONFIRMED_BY, label
from sklearn_iso.plotting._axes import COLORS

Row = dict[str, Any]

#: What is drawn, and its name there: trainings that a user would choose among. The tables hold all.
DRAWN = {
    "mlp": {
        "worst-case + within-class, labelled (default)": "isometric, default",
        "worst-case L2 and L-infinity, labelled": "isometric, both norms",
        "plain": "plain",
        "PGD training L-infinity .1": "PGD training, L-infinity .1",
        "TRADES L-infinity .1": "TRADES, L-infinity .1",
        "PGD training L2 1.5": "PGD training, L2 1.5",
        "1-Lipschitz": "1-Lipschitz",
        "Gaussian noise": "Gaussian noise",
    },
    "convnet": {
        "preset images": 'preset "images"',
        "preset images_large_budgets": 'preset "images_large_budgets"',
        "preset images_l2": 'preset "images_l2"',
        "preset images_both_norms": 'preset "images_both_norms"',
        "plain": "plain",
        "PGD training L-infinity .3": "PGD training, L-infinity .3",
        "TRADES L-infinity .3": "TRADES, L-infinity .3",
        "PGD training L2 1.5": "PGD training, L2 1.5",
    },
}
TITLES = {"mlp": "MLP 256-128", "convnet": "ConvNet 32-64"}
NAMES = {"linf 0.1": "L-infinity 0.1", "linf 0.3": "L-infinity 0.3", "l2 1.58": "L2 1.58"}
PANELS = {"mlp": ("linf 0.1", "l2 1.58"), "convnet": ("linf 0.3", "l2 1.58")}


def groups(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows of all seeds by network and method."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["network"], row["method"]), []).append(row)
    return found


def cell(values: list[float], digits: int = 3) -> str:
    """Mean, and the standard deviation over seeds where there are several."""
    text = f"{np.mean(values):.{digits}f}".removeprefix("0")
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.{digits}f}".replace("± 0.", "± .")
    return text


def in_order(rows: list[Row], order: dict[str, dict[str, Any]]) -> list[Row]:
    """Rows in the order of the methods, those of a method by seed."""
    places = {(n, m): (i, j) for i, n in enumerate(order) for j, m in enumerate(order[n])}
    return sorted(rows, key=lambda r: (*places[r["network"], r["method"]], r["seed"]))


def print_table(rows: list[Row]) -> None:
    """One Markdown table for each network."""
    budgets = [label(*b) for b in BUDGETS]
    for network in dict.fromkeys(row["network"] for row in rows):
        print(f"\n### {TITLES[network]}\n")
        columns = ["training", "seeds", "with ascents", "clean", *budgets, "expansion",
                   "contraction", "epochs", "an epoch, times plain",
                   "all, in plain epochs"]  # fmt: skip
        print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
        found = {m: group for (n, m), group in groups(rows).items() if n == network}
        for method, group in found.items():
            cells = [
                method, str(len(group)), str(sum(r.get("ascents", False) for r in group)),
                cell([r["clean"] for r in group]),
                *(cell([r["cascade"][b] for r in group]) for b in budgets),
                cell([r["expansion"] for r in group], 2),
                cell([r["contraction"] for r in group], 2),
                f"{np.mean([r['epochs'] for r in group]):.0f}",
                f"{group[0]['times_plain']:.1f}",
                f"{np.mean([r['plain_epochs'] for r in group]):.0f}",
            ]  # fmt: skip
            print("| " + " | ".join(cells) + " |")
    _print_confirmed(rows, budgets)
    _print_clock(rows)


def _print_clock(rows: list[Row]) -> None:
    """What a user waits for: seconds of the clock, for fits that had more than one thread."""
    found = groups([row for row in rows if row.get("threads", 1) > 1])
    if found:
        print("\n### By the clock\n")
        print("| network, training | threads | seconds, by seed |\n|---|---|---|")
    for (network, method), group in found.items():
        seconds = ", ".join(f"{row['wall_seconds']:.0f}" for row in group)
        print(f"| {network}, {method} | {group[0]['threads']} | {seconds} |")


def _print_confirmed(rows: list[Row], budgets: list[str]) -> None:
    print("\n### AutoAttack, and the attack ensemble with patches\n")
    print("| network, training, seed | attack | images |", end="")
    print(" " + " | ".join(budgets) + " |\n|---|---|---|" + "---|" * len(budgets))
    for row in rows:
        name = f"{row['network']}, {row['method']}, {row['seed']}"
        for attack, (title, _) in CONFIRMED_BY.items():
            found = row.get(attack, {})
            if found:
                cells = [cell([found[b]["accuracy"]]) if b in found else "–" for b in budgets]
                images = max(entry["images"] for entry in found.values())
                print(f"| {name} | {title} | {images} | " + " | ".join(cells) + " |")


def save_figure(rows: list[Row], path: Path) -> None:
    """Accuracy under attack of the trainings in ``DRAWN``, one panel for each network and norm."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    networks = list(dict.fromkeys(row["network"] for row in rows))
    figure, axes = plt.subplots(
        len(networks), 2, figsize=(10.5, 3.1 * len(networks)), squeeze=False, layout="constrained"
    )
    for line, network in zip(axes, networks, strict=True):
        table = groups(rows)
        found = {
            name: table[network, method]
            for method, name in DRAWN[network].items()
            if (network, method) in table
        }
        for axis, budget in zip(line, PANELS[network], strict=True):
            _dots(axis, found, budget)
            axis.set_title(f"{TITLES[network]}, {NAMES[budget]}", loc="left", fontsize=11)
    for axis in axes[-1]:
        axis.set_xlabel("accuracy under the strongest attack run")
    figure.savefig(path, dpi=110)
    print(f"saved {path}")


def _left(row: Row, budget: str) -> float:
    """What the strongest of the attacks leaves: a network may hide its gradients from one."""
    left = [row.get(attack, {}).get(budget, {}).get("accuracy", 1.0) for attack in CONFIRMED_BY]
    return float(min(row["cascade"][budget], *left))


def _dots(axis: Any, found: dict[str, list[Row]], budget: str) -> None:
    """One line for each training, the best on top: a dot for each seed, and the mean in figures."""
    means = {m: float(np.mean([_left(r, budget) for r in g])) for m, g in found.items()}
    order = sorted(found, key=means.__getitem__)
    for place, method in enumerate(order):
        group = found[method]
        color = COLORS[0] if group[0]["ours"] else "0.45"
        values = [_left(row, budget) for row in group]
        axis.plot([0, means[method]], [place, place], color=color, linewidth=1, alpha=0.4)
        axis.plot(values, [place] * len(values), "o", color=color, markersize=6, alpha=0.8)
        axis.annotate(
            f"{means[method]:.3f}".removeprefix("0"), (max(values), place), (7, 0),
            textcoords="offset points", va="center", color=color, fontsize=9,
        )  # fmt: skip
    axis.set_yticks(range(len(order)), order, fontsize=9)
    for text, method in zip(axis.get_yticklabels(), order, strict=True):
        text.set_color(COLORS[0] if found[method][0]["ours"] else "0.25")
    axis.set_xlim(0, 1)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
