"""What fits into memory takes no more than it must; what does not says what to lower."""

import numpy as np
import pytest
import torch
from memory import held, needs_status
from torch.multiprocessing.reductions import StorageWeakRef

from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso.penalties import Penalty, WithinClassIsometry

# A million rows: their distances would take terabytes.
X = np.linspace(0, 1, 10**6, dtype=np.float32)[:, None]
y = np.arange(len(X)) % 2


class AllPairs(Penalty):
    """A penalty that asks torch for the memory."""

    def __call__(self, batch):
        n = len(batch.X)
        return torch.zeros(n, n).mean() + batch.logits.square().mean()


@pytest.mark.parametrize("penalty", [WithinClassIsometry(max_samples=None), AllPairs()])
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


QUICK = {"hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0}

MODELS = pytest.mark.parametrize(
    ("model", "method"),
    [
        (IsometricRegressor(**QUICK), "predict"),
        (IsometricClassifier(**QUICK), "predict_proba"),
        (IsometricTransformer(n_components=1, **QUICK), "transform"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)


def mapped_and_predictions(model, method, look, path, n_samples):
    """Return a memory map and what a model says of it, with a look at each batch's output."""
    mapped = np.memmap(path, dtype=np.float32, mode="w+", shape=(n_samples, 500))
    X = np.random.default_rng(0).normal(size=(20, 500)).astype(np.float32)
    module = model.fit(X, np.arange(20) % 2).net_.module_
    mapped[-20:] = X
    predict = getattr(model, method)
    last = predict(X)
    with getattr(module, "encoder", module).register_forward_hook(look):
        found = predict(mapped)
    assert len(found) == n_samples
    np.testing.assert_allclose(found[-20:], last, rtol=1e-5)  # another size of batch
    return mapped, found


@needs_status
@MODELS
def test_predicting_from_a_memory_map_takes_a_small_part_of_it(model, method, tmp_path):
    sizes = []
    look = lambda *_: sizes.append(held())  # noqa: E731
    mapped, _ = mapped_and_predictions(model, method, look, tmp_path / "X", 60_000)
    assert max(sizes) - sizes[0] < 0.2 * mapped.nbytes


@MODELS
def test_predictions_are_filled_in_and_not_kept_by_batch(model, method, tmp_path):
    # Small outputs that live on between large batches keep the heap from being used again.
    outputs = []

    def look(module, args, output):
        outputs.append(StorageWeakRef(output.untyped_storage()))
        assert sum(not known.expired() for known in outputs) <= 2

    mapped_and_predictions(model, method, look, tmp_path / "X", 6000)
    assert len(outputs) == 6


def test_module_that_returns_another_number_of_samples_is_refused():
    class AtMost(torch.nn.Linear):
        def forward(self, X):
            return super().forward(X)[: 1 if len(X) == 976 else None]

    model = IsometricRegressor(module=AtMost, alpha=0, max_epochs=1, random_state=0)
    X = np.linspace(0, 1, 2000)[:, None]
    with pytest.raises(ValueError, match=r"one output for each sample.*\(976, 1\).*\(1, 1\)"):
        model.fit(X, X[:, 0]).predict(X)
