"""Laws of an embedding by networks of the user's own."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_iso import IsometricTransformer
from sklearn_iso.metrics import scale_normalized_stress
from sklearn_iso.persistence import model_card
from sklearn_iso.testing._generators import require_global_generators_kept
from sklearn_iso.twins import as_torch

Z = np.random.default_rng(0).normal(size=(300, 2))
X = Z @ np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0][:2]


class Curved(nn.Module):
    """Two layers that a user wrote."""

    def __init__(self, n_features, n_outputs, width=8, dropout=0.0):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(n_features, width), nn.Tanh(), nn.Dropout(dropout))
        self.outer = nn.Linear(width, n_outputs)

    def forward(self, rows):
        return self.outer(self.inner(rows))


class Talkative(Curved):
    """The same, with a second output that nobody reads."""

    def forward(self, rows):
        return super().forward(rows), "more"


class Freeze(Callback):
    """Undo every step."""

    def on_train_begin(self, net, **kwargs):
        for parameter in net.module_.parameters():
            if parameter.requires_grad:
                parameter.register_hook(torch.zeros_like)


def embedding(**params):
    quick = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
    return IsometricTransformer(**quick | params)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.parametrize("role, width", [("encoder", 2), ("decoder", 5)])
def test_lazy_layers_draw_what_the_seed_says(role, width):
    with require_global_generators_kept("fit"):
        fits = [embedding(**{role: nn.LazyLinear(width)}, random_state=s).fit(X) for s in (0, 0, 1)]
    first, again, other = (found.transform(X) for found in fits)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


ROLES = pytest.mark.parametrize("role, shape", [("encoder", (5, 2)), ("decoder", (2, 5))])


def test_linear_networks_keep_the_distances_of_a_subspace_and_bring_it_back():
    found = embedding(encoder=nn.Linear, decoder=nn.Linear, max_epochs=200).fit(X)
    assert scale_normalized_stress(X, found.transform(X)) < 0.01
    assert found.reconstruction_error_ < 1e-3


@pytest.mark.parametrize("network", [Curved, partial(Curved, width=4), "instance"], ids=repr)
@ROLES
def test_classes_functions_and_instances_are_networks(network, role, shape):
    if network == "instance":
        network = Curved(*shape)
    found = embedding(**{role: network}).fit(X)
    assert type(getattr(found.net_.module_, role)) is Curved
    assert found.transform(X).shape == (300, 2)
    assert found.inverse_transform(Z).shape == (300, 5)
    assert list(found.get_feature_names_out()) == [
        "isometrictransformer0",
        "isometrictransformer1",
    ]


def test_the_first_of_several_outputs_is_read():
    one = embedding(encoder=Curved, decoder=Curved).fit(X)
    two = embedding(encoder=Talkative, decoder=Talkative).fit(X)
    np.testing.assert_array_equal(one.transform(X), two.transform(X))
    np.testing.assert_array_equal(one.inverse_transform(Z), two.inverse_transform(Z))
    assert one.reconstruction_error_ == two.reconstruction_error_


@ROLES
def test_an_instance_is_copied_with_its_weights(role, shape):
    network = Curved(*shape)
    before = network.outer.weight.detach().clone()
    found = embedding(callbacks=[Freeze()], **{role: network}).fit(X.astype(np.float32))
    fitted = getattr(found.net_.module_, role)
    assert fitted is not network
    np.testing.assert_array_equal(fitted.outer.weight.detach(), before)


def test_a_frozen_encoder_stays_and_its_decoder_learns():
    encoder = nn.Linear(5, 2, dtype=torch.float64)
    encoder.requires_grad_(False)
    found = embedding(encoder=encoder, max_epochs=100).fit(X)
    np.testing.assert_allclose(found.transform(X), encoder(torch.from_numpy(X)), rtol=1e-12)
    assert found.history_["reconstruction_error"][-1] < found.history_["reconstruction_error"][0]


def test_the_penalty_sees_the_map_that_predicts():
    encoder = Curved(5, 2)
    noisy = Curved(5, 2, dropout=0.5)
    noisy.load_state_dict(encoder.state_dict())
    plain, dropped = (
        embedding(encoder=network, callbacks=[Freeze()]).fit(X).history_
        for network in (encoder, noisy)
    )
    np.testing.assert_allclose(dropped["penalty"], plain["penalty"], rtol=1e-12)
    assert dropped["reconstruction_error"] != plain["reconstruction_error"]


def test_random_state_decides_weights_and_dropout_and_nothing_else_is_drawn_from():
    before = torch.get_rng_state()
    noisy = partial(Curved, dropout=0.5)
    one = embedding(encoder=noisy, decoder=noisy).fit(X)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    two = embedding(encoder=noisy, decoder=noisy).fit(X)
    np.testing.assert_array_equal(one.transform(X), two.transform(X))
    torch.set_rng_state(before)


def test_copies_embed_alike_and_leave_as_torch_modules():
    found = embedding(encoder=Curved, decoder=Curved).fit(X)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.transform(X), found.transform(X))
    with torch.no_grad():
        twin = as_torch(found)(torch.from_numpy(X))
    np.testing.assert_allclose(twin, found.transform(X), rtol=1e-12)
    assert "IsometricTransformer" in model_card(found)


@pytest.mark.parametrize("penalty", ["geodesic", "neighbors"])
def test_other_penalties_and_held_out_rows_go_with_own_networks(penalty):
    found = embedding(
        penalty=penalty, decoder_penalty="jacobian", early_stopping=True, encoder=Curved
    ).fit(X)
    assert np.isfinite(found.history_["valid_loss"]).all()


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "role, network, said",
    [
        ("encoder", nn.Linear(5, 3), r"n_components=2 values.*got \(2, 3\).*last layer to 2"),
        ("decoder", nn.Linear(2, 4), r"the 5 features of X.*got \(2, 4\).*last layer to 5"),
        ("encoder", nn.Linear(4, 2), "encoder must take samples of 5 values.*first layer to 5"),
        ("decoder", nn.Linear(3, 5), "decoder must take samples of 2 values.*first layer to 2"),
        ("encoder", nn.Identity(), "encoder must have weights"),
    ],
    ids=["too wide", "too narrow", "other input", "other embedding", "no weights"],
)
def test_networks_of_another_width_are_refused(role, network, said):
    with pytest.raises(ValueError, match=said):
        embedding(**{role: network}).fit(X)


@ROLES
def test_functions_that_return_no_module_are_refused(role, shape):
    with pytest.raises(TypeError, match=f"{role} must be an nn.Module"):
        embedding(**{role: lambda: 3}).fit(X)


def test_two_frozen_networks_are_refused():
    encoder, decoder = nn.Linear(5, 2), nn.Linear(2, 5)
    for network in (encoder, decoder):
        network.requires_grad_(False)
    with pytest.raises(ValueError, match="all weights of both are frozen"):
        embedding(encoder=encoder, decoder=decoder).fit(X)
