"""Laws of fits that are compiled or in mixed precision: what they change, and what they leave."""

from __future__ import annotations

import copy
import pickle
import random
from functools import partial

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import TensorDataset

import sklearn_iso
from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
)
from sklearn_iso._training.acceleration import _TAKES_A_LIMIT
from sklearn_iso.modules import ConvNet
from sklearn_iso.penalties import Penalty

X, y = load_digits(return_X_y=True)
X, y = (X[:240] / 16).astype(np.float32), y[:240]
QUICK = {"max_epochs": 3, "batch_size": 100, "random_state": 0, "learning_rate": 0.01}
SMALL = QUICK | {"hidden_layer_sizes": (24, 16)}
#: Traces as the default backend does, and needs no compiler.
TRACED = {"backend": "aot_eager"}

ESTIMATORS = {
    "classifier": IsometricClassifier(**SMALL),
    "worst case": IsometricClassifier(penalty="worst_case", **SMALL),
    "plain network": IsometricClassifier(0, **SMALL),
    "early stopping": IsometricClassifier(early_stopping=True, **SMALL),
    "convolutions": IsometricClassifier(
        module=partial(ConvNet, channels=(4,), n_hidden=8), **QUICK
    ),
    "named layers": IsometricClassifier(layers=["hidden.2"], **SMALL),
    "regressor": IsometricRegressor(**SMALL),
    "embedding": IsometricTransformer(**SMALL),
    "hierarchy": HierarchicalIsometricClassifier(block_sizes=(16, 12), **QUICK),
    "hierarchy by turns": HierarchicalIsometricClassifier(
        block_sizes=(16, 12), training="alternating", target="previous", **QUICK
    ),
}
EVERY = pytest.mark.parametrize("name", ESTIMATORS)


def fit(estimator, **params):
    labels = np.column_stack([y > 4, y]) if hasattr(estimator, "block_sizes") else y
    return clone(estimator).set_params(**params).fit(X, labels)


def outputs(model):
    found = [getattr(model, m)(X) for m in ("predict_proba", "transform") if hasattr(model, m)]
    return [part for output in found for part in (output if isinstance(output, list) else [output])]


def is_as_written(module):
    return all("forward" not in vars(part) for part in module.modules())


# ---- torch.compile


