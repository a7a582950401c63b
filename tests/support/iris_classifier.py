"""A small classifier of the irises, quick to fit."""

from sklearn.datasets import load_iris

from sklearn_iso import IsometricClassifier

IRIS = load_iris(return_X_y=True)


def classifier(**params):
    defaults = {
        "hidden_layer_sizes": (16, 8),
        "max_epochs": 15,
        "learning_rate": 0.01,
        "random_state": 0,
    }
    return IsometricClassifier(**defaults | params)
