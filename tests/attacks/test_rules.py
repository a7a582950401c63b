"""Rules of the data: every point of every attack obeys them, and the best ones are found."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import (
    APGD,
    DDN,
    FAB,
    FGSM,
    FMN,
    PGD,
    Budget,
    Coordinates,
    RayS,
    SigmaZero,
    Square,
)

CHECKED = settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ATTACKS = [
    FGSM(),
    PGD(n_steps=6),
    APGD(n_steps=8),
    Square(n_queries=20),
    Coordinates(n_queries=40),
    RayS(n_queries=40),
    FMN(n_steps=6, n_restarts=1),
    FAB(n_steps=6),
]
RELATIONS = ["x2 == x0 + x1", "x3 + x4 + x5 == 1", "x6 <= x7", "0 <= x3", "0 <= x4", "0 <= x5"]
UNITS = np.array([1, 1, 1, 0.1, 0.2, 0.1, 0.3, 0.3, 1.0])


def samples(seed, n=8):
    """Counts and their total, shares, an ordered pair with ties, and a column alone."""
    rng = np.random.default_rng(seed)
    counts, limit = rng.integers(0, 9, (n, 2)).astype(float), rng.exponential(1, n)
    debt = limit * rng.choice([1.0, 0.5, 0.0], n)
    parts = [counts, counts.sum(1), rng.dirichlet([1, 1, 1], n), debt, limit, rng.normal(size=n)]
    return torch.from_numpy(np.column_stack(parts))


def network(seed, d=9, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    first, last = (torch.randn(s, generator=generator).to(dtype) for s in ((d, 12), (12, 3)))
    return lambda x: torch.tanh(x @ first) @ last


def size(v, norm):
    if norm == "l0":
        return np.count_nonzero(v, axis=1)
    return np.linalg.norm(v, ord={"linf": np.inf, "l2": 2, "l1": 1}[norm], axis=1)


def check_by_hand(X, x, eps, norm, tolerance=1e-9):
    X, x = (part.double().numpy() for part in (X, x))
    assert np.abs(x[:, 2] - x[:, 0] - x[:, 1]).max() == 0  # whole numbers
    np.testing.assert_allclose(x[:, 3:6].sum(1), 1, rtol=tolerance)
    assert (x[:, 6] - x[:, 7]).max() <= tolerance and x[:, 3:6].min() >= 0
    assert (x[:, :3] == x[:, :3].round()).all()
    assert (x[:, 8] >= X[:, 8]).all() and (x >= -5).all() and (x <= 20).all()
    assert eps is None or size((x - X) / UNITS, norm).max() <= eps * (1 + tolerance)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@CHECKED
@given(
    norm=st.sampled_from(["linf", "l2", "l1"]),
    seed=st.integers(0, 999),
    eps=st.sampled_from([0.7, 1.5]),
)
def test_points_obey(attack, norm, seed, eps):
    X, logits = samples(seed), network(seed)
    threat = ThreatModel(
        norm, units=UNITS, relations=RELATIONS, integers=[0, 1, 2], increasing=[8], bounds=(-5, 20)
    )
    y = logits(X).argmax(dim=1)
    X_adv = attack(logits, X, y, eps=eps, threat=threat, random_state=seed)
    check_by_hand(X, X_adv, eps, norm)
    Budget.of(X, eps=eps, threat=threat).verify(X, X_adv)


@pytest.mark.parametrize("attack", [*ATTACKS[:6], SigmaZero(n_steps=10)], ids=lambda a: a.name)
def test_points_obey_where_features_are_counted(attack):
    X, logits = samples(0), network(0)
    threat = ThreatModel(
        "l0", units=UNITS, relations=RELATIONS, integers=[0, 1, 2], increasing=[8], bounds=(-5, 20)
    )
    X_adv = attack(logits, X, logits(X).argmax(1), eps=3, threat=threat, random_state=0)
    check_by_hand(X, X_adv, 3, "l0")


@pytest.mark.parametrize(
    "attack",
    [DDN(n_steps=20), FMN(n_steps=20), FAB(n_steps=20), RayS(n_queries=100)],
    ids=lambda a: a.name,
)
def test_points_without_a_budget_obey(attack):
    X, logits = samples(1), network(1)
    threat = ThreatModel(
        "l2", units=UNITS, relations=RELATIONS, integers=[0, 1, 2], increasing=[8], bounds=(-5, 20)
    )
    X_adv = attack(logits, X, logits(X).argmax(1), threat=threat, random_state=0)
    check_by_hand(X, X_adv, None, "l2")
    assert (X_adv != X).any()


def test_points_in_single_precision_obey():
    X, logits = samples(2).float(), network(2, dtype=torch.float32)
    threat = ThreatModel(units=UNITS, relations=RELATIONS, integers=[0, 1, 2], bounds=(-5, 20))
    X_adv = PGD()(logits, X, logits(X).argmax(1), eps=1.0, threat=threat, random_state=0)
    Budget.of(X, eps=1.0, threat=threat).verify(X, X_adv)
    assert (X_adv[:, 3:6].sum(1) - 1).abs().max() < 1e-6 and (X_adv != X).any()


@CHECKED
@given(seed=st.integers(0, 9999), n_equations=st.integers(1, 2))
def test_random_relations_hold_and_cost_little_of_a_linear_model(seed, n_equations):
    """The gain of gradient ascent beside that of the linear program."""
    rng = np.random.default_rng(seed)
    d, n = 6, 4
    E, G, units = (
        rng.integers(-2, 3, (n_equations, d)),
        rng.normal(size=(2, d)),
        rng.uniform(1, 2, d),
    )
    if np.linalg.matrix_rank(E) < n_equations:
        return
    X = rng.normal(size=(n, d))
    X -= (np.linalg.pinv(E) @ (E @ X.T - 1)).T
    bound, w = (G @ X.T).max(axis=1) + 0.1, rng.normal(size=d)
    texts = [
        " + ".join(f"({c!r})*x{j}" for j, c in enumerate(row)) for row in [*E.tolist(), *G.tolist()]
    ]
    ends = ["== 1"] * n_equations + [f"<= {b!r}" for b in bound.tolist()]
    threat = ThreatModel(
        units=units, relations=[f"{t} {e}" for t, e in zip(texts, ends, strict=True)]
    )
    points, slope = torch.from_numpy(X), torch.from_numpy(w)
    far = float((points @ slope).max()) + 100
    logits = lambda x: torch.stack([far - x @ slope, x @ slope - far], dim=1)  # noqa: E731
    y = torch.zeros(n, dtype=torch.long)
    moved = (
        PGD(loss="margin")(logits, points, y, eps=1.0, threat=threat, random_state=0).numpy() - X
    )
    assert np.abs(E @ moved.T).max() < 1e-12
    assert (G @ (X + moved).T <= bound[:, None] + 1e-12).all()
    for x, step in zip(X, moved, strict=True):
        best = linprog(
            -w, G, bound - G @ x, E, np.zeros(n_equations), list(zip(-units, units, strict=True))
        )
        assert 0.95 * -best.fun <= w @ step <= -best.fun + 1e-9


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_one_way_columns_are_exact_for_a_linear_model(norm):
    """The dual norm of the part of the slope that may be climbed."""
    generator = torch.Generator().manual_seed(0)
    X, w = (torch.randn(*s, generator=generator).double() for s in ((9, 6), (6,)))
    X -= torch.outer(X @ w, w) / (w @ w)
    threat = ThreatModel(norm, increasing=[0, 1], decreasing=[2, 3])
    free = w.numpy().copy()
    free[:2], free[2:4] = free[:2].clip(min=0), free[2:4].clip(max=0)
    assert (free != w.numpy()).any()
    gain = np.linalg.norm(free, ord={"linf": 1, "l2": 2, "l1": np.inf}[norm]) * 0.5
    y = torch.zeros(len(X), dtype=torch.long)
    for share in (0.99, 1.01):
        logits = lambda x, b=share * gain: torch.stack([b - x @ w, x @ w - b], dim=1)  # noqa: E731
        X_adv = PGD(loss="margin")(logits, X, y, eps=0.5, threat=threat, random_state=0)
        assert ((X_adv @ w > share * gain) == (share < 1)).all()
    distance = float(np.linalg.norm(free, ord={"linf": 1, "l2": 2, "l1": np.inf}[norm])) ** -1
    closest = FMN()(lambda x: torch.stack([1 - x @ w, x @ w - 1], dim=1), X, y, threat=threat)
    np.testing.assert_allclose(size((closest - X).numpy(), norm), distance, rtol=0.01)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("relation", [None, "x2 == x0 + x1", "x0 <= x1 + 1"])
def test_whole_numbers_reach_what_enumeration_finds(norm, relation):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 14, (25, 3)).astype(float)
    X[:, 0] = X[:, :2].min(axis=1)
    X[:, 2] = X[:, 0] + X[:, 1]
    w, eps = torch.tensor([1.0, 0.6, -0.3], dtype=torch.float64), 2.2
    middle = float(np.median(X @ w.numpy())) + 0.05
    logits = lambda x: torch.stack([middle - x @ w, x @ w - middle], dim=1)  # noqa: E731
    steps = np.array(list(product(range(-2, 3), repeat=3)), dtype=float)
    steps = steps[size(steps, norm) <= eps]
    points = X[:, None] + steps
    may = np.ones(points.shape[:2], dtype=bool)
    if relation == "x2 == x0 + x1":
        may = points[..., 2] == points[..., 0] + points[..., 1]
    if relation == "x0 <= x1 + 1":
        may = points[..., 0] <= points[..., 1] + 1
    y = logits(torch.from_numpy(X)).argmax(dim=1)
    wrong = (points @ w.numpy() > middle) != y.numpy()[:, None]
    expected = ~(wrong & may).any(axis=1)
    threat = ThreatModel(
        norm, integers=[0, 1, 2], relations=None if relation is None else [relation]
    )
    found = torch.from_numpy(X)
    robust = np.ones(len(X), dtype=bool)
    for attack in (PGD(loss="margin"), Square(n_queries=100)):
        X_adv = attack(logits, found, y, eps=eps, threat=threat, random_state=0)
        robust &= (logits(X_adv).argmax(dim=1) == y).numpy()
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(robust, expected)


@pytest.mark.parametrize(
    ("parts", "spoil", "message"),
    [
        ({"increasing": [0]}, lambda X: X - 0.1, "must not fall"),
        ({"decreasing": [0]}, lambda X: X + 0.1, "must not grow"),
        ({"integers": [0]}, lambda X: X + 0.5, "must keep integers"),
        ({"relations": ["x0 == x1"]}, lambda X: X * torch.tensor([1, 1.1]), "obey the relation"),
        ({"relations": ["x0 <= x1"]}, lambda X: X * torch.tensor([1.1, 1]), "obey the relation"),
    ],
)
def test_points_that_break_a_rule_are_found_out(parts, spoil, message):
    X = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    budget = Budget.of(X, eps=2, threat=ThreatModel(**parts))
    budget.verify(X, X)
    with pytest.raises(ValueError, match=message):
        budget.verify(X, spoil(X))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"relations": ["x0 == x1"]}, r"samples 1, 2 of X break it, by up to 3"),
        ({"relations": ["x0 <= 2"]}, r"sample 2 of X break it, by up to 2"),
        ({"integers": [2]}, "samples 0, 1, 2 of X are off by up to 0.5, in column 2"),
        ({"repair": abs}, "repair takes X in the container of the user"),
        ({"is_valid": abs}, "is_valid takes X in the container of the user"),
    ],
)
def test_rules_that_x_itself_breaks(parts, message):
    X = torch.tensor([[1.0, 1.0, 0.5], [2.0, 5.0, 0.5], [4.0, 1.0, 0.5]])
    with pytest.raises(ValueError, match=message):
        Budget.of(X, eps=1.0, threat=ThreatModel(**parts))
