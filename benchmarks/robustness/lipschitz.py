"""The two networks with 1-Lipschitz layers: orthogonal weights and sorting activations."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def mlp() -> nn.Module:
    """Hidden layers of 256 and 128 units."""
    from deel import torchlip

    return torchlip.Sequential(
        torchlip.SpectralLinear(784, 256), torchlip.GroupSort2(),
        torchlip.SpectralLinear(256, 128), torchlip.GroupSort2(),
        torchlip.FrobeniusLinear(128, 10),
    )  # fmt: skip


def convnet() -> nn.Module:
    """Convolutions of 32 and 64 channels (4x4, stride 2), 200 hidden units."""
    from deel import torchlip

    return torchlip.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        torchlip.SpectralConv2d(1, 32, 4, stride=2, padding=1), torchlip.GroupSort2(),
        torchlip.SpectralConv2d(32, 64, 4, stride=2, padding=1), torchlip.GroupSort2(),
        nn.Flatten(),
        torchlip.SpectralLinear(64 * 7 * 7, 200), torchlip.GroupSort2(),
        torchlip.FrobeniusLinear(200, 10),
    )  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Module]] = {"mlp": mlp, "convnet": convnet}
