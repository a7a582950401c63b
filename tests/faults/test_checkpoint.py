"""A fit survives what may happen to it: kills, full disks, damage, and a second fit."""

import importlib.util
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from reliability import told
from skorch.callbacks import Callback

from sklearn_iso import IsometricClassifier
from sklearn_iso.exceptions import CheckpointInUseError, ModelFileError, TrainingDivergedError
from sklearn_iso.persistence import Checkpoint

SCRIPT = Path(__file__).with_name("killed_runs.py")
spec = importlib.util.spec_from_file_location("killed_runs", SCRIPT)
runs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runs)
X, y, FITS = runs.X, runs.y, runs.FITS


class Interrupt(Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=True, **kwargs):
        if len(net.history) == self.epoch and len(net.history[-1]["batches"]) == 2:
            raise KeyboardInterrupt


def small(*callbacks, **params):
    usual = {"max_epochs": 6, "hidden_layer_sizes": (8,), "random_state": 0, "batch_size": 64}
    return IsometricClassifier(callbacks=list(callbacks), **usual | params)


def killed(*options):
    command = [sys.executable, SCRIPT, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_killed_fits_end_at_the_same_model():
    totals = killed("--kills", "3", "--fits", "own module")
    assert totals["kills"] == 3 and totals["equal"] == totals["runs"]


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing():
    totals = killed("--kills", "20")
    # All but those in the first epoch, a sixth of them by chance, have something to go on from.
    assert totals["kills"] == 20 and totals["resumed"] >= 12
    assert totals["equal"] == totals["runs"]


@pytest.fixture(scope="module")
def whole():
    """Digests of fits that nobody disturbs."""
    return {name: runs.digest(fit(None)) for name, fit in FITS.items()}


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("name", FITS)
def test_interrupted_fit_ends_at_the_same_model(name, every, whole, tmp_path):
    path = tmp_path / "run.checkpoint"
    for epoch in (5, 9):
        with pytest.raises(KeyboardInterrupt):
            FITS[name]([Interrupt(epoch), Checkpoint(path, every=every)])
        assert path.exists()
    # Its absence from the callbacks is no other fit: an interrupt has no state.
    assert runs.digest(FITS[name]([Checkpoint(path, every=every)])) == whole[name]
    assert not path.exists()


def test_checkpoints_change_nothing_of_a_fit_that_ends(whole, tmp_path):
    fitted = FITS["classifier"]([Checkpoint(tmp_path / "run.checkpoint")])
    assert runs.digest(fitted) == whole["classifier"]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".checkpoint"] == []


