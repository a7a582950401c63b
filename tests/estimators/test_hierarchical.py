"""Laws of the hierarchical classifier: paths exist, probabilities add up, one level is flat."""

from __future__ import annotations

import pickle

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from label_trees import tree_paths
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_iso import HierarchicalIsometricClassifier, IsometricClassifier, load
from sklearn_iso._training import ArrayDataset, LevelsObjective
from sklearn_iso.datasets import make_torus
from sklearn_iso.estimators._learner import split_rows
from sklearn_iso.hierarchy import is_missing
from sklearn_iso.modules import Stack
from sklearn_iso.penalties import WithinClassIsometry
from sklearn_iso.twins import as_torch

X, Y = make_torus(240, n_levels=2, random_state=0)
IRIS, SPECIES = load_iris(return_X_y=True)
ABOVE = {"setosa": "small", "versicolor": "large", "virginica": "large"}
NAMES = load_iris().target_names[SPECIES]


def classifier(**params):
    defaults = {"block_sizes": (16, 8), "max_epochs": 4, "random_state": 0}
    return HierarchicalIsometricClassifier(**defaults | params)


@settings(max_examples=30, deadline=None)
@given(tree_paths(), st.integers(0, 2**31 - 1))
def test_predicted_paths_exist_and_probabilities_add_up(paths, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(len(paths), 3)).astype(np.float32)
    fitted = HierarchicalIsometricClassifier(max_epochs=1, random_state=seed)
    if paths.shape[1] == 1:
        paths = paths[:, 0]
    fitted.fit(rows, paths)
    fresh = 5 * rng.normal(size=(40, 3)).astype(np.float32)
    tree = fitted.tree_
    found = {tuple(path) for path in fitted.predict_paths(fresh).tolist()}
    assert found <= {tuple(path) for path in tree.leaves.tolist()}
    levels = fitted.predict_proba(fresh)
    levels = levels if isinstance(levels, list) else [levels]
    assert np.allclose(levels[0].sum(axis=1), 1, atol=1e-6)
    for level in range(1, len(levels)):
        parents = tree.parents[level]
        for parent in set(parents.tolist()):
            below = levels[level][:, parents == parent].sum(axis=1)
            assert np.abs(levels[level - 1][:, parent] - below).max() <= 1e-6


