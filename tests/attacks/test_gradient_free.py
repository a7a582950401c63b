"""Attacks without gradients: on flat scores, on labels alone, and in high dimension."""

from itertools import combinations, count

import pytest
import torch
from lit_window import SIDE, LitWindow

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import NORMS, coordinates, distances, rays, square
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._proposals import Proposals
from sklearn_iso.attacks._square import random_search
from sklearn_iso.testing import check_attack

DUAL_ORDER = {"linf": 1, "l2": 2, "l1": float("inf")}
every_norm = pytest.mark.parametrize("norm", list(NORMS))


def linear_problem(n_features, norm, n=20):
    """Two classes, every row at distance 1 from the boundary."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(n_features, generator=generator, dtype=torch.float64)
    X = torch.randn(n, n_features, generator=generator, dtype=torch.float64)
    dual = torch.linalg.vector_norm(w, ord=DUAL_ORDER[norm])
    X = X - ((X @ w - dual) / (w @ w))[:, None] * w
    return w, X, torch.ones(n, dtype=torch.long)


def scores_of(w):
    return lambda x: torch.stack([torch.zeros(len(x)).to(x), x @ w], dim=1)


@every_norm
def test_square_learns_the_slope_of_a_linear_model_in_high_dimension(norm):
    w, X, y = linear_problem(200, norm)
    X_adv = square(scores_of(w), X, y, eps=1.03, threat=norm, n_queries=3000, random_state=0)
    assert (X_adv @ w < 0).double().mean() >= 0.95


@every_norm
@pytest.mark.parametrize(
    "n_features, factor", [(2, 1.02), pytest.param(8, 1.1, marks=pytest.mark.slow)]
)
def test_rays_come_close_to_the_exact_distance_by_labels_alone(norm, n_features, factor):
    w, X, y = linear_problem(n_features, norm)
    labels = lambda x: (x @ w > 0).long()  # noqa: E731
    X_adv = rays(labels, X, y, threat=norm, n_queries=2000, random_state=0)
    found = distances(labels, X, y, X_adv, threat=norm)
    assert (found >= 1 - 1e-9).all() and found.median() < factor


def test_scores_of_a_tree_are_searched_across_plateaus():
    """A box of errors that no gradient points to."""

    def scores(x):
        inside = ((x - 0.8).abs() < 0.15).all(dim=1).double()
        return torch.stack([1 - inside, inside], dim=1)

    X, y = torch.full((30, 2), 0.5), torch.zeros(30, dtype=int)
    X_adv = square(
        scores, X, y, eps=0.4, threat=ThreatModel(bounds=(0, 1)), n_queries=500, random_state=0
    )
    assert (scores(X_adv).argmax(dim=1) == 1).all()


@pytest.mark.parametrize("transform", [torch.exp, torch.sigmoid, lambda z: z**3])
def test_monotone_transforms_of_binary_scores_need_no_care(transform):
    w, X, y = linear_problem(5, "linf")
    scores = lambda x: transform(torch.stack([-(x @ w), x @ w], dim=1))  # noqa: E731
    X_adv = square(scores, X, y, eps=1.05, n_queries=3000, random_state=0)
    assert (X_adv @ w < 0).all()


def test_rays_take_labels_or_scores_alike(problem):
    model, X, y = problem
    options = {"eps": 0.5, "n_queries": 100, "random_state": 0}
    by_scores = rays(model, X, y, **options)
    by_labels = rays(lambda x: model(x).argmax(dim=1), X, y, **options)
    assert torch.equal(by_scores, by_labels)


def test_queries_are_no_more_than_stated(problem, counting):
    model, X, y = problem
    for attack, extra in ((square, 1), (rays, 2)):  # the clean points, and a last check
        logits = counting(model)
        attack(logits, X, y, eps=1e-3, n_queries=50, random_state=0)
        assert sum(logits.seen) <= (50 + extra) * len(X)


def test_more_queries_never_lengthen_a_ray(problem):
    model, X, y = problem
    found = [
        distances(model, X, y, rays(model, X, y, n_queries=n, random_state=0), threat="linf")
        for n in (50, 400)
    ]
    assert (found[1] <= found[0] * (1 + 1e-6)).all() and (found[1] < found[0]).any()


@pytest.mark.parametrize("attack", [square, rays])
def test_no_queries_are_an_error(attack, problem):
    model, X, y = problem
    with pytest.raises(ValueError, match="n_queries must be an integer of at least 1; got 0"):
        attack(model, X, y, eps=0.1, n_queries=0)


def test_patches_find_what_only_neighbouring_pixels_together_break():
    def answers(x):
        return torch.from_numpy(LitWindow().predict_proba(x.numpy()))

    X, y = torch.zeros(10, SIDE * SIDE), torch.zeros(10, dtype=int)
    options = {"eps": 1.0, "threat": "l2", "n_queries": 500, "random_state": 0}
    blind = square(answers, X, y, **options)
    seen = square(answers, X, y, **options, image_shape=(SIDE, SIDE))
    assert bool((answers(blind).argmax(1) == y).all())
    assert bool((answers(seen).argmax(1) != y).all())
    assert float(seen.norm(dim=1).max()) <= 1


@every_norm
def test_patches_leave_immutable_pixels_alone(norm):
    generator = torch.Generator().manual_seed(0)
    X, y = torch.rand(5, 1, 6, 6, generator=generator), torch.zeros(5, dtype=int)
    fixed = torch.rand(1, 6, 6, generator=generator) < 0.5
    X_adv = square(
        lambda x: torch.stack([x.flatten(1).sum(1), x.flatten(1).sum(1) - 99], 1), X, y, eps=0.5,
        threat=ThreatModel(norm, immutable=fixed), n_queries=50, random_state=0,
    )  # fmt: skip
    assert torch.equal(X_adv[:, fixed], X[:, fixed]) and not torch.equal(X_adv, X)


@every_norm
@pytest.mark.parametrize("attack", [square, rays, coordinates])
def test_what_is_found_for_a_row_does_not_depend_on_the_others(attack, norm, problem):
    model, X, y = problem
    model, X = model.double(), X.double()  # products of float32 depend on how many there are
    options = {"eps": 0.15, "threat": norm, "n_queries": 130, "random_state": 0}
    together = attack(model, X, y, **options, batch_size=20)
    alone = attack(model, X[::3], y[::3], **options)
    torch.testing.assert_close(alone, together[::3], rtol=1e-5, atol=1e-6)


@every_norm
@pytest.mark.parametrize("image_shape", [None, (2, 3)])
def test_rounding_that_differs_with_the_number_of_rows_is_no_slope(norm, image_shape, problem):
    model, X, y = problem
    model, X = model.double(), X.double()
    calls = count()

    def rounded(x):
        return model(x) * (1 + 1e-15 * ((next(calls) * len(x)) % 7))

    options = {"eps": 0.15, "threat": norm, "n_queries": 130, "random_state": 0}
    together, alone = (
        square(rounded, X[rows], y[rows], **options, image_shape=image_shape)
        for rows in (slice(None), slice(None, None, 3))
    )
    torch.testing.assert_close(alone, together[::3], rtol=1e-5, atol=1e-6)


def test_rows_without_scores_begin_at_x_and_write_to_no_start():
    X, start = torch.zeros(3, 4), torch.full((3, 4), 0.2)

    def scores(x):
        return torch.stack([torch.ones(len(x)), x.sum(dim=1).log1p()], dim=1).masked_fill(
            torch.tensor([[False], [True], [False]]), torch.nan
        )

    ball = Budget.of(X, eps=0.5, threat="l1").around(X)
    proposals = Proposals(ball, torch.Generator())
    points, *_ = random_search(
        Objective(scores, margin), proposals, torch.zeros(3, dtype=int), 1, start
    )
    assert torch.equal(points[1], X[1]) and points[[0, 2]].all()
    assert (start == 0.2).all()


def boxed_errors(x):
    """Errors behind thresholds of two features of eight, farther in all the others."""
    few = (x[:, 1] > 0.3) & (x[:, 4] < -0.2)
    return (few | (x[:, [0, 2, 3]] > 0.7).any(dim=1)).long()


@every_norm
def test_errors_are_brought_back_to_their_thresholds(norm):
    X, y = torch.zeros(5, 8, dtype=torch.float64), torch.zeros(5, dtype=int)
    X_adv = rays(boxed_errors, X, y, threat=norm, n_queries=1000, random_state=0)
    nearest = torch.linalg.vector_norm(torch.tensor([0.3, 0.2]), ord=NORMS[norm].order)
    found = distances(boxed_errors, X, y, X_adv, threat=norm)
    assert (found >= nearest - 1e-6).all() and (found < 1.02 * nearest).all()


@every_norm
def test_changes_of_single_features_add_up_to_the_cheapest_error(norm):
    """Steps of other heights at other places: those that gain most for their length suffice."""
    places = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    gains = torch.tensor([1.0, 1.0, 3.0, 1.0, 2.0, 1.0], dtype=torch.float64)

    def scores(x):
        value = ((x > places) * gains).sum(dim=1) - 3.5
        return torch.stack([-value, value], dim=1)

    order = NORMS[norm].order
    shortest = min(
        float(torch.linalg.vector_norm(places[list(chosen)], ord=order))
        for k in range(7)
        for chosen in combinations(range(6), k)
        if gains[list(chosen)].sum() > 3.5
    )
    X, y = torch.zeros(4, 6), torch.zeros(4, dtype=int)
    for factor, flipped in ((1.02, True), (0.99, False)):
        X_adv = coordinates(
            scores, X, y, eps=factor * shortest, threat=norm, n_queries=300, random_state=0
        )
        assert ((scores(X_adv).argmax(dim=1) == 1) == flipped).all()


def test_coordinates_keep_the_laws_of_attacks():
    check_attack(coordinates, n_queries=300, random_state=0, reach=None)
