"""A batch that does not fit into memory says which parameter to lower."""

import numpy as np
import pytest
import torch

from sklearn_iso import IsometricClassifier
from sklearn_iso.penalties import Penalty, WithinClassIsometry

# A million rows: their distances would take terabytes.
X = np.linspace(0, 1, 10**6, dtype=np.float32)[:, None]
y = np.arange(len(X)) % 2


class AllPairs(Penalty):
    """A penalty that asks torch for the memory."""

    def __call__(self, batch):
        n = len(batch.X)
        return torch.zeros(n, n).mean() + batch.logits.square().mean()


@pytest.mark.parametrize("penalty", [WithinClassIsometry(max_rows=None), AllPairs()])
def test_batch_that_is_too_large_names_the_parameter_to_lower(penalty):
    params = {"hidden_layer_sizes": (1,), "max_epochs": 1, "random_state": 0}
    model = IsometricClassifier(penalty=penalty, batch_size=len(X), **params)
    with pytest.raises(MemoryError, match="batch_size=1000000 does not .*Lower batch_size, or max"):
        model.fit(X, y)


def test_other_runtime_errors_stay_what_they_are():
    class Failing(Penalty):
        def __call__(self, batch):
            raise RuntimeError("of my own")

    with pytest.raises(RuntimeError, match="^of my own$"):
        IsometricClassifier(penalty=Failing(), max_epochs=1).fit(X[:10], y[:10])
