"""Laws of compiled modules and of half precision: the results stay those of the module."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from sklearn_iso import IsometricClassifier
from sklearn_iso.modules import represent_many
from sklearn_iso.modules._compiled import is_compiled
from sklearn_iso.penalties import LocalIsometry, WorstCaseIsometry

X, y = load_digits(return_X_y=True)
X, y = (X[:300] / 16).astype(np.float32), y[:300]


class Plain(nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.inner, self.head = nn.Linear(n_features, 16), nn.Linear(16, n_outputs)

    def forward(self, X):
        return self.head(self.inner(X).relu())


class Mixed(Plain):
    def forward(self, X):
        with torch.autocast(X.device.type, dtype=torch.bfloat16):
            return super().forward(X)


def compiled(n_features, n_outputs, backend="aot_eager"):
    network = Plain(n_features, n_outputs)
    network.compile(backend=backend)
    return network


def classifier(**params):
    quick = {"max_epochs": 3, "batch_size": 100, "random_state": 0, "learning_rate": 0.01}
    return IsometricClassifier(**quick | params)


PENALTIES = pytest.mark.parametrize(
    "penalty",
    ["isometric", WorstCaseIsometry(n_steps=3), LocalIsometry(layers="logits"), "jacobian"],
    ids=["isometric", "worst case", "local", "jacobian"],
)


@PENALTIES
def test_a_compiled_module_trains_as_it_is_written(penalty):
    written = classifier(module=Plain, penalty=penalty).fit(X, y)
    found = classifier(module=compiled, penalty=penalty).fit(X, y)
    assert is_compiled(found.net_.module_)
    np.testing.assert_allclose(found.loss_curve_, written.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(found.predict_proba(X), written.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(found.transform(X), written.transform(X), atol=1e-5)


@pytest.mark.slow
# What the backend warns of when it is imported is torch's own affair.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_the_default_backend_trains_as_the_module_is_written():
    written = classifier(module=Plain).fit(X, y)
    found = classifier(module=partial(compiled, backend="inductor")).fit(X, y)
    np.testing.assert_allclose(found.loss_curve_, written.loss_curve_, rtol=1e-4)


def test_a_copy_of_a_compiled_module_is_a_plain_one():
    clf = classifier(module=compiled).fit(X, y)
    assert not is_compiled(clf.to_torch())
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_allclose(again.predict_proba(X), clf.predict_proba(X), atol=1e-6)


def test_hooks_see_what_a_compiled_module_computes():
    module = compiled(64, 10)
    rows = torch.from_numpy(X)
    module(rows)  # compiled now, without hooks
    _, ((hidden,), (named,)) = represent_many(module, rows, ["hidden", ["inner"]])
    torch.testing.assert_close(hidden, module.inner(rows).relu())
    torch.testing.assert_close(named, module.inner(rows))


def test_what_a_module_computes_in_half_precision_is_measured_in_float32():
    module = Mixed(64, 10)
    logits, ((hidden,),) = represent_many(module, torch.from_numpy(X), ["hidden"])
    assert module(torch.from_numpy(X)).dtype == torch.bfloat16
    assert logits.dtype == hidden.dtype == torch.float32


@PENALTIES
def test_half_precision_learns_about_as_well(penalty):
    full, half = (
        classifier(module=m, penalty=penalty, max_epochs=20, alpha=0.1).fit(X, y)
        for m in (Plain, Mixed)
    )
    assert half.predict_proba(X).dtype == np.float32
    assert half.score(X, y) > full.score(X, y) - 0.03
    assert half.transform(X).dtype == np.float32
