"""Laws that every attack of the list obeys, in every norm that it takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from attacks_by_name import ONLY_L2, run

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import ATTACKS, NORMS, Budget

DUAL_ORDER = {"linf": 1, "l2": 2, "l1": float("inf")}
ONE_STEP = {"fgsm"}
GRADIENT_FREE = {"square", "rays"}
# Evaluations of a row that a minimum-norm attack with one wrong class may take: a step of ddn or
# fmn is one of them, a step along the boundary two; about twenty bisect and check.
CLOSEST = {"ddn": 50 + 20, "fmn": 50 + 20, "fab": 2 * 60 + 30 + 20}
DETERMINISTIC = ONE_STEP | CLOSEST.keys()
FEW = {"n_queries": 60}


def trials(*, without=frozenset()):
    """Every attack of the list with every norm that it takes."""
    pairs = [
        (name, norm)
        for name in ATTACKS
        for norm in NORMS
        if name not in without and (norm == "l2" or name not in ONLY_L2)
    ]
    return pytest.mark.parametrize("name, norm", pairs)


both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_attack = pytest.mark.parametrize("name", ATTACKS)


def attack(name, logits, X, y, *, n_queries=1000, **options):
    """Run an attack of the list, with so many queries if it asks without gradients."""
    if name in GRADIENT_FREE:
        options["n_queries"] = n_queries
    return run(name, logits, X, y, **options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def binary(w):
    """Logits (0, w x) of a linear model."""
    return lambda x: torch.stack([torch.zeros(len(x)).to(x), x @ w.to(x)], dim=1)


def points_at_distance(w, distance, norm, n=20):
    """Rows of class 1 whose exact distance to the boundary in the norm is the distance given."""
    x = torch.randn(n, len(w), generator=generator(1), dtype=w.dtype)
    on_boundary = x - (x @ w / (w @ w))[:, None] * w
    dual = torch.linalg.vector_norm(w, ord=DUAL_ORDER[norm])
    return on_boundary + distance * dual / (w @ w) * w


@every_attack
def test_an_attack_differentiates_where_gradients_are_off(name):
    w = torch.randn(5, generator=generator())
    X, y = points_at_distance(w, 0.7, "l2"), torch.ones(20, dtype=torch.int64)
    options = {"eps": 1.0, "threat": "l2", "n_queries": 100}
    expected = attack(name, binary(w), X, y, **options)
    with torch.inference_mode():
        found = attack(name, binary(w), X.clone(), y, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@both_dtypes
@trials()
@pytest.mark.parametrize("n_features", [1, 5, 300])
def test_linear_model_flips_just_beyond_the_exact_distance(name, norm, n_features, dtype):
    if n_features == 300 and name in GRADIENT_FREE:
        pytest.skip("takes more queries: see test_gradient_free.py")
    w = torch.randn(n_features, generator=generator(), dtype=dtype)
    X, y = points_at_distance(w, 0.7, norm), torch.ones(20, dtype=torch.long)
    assert (binary(w)(X).argmax(dim=1) == y).all()
    for factor, flipped in ((1.01, True), (0.99, False)):
        budget = {"eps": 0.7 * factor, "threat": norm, "n_queries": 3000 if flipped else 60}
        X_adv = attack(name, binary(w), X, y, **budget)
        assert ((binary(w)(X_adv).argmax(dim=1) != y) == flipped).all()


@both_dtypes
@trials()
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_perturbations_stay_in_the_ball_and_the_bounds(name, norm, dtype, offset, problem):
    model, X, y = problem
    model = model.to(dtype)
    low = offset + torch.linspace(0, 0.3, 6, dtype=dtype)
    X = (X.to(dtype) + offset).clamp(min=low, max=torch.tensor(offset + 1, dtype=dtype))
    y = model(X - offset).argmax(dim=1)
    units = torch.tensor([0.0, 0.01, 0.1, 0.5, 1.0, 2.0], dtype=dtype)
    threat = ThreatModel(norm, units=units, bounds=(low, offset + 1.0))
    X_adv = attack(name, lambda x: model(x - offset), X, y, eps=1, threat=threat, **FEW)
    assert (X_adv >= low).all() and (X_adv <= offset + 1).all()
    moved = (X_adv - X).double()
    assert (moved[:, 0] == 0).all()
    assert NORMS[norm].size(moved[:, 1:] / units[1:].double()).max() <= 1 + 1e-6
    assert moved.any()
    Budget.of(X, eps=1, threat=threat).verify(X, X_adv)


@trials()
def test_units_make_an_attack_on_rescaled_features(name, norm):
    """Exact distance in units: |f| over the dual norm of units * w."""
    w = torch.randn(8, generator=generator(), dtype=torch.float64)
    units = torch.rand(8, generator=generator(2), dtype=torch.float64) + 0.1
    units[3] = 0
    X, y = points_at_distance(w, 1.0, "l2"), torch.ones(20, dtype=torch.long)
    distance = (X @ w)[0] / torch.linalg.vector_norm(w * units, ord=DUAL_ORDER[norm])
    beyond = 1.03 if name == "rays" else 1.01
    for factor, flipped in ((beyond, True), (0.99, False)):
        budget = {"eps": factor * distance, "threat": ThreatModel(norm, units=units)}
        X_adv = attack(name, binary(w), X, y, n_queries=4000 if flipped else 60, **budget)
        assert ((binary(w)(X_adv).argmax(dim=1) != y) == flipped).all()
        assert torch.equal(X_adv[:, 3], X[:, 3])


@trials()
def test_immutable_features_are_as_with_unit_zero(name, norm, problem):
    model, X, y = problem
    immutable = np.array([True, False, False, True, False, False])
    masked = attack(
        name, model, X, y, eps=0.8, threat=ThreatModel(norm, immutable=immutable), **FEW
    )
    zero_units = ThreatModel(norm, units=np.where(immutable, 0, 0.8))
    zeros = attack(name, model, X, y, eps=1, threat=zero_units, **FEW)
    assert torch.equal(masked, zeros)
    assert torch.equal(masked[:, immutable], X[:, immutable])
    assert not torch.equal(masked, X)


@every_attack
def test_zero_eps_returns_x(name, problem):
    model, X, y = problem
    for eps in (0, torch.tensor(0.0)):
        X_adv = attack(name, model, X, y, eps=eps)
        assert torch.equal(X_adv, X) and X_adv is not X


@every_attack
def test_misclassified_rows_come_back_unchanged(name, problem):
    model, X, y = problem
    wrong = torch.arange(50) % 2 == 0
    y = torch.where(wrong, (y + 1) % 3, y)
    X_adv = attack(name, model, X, y, eps=2.0, **FEW)
    assert torch.equal(X_adv[wrong], X[wrong])
    assert not torch.equal(X_adv[~wrong], X[~wrong])


@every_attack
def test_rows_that_are_misclassified_at_once_cost_no_more_than_their_first_steps(name, counting):
    """Nine of ten rows lie on the boundary; a minimum-norm attack keeps looking for closer."""
    X = torch.full((100, 2), 1e-4)
    X[::10] = 50.0
    logits = counting(binary(torch.ones(2)))
    attack(name, logits, X, torch.ones(100, dtype=int), eps=0.5, **FEW)
    rows = sum(logits.seen) / 100
    assert rows < CLOSEST.get(name, 0.25 * len(logits.seen) + 20)


@every_attack
@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.slow), 7, 50])
def test_logits_never_see_more_than_batch_size_rows(name, batch_size, problem, counting):
    model, X, y = problem
    logits = counting(model)
    attack(name, logits, X[:20], y[:20], eps=0.02, batch_size=batch_size, n_queries=20)
    assert max(logits.seen) == min(batch_size, 20)


@every_attack
@pytest.mark.parametrize("n_classes", [2, 3, 11])
def test_any_number_of_classes(name, n_classes):
    W = torch.randn(n_classes, 4, generator=generator(), dtype=torch.float64)
    X = torch.randn(30, 4, generator=generator(1), dtype=torch.float64)
    y = (X @ W.T).argmax(dim=1)
    X_adv = attack(name, lambda x: x @ W.T, X, y, eps=10.0, **FEW)
    assert ((X_adv @ W.T).argmax(dim=1) != y).double().mean() > 0.9


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - DETERMINISTIC))
def test_same_random_state_is_bitwise_the_same_and_another_differs(name, problem):
    model, X, y = problem
    options = {"eps": 0.2, **FEW}
    first, again, other = (
        attack(name, model, X, y, random_state=seed, **options) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_attacks_without_random_state_repeat_themselves(name, problem):
    model, X, y = problem
    first, again = (attack(name, model, X, y, eps=2.0) for _ in range(2))
    assert torch.equal(first, again)


@every_attack
def test_global_generators_are_untouched(name, problem):
    model, X, y = problem
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    options = {} if name in DETERMINISTIC else {"random_state": None}
    attack(name, model, X, y, eps=0.1, **options, **FEW)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


@every_attack
def test_parameters_and_inputs_get_no_gradient(name, problem):
    model, X, y = problem
    sentinel = torch.full_like(model[0].weight, 7.0)
    model[0].weight.grad = sentinel.clone()
    X_before = X.clone()
    with torch.no_grad():
        X_adv = attack(name, model, X, y, eps=0.3, **FEW)
    assert torch.equal(model[0].weight.grad, sentinel) and model[2].weight.grad is None
    assert X.grad is None and torch.equal(X, X_before) and not X_adv.requires_grad
    assert all(p.requires_grad for p in model.parameters())


@trials()
def test_images_keep_their_shape(name, norm):
    X = torch.rand(4, 2, 3, 3, generator=generator())
    w = torch.randn(18, generator=generator(1))
    logits = binary(w)
    y = logits(X.flatten(1)).argmax(dim=1)
    options = {"eps": 9.0, "threat": ThreatModel(norm, bounds=(0, 1))}
    X_adv = attack(name, lambda x: logits(x.flatten(1)), X, y, **options, **FEW)
    shape = {"image_shape": (2, 3, 3)} if name in ("auto", "square") else {}
    flat = attack(name, logits, X.flatten(1), y, **options, **FEW, **shape)
    assert X_adv.shape == X.shape and not torch.equal(X_adv, X)
    torch.testing.assert_close(X_adv.flatten(1), flat)


@every_attack
def test_no_rows_are_no_work(name):
    X = torch.zeros(0, 3)
    assert attack(name, None, X, torch.zeros(0, dtype=int), eps=1.0).shape == (0, 3)


@every_attack
@pytest.mark.parametrize(
    "change, message",
    [
        ({"eps": -0.1}, "eps must be finite and not negative; got -0.1"),
        ({"eps": float("inf")}, "eps must be finite"),
        ({"eps": float("nan")}, "eps must be finite"),
        ({"eps": [0.1] * 6}, "eps must be one number.* Pass .* units, threat=ThreatModel"),
        ({"eps": torch.ones(1)}, "eps must be one number"),
        ({"threat": "l7"}, "threat must be a ThreatModel or a norm, one of 'linf'.*; got 'l7'"),
        (
            {"threat": ThreatModel(units=[0.1] * 5)},
            r"units must be .* one for each feature, of shape \(6,\); got shape \(5,\)",
        ),
        ({"threat": ThreatModel(immutable=range(6))}, "every feature is immutable"),
        (
            {"threat": ThreatModel(immutable=[True] * 4 + [False])},
            r"a mask of booleans.* of shape \(6,\).* got .*\(5,\)",
        ),
        (
            {"threat": ThreatModel(categories=[(0, 1)])},
            "exactly one 1, .* columns .0, 1. of sample 0 hold",
        ),
        ({"threat": ThreatModel(categories=[(0, 6)])}, "column numbers from 0 to 5"),
        (
            {"threat": ThreatModel(bounds=(0, 0.5))},
            r"inside bounds=\(0, 0.5\); found a maximum of 0.99",
        ),
        (
            {"threat": ThreatModel(bounds=(0.2, 1))},
            "found a minimum of .* Widen the bounds .*before any scaling",
        ),
        ({"threat": ThreatModel(bounds=([0.9] * 6, 1))}, "in feature .* of row 0"),
        (
            {"threat": ThreatModel(bounds=([0, 0], 1))},
            "the low of bounds must be one number or one for each feature",
        ),
        ({"X": torch.ones(50, 6, dtype=torch.int64)}, "X must be a floating tensor"),
        ({"X": torch.full((50, 6), float("nan"))}, "X must be finite"),
        ({"y": torch.full((50,), 3)}, "column numbers of the 3 logits; found 3"),
        ({"y": torch.full((50,), -1)}, "found -1"),
        ({"y": torch.zeros(49, dtype=int)}, r"of shape \(50,\)"),
        ({"y": torch.zeros(50)}, "y must hold one integer"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"logits": lambda x: x[:, :2] / 0}, "logits must be finite"),
        ({"logits": lambda x: x[:, :1]}, "at least 2 classes"),
        ({"logits": lambda x: x[:5]}, "logits must return a tensor of shape"),
    ],
)
def test_bad_arguments_are_errors_that_say_what_came(name, change, message, problem):
    model, X, y = problem
    X = X.clone()
    X[0, 0], X[0, 1] = 0.001, 0.999
    arguments = {"logits": model, "X": X, "y": model(X).argmax(dim=1), "eps": 0.1, **change}
    if name in ONLY_L2 and change.get("threat") != "l7":
        arguments["threat"] = replace(change.get("threat", ThreatModel()), norm="l2")
    logits, X, y = (arguments.pop(argument) for argument in ("logits", "X", "y"))
    with pytest.raises(ValueError, match=message):
        run(name, logits, X, y, **arguments)


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - GRADIENT_FREE))
@pytest.mark.parametrize(
    "logits, message",
    [
        (lambda x: 0 - x.detach()[:, :2], "logits must be differentiable"),
        (
            lambda x: (x - x.detach())[:, :2].sqrt(),
            "The gradient of the logits in X must be finite",
        ),
    ],
)
def test_logits_without_gradient_are_errors(name, logits, message, problem):
    _, X, _ = problem
    with pytest.raises(ValueError, match=message):
        attack(name, logits, X, logits(X).argmax(dim=1), eps=0.1)


@pytest.mark.parametrize("name", sorted(GRADIENT_FREE))
def test_gradient_free_attacks_ask_for_no_gradient(name, problem):
    model, X, y = problem

    def logits(x):
        assert not torch.is_grad_enabled() and not x.requires_grad
        return model(x)

    X_adv = attack(name, logits, X, y, eps=0.5)
    assert (model(X_adv).argmax(dim=1) != y).any()


@pytest.mark.parametrize("name", sorted(ONLY_L2))
def test_euclidean_attack_refuses_other_norms(name, problem):
    model, X, y = problem
    with pytest.raises(ValueError, match="of norm 'l2' for ddn; got 'linf'. Pass attack fmn"):
        run(name, model, X, y, eps=0.1, threat="linf")


@trials(without={"auto"})  # which runs others of the list
def test_points_outside_of_the_bounds_by_rounding_are_attacked_as_if_inside(name, norm):
    X = torch.rand(12, 6, generator=generator())
    inside = X.clone()
    inside[:6, 0], inside[6:, 1] = 0.0, 1.0
    X = inside.clone()
    X[:6, 0], X[6:, 1] = -3e-8, 1 + 2.5e-7
    w = torch.randn(6, generator=generator(3))
    logits = binary(w - w.mean())
    options = {"eps": 0.3, "threat": ThreatModel(norm, bounds=(0, 1))}
    y = logits(X).argmax(dim=1)
    X_adv = attack(name, logits, X, y, **options, **FEW)
    Budget.of(X, **options).verify(X, X_adv)
    assert X_adv.min() >= X.min() and X_adv.max() <= X.max()
    if name not in GRADIENT_FREE:  # a random search may take another way
        expected = attack(name, logits, inside, y, **options)
        torch.testing.assert_close(X_adv, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("beyond, accepted", [(1e-7, True), (1e-5, False)])
@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-20.0, 60.0), ([0.0, 1e3], [1.0, 1001.0])])
def test_rounding_beyond_the_bounds_is_a_share_of_their_range(low, high, beyond, accepted):
    low, high = torch.tensor(low).double(), torch.tensor(high).double()
    for side, sign in ((low, -1), (high, 1)):
        X = ((low + high) / 2).expand(3, 2).clone()
        X[1] = side + sign * beyond * (high - low)
        if accepted:
            budget = Budget.of(X, eps=0.1, threat=ThreatModel(bounds=(low, high)))
            least, most = budget.around(X).sides
            assert torch.all(least <= X) and torch.all(most >= X)
            assert torch.equal(least[0], low.expand(2)) and torch.equal(most[0], high.expand(2))
            continue
        with pytest.raises(ValueError, match="must lie inside bounds"):
            Budget.of(X, eps=0.1, threat=ThreatModel(bounds=(low, high)))


def test_bounds_that_hold_every_point_stay_as_they_are():
    X = torch.rand(5, 3, generator=generator())
    for bounds in [(0.0, 1.0), (-torch.inf, 1.0), (torch.zeros(3), torch.inf)]:
        box = Budget.of(X, eps=0.1, threat=ThreatModel(bounds=bounds)).box
        for side, given in zip(box, bounds, strict=True):
            assert torch.equal(side, torch.as_tensor(given))


@trials()
def test_a_network_that_writes_into_its_input_is_attacked_as_one_that_does_not(name, norm):
    w = torch.randn(4, generator=generator(), dtype=torch.float64)
    X = points_at_distance(w, 0.3, norm)
    X, y = X - 5.0 * w / (w @ w), torch.ones(len(X), dtype=torch.int64)
    shift = 5.0 * w / (w @ w)
    pure = attack(name, lambda x: binary(w)(x + shift), X, y, eps=0.5, threat=norm, **FEW)
    before = X.clone()
    writes = attack(name, lambda x: binary(w)(x.add_(shift)), X, y, eps=0.5, threat=norm, **FEW)
    assert torch.equal(writes, pure) and torch.equal(X, before)
    assert not torch.equal(pure, X)
