"""Draw docs/images/tables.png from tables.json, and print the tables of the page in Markdown.

python benchmarks/tables_page.py
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

HERE = Path(__file__).parent
OURS = "IsometricClassifier"
#: What people would take otherwise; the better of the two is the bar.
PEERS = ["LogisticRegression", "MLPClassifier, L2 chosen"]
REGRESSORS = ["RidgeCV", "MLPRegressor", "HistGradientBoosting", "IsometricRegressor"]
#: Points of the page by which names are off their point, where others are near.
OFFSETS = {
    "LogisticRegression": 5, "MLPClassifier, L2 chosen": -4, "IsometricClassifier": -4,
    "MLPClassifier": -13,
}  # fmt: skip
COLUMNS = [
    "accuracy", "ROC AUC", "log loss", "calibration error", "the same, were it true",
    "linf 0.1", "linf 0.3", "l2 0.3", "l2 0.6", "CPU s",
]  # fmt: skip
LOWER_IS_BETTER = ["log loss", "calibration error"]


def markdown(frame: pd.DataFrame, index: str) -> str:
    head = [index, *frame.columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in frame.iterrows():
        lines.append(f"| {name} | " + " | ".join(_number(value) for value in row) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    if pd.isna(value):
        return "–"
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def wins(by_table: pd.DataFrame) -> pd.DataFrame:
    """Return on how many tables ours is better than each peer, and worse, by more than .005."""
    rows = {}
    for key in ["accuracy", "log loss", "calibration error", "linf 0.3", "l2 0.3"]:
        sign = -1 if key in LOWER_IS_BETTER else 1
        for peer in PEERS:
            gain = sign * (by_table.loc[OURS][key] - by_table.loc[peer][key])
            rows[f"{key}, {peer}"] = {
                "better": (gain > 0.005).sum(),
                "worse": (gain < -0.005).sum(),
            }
    return pd.DataFrame(rows).T


def draw(by_table: pd.DataFrame, path: Path) -> None:
    means = by_table.groupby("model").mean()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    shown = means.dropna(subset=["l2 0.3"])
    for name, row in shown.iterrows():
        ours = name == OURS
        left.plot(row["log loss"], row["l2 0.3"], "o", color="C3" if ours else "0.45", ms=7)
        left.annotate(
            name, (row["log loss"], row["l2 0.3"]), xytext=(7, OFFSETS.get(name, 4)),
            textcoords="offset points", color="C3" if ours else "0.25", fontsize=9,
        )  # fmt: skip
    left.set(xlabel="log loss (left is better)", ylabel="accuracy under an L2 attack of 0.3")
    left.set_title("Means over the tables", loc="left")
    left.margins(x=0.15)
    left.set_xlim(right=left.get_xlim()[1] + 0.12)  # room for the names
    better = pd.concat([by_table.loc[peer] for peer in PEERS]).groupby("table").max()
    gain = pd.DataFrame(
        {key: by_table.loc[OURS][key] - better[key] for key in ("accuracy", "l2 0.3")}
    ).sort_values("l2 0.3")
    for key, color in (("accuracy", "0.45"), ("l2 0.3", "C3")):
        right.plot(gain[key], range(len(gain)), "o", color=color, ms=6)
    right.axvline(0, color="0.8", lw=1, zorder=0)
    right.set_yticks(range(len(gain)), gain.index, fontsize=8)
    right.set_xlabel("IsometricClassifier less the better of the two")
    right.set_title("Beside logistic regression and MLP, L2 chosen", loc="left")
    last = len(gain) - 1
    for color, name, side in (("0.45", "clean", "right"), ("C3", "L2 attack of 0.3", "left")):
        place = gain[["accuracy", "l2 0.3"]].iloc[last]
        right.annotate(
            name, (place.min() if side == "right" else place.max(), last),
            xytext=(-7 if side == "right" else 7, -3), textcoords="offset points",
            ha=side, color=color, fontsize=9,
        )  # fmt: skip
    right.set_xlim(right=right.get_xlim()[1] + 0.14)
    right.margins(y=0.08)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    results = json.loads((HERE / "tables.json").read_text())
    rows = pd.DataFrame(results["classes"]["rows"])
    by_table = rows.groupby(["model", "table"])[COLUMNS].mean()
    order = list(rows["model"].unique())
    print(markdown(by_table.groupby("model").mean().loc[order], "mean of the tables"), "\n")
    print(markdown(wins(by_table), "of the tables"), "\n")
    accuracy = by_table["accuracy"].unstack("model")[order]
    print(markdown(accuracy, "accuracy"), "\n")
    if "numbers" in results:
        numbers = pd.DataFrame(results["numbers"]["rows"]).groupby(["model", "table"]).mean()
        print(markdown(numbers["R2"].unstack("table").loc[list(REGRESSORS)], "R2"))
    draw(by_table, HERE.parent / "docs" / "images" / "tables.png")


if __name__ == "__main__":
    main()
