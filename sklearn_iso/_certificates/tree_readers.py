"""What scikit-learn's tree classifiers add up, read from their nodes."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from sklearn_iso._certificates.forests import LEAF, Forest, joined
from sklearn_iso.exceptions import NotCertifiableError


@singledispatch
def forest_of(classifier: object) -> Forest:
    """Return the trees of a fitted classifier, whose scores are sums of what leaves hold.

    Raises
    ------
    NotCertifiableError
        If the classifier is no such sum.
    """
    reason = "its scores are no sum of what the leaves of trees hold"
    raise NotCertifiableError(classifier, reason=reason)


@singledispatch
def probabilities_of(classifier: object) -> Forest:
    """Return the trees whose sum is ``predict_proba``, which soft votes and bags add up.

    Raises
    ------
    NotCertifiableError
        If its probabilities are no sum over trees.
    """
    reason = "its probabilities are no sum over trees; vote or bag trees and forests"
    raise NotCertifiableError(classifier, reason=reason)


def nodes_of(tree: Tree, values: NDArray, columns: NDArray | None = None) -> Forest:
    """Return one of scikit-learn's trees with other values at its nodes."""
    leaf = tree.children_left < 0
    column = np.where(leaf, 0, tree.feature)
    column = column if columns is None else columns[column]
    return Forest(
        roots=np.zeros(1, dtype=int),
        column=np.where(leaf, LEAF, column),
        threshold=tree.threshold,
        left=np.where(leaf, 0, tree.children_left),
        right=np.where(leaf, 0, tree.children_right),
        missing_left=tree.missing_go_to_left.astype(bool),
        values=values,
        constant=np.zeros(values.shape[1]),
    )


def _check_one_output(classifier: object) -> None:
    if getattr(classifier, "n_outputs_", 1) != 1:
        reason = "it predicts several outputs; fit one classifier for each"
        raise NotCertifiableError(classifier, reason=reason)


@forest_of.register(DecisionTreeClassifier)
@probabilities_of.register(DecisionTreeClassifier)
def _tree(tree: DecisionTreeClassifier) -> Forest:
    _check_one_output(tree)
    return nodes_of(tree.tree_, tree.tree_.value[:, 0, : tree.n_classes_])


@forest_of.register(RandomForestClassifier)
@forest_of.register(ExtraTreesClassifier)
def _forest(forest: RandomForestClassifier | ExtraTreesClassifier) -> Forest:
    _check_one_output(forest)
    return joined([_tree(tree) for tree in forest.estimators_])


@probabilities_of.register(RandomForestClassifier)
@probabilities_of.register(ExtraTreesClassifier)
def _mean_of_forest(forest: RandomForestClassifier | ExtraTreesClassifier) -> Forest:
    return _forest(forest).scaled(1 / len(forest.estimators_))


@forest_of.register(BaggingClassifier)
def _bagging(bagging: BaggingClassifier) -> Forest:
    members = []
    pairs = zip(bagging.estimators_, bagging.estimators_features_, strict=True)
    for position, (member, features) in enumerate(pairs):
        try:
            forest = probabilities_of(member)
        except NotCertifiableError as error:
            raise error.within(f"estimators_[{position}]") from None
        members.append(_among(forest, member.classes_, bagging.n_classes_, np.asarray(features)))
    return joined(members)


@probabilities_of.register(BaggingClassifier)
def _mean_of_bagging(bagging: BaggingClassifier) -> Forest:
    return _bagging(bagging).scaled(1 / len(bagging.estimators_))


def _among(forest: Forest, classes: NDArray, n_classes: int, features: NDArray) -> Forest:
    """Return a member's trees among all columns, with its classes among all."""
    values = np.zeros((len(forest.values), n_classes))
    # Members are fitted on the positions of the classes.
    values[:, np.asarray(classes, dtype=int)] = forest.values
    column = np.where(forest.is_leaf, LEAF, features[np.where(forest.is_leaf, 0, forest.column)])
    return Forest(
        roots=forest.roots, column=column, threshold=forest.threshold, left=forest.left,
        right=forest.right, missing_left=forest.missing_left, values=values,
        constant=np.zeros(n_classes),
    )  # fmt: skip


