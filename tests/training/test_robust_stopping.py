"""Early stopping by robustness: the epoch that is kept, what decides it, and what is refused."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricRegressor, ThreatModel
from sklearn_iso.attacks import PGD
from sklearn_iso.metrics import adversarial_accuracy
from sklearn_iso.model_selection import RobustEarlyStopping
from sklearn_iso.modules import SmallCNN
from sklearn_iso.persistence import Checkpoint
from sklearn_iso.testing._generators import require_global_generators_kept

IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
X, HELD_OUT, Y, HELD_OUT_NAMES = train_test_split(
    IRIS.astype(np.float32), NAMES, test_size=0.4, stratify=NAMES, random_state=0
)
GIVEN = {"X": HELD_OUT, "y": HELD_OUT_NAMES}
EPS = 0.4


def stopping(**params):
    return RobustEarlyStopping(**{"eps": EPS, "attack": PGD(n_steps=3), **params})


def classifier(*callbacks, **params):
    usual = {"alpha": 1.0, "hidden_layer_sizes": (8,), "max_epochs": 8, "batch_size": 30,
             "learning_rate": 0.02, "random_state": 0}  # fmt: skip
    return IsometricClassifier(**usual | params, callbacks=list(callbacks))


class Weights(Callback):
    """Keeps the weights after every epoch; may interrupt after one."""

    def __init__(self, interrupt_after=None):
        self.interrupt_after = interrupt_after

    def on_train_begin(self, net, **kwargs):
        self.after_ = {}

    def on_epoch_end(self, net, **kwargs):
        epoch = len(net.history)
        self.after_[epoch] = {k: v.clone() for k, v in net.module_.state_dict().items()}
        if epoch == self.interrupt_after:
            raise KeyboardInterrupt


def same_weights(fitted, weights):
    found = fitted.net_.module_.state_dict()
    return all(torch.equal(found[name], weights[name]) for name in weights)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("source", ["given", "held out"])
def test_the_kept_epoch_is_the_first_of_the_most_robust(every, source):
    stop, seen = (
        stopping(every=every, patience=None, **GIVEN if source == "given" else {}),
        Weights(),
    )
    fitted = classifier(stop, seen, early_stopping=source == "held out").fit(X, Y)
    assert stop.epochs_ == sorted({*range(every, 9, every), 8}) and fitted.n_iter_ == 8
    best = int(np.argmax(stop.robust_accuracies_))
    assert stop.best_epoch_ == stop.epochs_[best]
    assert stop.best_robust_accuracy_ == max(stop.robust_accuracies_)
    assert len(set(stop.robust_accuracies_)) > 1
    assert same_weights(fitted, seen.after_[stop.best_epoch_]) and not stop.stopped_


def test_what_is_recorded_is_what_the_attack_leaves_of_the_samples_given():
    stop = stopping(attack=PGD(n_steps=3, random_start=False), **GIVEN)
    fitted = classifier(stop).fit(X, Y)
    left = adversarial_accuracy(
        fitted, HELD_OUT, HELD_OUT_NAMES, eps=EPS, attack=stop.attack, random_state=0
    )
    assert stop.best_robust_accuracy_ == pytest.approx(left, abs=1e-12)


def attack_that_leaves(shares):
    """Return an attack that leaves those shares of samples of two classes, call by call."""
    left = iter(shares)

    def attack(logits, X, y, *, eps, threat, random_state):
        spared = torch.arange(len(X)) < round(next(left) * len(X))
        return torch.where(spared[:, None], X, X.flip(1))  # the other class

    return attack


CLEAR, SIDES = np.repeat(4 * np.eye(2, dtype=np.float32), 10, axis=0), np.repeat([0, 1], 10)


@pytest.fixture(scope="module")
def trained():
    """Return a classifier that goes on learning slowly and stays right."""
    clf = classifier(max_epochs=40, learning_rate=0.1).fit(CLEAR, SIDES)
    assert clf.score(CLEAR, SIDES) == 1
    return clf.set_params(learning_rate=1e-4, max_epochs=7, warm_start=True)


def go_on(trained, shares, *others, patience=None):
    """Fit a copy on, under an attack that leaves those shares; return it and its callback."""
    stop = stopping(attack=attack_that_leaves(shares), patience=patience, X=CLEAR, y=SIDES)
    clf = copy.deepcopy(trained).set_params(callbacks=[*others, stop])
    try:
        return clf.fit(CLEAR, SIDES), stop
    except KeyboardInterrupt:
        return clf, stop


def test_a_fit_ends_after_so_many_attacks_without_a_new_best(trained):
    clf, stop = go_on(trained, [0.5, 0.8, 0.6, 0.8, 0.7, 0.9, 0.9], patience=3)
    assert stop.robust_accuracies_ == pytest.approx([0.5, 0.8, 0.6, 0.8, 0.7])
    assert stop.stopped_ and stop.best_epoch_ == 2 and clf.n_iter_ == 5


def test_a_resumed_fit_remembers_the_best_epoch(trained, tmp_path):
    shares = [0.5, 0.8, 0.6, 0.8, 0.7, 0.9, 0.6]
    seen = Weights()
    whole, stop = go_on(trained, shares, seen)
    assert same_weights(whole, seen.after_[6])
    for n_epochs in (4, 6):  # before and after the best
        keep = Checkpoint(tmp_path / str(n_epochs))
        go_on(trained, shares, keep, Weights(interrupt_after=n_epochs))
        _, again = go_on(trained, shares[n_epochs:], keep)
        assert again.robust_accuracies_ == stop.robust_accuracies_


def test_the_random_state_of_the_classifier_decides():
    first, second, other = (stopping(max_samples=20) for _ in range(3))
    one = classifier(first, early_stopping=True, validation_fraction=0.4).fit(X, Y)
    torch.manual_seed(7)
    two = classifier(second, early_stopping=True, validation_fraction=0.4).fit(X, Y)
    assert first.robust_accuracies_ == second.robust_accuracies_
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    classifier(other, early_stopping=True, validation_fraction=0.4, random_state=1).fit(X, Y)
    assert other.robust_accuracies_ != first.robust_accuracies_


def test_attacks_change_nothing_of_the_training_or_of_global_generators():
    seen, alone = Weights(), Weights()
    with require_global_generators_kept("fit"):
        classifier(stopping(**GIVEN, patience=None), seen).fit(X, Y)
    classifier(alone).fit(X, Y)
    assert all(torch.equal(seen.after_[8][name], v) for name, v in alone.after_[8].items())


def test_an_interrupted_fit_keeps_its_best_epoch():
    stop, seen = stopping(**GIVEN, patience=None), Weights(interrupt_after=5)
    clf = classifier(stop, seen)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert stop.epochs_ == [1, 2, 3, 4, 5] and not stop.stopped_
    assert same_weights(clf, seen.after_[stop.best_epoch_])
    assert clf.predict(HELD_OUT).shape == (60,)


def test_a_classifier_with_it_clones_pickles_and_saves(tmp_path):
    stop = stopping(threat=ThreatModel("l2"), **GIVEN)
    clf = classifier(stop).fit(X, Y)
    assert clone(clf).callbacks[0].threat == stop.threat
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    clf.set_params(callbacks=None).save(tmp_path / "model.safetensors")
    loaded = sklearn_iso.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


def test_images_of_a_network_by_name_are_attacked_as_images():
    rng = np.random.default_rng(0)
    images, labels = rng.random((30, 1, 16, 16)).astype(np.float32), np.arange(30) % 2
    stop = stopping(eps=0.01, threat=ThreatModel("linf", bounds=(0, 1)), X=images, y=labels)
    tiny = partial(SmallCNN, channels=(2, 3), hidden_layer_sizes=(4,))
    classifier(stop, module=tiny, max_epochs=2).fit(images, labels)
    assert len(stop.epochs_) == 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"eps": 0}, "'eps' parameter of RobustEarlyStopping"),
        ({"every": 0}, "'every' parameter"),
        ({"patience": 0}, "'patience' parameter"),
        ({"attack": "none"}, "attack must be one of"),
        ({"threat": "l7"}, "threat must be a ThreatModel or a norm"),
        ({"y": None}, "held out samples from one source; got X, no y"),
        ({"X": None, "y": None}, "no X, no y and early_stopping=False"),
        ({"y": np.repeat("rose", 60)}, "rose"),
        ({"y": HELD_OUT_NAMES[:10]}, "inconsistent numbers of samples"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_breaks_a_rule_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        classifier(stopping(**GIVEN | params)).fit(X, Y)


def test_samples_from_two_sources_are_refused():
    with pytest.raises(ValueError, match="early_stopping=True"):
        classifier(stopping(**GIVEN), early_stopping=True).fit(X, Y)


@pytest.mark.parametrize("alpha", ["auto", 1.0])
def test_fits_of_no_single_classifier_are_refused(alpha):
    numbers = IsometricRegressor(alpha=alpha, callbacks=[stopping(**GIVEN)], max_epochs=2)
    with pytest.raises(ValueError, match="must watch a classifier"):
        numbers.fit(X, X[:, 0])


def test_members_of_a_cross_fit_are_refused():
    many = classifier(
        stopping(**GIVEN), alpha="auto", hidden_layer_sizes=(64,), learning_rate="auto"
    )
    with pytest.raises(ValueError, match="pass a number as alpha"):
        many.fit(X, Y)
