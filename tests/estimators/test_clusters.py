"""Searches and evaluations on clusters of two workers: the very figures of one process."""

from __future__ import annotations

import os
import signal
import threading

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from sklearn_iso import IsometricClassifier
from sklearn_iso.metrics import adversarial_accuracy

pytestmark = pytest.mark.slow

X, y = load_iris(return_X_y=True)
GRID = {"alpha": [0, 0.3, 1, 3], "learning_rate": [0.003, 0.01], "max_epochs": [10]}


def search(**options):
    """24 fits."""
    network = IsometricClassifier(hidden_layer_sizes=(16, 8), random_state=0)
    return GridSearchCV(network, GRID, cv=3, **options).fit(X, y)


def scores(found):
    return [found.cv_results_[f"split{part}_test_score"].tolist() for part in range(3)]


@pytest.fixture(scope="module")
def alone():
    return scores(search())


@pytest.fixture
def dask_client():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def ray_backend():
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    register_ray()
    yield "ray"
    ray.shutdown()


def test_a_search_on_dask_finds_the_scores_of_one_process(dask_client, alone):
    with joblib.parallel_config(backend="dask", scatter=[X, y]):
        assert scores(search(n_jobs=-1)) == alone


def test_a_search_on_dask_survives_a_killed_worker(dask_client, alone):
    pids = dask_client.run(os.getpid)
    timer = threading.Timer(1.0, os.kill, (next(iter(pids.values())), signal.SIGKILL))
    timer.start()
    with joblib.parallel_config(backend="dask", scatter=[X, y]):
        found = scores(search(n_jobs=-1))
    timer.join()
    assert found == alone
    assert set(dask_client.run(os.getpid).values()) != set(pids.values())


def test_an_evaluation_on_dask_finds_the_figure_of_one_process(dask_client):
    network = IsometricClassifier(hidden_layer_sizes=(16,), max_epochs=20, random_state=0)
    options = {"eps": 0.5, "random_state": 0}
    network.fit(X, y)
    one = adversarial_accuracy(network, X, y, n_jobs=1, **options)
    with joblib.parallel_config(backend="dask"):
        assert adversarial_accuracy(network, X, y, n_jobs=2, **options) == one
    assert 0 < one < 1


def test_a_search_on_ray_finds_the_scores_of_one_process(ray_backend, alone):
    with joblib.parallel_config(backend=ray_backend):
        np.testing.assert_array_equal(scores(search(n_jobs=2)), alone)
