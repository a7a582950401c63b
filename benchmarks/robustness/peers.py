"""What users would train instead: losses of a batch, each as its paper states it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, normalize

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def plain(model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(model(X), y)


@dataclass(frozen=True)
class GaussianNoise:
    deviation: float

    def __call__(self, model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(model(X + self.deviation * torch.randn_like(X)), y)


@dataclass(frozen=True)
class InputGradient:
    """Ross and Doshi-Velez, AAAI 2018: squared length of the gradient of the loss."""

    strength: float

    def __call__(self, model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        X = X.detach().requires_grad_()
        losses = cross_entropy(model(X), y, reduction="none")
        (gradient,) = torch.autograd.grad(losses.sum(), X, create_graph=True)
        return losses.mean() + self.strength * gradient.square().sum(dim=1).mean()


@dataclass(frozen=True)
class JacobianNorm:
    """Hoffman, Roberts and Yaida 2019: Frobenius norm by one random projection."""

    strength: float

    def __call__(self, model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        X = X.detach().requires_grad_()
        logits = model(X)
        v = normalize(torch.randn_like(logits))
        (product,) = torch.autograd.grad(logits, X, v, create_graph=True)
        square = logits.shape[1] * product.square().sum(dim=1).mean()
        return cross_entropy(logits, y) + self.strength / 2 * square


@dataclass(frozen=True)
class Ball:
    """Projected ascent of a loss, with constant steps, in the ball and the box [0, 1]."""

    norm: str
    eps: float
    n_steps: int

    def start(self, X: Tensor) -> Tensor:
        """A uniform point of the cube, or of the sphere's directions at a uniform length."""
        if self.norm == "linf":
            moved = torch.empty_like(X).uniform_(-self.eps, self.eps)
        else:
            moved = normalize(torch.randn_like(X)) * self.eps * torch.rand(len(X), 1)
        return (X + moved).clamp(0, 1)

    def climb(self, loss: Callable[[Tensor], Tensor], X: Tensor, X_adv: Tensor) -> Tensor:
        for _ in range(self.n_steps):
            X_adv = X_adv.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(X_adv), X_adv)
            X_adv = self.stepped(X, X_adv, gradient)
        return X_adv.detach()

    @torch.no_grad()
    def stepped(self, X: Tensor, X_adv: Tensor, gradient: Tensor) -> Tensor:
        """One steepest step, back into the ball and the box."""
        step = 2.5 * self.eps / self.n_steps
        if self.norm == "linf":
            moved = (X_adv + step * gradient.sign() - X).clamp(-self.eps, self.eps)
        else:
            moved = X_adv + step * normalize(gradient) - X
            length = moved.norm(dim=1, keepdim=True).clamp_min(1e-12)
            moved = moved * (self.eps / length).clamp(max=1)
        return (X + moved).clamp(0, 1)


@dataclass(frozen=True)
class AdversarialTraining:
    """Madry et al., ICLR 2018."""

    ball: Ball

    def __call__(self, model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        X_adv = self.ball.climb(lambda x: cross_entropy(model(x), y), X, self.ball.start(X))
        return cross_entropy(model(X_adv), y)


@dataclass(frozen=True)
class EitherNorm:
    """Adversarial training in one of several balls, drawn for each batch.

    Croce and Hein, "Adversarial Robustness against Multiple and Single l_p-Threat Models via Quick
    Fine-Tuning of Robust Classifiers", ICML 2022, from scratch ("SAT").
    """

    balls: tuple[Ball, ...]

    def __call__(self, model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        chosen = self.balls[int(torch.randint(len(self.balls), ()))]
        return AdversarialTraining(chosen)(model, X, y)


@dataclass(frozen=True)
class SteepestOfNorms:
    """Maini, Wong and Kolter, ICML 2020 ("MSD"): each step is that of the norm that climbs most."""

    balls: tuple[Ball, ...]

    def __call__(self, model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        X_adv = self.balls[0].start(X)
        for _ in range(self.balls[0].n_steps):
            X_adv = self._step(model, X, y, X_adv)
        return cross_entropy(model(X_adv), y)

    def _step(self, model: nn.Module, X: Tensor, y: Tensor, X_adv: Tensor) -> Tensor:
        X_adv = X_adv.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(model(X_adv), y), X_adv)
        with torch.no_grad():
            found = [ball.stepped(X, X_adv, gradient) for ball in self.balls]
            losses = [cross_entropy(model(points), y, reduction="none") for points in found]
            best = torch.stack(losses).argmax(dim=0)
        return torch.stack(found)[best, torch.arange(len(X))]


@dataclass(frozen=True)
class Trades:
    """Zhang et al., ICML 2019."""

    ball: Ball
    strength: float = 6.0

    def __call__(self, model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            target = log_softmax(model(X), dim=1)
        start = (X + 1e-3 * torch.randn_like(X)).clamp(0, 1)
        X_adv = self.ball.climb(lambda x: _divergence(model(x), target), X, start)
        logits = model(X)
        robust = _divergence(model(X_adv), log_softmax(logits, dim=1)) / len(X)
        return cross_entropy(logits, y) + self.strength * robust


def _divergence(logits: Tensor, target: Tensor) -> Tensor:
    return kl_div(log_softmax(logits, dim=1), target, reduction="sum", log_target=True)


@dataclass(frozen=True)
class Tempered:
    """Cross-entropy of temperature tau, which a 1-Lipschitz network needs to fit at all."""

    tau: float

    def __call__(self, model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(self.tau * model(X), y) / self.tau
