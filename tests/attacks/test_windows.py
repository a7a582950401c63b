"""Laws of the steps that random search takes in images, and of when it takes them unasked."""

from __future__ import annotations

import pytest
import torch

from sklearn_iso import ThreatModel
from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso.attacks import STAGES, AttackEnsemble, Budget, Square
from sklearn_iso.attacks import _windows as windows
from sklearn_iso.attacks._windows import Windows

SHAPES = {"one channel": (6, 7), "channels first": (2, 6, 7), "channels last": (6, 7, 2)}


def proposals(norm, shape, n_queries=60, bounds=(0, 1), n=3):
    generator = torch.Generator().manual_seed(0)
    layout = ImageLayout.of((torch.Size(shape).numel(),), shape)
    X = torch.rand(n, torch.Size(shape).numel(), generator=generator)
    budget = Budget.of(X, eps=0.2, threat=ThreatModel(norm, bounds=bounds))
    return Windows(budget.around(X), generator, layout, n_queries)


def without_others(monkeypatch):
    for share in ("SHARE_OF_SUBSETS", "SHARE_OF_PATCHES"):
        monkeypatch.setattr(windows, share, 0.0)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_steps_stay_in_ball_and_box_and_fill_the_ball_where_there_is_no_box(
    norm, shape, monkeypatch
):
    for bounds in ((0, 1), None):
        if bounds is None:
            without_others(monkeypatch)
        drawn = proposals(norm, shape, bounds=bounds)
        v, size = drawn.start(), drawn.norm.size
        for _ in range(60):
            assert size(v).max() <= 1 + 1e-5
            if bounds is None:
                assert size(v).min() >= 1 - 1e-5
            else:
                assert (v >= drawn.ball.box[0]).all() and (v <= drawn.ball.box[1]).all()
            v = drawn.guided(v)


def test_a_window_goes_to_an_end_of_its_range_in_every_channel(monkeypatch):
    without_others(monkeypatch)
    drawn = proposals("linf", (2, 6, 7), n_queries=3000)
    low, high = (side.clamp(-1, 1) for side in drawn.ball.box)
    v, sides = torch.zeros_like(low), []
    for drawn.n_drawn in range(0, 3000, 100):
        after = drawn.guided(v)
        moved = after != v
        assert ((after == low) | (after == high))[moved].all()
        changed = moved.view(-1, 2, 6, 7)
        for image, at in zip(changed, after.view(-1, 2, 6, 7), strict=True):
            for channel, value in zip(image, at, strict=True):
                assert len(value[channel].sign().unique()) <= 1
        sides.append(int(changed[0, 0].any(dim=0).sum()))
    assert sides[0] == 6 and sides[-1] == 1


def test_no_query_is_spent_on_a_window_that_is_at_its_end_already(monkeypatch):
    without_others(monkeypatch)
    for end in (-1.0, 1.0):
        drawn = proposals("linf", (6, 6), bounds=None)
        v = torch.full_like(drawn.ball.X, end)
        assert all(bool((drawn.guided(v) != v).any(dim=1).all()) for _ in range(50))


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_what_one_window_gains_another_one_loses(norm, monkeypatch):
    without_others(monkeypatch)
    drawn = proposals(norm, (12, 12), n_queries=10_000, bounds=None)
    drawn.n_drawn, v = 9_000, drawn.start()
    after = drawn.guided(v)
    changed = ((after - v).abs() > 1e-5).view(-1, 12, 12)
    assert all(int(image.sum()) <= 2 * windows.LEAST_SIDE**2 for image in changed)
    assert torch.allclose(drawn.norm.size(after), drawn.norm.size(v))


def staircase(x):
    """A sum of pixels that is flat but for its steps, and slopes between them that lead away."""
    flat = x.flatten(1)
    value = (flat + 0.1).round().mean(dim=1) - 0.6 - 1e-3 * flat.mean(dim=1)
    return torch.stack([-value, value], dim=1)


def smooth(x):
    value = x.flatten(1).mean(dim=1) - 0.7
    return torch.stack([-value, value], dim=1)


@pytest.mark.parametrize("images", ["flat", "of their shape"])
def test_images_on_which_slopes_mislead_are_searched_unasked(images):
    X, y = torch.full((10, 36), 0.2), torch.zeros(10, dtype=torch.int64)
    shape = (6, 6) if images == "flat" else None
    X = X if images == "flat" else X.view(10, 6, 6)
    options = {"eps": 0.45, "random_state": 0}
    _, stage = AttackEnsemble(image_shape=shape).with_stages(staircase, X, y, **options)
    by_search = stage == STAGES.index("square")
    assert by_search.any() and (stage >= 0).all()
    _, without = AttackEnsemble(image_shape=shape, n_queries=0).with_stages(
        staircase, X, y, **options
    )
    assert torch.equal(without < 0, by_search)
    _, again = AttackEnsemble(image_shape=shape).with_stages(staircase, X, y, **options)
    assert torch.equal(again, stage)


def test_slopes_that_lead_somewhere_and_samples_that_are_no_images_are_not_searched(counting):
    X, y = torch.full((10, 36), 0.2), torch.zeros(10, dtype=torch.int64)
    n_seen = {}
    for shape in ((6, 6), None):
        for n_queries in (None, 0):
            logits = counting(smooth)
            attack = AttackEnsemble(image_shape=shape, n_queries=n_queries)
            assert (attack.with_stages(logits, X, y, eps=0.45, random_state=0)[1] < 0).all()
            n_seen[shape, n_queries] = sum(logits.seen)
    assert n_seen[None, None] == n_seen[None, 0] == n_seen[(6, 6), 0]
    assert 0 < n_seen[(6, 6), None] - n_seen[(6, 6), 0] < 500 * len(X)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_what_is_found_for_an_image_does_not_depend_on_the_others(norm, problem):
    model, X, y = problem
    model, X = model.double(), X.double()  # products of float32 depend on how many there are
    attack = Square(n_queries=130, image_shape=(1, X.shape[1]), batch_size=20)
    options = {"eps": 0.15, "threat": norm, "random_state": 0}
    together, alone = attack(model, X, y, **options), attack(model, X[::3], y[::3], **options)
    torch.testing.assert_close(alone, together[::3], rtol=1e-5, atol=1e-6)