@pytest.mark.parametrize(
    "params",
    [{}, {"alpha": 0}, {"early_stopping": True}, {"penalty": "worst_case", "layers": "logits"}],
    ids=["alpha of 1", "plain", "early stopping", "worst case"],
)
def test_one_level_is_the_flat_classifier(params):
    settings = {"alpha": 1.0, "max_epochs": 5, "random_state": 0} | params
    flat = IsometricClassifier(**settings).fit(IRIS, NAMES)
    one = HierarchicalIsometricClassifier(**settings).fit(IRIS, NAMES)
    assert one.loss_curve_ == flat.loss_curve_
    assert np.array_equal(one.classes_, flat.classes_)
    assert np.allclose(one.predict_proba(IRIS), flat.predict_proba(IRIS), rtol=0, atol=1e-12)
    assert np.array_equal(one.predict(IRIS), flat.predict(IRIS))
    assert one.score(IRIS, NAMES) == flat.score(IRIS, NAMES)
    for mine, theirs in zip(
        one.net_.module_.parameters(), flat.net_.module_.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_alternation_trains_the_first_block_as_if_it_were_alone():
    alone = classifier(alpha=0, block_sizes=(16,)).fit(X, Y[:, 0])
    both = classifier(alpha=0, training="alternating").fit(X, Y)
    first = both.net_.module_.blocks[0]
    for mine, theirs in zip(first.parameters(), alone.net_.module_.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_alternation_of_one_block_is_joint_training():
    joint = classifier(block_sizes=(16,)).fit(IRIS, NAMES)
    alternating = classifier(block_sizes=(16,), training="alternating").fit(IRIS, NAMES)
    assert joint.loss_curve_ == alternating.loss_curve_


@pytest.mark.parametrize("training", ["joint", "alternating"])
def test_the_loss_is_that_of_the_data_plus_alpha_times_the_penalty(training):
    history = classifier(alpha=2.0, training=training).fit(X, Y).history_
    expected = np.add(history["classification_loss"], np.multiply(2.0, history["penalty"]))
    assert np.allclose(history["loss"], expected)
    terms = [name for name in history if name.startswith("level_")]
    assert len(terms) == 6
    factors = [0.5 if name.endswith("cross_entropy") else 1.0 for name in terms]
    weighted = np.dot(factors, [history[name] for name in terms])
    assert np.allclose(weighted, history["penalty"])


def test_the_previous_target_is_what_the_block_before_gives():
    stack = Stack(3, [2, 4], block_sizes=[(3,), (3,)], activation="identity", dtype=torch.float64)
    torch.nn.init.orthogonal_(stack.blocks[1].hidden[0].weight, gain=2.0)
    cells = torch.tensor([[0, 0], [0, 1], [1, 2], [1, 3]])
    rows = torch.from_numpy(X[:32])
    y, weight = torch.arange(32) % 4, torch.ones(32, dtype=torch.float64)
    values = {}
    for target in ("input", "previous"):
        penalties = [WithinClassIsometry(), WithinClassIsometry()]
        objective = LevelsObjective(penalties, cells, 1.0, "hidden", target=target)
        values[target] = objective(stack, rows, y, weight, generator=torch.Generator()).parts
    assert values["previous"]["level_1_within_class"] < 1e-12
    assert values["input"]["level_1_within_class"] > 1e-3
    assert values["previous"]["level_0_within_class"] == values["input"]["level_0_within_class"]


def test_layers_by_name_are_those_by_keyword():
    names = [[f"stack.blocks.{level}.hidden.1"] for level in (0, 1)]
    stack = Stack(3, [2, 4], block_sizes=[(5,), (4,)], dtype=torch.float64)
    cells = torch.tensor([[0, 0], [0, 1], [1, 2], [1, 3]])
    rows, y = torch.from_numpy(X[:32]), torch.arange(32) % 4
    weight = torch.ones(32, dtype=torch.float64)

    def loss(layers):
        penalties = [WithinClassIsometry(layers=chosen) for chosen in layers]
        objective = LevelsObjective(penalties, cells, 1.0, "hidden")
        return objective(stack, rows, y, weight, generator=torch.Generator()).total.item()

    assert loss(names) == loss([None, None])


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_open_levels_count_for_nothing(alpha):
    stack = Stack(3, [2, 4], block_sizes=[(5,), (4,)], dtype=torch.float64)
    cells = torch.tensor([[0, 0], [0, 1], [1, 2], [1, 3], [0, -1], [1, -1]])
    rows = torch.from_numpy(X[:24])
    weight = torch.ones(24, dtype=torch.float64)
    y = torch.arange(24) % 6

    def loss(kept, levels):
        penalties = [WithinClassIsometry(), WithinClassIsometry()]
        objective = LevelsObjective(penalties, cells, alpha, "hidden")
        objective.active = levels
        return objective(
            stack, rows[kept], y[kept], weight[kept], generator=torch.Generator()
        ).total

    told = y < 4
    assert torch.allclose(loss(slice(None), (1,)), loss(told, (1,)))
    assert float(loss(~told, (1,)).detach()) == 0.0


def test_rows_of_open_levels_leave_the_finer_blocks_alone():
    coarse = np.column_stack([Y[:, 0].astype(float), np.where(Y[:, 1] < 3, Y[:, 1], np.nan)])
    fitted = classifier().fit(X, coarse)
    assert np.isfinite(fitted.loss_curve_).all()
    assert set(fitted.predict(X)[:, 1].tolist()) <= {0.0, 1.0, 2.0}
    assert fitted.score(X[Y[:, 1] == 3], coarse[Y[:, 1] == 3]) == np.mean(
        fitted.predict(X[Y[:, 1] == 3])[:, 0] == 1
    )


def test_the_names_of_labels_do_not_matter():
    names = np.array([["b", "d"], ["b", "c"], ["a", "f"], ["a", "e"]])
    codes, text = classifier(max_epochs=20), classifier(max_epochs=20)
    order = np.array([[1, 1], [1, 0], [0, 3], [0, 2]])
    codes.fit(X, order[Y[:, 1]])
    text.fit(X, names[Y[:, 1]])
    back = {tuple(path): code for path, code in zip(names.tolist(), order.tolist(), strict=True)}
    expected = [back[tuple(path)] for path in text.predict(X).tolist()]
    assert codes.predict(X).tolist() == expected


@pytest.mark.parametrize(
    "hierarchy",
    [ABOVE, nx.DiGraph([(up, down) for down, up in ABOVE.items()])],
    ids=["mapping", "graph"],
)
def test_fine_labels_with_a_hierarchy_are_paths(hierarchy):
    above = np.array([ABOVE[name] for name in NAMES])
    paths = classifier().fit(IRIS, np.column_stack([above, NAMES]))
    fine = classifier(hierarchy=hierarchy).fit(IRIS, NAMES)
    assert np.array_equal(fine.predict_paths(IRIS), paths.predict(IRIS))
    assert np.array_equal(fine.predict(IRIS), paths.predict(IRIS)[:, 1])
    assert np.array_equal(fine.classes_, np.unique(NAMES))
    columns = fine.classes_[fine.predict_proba(IRIS).argmax(axis=1)]
    assert np.array_equal(columns, fine.predict(IRIS))
    assert np.array_equal(
        fine.classes_[as_torch(fine)(torch.from_numpy(IRIS)).argmax(dim=1)], fine.predict(IRIS)
    )
    assert fine.score(IRIS, NAMES) == paths.score(IRIS, np.column_stack([above, NAMES]))


@pytest.mark.parametrize(
    "container", [np.asarray, pd.DataFrame, pl.DataFrame, np.ndarray.tolist, torch.from_numpy]
)
def test_labels_come_in_any_container(container):
    expected = classifier().fit(X, Y).predict(X)
    fitted = classifier().fit(X, container(Y))
    assert np.array_equal(fitted.predict(X), expected)
    assert fitted.score(X, container(Y)) == np.mean((expected == Y).all(axis=1))


def test_a_level_of_text_and_a_level_of_numbers_go_together():
    kinds = np.array(["left", "right"])[Y[:, 0]]
    frame = pd.DataFrame({"side": kinds, "code": Y[:, 1]})
    fitted = classifier().fit(X, frame)
    assert fitted.predict(X)[:, 1].tolist() == classifier().fit(X, Y).predict(X)[:, 1].tolist()
    assert set(fitted.predict(X)[:, 0]) == {"left", "right"}


def test_balanced_batches_are_balanced_by_the_finest_label():
    fitted = classifier(samples_per_class=8, batch_size=32).fit(X, Y)
    assert np.isfinite(fitted.loss_curve_).all()
    plain = classifier(batch_size=32).fit(X, Y)
    assert fitted.loss_curve_ != plain.loss_curve_


@pytest.mark.parametrize(
    ("missing", "dtype"), [(None, object), ("", "<U5"), (np.nan, object)], ids=str
)
def test_paths_that_end_early_are_predicted_as_they_came(missing, dtype):
    species = np.array([["small", missing], ["big", "ver"], ["big", "vir"]], dtype=dtype)[SPECIES]
    fitted = classifier(max_epochs=30, batch_size=16).fit(IRIS, species)
    predicted = fitted.predict(IRIS)
    assert is_missing(predicted[SPECIES == 0, 1]).all()
    same = (predicted == species) | (is_missing(predicted) & is_missing(species))
    assert fitted.score(IRIS, species) == same.all(axis=1).mean()
    assert predicted.dtype.kind == species.dtype.kind
    probabilities = fitted.predict_proba(IRIS)
    ended = 1 - probabilities[1].sum(axis=1)
    assert np.allclose(ended, probabilities[0][:, fitted.classes_[0] == "small"][:, 0], atol=1e-6)


def test_every_block_has_a_representation():
    fitted = classifier().fit(X, Y)
    assert fitted.transform(X, level=0).shape == (240, 16)
    assert fitted.transform(X).shape == (240, 8) == fitted.transform(X, level=1).shape
    assert len(fitted.get_feature_names_out()) == 8
    twin = as_torch(fitted, transform=True)(torch.from_numpy(X))
    assert np.allclose(twin.numpy(), fitted.transform(X))


def test_a_pickle_predicts_the_same():
    fitted = classifier(training="alternating").fit(X, Y)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert np.array_equal(again.transform(X), fitted.transform(X))


@pytest.mark.parametrize("training", ["joint", "alternating"])
def test_a_file_predicts_the_same(tmp_path, training):
    ragged = np.array([["a", "b"], ["a", "c"], ["d", None]], dtype=object)[Y[:, 1] % 3]
    fitted = classifier(training=training, penalty=WithinClassIsometry()).fit(X, ragged)
    fitted.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.predict(X).tolist() == fitted.predict(X).tolist()
    for mine, theirs in zip(again.predict_proba(X), fitted.predict_proba(X), strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(again.transform(X, level=0), fitted.transform(X, level=0))
    assert again.history_ == fitted.history_


@pytest.mark.parametrize(
    "hierarchy",
    [ABOVE, nx.DiGraph([(up, down) for down, up in ABOVE.items()])],
    ids=["mapping", "graph"],
)
def test_a_file_keeps_the_hierarchy(tmp_path, hierarchy):
    fitted = classifier(hierarchy=hierarchy).fit(IRIS, NAMES)
    fitted.save(tmp_path / "model.safetensors")
    assert fitted.hierarchy is hierarchy
    again = load(tmp_path / "model.safetensors")
    assert again.predict_paths(IRIS).tolist() == fitted.predict_paths(IRIS).tolist()
    assert again.score(IRIS, NAMES) == fitted.score(IRIS, NAMES)
    assert clone(again).fit(IRIS, NAMES).loss_curve_ == fitted.loss_curve_


def test_folds_stratified_on_whole_paths_take_paths_that_end_early():
    ragged = np.array([["a", "b"], ["a", "c"], ["d", None]], dtype=object)[Y[:, 1] % 3]
    strata = ["/".join(map(str, path)) for path in ragged]
    folds = list(StratifiedKFold(3).split(X, strata))
    scores = cross_val_score(classifier(), X, ragged, cv=folds, error_score="raise")
    assert np.isfinite(scores).all()


def test_a_seed_decides_everything_and_leaves_global_generators_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    one, other = (classifier().fit(X, Y).loss_curve_ for _ in range(2))
    assert one == other
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_grids_and_folds_take_labels_of_several_levels():
    leaf_folds = list(StratifiedKFold(3).split(X, Y[:, -1]))
    search = GridSearchCV(classifier(), {"alpha": [0, 1]}, cv=leaf_folds).fit(X, Y)
    assert set(search.cv_results_["params"][0]) == {"alpha"}
    assert search.predict(X).shape == Y.shape
    scores = cross_val_score(make_pipeline(StandardScaler(), classifier()), X, Y, cv=leaf_folds)
    assert np.isfinite(scores).all()


def test_an_interrupt_keeps_what_was_fitted():
    class Interrupt(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    fitted = classifier(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X, Y)
    assert fitted.predict(X).shape == Y.shape
    assert fitted.n_iter_ >= 1


@given(st.lists(st.integers(0, 5), min_size=4, max_size=60), st.integers(0, 2**31 - 1))
def test_both_sides_of_a_split_have_every_class_where_that_is_possible(y, seed):
    y = np.array(y)
    n = len(y)
    rows = ArrayDataset(np.arange(n)[:, None], y, np.ones(n))
    fine = np.arange(n)  # a class for each row: there is nothing to stratify
    parts = split_rows(classifier(), rows, np.random.RandomState(seed), fine, y)
    assert sorted(np.concatenate([part.X.ravel() for part in parts])) == list(range(n))
    classes, counts = np.unique(y, return_counts=True)
    if counts.min() > 1 and len(classes) <= min(map(len, parts)):
        assert all(np.array_equal(np.unique(part.y), classes) for part in parts)


def test_early_stopping_takes_more_leaves_than_it_holds_rows_out():
    leaves = np.column_stack([Y[:, 0], 200 * Y[:, 0] + np.arange(240) // 3])
    history = classifier(early_stopping=True).fit(X, leaves).history_
    assert np.isfinite(history["valid_loss"]).all()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_leaf_of_one_row_is_a_class_like_any_other(early_stopping):
    rare = Y.copy()
    rare[0] = [1, 4]
    fitted = classifier(early_stopping=early_stopping).fit(X, rare)
    assert fitted.classes_[1].tolist() == [0, 1, 2, 3, 4]
    assert np.isfinite(fitted.loss_curve_).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_sizes": np.array(8)}, r"one entry for each of the 2 levels .* got 1"),
        ({"block_sizes": (8,)}, r"one entry for each of the 2 levels .* got 1"),
        ({"block_sizes": (8, ())}, r"at least one hidden layer"),
        ({"block_sizes": (8, 0)}, r"entry of block_sizes must hold integers of 1 or more; got .0"),
        ({"hierarchy": {1: 0}}, r"hierarchy goes with a y of the finest labels"),
        ({"target": "output"}, r"'target' parameter"),
        ({"layers": "stack"}, r"'layers' parameter"),
        ({"training": "greedy"}, r"'training' parameter"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_parameters_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        classifier(**change).fit(X, Y)


def test_labels_that_the_fit_did_not_see_count_as_wrong_and_other_types_and_levels_are_refused():
    fitted = classifier().fit(X, Y)
    right = (fitted.predict(X) == Y).all(axis=1)
    unseen = Y.copy()
    unseen[np.flatnonzero(right)[:3], 1] = 7
    with pytest.warns(UserWarning, match=r"not fitted on.*at level 1 found 7\. 3 of"):
        score = fitted.score(X, unseen)
    assert score == pytest.approx(right.mean() - 3 / len(X), abs=1e-12)
    with pytest.raises(ValueError, match="type of those in the fit.*at level 1 found"):
        fitted.score(X, [[coarse, str(fine)] for coarse, fine in Y.tolist()])
    with pytest.raises(ValueError, match=r"must have the 2 levels of the fit; got 3"):
        fitted.score(X, np.column_stack([Y, Y[:, 1]]))


@pytest.mark.filterwarnings("ignore:y holds labels that the estimator was not fitted on")
def test_paths_that_end_early_are_cross_validated_whatever_marks_their_end():
    names = np.array(["a", "b"])[Y[:, 0]]
    short = Y[:, 0] == 0
    below = np.char.add(names, Y[:, 1].astype(str)).astype(object)
    ends = {"None": None, "empty": "", "nan": np.nan}
    paths = {key: np.c_[names.astype(object), below] for key in ends}
    for key, end in ends.items():
        paths[key][short, 1] = end
    folds = KFold(2, shuffle=True, random_state=0)
    scores = [cross_val_score(classifier(max_epochs=1), X, y, cv=folds) for y in paths.values()]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])
    joined = ["/".join(map(str, path)) for path in paths["None"]]
    stratified = list(StratifiedKFold(2).split(X, joined))
    first = cross_val_score(classifier(max_epochs=1), X, paths["None"], cv=stratified)
    text = paths["empty"].astype(str)
    np.testing.assert_array_equal(
        first, cross_val_score(classifier(max_epochs=1), X, text, cv=stratified)
    )
    # Where scikit-learn makes the folds of several columns, it does not stratify.
    plain = cross_val_score(classifier(max_epochs=1), X, text, cv=KFold(2))
    np.testing.assert_array_equal(cross_val_score(classifier(max_epochs=1), X, text, cv=2), plain)


def test_continuous_labels_are_refused():
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier().fit(X, np.column_stack([Y[:, 0], X[:, 0]]))
