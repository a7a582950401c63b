"""Tables of reports as pandas DataFrames, where pandas is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


def frame_of(
    table: Mapping[str, object] | Sequence[Mapping[str, object]], report: str, otherwise: str
) -> DataFrame:
    """Return a table as a DataFrame, or tell what a report has for those without pandas.

    Raises
    ------
    ImportError
        If pandas is not installed.

    Examples
    --------
    >>> from sklearn_iso.metrics._frames import frame_of
    >>> frame_of({"eps": [0.1]}, "RobustnessReport", "columns()")
       eps
    0  0.1
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            f"{report}.to_frame needs pandas. Install it with pip install 'sklearn-iso[data]', or "
            f"use {report}.{otherwise}."
        ) from error
    return pd.DataFrame(table)
