"""One safetensors file whose header says what the arrays mean, sealed by a checksum."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.numpy
from numpy.typing import NDArray

from sklearn_iso._version import __version__
from sklearn_iso.exceptions import ModelFileError
from sklearn_iso.persistence._size import DecodedSizeError, SizeLimit, json_bytes

#: Version of the layout; a reader refuses files of a higher one.
FORMAT = 1

_KEY = "sklearn_iso"
#: Of Windows, where files are text unless told otherwise.
_BINARY = getattr(os, "O_BINARY", 0)
_ZEROS = "0" * 64
#: Bytes that safetensors itself takes for a header at most.
_LONGEST_HEADER = 100_000_000
#: The checksum as it stands in the file: JSON inside of a JSON string.
_SEAL = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')


def write(
    path: str | os.PathLike[str], content: Mapping[str, object], arrays: dict[str, NDArray]
) -> None:
    """Write JSON and arrays as one file, at once or not at all.

    Who may read it is as for ``open(path, "wb")``: a file that is there keeps its mode, a new one
    gets that of the umask.

    Parameters
    ----------
    path : path-like
    content : dict
        What JSON can hold.
    arrays : dict of str to ndarray

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from sklearn_iso.persistence._file import read, write
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "model.safetensors"
    ...     write(file, {"of": "a0"}, {"a0": np.arange(3)})
    ...     content, arrays = read(file)
    >>> content["of"], arrays["a0"]
    ('a0', array([0, 1, 2]))
    """
    header = {"sha256": _ZEROS, "format": FORMAT, "version": __version__} | dict(content)
    raw = safetensors.numpy.save(arrays, {_KEY: json.dumps(header, allow_nan=False)})
    write_bytes(path, _sealed(raw, hashlib.sha256(raw).hexdigest().encode()))


def write_bytes(path: str | os.PathLike[str], raw: bytes) -> None:
    """Write a file at once or not at all.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn_iso.persistence._file import write_bytes
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "model"
    ...     write_bytes(file, b"content")
    ...     file.read_bytes()
    b'content'
    """
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(8)}")
    # As open() does, unlike tempfile, which lets nobody else read the file.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            with suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())  # on the disk before it takes the old one's name
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def check_path(path: str | os.PathLike[str]) -> None:
    """Raise a ValueError unless this may be the path of a file.

    Examples
    --------
    >>> from sklearn_iso.persistence._file import check_path
    >>> check_path("model.safetensors")
    """
    if not isinstance(path, str | os.PathLike) or os.fspath(path) in ("", ".", b"", b"."):
        raise ValueError(f"path must name a file; got {path!r}.")
    if "\0" in str(path):
        raise ValueError(f"path must not hold the character NUL; got {path!r}.")


def read_header(path: str | os.PathLike[str]) -> bytes:
    """Return the first bytes of a file, up to its arrays, which nobody has checked so far.

    Raises
    ------
    ModelFileError
        If the file is no model file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn_iso.persistence._file import read_header, write
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "model.safetensors"
    ...     write(file, {"of": "nothing"}, {})
    ...     b"nothing" in read_header(file)
    True
    """
    check_path(path)
    with open(path, "rb") as stream:
        raw = stream.read(8)
        length = int.from_bytes(raw, "little")
        if length <= _LONGEST_HEADER:
            raw += stream.read(length)
    if len(raw) != 8 + length or _SEAL.search(raw) is None:
        raise ModelFileError(
            f"{os.fspath(path)!r} is no model file of this package, or was changed since it was "
            "written. Load what an estimator's save(path) wrote."
        )
    return raw


def read(
    path: str | os.PathLike[str], limit: SizeLimit | None = None
) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Return the JSON and the arrays of a file.

    Parameters
    ----------
    path : path-like
    limit : SizeLimit, optional
        Is charged with the JSON before it is parsed; no limit by default.

    Raises
    ------
    DecodedSizeError
        If the JSON is beyond the limit.
    ModelFileError
        If the file is no model file, was changed since it was written, or is of a newer version.
    """
    header = read_header(path)
    raw = Path(path).read_bytes()
    found = _SEAL.search(header)
    assert found is not None  # or it would be no header
    if _digest(raw, found.start(1)).encode() != found[1]:
        raise ModelFileError(
            f"A model file must be as it was written; the checksum of {os.fspath(path)!r} does "
            "not fit its content. Copy or save it again."
        )
    try:
        content = _content(header, limit or SizeLimit(None))
        newer = content["format"] > FORMAT
        arrays = {} if newer else safetensors.numpy.load(raw)
    except DecodedSizeError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError) as error:
        raise ModelFileError(f"{os.fspath(path)!r} is no model file: {error}.") from error
    if newer:
        raise ModelFileError(
            f"{os.fspath(path)!r} is of format {content['format']}, written by sklearn-iso "
            f"{content.get('version')}; sklearn-iso {__version__} reads up to format {FORMAT}. "
            "Upgrade with pip install -U sklearn-iso."
        )
    return content, arrays


def _content(header: bytes, limit: SizeLimit) -> dict[str, Any]:
    """Return the JSON of this package, which is a text in the JSON of safetensors."""
    outer = json_bytes(header)
    limit.charge(outer)
    text = json.loads(header[8:])["__metadata__"][_KEY]
    limit.charge(max(0, json_bytes(text) - outer))  # a bracket may have come as \u005b
    return json.loads(text)


def _digest(raw: bytes, start: int) -> str:
    """Return the checksum of a file, in which the place of the checksum is zeros."""
    view, digest = memoryview(raw), hashlib.sha256()
    for part in (view[:start], _ZEROS.encode(), view[start + len(_ZEROS) :]):
        digest.update(part)
    return digest.hexdigest()


def _sealed(raw: bytes, digest: bytes) -> bytes:
    """Return a file with its checksum set."""
    found = _SEAL.search(raw)
    if found is None:
        raise ValueError("no place for a checksum")
    return raw[: found.start(1)] + digest + raw[found.end(1) :]
