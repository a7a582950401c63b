"""Whatever an attack cannot take is refused by the name of its parameter."""

from __future__ import annotations

import pytest
import torch

from sklearn_iso.attacks import attack_ensemble, distances, pgd

X = torch.tensor([[0.3, 0.9], [0.2, 0.1]])
y = torch.tensor([0, 1])


def logits(rows):
    return torch.stack([rows.sum(1), 1 - rows.sum(1)], dim=1)


@pytest.mark.parametrize(
    "attack, name, value",
    [
        (pgd, "n_steps", 2.5),
        (pgd, "n_steps", "ten"),
        (pgd, "n_restarts", True),
        (pgd, "random_start", "yes"),
        (pgd, "step_size", "long"),
        (pgd, "step_size", 1e300),
        (pgd, "threat", "l3"),
        (pgd, "threat", {"norm": "l2"}),
        (pgd, "threat", None),
        (attack_ensemble, "n_queries", 1.5),
        (attack_ensemble, "n_queries", -1),
    ],
)
def test_a_parameter_of_another_kind_is_named(attack, name, value):
    with pytest.raises(ValueError, match=f"^{name} must"):
        attack(logits, X, y, eps=0.1, **{name: value})


def test_distances_between_points_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="must have one shape"):
        distances(logits, X, y, X[:, :1])
