"""Signatures of measures: one number, or with ``return_std_error=True`` its error beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict, cast, overload

from numpy.typing import ArrayLike

from sklearn_iso._protocols import RandomState

if TYPE_CHECKING:
    from typing_extensions import Unpack

Metric = Literal["euclidean", "l2", "cityblock", "manhattan", "l1", "chebyshev", "linf", "infinity"]
#: What a measure returns.
Found = float | tuple[float, float]


class SamplingParameters(TypedDict, total=False):
    """Parameters by which pairs are drawn."""

    metric: Metric
    max_exact: int
    n_pairs: int
    random_state: RandomState


class NeighbourParameters(TypedDict, total=False):
    """Parameters of measures of neighbourhoods."""

    n_neighbors: int
    metric: str
    max_exact: int
    random_state: RandomState
    sample_weight: ArrayLike | None


class QuantileMeasure(Protocol):
    """A measure of pairs of points, at a quantile."""

    @overload
    def __call__(
        self,
        X: ArrayLike,
        Z: ArrayLike,
        y: ArrayLike | None = ...,
        *,
        quantile: float = ...,
        return_std_error: Literal[False] = ...,
        sample_weight: ArrayLike | None = ...,
        **sampling: Unpack[SamplingParameters],
    ) -> float: ...

    @overload
    def __call__(
        self,
        X: ArrayLike,
        Z: ArrayLike,
        y: ArrayLike | None = ...,
        *,
        quantile: float = ...,
        return_std_error: Literal[True],
        sample_weight: ArrayLike | None = ...,
        **sampling: Unpack[SamplingParameters],
    ) -> tuple[float, float]: ...


class PairMeasure(Protocol):
    """A measure of pairs of points."""

    @overload
    def __call__(
        self,
        X: ArrayLike,
        Z: ArrayLike,
        y: ArrayLike | None = ...,
        *,
        return_std_error: Literal[False] = ...,
        sample_weight: ArrayLike | None = ...,
        **sampling: Unpack[SamplingParameters],
    ) -> float: ...

    @overload
    def __call__(
        self,
        X: ArrayLike,
        Z: ArrayLike,
        y: ArrayLike | None = ...,
        *,
        return_std_error: Literal[True],
        sample_weight: ArrayLike | None = ...,
        **sampling: Unpack[SamplingParameters],
    ) -> tuple[float, float]: ...


class NeighbourMeasure(Protocol):
    """A measure of neighbourhoods."""

    @overload
    def __call__(
        self,
        X: ArrayLike,
        Z: ArrayLike,
        *,
        return_std_error: Literal[False] = ...,
        **options: Unpack[NeighbourParameters],
    ) -> float: ...

    @overload
    def __call__(
        self,
        X: ArrayLike,
        Z: ArrayLike,
        *,
        return_std_error: Literal[True],
        **options: Unpack[NeighbourParameters],
    ) -> tuple[float, float]: ...


def of_quantile(measure: Callable[..., Found]) -> QuantileMeasure:
    """Return a measure as it is, and tell a type checker what it returns when.

    Examples
    --------
    >>> from sklearn_iso.metrics._signatures import of_quantile
    >>> of_quantile(max) is max
    True
    """
    return cast(QuantileMeasure, measure)


def of_pairs(measure: Callable[..., Found]) -> PairMeasure:
    """Return a measure as it is, and tell a type checker what it returns when.

    Examples
    --------
    >>> from sklearn_iso.metrics._signatures import of_pairs
    >>> of_pairs(max) is max
    True
    """
    return cast(PairMeasure, measure)


def of_neighbours(measure: Callable[..., Found]) -> NeighbourMeasure:
    """Return a measure as it is, and tell a type checker what it returns when.

    Examples
    --------
    >>> from sklearn_iso.metrics._signatures import of_neighbours
    >>> of_neighbours(max) is max
    True
    """
    return cast(NeighbourMeasure, measure)
