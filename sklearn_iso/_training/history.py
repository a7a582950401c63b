"""What a fit recorded, epoch by epoch."""

from __future__ import annotations

from skorch import NeuralNet


def history_columns(
    net: NeuralNet, data_term: str = "classification_loss"
) -> dict[str, list[float]]:
    """Return the finished epochs of a net as columns of equal length.

    Columns: "epoch", "loss" (the objective), the data term and "penalty" (before alpha), each
    term of a sum of penalties, and the same with the prefix "valid_" where there was
    validation data. ``loss = data_term + alpha * penalty``, but for a cross-fit, whose columns
    are means over its members.
    """
    rows = [row for row in net.history if "train_loss" in row]
    columns: dict[str, list[float]] = {}
    for row in rows:
        values = {_column(key): value for key, value in row.items() if _is_column(key, value)}
        values.setdefault(data_term, values["loss"])
        values.setdefault("penalty", 0.0)
        if "valid_loss" in values:
            values.setdefault(f"valid_{data_term}", values["valid_loss"])
            values.setdefault("valid_penalty", 0.0)
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    return columns


def _is_column(key: str, value: object) -> bool:
    counts = key.endswith(("_batch_count", "_best"))
    return isinstance(value, int | float) and not isinstance(value, bool) and not counts


def _column(key: str) -> str:
    return key.removeprefix("train_")
