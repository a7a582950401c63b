"""Twins of scikit-learn's own networks."""

from __future__ import annotations

from collections.abc import Callable

from sklearn.neural_network import BernoulliRBM, MLPClassifier
from torch import nn

from sklearn_iso.twins._affine import Linear, TwoLogits
from sklearn_iso.twins._registry import register

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
}


@register(BernoulliRBM)
def _boltzmann_machine(machine: BernoulliRBM) -> nn.Module:
    return nn.Sequential(Linear(machine.components_.T, machine.intercept_hidden_), nn.Sigmoid())


@register(MLPClassifier)
def _mlp_classifier(classifier: MLPClassifier) -> nn.Module:
    if classifier.out_activation_ == "logistic" and classifier.n_outputs_ > 1:
        raise TypeError(
            "A multilabel MLPClassifier has no twin: a twin returns scores of exclusive classes. "
            "Fit one classifier for each label."
        )
    layers: list[nn.Module] = []
    for coef, intercept in zip(classifier.coefs_, classifier.intercepts_, strict=True):
        layers += [Linear(coef, intercept), ACTIVATIONS[classifier.activation]()]
    last = TwoLogits() if classifier.n_outputs_ == 1 else nn.Identity()
    return nn.Sequential(*layers[:-1], last)
