"""Networks that seem more robust than they are: their slopes lead attacks astray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from sklearn_iso import preset
from sklearn_iso.modules import ConvNet

N_IMAGES, SEED, BATCH_SIZE, LEARNING_RATE = 10_000, 0, 128, 1e-3
#: Of the steps in front of a network, of the winners in a layer, and of the distillation.
STEEPNESS, SHARE_OF_WINNERS, TEMPERATURE = 40.0, 0.1, 100.0


class Winners(nn.Module):
    """Keep the largest units of a layer, and set the others to 0: no slope lasts for long."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x where it is among the largest of its sample."""
        flat = x.flatten(1)
        count = max(1, int(SHARE_OF_WINNERS * flat.shape[1]))
        least = flat.topk(count, dim=1).values[:, -1:]
        return torch.where(flat >= least, flat, 0).view_as(x)


class Steps(nn.Module):
    """All but thresholds: a pixel is black or white, and hardly has a slope at either."""

    def forward(self, x: Tensor) -> Tensor:
        """Return pixels near 0 or near 1."""
        return torch.sigmoid(STEEPNESS * (x - 0.5))


def images() -> nn.Module:
    return nn.Unflatten(1, (1, 28, 28))


def convolutions(activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    return nn.Sequential(
        images(), nn.Conv2d(1, 8, 4, 2, 1), activation(), nn.Conv2d(8, 16, 4, 2, 1),
        activation(), nn.Flatten(), nn.Linear(16 * 49, 50), activation(), nn.Linear(50, 10),
    )  # fmt: skip


def cross_entropy(model: nn.Module, X: Tensor, y: Tensor, done: float) -> Tensor:
    return nn.functional.cross_entropy(model(X), y)


def on_pgd_examples(model: nn.Module, X: Tensor, y: Tensor, done: float) -> Tensor:
    """Cross-entropy at the end of 7 steps in L-infinity, of a budget that grows to 0.3."""
    eps = 0.3 * min(1.0, done / 0.4)
    points = (X + eps * (2 * torch.rand_like(X) - 1)).clamp(0, 1)
    for _ in range(7):
        points.requires_grad_()
        (slope,) = torch.autograd.grad(cross_entropy(model, points, y, done), points)
        points = points.detach() + eps / 3 * slope.sign()
        points = points.clamp(X - eps, X + eps).clamp(0, 1)
    return cross_entropy(model, points, y, done)


def like(teacher: nn.Module) -> Callable[..., Tensor]:
    """Cross-entropy with the soft labels of a teacher, both at a high temperature."""

    def loss(model: nn.Module, X: Tensor, y: Tensor, done: float) -> Tensor:
        with torch.no_grad():
            soft = teacher(X).div(TEMPERATURE).softmax(dim=1)
        return nn.functional.cross_entropy(model(X) / TEMPERATURE, soft)

    return loss


def hot(model: nn.Module, X: Tensor, y: Tensor, done: float) -> Tensor:
    return nn.functional.cross_entropy(model(X) / TEMPERATURE, y)


def train(
    make: Callable[[], nn.Module], loss: Callable[..., Tensor], X: Tensor, y: Tensor, epochs: int
) -> nn.Module:
    torch.manual_seed(SEED)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - epoch / epochs)
        batches = torch.randperm(len(X)).split(BATCH_SIZE)
        for number, rows in enumerate(batches):
            optimizer.zero_grad()
            loss(model, X[rows], y[rows], (epoch + number / len(batches)) / epochs).backward()
            optimizer.step()
    return model.eval()


def distilled(X: Tensor, y: Tensor) -> nn.Module:
    teacher = train(convolutions, hot, X, y, 10)
    return train(convolutions, like(teacher), X, y, 10)


def long_pairs(X: Tensor, y: Tensor) -> nn.Module:
    """The preset for large budgets in L-infinity, which is not made for L2; a small network."""
    module = partial(ConvNet, channels=(8, 16), n_hidden=50)
    classifier = preset("images_large_budgets", module=module, max_epochs=8, random_state=SEED)
    network: nn.Module = classifier.fit(X.numpy(), y.numpy()).net_.module_
    return network.eval()


@dataclass(frozen=True)
class Deceptive:
    """A network, and the budget at which it deceives.

    Attributes
    ----------
    fit : callable
        Maps images and labels to a network.
    norm, eps : str, float
    """

    fit: Callable[[Tensor, Tensor], nn.Module]
    norm: str
    eps: float


NETWORKS: dict[str, Deceptive] = {
    "L-infinity pairs": Deceptive(long_pairs, "l2", 1.58),
    "PGD examples": Deceptive(
        lambda X, y: train(convolutions, on_pgd_examples, X, y, 8), "l2", 1.58
    ),
    "steps": Deceptive(
        lambda X, y: train(lambda: nn.Sequential(Steps(), *convolutions()), cross_entropy, X, y, 8),
        "l2", 1.58,
    ),
    "winners": Deceptive(
        lambda X, y: train(lambda: convolutions(Winners), cross_entropy, X, y, 8), "linf", 0.1
    ),
    "distilled": Deceptive(distilled, "linf", 0.1),
}  # fmt: skip


def network(name: str, X: Tensor, y: Tensor, folder: Path) -> nn.Module:
    """Return the network of a name, trained on the first images, or as it was trained before."""
    path = folder / f"{''.join(c if c.isalnum() else '-' for c in name)}.pt"
    if path.exists():
        model: nn.Module = torch.load(path, weights_only=False)
        return model
    folder.mkdir(parents=True, exist_ok=True)
    model = NETWORKS[name].fit(X[:N_IMAGES], y[:N_IMAGES])
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    torch.save(model, path)
    return model
