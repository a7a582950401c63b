"""What a module computes on its way to the logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_iso.modules import represent, represent_many


class Functional(nn.Module):
    """A network whose activations are function calls, which no hook on them could see."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, X):
        return self.third(torch.relu(self.second(torch.relu(self.first(X)))))


def test_hidden_representations_are_what_the_next_layer_receives():
    module, X = Functional(), torch.ones(3, 4)
    first, second = represent(module, X, "hidden")
    torch.testing.assert_close(first, torch.relu(module.first(X)))
    torch.testing.assert_close(second, torch.relu(module.second(first)))
    torch.testing.assert_close(represent(module, X, "last_hidden")[0], second)
    torch.testing.assert_close(represent(module, X, "logits")[0], module(X))


def test_named_layers_are_their_outputs():
    module, X = Functional(), torch.ones(3, 4)
    torch.testing.assert_close(represent(module, X, ["second"])[0], module.second(
        torch.relu(module.first(X))))  # fmt: skip


def test_hidden_maps_of_a_convolution_come_flattened():
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)
    )
    shapes = [tuple(Z.shape) for Z in represent(module, torch.ones(5, 1, 8, 8), "hidden")]
    assert shapes == [(5, 72), (5, 48)]


def test_one_forward_pass_serves_every_choice():
    calls = []
    module = Functional()
    module.register_forward_hook(lambda *_: calls.append(1))
    represent_many(module, torch.ones(3, 4), ["hidden", "logits", ["first"]])
    assert len(calls) == 1


def test_recording_leaves_no_hook_behind_even_after_an_error():
    module = Functional()
    with pytest.raises(ValueError, match="got 'fourth'.*'first', 'second', 'third'"):
        represent(module, torch.ones(3, 4), ["first", "fourth"])
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_layer_that_does_not_run_is_named():
    module = Functional()
    module.unused = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="'unused' did not"):
        represent(module, torch.ones(3, 4), ["unused"])


def test_first_of_several_outputs_are_the_logits():
    class Two(nn.Linear):
        def forward(self, X):
            return super().forward(X), X

    assert represent(Two(4, 2), torch.ones(3, 4), "logits")[0].shape == (3, 2)
