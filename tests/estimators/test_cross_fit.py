"""A classifier that chooses its strength: what the data say, and what a user says, holds."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.datasets import make_blobs, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from skorch.callbacks import Callback

from sklearn_iso import IsometricClassifier, load
from sklearn_iso.estimators._strength import CANDIDATES
from sklearn_iso.penalties import WithinClassIsometry, WorstCaseIsometry

SMALL = {"hidden_layer_sizes": (64,), "max_epochs": 8, "random_state": 0}


@pytest.fixture(scope="module")
def noisy():
    return make_classification(400, 8, flip_y=0.3, random_state=0)


@pytest.fixture(scope="module")
def fitted(noisy):
    return IsometricClassifier(**SMALL).fit(*noisy)


def test_the_strongest_within_a_standard_error_is_taken(fitted, noisy):
    table = fitted.selection_
    allowed = np.flatnonzero(
        (table["log_loss_excess"] <= table["log_loss_std_error"] + 1 / len(noisy[0]))
        & (table["error_excess"] <= table["error_std_error"])
        | (table["log_loss_excess"] == 0)
    )
    tried = [(one.alpha, one.weight_decay) for one in CANDIDATES]
    assert tried == list(zip(table["alpha"], table["weight_decay"], strict=True))
    assert (fitted.alpha_, fitted.weight_decay_) == tried[allowed[-1]]
    assert fitted.net_.criterion_.alpha == fitted.alpha_


def test_labels_that_are_noise_get_the_probabilities_of_noise():
    X, _ = make_blobs(300, 6, centers=1, random_state=0)
    y = np.random.default_rng(0).integers(0, 2, 300)
    chosen = IsometricClassifier(random_state=0).fit(X, y)
    one = IsometricClassifier(alpha=1, random_state=0).fit(X, y)
    X_new, y_new = make_blobs(300, 6, centers=1, random_state=0)[0] + 0.1, y[::-1]
    losses = [log_loss(y_new, model.predict_proba(X_new)) for model in (chosen, one)]
    assert losses[0] < 0.75 < losses[1]  # that of a coin is 0.69


def test_a_weight_of_two_is_the_sample_twice(noisy):
    X, y = noisy[0][:80], noisy[1][:80]
    counts = np.random.default_rng(0).integers(0, 3, size=80)
    copies = np.repeat(np.arange(80), counts)
    penalty = WithinClassIsometry(max_samples=1000) + WorstCaseIsometry().with_cross_entropy(0.5)
    whole = SMALL | {"batch_size": 1000, "shuffle": False, "penalty": penalty}
    weighted = IsometricClassifier(**whole).fit(X, y, counts)
    repeated = IsometricClassifier(**whole).fit(X[copies], y[copies])
    assert weighted.alpha_ == repeated.alpha_
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-3, atol=1e-3
    )


def test_a_seed_decides_and_float64_stays_float64(noisy):
    X, y = noisy
    first, second = (IsometricClassifier(**SMALL).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    single = IsometricClassifier(**SMALL).fit(X.astype(np.float32), y)
    assert first.transform(X).dtype == np.float64
    assert single.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(first.predict_proba(X), single.predict_proba(X), atol=1e-2)


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 1.0},
        {"early_stopping": True},
        {"warm_start": True},
        {"hidden_layer_sizes": (16,)},
        {"hidden_layer_sizes": (66,)},
        {"penalty": "jacobian"},
        {"mixed_precision": True},
    ],
)
def test_one_network_trains_where_there_is_nothing_to_choose(params, noisy):
    one = IsometricClassifier(**SMALL | params).fit(*noisy)
    assert one.selection_ is None
    assert (one.alpha_, one.weight_decay_, one.temperature_) == (1.0, 0.0, 1.0)


def test_a_weight_decay_of_the_user_is_that_of_all_candidates(noisy):
    held = IsometricClassifier(**SMALL, weight_decay=0.02).fit(*noisy)
    assert set(held.selection_["weight_decay"]) == {0.02} == {held.weight_decay_}
    assert len(held.selection_["alpha"]) == len(set(held.selection_["alpha"])) > 1


def test_the_network_that_predicts_is_one_perceptron_of_the_sizes_asked_for(fitted, noisy):
    module = fitted.net_.module_
    assert [part.out_features for part in module.hidden if hasattr(part, "out_features")] == [64]
    X = noisy[0]
    logits = fitted.to_torch()(fitted.net_.module_.offset.new_tensor(X)).detach().numpy()
    np.testing.assert_allclose(softmax(logits, axis=1), fitted.predict_proba(X), rtol=1e-6)
    assert fitted.transform(X).shape == (len(X), 64)
    assert len(fitted.get_feature_names_out()) == 64


def test_a_file_brings_back_what_was_chosen(fitted, noisy, tmp_path):
    fitted.save(tmp_path / "chosen.safetensors")
    back = load(tmp_path / "chosen.safetensors")
    np.testing.assert_array_equal(back.predict_proba(noisy[0]), fitted.predict_proba(noisy[0]))
    assert (back.alpha_, back.temperature_) == (fitted.alpha_, fitted.temperature_)
    for name, column in fitted.selection_.items():
        np.testing.assert_array_equal(back.selection_[name], column)


def test_learning_goes_on_from_the_choice(noisy):
    clf = IsometricClassifier(**SMALL).fit(*noisy)
    before = clf.score(*noisy)
    alpha = clf.alpha_
    for _ in range(3):
        clf.partial_fit(*noisy)
    assert clf.net_.criterion_.alpha == alpha
    assert clf.score(*noisy) > before - 0.05
    assert len(clf.loss_curve_) == SMALL["max_epochs"] + 3
    clf.set_params(alpha=0.5).partial_fit(*noisy)
    assert clf.alpha_ == 0.5


def test_separable_classes_get_a_penalty_and_no_certainty():
    X, y = make_blobs(200, 6, centers=3, cluster_std=0.5, random_state=0)
    clf = IsometricClassifier(random_state=0).fit(X, y)
    assert clf.score(X, y) == 1
    assert clf.alpha_ > 0
    assert 0.97 < clf.predict_proba(X).max(axis=1).mean() < 1 - 1e-4


def test_the_free_slope_is_that_of_the_logits_that_predict(noisy):
    plain = IsometricClassifier(**SMALL | {"alpha": 1.0}).fit(*noisy)
    chosen = IsometricClassifier(**SMALL).fit(*noisy)
    assert chosen.radius_ == plain.radius_
    assert chosen.scale_ == pytest.approx(plain.scale_ / chosen.temperature_)


@pytest.mark.parametrize("unit", [1e-46, 1e-3, 1e40])
def test_the_unit_of_the_weights_changes_nothing(noisy, fitted, unit):
    weighted = IsometricClassifier(**SMALL).fit(*noisy, np.full(len(noisy[0]), unit))
    np.testing.assert_allclose(
        weighted.predict_proba(noisy[0]), fitted.predict_proba(noisy[0]), atol=1e-3
    )


def test_one_sample_that_outweighs_all_others_is_nothing_to_choose_by(noisy):
    weight = np.ones(len(noisy[0]))
    weight[0] = 1e9
    assert IsometricClassifier(**SMALL).fit(*noisy, weight).selection_ is None


def test_sparse_samples_train_as_dense_ones(noisy, fitted):
    sparse = IsometricClassifier(**SMALL).fit(csr_array(noisy[0]), noisy[1])
    np.testing.assert_array_equal(sparse.predict_proba(noisy[0]), fitted.predict_proba(noisy[0]))


def test_a_network_that_has_not_learned_is_told(noisy):
    with pytest.warns(ConvergenceWarning, match="No candidate has learned.*Lower learning_rate"):
        IsometricClassifier(**SMALL, learning_rate=1e3).fit(*noisy)


def test_an_interrupt_before_the_first_epoch_ends_is_no_choice(noisy):
    class AtOnce(Callback):
        def on_batch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    clf = IsometricClassifier(**SMALL, callbacks=[AtOnce()])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*noisy)
    assert clf.selection_ is None
    assert clf.predict(noisy[0]).shape == (len(noisy[0]),)


def test_an_interrupt_leaves_the_best_so_far(noisy):
    class Interrupt(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 4:
                raise KeyboardInterrupt

    clf = IsometricClassifier(**SMALL, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*noisy)
    assert clf.n_iter_ == 4
    assert clf.score(*noisy) > 0.6
    assert clf.alpha_ in {one.alpha for one in CANDIDATES}
