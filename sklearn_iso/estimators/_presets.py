"""Classifiers by name: the published training, and ours for images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sklearn_iso._geometry.norms import NormName
from sklearn_iso.estimators._classifier import IsometricClassifier
from sklearn_iso.modules import MLP, ConvNet
from sklearn_iso.modules._build import has_own_sizes
from sklearn_iso.penalties import (
    CertifiedCrossEntropy,
    LipschitzCrossEntropy,
    Penalty,
    PenaltySum,
    WithinClassIsometry,
    WorstCaseIsometry,
)


def _paper() -> dict[str, object]:
    """Return the network, loss and training of the paper for MNIST: beta 0.1, K 10."""
    return {
        "alpha": 0.1,
        "penalty": WithinClassIsometry(
            loss="raw_stress", scale=0.1, layers="last_hidden", max_samples=None
        ),
        "module": partial(
            MLP, hidden_layer_sizes=(100,) * 5, activation="tanh", initialization="orthogonal"
        ),
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "learning_rate_schedule": "constant",
        "batch_size": 100,
        "max_epochs": 5,
    }


def _images(penalty: Penalty, **training: object) -> dict[str, object]:
    """Return a convolutional network for images, and its training."""
    return {
        "penalty": penalty,
        "module": partial(ConvNet, channels=(32, 64), n_hidden=200),
        "learning_rate": 1e-3,
        "batch_size": 128,
        **training,
    }


def _boundary_pairs(
    norm: NormName, radius: float, scale: float, n_steps: int, cross_entropy: float, **how: Any
) -> PenaltySum:
    """Return the worst case across decision boundaries, and the cross-entropy there."""
    pairs = WorstCaseIsometry(
        norm=norm, radius=radius, scale=scale, n_steps=n_steps, ascent="margin", warmup=0.3, **how
    )
    return pairs.with_cross_entropy(cross_entropy)


def _long_pairs(n_steps: int, step_size: float) -> PenaltySum:
    """Return pairs of about one length, found by short steps among images."""
    return _boundary_pairs(
        "linf", 0.32, 8.0, n_steps, 2.0, step_size=step_size, min_radius=0.9, bounds=(0, 1)
    )


def _images_linf() -> dict[str, object]:
    return _images(_long_pairs(n_steps=4, step_size=0.6), alpha=2.0, max_epochs=13)


def _images_large_budgets() -> dict[str, object]:
    return _images(_long_pairs(n_steps=7, step_size=0.36), alpha=2.0, max_epochs=20)


def _images_l2() -> dict[str, object]:
    pairs = _boundary_pairs(
        "l2", 2.2, 2.4, 4, 2.0, step_size=0.6, min_radius=0.75, bounds=(0, 1),
        start=("margin", "patches"),
    )  # fmt: skip
    return _images(pairs, alpha=2.0, max_epochs=12)


def _images_both_norms() -> dict[str, object]:
    long = _boundary_pairs("l2", 3.0, 1.2, 4, 0.5, start=("margin", "patches"))
    wide = _boundary_pairs("linf", 0.2, 10.0, 2, 0.5)
    return _images(long + wide, alpha=2.0, max_epochs=36)


def _images_certified() -> dict[str, object]:
    # Twice the budget it is for: what holds there holds with a margin.
    worst = CertifiedCrossEntropy(radius=0.2, bounds=(0, 1), warmup=0.55)
    return _images(worst, alpha=1.0, learning_rate_schedule="cosine", max_epochs=80)


def _images_certified_l2() -> dict[str, object]:
    margin = LipschitzCrossEntropy(radius=2.8, temperature=0.125)
    return {
        "penalty": margin,
        "alpha": 1.0,
        "module": "orthogonal",
        "hidden_layer_sizes": (256, 256, 256),
        "learning_rate": 1e-2,
        "batch_size": 500,
        "max_epochs": 50,
    }


#: Presets by name: functions that return parameters of :class:`IsometricClassifier`.
PRESETS: dict[str, Callable[[], dict[str, object]]] = {
    "paper": _paper,
    "images": _images_linf,
    "images_large_budgets": _images_large_budgets,
    "images_l2": _images_l2,
    "images_both_norms": _images_both_norms,
    "images_certified": _images_certified,
    "images_certified_l2": _images_certified_l2,
}


def preset(name: str, **params: Any) -> IsometricClassifier:
    """Return a classifier with the parameters of a preset.

    - "paper": Beshkov, Verhellen and Lepperød's network for MNIST, 784-100 and four times
      100-100 with tanh and orthogonal weights, Adam at 1e-3, batches of 100, 5 epochs, their
      within-class penalty on the last hidden layer with beta = `alpha` = 0.1 and K = 10. X in
      [0, 1].
    - "images": a convolutional network of 32 and 64 channels under L-infinity worst-case
      pairs of radius 0.29 to 0.32, for images of one channel with values in [0, 1], which the
      pairs do not leave; accurate, and made for budgets up to 0.3. Their
      cross-entropy counts. It is not made for L2.
    - "images_large_budgets": the same network and pairs, found by more and shorter steps over
      more epochs: a little more robust at a budget of 0.3, for more than twice the
      training time.
    - "images_l2": the same network under L2 worst-case pairs of length 1.65 to 2.2, of which
      every other batch's start at random patches; for budgets up to 2 in L2.
    - "images_both_norms": the same network under pairs in L2, of which every other batch's
      start at random patches, and in L-infinity, for budgets up to 1.6 in L2 and 0.1 in
      L-infinity; nearly four times the training time of "images".
    - "images_certified": the same network under the worst logits of intervals, for images with
      values in [0, 1]: less accurate, but most of its robustness, for budgets up to 0.1 in
      L-infinity, can be proven. For another budget set ``penalty__radius`` above it, and let
      images move, by :class:`~sklearn_iso.augmentation.RandomShifts` as a callback.
    - "images_certified_l2": a perceptron of three orthogonal layers of 256 units, trained for
      margins: most of its robustness for budgets up to 1.6 in L2 can be proven, at no cost.

    Parameters
    ----------
    name : {"paper", "images", "images_large_budgets", "images_l2", "images_both_norms", \
"images_certified", "images_certified_l2"}
    **params : dict
        Parameters that replace those of the preset.

    Returns
    -------
    classifier : IsometricClassifier
        Not fitted.

    Raises
    ------
    ValueError
        If the name is unknown, or a parameter would do nothing, as `hidden_layer_sizes` beside
        the network of the preset.

    References
    ----------
    K. Beshkov, J. Verhellen, M. E. Lepperød, "Isometric Representations in Neural Networks
    Improve Robustness", Scientific Reports 2025, doi:10.1038/s41598-025-20619-0.

    Examples
    --------
    >>> from sklearn_iso import preset
    >>> preset("paper", random_state=0).batch_size
    100
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"name must be one of {sorted(PRESETS)}; got {name!r}.")
    found = PRESETS[name]()
    module = params.get("module", found.get("module"))
    # A network of a name is built to size.
    nothing = {"hidden_layer_sizes": has_own_sizes(module), "activation": module}
    for unused, does_nothing in nothing.items():
        if unused in params and does_nothing:
            raise ValueError(
                f"{unused} is a parameter of the built-in network, and the preset {name!r} has one "
                f"of its own; got {unused}={params[unused]!r}. Pass module=..., such as "
                "functools.partial(ConvNet, channels=(16, 32)), or module=None."
            )
    return IsometricClassifier(**{**found, **params})
