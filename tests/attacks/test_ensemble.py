"""The ensemble is never weaker than its parts, and says which of them misclassified a row."""

import pytest
import torch

from sklearn_iso.attacks import NORMS, STAGES, AttackEnsemble, attack_ensemble, pgd
from sklearn_iso.attacks._boundary import BoundaryAttack


def misclassified(model, X_adv, y):
    return model(X_adv).argmax(dim=1) != y


@pytest.mark.parametrize("norm", list(NORMS))
def test_ensemble_fools_no_fewer_samples_than_any_loss_alone(norm, problem):
    model, X, y = problem
    eps = {"linf": 0.1, "l2": 0.25, "l1": 0.6}[norm]
    ours = misclassified(
        model, attack_ensemble(model, X, y, eps=eps, threat=norm, random_state=0), y
    )
    assert 0 < ours.sum() < len(y)
    for loss in ("cross_entropy", "margin", "targeted_margin"):
        alone = pgd(model, X, y, eps=eps, threat=norm, loss=loss, random_state=0)
        assert ours.sum() >= misclassified(model, alone, y).sum()


def test_stages_say_who_misclassified_a_row(problem):
    model, X, y = problem
    y = torch.where(torch.arange(50) < 5, (y + 1) % 3, y)
    X_adv, stage = AttackEnsemble(n_queries=20).with_stages(model, X, y, eps=0.1, random_state=0)
    assert (stage[:5] == 0).all() and (stage[5:] != 0).all()
    assert torch.equal(stage >= 0, misclassified(model, X_adv, y))
    assert stage.max() < len(STAGES) and (stage == 1).any() and (stage == -1).any()
    assert torch.equal(X_adv, attack_ensemble(model, X, y, eps=0.1, n_queries=20, random_state=0))


def test_gradient_free_stage_breaks_what_hides_its_gradients(problem):
    model, X, y = problem

    def rounded(x):
        return model(((x * 20).round() / 20 - x).detach() + 0 * x + x.detach())

    _, without = AttackEnsemble().with_stages(rounded, X, y, eps=0.3, random_state=0)
    _, stage = AttackEnsemble(n_queries=200).with_stages(rounded, X, y, eps=0.3, random_state=0)
    assert (without == -1).sum() > (stage == -1).sum()
    assert (stage == STAGES.index("square")).any()


def mirage(x):
    """Errors begin on an ellipsoid; inside of it the slopes lead along its long axes."""
    inside = 1 - torch.sqrt((x[:, 0] / 0.9) ** 2 + ((x[:, 1:] / 1.2) ** 2).sum(dim=1))
    margins = -inside * (1 + 5 * x[:, 0] ** 2)
    return torch.stack([torch.zeros_like(margins), margins], dim=1)


@pytest.mark.parametrize("attack", ["ensemble", "boundary"])
def test_attacks_that_leave_the_ball_break_rows_that_no_ascent_in_it_does(attack):
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(40, 20, generator=generator) / 100, torch.zeros(40, dtype=int)
    if attack == "boundary":
        X_adv = BoundaryAttack()(mirage, X, y, eps=1.0, threat="l2", random_state=0)
        assert misclassified(mirage, X_adv, y).any()
    else:
        X_adv, stage = AttackEnsemble().with_stages(
            mirage, X, y, eps=1.0, threat="l2", random_state=0
        )
        broken = stage >= STAGES.index("wide_margin")
        assert broken.any() and misclassified(mirage, X_adv, y)[broken].all()
    assert (X_adv - X).norm(dim=1).max() <= 1 + 1e-6


def test_later_stages_see_survivors_only(counting):
    X = torch.tensor([[0.1]] * 90 + [[9.0]] * 10)
    logits = counting(lambda x: torch.cat([x, -x], dim=1))
    attack_ensemble(logits, X, torch.zeros(100, dtype=int), eps=1.0, random_state=0)
    assert max(logits.seen[3:]) == 10


def test_negative_queries_are_an_error(problem):
    model, X, y = problem
    with pytest.raises(ValueError, match="n_queries must be an integer of at least 0; got -1"):
        attack_ensemble(model, X, y, eps=0.1, n_queries=-1)
