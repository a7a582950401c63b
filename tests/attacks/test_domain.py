"""Points where logits or gradients are no numbers are no adversarial examples, and end nothing."""

import pytest
import torch
from attacks_by_name import run

from sklearn_iso.attacks import ATTACKS, NORMS, distances
from sklearn_iso.attacks._attack import NO_ANSWER
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._rays import rays

PAIRS = [(name, norm) for name in ATTACKS for norm in NORMS if norm == "l2" or name != "ddn"]
CLOSEST = ("ddn", "fmn", "fab")


def attack(name, logits, X, y, **options):
    queries = {"n_queries": 100} if name in ("square", "rays") else {}
    return run(name, logits, X, y, **options, **queries)


def logarithm(x):
    """Class 1 where the first feature exceeds 1; NaN where it is negative."""
    score = x[:, 0].log()
    return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.mark.parametrize("name, norm", PAIRS)
def test_errors_are_found_on_this_side_of_where_logits_end(name, norm):
    X = torch.tensor([[1.2, 0.0], [2.5, 1.0], [8.0, 0.0], [0.5, 0.0]], dtype=torch.float64)
    y = torch.tensor([1, 1, 1, 0])
    X_adv = attack(name, logarithm, X, y, eps=3.0, threat=norm)
    found = distances(logarithm, X, y, X_adv, threat=norm).isfinite()
    assert logarithm(X_adv).isfinite().all()
    # A step of full length ends where there are no logits.
    found_by_steps = [True, True, False, True]
    assert found.tolist() == ([False] * 3 + [True] if name == "fgsm" else found_by_steps)


@pytest.mark.parametrize("name", CLOSEST)
def test_distances_are_exact_beside_the_end_of_the_domain(name):
    X, y = torch.tensor([[1.2, 0.0], [8.0, 0.0]], dtype=torch.float64), torch.ones(2).long()
    X_adv = attack(name, logarithm, X, y, threat="l2")
    found = distances(logarithm, X, y, X_adv, threat="l2")
    torch.testing.assert_close(found, X[:, 0] - 1, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ATTACKS)
def test_sample_without_logits_around_it_costs_the_others_nothing(name, problem):
    model, X, y = problem
    island = torch.full((1, 6), 5.0)
    X, y = torch.cat([island, X]), torch.cat([model(island).argmax(dim=1), y])

    def logits(x):
        away = (x - island).abs().amax(dim=1, keepdim=True)
        lost = (away > 0) & (away < 1)
        return torch.where(lost, torch.nan, model(x))

    options = {"eps": 0.5, "threat": "l2"}
    X_adv, expected = (attack(name, f, X, y, **options) for f in (logits, model))
    assert torch.equal(X_adv[0], X[0])
    broken, broken_before = (f[1:].ne(X[1:]).any(dim=1) for f in (X_adv, expected))
    assert torch.equal(broken, broken_before)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "auto", "fab"])
def test_gradient_that_is_no_number_costs_its_own_sample_alone(name, problem):
    model, X, y = problem

    def logits(x):
        far = x[:, 1:2] > 5
        return model(x) + torch.where(far, x[:, :1] - x[:, :1].detach(), 1).sqrt()

    island = torch.full((1, 6), 9.0)
    X, y = torch.cat([island, X]), torch.cat([model(island).argmax(dim=1), y])
    X_adv = attack(name, logits, X, y, eps=0.5)
    assert X_adv.isfinite().all()
    assert (model(X_adv)[1:].argmax(dim=1) != y[1:]).float().mean() > 0.3


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name, dtype", [("auto", torch.float32), ("fab", torch.float64)])
def test_walk_on_slopes_that_underflow_ends_and_stays_finite(name, norm, dtype):
    """Bumps are flat far from their centres, where the next boundary seems at infinity."""
    centres = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)

    def logits(x):
        return torch.exp(-4 * torch.cdist(x, centres).square()) + torch.tensor([0.1, 0.0]).to(x)

    X = torch.randn(60, 3, generator=torch.Generator().manual_seed(1), dtype=dtype)
    y = logits(X).argmax(dim=1)
    X_adv = attack(name, logits, X, y, threat=norm, eps=0.3)
    assert X_adv.isfinite().all() and (logits(X_adv).argmax(dim=1) != y).any()


def test_no_answer_is_no_error():
    def labels(x):
        below = torch.where(x[:, 0] < 0, NO_ANSWER, 1)
        return torch.where((x[:, 0] > 0) & (x[:, 0] < 0.5), 0, below)

    X = torch.tensor([[2.0], [0.8], [0.3]])
    X_adv = rays(labels, X, torch.tensor([1, 1, 0]), random_state=0)
    torch.testing.assert_close(X_adv, torch.full((3, 1), 0.5), rtol=0, atol=1e-2)


def test_objective_of_what_is_no_number_is_the_lowest_and_flat():
    x = torch.tensor([[2.0], [-1.0]])
    loss, wrong, gradient = Objective(logarithm, margin).slope(x, torch.tensor([0, 0]))
    assert loss[1] == -torch.inf and wrong.tolist() == [True, False]
    torch.testing.assert_close(gradient, torch.tensor([[0.5], [0.0]]))
