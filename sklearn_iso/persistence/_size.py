"""How much memory a file may ask for: little more than it is large itself."""

from __future__ import annotations

from typing import AnyStr

from numpy.typing import NDArray

#: Bytes that a file may become in memory for each byte that it has, and for any file.
FACTOR, SPARE = 8, 64 * 2**20
#: Bytes of Python objects: a list, a dict, an entry of a dict, a value, a text; an array, an
#: object, one with a state of its own making; and of a module for an array of weights.
LIST, DICT, ENTRY, VALUE, TEXT = 88, 232, 100, 32, 25
ARRAY, OBJECT, MADE, MODULE = 256, 1024, 65536, 3072


class DecodedSizeError(ValueError):
    """A file asks for much more memory than it is large."""


class SizeLimit:
    """Bytes that a file may still become in memory.

    A file of text and references may stand for any amount of memory, as one array that is named
    three thousand times does: what is decoded is charged before it is built.

    Parameters
    ----------
    n_bytes : int or None
        Size of the file; None for no limit.

    Raises
    ------
    DecodedSizeError
        By :meth:`charge`, when the file has become too much.

    Examples
    --------
    >>> from sklearn_iso.persistence._size import SizeLimit
    >>> limit = SizeLimit(1000)
    >>> limit.charge(50 * 2**20)
    >>> limit.charge(50 * 2**20)
    Traceback (most recent call last):
        ...
    sklearn_iso.persistence._size.DecodedSizeError: more than 8 times its size and 64 MiB
    """

    def __init__(self, n_bytes: int | None) -> None:
        self.left = None if n_bytes is None else FACTOR * n_bytes + SPARE

    def charge(self, n_bytes: int) -> None:
        """Take bytes off what is left."""
        if self.left is None:
            return
        self.left -= int(n_bytes)
        if self.left < 0:
            raise DecodedSizeError(f"more than {FACTOR} times its size and {SPARE >> 20} MiB")


def json_bytes(text: AnyStr) -> int:
    """Return about how many bytes the objects of JSON take, before it is parsed.

    Parameters
    ----------
    text : str or bytes

    Examples
    --------
    >>> from sklearn_iso.persistence._size import json_bytes
    >>> json_bytes("[[], [], []]")
    416
    """
    costs = {"[": LIST, "{": DICT, ",": VALUE, '"': TEXT}
    if isinstance(text, bytes):
        return sum(cost * text.count(sign.encode()) for sign, cost in costs.items())
    return sum(cost * text.count(sign) for sign, cost in costs.items())


def text_bytes(texts: list[str]) -> int:
    """Return the bytes of texts in an array of NumPy's, which pads all to the longest.

    Examples
    --------
    >>> from sklearn_iso.persistence._size import text_bytes
    >>> text_bytes(["a", "ten letters"])
    88
    """
    return 4 * len(texts) * max(map(len, texts), default=0)


def check_text(array: NDArray) -> None:
    """Raise a ValueError for an array of text that would be too large when it is read."""
    texts = array.ravel().tolist()
    if text_bytes(texts) > SPARE // 16 + FACTOR // 2 * sum(map(len, texts)):
        raise ValueError(
            f"Text of a model file must be of similar lengths, as NumPy pads all {array.size} to "
            f"the longest, {max(map(len, texts))} characters. Fit to y.astype(object), or encode "
            "the labels with sklearn.preprocessing.LabelEncoder."
        )
