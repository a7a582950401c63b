"""What is evaluated: a fitted classifier, its data, and what an attack may do to them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_iso._labels import check_labels_known
from sklearn_iso._protocols import Predictor, Samples
from sklearn_iso._threat import Threat, ThreatModel, as_threat
from sklearn_iso._threat.parts import numbers_of
from sklearn_iso.attacks import Budget
from sklearn_iso.attacks._attack import NO_ANSWER
from sklearn_iso.metrics._candidates import Candidates
from sklearn_iso.metrics._raw_table import table_of
from sklearn_iso.metrics._refused import Refused
from sklearn_iso.metrics._table import Table
from sklearn_iso.metrics._weights import weighted
from sklearn_iso.twins._labels import (
    check_kind,
    classes_of,
    columns_of,
    kinds_of,
    one_each,
    some_of,
)

FAR = 1e3  # standard deviations


class Attackable:
    """Samples of a table under a threat, as tensors and with their budgets.

    Examples
    --------
    >>> from sklearn_iso.metrics._problem import Attackable, Problem
    >>> issubclass(Problem, Attackable)
    True
    """

    table: Table
    threat: ThreatModel
    refused: Refused

    def points(self, rows: NDArray | slice = slice(None)) -> Tensor:
        """Return samples of X as a tensor."""
        return torch.from_numpy(self.table.values[rows])

    def present(self) -> Tensor:
        """Return all samples, with the least value of the column where one is missing."""
        X = self.table.values
        if not np.isnan(X).any():
            return self.points()
        return torch.from_numpy(np.nan_to_num(np.where(np.isnan(X), self.table.range()[0], X)))

    def budget(self, X: Tensor, eps: float) -> Budget:
        """Budget around some of the samples, checked."""
        return Budget.of(X, eps=eps, threat=self.threat)

    def candidate(self, X: Tensor, X_adv: Tensor, eps: float | None, rows: NDArray) -> Tensor:
        """Return perturbed samples as they are judged: as they are."""
        return X_adv

    def count_refusals_within(self, radius: NDArray) -> None:
        """Count refused points no farther than a radius from the range of X, or of categories."""
        low, high = (X - sign * radius for X, sign in zip(self.table.range(), (1, -1), strict=True))
        for group in self.threat.one_hot():
            low[list(group)], high[list(group)] = 0, 1
        self.refused.reach = low, high


@dataclass(frozen=True)
class Problem(Attackable):
    """A fitted classifier with samples and their labels, under a threat.

    Parameters
    ----------
    estimator : fitted classifier
    table : Table
    codes : ndarray of shape (n,)
        Columns of the labels in classes, -1 for those that are not among them.
    classes : ndarray of shape (n_classes,)
    threat : ThreatModel
        For the columns of the table, by position.
    weight : ndarray of shape (n,), or None
        Weights of the samples.
    refused : Refused
        Perturbed points at which the estimator gave no answer.
    candidates : Candidates, or None
        What rules of the user say of perturbed points.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics._problem import Problem
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(GaussianNB().fit(X, y), X, y, threat="l2")
    >>> problem.right().mean().round(2), problem.predict(X[:2])
    (np.float64(0.96), array([0, 0]))
    """

    estimator: Predictor
    table: Table
    codes: NDArray
    classes: NDArray
    threat: ThreatModel
    weight: NDArray | None = None
    refused: Refused = field(default_factory=Refused, compare=False)
    candidates: Candidates | None = None

    @classmethod
    def of(
        cls,
        estimator: Predictor,
        X: Samples,
        y: ArrayLike,
        *,
        threat: Threat = "linf",
        sample_weight: ArrayLike | None = None,
        missing: bool = False,
    ) -> Problem:
        """Return a checked problem, without the samples of weight 0.

        With `missing`, NaN in X is a value that is missing, which stays so.

        Raises
        ------
        TypeError
            If estimator is no classifier of one output.
        ValueError
            If X, y or the threat are not what they must be.
        """
        weight = None
        if sample_weight is not None:
            weight, X, y = weighted(sample_weight, X, y)
        classes = check_classifier(estimator)
        threat = as_threat(threat)
        table = table_of(X, threat, missing=missing)
        codes = label_columns(y, classes, table)
        by_position = table.threat(threat)
        own = Candidates.of(table, by_position)
        by_position = replace(by_position, repair=None, is_valid=None)
        problem = cls(estimator, table, codes, classes, by_position, weight, candidates=own)
        problem.budget(problem.present(), 0)  # checks the threat on all samples, also wrong ones
        return problem

    def labels(self, rows: NDArray | slice = slice(None)) -> Tensor:
        """Columns of the labels as a tensor; -1 is for no attack to see, and never `right`."""
        return torch.from_numpy(self.codes[rows])

    def right(self) -> NDArray:
        """Which samples are classified correctly without an attack: none of a label not in classes.

        Raises
        ------
        ValueError
            If the estimator predicts nothing that is among its classes.
        """
        labels = one_each(self.table.answered(self.estimator.predict), len(self.table))
        predicted = columns_of(labels, self.classes)
        _check_predicted(labels, predicted, self.classes)
        return (predicted == self.codes) & (self.codes >= 0)

    def predict(self, values: NDArray, rows: NDArray | None = None) -> NDArray:
        """Columns of what the estimator predicts for values of some samples."""
        predicted = self.estimator.predict(self.table.with_values(values, rows))
        return columns_of(predicted, self.classes)

    def predict_perturbed(self, values: NDArray, rows: NDArray | None = None) -> NDArray:
        """Columns of what the estimator predicts for perturbed values of some samples.

        `NO_ANSWER` where it refuses: it raises an error, or predicts NaN.
        """
        return self._columns_at(values, rows, thorough=False)

    def _columns_at(self, values: NDArray, rows: NDArray | None, thorough: bool) -> NDArray:
        def question(at: NDArray) -> NDArray:
            if thorough or rows is not None:
                some = self.table.with_values(values[at], None if rows is None else rows[at])
                answer: ArrayLike = self.estimator.predict(some)
            else:
                answer = self.table.asked(self.estimator, "predict", values[at])
            labels = one_each(answer, len(at))
            unknown = np.asarray(labels != labels, dtype=bool)
            return np.where(unknown, NO_ANSWER, columns_of(labels, self.classes))

        columns = np.full(len(values), NO_ANSWER, dtype=np.int64)
        for at, answer in self.refused.ask(question, values, thorough=thorough):
            columns[at] = answer
            self.refused.note(values[at[answer == NO_ANSWER]], "it predicts NaN")
        return columns

    def knows(self, values: NDArray, rows: NDArray | None = None) -> NDArray:
        """Whether the scores at perturbed values are numbers; some predict all the same."""
        known = np.ones(len(values), dtype=bool)
        method = getattr(self.estimator, "predict_proba", None)
        method = method or getattr(self.estimator, "decision_function", None)
        if method is None:
            return known

        def question(at: NDArray) -> NDArray:
            scores = method(self.table.with_values(values[at], None if rows is None else rows[at]))
            return ~np.isnan(np.asarray(scores, dtype=float)).reshape(len(at), -1).any(axis=1)

        # That there are no scores says nothing of the labels.
        quiet = Refused()
        for at, answer in quiet.ask(question, values, thorough=False):
            known[at] = answer
        self.refused.note(values[~known], "its scores are NaN")
        return known

    def knows_far_away(self) -> bool:
        """Whether scores are numbers even at points far from the data, within the bounds."""
        X = self.table.values
        moved = FAR * self.table.extent()
        values = np.stack([X[0] - moved, X[0] + moved]).astype(X.dtype)
        if self.threat.bounds is not None:
            low, high = (numbers_of(side).astype(X.dtype) for side in self.threat.bounds)
            values = values.clip(low, high)
        return bool(replace(self, refused=Refused()).knows(values).all())

    def candidate(self, X: Tensor, X_adv: Tensor, eps: float | None, rows: NDArray) -> Tensor:
        """Return perturbed samples as they are judged: repaired, if the user says how."""
        if self.candidates is None:
            return X_adv
        budget = Budget.of(X, eps=eps, threat=self.threat)
        return self.candidates.settled(X, X_adv, budget, rows)

    def misclassified_at(self, X_adv: Tensor, rows: NDArray) -> NDArray:
        """Which samples the estimator gets wrong at X_adv; none where it refuses to answer."""
        values = X_adv.detach().cpu().numpy()
        columns = self._columns_at(values, rows, thorough=True)
        wrong: NDArray = (columns != self.codes[rows]) & (columns != NO_ANSWER)
        if wrong.any():
            wrong[wrong] = self.knows(values[wrong], rows[wrong])
        if wrong.any() and self.candidates is not None:
            wrong[wrong] = self.candidates.valid(values[wrong], rows[wrong])
        return wrong


def check_classifier(estimator: object) -> NDArray:
    """Return the classes of a fitted classifier of one output.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._problem import check_classifier
    >>> check_classifier(DummyClassifier().fit([[0], [1]], ["a", "b"]))
    array(['a', 'b'], dtype='<U1')
    """
    if not hasattr(estimator, "predict") or not is_classifier(estimator):
        raise TypeError(
            f"estimator must be a classifier; got {type(estimator).__name__}, which predicts no "
            "classes. For a regressor call sklearn_iso.metrics.adversarial_error; for transformers "
            "there is no adversarial accuracy."
        )
    check_is_fitted(estimator)
    return classes_of(estimator)


def _check_predicted(labels: NDArray, columns: NDArray, classes: NDArray) -> None:
    """Raise a ValueError where no prediction is a class: every sample would count as wrong."""
    if (columns < 0).all():
        raise ValueError(
            f"predict must return labels out of classes_, {some_of(classes)} "
            f"({kinds_of(classes)}); got {some_of(labels)} ({kinds_of(labels)}), none of which "
            "is among them. Give the estimator a predict and classes_ of one type."
        )


def label_columns(y: ArrayLike, classes: NDArray, table: Table) -> NDArray:
    """Return the position of each label in classes, -1 and a warning where it is not there.

    Raises
    ------
    ValueError
        If there is not one label for each sample, one is missing or infinite, or none is of the
        type of the classes.

    Warns
    -----
    UserWarning
        If labels are not among the classes: nothing predicts them, so they count as errors.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._problem import label_columns
    >>> from sklearn_iso.metrics._table import Table
    >>> label_columns(["b", "a"], np.array(["a", "b"]), Table([[0.0], [1.0]]))
    array([1, 0])
    """
    labels = column_or_1d(y)
    check_consistent_length(table.values, labels)
    columns = columns_of(labels, classes)
    new = columns < 0
    if not new.any():
        return columns
    check_labels_known(labels)
    unseen = ", ".join(sorted(set(map(str, labels[new].tolist())))[:5])
    if new.all():
        check_kind(labels, classes, "the estimator's classes_")
    warnings.warn(
        f"y holds labels that the estimator was not fitted on, {unseen}, and that it cannot "
        f"predict: {int(new.sum())} of {len(labels)} samples count as misclassified. Stratify the "
        "split, or fit on data that has them.",
        UserWarning,
        stacklevel=6,  # beyond what is checked, the measure, its gradients and parameters
    )
    return columns
