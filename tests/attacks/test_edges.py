"""Places where labels changed, and points made of them."""

import pytest
import torch

from sklearn_iso._geometry.norms import get_norm
from sklearn_iso.attacks._edges import MOST_PLACES, Edges

generator = torch.Generator().manual_seed(0)


def filled(n, d, n_places):
    edges = Edges.none(torch.zeros(n, d, dtype=torch.float64))
    for _ in range(n_places):
        feature = torch.randint(d, (n,), generator=generator)
        value = torch.randn(n, generator=generator, dtype=torch.float64)
        edges.add(torch.ones(n, dtype=torch.bool), feature, value)
    return edges


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_points_of_several_places_are_within_the_limit(norm):
    edges, like = filled(50, 6, 40), torch.zeros(50, 6, dtype=torch.float64)
    limit = torch.rand(50, generator=generator, dtype=torch.float64) + 0.2
    keys = torch.rand(3, MOST_PLACES, generator=generator)
    v, some = edges.together(like, limit, get_norm(norm), keys)
    assert some.any() and (get_norm(norm).size(v)[some] < limit[some]).all()
    assert ((v[some] != 0).sum(dim=1) > 1).all()
    known = (v[:, :, None] == edges.value[:, None, :]) & (
        edges.feature[:, None, :] == torch.arange(6)[None, :, None]
    )
    assert (known.any(dim=2) | (v == 0)).all()


def test_every_place_is_asked_about_once_the_nearest_first():
    edges, like = filled(3, 4, 10), torch.zeros(3, 4, dtype=torch.float64)
    everyone, limit = torch.ones(3, dtype=torch.bool), torch.full((3,), torch.inf)
    sizes = []
    for _ in range(10):
        v, some = edges.alone(like, limit, everyone)
        assert some.all() and ((v != 0).sum(dim=1) == 1).all()
        sizes.append(v.abs().sum(dim=1))
    assert not edges.alone(like, limit, everyone)[1].any()
    assert (torch.stack(sizes).diff(dim=0) >= 0).all()


def test_the_nearest_places_are_kept():
    edges = filled(1, 2, 3 * MOST_PLACES)
    farthest = edges.value.abs().max()
    one = torch.tensor([True])
    edges.add(one, torch.tensor([0]), torch.tensor([farthest + 1], dtype=torch.float64))
    assert edges.value.abs().max() == farthest
    edges.add(one, torch.tensor([0]), torch.tensor([0.0], dtype=torch.float64))
    assert edges.value.abs().max() < farthest and (edges.value == 0).any()
