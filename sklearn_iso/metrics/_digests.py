"""Hashes of data and of fitted estimators: what a figure was measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from joblib.hashing import NumpyHasher
from numpy.typing import NDArray
from scipy.sparse import issparse, spmatrix
from sklearn.neighbors import BallTree, KDTree

#: Kinds of numbers, dates and text of numpy.
SIMPLE = "biufcmMSU"


@dataclass(frozen=True)
class Digest:
    """A hash, or why there is none.

    Attributes
    ----------
    sha256 : str or None
    of : str
        What was hashed, or why nothing could be.
    """

    sha256: str | None
    of: str


class StateHasher(NumpyHasher):
    """joblib's hasher, to which arrays of the same values are one however they lie in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._digests import StateHasher
    >>> X = np.arange(6.0).reshape(2, 3)
    >>> one, other = (StateHasher("sha256").hash(values) for values in (X.T, X.T.copy()))
    >>> one == other
    True
    """

    def save(self, obj: object) -> None:
        """Add an object to the hash."""
        if isinstance(obj, KDTree | BallTree):  # they count their queries
            obj = type(obj), obj.get_arrays()
        simple = isinstance(obj, np.ndarray) and obj.dtype.kind in SIMPLE
        # Not of structures, between whose parts a copy leaves bytes of no meaning.
        super().save(np.array(obj, order="C") if simple else obj)


def digest_of_data(X: object) -> Digest:
    r"""Return the SHA-256 of an array, a sparse matrix, a frame, a series or a list.

    The bytes are, for each column of a frame (an array is one column without a name; of a sparse
    matrix data, row numbers and column numbers of its coordinates): the name, the dtype and the
    shape as text, each ended by a zero byte; then the numbers in C order and little-endian, or of
    what is no number ``repr`` of each cell, each ended by a zero byte. The index of a frame does
    not count.

    Examples
    --------
    >>> import hashlib
    >>> import numpy as np
    >>> from sklearn_iso.metrics._digests import digest_of_data
    >>> X = np.array([1.0, 2.0])
    >>> told = b"\0".join([b"", b"float64", b"(2,)", X.astype("<f8").tobytes()])
    >>> digest_of_data(X).sha256 == hashlib.sha256(told).hexdigest()
    True
    """
    try:
        digest = _hash_of_columns(X)
    except MemoryError:
        raise
    except Exception as error:  # a container of somebody else's
        return Digest(None, f"the values cannot be read ({type(error).__name__})")
    return Digest(digest, f"columns of a {type(X).__name__}: name, dtype, shape, values")


def _hash_of_columns(X: object) -> str:
    state = hashlib.sha256()
    for name, kind, values in _columns(X):
        told = [name.encode(), kind.encode(), str(values.shape).encode()]
        state.update(b"".join(part + b"\0" for part in told))
        if values.dtype.kind in "biufcmM":
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            state.update(np.ascontiguousarray(little).reshape(-1).view(np.uint8).data)
        else:
            for cell in values.ravel().tolist():
                state.update(repr(cell).encode() + b"\0")
    return state.hexdigest()


def _columns(X: object) -> Iterator[tuple[str, str, NDArray]]:
    if issparse(X):
        cells = cast(spmatrix, X).tocoo()
        for name, values in (("data", cells.data), ("row", cells.row), ("col", cells.col)):
            yield name, str(values.dtype), values
    elif hasattr(X, "columns") and hasattr(X, "iloc"):
        for position, name in enumerate(X.columns):
            column = X.iloc[:, position]
            yield str(name), str(column.dtype), np.asarray(column)
    elif hasattr(X, "columns") and hasattr(X, "get_columns"):
        for column in X.get_columns():
            yield column.name, str(column.dtype), np.asarray(column)
    else:
        values = np.asarray(X.detach().cpu() if hasattr(X, "detach") else X)
        yield "", str(values.dtype), values


def digest_of_model(estimator: object) -> Digest:
    """Return the SHA-256 of the state of an estimator, as joblib's hasher reads it.

    The hasher walks through what pickle would store, parameters and fitted attributes, with
    dicts and sets in order, equal text as one and arrays in C order: the same estimator has the
    same hash in every process with the same versions of the libraries. Another version may store
    another state.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._digests import digest_of_model
    >>> one, other = (DummyClassifier().fit([[0], [1]], y) for y in ([0, 1], [0, 0]))
    >>> digest_of_model(one) == digest_of_model(one), digest_of_model(one) == digest_of_model(other)
    (True, False)
    """
    try:
        digest = StateHasher("sha256").hash(estimator)
    except MemoryError:
        raise
    except Exception as error:  # whatever a __reduce__ of somebody else raises
        return Digest(None, f"the state cannot be pickled ({type(error).__name__})")
    return Digest(
        digest, "state that pickle stores, arrays in C order, read by joblib.hashing.NumpyHasher"
    )
