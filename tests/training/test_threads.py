"""How many threads torch computes with: as many as pay, and as before afterwards."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_iso import IsometricClassifier
from sklearn_iso._silence import without_warnings
from sklearn_iso._threads import _LIMIT, VARIABLE, WORTH_A_THREAD, one_thread, threads_for
from sklearn_iso.modules import MLP, ConvNet, OrthogonalMLP
from sklearn_iso.modules._parts import first_weight, largest_product, parts_of

X = np.random.RandomState(0).randn(30, 3)
y = (X[:, 0] > 0).astype(int)


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def within(size):
    with threads_for(size):
        return torch.get_num_threads()


def test_small_products_have_one_thread_and_large_ones_those_of_torch():
    sizes = (0, WORTH_A_THREAD - 1, WORTH_A_THREAD, float("inf"))
    assert [within(size) for size in sizes] == [1, 1, 3, 3]


@pytest.mark.parametrize(("value", "expected"), [("2", 2), ("1", 1), ("torch", 3)])
def test_the_environment_decides_instead(value, expected, monkeypatch):
    monkeypatch.setenv(VARIABLE, value)
    assert {within(0), within(float("inf"))} == {expected}


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "", "4097", "3000000000"])
def test_what_is_no_number_of_threads_is_refused(value, monkeypatch):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ValueError, match=f"{VARIABLE} must be a number of threads"):
        within(0)


def test_a_number_that_torch_refuses_leaves_the_one_of_before():
    with pytest.raises(ValueError, match="Overflow"), _LIMIT.at(2**40):
        pass
    assert (_LIMIT.n_holders, _LIMIT.held) == (0, [])


def test_the_number_comes_back_after_an_error_and_within_another_limit(monkeypatch):
    with pytest.raises(KeyError), threads_for(0):
        raise KeyError
    assert torch.get_num_threads() == 3
    with one_thread():
        monkeypatch.setenv(VARIABLE, "2")
        assert within(0) == 2
        assert torch.get_num_threads() == 1


def test_threads_of_python_that_overlap_leave_the_number_of_before():
    """The first to come is the first to go, while the second still computes."""
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def second():
        with threads_for(0):
            inside.set()
            leave.wait(10)
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    other = threading.Thread(target=second)
    with threads_for(0):
        other.start()
        assert inside.wait(10)
    leave.set()
    other.join()
    assert seen == [1, 3]


def test_silences_that_overlap_leave_the_filters_of_before():
    """The first to come is the first to go, while the second still keeps silent."""
    inside, leave = threading.Event(), threading.Event()

    def second():
        with without_warnings():
            inside.set()
            assert leave.wait(10)
            warnings.warn("unheard", stacklevel=1)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        before, other = list(warnings.filters), threading.Thread(target=second)
        with without_warnings():
            other.start()
            assert inside.wait(10)
        leave.set()
        other.join()
        assert warnings.filters == before and not heard
        with pytest.raises(KeyError), without_warnings():
            raise KeyError
        warnings.warn("heard", stacklevel=1)
    assert [str(one.message) for one in heard] == ["heard"]


def test_a_fit_and_a_prediction_have_one_thread_each():
    seen = []

    class Spy(MLP):
        def forward_hidden(self, X):
            seen.append(torch.get_num_threads())
            return super().forward_hidden(X)

        def forward(self, X):
            seen.append(torch.get_num_threads())
            return super().forward(X)

    net = Spy(3, 2, hidden_layer_sizes=(4,), dtype=torch.float64)
    model = IsometricClassifier(module=net, alpha=1, max_epochs=2, random_state=0).fit(X, y)
    n_of_fit = len(seen)
    model.predict(X)
    assert 0 < n_of_fit < len(seen) and set(seen) == {1}


def test_small_networks_do_not_depend_on_the_number_of_threads():
    outputs = []
    for n_threads in (3, 1):
        torch.set_num_threads(n_threads)
        model = IsometricClassifier(alpha=1, max_epochs=3, random_state=0).fit(X, y)
        outputs.append(
            model.decision_function(X)
            if hasattr(model, "decision_function")
            else model.predict_log_proba(X)
        )
    torch.set_num_threads(3)
    np.testing.assert_array_equal(*outputs)


def test_the_largest_product_is_known_of_perceptrons():
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2))
    assert largest_product(net, 10) == 10 * 35
    assert largest_product(nn.ReLU(), 10) == 0
    assert largest_product(ConvNet(784, 10), 10) == float("inf")
    assert largest_product(nn.Sequential(net, nn.LayerNorm(2)), 10) == float("inf")


def test_parts_are_those_of_torch():
    for net in (MLP(3, 2), ConvNet(784, 10), OrthogonalMLP(4, 2)):
        assert set(map(id, parts_of(net))) == set(map(id, net.modules()))
        assert first_weight(net) is next(net.parameters())
    with pytest.raises(StopIteration):
        first_weight(nn.Sequential(nn.ReLU(), nn.Sequential()))
