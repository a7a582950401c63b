"""What the parameters may be that all estimators share."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import device as torch_device

from sklearn_iso.estimators.targets import METRICS
from sklearn_iso.modules import ACTIVATIONS
from sklearn_iso.penalties import EMBEDDING_PENALTIES, Penalty
from sklearn_iso.penalties.pairwise import NORM_ORDERS
from sklearn_iso.training import OPTIMIZERS, SCHEDULES

#: What the parameters that may be "auto" come to for one network.
AUTO: dict = {"max_epochs": 100, "batch_size": 256, "learning_rate": 2e-3, "weight_decay": 0.0}

#: Of the network and its training.
TRAINING: dict = {
    "alpha": [Interval(Real, 0, None, closed="left")],
    "hidden_layer_sizes": ["array-like"],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "callbacks": [list, tuple, None],
    "device": [str, torch_device],
    "compile": ["boolean", dict],
    "mixed_precision": ["boolean"],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
}

#: Of an embedding.
EMBEDDING: dict = TRAINING | {
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "penalty": [StrOptions(set(EMBEDDING_PENALTIES)), Penalty],
    "decoder_penalty": [StrOptions({"jacobian"}), Penalty, None],
    "metric": [StrOptions(set(METRICS)), *NORM_ORDERS, callable],
    "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    "encoder": [callable, None],
    "decoder": [callable, None],
    "warm_start": ["boolean"],
    "batch_size": [Interval(Integral, 2, None, closed="left")],
}

#: Of a classifier: what it chooses by itself.
CHOOSING: dict = TRAINING | {
    name: [StrOptions({"auto"}), *TRAINING[name]] for name in ("alpha", *AUTO)
}
