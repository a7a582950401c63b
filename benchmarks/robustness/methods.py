"""Every row of the benchmark: how it is trained, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from robustness import lipschitz, peers
from robustness.peers import Ball
from robustness.training import Architecture, Trained, build, fit_by_hand, fit_ours, timed_fit
from sklearn_iso import preset
from sklearn_iso.modules import ConvNet
from sklearn_iso.penalties import (
    LocalIsometry,
    Penalty,
    WithinClassIsometry,
    WorstCaseIsometry,
    make_penalty,
)

ARCHITECTURES = {
    "mlp": Architecture("mlp", None, learning_rate=2e-3, batch_size=256, epochs=20),
    "convnet": Architecture(
        "convnet", partial(ConvNet, channels=(32, 64), n_hidden=200),
        learning_rate=1e-3, batch_size=128, epochs=0,  # the presets bring their own
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Ours:
    """A penalty of the package and its alpha."""

    penalty: Callable[[], Penalty]
    alpha: float = 1.0
    epochs: int | None = None
    sets_the_budget: bool = True
    ours = True

    def fit(
        self, architecture: Architecture, X: np.ndarray, y: np.ndarray, seed: int, epochs: int
    ) -> Trained:
        return fit_ours(
            architecture, X, y, seed, penalty=self.penalty(), alpha=self.alpha, max_epochs=epochs
        )


@dataclass(frozen=True)
class Preset:
    """A preset of the package, its training included."""

    name: str
    sets_the_budget: bool = True
    ours = True

    @property
    def epochs(self) -> int:
        return preset(self.name).max_epochs

    def fit(
        self, architecture: Architecture, X: np.ndarray, y: np.ndarray, seed: int, epochs: int
    ) -> Trained:
        return timed_fit(preset(self.name, max_epochs=epochs, random_state=seed), X, y)


@dataclass(frozen=True)
class Peer:
    """A loss trained by hand.

    With a warm-up the radius of its ball grows linearly over that share of the training.
    """

    loss: peers.Loss
    weight_decay: float = 0.0
    warmup: float = 0.0
    ours = sets_the_budget = False

    def fit(
        self, architecture: Architecture, X: np.ndarray, y: np.ndarray, seed: int, epochs: int
    ) -> Trained:
        model = build(architecture, X, seed)
        rows, labels = torch.from_numpy(X), torch.from_numpy(y).long()
        return fit_by_hand(
            architecture, model, self._loss_at, rows, labels, epochs, seed=seed,
            weight_decay=self.weight_decay,
        )  # fmt: skip

    def _loss_at(self, progress: float) -> peers.Loss:
        if progress >= self.warmup:
            return self.loss
        ball = self.loss.ball
        return replace(self.loss, ball=replace(ball, eps=ball.eps * progress / self.warmup))


@dataclass(frozen=True)
class Lipschitz:
    """deel-torchlip: a network of `lipschitz`, under cross-entropy of temperature tau."""

    tau: float
    ours = sets_the_budget = False

    def fit(
        self, architecture: Architecture, X: np.ndarray, y: np.ndarray, seed: int, epochs: int
    ) -> Trained:
        torch.manual_seed(seed)
        rows, labels = torch.from_numpy(X), torch.from_numpy(y).long()
        loss = peers.Tempered(self.tau)
        trained = fit_by_hand(
            architecture, lipschitz.NETWORKS[architecture.name](), lambda progress: loss, rows,
            labels, epochs, seed=seed,
        )  # fmt: skip
        exported: nn.Module = trained.model.vanilla_export()
        return Trained(exported.eval(), trained.epochs, trained.seconds)


def _paper() -> Penalty:
    return WithinClassIsometry(loss="raw_stress", scale=0.1, layers="last_hidden", max_samples=None)


def _random_pairs() -> Penalty:
    # The radius and the scale of the worst case, so that the pairs alone differ.
    return LocalIsometry(radius=3.0, scale=0.8, layers="logits", two_sided=False)


def _one_step() -> Penalty:
    """The default, but for the number of gradients that it takes in a ConvNet."""
    return WithinClassIsometry() + WorstCaseIsometry(n_steps=1).with_cross_entropy(0.5)


def _two_steps() -> Penalty:
    # A gap of 10 logits where the default has 7.2, over the same distance of 6.8.
    return 0.3 * WithinClassIsometry() + WorstCaseIsometry(scale=1.5, radius=2.5, n_steps=2)


def _l2_pairs(scale: float) -> Penalty:
    return WorstCaseIsometry(radius=3.0, scale=scale, n_steps=2, warmup=0.25)


def _both_norms(radius: float, times: float) -> Penalty:
    """Short pairs in L2 and in L-infinity, under a scale of so many times that of the first row."""
    short = WorstCaseIsometry(radius=radius, scale=3.0 * times).with_cross_entropy(1.0)
    wide = WorstCaseIsometry(norm="linf", radius=0.15, scale=25.0 * times).with_cross_entropy(1.0)
    return short + wide


def _labelled(weight: float, **params: Any) -> Penalty:
    return WorstCaseIsometry(**params).with_cross_entropy(weight)


def _long_pairs() -> Penalty:
    return WorstCaseIsometry(norm="linf", radius=0.35, scale=4.0, n_steps=3, warmup=0.3)


def _full_steps(radius: float, scale: float, n_steps: int) -> Penalty:
    """Steps as long as the radius and pairs of every length, inside of no box."""
    return WorstCaseIsometry(
        norm="linf", radius=radius, scale=scale, n_steps=n_steps, ascent="margin", warmup=0.3
    ).with_cross_entropy(1.0)


def _adversarial(norm: str, eps: float, n_steps: int = 3, warmup: float = 0.0) -> Peer:
    return Peer(peers.AdversarialTraining(Ball(norm, eps, n_steps)), warmup=warmup)


def _trades(norm: str, eps: float, n_steps: int = 3, warmup: float = 0.0) -> Peer:
    return Peer(peers.Trades(Ball(norm, eps, n_steps)), warmup=warmup)


#: By architecture and name; ours first, as they set the budget of the peers.
METHODS: dict[str, dict[str, Any]] = {
    "mlp": {
        "worst-case + within-class, labelled (default)": Ours(lambda: make_penalty("isometric")),
        "worst-case + within-class": Ours(lambda: WithinClassIsometry() + WorstCaseIsometry()),
        "worst-case L2": Ours(WorstCaseIsometry),
        "worst-case L-infinity": Ours(
            partial(WorstCaseIsometry, norm="linf", radius=0.25, scale=10.0)
        ),
        "worst-case + within-class, 2 steps": Ours(_two_steps, alpha=2.0),
        "worst-case L2, labelled": Ours(partial(_labelled, 0.5), alpha=2.0, epochs=26),
        "worst-case L2, labelled, scale 2.5": Ours(
            partial(_labelled, 0.5, radius=2.5, scale=2.5),
            alpha=2.0,
            epochs=26,
        ),
        "worst-case L-infinity, labelled": Ours(
            partial(_labelled, 0.5, norm="linf", radius=0.25, scale=16.0),
            alpha=2.0,
            epochs=26,
        ),
        "worst-case L-infinity, labelled, scale 80": Ours(
            partial(_labelled, 1.0, norm="linf", radius=0.12, scale=80.0),
            alpha=2.0,
            epochs=34,
        ),
        "worst-case L2 and L-infinity, labelled": Ours(partial(_both_norms, 2.5, times=1.0)),
        "worst-case L2 and L-infinity, labelled, scale 1.4": Ours(
            partial(_both_norms, 2.4, times=1.4), alpha=3.0, epochs=25
        ),
        "worst-case L2 and L-infinity, labelled, twice the scale": Ours(
            partial(_both_norms, 2.0, times=2.0), epochs=25
        ),
        "plain": Peer(peers.plain),
        "PGD training L-infinity .1": _adversarial("linf", 0.1),
        "TRADES L-infinity .1": _trades("linf", 0.1),
        "TRADES L2 1.5": _trades("l2", 1.5),
        "PGD training L2 1.5": _adversarial("l2", 1.5),
        "1-Lipschitz": Lipschitz(tau=2.0),
        "Gaussian noise": Peer(peers.GaussianNoise(0.4)),
        "within-class (paper)": Ours(_paper, alpha=0.1),
        "random local pairs": Ours(_random_pairs),
        "Jacobian norm": Peer(peers.JacobianNorm(0.1)),
        "input gradient": Peer(peers.InputGradient(3.0)),
        "weight decay": Peer(peers.plain, weight_decay=1e-4),
    },
    "convnet": {
        "preset images": Preset("images"),
        "preset images_l2": Preset("images_l2"),
        "worst-case L2": Ours(partial(_l2_pairs, scale=0.8), alpha=2.0, epochs=8),
        "worst-case L2, half the scale": Ours(partial(_l2_pairs, scale=0.45), alpha=4.0, epochs=8),
        "preset images_both_norms": Preset("images_both_norms", sets_the_budget=False),
        "preset images_large_budgets": Preset("images_large_budgets", sets_the_budget=False),
        "worst-case L-infinity, half the scale": Ours(
            _long_pairs, alpha=2.0, epochs=14, sets_the_budget=False
        ),
        "worst-case L-infinity .3, 3 full steps": Ours(
            partial(_full_steps, 0.3, 8.0, 3), alpha=1.0, epochs=14
        ),
        "worst-case L-infinity .35, 4 full steps": Ours(
            partial(_full_steps, 0.35, 4.0, 4), alpha=2.0, epochs=32, sets_the_budget=False
        ),
        "worst-case + within-class, labelled (default)": Ours(
            lambda: make_penalty("isometric"), epochs=20
        ),
        "worst-case + within-class, labelled, 1 step": Ours(_one_step, epochs=20),
        "within-class (paper)": Ours(_paper, alpha=0.1, epochs=20),
        "random local pairs": Ours(_random_pairs, epochs=20),
        "plain": Peer(peers.plain),
        "PGD training L-infinity .3": _adversarial("linf", 0.3, n_steps=7, warmup=0.3),
        "TRADES L-infinity .3": _trades("linf", 0.3, n_steps=7, warmup=0.3),
        "PGD training L2 1.5": _adversarial("l2", 1.5, n_steps=7, warmup=0.3),
        "PGD training L-infinity .3, no warm-up": _adversarial("linf", 0.3, n_steps=7),
        "1-Lipschitz": Lipschitz(tau=2.0),
        "Gaussian noise": Peer(peers.GaussianNoise(0.4)),
        "Jacobian norm": Peer(peers.JacobianNorm(0.1)),
        "input gradient": Peer(peers.InputGradient(3.0)),
        "weight decay": Peer(peers.plain, weight_decay=1e-4),
    },
}
