"""How the classifier trains: callbacks, early stopping, optimiser, progress."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
import tqdm
from iris_classifier import IRIS, classifier
from skorch.callbacks import BatchScoring, Callback, Checkpoint, EarlyStopping, EpochScoring
from torch import nn

from sklearn_iso import IsometricClassifier, IsometricRegressor
from sklearn_iso._training import callbacks


def test_skorch_callbacks_are_called():
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(net.history[-1, "train_loss"])

    fitted = classifier(callbacks=[Watch()]).fit(*IRIS)
    assert seen == fitted.loss_curve_


def test_early_stopping_keeps_the_best_epoch():
    fitted = classifier(
        early_stopping=True, n_iter_no_change=3, max_epochs=400, learning_rate=0.05
    ).fit(*IRIS)  # fmt: skip
    valid = fitted.history_["valid_loss"]
    assert fitted.n_iter_ < 400
    assert int(np.argmin(valid)) == fitted.n_iter_ - 1 - 3


def test_early_stopping_of_the_user_ends_the_fit_quietly():
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0, sink=lambda _: None)
    assert classifier(callbacks=[stop]).fit(*IRIS).n_iter_ == 3


def test_learning_rate_falls_linearly_to_zero():
    rates = []

    class Watch(Callback):
        def on_epoch_begin(self, net, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    classifier(callbacks=[Watch()], max_epochs=4, learning_rate=0.4).fit(*IRIS)
    assert rates == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_optimiser_class_of_the_user_is_used():
    fitted = classifier(optimizer=torch.optim.RMSprop).fit(*IRIS)
    assert isinstance(fitted.net_.optimizer_, torch.optim.RMSprop)


def test_progress_bar_shows_the_epochs(capsys):
    classifier(verbose=True).fit(*IRIS)
    assert "/15" in capsys.readouterr().err


def on_screen(text):
    """Return what is seen of lines that return to their start."""
    seen = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        seen.append(shown.rstrip())
    return "\n".join(seen).strip()


class Fails(Callback):
    """Ends a training by an error, as a full disk or an interrupt does."""

    def __init__(self, event, error):
        self.event, self.error = event, error

    def _at(self, event):
        if event == self.event:
            raise self.error

    def on_train_begin(self, net, **kwargs):
        self._at("on_train_begin")

    def on_epoch_end(self, net, **kwargs):
        self._at("on_epoch_end")

    def on_batch_end(self, net, **kwargs):
        self._at("on_batch_end")


@pytest.mark.parametrize("event", [None, "on_train_begin", "on_epoch_end", "on_batch_end"])
@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()], ids=lambda e: repr(e))
def test_no_progress_bar_is_left_however_a_fit_ends(event, error, capsys):
    assert on_screen("0/15\r7/15\r      ") == "" and on_screen("0/15\r7") == "7/15"
    model = classifier(verbose=True, callbacks=[Fails(event, error)] if event else None)
    with pytest.raises(type(error)) if event else nullcontext():
        model.fit(*IRIS)
    assert on_screen(capsys.readouterr().err) == ""


def test_the_progress_bar_is_no_widget_which_saved_notebooks_show_at_its_start():
    assert callbacks.tqdm is tqdm.std.tqdm


def test_nothing_is_printed_by_default(capsys):
    classifier().fit(*IRIS)
    assert capsys.readouterr() == ("", "")


def test_epoch_scoring_of_skorch_runs_beside_ours():
    def mean_loss(net, X, y):
        return net.history[-1, "train_loss"]

    fitted = classifier(callbacks=[EpochScoring(mean_loss, name="seen", on_train=True,
                                                use_caching=False)]).fit(*IRIS)  # fmt: skip
    assert "seen" in fitted.history_


@pytest.mark.parametrize("on_train", [True, False])
def test_accuracy_that_skorch_scores_is_that_of_the_estimator(on_train):
    score = EpochScoring("accuracy", name="seen", on_train=on_train)
    still = {"learning_rate": 1e-12, "early_stopping": not on_train, "shuffle": False}
    weights = np.ones(150)
    fitted = classifier(callbacks=[score], **still).fit(*IRIS, weights)
    seen = fitted.history_["seen"]
    assert len(seen) == fitted.n_iter_ and set(np.round(seen, 9)) == {round(seen[0], 9)}
    if on_train:
        assert seen[0] == pytest.approx(fitted.score(*IRIS))


@pytest.mark.parametrize("on_train", [True, False])
@pytest.mark.parametrize("kind", [IsometricClassifier, IsometricRegressor])
def test_mean_of_the_scores_of_batches_is_the_score_of_the_epoch(kind, on_train):
    # Both are means over rows, whatever the sizes of the batches are.
    scoring = "accuracy" if kind is IsometricClassifier else "neg_mean_absolute_error"
    batches, epoch = (
        callback(scoring, name=name, lower_is_better=False, on_train=on_train)
        for callback, name in ((BatchScoring, "batches"), (EpochScoring, "epoch"))
    )
    fitted = kind(
        hidden_layer_sizes=(8,), max_epochs=3, batch_size=40, early_stopping=True, random_state=0,
        callbacks=[batches, epoch],
    ).fit(*IRIS)  # fmt: skip
    history = fitted.history_
    np.testing.assert_allclose(history["batches"], history["epoch"], rtol=1e-6)
    assert len(set(history["epoch"])) > 1 and len(history["epoch"]) == fitted.n_iter_


def test_a_callback_that_predicts_after_a_batch_leaves_dropout_on():
    modes = []

    class Dropping(nn.Linear):
        def forward(self, X):
            modes.append(self.training)
            return super().forward(X)

    class Predict(Callback):
        def on_batch_end(self, net, batch, **kwargs):
            net.predict(batch[0])

    classifier(alpha=0, module=Dropping, callbacks=[Predict()], max_epochs=2, batch_size=40).fit(
        *IRIS
    )
    steps = modes[1:]  # the first tries the module out
    assert steps == [True, False] * (len(steps) // 2)


def test_skorch_keeps_the_best_epoch_by_the_names_that_it_knows(tmp_path):
    keep = Checkpoint(dirname=tmp_path, monitor="train_loss_best", f_history=None)
    fitted = classifier(callbacks=[keep]).fit(*IRIS)
    losses = np.array(fitted.loss_curve_)
    best = [row["train_loss_best"] for row in fitted.net_.history]
    expected = [value < losses[:k].min(initial=np.inf) for k, value in enumerate(losses)]
    assert best == expected
    assert (tmp_path / "params.pt").exists()
