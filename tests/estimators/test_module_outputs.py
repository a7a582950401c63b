"""Modules of users that return more than logits, or write into their input, are as others."""

import pickle

import numpy as np
import pytest
import torch
from releases import exports
from sklearn.datasets import load_iris
from torch import nn

from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso.attacks import MinimumNormEnsemble
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    local_distortion,
    robustness_report,
)
from sklearn_iso.penalties import GlobalIsometry, WithinClassIsometry
from sklearn_iso.testing import check_lipschitz
from sklearn_iso.twins import as_torch

X, Y = load_iris(return_X_y=True)
X, Y = X[::3].astype(np.float32), Y[::3]
QUICK = {"max_epochs": 10, "learning_rate": 0.02, "random_state": 0}


class Plain(nn.Module):
    """Two layers, weights the same in every copy."""

    def __init__(self, n_outputs=3):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, n_outputs))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weights in self.parameters():
                weights.uniform_(-0.5, 0.5, generator=generator)

    def forward(self, X):
        return self.layers(X.clamp(max=3.0))


class WithExtra(Plain):
    """The same, and a second output."""

    def forward(self, X):
        return super().forward(X), {"mean": X.mean()}


class InPlace(Plain):
    """The same, and it spoils what it is given."""

    def forward(self, X):
        return self.layers(X.clamp_(max=3.0))


def fitted(kind, module, **params):
    if kind is IsometricTransformer:
        return kind(n_components=2, encoder=module(2), **QUICK, **params).fit(X)
    n_outputs = 3 if kind is IsometricClassifier else 1
    target = Y if n_outputs == 3 else X[:, 0]
    return kind(module=module(n_outputs), **QUICK, **params).fit(X, target)


KINDS = [IsometricClassifier, IsometricRegressor, IsometricTransformer]


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_of_several_outputs_has_the_twin_of_its_first(kind):
    plain, extra = fitted(kind, Plain), fitted(kind, WithExtra)
    rows = torch.from_numpy(X)
    with torch.no_grad():
        expected = plain.to_torch()(rows)
        for twin in (
            as_torch(extra),
            extra.to_torch(),
            pickle.loads(pickle.dumps(extra.to_torch())),
        ):
            assert torch.equal(twin(rows), expected)
    assert plain.to_torch().state_dict().keys() == extra.to_torch().state_dict().keys()
    if kind is not IsometricRegressor:
        assert local_distortion(extra, X[:5]) == local_distortion(plain, X[:5])


def test_a_classifier_of_several_outputs_has_the_figures_of_its_first():
    plain, extra = fitted(IsometricClassifier, Plain), fitted(IsometricClassifier, WithExtra)
    eps = {"eps": 0.3, "attack": "fgsm"}
    assert adversarial_accuracy(extra, X, Y, **eps) == adversarial_accuracy(plain, X, Y, **eps)
    np.testing.assert_array_equal(
        *(
            adversarial_distance(model, X, Y, attack=MinimumNormEnsemble(n_steps=5))
            for model in (extra, plain)
        )
    )
    first, second = (
        robustness_report(model, X, Y, eps=[0.3], attack="fgsm", n_diagnosed=9, random_state=0)
        for model in (extra, plain)
    )
    assert str(first) == str(second) and first.kind == "white-box"


@pytest.mark.parametrize(
    "kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])]
)
@exports
def test_a_graph_of_a_module_of_several_outputs_answers_as_the_estimator(kind):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from sklearn_iso.persistence import to_onnx

    model = fitted(kind, WithExtra)
    graph = to_onnx(model, X).SerializeToString()
    session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = session.run(None, {"X": X})
    if kind is IsometricClassifier:
        np.testing.assert_array_equal(found[0], model.predict(X))
        np.testing.assert_allclose(found[1], model.predict_proba(X), atol=1e-5)
    else:
        answer = model.transform if kind is IsometricTransformer else model.predict
        np.testing.assert_allclose(found[0], answer(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("penalty", ["isometric", "within_class", "worst_case"])
def test_a_module_that_writes_into_its_input_trains_and_breaks_as_one_that_does_not(penalty):
    pure, writes = (fitted(IsometricClassifier, kind, penalty=penalty) for kind in (Plain, InPlace))
    rows = X.copy()
    np.testing.assert_array_equal(writes.predict_proba(rows), pure.predict_proba(rows))
    eps = {"eps": 0.3, "attack": "pgd", "random_state": 0}
    assert adversarial_accuracy(writes, rows, Y, **eps) == adversarial_accuracy(pure, X, Y, **eps)
    np.testing.assert_array_equal(rows, X)


@pytest.mark.parametrize("penalty", [GlobalIsometry, WithinClassIsometry])
def test_a_metric_that_writes_into_its_rows_trains_as_one_that_does_not(penalty):
    def pure(rows):
        return torch.cdist(rows.flatten(1) * 2, rows.flatten(1) * 2)

    def writes(rows):
        rows.mul_(2)
        return torch.cdist(rows.flatten(1), rows.flatten(1))

    first, second = (
        fitted(IsometricClassifier, Plain, penalty=penalty(metric=metric)).predict_proba(X)
        for metric in (pure, writes)
    )
    np.testing.assert_array_equal(first, second)


def test_lipschitz_constants_are_those_of_the_first_output():
    assert check_lipschitz(WithExtra(), X, radius=0.1, bound=100.0) == check_lipschitz(
        Plain(), X, radius=0.1, bound=100.0
    )
