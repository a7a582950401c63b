"""One-hot groups: exactly one 1 each, few flips, and the best of them on a linear model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from attacks_by_name import run

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import ATTACKS, Budget, attack_ensemble, distances, fmn, pgd, square
from sklearn_iso.attacks._categories import Categories

GROUPS = [(2, 3, 4), np.array([5, 6]), [7, 8, 9, 10]]
GRADIENT_FREE = {"square", "rays"}
every_attack = pytest.mark.parametrize("name", ATTACKS)


def encoded(n=40, seed=0, dtype=torch.float64):
    """Two numbers and three one-hot groups."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.zeros(n, 11, dtype=dtype)
    X[:, :2] = torch.rand(n, 2, generator=generator, dtype=dtype)
    for group in GROUPS:
        chosen = torch.as_tensor(group)[torch.randint(len(group), (n,), generator=generator)]
        X[torch.arange(n), chosen] = 1
    return X, torch.randn(11, generator=generator, dtype=dtype)


def attack(name, logits, X, y, **options):
    options["threat"] = of_norm_for(name, options["threat"])
    if name in GRADIENT_FREE:
        options["n_queries"] = 60
    return run(name, logits, X, y, **options)


def of_norm_for(name, threat):
    """The threat, in the norm that an attack takes."""
    return replace(threat, norm="l2") if name == "ddn" else threat


def gains(w, X, n_flips):
    """Largest drop of w x by flipping n_flips groups, by the closed form."""
    best = [(X[:, list(group)] @ w[list(group)]) - w[list(group)].min() for group in GROUPS]
    return torch.stack(best).sort(dim=0, descending=True).values[:n_flips].sum(dim=0)


@every_attack
@pytest.mark.parametrize("max_changes", [0, 1, 2])
def test_groups_stay_one_hot_and_few_of_them_change(name, max_changes):
    X, w = encoded()
    y = (X @ w > 0).long()
    threat = ThreatModel(bounds=(0, 1), categories=GROUPS, max_changes=max_changes)
    logits = lambda x: torch.stack([torch.zeros(len(x)), x @ w], dim=1)  # noqa: E731
    X_adv = attack(name, logits, X, y, eps=0.2, threat=threat)
    n_flips = sum((X_adv[:, list(g)] != X[:, list(g)]).any(dim=1).long() for g in GROUPS)
    assert n_flips.max() == max_changes
    for group in GROUPS:
        block = X_adv[:, list(group)]
        assert ((block == 0) | (block == 1)).all() and (block.sum(dim=1) == 1).all()
    Budget.of(X, eps=0.2, threat=of_norm_for(name, threat)).verify(X, X_adv)


@every_attack
def test_categories_that_are_one_hot_up_to_rounding_flip_as_exact_ones(name):
    X, w = encoded()
    y = (X @ w > 0).long()
    logits = lambda x: torch.stack([torch.zeros(len(x)), x @ w], dim=1)  # noqa: E731
    rounded = X.clone()
    columns = torch.cat([torch.as_tensor(group) for group in GROUPS])
    rounded[:, columns] = (X[:, columns] - 1e-7).abs()
    options = {"eps": 0.2, "threat": ThreatModel(bounds=(0, 1), categories=GROUPS)}
    X_adv = attack(name, logits, rounded, y, **options)
    budget = Budget.of(rounded, eps=0.2, threat=of_norm_for(name, options["threat"]))
    budget.verify(rounded, X_adv)
    exact = attack(name, logits, X, y, **options)
    torch.testing.assert_close(X_adv[:, columns].round(), exact[:, columns])


