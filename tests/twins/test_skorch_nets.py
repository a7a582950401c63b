"""Twins of skorch's classifiers and of our own."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from sklearn_iso import IsometricClassifier
from sklearn_iso.twins import NotDifferentiableError, as_torch, torch_function, verify

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)


def to_float32(X):
    return X.astype(np.float32)


@torch_function(to_float32)
def torch_to_float32(X):
    return X.to(torch.float32)


class Layers(nn.Module):
    def __init__(self, n_outputs=3, last=None, several=False):
        super().__init__()
        self.hidden, self.output = nn.Linear(4, 5), nn.Linear(5, n_outputs)
        self.last, self.several = last, several

    def forward(self, X):
        hidden = torch.tanh(self.hidden(X))
        output = self.output(hidden)
        output = output if self.last is None else self.last(output)
        return (output, hidden) if self.several else output


class WithFirstOutput(NeuralNetClassifier):
    """Trains on the first output of a module that returns several."""

    def get_loss(self, y_pred, *args, **kwargs):
        y_pred = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        return super().get_loss(y_pred, *args, **kwargs)


def fitted(kind, labels, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kind(Layers, max_epochs=3, lr=0.1, verbose=0, train_split=None, **options)
        return net.fit(X, labels)


MULTICLASS = {
    "logits": {"criterion": nn.CrossEntropyLoss},
    "tuple": {"criterion": nn.CrossEntropyLoss, "module__several": True},
    "probabilities": {"module__last": nn.Softmax(dim=1)},
    "nonlinearity": {
        "criterion": nn.CrossEntropyLoss,
        "predict_nonlinearity": lambda logits: torch.softmax(logits / 2, dim=1),
    },
}


@pytest.mark.parametrize("options", MULTICLASS.values(), ids=MULTICLASS.keys())
def test_scores_are_logits_or_logarithms_of_probabilities(options):
    net = fitted(WithFirstOutput, Y, **options)
    agreement = verify(as_torch(net), net, X)
    assert agreement.exact and agreement.share_equal == 1, agreement


def test_raw_scores_of_another_criterion_predict_alike():
    net = fitted(NeuralNetClassifier, Y, criterion=nn.MultiMarginLoss, predict_nonlinearity=None)
    assert verify(as_torch(net), net, X).share_equal == 1


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_binary_net_parts_its_scores_at_the_threshold(threshold):
    net = fitted(
        NeuralNetBinaryClassifier,
        (Y > 0).astype(np.float32),
        module__n_outputs=1,
        threshold=threshold,
    )
    twin = as_torch(net)
    predicted = twin(torch.tensor(X)).argmax(dim=1).numpy()
    np.testing.assert_array_equal(predicted, net.predict(X))
    np.testing.assert_allclose(
        twin.log_proba(torch.tensor(X)).exp(), net.predict_proba(X), atol=1e-6
    )


def test_binary_net_of_probabilities_is_refused():
    net = fitted(
        NeuralNetBinaryClassifier,
        (Y > 0).astype(np.float32),
        module__n_outputs=1,
        module__last=nn.Sigmoid(),
        criterion=nn.BCELoss,
    )
    with pytest.raises(NotDifferentiableError, match="module must return logits"):
        as_torch(net)


def test_net_at_the_end_of_a_pipeline_takes_float64():
    net = fitted(NeuralNetClassifier, Y, criterion=nn.CrossEntropyLoss)
    steps = FunctionTransformer(to_float32), StandardScaler()
    pipeline = make_pipeline(*steps, net)
    with torch.random.fork_rng():
        pipeline.fit(X.astype(np.float64), Y)
    twin = as_torch(pipeline)
    points = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    twin(points).sum().backward()
    assert points.grad.isfinite().all()
    assert verify(twin, pipeline, X).exact


def test_twin_is_a_frozen_copy():
    net = fitted(NeuralNetClassifier, Y, criterion=nn.CrossEntropyLoss)
    twin = as_torch(net)
    assert not any(parameter.requires_grad for parameter in twin.parameters())
    assert all(parameter.requires_grad for parameter in net.module_.parameters())


@pytest.mark.parametrize("kind", [NeuralNetClassifier, NeuralNetBinaryClassifier])
def test_net_without_weights_is_not_fitted(kind):
    with pytest.raises(NotFittedError):
        as_torch(kind(Layers))


@pytest.mark.parametrize("layers", ["hidden", "logits", ["hidden.1"]])
def test_isometric_classifier_that_hands_on_its_representation_has_a_twin(layers):
    first = IsometricClassifier(
        layers=layers, hidden_layer_sizes=(16, 8), max_epochs=5, random_state=0
    )
    pipeline = make_pipeline(StandardScaler(), first, LogisticRegression()).fit(X, Y)
    scores = as_torch(pipeline)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(scores, pipeline.decision_function(X), atol=1e-5)
