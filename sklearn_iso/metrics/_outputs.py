"""Classifiers of several outputs, one output at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from sklearn_iso._protocols import Classifier, is_frame, is_sparse
from sklearn_iso._typed import BaseEstimator, ClassifierMixin, available_if
from sklearn_iso.twins._labels import as_array

Average = Literal["uniform_average", "raw_values"]


class Several(Classifier, Protocol):
    """A fitted classifier of several outputs; it may lack scores."""

    def predict_proba(self, X: Any, /) -> list[NDArray] | NDArray:
        """Return probabilities of each output."""

    def decision_function(self, X: Any, /) -> NDArray:
        """Return the values that decide for each output."""


def _has_probabilities(view: OutputClassifier) -> bool:
    return hasattr(view.estimator, "predict_proba")


def _has_decisions(view: OutputClassifier) -> bool:
    return hasattr(view.estimator, "decision_function")


class OutputClassifier(ClassifierMixin, BaseEstimator):
    """A view of a fitted classifier of several outputs: the labels and scores of one of them.

    Made by :func:`at_output`. It is not fitted again: `fit` and `clone` return the view itself,
    as for :class:`sklearn.frozen.FrozenEstimator`.

    Parameters
    ----------
    estimator : fitted classifier of several outputs
    output : int
        Counted from 0.

    Attributes
    ----------
    classes_ : ndarray
        Labels of the output.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics._outputs import OutputClassifier
    >>> tree = DecisionTreeClassifier().fit([[0], [1]], [["x", "u"], ["y", "v"]])
    >>> OutputClassifier(tree, 0).predict([[1]]), OutputClassifier(tree, 1).classes_
    (array(['y'], dtype='<U1'), array(['u', 'v'], dtype='<U1'))
    """

    def __init__(self, estimator: Several, output: int) -> None:
        self.estimator = estimator
        self.output = output

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> OutputClassifier:
        """Return the view as it is."""
        check_is_fitted(self)
        return self

    @property
    def classes_(self) -> NDArray:
        """Labels of the output."""
        return classes_by_output(self.estimator)[self.output]

    def predict(self, X: Any) -> NDArray:
        """Return the label (n_samples,) of the output."""
        predicted = self.estimator.predict(X)
        dense = predicted.toarray() if is_sparse(predicted) else predicted
        labels: NDArray = as_array(dense)[:, self.output]
        return labels

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> NDArray:
        """Return the probability of each label of the output."""
        answer = self.estimator.predict_proba(X)
        if isinstance(answer, list):
            return np.asarray(answer[self.output])
        second = self._second_of_two("predict_proba", answer)
        return np.stack([1 - second, second], axis=1)

    @available_if(_has_decisions)
    def decision_function(self, X: Any) -> NDArray:
        """Return the values that decide for the second of the two labels of the output."""
        return self._second_of_two("decision_function", self.estimator.decision_function(X))

    def _second_of_two(self, name: str, answer: Any) -> NDArray:
        """Return the column of an array that has one for each output."""
        columns = np.asarray(answer)
        n_outputs = len(classes_by_output(self.estimator))
        if columns.shape[1:] != (n_outputs,) or len(self.classes_) != 2:
            raise NotImplementedError(
                f"{name} must tell of each label of output {self.output}; got shape "
                f"{columns.shape} for {n_outputs} outputs and {len(self.classes_)} labels."
            )
        second: NDArray = columns[:, self.output]
        return second

    def __sklearn_clone__(self) -> OutputClassifier:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        check_is_fitted(self.estimator)
        return True


def classes_by_output(estimator: Any) -> list[NDArray]:
    """Return the classes of each output of a fitted classifier; of one of a single output none.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._outputs import classes_by_output
    >>> classes_by_output(DummyClassifier().fit([[0], [1]], [[0, 5], [1, 6]]))
    [array([0, 1]), array([5, 6])]
    >>> classes_by_output(DummyClassifier().fit([[0], [1]], [0, 1]))
    []
    """
    last = _last(estimator)
    classes = getattr(last, "classes_", None)
    if classes is None or hasattr(last, "at_level") or not is_classifier(last):
        return []
    array = as_array(classes)
    nested = array.ndim == 1 and any(isinstance(one, (list, tuple, np.ndarray)) for one in array)
    if nested or array.ndim == 2:
        return [as_array(one) for one in classes]
    return [np.array([0, 1]) for _ in array] if array.ndim and _is_multilabel(last) else []


def _last(estimator: Any) -> Any:
    """Return the last step of a pipeline, or of what a search has found."""
    if hasattr(estimator, "best_estimator_"):
        return _last(estimator.best_estimator_)
    return _last(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator


def _is_multilabel(estimator: Any) -> bool:
    """Whether each class is an output of 0 or 1, as in OneVsRestClassifier and MLPClassifier."""
    if getattr(estimator, "multilabel_", False):
        return True
    sigmoid = getattr(estimator, "out_activation_", None) == "logistic"
    return sigmoid and getattr(estimator, "n_outputs_", 1) > 1


def at_output(estimator: Any, output: int) -> Any:
    """Return one output of a fitted classifier of several outputs as a classifier of its own.

    Parameters
    ----------
    estimator : fitted classifier
        :class:`sklearn.multioutput.MultiOutputClassifier`,
        :class:`sklearn.multioutput.ClassifierChain`, a tree, forest or neighbours of several
        outputs, one of several labels at once, a pipeline that ends in one, or a search over
        either.
    output : int
        Counted from 0; negative from the last.

    Returns
    -------
    classifier : fitted classifier
        That of the output itself in a MultiOutputClassifier, so that attacks follow its gradients;
        else a view, which asks the estimator. A pipeline for a pipeline.

    Raises
    ------
    TypeError
        If the estimator has a single output, or output is no integer.
    ValueError
        If there is no such output.

    See Also
    --------
    at_level : The same for the levels of a hierarchy.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.multioutput import MultiOutputClassifier
    >>> from sklearn_iso.metrics import adversarial_accuracy, at_output
    >>> X, Y = make_multilabel_classification(random_state=0)
    >>> model = MultiOutputClassifier(LogisticRegression()).fit(X, Y)
    >>> last = at_output(model, -1)
    >>> adversarial_accuracy(last, X, Y[:, -1], eps=0) == last.score(X, Y[:, -1])
    True
    """
    n_outputs = len(classes_by_output(estimator))
    if not n_outputs:
        raise TypeError(
            f"estimator must be a classifier of several outputs; got {type(estimator).__name__}, "
            "which has one. Evaluate it as it is."
        )
    if not isinstance(output, Integral) or isinstance(output, bool):
        raise TypeError(f"output must be an integer, counted from 0; got {output!r}.")
    if not -n_outputs <= output < n_outputs:
        raise ValueError(
            f"output must be one of the {n_outputs} outputs, counted from 0, or from -1 "
            f"backwards; got {output!r}."
        )
    return _at(estimator, range(n_outputs)[int(output)])


def _at(estimator: Any, output: int) -> Any:
    if hasattr(estimator, "best_estimator_"):
        return _at(estimator.best_estimator_, output)
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        pipeline = copy.copy(estimator)  # of its own class, which may skip steps in predict
        pipeline.steps = [*estimator.steps[:-1], (name, _at(last, output))]
        return pipeline
    if isinstance(estimator, (MultiOutputClassifier, OneVsRestClassifier)):
        own = estimator.estimators_[output]
        if np.array_equal(getattr(own, "classes_", ()), classes_by_output(estimator)[output]):
            return own
    return OutputClassifier(estimator, output)


def by_output(estimator: Any, y: Any) -> Iterator[tuple[Any, Any]] | None:
    """Return the classifier and the labels of each output, or None where y is of one alone.

    Raises
    ------
    ValueError
        If y has not one column for each output.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_iso.metrics._outputs import by_output
    >>> X, Y = [[0], [1]], [[0, 5], [1, 6]]
    >>> [labels for _, labels in by_output(DummyClassifier().fit(X, Y), Y)]
    [array([0, 1]), array([5, 6])]
    """
    n_outputs = len(classes_by_output(estimator))
    if not n_outputs:
        return None
    columns = y.toarray() if is_sparse(y) else y if is_frame(y) else as_array(y)
    if len(columns.shape) != 2:
        return None
    if columns.shape[1] != n_outputs:
        raise ValueError(
            f"y must have a column for each of the {n_outputs} outputs of the estimator; got shape "
            f"{tuple(columns.shape)}."
        )
    return (
        (_at(estimator, output), _safe_indexing(columns, output, axis=1))
        for output in range(n_outputs)
    )


def over_outputs(values: Sequence[float], multioutput: Average) -> float | NDArray[np.float64]:
    """Return the figures of all outputs, or their mean.

    Examples
    --------
    >>> from sklearn_iso.metrics._outputs import over_outputs
    >>> over_outputs([0.5, 1.0], "raw_values"), over_outputs([0.5, 1.0], "uniform_average")
    (array([0.5, 1. ]), 0.75)
    """
    figures = np.array(values, dtype=np.float64)
    return figures if multioutput == "raw_values" else float(figures.mean())
