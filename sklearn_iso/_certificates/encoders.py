"""Estimators of raw columns as estimators of numbers: what encodes columns that stay runs once.

Columns of numbers pass as they are. A transformer of columns that each keep one of a few values,
of whatever kind it is, becomes a block of columns that it has computed. What remains takes an
array, in which blocks stay and numbers move, and consists of parts that there may be proofs for.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder
from torch import Tensor

from sklearn_iso._certificates.beside import Beside, Branch
from sklearn_iso._certificates.columnwise import is_word
from sklearn_iso._certificates.registry import check_plain, last_step
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.twins._raw_columns import LookedUp, RawSpace, Reader, is_flat

#: What makes categories of numbers, whose order is lost.
ENCODERS = (OneHotEncoder, OrdinalEncoder, TargetEncoder)
#: Columns of all encodings together; more are no table, and proofs hold matrices of their square.
MOST_COLUMNS = 3000


@dataclass(frozen=True, eq=False)
class Encoded:
    """An estimator of numbers and of encoded columns, in the place of one of raw columns.

    Parameters
    ----------
    estimator : fitted estimator
        It takes the columns of numbers, and after them what the look-ups give.
    numbers : list of int
        Positions of the columns of numbers.
    lookups : list of LookedUp
    """

    estimator: BaseEstimator
    numbers: list[int]
    lookups: list[LookedUp]

    def blocks(self, points: Tensor) -> list[NDArray]:
        """Return the encoded columns of points of the table."""
        with torch.no_grad():
            return [lookup(points).numpy() for lookup in self.lookups]


def encoded(estimator: BaseEstimator, space: RawSpace, points: Tensor) -> Encoded:
    """Return an estimator of raw columns as one of numbers, equal at points of a table.

    Parameters
    ----------
    estimator : fitted estimator
    space : RawSpace
        The table.
    points : Tensor of shape (n, n_coordinates)
        In float64.

    Raises
    ------
    NotCertifiableError
        If a step takes text, or encodes numbers, beside numbers that move.

    Examples
    --------
    >>> import pandas as pd, torch
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.encoders import encoded
    >>> from sklearn_iso.metrics._raw_table import RawTable
    >>> X, y = pd.DataFrame({"plan": ["b", "a"], "age": [1.0, 2.0]}), [0, 1]
    >>> encode = make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough")
    >>> tree = make_pipeline(encode, DecisionTreeClassifier()).fit(X, y)
    >>> table = RawTable(X, ThreatModel())
    >>> found = encoded(tree, table, torch.from_numpy(table.values))
    >>> found.numbers, found.blocks(torch.from_numpy(table.values))
    ([1], [array([[0., 1.],
           [1., 0.]])])
    """
    return _Encoding(space, points).of(estimator)


@dataclass(eq=False)
class _Encoding:
    """What is found out on the way through an estimator."""

    space: RawSpace
    points: Tensor
    lookups: list[LookedUp] = field(default_factory=list)
    made: list[Beside] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.positions = list(range(len(self.space.names)))
        self.numbers = [one for one in self.positions if self.space.is_number(one)]
        self.width = len(self.numbers)

    def of(self, estimator: BaseEstimator) -> Encoded:
        found = self._predicts(estimator)
        for one in self.made:
            one.n_features_in_ = self.width
        return Encoded(found, self.numbers, self.lookups)

    def _predicts(self, estimator: BaseEstimator) -> BaseEstimator:
        """Return an estimator that predicts, of numbers."""
        check_plain(estimator)
        last, steps = last_step(estimator)
        if steps:
            name, first = steps[0]
            before, columns = self._transforms(first, self.positions, (name,))
            chosen = self._beside([(name, before, columns)])
            return Pipeline([(name, chosen), *steps[1:], ("predict", last)])
        if isinstance(last, TransformedTargetRegressor):
            copied = copy.copy(last)
            copied.regressor_ = self._predicts(last.regressor_)
            return copied
        if isinstance(last, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
            if last.is_categorical_ is not None:
                return self._boosting(last)
        if text := [one for one in self.positions if not self.space.is_number(one)]:
            raise NotCertifiableError(last, reason=f"it reads {self._named(text)} itself")
        return Pipeline([("columns", self._beside([self._as_it_is()])), ("predict", last)])

    def _as_it_is(self) -> Branch:
        return "columns", "passthrough", self._at(self.numbers)

    def _transforms(
        self, step: BaseEstimator | str, positions: Sequence[int], path: tuple[str, ...]
    ) -> tuple[BaseEstimator | str, NDArray | slice]:
        """Return a transformer of raw columns as one of numbers, and the columns that it takes."""
        if isinstance(step, ColumnTransformer):
            return self._of_each(step, positions, path), slice(None)
        if isinstance(step, Pipeline):
            return self._in_turn(step, positions, path)
        numbers = all(map(self.space.is_number, positions))
        if is_word(step, "passthrough") and numbers:
            return step, self._at(positions)
        if not isinstance(step, str) and all(map(self.space.is_discrete, positions)):
            return "passthrough", self._looked_up(step, positions, flat=False)
        if not numbers:
            raise NotCertifiableError(step, path, self._mixed(positions))
        if isinstance(step, ENCODERS):
            moving = [one for one in positions if not self.space.is_discrete(one)]
            reason = (
                f"it encodes {self._named(moving)}, which moves as a number; keep it as it is, "
                "with immutable= of the threat"
            )
            raise NotCertifiableError(step, path, reason)
        return step, self._at(positions)

    def _in_turn(
        self, pipeline: Pipeline, positions: Sequence[int], path: tuple[str, ...]
    ) -> tuple[BaseEstimator | str, NDArray | slice]:
        steps = [one for one in pipeline.steps if not is_word(one[1], "passthrough")]
        if not steps:
            return self._transforms("passthrough", positions, path)
        if all(map(self.space.is_discrete, positions)):
            return "passthrough", self._looked_up(pipeline, positions, flat=False)
        (name, first), *others = steps
        before, columns = self._transforms(first, positions, (*path, name))
        return Pipeline([(name, before), *others]), columns

    def _of_each(
        self, transformer: ColumnTransformer, positions: Sequence[int], path: tuple[str, ...]
    ) -> Beside:
        reader = Reader(self.space, tuple(positions))
        branches: list[Branch] = []
        for name, step, columns in transformer.transformers_:
            if is_word(step, "drop"):
                continue
            taken, within = reader.positions_of(transformer, columns), (*path, name)
            if not len(taken):
                continue
            if is_flat(columns):
                if not all(map(self.space.is_discrete, taken)):
                    reason = f"it takes {self._named(taken)} as a vector, and it moves"
                    raise NotCertifiableError(step, within, reason)
                branches.append((name, "passthrough", self._looked_up(step, taken, flat=True)))
            else:
                branches.append((name, *self._transforms(step, taken, within)))
        return self._beside(branches, transformer.transformer_weights)

    def _beside(self, branches: list[Branch], weights: dict[str, float] | None = None) -> Beside:
        beside = Beside(branches, weights)
        self.made.append(beside)
        return beside

    def _looked_up(self, step: BaseEstimator, positions: Sequence[int], flat: bool) -> NDArray:
        """Return the columns of a new block, of what a transformer makes of columns that stay."""
        lookup = LookedUp(step, self.space, positions, flat)
        with torch.no_grad():
            n_columns = lookup(self.points).shape[1]
        if lookup.has_refused:
            raise NotCertifiableError(
                step, reason=f"what it makes of {self._named(positions)} is not numbers"
            )
        if self.width + n_columns > MOST_COLUMNS:
            reason = (
                f"of {self._named(positions)} it makes {n_columns} columns; all encodings together "
                f"may have {MOST_COLUMNS} for a certificate"
            )
            raise NotCertifiableError(step, reason=reason)
        self.lookups.append(lookup)
        self.width += n_columns
        return np.arange(self.width - n_columns, self.width)

    def _boosting(
        self, boosting: HistGradientBoostingClassifier | HistGradientBoostingRegressor
    ) -> BaseEstimator:
        """Return boosting with native categories, of their codes in their place."""
        is_categorical = np.asarray(boosting.is_categorical_)
        native = np.flatnonzero(is_categorical).tolist()
        if moving := [one for one in native if not self.space.is_discrete(one)]:
            reason = (
                f"{self._named(moving)} holds native categories, which have no distances; keep it "
                "as it is, with immutable= of the threat"
            )
            raise NotCertifiableError(boosting, reason=reason)
        others = np.flatnonzero(~is_categorical).tolist()
        if text := [one for one in others if not self.space.is_number(one)]:
            raise NotCertifiableError(boosting, reason=f"it reads {self._named(text)} itself")
        encoder = boosting._preprocessor.named_transformers_["encoder"]
        at = np.empty(len(is_categorical), dtype=int)
        at[native] = self._looked_up(encoder, native, flat=False)
        at[others] = self._at(others)
        copied = copy.copy(boosting)
        copied._preprocessor = CategoriesFirst(is_categorical)
        columns = self._beside([("columns", "passthrough", at)])
        return Pipeline([("columns", columns), ("predict", copied)])

    def _at(self, positions: Sequence[int]) -> NDArray:
        """Return the columns of columns of numbers."""
        return np.array([self.numbers.index(one) for one in positions], dtype=int)

    def _named(self, positions: Sequence[int]) -> str:
        names = ", ".join(repr(self.space.names[one]) for one in positions[:3])
        more = ", ..." if len(positions) > 3 else ""  # noqa: PLR2004
        return f"column{'s' if len(positions) > 1 else ''} {names}{more}"

    def _mixed(self, positions: Sequence[int]) -> str:
        text = [one for one in positions if not self.space.is_number(one)]
        moved = [one for one in positions if not self.space.is_discrete(one)]
        if not moved:
            return f"it passes on {self._named(text)}, which holds no numbers"
        return (
            f"it takes {self._named(text)}, which holds no numbers, beside {self._named(moved)}, "
            "which moves; give each a transformer of its own in a ColumnTransformer"
        )


class CategoriesFirst:
    """The first step of histogram boosting, where categories come as codes.

    Parameters
    ----------
    is_categorical : ndarray of bool, shape (n_features,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._certificates.encoders import CategoriesFirst
    >>> CategoriesFirst(np.array([False, True])).transform(np.array([[0.5, 2.0]]))
    array([[2. , 0.5]])
    """

    def __init__(self, is_categorical: NDArray) -> None:
        self.is_categorical = is_categorical
        self.named_transformers_ = {"encoder": AsItIs()}

    def transform(self, X: NDArray) -> NDArray:
        """Return the columns of categories, and after them the others, in float64."""
        first, others = X[:, self.is_categorical], X[:, ~self.is_categorical]
        return np.hstack([first, others]).astype(np.float64)


class AsItIs:
    """An encoder of what is encoded.

    Examples
    --------
    >>> from sklearn_iso._certificates.encoders import AsItIs
    >>> AsItIs().transform(2)
    2
    """

    def transform(self, X: NDArray) -> NDArray:
        """Return X."""
        return X