@EVERY
def test_a_compiled_fit_is_that_of_the_network_as_written(name):
    written, found = fit(ESTIMATORS[name]), fit(ESTIMATORS[name], compile=TRACED)
    np.testing.assert_allclose(found.loss_curve_, written.loss_curve_, rtol=1e-5)
    for a, b in zip(outputs(found), outputs(written), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.slow
# What the backend warns of when it is imported is torch's own affair.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_the_default_backend_fits_as_the_network_is_written():
    written = fit(ESTIMATORS["classifier"])
    found = fit(ESTIMATORS["classifier"], compile=True)
    np.testing.assert_allclose(found.loss_curve_, written.loss_curve_, rtol=1e-4)


def test_passes_are_compiled_once_a_shape_and_not_as_they_are_written(monkeypatch):
    asked = []

    def backend(graph, example_inputs):
        asked.append(graph)
        return graph.forward

    fit(ESTIMATORS["classifier"], compile={"backend": backend})
    # Of the batch and of the adversarial examples, at both sizes of a batch.
    assert 2 <= len(asked) <= 6


@pytest.mark.skipif(not _TAKES_A_LIMIT, reason="this torch has one limit, for all functions")
def test_a_search_over_many_widths_stays_compiled():
    asked = []

    def backend(graph, example_inputs):
        asked.append(graph)
        return graph.forward

    for width in range(3, 13):
        before = len(asked)
        params = {"hidden_layer_sizes": (width,), "compile": {"backend": backend}}
        fit(ESTIMATORS["classifier"], max_epochs=1, **params)
        assert len(asked) > before, f"torch has given up at width {width}"


def test_a_penalty_that_differentiates_twice_is_refused():
    with pytest.raises(ValueError, match="JacobianIsometry .* Set compile=False"):
        fit(ESTIMATORS["classifier"], penalty="jacobian", compile=TRACED)


@pytest.mark.parametrize("options", [{"backend": "nope"}, {"speed": 9}, {0: 1}], ids=str)
def test_arguments_that_torch_does_not_know_are_refused(options):
    with pytest.raises(ValueError, match="compile must be a bool, or a dict of arguments"):
        fit(ESTIMATORS["classifier"], compile=options)


def test_where_there_is_no_compiler_the_error_says_what_to_install():
    from torch._inductor.exc import InvalidCxxCompiler

    torch._dynamo.reset()  # older releases give up after a few fits

    def backend(graph, example_inputs):
        raise InvalidCxxCompiler

    with pytest.raises(ValueError, match=r"needs a C\+\+ compiler .* or set compile=False"):
        fit(ESTIMATORS["classifier"], compile={"backend": backend})


def test_errors_of_others_pass_unchanged():
    class Broken(nn.Linear):
        def forward(self, X):
            if self.training:
                raise OverflowError("mine")
            return super().forward(X)

    with pytest.raises(OverflowError, match="mine"):
        fit(ESTIMATORS["classifier"], module=Broken, compile={"backend": "eager"})


# ---- mixed precision


class Seen(Penalty):
    """Notes the kind of numbers that a penalty sees."""

    kinds: set = set()

    def __call__(self, batch):
        Zs = [batch.logits, *batch.representations("hidden"), *batch.represent(batch.X, "hidden")]
        self.kinds.update(Z.dtype for Z in Zs)
        return batch.logits.square().mean()


class Noting(nn.Module):
    """Notes the kind of numbers that its layer computes, in training and not."""

    kinds: dict = {True: set(), False: set()}

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.inner, self.head = nn.Linear(n_features, 8), nn.Linear(8, n_outputs)

    def forward(self, X):
        Z = self.inner(X)
        self.kinds[self.training].add(Z.dtype)
        return self.head(Z.relu())


def test_products_are_in_bfloat16_while_training_and_nothing_else_is():
    model = fit(ESTIMATORS["classifier"], module=Noting, penalty=Seen(), mixed_precision=True)
    model.predict_proba(X)
    assert Noting.kinds == {True: {torch.bfloat16}, False: {torch.float32}}
    assert Seen.kinds == {torch.float32}
    assert {p.dtype for p in model.net_.module_.parameters()} == {torch.float32}
    moments = model.net_.optimizer_.state_dict()["state"].values()
    assert {v.dtype for state in moments for v in state.values()} == {torch.float32}


def score(model):
    return model.score(X, np.column_stack([y > 4, y]) if hasattr(model, "block_sizes") else y)


@EVERY
def test_mixed_precision_learns_about_as_well(name):
    whole, mixed = (fit(ESTIMATORS[name], mixed_precision=m, max_epochs=40) for m in (False, True))
    assert whole.loss_curve_ != mixed.loss_curve_
    assert score(mixed) > score(whole) - 0.05
    for output in outputs(mixed):
        assert output.dtype == np.float32 and np.isfinite(output).all()


@EVERY
def test_compiled_mixed_precision_is_mixed_precision(name):
    both = fit(ESTIMATORS[name], mixed_precision=True, compile={"backend": "eager"})
    mixed = fit(ESTIMATORS[name], mixed_precision=True)
    np.testing.assert_allclose(both.loss_curve_, mixed.loss_curve_, rtol=1e-3)


class Rows(TensorDataset):
    def __init__(self):
        super().__init__(torch.from_numpy(X.astype(np.float64)), torch.from_numpy(y))


def mapped(folder):
    np.save(folder / "rows.npy", X.astype(np.float64))
    return np.load(folder / "rows.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "rows",
    [lambda _: X.astype(np.float64), lambda _: csr_array(X.astype(np.float64)), mapped],
    ids=["array", "sparse", "memory map"],
)
def test_rows_of_float64_train_as_float32_would(rows, tmp_path):
    model = clone(ESTIMATORS["classifier"]).set_params(mixed_precision=True)
    expected = clone(model).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(model.fit(rows(tmp_path), y).predict_proba(X), expected)
    parts = clone(model).partial_fit(rows(tmp_path), y, classes=np.unique(y))
    np.testing.assert_array_equal(
        parts.predict_proba(X), clone(model).partial_fit(X, y, np.unique(y)).predict_proba(X)
    )


def test_a_dataset_of_float64_trains_as_float32_would():
    model = clone(ESTIMATORS["classifier"]).set_params(mixed_precision=True)
    expected = clone(model).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(model.fit(Rows()).predict_proba(X), expected)


@pytest.mark.parametrize("size", [1e300, 1e-300])
@pytest.mark.parametrize("name", ["classifier", "regressor", "embedding", "hierarchy"])
def test_values_beyond_float32_are_refused(name, size):
    model = clone(ESTIMATORS[name]).set_params(mixed_precision=True)
    with pytest.raises(ValueError, match=r"the largest of X is 1e[+-]300\. Scale the features"):
        model.fit(X.astype(np.float64) * size, y)


def test_numbers_too_small_for_float32_beside_others_are_0():
    rows = X.astype(np.float64)
    model = clone(ESTIMATORS["classifier"]).set_params(mixed_precision=True)
    expected = clone(model).fit(rows, y).predict_proba(X)
    rows[rows == 0] = 1e-300
    np.testing.assert_array_equal(model.fit(rows, y).predict_proba(X), expected)


def test_weights_of_float64_stay_so():
    model = clone(ESTIMATORS["classifier"]).fit(X.astype(np.float64), y)
    with pytest.raises(ValueError, match=r"weights of float32; these are of float64.*Fit a clone"):
        model.set_params(mixed_precision=True).partial_fit(X, y)


def test_a_device_without_autocast_is_refused():
    with pytest.raises(ValueError, match="mixed_precision=True needs a device with autocast"):
        fit(ESTIMATORS["classifier"], device="meta", mixed_precision=True)


# ---- what a fit leaves behind


BOTH = {"compile": {"backend": "eager"}, "mixed_precision": True}


@EVERY
def test_a_fitted_estimator_runs_as_it_is_written(name, monkeypatch):
    model = fit(ESTIMATORS[name], **BOTH)
    assert is_as_written(model.net_.module_)
    assert is_as_written(model.to_torch())
    monkeypatch.setattr(torch, "compile", None)
    outputs(model)


@EVERY
def test_parameters_and_predictions_survive_storage(name, tmp_path):
    model = fit(ESTIMATORS[name], **BOTH)
    model.save(tmp_path / "model", include_optimizer=True)
    for again in (
        pickle.loads(pickle.dumps(model)),
        sklearn_iso.load(tmp_path / "model"),
        copy.deepcopy(model),
    ):
        assert again.get_params()["compile"] == BOTH["compile"]
        assert again.get_params()["mixed_precision"] is True
        for a, b in zip(outputs(again), outputs(model), strict=True):
            np.testing.assert_array_equal(a, b)


def test_training_goes_on_after_storage_as_if_nothing_had_happened(tmp_path):
    model = fit(ESTIMATORS["classifier"], **BOTH)
    model.save(tmp_path / "model")
    again = sklearn_iso.load(tmp_path / "model")
    for estimator in (model, again):
        estimator.partial_fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))


