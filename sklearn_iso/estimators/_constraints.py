"""What the parameters may be that all estimators share."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Literal, get_args

import torch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from torch import device as torch_device

from sklearn_iso._geometry import Metric
from sklearn_iso._training import OPTIMIZERS, SCHEDULES
from sklearn_iso.estimators._targets import METRICS
from sklearn_iso.modules import ACTIVATIONS
from sklearn_iso.modules._build import NAMES
from sklearn_iso.penalties import EMBEDDING_PENALTIES, PENALTIES, Penalty
from sklearn_iso.penalties._pairwise import NORM_ORDERS

#: What the parameters are called that are chosen by name.
Activation = Literal[
    "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus"
]
Optimizer = Literal["adam", "adamw", "sgd"] | Callable[..., torch.optim.Optimizer]
Schedule = Literal["constant", "linear", "cosine"]
Distributed = Literal["replicated", "sharded", "off"]
MetricOfX = (
    Literal[
        "euclidean",
        "l2",
        "manhattan",
        "cityblock",
        "l1",
        "chebyshev",
        "linf",
        "infinity",
        "precomputed",
    ]
    | Metric
)
Auto = Literal["auto"]
ModuleName = Literal["orthogonal", "small_cnn"]

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
    "distributed": [StrOptions(set(get_args(Distributed)))],
    "compile": ["boolean", dict],
    "mixed_precision": ["boolean"],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
}

#: Of the network, by name or as the user's own.
MODULE: list = [StrOptions(set(NAMES)), callable, None]

#: Of an embedding.
EMBEDDING: dict = TRAINING | {
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "penalty": [StrOptions(set(EMBEDDING_PENALTIES)), Penalty],
    "decoder_penalty": [StrOptions({"jacobian"}), Penalty, None],
    "metric": [StrOptions(set(METRICS)), *NORM_ORDERS, callable],
    "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    "encoder": MODULE,
    "decoder": [callable, None],
    "warm_start": ["boolean"],
    "batch_size": [Interval(Integral, 2, None, closed="left")],
}

#: Of a model that chooses by itself.
CHOOSING: dict = TRAINING | {
    name: [StrOptions({"auto"}), *TRAINING[name]] for name in ("alpha", *AUTO)
}

#: Of a classifier.
CLASSIFIER: dict = CHOOSING | {
    "penalty": [StrOptions(set(PENALTIES)), Penalty],
    "layers": [str, "array-like"],
    "module": MODULE,
    "samples_per_class": [Interval(Integral, 2, None, closed="left"), None],
    "class_weight": [StrOptions({"balanced"}), dict, None],
}

#: Of a classifier of several levels.
HIERARCHY: dict = {
    **{name: rule for name, rule in TRAINING.items() if name != "hidden_layer_sizes"},
    "penalty": [StrOptions(set(PENALTIES)), Penalty],
    "layers": [StrOptions({"hidden", "last_hidden", "logits"})],
    "distributed": [StrOptions({"off"})],
    "block_sizes": ["array-like", None],
    "target": [StrOptions({"input", "previous"})],
    "training": [StrOptions({"joint", "alternating"})],
    "hierarchy": [dict, HasMethods(["predecessors"]), HasMethods(["items"]), None],
    "samples_per_class": [Interval(Integral, 2, None, closed="left"), None],
}
