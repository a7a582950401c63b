from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_iso import preset
from sklearn_iso.estimators import PRESETS
from sklearn_iso.penalties import WorstCaseIsometry


def images(n=60):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    return (rng.uniform(0, 0.5, (n, 64)) + y[:, None] / 6).astype(np.float32), y


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_clones_fits_and_predicts(name):
    X, y = images()
    fitted = clone(preset(name, max_epochs=2, random_state=0)).fit(X, y)
    assert fitted.predict_proba(X).shape == (60, 3)
    assert np.isfinite(fitted.loss_curve_).all()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_share_no_penalty(name):
    def shown():
        return [repr(term) for *_, term in preset(name).penalty.terms()]

    before = shown()
    for *_, term in preset(name).penalty.terms():
        changed = next(key for key in ("warmup", "scale", "radius") if key in term.get_params())
        term.set_params(**{changed: 0.015625})
    assert shown() == before
    assert not any("0.015625" in text for text in before)


@pytest.mark.parametrize(
    "name, norm, budget",
    [("images", "linf", 0.3), ("images_large_budgets", "linf", 0.3), ("images_l2", "l2", 2.0)],
)
def test_presets_for_one_norm_draw_pairs_about_as_long_as_their_budget(name, norm, budget):
    penalty = preset(name).penalty.get_params()  # names that all terms share
    assert penalty["norm"] == norm
    shortest = penalty["min_radius"] * penalty["radius"]
    assert 0.8 * budget < shortest < budget < penalty["radius"] < 1.2 * budget


@pytest.mark.parametrize(
    "name", ["images", "images_large_budgets", "images_l2", "images_certified"]
)
def test_presets_for_images_refuse_bytes_that_nobody_divided_by_255(name):
    X, y = images()
    with pytest.raises(ValueError, match=r"within bounds=\(0, 1\).*Scale X"):
        preset(name, max_epochs=1).fit(255 * X, y)


def test_paper_network_starts_isometric():
    X, y = images()
    fitted = preset("paper", max_epochs=1, learning_rate=1e-12, random_state=0).fit(X, y)
    widths = [tuple(p.shape) for p in fitted.net_.module_.parameters() if p.ndim == 2]
    assert widths == [(100, 64), *[(100, 100)] * 4, (3, 100)]
    for weight in fitted.net_.module_.hidden[2:]:
        if hasattr(weight, "weight"):
            gram = weight.weight.detach() @ weight.weight.detach().T
            torch.testing.assert_close(gram, torch.eye(100), atol=1e-5, rtol=0)


def test_paper_loss_is_cross_entropy_plus_beta_times_the_published_sum():
    X, y = images(20)
    fitted = preset("paper", batch_size=20, max_epochs=1, random_state=0).fit(X, y)
    before = preset("paper", batch_size=20, max_epochs=1, learning_rate=1e-30, random_state=0)
    H = before.fit(X, y).transform(X).astype(np.float64)
    d_H = np.linalg.norm(H[:, None] - H[None], axis=2)
    d_X = np.linalg.norm(X[:, None].astype(np.float64) - X[None], axis=2)
    same = y[:, None] == y[None]
    published = np.mean((10 * same * d_H - same * d_X) ** 2)
    assert fitted.history_["penalty"][0] == pytest.approx(published, rel=1e-5)
    total = fitted.history_["classification_loss"][0] + 0.1 * published
    assert fitted.loss_curve_[0] == pytest.approx(total, rel=1e-5)


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'images_l2', .*, 'paper'\]; got 'papers'"):
        preset("papers")


def test_radius_grows_over_the_warm_up():
    seen = []

    class Watched(WorstCaseIsometry):
        def examples(self, batch):
            found = super().examples(batch)
            seen.append((batch.progress, float(found.delta.flatten(1).norm(dim=1).max())))
            return found

    X, y = images()
    preset("images", penalty=Watched(radius=1.0, warmup=0.5), max_epochs=8, random_state=0).fit(
        X, y
    )
    assert [progress for progress, _ in seen] == [epoch / 8 for epoch in range(1, 9)]
    assert all(length <= min(1.0, 2 * progress) * (1 + 1e-6) for progress, length in seen)
    assert max(length for progress, length in seen) > 0.5
