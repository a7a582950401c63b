"""What the tests know of older releases of other packages."""

from __future__ import annotations

import doctest
from importlib.util import find_spec

import pytest
import sklearn
import torch
from sklearn.utils.fixes import parse_version
from torch.torch_version import TorchVersion

SKLEARN_1_8 = parse_version(sklearn.__version__) >= parse_version("1.8")
TORCH_2_13 = torch.__version__ >= TorchVersion("2.13")

#: scikit-learn 1.7 reads no names off today's frames of polars, and asks the scaler of a pipeline
#: about the weights of its score.
since_1_8 = pytest.mark.skipif(not SKLEARN_1_8, reason="needs scikit-learn 1.8")
#: Graphs of ONNX are exported by the torch that the extra asks for.
exports = pytest.mark.skipif(not TORCH_2_13, reason="the extra onnx needs torch 2.13")
#: Callbacks that a search or a pipeline hands to its estimators.
calls_back = pytest.mark.skipif(
    find_spec("sklearn.callback") is None, reason="needs a scikit-learn with callbacks"
)
#: torch compiles what is written in a page, whose source is not a file of Python.
compiles_pages = pytest.mark.skipif(
    not TORCH_2_13, reason="older releases of torch read the source"
)


def _doctest_sees_messages() -> bool:
    error = ValueError("message")
    error.__notes__ = ["a note"]
    text = ">>> raise error\nTraceback (most recent call last):\nValueError: message..."
    example = doctest.DocTestParser().get_doctest(text, {"error": error}, "notes", None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    return runner.run(example, out=lambda _: None).failed == 0


#: The first patches of Python 3.11 compare the notes of an error, which hypothesis adds, and not
#: its message.
sees_messages = pytest.mark.skipif(
    not _doctest_sees_messages(), reason="doctest of this Python reads notes for the message"
)