class CopyInPlace(Callback):
    """Copies the net in the middle of its training."""

    def on_epoch_end(self, net, **kwargs):
        self.copy_ = copy.deepcopy(net)


@pytest.mark.parametrize("module", [None, Noting], ids=["built in", "own"])
def test_a_copy_taken_while_training_runs_as_it_is_written(module):
    callback = CopyInPlace()
    model = clone(ESTIMATORS["classifier"]).set_params(module=module, **BOTH)
    model.set_params(callbacks=[callback]).fit(X, y)
    assert is_as_written(callback.copy_.module_)
    rows = torch.from_numpy(X)
    torch.testing.assert_close(callback.copy_.module_(rows), model.net_.module_(rows))


class Interrupt(Callback):
    def on_batch_end(self, net, **kwargs):
        raise KeyboardInterrupt


def test_an_interrupted_fit_leaves_the_network_as_it_is_written():
    model = clone(ESTIMATORS["classifier"]).set_params(callbacks=[Interrupt()], **BOTH)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert is_as_written(model.net_.module_)
    assert np.isfinite(model.predict_proba(X)).all()


def test_a_part_of_a_module_may_bear_the_name_of_a_pass():
    class Named(nn.Module):
        def __init__(self, n_features, n_outputs):
            super().__init__()
            self.passes, self.head = nn.Linear(n_features, 8), nn.Linear(8, n_outputs)
            self.forward_hidden = None

        def forward(self, X):
            return self.head(self.passes(X).relu() * self.passes.bias.exp())

    model = fit(ESTIMATORS["classifier"], module=Named, **BOTH)
    assert np.isfinite(model.predict_proba(X)).all()


def test_a_pass_that_the_module_had_of_its_own_comes_back():
    def other(X):
        return torch.zeros(len(X), 10) + network.bias

    network = nn.Linear(64, 10)
    network.forward = other
    from sklearn_iso._training.acceleration import Acceleration, accelerated

    with accelerated(network, Acceleration(mixed_precision=True), "cpu"):
        assert network.forward is not other
    assert network.forward is other


@pytest.mark.parametrize("params", [{"compile": TRACED}, {"mixed_precision": True}], ids=str)
def test_a_path_over_alpha_scores_as_a_grid_search_does(params):
    one = clone(ESTIMATORS["classifier"]).set_params(**params)
    path = IsometricClassifierCV([0.1, 1.0], estimator=one, cv=2).fit(X, y)
    grid = GridSearchCV(one, {"alpha": [0.1, 1.0]}, cv=2).fit(X, y)
    np.testing.assert_array_equal(
        path.cv_results_["mean_test_score"], grid.cv_results_["mean_test_score"]
    )


def test_global_generators_stay_where_they_are():
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    fit(ESTIMATORS["classifier"], compile=TRACED, mixed_precision=True)
    assert states() == before
