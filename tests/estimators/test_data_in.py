"""Laws of data in: sparse, larger than memory, torch data sets; and of a warm start."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricRegressor,
    IsometricTransformer,
)
from sklearn_iso._training import ArrayDataset
from sklearn_iso._training.rows import LazyRows
from sklearn_iso.metrics import adversarial_distance
from sklearn_iso.modules import ConvNet

X, y = load_digits(return_X_y=True)
X, y = X[:200] / 16, y[:200]


def classifier(**params):
    quick = {"hidden_layer_sizes": (16, 8), "max_epochs": 3, "random_state": 0}
    return IsometricClassifier(**quick | params)


def regressor(**params):
    quick = {"hidden_layer_sizes": (16, 8), "max_epochs": 3, "random_state": 0}
    return IsometricRegressor(**quick | params)


def embedding(**params):
    quick = {"hidden_layer_sizes": (16, 8), "max_epochs": 3, "random_state": 0}
    return IsometricTransformer(**quick | params)


ALL_THREE = pytest.mark.parametrize("make", [classifier, regressor, embedding])
BOTH = pytest.mark.parametrize("make", [classifier, regressor])


@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("sparse", [csr_array, csr_matrix, coo_array])
def test_sparse_rows_are_dense_rows(make, sparse, early_stopping):
    estimator = make(early_stopping=early_stopping)
    expected = estimator.fit(X, y).predict(X)
    found = estimator.fit(sparse(X), y)
    np.testing.assert_allclose(found.predict(sparse(X)), expected, rtol=1e-12)
    np.testing.assert_allclose(found.transform(sparse(X)), found.transform(X), rtol=1e-12)


@BOTH
def test_sparse_chunks_are_dense_chunks(make):
    first = {"classes": np.arange(10)} if make is classifier else {}
    dense = make().partial_fit(X, y, **first).partial_fit(X, y)
    sparse = make().partial_fit(csr_array(X), y, **first).partial_fit(csr_array(X), y)
    np.testing.assert_allclose(sparse.predict(X), dense.predict(X), rtol=1e-12)


def test_sparse_rows_keep_their_precision_and_weights():
    weight = np.r_[np.zeros(20), np.ones(180)]
    rows = X.astype(np.float32)
    dense = classifier().fit(rows, y, sample_weight=weight).predict_proba(rows)
    sparse = classifier().fit(csr_array(rows), y, sample_weight=weight).predict_proba(rows)
    np.testing.assert_array_equal(sparse, dense)
    assert sparse.dtype == np.float32


@BOTH
def test_a_dataset_of_pairs_is_an_array_and_its_labels(make):
    rows = X.astype(np.float32)
    dataset = TensorDataset(torch.tensor(rows), torch.tensor(y))
    found, expected = make().fit(dataset), make().fit(rows, y)
    np.testing.assert_array_equal(found.predict(rows), expected.predict(rows))


@BOTH
def test_rows_of_a_dataset_are_predicted_as_those_of_an_array(make):
    rows = X.astype(np.float32)
    dataset, fitted = TensorDataset(torch.tensor(rows), torch.tensor(y)), make().fit(rows, y)
    np.testing.assert_array_equal(fitted.predict(dataset), fitted.predict(rows))
    np.testing.assert_array_equal(fitted.transform(dataset), fitted.transform(rows))
    with pytest.raises(ValueError, match="X has 9 features, but"):
        fitted.predict(TensorDataset(torch.tensor(rows[:, :9]), torch.tensor(y)))


@BOTH
def test_a_loader_is_refused_with_the_remedy(make):
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(y)))
    with pytest.raises(TypeError, match="got a DataLoader. Pass loader.dataset"):
        make().fit(loader)


def test_an_embedding_refuses_a_dataset_with_the_remedy():
    dataset = TensorDataset(torch.tensor(X), torch.tensor(y))
    model = IsometricTransformer(max_epochs=1, random_state=0)
    for call in (model.fit, model.partial_fit, model.fit(X).transform):
        with pytest.raises(TypeError, match="X must be an array here; got TensorDataset"):
            call(dataset)


def test_a_dataset_may_hold_images_for_a_module():
    images = torch.tensor(X, dtype=torch.float32).reshape(-1, 1, 8, 8)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 10)
    )
    clf = classifier(module=module).fit(TensorDataset(images, torch.tensor(y)))
    assert clf.predict(images.numpy()).shape == (200,)


class Pairs(Dataset):
    def __init__(self, make_item, n_samples=50):
        self.make_item, self.n_samples = make_item, n_samples

    def __len__(self):
        return self.n_samples

    def __getitem__(self, index):
        if index >= self.n_samples:
            raise IndexError
        return self.make_item(index)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, y, strict=True))


def test_a_dataset_without_a_length_is_refused():
    with pytest.raises(TypeError, match="must have a length"):
        classifier().fit(Stream())


def test_a_dataset_of_no_pairs_is_refused():
    with pytest.raises(TypeError, match=r"must be a pair \(x, y\)"):
        classifier().fit(Pairs(lambda index: X[index]))


def test_a_dataset_without_rows_is_refused():
    with pytest.raises(ValueError, match="at least one sample; got one of length 0"):
        classifier().fit(Pairs(lambda index: (X[index], y[index]), 0))


def test_a_dataset_whose_rows_differ_in_shape_is_refused():
    with pytest.raises(ValueError, match=r"of one shape; the first is of \(64,\), another of"):
        classifier().fit(Pairs(lambda index: (X[index][: 64 - index % 2], y[index])))


def test_labels_beside_a_dataset_are_refused():
    with pytest.raises(ValueError, match="brings its labels along"):
        classifier().fit(TensorDataset(torch.tensor(X), torch.tensor(y)), y)


def test_a_row_of_a_dataset_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="must be finite"):
        classifier().fit(Pairs(lambda index: (X[index] * np.nan, y[index])))


def test_a_chunk_from_a_dataset_of_another_width_is_refused():
    clf = classifier().fit(X, y)
    narrow = TensorDataset(torch.tensor(X[:, :9]), torch.tensor(y))
    with pytest.raises(ValueError, match="has 9 features"):
        clf.partial_fit(narrow, None)


# --- how an array lies in memory ------------------------------------------------------------

LAYOUTS = {
    "rows backwards": lambda rows: rows[::-1].copy()[::-1],
    "columns backwards": lambda rows: rows[:, ::-1].copy()[:, ::-1],
    "frame backwards": lambda rows: pd.DataFrame(rows[::-1, ::-1]).iloc[::-1, ::-1],
    "column by column": np.asfortranarray,
    "every other column": lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    "foreign bytes": lambda rows: rows.astype(">f8"),
    "read only": lambda rows: np.frombuffer(rows.tobytes()).reshape(rows.shape),
}


def hierarchy(**params):
    return HierarchicalIsometricClassifier(block_sizes=[8, 8], max_epochs=3, random_state=0)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("make", [classifier, regressor, embedding, hierarchy])
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
def test_how_an_array_lies_in_memory_does_not_matter(make, layout):
    rows, labels = X[:60], np.c_[y > 4, y][:60] if make is hierarchy else y[:60]
    model, laid = make().fit(rows, labels), layout(rows)
    methods = ("predict", "predict_proba", "transform")
    present = [getattr(model, name) for name in methods if hasattr(model, name)]
    for method in present:
        for a, b in zip(method(rows), method(laid), strict=True):
            np.testing.assert_array_equal(a, b)
    assert model.score(laid, labels) == model.score(rows, labels)
    for a, b in zip(weights(model), weights(make().fit(laid, labels)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_row_that_stands_for_many_is_predicted_as_many():
    clf = classifier().fit(X, y)
    many = np.broadcast_to(X[:1], X.shape)
    np.testing.assert_array_equal(clf.predict_proba(many), clf.predict_proba(many.copy()))


def test_embeddings_and_images_may_lie_backwards():
    found = embedding().fit(X)
    Z = found.transform(X)[::-1, ::-1]
    np.testing.assert_array_equal(found.inverse_transform(Z), found.inverse_transform(Z.copy()))
    images = X.reshape(-1, 8, 8)[:, ::-1, ::-1]
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    clf = classifier(module=network).fit(images, y)
    np.testing.assert_array_equal(clf.predict(images), clf.predict(images.copy()))


def test_robustness_does_not_ask_how_an_array_lies_in_memory():
    clf, rows = classifier(max_epochs=20).fit(X, y), X[:20]
    expected = adversarial_distance(clf, rows, y[:20], random_state=0)
    for laid in (rows[::-1].copy()[::-1], rows.astype(">f8")):
        np.testing.assert_array_equal(
            adversarial_distance(clf, laid, y[:20], random_state=0), expected
        )


def test_distances_in_float32_to_a_network_in_float64_are_those_in_float64():
    clf, rows = classifier(max_epochs=20).fit(X, y), np.rint(10 * X[:20])
    found = [
        adversarial_distance(clf, rows.astype(kind), y[:20], random_state=0)
        for kind in (np.float32, np.float64, ">f4", np.int16)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-3)


def mapped(folder, rows):
    np.save(folder / "rows.npy", rows)
    return np.load(folder / "rows.npy", mmap_mode="r")


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool, ">f4", ">f8", ">i2"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_memory_map_is_its_array(make, dtype, early_stopping, tmp_path):
    rows = (X * 16).astype(dtype)
    file, estimator = mapped(tmp_path, rows), make(early_stopping=early_stopping)
    weight = np.arange(200) % 4 > 0
    expected = estimator.fit(rows, y, weight).predict(rows)
    np.testing.assert_array_equal(estimator.fit(file, y, weight).predict(file), expected)


def test_some_rows_of_a_file_are_read_by_need(tmp_path):
    file = mapped(tmp_path, X)
    rows = ArrayDataset(file, y, np.ones(200)).subset(np.arange(0, 200, 3))
    assert isinstance(rows.X, LazyRows) and rows.X.shape == (67, 64)
    np.testing.assert_array_equal(rows.take(np.array([5, 1]))[0], X[[15, 3]])
    again = rows.subset(np.array([1, 2]))
    np.testing.assert_array_equal(again.X[:], X[[3, 6]])


@BOTH
def test_sparse_rows_without_a_value_are_constant_rows(make):
    empty = make().fit(csr_array((20, 5)), np.arange(20) % 2)
    full = make().fit(np.zeros((20, 5)), np.arange(20) % 2)
    np.testing.assert_array_equal(empty.predict(np.eye(5)), full.predict(np.eye(5)))


def test_sparse_rows_of_labels_of_several_levels_are_dense_rows():
    Y = np.c_[y // 5, y]
    clf = HierarchicalIsometricClassifier(max_epochs=3, random_state=0)
    expected = clf.fit(X, Y).predict(X)
    np.testing.assert_array_equal(clf.fit(csr_array(X), Y).predict(csr_array(X)), expected)


def test_images_in_four_dimensions_are_images_in_rows():
    rows = X.astype(np.float32)
    clf = classifier(module=ConvNet).fit(rows, y)
    images = rows.reshape(-1, 1, 8, 8)
    same = classifier(module=ConvNet).fit(images, y)
    np.testing.assert_array_equal(same.predict_proba(images), clf.predict_proba(rows))
    with pytest.raises(ValueError, match=r"must be of shape \(1, 8, 8\); got \(1, 4, 8\)"):
        same.predict(images[:, :, :4])


def test_images_of_several_channels_ask_for_their_shape():
    with pytest.raises(ValueError, match="Pass image_shape="):
        classifier(module=ConvNet).fit(np.zeros((20, 4, 8, 8), np.float32), np.arange(20) % 2)
    clf = classifier(module=partial(ConvNet, image_shape=(4, 8, 8)))
    assert clf.fit(np.zeros((20, 4, 8, 8), np.float32), np.arange(20) % 2).n_features_in_ == 4


MEMMAP = """
    import resource, sys
    import numpy as np
    from sklearn_iso import IsometricClassifier

    ALLOWED = 60 << 20
    N, WIDTH = 320_000, 2000 // np.dtype(sys.argv[3]).itemsize
    file = np.lib.format.open_memmap(sys.argv[1], "w+", sys.argv[3], (N, WIDTH))
    y = np.arange(N) % 2
    for start in range(0, N, 10_000):
        file[start:start + 10_000, 0] = y[start:start + 10_000]
    file.flush()
    X = np.lib.format.open_memmap(sys.argv[1], "r")
    params = {"hidden_layer_sizes": (8,), "max_epochs": 1, "batch_size": 1000}
    clf = IsometricClassifier(**params, random_state=0)
    clf.set_params(**eval(sys.argv[2]))
    clf.fit(X[:1000], y[:1000]).predict(X[:1000])  # what the first call allocates for good
    used = 1024 * next(int(line.split()[1]) for line in open("/proc/self/status")
                       if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + ALLOWED, used + ALLOWED))
    assert X.nbytes >= 10 * ALLOWED
    assert (clf.fit(X, y).predict(X) == y).all()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory by Linux's rules")
