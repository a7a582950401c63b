"""What scikit-learn's histogram boosting adds up: thresholds, missing values, categories."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from sklearn_iso._certificates.columnwise import quietly
from sklearn_iso._certificates.forests import LEAF, Categories, Forest, joined
from sklearn_iso._certificates.tree_readers import forest_of, score_of, spread

Boosting: TypeAlias = HistGradientBoostingClassifier | HistGradientBoostingRegressor


@forest_of.register(HistGradientBoostingClassifier)
def _hist(boosting: Boosting) -> Forest:
    n_scores = boosting.n_trees_per_iteration_
    predictors = [(k, one) for row in boosting._predictors for k, one in enumerate(row)]
    trees = [_tree(one.nodes, k, n_scores, _order(boosting)) for k, one in predictors]
    forest = replace(
        joined(trees),
        constant=spread(boosting._baseline_prediction.ravel(), n_scores),
        cast=np.float64,
    )
    if boosting.is_categorical_ is None:
        return forest
    return replace(forest, categories=_categories(boosting, [one for _, one in predictors]))


def raw_predictions_of(boosting: HistGradientBoostingRegressor) -> Forest:
    """Return the trees of a regressor, before its link."""
    forest = _hist(boosting)  # whose first score is 0
    return replace(forest, values=forest.values[:, 1:], constant=forest.constant[1:])


def _order(boosting: Boosting) -> NDArray:
    """Return the columns in the order in which the trees number them: categories come first."""
    if boosting.is_categorical_ is None:
        return np.arange(boosting.n_features_in_)
    is_categorical = boosting.is_categorical_
    return np.concatenate([np.flatnonzero(is_categorical), np.flatnonzero(~is_categorical)])


def _tree(nodes: NDArray, k: int, n_scores: int, order: NDArray) -> Forest:
    leaf = nodes["is_leaf"].astype(bool)
    values = score_of(np.where(leaf, nodes["value"], 0.0), k, n_scores)
    return Forest(
        roots=np.zeros(1, dtype=int),
        column=np.where(leaf, LEAF, order[np.where(leaf, 0, nodes["feature_idx"])]),
        threshold=nodes["num_threshold"],
        left=nodes["left"].astype(int),
        right=nodes["right"].astype(int),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        values=values,
        constant=np.zeros(values.shape[1]),
    )


def _categories(boosting: Boosting, predictors: list[TreePredictor]) -> Categories:
    known_bits, row_of = boosting._bin_mapper.make_known_categories_bitsets()
    of_node: list[NDArray] = []
    left: list[NDArray] = []
    known: list[NDArray] = []
    for predictor in predictors:
        nodes = predictor.nodes
        tests = nodes["is_categorical"].astype(bool) & ~nodes["is_leaf"].astype(bool)
        sets = np.full(len(nodes), -1)
        sets[tests] = len(left) + np.arange(int(tests.sum()))
        of_node.append(sets)
        left += list(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][tests]])
        known += list(known_bits[row_of[nodes["feature_idx"][tests]]])
    is_categorical = boosting.is_categorical_
    encoder = boosting._preprocessor.named_transformers_["encoder"]

    def encode(Z: NDArray) -> NDArray:
        encoded = np.array(Z, dtype=np.float64)
        encoded[:, is_categorical] = quietly(encoder.transform, Z[:, is_categorical])
        return encoded

    return Categories(encode, np.concatenate(of_node), _table(left), _table(known))


def _table(bitsets: list[NDArray]) -> NDArray:
    """Return sets of bits, eight words of 32 in each, as booleans of shape (n_sets, 256)."""
    words = np.array(bitsets, dtype="<u4").reshape(-1, 8)
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    return bits.astype(bool)
