"""What scikit-learn's tree regressors add up, read from their nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray
from sklearn._loss.link import IdentityLink
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.tree import DecisionTreeRegressor

from sklearn_iso._certificates.forests import LEAF, Forest, joined
from sklearn_iso._certificates.hist_reader import raw_predictions_of
from sklearn_iso._certificates.tree_readers import nodes_of
from sklearn_iso.exceptions import NotCertifiableError


@singledispatch
def predictions_of(regressor: object) -> Forest:
    """Return the trees whose sum a fitted regressor predicts, one score for each output.

    Raises
    ------
    NotCertifiableError
        If its predictions are no sum over trees.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from sklearn_iso._certificates.regressor_readers import predictions_of
    >>> tree = DecisionTreeRegressor().fit([[0.0], [1.0]], [2.0, 5.0])
    >>> predictions_of(tree).scores(np.array([[0.2], [0.7]]))
    array([[2.],
           [5.]])
    """
    reason = "its predictions are no sum over trees; average trees, forests and boosting"
    raise NotCertifiableError(regressor, reason=reason)


@predictions_of.register(DecisionTreeRegressor)
def _tree(tree: DecisionTreeRegressor) -> Forest:
    return nodes_of(tree.tree_, tree.tree_.value[:, :, 0])


@predictions_of.register(RandomForestRegressor)
@predictions_of.register(ExtraTreesRegressor)
def _forest(forest: RandomForestRegressor | ExtraTreesRegressor) -> Forest:
    trees = joined([_tree(tree) for tree in forest.estimators_])
    return trees.scaled(1 / len(forest.estimators_))


@predictions_of.register(GradientBoostingRegressor)
def _gradient_boosting(boosting: GradientBoostingRegressor) -> Forest:
    if not isinstance(boosting.init_, DummyRegressor | str):
        reason = "init is an estimator of its own; leave it out"
        raise NotCertifiableError(boosting, reason=reason)
    rate = boosting.learning_rate
    trees = [
        nodes_of(one.tree_, rate * one.tree_.value[:, :, 0]) for one in boosting.estimators_[:, 0]
    ]
    nothing = np.zeros((1, boosting.n_features_in_), dtype=np.float32)
    return replace(joined(trees), constant=boosting._raw_predict_init(nothing)[0])


def has_identity_link(boosting: HistGradientBoostingRegressor) -> bool:
    """Return whether it predicts the sum of its trees; else the exponential of that."""
    return isinstance(boosting._loss.link, IdentityLink)


@predictions_of.register(HistGradientBoostingRegressor)
def _hist(boosting: HistGradientBoostingRegressor) -> Forest:
    if not has_identity_link(boosting):
        reason = f"loss={boosting.loss!r} has a logarithmic link, so that it is no sum of trees"
        raise NotCertifiableError(boosting, reason=reason)
    return raw_predictions_of(boosting)


@predictions_of.register(BaggingRegressor)
def _bagging(bagging: BaggingRegressor) -> Forest:
    members, n_members = [], len(bagging.estimators_)
    pairs = zip(bagging.estimators_, bagging.estimators_features_, strict=True)
    for position, (member, features) in enumerate(pairs):
        forest = _member(member, f"estimators_[{position}]").scaled(1 / n_members)
        members.append(_among(forest, np.asarray(features)))
    return _summed(bagging, members)


@predictions_of.register(VotingRegressor)
def _voting(voting: VotingRegressor) -> Forest:
    names = [name for name, step in voting.estimators if step != "drop"]
    weights = np.array(voting._weights_not_none or np.ones(len(names)), dtype=np.float64)
    members = [
        _member(member, name).scaled(float(weight))
        for name, member, weight in zip(
            names, voting.estimators_, weights / weights.sum(), strict=True
        )
    ]
    return _summed(voting, members)


def _member(member: BaseEstimator, name: str) -> Forest:
    try:
        return predictions_of(member)
    except NotCertifiableError as error:
        raise error.within(name) from None


def _among(forest: Forest, features: NDArray) -> Forest:
    """Return a member's trees among all columns."""
    column = np.where(forest.is_leaf, LEAF, features[np.where(forest.is_leaf, 0, forest.column)])
    return replace(forest, column=column)


def _summed(ensemble: object, members: Sequence[Forest]) -> Forest:
    if len({forest.cast for forest in members}) > 1 or any(one.categories for one in members):
        reason = (
            "it adds up histogram boosting and other trees, or native categories; average trees "
            "of one kind"
        )
        raise NotCertifiableError(ensemble, reason=reason)
    return joined(members)
