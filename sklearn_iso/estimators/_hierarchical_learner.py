"""The steps of a hierarchical classifier's fit, from validated arrays to fitted attributes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._training import (
    AlternatingNet,
    ArrayDataset,
    LevelsObjective,
    PenalizedNet,
    Randomness,
    build_net,
    calibrate,
    check_several_classes,
    input_similarity,
    new_generator,
    private_random_state,
    row_weights,
)
from sklearn_iso.estimators._hierarchical_labels import Labels
from sklearn_iso.estimators._learner import (
    copy_weights,
    positive_rows,
    run_net,
    settings_of,
    split_rows,
    starts_warm,
)
from sklearn_iso.estimators._result import FitResult
from sklearn_iso.estimators._roles import Hierarchical
from sklearn_iso.estimators._tasks import FitTask
from sklearn_iso.hierarchy import LabelTree
from sklearn_iso.modules import Stack
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._widths import layer_widths
from sklearn_iso.penalties import Penalty, make_penalty

#: Widths of the blocks, the first of them as in IsometricClassifier.
FIRST_BLOCK, FURTHER_BLOCK = (256, 128), (128,)


class HierarchicalLearner:
    """Fits one estimator; holds what only the fit needs.

    Parameters
    ----------
    estimator : HierarchicalIsometricClassifier
        Its parameters are read.
    task : FitTask, optional
        Who hears of the epochs.

    Attributes
    ----------
    result : FitResult
        What the estimator is to keep.
    """

    def __init__(self, estimator: Hierarchical, task: FitTask | None = None) -> None:
        self.estimator, self.task, self.result = estimator, task, FitResult()
        rng = private_random_state(estimator.random_state)
        # In the order of IsometricClassifier's learner, so that one level gives its numbers.
        self.weights = new_generator(rng)
        self.shuffling = new_generator(rng)
        rng.randint(2**31 - 1)  # the stream of a user's module, which there is not
        self.randomness = Randomness(
            penalty=new_generator(rng), validation_seed=rng.randint(2**31 - 1)
        )
        self.rng = rng

    @own_modes()
    def fit(self, X: NDArray, labels: Labels, sample_weight: ArrayLike | None) -> None:
        """Train on validated arrays."""
        estimator, tree = self.estimator, labels.tree
        rows = tree.end_of_row.astype(np.int64).ravel()
        weight = row_weights(sample_weight, X)
        train, valid = self._split(positive_rows(X, rows, weight), tree.ends)
        check_several_classes(tree.levels[0][tree.ends[train.y, 0]])
        sizes = block_widths(estimator.block_sizes, tree.n_levels)
        penalties = [self._penalty(level, train, labels) for level in range(tree.n_levels)]
        self._check_target(penalties[0])
        objective = LevelsObjective(
            penalties,
            torch.from_numpy(tree.end_cells.astype(np.int64)),
            float(estimator.alpha),
            estimator.layers,
            target=estimator.target,
            weighted=bool(np.ptp(train.weight)),
        )
        stack = self._stack(train, tree.n_cells, sizes)
        if starts_warm(estimator):
            check_warm_tree(estimator.tree_, tree)
            copy_weights(estimator.net_.module_, stack)
        net = build_net(
            stack,
            objective,
            settings_of(estimator),
            self.shuffling,
            valid=valid,
            net_class=AlternatingNet if estimator.training == "alternating" else PenalizedNet,
        )
        result = self.result
        result.labels_, result.tree_, result.classes_ = labels, tree, labels.classes
        result.n_levels_, result._n_features_out = tree.n_levels, sizes[-1][-1]
        result.penalties_, result.net_ = penalties, net
        try:
            run_net(
                result,
                train,
                self.randomness,
                estimator.max_epochs,
                estimator=estimator,
                task=self.task,
            )
        finally:
            result.take_history()

    def _penalty(self, level: int, train: ArrayDataset, labels: Labels) -> Penalty:
        """Return the penalty of a level, calibrated on the samples whose label there is known."""
        penalty = make_penalty(self.estimator.penalty)
        if self.estimator.alpha > 0:
            y = labels.tree.end_cells[train.y, level].astype(np.int64)
            rows = ArrayDataset(train.X, y, train.weight)
            if (y < 0).any():
                rows = rows.subset(np.flatnonzero(y >= 0))
            calibrate(penalty, rows, self.rng)
        return penalty

    def _split(self, rows: ArrayDataset, ends: NDArray) -> tuple[ArrayDataset, ArrayDataset | None]:
        if not self.estimator.early_stopping:
            return rows, None
        # By the finest level whose every label has samples for both sides.
        finest_first = ends[rows.y].T[::-1]
        return split_rows(self.estimator, rows, self.rng, rows.y, *finest_first)

    def _check_target(self, penalty: Penalty) -> None:
        estimator = self.estimator
        if estimator.target == "input" or any(hasattr(t, "target") for *_, t in penalty.terms()):
            return
        raise ValueError(
            "target='previous' is about penalties on pairs of a batch, and no term of this one is; "
            f"got penalty={estimator.penalty!r}. Leave target out, or add a WithinClassIsometry()."
        )

    def _stack(self, train: ArrayDataset, n_cells: list[int], sizes: list[list[int]]) -> Stack:
        stack = Stack(
            self.estimator.n_features_in_,
            n_cells,
            block_sizes=sizes,
            activation=self.estimator.activation,
            generator=self.weights,
            dtype=torch.float64 if train.X.dtype == np.float64 else torch.float32,
        )
        shift, factor = input_similarity(train.X, train.weight)
        stack.set_input_similarity(torch.from_numpy(shift), factor)
        return stack


def check_warm_tree(before: LabelTree, now: LabelTree) -> None:
    """Raise a ValueError if a warm start meets another tree of labels than the last fit."""
    same = before.n_levels == now.n_levels and all(
        np.array_equal(*levels) for levels in zip(before.levels, now.levels, strict=True)
    )
    if not same or not np.array_equal(before.leaf_cells, now.leaf_cells):
        raise ValueError(
            "warm_start=True keeps the tree of labels of the last fit; got one of "
            f"{[len(labels) for labels in now.levels]} labels by level, and before of "
            f"{[len(labels) for labels in before.levels]}, or with other parents. Fit a clone, or "
            "set warm_start=False."
        )


def block_widths(
    block_sizes: Sequence[int | Sequence[int]] | None, n_levels: int
) -> list[list[int]]:
    """Return the widths of the hidden layers of each block, checked.

    Raises
    ------
    ValueError
        If there is not one block for each level, or a block has no layer.
    """
    if block_sizes is None:
        return [list(FIRST_BLOCK), *([list(FURTHER_BLOCK)] * (n_levels - 1))]
    # Arrays without dimension are sequences to scikit-learn, but have no entries.
    without = getattr(block_sizes, "ndim", 1) == 0
    blocks: list[int | Sequence[int]] = list(np.ravel(block_sizes) if without else block_sizes)
    if len(blocks) != n_levels:
        raise ValueError(
            f"block_sizes must have one entry for each of the {n_levels} levels of y; got "
            f"{len(blocks)}: {block_sizes!r}. Pass for example "
            f"{((256, 128), *[128] * (n_levels - 1))}."
        )
    sizes = [layer_widths(block, "Each entry of block_sizes") for block in blocks]
    if not all(sizes):
        raise ValueError(
            f"Every block needs at least one hidden layer, whose output the next one starts from; "
            f"got block_sizes={block_sizes!r}. Pass for example 128 for that level."
        )
    return sizes
