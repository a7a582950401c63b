"""A quick way to ask a pipeline of raw columns many times: its transformers as a torch module."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from torch import nn

from sklearn_iso._protocols import Samples
from sklearn_iso.twins import NotDifferentiableError, surrogates
from sklearn_iso.twins._raw_columns import LookedUp, RawSpace, of_raw_columns


class Shortcut:
    """The last step of a pipeline, asked of what the steps before it make of points.

    A search asks thousands of times, and a frame takes longer to build and to transform than
    most models to predict. What it finds the pipeline itself has to confirm.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._raw_table import RawTable
    >>> from sklearn_iso.metrics._shortcut import Shortcut
    >>> X, y = pd.DataFrame({"age": [30, 40], "plan": ["b", "a"]}), [0, 1]
    >>> encode = make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough")
    >>> model = make_pipeline(encode, DecisionTreeClassifier()).fit(X, y)
    >>> table = RawTable(X, ThreatModel())
    >>> Shortcut.of(model, table, table.values, X).asked("predict")(table.values)
    array([0, 1])
    """

    def __init__(self, front: nn.Module, last: BaseEstimator) -> None:
        self.front, self.last = front, last
        names = getattr(last, "feature_names_in_", None)
        self.names = None if names is None else list(names)

    @classmethod
    def of(cls, estimator: object, space: RawSpace, values: NDArray, X: Samples) -> Shortcut | None:
        """Return the shortcut of a fitted pipeline that predicts on X as it does, or None."""
        estimator = getattr(estimator, "best_estimator_", estimator)
        if not isinstance(estimator, Pipeline) or len(estimator.steps) < 2:
            return None
        try:
            front = of_raw_columns(estimator[:-1], space, transform=True)
        except NotDifferentiableError:
            return None
        found = cls(front, estimator[-1])
        if surrogates(front) or not hasattr(found.last, "predict"):
            return None
        try:
            same = _alike(found.asked("predict")(values), estimator.predict(X))
        except (AttributeError, TypeError, ValueError):
            return None
        return found if same else None

    @property
    def is_safe(self) -> bool:
        """Whether no transformer has refused categories, of which the last step hears nothing."""
        looked_up = (one for one in self.front.modules() if isinstance(one, LookedUp))
        return not any(one.has_refused for one in looked_up)

    def asked(self, name: str) -> Callable[[NDArray], ArrayLike]:
        """Return a method of the last step, for points."""
        method = getattr(self.last, name)
        return lambda values: method(self._transformed(values))

    @torch.no_grad()
    def _transformed(self, values: NDArray) -> Samples:
        transformed = self.front(torch.from_numpy(np.ascontiguousarray(values))).numpy()
        if self.names is None:
            return transformed
        import pandas as pd

        return pd.DataFrame(transformed, columns=self.names)


def _alike(found: ArrayLike, expected: ArrayLike) -> bool:
    """Whether predictions are the same, those of regressors but for rounding."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.dtype.kind == expected.dtype.kind == "f":
        return found.shape == expected.shape and np.allclose(found, expected, rtol=1e-6)
    return np.array_equal(found, expected)