@pytest.mark.parametrize(
    ("params", "dtype"),
    [
        pytest.param({}, "f4", id="whole", marks=pytest.mark.slow),
        pytest.param({"early_stopping": True}, "f4", id="early stopping", marks=pytest.mark.slow),
        # Without a penalty, whose 2,000 rows of calibration are wide here.
        pytest.param({"alpha": 0}, "u1", id="bytes", marks=pytest.mark.slow),
    ],
)
def test_a_memory_map_of_ten_times_the_memory_is_fitted_within_it(params, dtype, tmp_path):
    script = textwrap.dedent(MEMMAP)
    file = tmp_path / "rows.npy"
    # One heap and a fixed threshold for large blocks, or how much of the freed memory goes back
    # to the system is a matter of luck.
    steady = os.environ | {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072"}
    run = subprocess.run(
        [sys.executable, "-c", script, file, repr(params), dtype],
        capture_output=True,
        text=True,
        env=steady,
    )
    file.unlink(missing_ok=True)
    assert run.returncode == 0, run.stderr


# --- warm start ----------------------------------------------------------------------------


def weights(estimator):
    return [v.numpy(force=True).copy() for v in estimator.net_.module_.state_dict().values()]


@ALL_THREE
def test_a_warm_start_begins_where_the_last_fit_ended(make):
    estimator = make().fit(X, y)
    before = weights(estimator)
    estimator.set_params(warm_start=True, learning_rate=1e-12, max_epochs=1).fit(X, y)
    for a, b in zip(before, weights(estimator), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


@ALL_THREE
def test_a_warm_start_without_a_fit_before_is_a_fit(make):
    cold, warm = make().fit(X, y), make(warm_start=True).fit(X, y)
    for a, b in zip(weights(cold), weights(warm), strict=True):
        np.testing.assert_array_equal(a, b)


@ALL_THREE
@pytest.mark.parametrize("change", [{"hidden_layer_sizes": (4,)}, "features"], ids=str)
def test_a_warm_start_with_other_shapes_is_refused(make, change):
    estimator = make(warm_start=True).fit(X, y)
    rows = X[:, :9] if change == "features" else X
    if change != "features":
        estimator.set_params(**change)
    with pytest.raises(ValueError, match="starts at the weights of the last fit"):
        estimator.fit(rows, y)


def test_a_warm_start_with_other_components_is_refused():
    found = embedding(warm_start=True).fit(X).set_params(n_components=3)
    with pytest.raises(ValueError, match="components or the network changed"):
        found.fit(X)


def test_a_warm_start_is_not_guided_once_more():
    found = embedding(penalty="geodesic", n_neighbors=20, warm_start=True).fit(X)
    assert "guide" in found.history_
    assert "guide" not in found.fit(X).history_


def test_a_warm_start_with_other_classes_is_refused():
    clf = classifier(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="keeps the classes of the last fit"):
        clf.fit(X, y + 1)


# --- names and devices that are not there --------------------------------------------------


def test_a_schedule_of_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'learning_rate_schedule' parameter"):
        classifier(learning_rate_schedule="sawtooth").fit(X, y)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="visible GPU"):
        classifier(device="cuda").fit(X, y)


def test_a_parameter_of_the_default_is_not_printed():
    assert repr(IsometricClassifier(alpha=2.0)) == "IsometricClassifier(alpha=2.0)"


def test_predicting_before_fitting_is_refused():
    with pytest.raises(NotFittedError):
        classifier().predict(csr_array(X))
