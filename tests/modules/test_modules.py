from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_iso.modules import ACTIVATIONS, MLP, ConvNet, represent, represent_many
from sklearn_iso.modules.build import build_module


def mlp(**params):
    return MLP(4, 3, generator=torch.Generator().manual_seed(0), **params)


def test_mlp_depends_on_its_generator_and_not_on_the_global_one():
    before = torch.get_rng_state()
    one, two = mlp(), mlp()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_input_similarity_shifts_and_scales_by_one_factor():
    X = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    plain, moved = mlp(), mlp()
    moved.set_input_similarity(torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.5)
    torch.testing.assert_close(moved(2 * X + torch.tensor([1.0, 2.0, 3.0, 4.0])), plain(X))


@pytest.mark.parametrize("sizes", [(), (5,), (6, 5, 4)])
@pytest.mark.parametrize("layers", ["hidden", "last_hidden", "logits"])
def test_hidden_layers_of_the_mlp_are_those_that_hooks_find(sizes, layers):
    module, X = mlp(hidden_layer_sizes=sizes), torch.ones(3, 4)
    hooked = represent(nn.Sequential(module), X, layers)
    found = represent(module, X, layers)
    assert len(found) == len(hooked)
    assert all(torch.equal(a, b) for a, b in zip(found, hooked, strict=True))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_gives_finite_logits_and_gradients(name):
    module = mlp(activation=name)
    X = torch.linspace(-30, 30, 20).reshape(5, 4).requires_grad_()
    module(X).sum().backward()
    assert torch.isfinite(X.grad).all()


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


def test_instance_is_copied_with_its_weights():
    instance = nn.Linear(4, 3)
    built = build_module(instance, 4, 3)
    assert built is not instance
    assert torch.equal(built.weight, instance.weight)


def test_class_is_told_the_sizes_it_asks_for():
    class Sized(nn.Linear):
        def __init__(self, n_features, n_outputs, width=7):
            super().__init__(n_features, n_outputs)

    built = build_module(Sized, 4, 3)
    assert (built.in_features, built.out_features) == (4, 3)


def test_convnet_takes_rows_and_images_alike():
    module = ConvNet(128, 3, image_shape=(2, 8, 8), channels=(4, 5, 6))
    X = torch.randn(7, 128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(X), module(X.reshape(7, 2, 8, 8)))


def test_convnet_of_another_shape_says_so():
    with pytest.raises(ValueError, match=r"\(1, 3, 3\) does not hold 10"):
        ConvNet(10, 2)


def test_orthogonal_weights_keep_distances():
    weight = mlp(hidden_layer_sizes=(9,), initialization="orthogonal").hidden[0].weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(4), atol=1e-6, rtol=0)
