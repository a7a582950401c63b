"""Projected gradient ascent on models whose exact adversarial distance is known."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import NORMS, Budget, apgd, attack_ensemble, fgsm, fmn, pgd
from sklearn_iso.attacks._apgd import checkpoints

DUAL_ORDER = {"linf": 1, "l2": 2, "l1": float("inf")}
every_norm = pytest.mark.parametrize("norm", list(NORMS))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def binary(w):
    """Logits (0, w x) of a linear model."""
    return lambda x: torch.stack([torch.zeros(len(x)).to(x), x @ w.to(x)], dim=1)


def linear_problem(norm, dtype=torch.float64):
    """Five classes and 300 points, each at distance 1 from the nearest boundary."""
    W = torch.randn(5, 12, generator=generator(), dtype=dtype)
    X = torch.randn(300, 12, generator=generator(1), dtype=dtype)
    scores = X @ W.T
    y = scores.argmax(dim=1)
    duals = torch.linalg.vector_norm(W[y][:, None] - W[None], ord=DUAL_ORDER[norm], dim=2)
    distances = (scores.gather(1, y[:, None]) - scores) / duals
    nearest, second = distances.nan_to_num(torch.inf).sort(dim=1).values[:, :2].T
    return W, X / nearest[:, None], y, nearest / second


@every_norm
@pytest.mark.parametrize("attack", [pgd, apgd])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_multiclass_linear_model_flips_just_beyond_the_nearest_boundary(norm, loss, attack):
    W, X, y, ratio = linear_problem(norm)
    clear = ratio < 0.3  # else the climb may end at the second nearest boundary
    assert clear.sum() > 50
    X, y = X[clear], y[clear]
    for factor, flipped in ((1.01, True), (0.99, False)):
        X_adv = attack(lambda x: x @ W.T, X, y, eps=factor, threat=norm, loss=loss, random_state=0)
        assert (((X_adv @ W.T).argmax(dim=1) != y) == flipped).all()


def targeted(attack):
    def run(*args, **options):
        return attack(*args, loss="targeted_margin", **options)

    return run


@every_norm
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("attack", [targeted(pgd), targeted(apgd), attack_ensemble])
def test_an_attack_on_every_class_finds_the_nearest_boundary_of_all(attack, norm, dtype):
    W, X, y, _ = linear_problem(norm, dtype)
    for factor, flipped in ((1.01, True), (0.99, False)):
        X_adv = attack(lambda x: x @ W.T, X, y, eps=factor, threat=norm, random_state=0)
        assert (((X_adv @ W.T).argmax(dim=1) != y) == flipped).all()


def test_targets_are_taken_by_logit():
    """The runner-up is far, the third class near: one target misses it, two do not."""
    W = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 1.0]])
    bias = torch.tensor([0.0, -0.9, -1.0])
    X, y = torch.zeros(1, 2), torch.tensor([0])
    options = {"eps": 1.5, "threat": "l2", "loss": "targeted_margin", "random_state": 0}
    for n_targets, flipped in ((1, False), (2, True)):
        X_adv = pgd(lambda x: x @ W.T + bias, X, y, n_targets=n_targets, **options)
        assert bool((X_adv @ W.T + bias).argmax() != 0) == flipped


def largest_drop(w, x, eps, norm, low, high):
    """Exact maximum of -w (x' - x) within ball and box: each norm's fractional knapsack."""
    room = torch.where(w > 0, x - low, high - x)
    if norm == "linf":
        return (w.abs() * room.clamp(max=eps)).sum()
    if norm == "l1":
        drop, left = 0.0, eps
        for i in w.abs().argsort(descending=True):
            moved = min(left, room[i])
            drop, left = drop + w[i].abs() * moved, left - moved
        return drop
    below, above = 0.0, 1e6  # l2: moves min(room, t |w|) with t such that the length is eps
    for _ in range(200):
        t = (below + above) / 2
        moved = torch.minimum(room, t * w.abs())
        below, above = (t, above) if moved.norm() < eps else (below, t)
    return (w.abs() * moved).sum()


@every_norm
@pytest.mark.parametrize("attack", [pgd, apgd, attack_ensemble, fmn])
def test_linear_model_in_a_box_flips_just_beyond_the_exact_drop(norm, attack):
    w = torch.randn(20, generator=generator(), dtype=torch.float64)
    X = torch.rand(6, 20, generator=generator(1), dtype=torch.float64)
    eps = {"linf": 0.4, "l2": 1.2, "l1": 2.5}[norm]
    options = {"eps": eps, "threat": ThreatModel(norm, bounds=(0, 1))}
    if attack is not fmn:
        options["random_state"] = 0
    y = torch.ones(1, dtype=torch.long)
    for x in X:
        drop = largest_drop(w, x, eps, norm, 0.0, 1.0)
        for factor, flipped in ((0.99, True), (1.01, False)):

            def logits(rows, x=x, gap=drop * factor):
                return torch.stack([torch.zeros(len(rows)), gap + (rows - x) @ w], dim=1)

            X_adv = attack(logits, x[None], y, **options)
            assert bool(logits(X_adv).argmax() != 1) == flipped


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_single_step_takes_the_exact_maximum_of_a_linear_model_in_a_box(norm):
    w = torch.randn(20, generator=generator(), dtype=torch.float64)
    X = torch.rand(6, 20, generator=generator(1), dtype=torch.float64)
    eps = {"linf": 0.4, "l1": 2.5}[norm]
    logits = lambda rows: torch.stack([torch.zeros(len(rows)), 100 + rows @ w], dim=1)  # noqa: E731
    X_adv = fgsm(
        logits, X, torch.ones(6, dtype=int), eps=eps, threat=ThreatModel(norm, bounds=(0, 1))
    )
    for x, x_adv in zip(X, X_adv, strict=True):
        assert float((x - x_adv) @ w) == pytest.approx(largest_drop(w, x, eps, norm, 0.0, 1.0))


@every_norm
def test_scalar_eps_equals_the_same_eps_for_every_feature(norm, problem):
    model, X, y = problem
    model, X = model.double(), X.double()
    scalar = pgd(model, X, y, eps=0.3, threat=norm, random_state=0)
    units = ThreatModel(norm, units=np.full(6, 0.3))
    vector = pgd(model, X, y, eps=1, threat=units, random_state=0)
    torch.testing.assert_close(scalar, vector, atol=1e-9, rtol=0)


def test_only_survivors_stay_in_the_batch(counting):
    """Row i lies 0.05 + 0.1 i from the boundary, so each step of 0.1 breaks one more."""
    X = torch.linspace(0.05, 0.95, 10)[:, None]
    logits = counting(binary(torch.ones(1)))
    pgd(
        logits, X, torch.ones(10, dtype=int), eps=1.0, n_steps=10, step_size=0.1, random_start=False
    )
    clean = [10]
    assert logits.seen == clean + [10, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_restarts_see_survivors_only_and_pack_them_into_full_batches(counting):
    X = torch.cat([torch.full((10, 1), 0.5), torch.full((10, 1), 2.0)])[torch.arange(20) * 7 % 20]
    logits = counting(binary(torch.ones(1)))
    options = {"n_steps": 1, "step_size": 1.0, "random_start": False, "batch_size": 10}
    pgd(logits, X, torch.ones(20, dtype=int), eps=1.0, n_restarts=2, **options)
    clean, first_run, second_run = logits.seen[:2], logits.seen[2:6], logits.seen[6:]
    assert clean == [10, 10] and first_run == [10] * 4
    assert second_run == [10, 10]


def test_best_iterate_is_kept_for_rows_never_misclassified():
    """Steps too long by far jump over the peak at 0.3; the nearest visit must come back."""

    def logits(x):
        return torch.cat([torch.ones_like(x), -((x - 0.3) ** 2)], dim=1)

    X, y = torch.zeros(1, 1), torch.tensor([0])
    options = {"eps": 1.0, "n_steps": 7, "step_size": 0.4, "random_start": False}
    visited = [0.0, 0.4, 0.0]
    assert pgd(logits, X, y, **options).item() == pytest.approx(max(visited))


def test_more_restarts_never_fool_fewer(problem):
    model, X, y = problem
    misclassified = [
        (model(pgd(model, X, y, eps=0.2, n_steps=2, n_restarts=n, random_state=3)).argmax(1) != y)
        for n in (1, 4)
    ]
    assert (misclassified[1] >= misclassified[0]).all()


def test_a_later_restart_escapes_where_the_first_stalls():
    """A flat plateau around X: only a start beyond it has a gradient."""

    def logits(x):
        score = nn.functional.relu(x.abs() - 0.8)
        return torch.cat([torch.full_like(x, 0.1), score], dim=1)

    X, y = torch.zeros(20, 1), torch.zeros(20, dtype=int)
    stalled = pgd(logits, X, y, eps=1.0, random_start=False, random_state=0)
    assert (logits(stalled).argmax(dim=1) == y).all()
    free = pgd(logits, X, y, eps=1.0, random_start=False, n_restarts=60, random_state=0)
    assert (logits(free).argmax(dim=1) != y).all()


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
@pytest.mark.parametrize("factor", [1e-8, 1e4, 1e12])
def test_scale_of_the_logits_does_not_stall_the_attack(problem, loss, factor):
    model, X, y = problem
    robust = {}
    for scale in (1.0, factor):
        X_adv = pgd(lambda x, s=scale: model(x) * s, X, y, eps=0.15, loss=loss, random_state=0)
        robust[scale] = (model(X_adv).argmax(dim=1) == y).float().mean().item()
    assert 0.1 < robust[1.0] < 0.9
    assert robust[factor] == pytest.approx(robust[1.0], abs=0.05)


@pytest.mark.parametrize(
    "fresh",
    [np.random.RandomState, np.random.default_rng, generator, np.int64],
    ids=["RandomState", "Generator", "torch", "numpy integer"],
)
def test_generators_are_random_states(fresh, problem):
    model, X, y = problem
    first, again = (pgd(model, X, y, eps=0.1, random_state=fresh(3)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"n_steps": 0}, "n_steps must be an integer of at least 1; got 0"),
        ({"n_restarts": 0}, "n_restarts must be an integer of at least 1; got 0"),
        ({"n_targets": 0}, "n_targets must be an integer of at least 1; got 0"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"step_size": 0.0}, "step_size must be positive"),
        ({"random_state": -1}, "random_state must be None"),
        ({"random_state": "seed"}, "random_state must be None"),
    ],
)
def test_bad_options_of_pgd_are_errors(change, message, problem):
    model, X, y = problem
    with pytest.raises(ValueError, match=message):
        pgd(model, X, y, eps=0.1, **change)


def test_single_step_takes_no_target(problem):
    model, X, y = problem
    with pytest.raises(ValueError, match="loss must need no target"):
        fgsm(model, X, y, eps=0.1, loss="targeted_margin")


@pytest.mark.parametrize("n_steps", [1, 2, 5, 10, 50, 100])
def test_checkpoints_rise_within_the_run(n_steps):
    found = checkpoints(n_steps)
    assert found == sorted(set(found)) and all(0 < at < n_steps for at in found)


def test_momentum_settles_where_constant_steps_jump_about(problem):
    """A narrow ridge at 0.3: steps must shrink to come close to its top."""

    def logits(x):
        return torch.cat([torch.ones_like(x), -((x - 0.3) ** 2)], dim=1)

    X, y = torch.zeros(5, 1, dtype=torch.float64), torch.zeros(5, dtype=int)
    X_adv = apgd(logits, X, y, eps=1.0, n_steps=200, random_state=0)
    assert (X_adv - 0.3).abs().max() < 1e-3


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda X: X + 0.11, "found a perturbation of 1.1 times eps"),
        (lambda X: X[:, :2], "finite points of shape"),
        (lambda X: X * float("nan"), "finite points"),
        (lambda X: X - 0.05, "within bounds"),
    ],
)
def test_budget_verifies_what_an_attack_returns(spoil, message):
    X = torch.zeros(2, 3, dtype=torch.float64)
    budget = Budget.of(X, eps=0.1, threat=ThreatModel(bounds=(0, 1)))
    budget.verify(X, X + 0.1)
    with pytest.raises(ValueError, match=message):
        budget.verify(X, spoil(X))


def test_budget_in_float32_is_no_wider_than_the_number_given():
    X = torch.zeros(1, 2)
    assert Budget.of(X, eps=0.1).eps.double() <= 0.1