def test_resumed_fit_takes_only_the_epochs_that_are_left(tmp_path):
    path, seen = tmp_path / "run.checkpoint", []

    class Count(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(len(net.history))

    with pytest.raises(KeyboardInterrupt):
        small(Interrupt(4), Checkpoint(path)).fit(X, y)
    fitted = small(Count(), Checkpoint(path)).fit(X, y)
    assert seen == [4, 5, 6] and fitted.n_iter_ == 6


def test_a_fit_in_mixed_precision_resumes_to_the_same_model(tmp_path):
    path, params = tmp_path / "run.checkpoint", {"mixed_precision": True}
    with pytest.raises(KeyboardInterrupt):
        small(Interrupt(4), Checkpoint(path), **params).fit(X, y)
    resumed, expected = small(Checkpoint(path), **params).fit(X, y), small(**params).fit(X, y)
    assert runs.digest(resumed) == runs.digest(expected)


def test_interrupted_fit_is_a_usable_estimator(tmp_path):
    model = small(Interrupt(4), Checkpoint(tmp_path / "run.checkpoint"))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all() and model.n_iter_ == 3


def checkpoint_of(path, **params):
    with pytest.raises(KeyboardInterrupt):
        small(Interrupt(4), Checkpoint(path), **params).fit(X, y)
    return path.read_bytes()


OTHER = {
    "data": lambda cb: small(cb).fit(X[::-1], y[::-1]),
    "labels": lambda cb: small(cb).fit(X, (y + 1) % 10),
    "alpha": lambda cb: small(cb, alpha=2.0).fit(X, y),
    "mixed precision": lambda cb: small(cb, mixed_precision=True).fit(X, y),
    "compiled": lambda cb: small(cb, compile={"backend": "eager"}).fit(X, y),
    "seed": lambda cb: small(cb, random_state=1).fit(X, y),
    "no seed": lambda cb: small(cb, random_state=None).fit(X, y),
    "epochs": lambda cb: small(cb, max_epochs=7).fit(X, y),
    "learning rate": lambda cb: small(cb, learning_rate=1e-3).fit(X, y),
    "schedule": lambda cb: small(cb, learning_rate_schedule="cosine").fit(X, y),
    "optimiser": lambda cb: small(cb, optimizer="sgd").fit(X, y),
    "penalty": lambda cb: small(cb, penalty="worst_case").fit(X, y),
    "width": lambda cb: small(cb, hidden_layer_sizes=(9,)).fit(X, y),
}


@pytest.mark.parametrize("what", OTHER)
def test_checkpoint_of_another_fit_is_refused(what, tmp_path):
    path = tmp_path / "run.checkpoint"
    content = checkpoint_of(path)
    with pytest.raises(ModelFileError, match="is of another fit.*delete the file"):
        OTHER[what](Checkpoint(path))
    assert path.read_bytes() == content
    assert small(Checkpoint(path)).fit(X, y).n_iter_ == 6  # the lock is free again


DAMAGES = {
    "half": lambda raw: raw[: len(raw) // 2],
    "empty": lambda raw: b"",
    "end": lambda raw: raw[:-5] + bytes(255 - byte for byte in raw[-5:]),
    "one bit": lambda raw: raw[:3000] + bytes([raw[3000] ^ 1]) + raw[3001:],
    "pickle": lambda raw: b"\x80\x04\x95" + raw,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_checkpoint_is_an_error_and_runs_nothing(damage, tmp_path):
    path = tmp_path / "run.checkpoint"
    path.write_bytes(damage(checkpoint_of(path)))
    with pytest.raises(ModelFileError, match="Delete it to start anew"):
        small(Checkpoint(path)).fit(X, y)


def test_second_fit_on_one_path_is_refused(tmp_path):
    path = tmp_path / "run.checkpoint"

    class Nested(Callback):
        def on_epoch_end(self, net, **kwargs):
            with pytest.raises(CheckpointInUseError, match="another one is at work on"):
                small(Checkpoint(path)).fit(X, y)

    assert small(Nested(), Checkpoint(path), max_epochs=2).fit(X, y).n_iter_ == 2


def test_second_process_on_one_path_is_refused(tmp_path):
    path = tmp_path / "run.checkpoint"
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire();"
        "print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, f"{path}.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(CheckpointInUseError):
            small(Checkpoint(path)).fit(X, y)
        other.kill()
    assert small(Checkpoint(path)).fit(X, y).n_iter_ == 6  # SIGKILL leaves no lock


def test_lock_is_free_after_a_fit(tmp_path):
    path = tmp_path / "run.checkpoint"
    small(Checkpoint(path)).fit(X, y)
    lock = FileLock(f"{path}.lock")
    lock.acquire(blocking=False)
    lock.release()


class FullDisk(Callback):
    """From one epoch on, the system lets no file grow beyond some bytes."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            self.limits_ = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, self.limits_[1]))

    def on_train_end(self, net, **kwargs):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits_)


def test_full_disk_keeps_the_old_checkpoint_and_the_fit(tmp_path):
    path = tmp_path / "run.checkpoint"
    full = FullDisk(3)
    kept = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            kept.append(path.read_bytes() if path.exists() else None)

    with pytest.warns(RuntimeWarning, match="was not written: .* File too large.*Free some space"):
        fitted = small(full, Checkpoint(path), Look()).fit(X, y)
    assert fitted.n_iter_ == 6
    assert kept[0] != kept[1] and kept[1] == kept[2] == kept[-1] is not None
    assert [p.name for p in tmp_path.iterdir() if "lock" not in p.name] == []


def test_full_disk_keeps_the_old_model_file(tmp_path):
    path = tmp_path / "model.safetensors"
    model = small().fit(X, y)
    model.save(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            small(random_state=1).fit(X, y).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_path_that_cannot_be_is_an_error_before_the_first_epoch(tmp_path):
    (tmp_path / "file").touch()
    model = small(Checkpoint(tmp_path / "file" / "run.checkpoint"))
    with pytest.raises(OSError, match="file"):
        model.fit(X, y)
    assert model.n_iter_ == 0


def test_diverging_fit_keeps_its_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.checkpoint"

    class Spoil(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                next(net.module_.parameters()).data.fill_(torch.nan)

    model = small(Spoil(), Checkpoint(path))
    with pytest.raises(TrainingDivergedError, match="epoch 4"):
        model.fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all() and path.exists()
    assert small(Checkpoint(path)).fit(X, y).n_iter_ == 6


@pytest.mark.parametrize("every", [0, -1, 1.5, "often"])
def test_interval_must_be_a_positive_integer(every, tmp_path):
    with pytest.raises(ValueError, match="every must be an integer of 1 or more"):
        small(Checkpoint(tmp_path / "run.checkpoint", every=every)).fit(X, y)


def test_estimator_with_a_checkpoint_clones_and_pickles(tmp_path):
    import pickle

    from sklearn.base import clone

    model = small(Checkpoint(tmp_path / "run.checkpoint", every=2)).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert clone(model).callbacks[0].every == 2


def test_the_page_tells_what_is_tried():
    assert told(r"other data, parameters or seed \| (\d+) diff") == (len(OTHER),)
    assert told(r"one bit, a pickle \| (\d+)") == (len(DAMAGES),)
    assert told(r"an epoch, twice, then resumed \| (\d+) kinds of fit") == (len(FITS),)
