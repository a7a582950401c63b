import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import ortho_group
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA

from sklearn_iso.plotting import EmbeddingDisplay, _embedding

X, _ = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_a_similarity_has_no_distortion_and_a_stretched_sample_has_the_most():
    Z = 3 * X[:, :2] @ ortho_group.rvs(2, random_state=0) + 1
    assert EmbeddingDisplay.from_predictions(X[:, :2], Z).distortion.max() < 1e-12
    Z[7] += 40
    display = EmbeddingDisplay.from_predictions(X[:, :2], Z)
    assert display.distortion.argmax() == 7
    drawn = display.points_.get_offsets()
    np.testing.assert_array_equal(drawn[-1], Z[7])  # on top of the others


def test_distortion_is_the_stress_of_the_distances_of_a_sample():
    Z = PCA(2).fit_transform(X)
    d_X, d_Z = squareform(pdist(X)), squareform(pdist(Z))
    s = (d_X * d_Z).sum() / (d_X**2).sum()
    expected = np.sqrt(((d_Z - s * d_X) ** 2).sum(1) / ((s * d_X) ** 2).sum(1))
    np.testing.assert_allclose(
        EmbeddingDisplay.from_predictions(X, Z).distortion, expected, rtol=1e-9
    )


def test_what_is_not_in_the_plane_is_an_error():
    with pytest.raises(ValueError, match="at least two components.*n_components=2"):
        EmbeddingDisplay(X[:, :1], X[:, 0])
    with pytest.raises(ValueError, match="must be finite; found NaN"):
        EmbeddingDisplay([[0, np.nan]], [0])


def test_samples_in_parts_and_of_any_size_give_the_same(monkeypatch):
    Z = PCA(2).fit_transform(X)
    whole = EmbeddingDisplay.from_predictions(X, Z).distortion
    monkeypatch.setattr(_embedding, "_AT_ONCE", 7)
    for factor in (1.0, 1e200, 1e-200):
        parts = EmbeddingDisplay.from_predictions(factor * X, Z).distortion
        np.testing.assert_allclose(parts, whole, rtol=1e-9)