def _votes(values: NDArray, n_classes: int, columns: NDArray | None = None) -> NDArray:
    """Return 1 for the winner of each leaf and 0 for the others."""
    winner = values.argmax(axis=1)
    votes = np.zeros((len(values), n_classes))
    votes[np.arange(len(values)), winner if columns is None else columns[winner]] = 1
    return votes


@forest_of.register(AdaBoostClassifier)
def _ada_boost(boosting: AdaBoostClassifier) -> Forest:
    n_classes, members = boosting.n_classes_, []
    pairs = zip(boosting.estimators_, boosting.estimator_weights_, strict=False)
    for position, (member, weight) in enumerate(pairs):
        _check_tree(member, f"estimators_[{position}]")
        columns = np.searchsorted(boosting.classes_, member.classes_)
        votes = _votes(member.tree_.value[:, 0], n_classes, columns)
        other = -1 / (n_classes - 1) if n_classes > 1 else 0.0
        members.append(nodes_of(member.tree_, np.where(votes > 0, weight, other * weight)))
    return joined(members)


def _check_tree(member: object, name: str) -> None:
    if not isinstance(member, DecisionTreeClassifier):
        reason = "its label is no sum over trees; let single trees vote"
        raise NotCertifiableError(member, (name,), reason)


@forest_of.register(VotingClassifier)
def _voting(voting: VotingClassifier) -> Forest:
    members, n_classes = [], len(voting.classes_)
    names = [name for name, step in voting.estimators if step != "drop"]
    weights = voting._weights_not_none or [1.0] * len(names)
    for name, member, weight in zip(names, voting.estimators_, weights, strict=True):
        if voting.voting == "hard":
            _check_tree(member, name)
            forest = nodes_of(member.tree_, _votes(member.tree_.value[:, 0], n_classes))
        else:
            try:
                forest = probabilities_of(member)
            except NotCertifiableError as error:
                raise error.within(name) from None
        members.append(forest.scaled(float(weight)))
    return joined(members)


@forest_of.register(GradientBoostingClassifier)
def _gradient_boosting(boosting: GradientBoostingClassifier) -> Forest:
    n_scores = boosting.estimators_.shape[1]
    trees = []
    for row in boosting.estimators_:
        for k, tree in enumerate(row):
            leaf_values = boosting.learning_rate * tree.tree_.value[:, 0, 0]
            trees.append(nodes_of(tree.tree_, score_of(leaf_values, k, n_scores)))
    constant = spread(_start(boosting), n_scores)
    return replace(joined(trees), constant=constant, last_wins=n_scores == 1)


def _start(boosting: GradientBoostingClassifier) -> NDArray:
    """Return the scores that the trees are added to: those of no features."""
    known = getattr(boosting.init_, "strategy", None)
    if known not in ("prior", "most_frequent") and not isinstance(boosting.init_, str):
        reason = "init is an estimator of its own; leave it out"
        raise NotCertifiableError(boosting, reason=reason)
    nothing = np.zeros((1, boosting.n_features_in_), dtype=np.float32)
    start: NDArray = boosting._raw_predict_init(nothing)[0]
    return start


def score_of(leaf_values: NDArray, k: int, n_scores: int) -> NDArray:
    """Return values of shape (n_nodes, n_classes): a single score is that of the second class."""
    values = np.zeros((len(leaf_values), max(2, n_scores)))
    values[:, 1 if n_scores == 1 else k] = leaf_values
    return values


def spread(start: NDArray, n_scores: int) -> NDArray:
    """Return what scores start from: a single one is that of the second class."""
    return np.array([0.0, start[0]]) if n_scores == 1 else np.array(start, dtype=float)
