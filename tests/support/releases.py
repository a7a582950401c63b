"""What the tests know of older releases of other packages."""

from __future__ import annotations

import pytest
import sklearn
import torch
from sklearn.utils.fixes import parse_version
from torch.torch_version import TorchVersion

SKLEARN_1_8 = parse_version(sklearn.__version__) >= parse_version("1.8")

#: scikit-learn 1.7 reads no names off today's frames of polars, and asks the scaler of a pipeline
#: about the weights of its score.
since_1_8 = pytest.mark.skipif(not SKLEARN_1_8, reason="needs scikit-learn 1.8")
#: Graphs of ONNX are exported by the torch that the extra asks for.
exports = pytest.mark.skipif(
    torch.__version__ < TorchVersion("2.13"), reason="the extra onnx needs torch 2.13"
)
