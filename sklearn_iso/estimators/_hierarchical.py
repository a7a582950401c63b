"""HierarchicalIsometricClassifier: one block for each level of the labels, coarse to fine."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.utils import Tags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso._protocols import Hierarchy
from sklearn_iso._training import inference
from sklearn_iso._typed import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    fit_context,
)
from sklearn_iso.estimators._base import with_dtypes
from sklearn_iso.estimators._constraints import HIERARCHY
from sklearn_iso.estimators._hierarchical_labels import Labels, check_hierarchical_input
from sklearn_iso.estimators._hierarchical_learner import HierarchicalLearner
from sklearn_iso.estimators._hierarchical_level import LevelClassifier, check_level
from sklearn_iso.estimators._input import check_predict_input
from sklearn_iso.estimators._network import NetworkEstimator
from sklearn_iso.estimators._tasks import fit_task
from sklearn_iso.hierarchy import LabelTree, parents_of
from sklearn_iso.modules import Layers, LeafScores, Representation, StackLevel
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.penalties import Penalty
from sklearn_iso.penalties._catalogue import PenaltyName
from sklearn_iso.penalties._pairwise import Target


@dataclass(eq=False, repr=False, kw_only=True)
class HierarchicalIsometricClassifier(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, NetworkEstimator
):
    r"""Stacked locally isometric blocks for labels of several levels, coarse to fine.

    Each level has a block of layers, which starts where the block of the level above ends,
    a head, and a penalty on the pairs of *its* classes:

    .. math:: L = \sum_k \bigl( \mathrm{CE}(f_k(X), y_k) + \alpha P_k(f_k, X, y_k) \bigr)

    So every block cuts the space at one resolution and keeps the distances inside the
    classes of its level. A path gets the sum of the logits of its labels as its score,

    .. math:: P(\text{path} \mid x) \propto \exp \sum_k f_k(x)_{\text{path}_k},

    over the paths of the tree alone: predictions always are paths, and the probability of a
    label is the sum of those of the labels below it. With one level this is
    :class:`IsometricClassifier`, number for number.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalties, dimensionless; 0 trains a plain network.
    penalty : {"isometric", "within_class", "worst_case"} or Penalty, default="isometric"
        What `alpha` multiplies; each level has a copy, calibrated on its own classes.
    layers : {"hidden", "last_hidden", "logits"}, default="hidden"
        Representations within a block whose distances are kept.
    block_sizes : sequence or None, default=None
        For each level the widths of its block's hidden layers, an integer or a sequence of
        them, such as ``((256, 128), 128, 64)``. None takes (256, 128) for the first block and
        128 for each further one.
    target : {"input", "previous"}, default="input"
        Whose distances the penalties on pairs of a batch keep: those of X, as in the paper, or
        those of the output of the block before.
    training : {"joint", "alternating"}, default="joint"
        One step for all blocks, or, as in the paper, for every batch one step of each block
        in turn, with the other blocks frozen.
    hierarchy : mapping or networkx.DiGraph, optional
        For a `y` of fine labels alone: the label above each label, or a graph with edges from
        coarse to fine. Chains give several levels.
    activation : str, default="relu"
    optimizer : {"adam", "adamw", "sgd"} or torch optimiser class, default="adam"
    learning_rate : float, default=0.002
    learning_rate_schedule : {"linear", "cosine", "constant"}, default="linear"
        "linear" and "cosine" let the learning rate fall to 0 over the epochs.
    weight_decay : float, default=0.0
    max_epochs : int, default=100
        Passes over the training samples.
    batch_size : int, default=256
        Samples of a batch, within which pairs are formed.
    shuffle : bool, default=True
        Order the samples anew in every epoch.
    samples_per_class : int or None, default=None
        Balanced batches: samples of one of the finest labels come in groups of at least so many.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the samples, stop once their loss has not improved by
        the factor `tol` for `n_iter_no_change` epochs, and keep the best weights.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
    callbacks : sequence of skorch callbacks, optional
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where there is one.
    compile : bool or dict, default=False
        Compile the network with torch.compile while it trains; a dict holds its arguments.
    mixed_precision : bool, default=False
        Train with products in bfloat16, which pays for wide layers.
    verbose : bool, default=False
        Show a progress bar.
    warm_start : bool, default=False
        Let :meth:`fit` start at the weights of the last fit, whose tree of labels it must find.
    distributed : {"off"}, default="off"
        Each process fits by itself: no joint fit of labels of several levels.
    random_state : int, RandomState instance or None, default=None
        Decides weights, order of samples and the draws of the penalties.

    Attributes
    ----------
    classes_ : list of ndarray, or ndarray
        Sorted labels of each level; for a 1-D `y` the finest labels alone.
    tree_ : LabelTree
        Labels, their parents, and the paths that are predicted.
    n_levels_ : int
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the :class:`~sklearn_iso.modules.Stack`.
    penalties_ : list of Penalty
        The calibrated penalty of each level.
    n_iter_ : int
    history_ : dict of str to list of float
        Columns "epoch", "loss", "classification_loss", "penalty", those of each term of a level k,
        which start with ``level_k_``, and "valid_..." where there was validation data.
    loss_curve_ : list of float
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    See Also
    --------
    sklearn_iso.metrics.hierarchical_f1_score : How much of the paths is right.
    sklearn_iso.metrics.tree_distance : How far off errors are.

    Notes
    -----
    Paths may end early, with None, NaN or "" after their end. One that ends at a label which
    has children in other samples leaves the finer label open: such samples train the coarse levels
    alone, and predictions go on to a leaf. The labels of a level must be all text or all
    numbers. Numbers are codes of their level; text names one label of the whole tree.

    There is no ``partial_fit``: the tree of labels, and with it the width of every head, must be
    known before the first step.

    Cross-validation: scikit-learn does not stratify a 2-D `y`, and its folds fail on None and
    NaN among text. ``cv=list(StratifiedKFold(5).split(X, ["/".join(map(str, path)) for path in
    Y]))`` stratifies on whole paths.

    References
    ----------
    K. Beshkov, J. Verhellen, M. E. Lepperød, "Isometric Representations in Neural Networks
    Improve Robustness", Scientific Reports 2025, doi:10.1038/s41598-025-20619-0.

    Examples
    --------
    >>> from sklearn_iso import HierarchicalIsometricClassifier
    >>> from sklearn_iso.datasets import make_torus
    >>> X, Y = make_torus(400, n_levels=2, random_state=0)
    >>> clf = HierarchicalIsometricClassifier(max_epochs=30, random_state=0).fit(X, Y)
    >>> clf.predict(X[:2]).shape, [P.shape for P in clf.predict_proba(X[:2])]
    ((2, 2), [(2, 2), (2, 4)])
    """

    __metadata_request__transform = {"level": UNUSED}

    _parameter_constraints = HIERARCHY

    alpha: float = field(default=1.0, kw_only=False)
    penalty: PenaltyName | Penalty = "isometric"
    layers: Layers = "hidden"
    block_sizes: Sequence[int | Sequence[int]] | None = None
    target: Target = "input"
    training: Literal["joint", "alternating"] = "joint"
    hierarchy: Hierarchy | None = None
    distributed: Literal["off"] = "off"
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    max_epochs: int = 100
    batch_size: int = 256
    samples_per_class: int | None = None

    classes_: NDArray | list[NDArray] = field(init=False)
    tree_: LabelTree = field(init=False)
    labels_: Labels = field(init=False)
    n_levels_: int = field(init=False)
    penalties_: list[Penalty] = field(init=False)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> HierarchicalIsometricClassifier:
        """Train the blocks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Input. float32 and float64 keep their precision.
        y : array-like of shape (n_samples, n_levels) or (n_samples,)
            Labels, coarse to fine; or the finest alone, with `hierarchy`. Without one, a 1-D
            `y` is a hierarchy of one level.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights; samples of weight 0 are left out.

        Returns
        -------
        self : HierarchicalIsometricClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter breaks its rule, or the labels are no tree.
        TrainingDivergedError
            If the loss becomes NaN or infinite; the last good state stays usable.
        KeyboardInterrupt
            If the user interrupts; what was fitted so far stays usable.
        """
        with fit_task(self, X, y, sample_weight) as task:
            X, labels = check_hierarchical_input(self, X, y)
            learner = HierarchicalLearner(self, task)
            self._learn(learner, learner.fit, X, labels, sample_weight)
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the most probable path of each sample; its last label, if `y` was 1-D.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples, n_levels) or (n_samples,)
            Paths that end early end as those in `y` did.
        """
        best = self._leaf_scores(X).argmax(axis=1)
        return self.labels_.answers[best]

    def predict_paths(self, X: ArrayLike) -> NDArray:
        """Return the most probable path of each sample, all of its labels whatever `y` was.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        paths : ndarray of shape (n_samples, n_levels)
            Coarse to fine.
        """
        best = self._leaf_scores(X).argmax(axis=1)
        return cast(NDArray, self.tree_.leaves[best])

    def predict_proba(self, X: ArrayLike) -> NDArray | list[NDArray]:
        """Return the probabilities of the labels of each level.

        That of a label is the sum of those of the labels below it. Where paths end early, a
        level may sum to less than 1: what is missing is the probability of having ended.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probabilities : list of ndarray of shape (n_samples, n_labels)
            One for each level, in the order of ``classes_``; for a 1-D `y` the array of the
            finest labels alone.
        """
        leaves = softmax(self._leaf_scores(X), axis=1)
        return self.labels_.probabilities(leaves)

    def transform(self, X: ArrayLike, level: int = -1) -> NDArray:
        """Return the representation of each sample after the block of a level.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        level : int, default=-1
            Counted from 0, the coarsest; negative from the finest.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_units)
            The representation.
        """
        check_is_fitted(self)
        module = StackLevel(self.net_.module_, check_level(self, level))
        X = check_predict_input(self, X, many_dimensions=False, lazy=True)
        return inference.representation(module, X, "last_hidden")

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of samples whose path is right in every label that `y` tells.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_levels) or (n_samples,)
            Labels, coarse to fine, or the finest alone where `fit` got these. Labels that it did
            not see are wrong, with a warning.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights of the samples in the mean.

        Returns
        -------
        score : float

        Raises
        ------
        ValueError
            If y has not the levels of :meth:`fit`, or labels of another type.
        """
        check_is_fitted(self)
        right = self.labels_.agreement(y, self.predict_paths(X), self.hierarchy)
        return float(np.average(right, weights=cast(NDArray | None, sample_weight)))

    def at_level(self, level: int) -> LevelClassifier:
        """Return one level of this fitted estimator as a classifier of its own.

        It predicts the label that the most probable path has there, transforms to the output
        of its block, and whatever takes a classifier takes it:
        ``adversarial_accuracy(clf.at_level(0), X, Y[:, 0], eps=0.1)``.

        Parameters
        ----------
        level : int
            Counted from 0, the coarsest; negative from the finest.

        Returns
        -------
        classifier : LevelClassifier
            A view: nothing is fitted again.
        """
        check_is_fitted(self)
        return LevelClassifier(self, check_level(self, level))

    @own_modes()
    def to_torch(self, *, transform: bool = False, level: int = -1) -> nn.Module:
        """Return a copy of the trained module, on the CPU and in evaluation mode.

        Parameters
        ----------
        transform : bool, default=False
            Whether it ends at the representation that :meth:`transform` returns.
        level : int, default=-1
            Whose block ends at the representation: counted from 0, the coarsest; negative from the
            finest.

        Returns
        -------
        module : nn.Module
            Maps X to the score of every path, in the order of ``tree_.leaves`` (for a 1-D `y`,
            of ``classes_``), or to the representation.
        """
        check_is_fitted(self)
        stack = copy.deepcopy(self.net_.module_).cpu()
        if transform:
            return Representation(StackLevel(stack, check_level(self, level)), "last_hidden").eval()
        columns = self.labels_.columns[self.labels_.order]
        return LeafScores(stack, torch.from_numpy(columns)).eval()

    def save(self, path: str | os.PathLike[str], *, include_optimizer: bool = False) -> None:
        """Write the fitted estimator to one file, which :func:`sklearn_iso.load` reads.

        A `hierarchy` comes back as a mapping, graphs too. What the optimiser knows, twice the size
        of the weights for Adam, is kept with `include_optimizer` alone.
        """
        stored = copy.copy(self)
        stored.hierarchy = None if self.hierarchy is None else parents_of(self.hierarchy)
        NetworkEstimator.save(stored, path, include_optimizer=include_optimizer)

    def _leaf_scores(self, X: ArrayLike) -> NDArray:
        check_is_fitted(self)
        X = check_predict_input(self, X, many_dimensions=False, lazy=True)
        logits = inference.logits(self.net_.module_, X)
        return cast(NDArray, np.sum([logits[:, c] for c in self.labels_.columns.T], axis=0))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return with_dtypes(tags, single=bool(self.mixed_precision))
