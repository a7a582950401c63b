"""Optimisers without torch's compiler: the steps of torch's own, bit by bit."""

from copy import deepcopy

import pytest
import torch

from sklearn_iso.modules._optimizers import uncompiled

KINDS = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.1}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "lr": 0.01}),
}


def path(kind, n_steps, state=None, **options):
    """Return weights after each step on a fixed loss, and what the optimiser knows then."""
    weight = torch.linspace(-1, 1, 5).requires_grad_()
    optimizer = kind([weight], **options)
    if state is not None:
        optimizer.load_state_dict(deepcopy(state))  # steps go on in the tensors that it got
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    seen = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        (weight - 3).pow(4).sum().backward()
        optimizer.step()
        schedule.step()
        seen.append(weight.detach().clone())
    return torch.stack(seen), optimizer.state_dict()


@pytest.mark.parametrize("name", KINDS)
def test_steps_are_those_of_torch(name):
    kind, options = KINDS[name]
    expected, expected_state = path(kind, 4, **options)
    found, state = path(uncompiled(kind), 4, **options)
    assert torch.equal(found, expected)
    assert state["param_groups"] == expected_state["param_groups"]
    for key, value in expected_state["state"][0].items():
        assert torch.equal(state["state"][0][key], value)


@pytest.mark.parametrize("name", KINDS)
def test_each_goes_on_with_the_state_of_the_other(name):
    kind, options = KINDS[name]
    _, state = path(kind, 3, **options)
    expected, _ = path(kind, 3, state, **options)
    found, _ = path(uncompiled(kind), 3, state, **options)
    assert torch.equal(found, expected)


def test_a_step_records_no_graph_and_takes_a_closure():
    weight = torch.ones(2, requires_grad=True)
    optimizer = uncompiled(torch.optim.SGD)([weight], lr=0.5)

    def loss():
        value = weight.square().sum()
        value.backward()
        return value

    assert optimizer.step(loss).item() == 2
    assert weight.tolist() == [0, 0] and weight.is_leaf


def test_it_is_a_kind_of_the_original():
    own = uncompiled(torch.optim.Adam)
    assert issubclass(own, torch.optim.Adam) and own.__name__ == "Adam"
