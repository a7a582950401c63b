"""Attacks on parts of the samples in processes: the same figures for every number of jobs."""

from __future__ import annotations

import threading
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_iso import IsometricClassifier
from sklearn_iso.attacks import Square
from sklearn_iso.metrics import (
    _jobs,
    adversarial_accuracy,
    adversarial_distance,
    adversarial_error,
    robustness_report,
)
from sklearn_iso.metrics._problem import Problem

X, y = (part[::5] for part in load_iris(return_X_y=True))
DX, Dy = load_diabetes(return_X_y=True)
DX, Dy = DX[:25], Dy[:25]
LINEAR = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
FOREST = RandomForestClassifier(5, max_depth=4, random_state=0).fit(X, y)
BUDGET = {"eps": 0.3, "random_state": 0}
CALLS = {
    "accuracy of a white box": lambda n: adversarial_accuracy(LINEAR, X, y, n_jobs=n, **BUDGET),
    "accuracy by search": lambda n: adversarial_accuracy(
        FOREST, X, y, n_jobs=n, attack=Square(n_queries=20), **BUDGET
    ),
    "distance": lambda n: adversarial_distance(LINEAR, X, y, random_state=0, n_jobs=n),
    "distance of a regressor": lambda n: adversarial_distance(
        Ridge().fit(DX, Dy), DX, Dy, tolerance=50, random_state=0, n_jobs=n
    ),
    "error": lambda n: adversarial_error(
        KNeighborsRegressor().fit(DX, Dy), DX, Dy, attack=Square(n_queries=20), n_jobs=n, **BUDGET
    ),
    "report": lambda n: str(
        robustness_report(LINEAR, X, y, eps=[0, 0.4], n_diagnosed=5, random_state=0, n_jobs=n)
    ),
}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_jobs, "SAMPLES", 10)


@pytest.mark.parametrize("name", CALLS)
def test_figures_do_not_depend_on_the_number_of_jobs(name):
    expected = CALLS[name](1)
    with joblib.parallel_config("threading"):
        for n_jobs in (2, 3):
            np.testing.assert_array_equal(CALLS[name](n_jobs), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_figures_are_the_same_in_processes(name):
    with joblib.parallel_config("loky"):
        np.testing.assert_array_equal(CALLS[name](2), CALLS[name](1))


@pytest.mark.slow
def test_processes_take_a_network_and_functions_without_a_name():
    """What only cloudpickle pickles goes to processes, too."""
    net = IsometricClassifier(hidden_layer_sizes=(4,), alpha=0, max_epochs=5, random_state=0)
    model = make_pipeline(FunctionTransformer(lambda X: X / 2), net).fit(X, y)
    how = {"attack": Square(n_queries=5), **BUDGET}
    found = [adversarial_accuracy(model, X, y, n_jobs=n, **how) for n in (1, 2)]
    assert found[0] == found[1]


def test_without_chance_parts_are_the_whole():
    """A deterministic search finds for a part what it finds for all."""
    how = {"attack": "ddn", "threat": "l2", "random_state": 0}
    whole, parts = (adversarial_distance(LINEAR, X, y, n_jobs=n, **how) for n in (None, 1))
    np.testing.assert_allclose(parts, whole, rtol=1e-6)


def test_an_exact_figure_is_that_of_the_whole():
    """Of a linear model, and one whose errors certificates know, nothing is left to chance."""
    ridge = Ridge().fit(DX, Dy)
    how = {"eps": 0.02, "threat": "l2", "random_state": 0}
    whole, parts = (adversarial_error(ridge, DX, Dy, n_jobs=n, **how) for n in (None, 1))
    np.testing.assert_allclose(parts, whole, rtol=1e-9)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_refused_points_of_all_parts_are_counted(n_jobs):
    problem = Problem.of(LINEAR, X, y)

    def refuse(shared, samples, seed):
        shared.refused.note(np.zeros((len(samples), 1)), "no answer")
        return len(samples)

    how = {"problem": problem, "random_state": 0, "n_jobs": n_jobs}
    with joblib.parallel_config("threading"):
        parts = _jobs.over_parts(refuse, problem, np.arange(25), **how)
    assert parts == [10, 10, 5]
    assert (problem.refused.n_points, problem.refused.reason) == (25, "no answer")


def test_threads_leave_the_filters_of_warnings_as_they_were():
    """The second part takes over the filters of the first one, and puts them back last."""
    silent, heard, loud = (threading.Event() for _ in range(3))

    def first():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            silent.set()
            assert heard.wait(10)
        loud.set()

    def second():
        assert silent.wait(10)
        with warnings.catch_warnings():
            heard.set()
            assert loud.wait(10)

    def task(shared, samples, seed):
        first() if samples[0] == 0 else second()

    how = {"problem": Problem.of(LINEAR, X, y), "random_state": 0, "n_jobs": 2}
    with warnings.catch_warnings(), joblib.parallel_config("threading"):
        warnings.simplefilter("error")
        before = list(warnings.filters)
        _jobs.over_parts(task, None, np.arange(20), **how)
        assert warnings.filters == before


def test_seed_and_threads_are_left_alone():
    before, state = torch.get_num_threads(), torch.random.get_rng_state()
    distances = [CALLS["distance"](n) for n in (1, 1)]
    np.testing.assert_array_equal(*distances)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("wrong", [1.5, "all"])
def test_a_number_of_jobs_is_a_whole_number(wrong):
    with pytest.raises(ValueError, match="n_jobs"):
        adversarial_accuracy(LINEAR, X, y, n_jobs=wrong, **BUDGET)
