"""Networks that are isometric by construction: weights, lengths, gradients, and plain copies."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sklearn_iso.modules import OrthogonalConvNet, OrthogonalMLP, SortPairs
from sklearn_iso.modules._architecture import describe, rebuild
from sklearn_iso.modules._lipschitz import margin_constants
from sklearn_iso.modules._orthogonal import Cayley, as_plain, is_by_construction
from sklearn_iso.modules._stored import StoredModule

DOUBLE = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(n_features=4, n_outputs=3, sizes=(6, 8), output="unit_rows", seed=0):
    module = OrthogonalMLP(
        n_features, n_outputs, hidden_layer_sizes=sizes, output=output,
        generator=generator(seed), dtype=DOUBLE,
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(generator=generator(1))
    return module


def convnet(**options):
    torch.manual_seed(0)
    options = {"channels": (4, 8), "patch_size": (2, 1), "hidden_layer_sizes": (6,)} | options
    return OrthogonalConvNet(16, 3, **options).double()


def jacobians(module, X):
    return torch.func.vmap(torch.func.jacrev(lambda x: module(x[None])[0]))(X)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1e-6, 1.0, 1e3]), st.integers(0, 99))
def test_free_matrices_of_any_shape_and_size_become_orthogonal(n, m, size, seed):
    free = size * torch.randn(n, m, generator=generator(seed), dtype=DOUBLE)
    W = Cayley()(free)
    gram = W @ W.T if n <= m else W.T @ W
    torch.testing.assert_close(gram, torch.eye(min(n, m), dtype=DOUBLE), atol=1e-8, rtol=0)
    kernel = Cayley()(free[:, :, None, None])
    torch.testing.assert_close(kernel[:, :, 0, 0], W)


def test_gradients_of_weights_are_those_of_the_map():
    free = torch.randn(5, 3, generator=generator(), dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(Cayley(), free)
    assert torch.autograd.gradcheck(Cayley(), free.detach().T.clone().requires_grad_())


@pytest.mark.parametrize("module", [mlp(), convnet()], ids=["mlp", "convnet"])
def test_gradients_of_networks_are_those_of_the_map(module):
    names = [name for name, _ in module.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    n_features = 4 if isinstance(module, OrthogonalMLP) else 16
    X = torch.randn(2, n_features, generator=generator(), dtype=DOUBLE, requires_grad=True)

    def logits(X, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (X,))

    assert torch.autograd.gradcheck(logits, (X, *values))


def test_sorted_pairs_keep_what_they_hold():
    Z = torch.randn(3, 6, 2, 2, generator=generator())
    sorted_ = SortPairs()(Z)
    first, second = Z.chunk(2, dim=1)
    larger, smaller = sorted_.chunk(2, dim=1)
    assert (larger >= smaller).all()
    torch.testing.assert_close(larger + smaller, first + second)
    torch.testing.assert_close(sorted_.flatten(1).norm(dim=1), Z.flatten(1).norm(dim=1))
    assert SortPairs()(sorted_).equal(sorted_)
    with pytest.raises(ValueError, match="even number of units"):
        SortPairs()(torch.zeros(1, 3))


def test_no_distance_grows_and_paths_keep_their_length():
    module = mlp(sizes=(4, 6), n_outputs=6, output="orthogonal")
    X = torch.randn(40, 4, generator=generator(2), dtype=DOUBLE)
    Z = module(X).detach()
    assert (torch.pdist(Z) <= torch.pdist(X) + 1e-12).all()
    J = jacobians(module, X)
    identity = torch.eye(4, dtype=DOUBLE).expand(40, 4, 4)
    torch.testing.assert_close(J.mT @ J, identity, atol=1e-10, rtol=0)


def test_an_affine_one_keeps_all_distances():
    module = mlp(sizes=(), n_outputs=7, output="orthogonal")
    X = torch.randn(20, 4, generator=generator(), dtype=DOUBLE)
    torch.testing.assert_close(torch.pdist(module(X)), torch.pdist(X))


def test_gradients_of_margins_are_as_long_as_the_rows_are_apart():
    module = mlp(n_features=8, sizes=(8, 6))
    module.set_input_similarity(torch.zeros(8, dtype=DOUBLE), 2.5)
    W = module.output.weight.detach()
    torch.testing.assert_close(W.norm(dim=1), torch.ones(3, dtype=DOUBLE))
    J = jacobians(module, torch.randn(20, 8, generator=generator(), dtype=DOUBLE))
    slopes = (J[:, 0] - J[:, 1]).norm(dim=1)
    expected = margin_constants(module, (8,))[0, 1].detach()
    torch.testing.assert_close(slopes, expected.expand(20))
    torch.testing.assert_close(expected, 2.5 * (W[0] - W[1]).norm())


def test_convolutions_keep_lengths_where_channels_do_not_shrink():
    module = convnet(channels=(4, 6), patch_size=(2, 2), image_shape=(1, 4, 4))
    for part in module.convolutions:
        if isinstance(part, nn.Conv2d):
            part.bias.data.zero_()
    X = torch.randn(10, 16, generator=generator(), dtype=DOUBLE)
    first = module.convolutions[:2](X.reshape(-1, 1, 4, 4)).flatten(1)
    torch.testing.assert_close(first.norm(dim=1), X.norm(dim=1))
    assert (torch.pdist(module(X)) <= 3**0.5 * torch.pdist(X) + 1e-9).all()


@pytest.mark.parametrize("module", [mlp(), convnet()], ids=["mlp", "convnet"])
def test_a_plain_copy_is_the_same_map_and_leaves_the_original_alone(module):
    X = torch.randn(5, 4 if isinstance(module, OrthogonalMLP) else 16, dtype=DOUBLE)
    expected, plain = module(X), as_plain(module)
    assert plain(X).equal(expected)
    assert not is_by_construction(plain)
    assert describe(plain) is None
    assert module(X).equal(expected)
    assert is_by_construction(module)
    assert as_plain(plain) is plain


@pytest.mark.parametrize("module", [mlp(), mlp(output="orthogonal"), convnet(), mlp(sizes=())])
def test_copies_pickles_and_descriptions_are_the_same_network(module):
    X = torch.randn(5, 16, dtype=DOUBLE)
    X = X[:, :4] if isinstance(module, OrthogonalMLP) else X
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    stored = pickle.loads(pickle.dumps(StoredModule(module))).module
    for other in (copy.deepcopy(module), stored, rebuild(describe(module), weights)):
        assert is_by_construction(other)
        assert other(X).equal(module(X))


def test_training_steps_leave_weights_orthogonal():
    module = mlp()
    optimizer = torch.optim.Adam(module.parameters(), lr=1.0)
    for _ in range(20):
        optimizer.zero_grad()
        module(torch.randn(8, 4, generator=generator(), dtype=DOUBLE)).square().sum().backward()
        optimizer.step()
    W = module.hidden[2].weight
    torch.testing.assert_close(W.T @ W, torch.eye(6, dtype=DOUBLE), atol=1e-9, rtol=0)


def test_a_generator_decides_the_weights_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second, third = mlp(seed=3), mlp(seed=3), mlp(seed=4)
    assert torch.get_rng_state().equal(state)
    X = torch.randn(2, 4, generator=generator(), dtype=DOUBLE)
    assert first(X).equal(second(X))
    assert not first(X).equal(third(X))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: OrthogonalMLP(4, 3, hidden_layer_sizes=(5,)), "hidden_layer_sizes must be even"),
        (lambda: OrthogonalMLP(4, 3, output="unit"), "output"),
        (lambda: OrthogonalConvNet(784, 10, channels=(3,)), "channels must be even"),
        (lambda: OrthogonalConvNet(784, 10, patch_size=3), "patch_size must divide"),
        (lambda: OrthogonalConvNet(784, 10, patch_size=(2, 2, 1)), "patch_size must hold 2"),
        (lambda: OrthogonalConvNet(10, 2), "image_shape"),
        (lambda: OrthogonalConvNet(784, 10)(torch.zeros(1, 1, 14, 56)), "Images must be"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
