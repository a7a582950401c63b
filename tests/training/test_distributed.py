"""One fit of several processes equals that of one; what is wrong is said before it starts."""

import json

import joint_fits
import numpy as np
import pytest
import torch
from joint_fits import FITS, weights

from sklearn_iso._training import watch as watching
from sklearn_iso._training.distributed import digest_of, processes_of_program
from sklearn_iso._training.watch import Watch
from sklearn_iso.exceptions import ProcessLostError
from sklearn_iso.penalties import (
    GlobalIsometry,
    JacobianIsometry,
    LocalIsometry,
    WorstCaseIsometry,
)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Return the folder of a run of two processes, and what each printed."""
    folder = tmp_path_factory.mktemp("two")
    printed = joint_fits.run(folder)
    told = [{line[0]: line[1:] for line in map(json.loads, lines)} for lines in printed]
    return folder, told


@pytest.fixture(scope="module")
def ranks(two):
    return [np.load(two[0] / f"{rank}.npz", allow_pickle=True) for rank in range(2)]


@pytest.mark.parametrize("name", FITS)
def test_two_processes_find_the_weights_of_one(name, ranks):
    alone = weights(joint_fits.fitted(name))
    for found in ranks:
        np.testing.assert_allclose(found[name], alone, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ranks[0][name], ranks[1][name])


def test_shards_are_fitted_as_if_they_were_one_array(ranks):
    alone = weights(joint_fits.fitted("weighted"))
    for found in ranks:
        np.testing.assert_allclose(found["sharded"], alone, rtol=0, atol=1e-6)


def test_each_process_fits_by_itself_where_it_is_told_to(ranks):
    for found, part in zip(ranks, (slice(0, 50), slice(50, None)), strict=True):
        alone = weights(joint_fits.fitted("classifier", "off", part))
        np.testing.assert_array_equal(found["alone"], alone)


def unlike_alone(name):
    """Return a fit of one process that has all that several had."""
    X, Y, weight = joint_fits.X, joint_fits.Y, joint_fits.WEIGHT
    model = joint_fits.FITS["classifier"][0]()
    numbers = np.arange(91) >= 50
    return {
        "own start": lambda: joint_fits.own_network(0).fit(X, Y),
        "listener": lambda: joint_fits.own_network(0, learning_rate_schedule="constant").fit(X, Y),
        "widths of labels": lambda: model.fit(X, numbers * 300 + 7 * (np.arange(91) % 2 == 0)),
        "no weight here": lambda: model.fit(X, Y.astype(object), weight * (np.arange(91) < 50)),
        "data sets": lambda: model.set_params(batch_size=5).fit(X, np.arange(91) % 3),
    }[name]()


@pytest.mark.parametrize(
    "name", ["own start", "listener", "widths of labels", "no weight here", "data sets"]
)
def test_processes_that_differ_where_they_may_fit_what_one_does(name, ranks):
    """Starts of a network, listeners, widths of labels, weights and samples of a batch."""
    alone = unlike_alone(name)
    for found in ranks:
        np.testing.assert_allclose(found[name], weights(alone), rtol=0, atol=1e-6)
        assert found[f"classes of {name}"].tolist() == alone.classes_.tolist()
    np.testing.assert_array_equal(ranks[0][name], ranks[1][name])


@pytest.mark.parametrize(
    ("name", "kinds", "words"),
    [
        ("unequal shards", ["ValueError"] * 2, "same X; process 0 has an array of shape (50, 6)"),
        ("missing class", ["ValueError"] * 2, "must have the same y"),
        ("parameters", ["ValueError"] * 2, "same parameter alpha; process 0 has 1.0, process 1"),
        ("one rank", ["ProcessLostError", "ValueError"], "NaN"),
        ("features of shards", ["ValueError"] * 2, "same shape of a sample of X; process 0 has"),
        ("order of columns", ["ValueError"] * 2, "process 0 has a, b, c, d, e, f, process 1 has f"),
        ("length of weights", ["ProcessLostError", "ValueError"], "of shape (91,), one number"),
        ("kind of labels", ["ValueError"] * 2, "must be numbers or text; got an array of datetime"),
        ("checkpoint of one", ["ValueError"] * 2, "EpochMeans, LRScheduler, Checkpoint, StopWhen"),
        ("geodesic", ["ValueError"] * 2, "Geodesic and precomputed distances are those between"),
        ("precomputed", ["ValueError"] * 2, "Geodesic and precomputed distances are those between"),
        ("wrapped", ["TypeError"] * 2, "got a DistributedDataParallel. Pass the network inside"),
        ("diverged", ["TrainingDivergedError"] * 2, "NaN or infinite in epoch 1"),
    ],
)
def test_what_is_wrong_is_said_in_every_process(name, kinds, words, two):
    told = [printed[name] for printed in two[1]]
    assert [kind for kind, _ in told] == kinds
    assert all(words in text for _, text in told)


def test_all_stop_at_the_same_step_where_one_is_interrupted(two):
    first, second = (printed["interrupted"] for printed in two[1])
    assert first == second and first[0] == 1


def test_a_killed_process_is_named_and_one_process_goes_on(two, tmp_path):
    folder, (first, second) = two
    kind, text = first["killed"]
    assert (kind, "killed" in second) == ("ProcessLostError", False)
    assert "process 1 showed no more sign of life" in text
    assert (folder / "run.checkpoint").exists()
    epochs = []
    count = joint_fits.At(4, lambda: epochs.append(4))
    early = joint_fits.At(3, lambda: epochs.append(3))
    resumed = joint_fits.long_fit(folder / "run.checkpoint", count, early)
    resumed.fit(joint_fits.X, joint_fits.Y)
    assert epochs == [4] and not (folder / "run.checkpoint").exists()
    whole = joint_fits.long_fit(tmp_path / "whole").fit(joint_fits.X, joint_fits.Y)
    np.testing.assert_allclose(weights(resumed), weights(whole), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_more_processes_than_divide_a_batch_find_the_same(tmp_path):
    names = ["weighted", "transformer"]
    joint_fits.run(tmp_path, 5, *names)
    for rank in range(5):
        found = np.load(tmp_path / f"{rank}.npz")
        for name in names:
            alone = weights(joint_fits.fitted(name))
            np.testing.assert_allclose(found[name], alone, rtol=0, atol=1e-6)


@pytest.fixture
def quick(monkeypatch):
    for name, seconds in {"BEAT": 0.01, "PATIENCE": 0.3, "ARRIVAL": 0.6, "TICK": 0.02}.items():
        monkeypatch.setattr(watching, name, seconds)


def both(store):
    pair = [Watch(store, rank, 2, "fit") for rank in range(2)]
    store.set("fit/beat/1", "0")
    for watch in pair:
        watch.start()
    return pair


def test_who_shows_no_sign_of_life_is_named(quick):
    first, second = both(torch.distributed.HashStore())
    second.stop()
    with pytest.raises(ProcessLostError, match="process 1 showed no more sign of life"):
        first.until(lambda: False)
    first.stop()


def test_who_does_not_come_is_named(quick):
    watch = Watch(torch.distributed.HashStore(), 0, 3, "fit")
    with pytest.raises(ProcessLostError, match="processes 1, 2 did not come within") as caught:
        watch.start()
    watch.stop()
    assert caught.value.processes == [1, 2]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("no\nway."), ProcessLostError, "process 1 ended it with ValueError: no. Start"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
        (ProcessLostError([4], "slept"), ProcessLostError, "process 4 slept"),
    ],
)
def test_who_fails_leaves_word(error, kind, words, quick):
    first, second = both(torch.distributed.HashStore())
    second.fail(error)
    first.fail(ValueError("the second word does not count"))
    with pytest.raises(kind, match=words):
        first.until(lambda: False)
    for watch in (first, second):
        watch.stop()


def test_nothing_is_left_in_the_store(quick):
    store = torch.distributed.HashStore()
    pair = both(store)
    for watch in pair:
        watch.stop()
        watch.clear()
    assert store.num_keys() == 0


def test_there_are_no_processes_without_a_group():
    assert processes_of_program() is None


def test_a_penalty_says_whether_its_samples_are_independent():
    by_sample = [WorstCaseIsometry(), LocalIsometry(scale=1.0), JacobianIsometry(scale=1.0)]
    coupled = [GlobalIsometry(), LocalIsometry(), JacobianIsometry()]
    assert all(p.by_sample for p in by_sample) and not any(p.by_sample for p in coupled)


def test_a_digest_tells_values_types_and_text_apart():
    different = [np.zeros(2), np.zeros(2, int), np.zeros((2, 1)), np.array(["a", "b"], object)]
    assert len({digest_of([array]) for array in different}) == 4
    assert digest_of([different[3]]) == digest_of([np.array(["a", "b"], object)])


def test_what_a_process_brought_before_it_ended_the_fit_is_not_lost(monkeypatch):
    monkeypatch.setattr(watching, "TICK", 0.0)
    store = torch.distributed.HashStore()
    first, second = (Watch(store, rank, 2, "fit") for rank in range(2))

    def there():
        if store.check(["brought"]):
            return True
        store.set("brought", "")
        first.fail(ValueError("y has one class"))
        return False

    second.until(there)
    with pytest.raises(ProcessLostError, match="ended it with ValueError: y has one class"):
        second.until(lambda: False)
