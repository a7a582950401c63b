"""Bad input gets an error that states the rule and the remedy; nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, Freezer
from torch import nn

from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso.exceptions import TrainingDivergedError
from sklearn_iso.penalties import WorstCaseIsometry

X, y = load_iris(return_X_y=True)


def classifier(**params):
    defaults = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 0}
    return IsometricClassifier(**defaults | params)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["fit", "predict", "transform"])
def test_missing_or_infinite_values_are_refused(value, method):
    bad = X.copy()
    bad[3, 1] = value
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        classifier().fit(bad, y) if method == "fit" else getattr(classifier().fit(X, y), method)(
            bad
        )


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 classes .* got 1 class"):
        classifier().fit(X, np.zeros(150, int))


def test_one_class_left_by_the_weights_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 classes with a positive weight"):
        classifier().fit(X, y, sample_weight=(y == 1).astype(float))


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match=r"[Ss]ample.weight.*(non-zero|positive)"):
        classifier().fit(X, y, sample_weight=np.zeros(150))


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="[Nn]egative values in"):
        classifier().fit(X, y, sample_weight=np.full(150, -1.0))


@pytest.mark.parametrize("weight", [np.nan, np.inf, 1e308])
@pytest.mark.parametrize("kind", [IsometricClassifier, IsometricRegressor, IsometricTransformer])
def test_one_weight_for_all_rows_must_be_finite_too(kind, weight):
    with pytest.raises(ValueError, match="sample_weight must be finite"):
        kind(max_epochs=1).fit(X, y, sample_weight=weight)


def test_fewer_rows_than_a_batch_are_one_batch():
    fitted = classifier(batch_size=1000).fit(X, y)
    assert fitted.net_.history[-1, "train_batch_count"] == 1
    assert np.isfinite(fitted.loss_curve_).all()


def test_a_single_row_is_refused():
    with pytest.raises(ValueError, match="at least 2 classes"):
        classifier().fit(X[:1], y[:1])


def test_a_class_with_one_member_has_no_pair_and_does_no_harm():
    rows = [0, 1, 2, 3, 60, 61, 62, 140]
    fitted = classifier().fit(X[rows], y[rows])
    assert np.isfinite(fitted.loss_curve_).all()
    assert len(fitted.classes_) == 3


def test_classes_of_one_member_each_have_no_within_class_penalty():
    fitted = classifier(penalty="within_class").fit(X[[0, 60, 140]], y[[0, 60, 140]])
    assert fitted.history_["penalty"] == [0.0] * 4


@pytest.mark.parametrize("penalty", ["isometric", "within_class", "worst_case"])
def test_identical_rows_give_finite_losses_and_weights(penalty):
    fitted = classifier(penalty=penalty).fit(np.ones((20, 4)), np.arange(20) % 2)
    assert np.isfinite(fitted.loss_curve_).all()
    assert all(torch.isfinite(p).all() for p in fitted.net_.module_.parameters())


def test_constant_features_do_no_harm():
    constant = np.hstack([X, np.full((150, 2), 1e6)])
    fitted = classifier(max_epochs=60, learning_rate=0.01).fit(constant, y)
    assert fitted.score(constant, y) > 0.8


def test_labels_of_the_wrong_length_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier().fit(X, y[:-1])


def test_continuous_labels_are_refused():
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier().fit(X, y + 0.5)


def test_rows_of_several_dimensions_need_a_module():
    with pytest.raises(ValueError, match="dim 3"):
        classifier().fit(np.zeros((10, 2, 2)), np.arange(10) % 2)


def test_module_of_the_wrong_width_is_refused():
    with pytest.raises(ValueError, match=r"one logit for each class.*got \(2, 5\).*layer to 3"):
        classifier(module=nn.Linear(4, 5)).fit(X, y)


class Cut(nn.Linear):
    """A layer whose output tells nothing of its weights."""

    def forward(self, rows):
        return super().forward(rows).detach()


LEARNERS = pytest.mark.parametrize("kind", [IsometricClassifier, IsometricRegressor])


@LEARNERS
@pytest.mark.parametrize("alpha", [0, 1])
def test_module_without_weights_to_train_is_refused(kind, alpha):
    with pytest.raises(ValueError, match=r"are all frozen. Let some .* requires_grad_\(True\)"):
        kind(alpha, module=nn.Linear(4, 3).requires_grad_(False)).fit(X, y)
    with pytest.raises(ValueError, match="it has none. Add a layer"):
        kind(alpha, module=nn.Identity()).fit(X, y)
    with pytest.raises(ValueError, match=r"is cut. .* take .detach\(\)"):
        kind(alpha, module=Cut).fit(X, y)


@pytest.mark.parametrize("kind", [IsometricClassifier, IsometricTransformer])
def test_weights_that_a_callback_freezes_are_named(kind):
    with pytest.raises(ValueError, match=r"all are frozen.*requires_grad_\(True\)"):
        kind(callbacks=[Freezer("*")], max_epochs=2).fit(X, y)
    model = kind(max_epochs=1).fit(X, y)
    model.net_.module_.requires_grad_(False)
    with pytest.raises(ValueError, match=r"all are frozen.*requires_grad_\(True\)"):
        model.partial_fit(X, y)


@pytest.mark.parametrize("callback", [EarlyStopping(), ("mine", EarlyStopping), Checkpoint()])
@pytest.mark.parametrize("kind", [IsometricClassifier, IsometricRegressor, IsometricTransformer])
def test_watching_held_out_rows_takes_held_out_rows(kind, callback):
    remedy = "early_stopping=True, .*validation_fraction"
    with pytest.raises(ValueError, match=remedy):
        kind(callbacks=[callback]).fit(X, y)
    model = kind(max_epochs=1).fit(X, y).set_params(callbacks=[callback])
    with pytest.raises(ValueError, match=remedy):
        model.partial_fit(X, y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_watching_a_column_that_is_not_there_lists_those_that_are(early_stopping):
    model = classifier(callbacks=[EarlyStopping("f1")], early_stopping=early_stopping)
    with pytest.raises(ValueError, match="train_loss.*; got monitor='f1'"):
        model.fit(X, y)


def test_early_stopping_of_skorch_goes_with_ours():
    impatient = EarlyStopping(patience=2, threshold=10.0)  # the first epoch is the best
    model = classifier(callbacks=[impatient], early_stopping=True, max_epochs=9).fit(X, y)
    assert model.n_iter_ == 3


def test_function_that_returns_no_module_is_refused():
    with pytest.raises(TypeError, match="returned int"):
        classifier(module=lambda: 3).fit(X, y)


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": -1.0},
        {"alpha": np.nan},
        {"learning_rate": 0.0},
        {"max_epochs": 0},
        {"batch_size": 0},
        {"penalty": "nonsense"},
        {"activation": "nonsense"},
        {"optimizer": "nonsense"},
        {"learning_rate_schedule": "nonsense"},
        {"validation_fraction": 1.0},
        {"weight_decay": -1.0},
    ],
    ids=str,
)
def test_parameter_out_of_range_is_named(params):
    name = next(iter(params))
    with pytest.raises(ValueError, match=f"The '{name}' parameter of IsometricClassifier must be"):
        classifier(**params).fit(X, y)


def test_negative_radius_is_named():
    with pytest.raises(ValueError, match="The 'radius' parameter of WorstCaseIsometry must be"):
        classifier(penalty=WorstCaseIsometry(radius=-1.0)).fit(X, y)


@pytest.mark.parametrize("widths", [(0,), (3.5,), ((2, 3),), ("a",)])
def test_widths_that_are_no_positive_integers_are_refused(widths):
    with pytest.raises(ValueError, match="hidden_layer_sizes must hold integers of 1 or more"):
        classifier(hidden_layer_sizes=widths).fit(X, y)


def test_unknown_layer_lists_the_submodules():
    with pytest.raises(ValueError, match=r"got 'hiden'.*'hidden.0'"):
        classifier(layers="hiden").fit(X, y)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_absent_gpu_is_named_with_the_remedy():
    with pytest.raises(ValueError, match="device='cuda' needs.*Use device='cpu'"):
        classifier(device="cuda").fit(X, y)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="it is there")
def test_absent_device_of_another_kind_is_named_with_the_remedy():
    with pytest.raises(ValueError, match="device='mps' is not to be had here.*Use device='cpu'"):
        classifier(device="mps").fit(X, y)


def test_unknown_device_is_named_with_the_remedy():
    with pytest.raises(ValueError, match="got 'gpu'"):
        classifier(device="gpu").fit(X, y)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform", "to_torch"])
def test_unfitted_estimator_says_so(method):
    arguments = () if method == "to_torch" else (X,)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(classifier(), method)(*arguments)


def test_other_number_of_features_is_refused():
    with pytest.raises(ValueError, match="3 features.*expecting 4"):
        classifier().fit(X, y).predict(X[:, :3])


class Spoil(Callback):
    """Make the weights huge in one epoch, so that the loss overflows."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            with torch.no_grad():
                net.module_.output.weight.fill_(np.nan)


@pytest.mark.parametrize("batch_size", [50, 1000])
def test_loss_that_is_not_finite_stops_with_the_last_good_state(batch_size):
    good = classifier(max_epochs=8, batch_size=batch_size, learning_rate_schedule="constant")
    bad = classifier(callbacks=[Spoil(3)], max_epochs=8, batch_size=batch_size,
                     learning_rate_schedule="constant")  # fmt: skip
    with pytest.raises(TrainingDivergedError, match=r"in epoch [34].*Lower learning_rate") as info:
        bad.fit(X, y)
    assert info.value.epoch == (3 if batch_size == 50 else 4)
    good.set_params(max_epochs=2).fit(X, y)
    np.testing.assert_array_equal(bad.predict_proba(X), good.predict_proba(X))


class Interrupt(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


def test_interrupt_reaches_the_caller_and_what_was_fitted_is_kept():
    interrupted = classifier(callbacks=[Interrupt()], learning_rate_schedule="constant")
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(X, y)
    expected = classifier(max_epochs=2, learning_rate_schedule="constant").fit(X, y)
    np.testing.assert_array_equal(interrupted.predict_proba(X), expected.predict_proba(X))
    assert interrupted.n_iter_ == 2
    assert len(interrupted.loss_curve_) == 2
