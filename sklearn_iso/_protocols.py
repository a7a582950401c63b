"""What the package asks of objects that others wrote: scikit-learn's conventions, as protocols.

scikit-learn has no type hints, and an estimator need not inherit from it. What goes into a method
of an estimator is Any here: whoever writes one decides which containers it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx

if TYPE_CHECKING:
    from pandas import DataFrame, Series

#: What decides draws, as functions that scikit-learn checks take it.
RandomState = int | np.random.RandomState | None
#: Floats in the precision that came in.
Floats = NDArray[np.floating]
#: What samples come in.
Samples = Union[ArrayLike, "Sparse", "Frame"]
#: A measure of samples and their images, one number.
Measure = Callable[[NDArray, NDArray], float]


class Parametrized(Protocol):
    """An estimator that tells its parameters."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""


class Predictor(Protocol):
    """A fitted estimator that predicts."""

    def predict(self, X: Any, /) -> NDArray:
        """Return a prediction for each sample."""


class Classifier(Predictor, Protocol):
    """A fitted classifier."""

    @property
    def classes_(self) -> ArrayLike | Sequence[ArrayLike]:
        """Return the classes in order: an array, or one for each level of labels."""


class Transformer(Protocol):
    """A fitted estimator that represents samples by others."""

    def transform(self, X: Any, /) -> ArrayLike:
        """Return the representation of each sample."""


class Decider(Protocol):
    """A fitted estimator whose decision function represents samples."""

    def decision_function(self, X: Any, /) -> ArrayLike:
        """Return the values that decide for each sample."""


class Scorer(Protocol):
    """A scorer, as ``scoring`` of scikit-learn takes it."""

    def __call__(self, estimator: Any, X: Any, y: Any, /) -> float:
        """Return the score of a fitted estimator."""


class Splitter(Protocol):
    """A splitter of scikit-learn."""

    def split(self, X: Any, y: Any = None, /) -> Iterable[tuple[NDArray, NDArray]]:
        """Yield the samples to train and to test on."""


class Search(Protocol):
    """A fitted search over parameters, such as GridSearchCV."""

    cv_results_: dict[str, NDArray]
    scorer_: Scorer | dict[str, Scorer]


class Context(FunctionCtx):
    """What a function of torch's autograd hands on from forward to backward."""

    saved_tensors: tuple[Tensor, ...]


class Sparse(Protocol):
    """A sparse matrix or array of scipy."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the numbers of samples and of columns."""

    def toarray(self) -> NDArray:
        """Return it as a dense array."""


class Entries(Protocol):
    """A column: a Series of pandas or polars, or an array of one dimension.

    What one of them alone has is asked for by hasattr.
    """

    @property
    def dtype(self) -> Any:
        """Return the type of the entries, in the words of the library."""

    def __len__(self) -> int:
        """Return the number of entries."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return an entry, or some of them."""

    def __array__(self) -> NDArray:
        """Return them as an array."""


class Frame(Protocol):
    """A DataFrame of pandas or polars: what stands in a cell may be anything."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of samples and of columns."""

    @property
    def columns(self) -> Iterable[Hashable]:
        """Return the names of the columns."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return a column, or some rows."""

    def __array__(self) -> NDArray:
        """Return the cells as an array."""


class Graph(Protocol):
    """What a directed graph of networkx has, its edges from coarse to fine."""

    @property
    def nodes(self) -> Iterable[Hashable]:
        """Return the labels."""

    def predecessors(self, n: Any, /) -> Iterable[Hashable]:
        """Return the labels above one."""


#: What tells the label above each: one, several in a container of which there may be one, or none.
Hierarchy = Mapping[Any, Hashable] | Graph


def is_frame(X: object) -> TypeGuard[Frame]:
    """Return whether samples come in a DataFrame.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso._protocols import is_frame
    >>> is_frame(pd.DataFrame({"age": [42]})), is_frame([[42]])
    (True, False)
    """
    return hasattr(X, "columns") and hasattr(X, "dtypes")


def is_pandas(X: object) -> TypeGuard[Series | DataFrame]:
    """Return whether a column or samples come in a container of pandas.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso._protocols import is_pandas
    >>> is_pandas(pd.Series([42])), is_pandas([42])
    (True, False)
    """
    return hasattr(X, "iloc")


def is_sparse(X: object) -> TypeGuard[Sparse]:
    """Return whether samples come in a sparse matrix.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from sklearn_iso._protocols import is_sparse
    >>> is_sparse(csr_array([[1.0]])), is_sparse([[1.0]])
    (True, False)
    """
    return hasattr(X, "toarray")


def is_graph(hierarchy: object) -> TypeGuard[Graph]:
    """Return whether a hierarchy comes as a directed graph.

    Examples
    --------
    >>> import networkx as nx
    >>> from sklearn_iso._protocols import is_graph
    >>> is_graph(nx.DiGraph()), is_graph({"owl": "bird"})
    (True, False)
    """
    return hasattr(hierarchy, "predecessors") and hasattr(hierarchy, "nodes")
