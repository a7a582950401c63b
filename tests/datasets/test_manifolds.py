import numpy as np
import pytest

from sklearn_iso.datasets import make_entangled_rings, make_torus

every_maker = pytest.mark.parametrize("make", [make_entangled_rings, make_torus])


def gauss_integral(first, second):
    """Linking number of two closed curves, each given as points in its own order."""
    steps = [np.roll(curve, -1, axis=0) - curve for curve in (first, second)]
    middles = [curve + step / 2 for curve, step in zip((first, second), steps, strict=True)]
    gaps = middles[0][:, None] - middles[1][None]
    volumes = (gaps * np.cross(steps[0][:, None], steps[1][None])).sum(axis=2)
    return (volumes / np.linalg.norm(gaps, axis=2) ** 3).sum() / (4 * np.pi)


@every_maker
@pytest.mark.parametrize("n_samples", [1, 7, 100])
def test_number_of_points_is_as_asked(make, n_samples):
    X, y = make(n_samples, random_state=0)
    assert X.shape == (n_samples, 3) and len(y) == n_samples
    assert X.dtype == np.float64 and y.dtype == np.int64


@every_maker
def test_same_seed_gives_the_same_data_and_the_global_generator_stays(make):
    before = np.random.get_state()[1].copy()
    for first, second in zip(make(random_state=3), make(random_state=3), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@every_maker
def test_noise_has_its_standard_deviation_and_moves_no_label(make):
    X, y = make(20_000, random_state=0)
    noisy, labels = make(20_000, noise=0.1, random_state=0)
    np.testing.assert_array_equal(y, labels)
    # 60,000 draws: the standard error of a standard deviation of 0.1 is 0.0003
    assert (noisy - X).std() == pytest.approx(0.1, abs=0.0015)


@pytest.mark.parametrize("radius", [0.5, 1.0, 3.0])
def test_rings_are_circles_of_their_radius(radius):
    X, y = make_entangled_rings(500, radius=radius, random_state=0)
    for ring, centre, normal in [(0, [0, 0, 0], [0, 0, 1]), (1, [radius, 0, 0], [0, 1, 0])]:
        arms = X[y == ring] - centre
        np.testing.assert_allclose(np.linalg.norm(arms, axis=1), radius)
        np.testing.assert_array_equal(arms @ normal, 0)


def test_rings_share_the_points_equally():
    for n_samples, sizes in [(500, [250, 250]), (7, [4, 3])]:
        np.testing.assert_array_equal(
            np.bincount(make_entangled_rings(n_samples, random_state=0)[1]), sizes
        )


def in_order(X, y, ring):
    arms = X[y == ring] - X[y == ring].mean(axis=0)
    return X[y == ring][np.argsort(np.arctan2(arms[:, 1 + ring], arms[:, 0]))]


def test_rings_are_linked_exactly_once():
    X, y = make_entangled_rings(2000, random_state=0)
    assert abs(gauss_integral(in_order(X, y, 0), in_order(X, y, 1))) == pytest.approx(1, abs=0.01)


def test_rings_pulled_apart_have_linking_number_zero():
    X, y = make_entangled_rings(2000, random_state=0)
    X[y == 1] += [3, 0, 0]
    assert gauss_integral(in_order(X, y, 0), in_order(X, y, 1)) == pytest.approx(0, abs=0.01)


def test_every_point_of_a_ring_is_one_radius_away_from_the_other():
    X, y = make_entangled_rings(4000, radius=2.0, random_state=0)
    gaps = np.linalg.norm(X[y == 0][:, None] - X[y == 1][None], axis=2)
    np.testing.assert_allclose(gaps.min(axis=1), 2.0, atol=1e-3)
    assert gaps.min() >= 2.0 - 1e-12


@pytest.mark.parametrize(("major", "minor"), [(2 / 3, 1 / 3), (3.0, 0.5)])
def test_torus_satisfies_its_equation(major, minor):
    X, _ = make_torus(500, major_radius=major, minor_radius=minor, random_state=0)
    ring = np.hypot(X[:, 0], X[:, 1])
    np.testing.assert_allclose((ring - major) ** 2 + X[:, 2] ** 2, minor**2)


def test_classes_of_the_torus_are_eighths_of_the_tube():
    X, y = make_torus(2000, labels="finest", random_state=0)
    v = np.arctan2(X[:, 2], np.hypot(X[:, 0], X[:, 1]) - 2 / 3) % (2 * np.pi)
    np.testing.assert_array_equal(y, np.floor(v / (np.pi / 4)))


def test_levels_of_the_torus_nest():
    _, levels = make_torus(2000, n_levels=4, random_state=0)
    assert [len(np.unique(level)) for level in levels.T] == [2, 4, 8, 16]
    for coarse, fine in zip(levels.T[:-1], levels.T[1:], strict=True):
        np.testing.assert_array_equal(fine // 2, coarse)


def test_finest_labels_are_the_last_level_and_coarser_levels_stay_as_they_are():
    _, levels = make_torus(500, n_levels=3, random_state=0)
    finest = make_torus(500, n_levels=3, labels="finest", random_state=0)[1]
    np.testing.assert_array_equal(finest, levels[:, 2])
    np.testing.assert_array_equal(make_torus(500, n_levels=2, random_state=0)[1], levels[:, :2])


def test_tube_as_thick_as_the_torus_is_refused():
    with pytest.raises(ValueError, match="minor_radius must be less.*got minor_radius=1.0"):
        make_torus(major_radius=1.0, minor_radius=1.0)


@every_maker
@pytest.mark.parametrize("wrong", [{"n_samples": 0}, {"noise": -1.0}, {"random_state": "zero"}])
def test_parameter_out_of_range_is_named(make, wrong):
    with pytest.raises(ValueError, match=f"The '{next(iter(wrong))}' parameter of make_"):
        make(**wrong)