@pytest.mark.parametrize(
    "max_changes",
    [0, pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("function", [pgd, attack_ensemble, square, fmn])
def test_linear_model_flips_just_beyond_the_best_categories(function, max_changes):
    X, w = encoded()
    eps = 0.1
    reach = gains(w, X, max_changes) + eps * w[:2].abs().sum()
    y = torch.ones(len(X), dtype=torch.long)
    options = {"eps": eps, "threat": ThreatModel(categories=GROUPS, max_changes=max_changes)}
    if function is not fmn:
        options["random_state"] = 0
    if function is square:
        options["n_queries"] = 100
    n_samples = 2 if function is attack_ensemble else 5
    for factor, flipped in ((0.99, True), (1.01, False)):
        for x, gap in zip(X[:n_samples], reach[:n_samples] * factor, strict=True):

            def logits(rows, x=x, gap=gap):
                return torch.stack([torch.zeros(len(rows)), gap + (rows - x) @ w], dim=1)

            X_adv = function(logits, x[None], y[:1], **options)
            assert bool(logits(X_adv).argmax() != 1) == flipped


def test_flips_alone_fool_where_every_number_is_immutable():
    X, w = encoded()
    immutable = np.arange(11) < 2
    gap = gains(w, X, 1) * 0.9
    y = torch.ones(len(X), dtype=torch.long)
    for row in range(5):

        def logits(rows, row=row):
            return torch.stack([torch.zeros(len(rows)), gap[row] + (rows - X[row]) @ w], dim=1)

        threat = ThreatModel(immutable=immutable, categories=GROUPS)
        X_adv = pgd(logits, X[[row]], y[:1], eps=1.0, threat=threat)
        assert bool(logits(X_adv).argmax() == 0)
        assert torch.equal(X_adv[:, :2], X[[row], :2])


@every_attack
def test_immutable_columns_of_a_group_are_never_set_or_cleared(name):
    X, w = encoded()
    y = (X @ w > 0).long()
    immutable = np.zeros(11, dtype=bool)
    immutable[[2, 7]] = True
    logits = lambda x: torch.stack([torch.zeros(len(x)), x @ w], dim=1)  # noqa: E731
    threat = ThreatModel(immutable=immutable, categories=GROUPS, max_changes=3)
    X_adv = attack(name, logits, X, y, eps=0.1, threat=threat)
    assert torch.equal(X_adv[:, immutable], X[:, immutable])
    assert not torch.equal(X_adv[:, ~immutable], X[:, ~immutable])


def test_a_flip_adds_nothing_to_the_distance():
    X, w = encoded()
    y = (X @ w > 0).long()
    logits = lambda x: torch.stack([torch.zeros(len(x)), x @ w], dim=1)  # noqa: E731
    options = {"threat": ThreatModel(categories=GROUPS)}
    X_adv = fmn(logits, X, y, **options)
    best = torch.where(y > 0, gains(w, X, 1), gains(-w, X, 1))
    exact = ((X @ w).abs() - best).clamp(min=0) / w[:2].abs().sum()
    found = distances(logits, X, y, X_adv, **options)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-9)


def test_best_flip_is_the_best_of_all():
    X, w = encoded(5)
    movable = torch.ones(11, dtype=torch.bool)
    groups = Categories.of(X, GROUPS, max_changes=1, movable=movable)
    best = groups.best_flip(X, lambda x: x @ w)
    every = [flipped[possible] @ w for possible, flipped in groups.flips(X)]
    assert sum(map(len, every)) == 5 * (2 + 1 + 3)
    assert (best @ w).max() == torch.cat(every).max()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda X: X.clone().index_fill_(1, torch.tensor([2, 3, 4]), 0.0), "exactly one 1"),
        (lambda X: X.roll(1, dims=1)[:, :0], "finite points of shape"),
        (lambda X: two_flips(X), "at most max_changes=1 groups"),
    ],
)
def test_budget_verifies_categories(spoil, message):
    X, _ = encoded()
    budget = Budget.of(X, eps=0.1, threat=ThreatModel(categories=GROUPS, max_changes=1))
    budget.verify(X, X)
    with pytest.raises(ValueError, match=message):
        budget.verify(X, spoil(X))


def two_flips(X):
    flipped = X.clone()
    for group in GROUPS[:2]:
        flipped[:, list(group)] = flipped[:, list(group)].roll(1, dims=1)
    return flipped


def test_bounds_that_forbid_a_category_are_an_error():
    X, _ = encoded()
    high = np.where(np.arange(11) == 9, 0.5, 1.0)
    with pytest.raises(ValueError, match="bounds must hold 0 and 1 in the columns of categories"):
        Budget.of(X[X[:, 9] == 0], eps=0.1, threat=ThreatModel(bounds=(0, high), categories=GROUPS))


def test_images_have_no_groups():
    with pytest.raises(ValueError, match="need X of shape .n, n_features."):
        Budget.of(torch.zeros(2, 3, 4), threat=ThreatModel(categories=GROUPS))
