"""Estimators and whole pipelines as ONNX graphs, by way of their twins."""

from __future__ import annotations

import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_iso._threat.columns import Kind, columns_in, has_columns

if TYPE_CHECKING:
    import onnx

#: What torch's exporter notes at a node: where in which source file it was made.
_NOTES = "metadata_props"


def to_onnx(estimator: BaseEstimator, X: ArrayLike) -> onnx.ModelProto:
    """Return a fitted estimator or pipeline as an ONNX graph.

    Steps of a pipeline may be whatever has a twin: :func:`sklearn_iso.twins.as_torch`. The
    graph takes an input "X" of any number of samples, of float32 or float64 as the X passed is; for
    integers, bool and float16 it is the one that the estimator computes in, so cast the samples
    that the graph is run on. It gives

    - for a classifier "label", as ``predict`` does, and "probabilities" (or "scores", without
      ``predict_proba``);
    - for a regressor "prediction"; for a transformer "Z".

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
    X : array-like of shape (n_samples, n_features)
        Some samples as they will come, which the estimator must accept. Only their shape and their
        type count, so values may be missing where a step fills them in. Many runtimes lack
        convolutions in float64: pass float32.

    Returns
    -------
    model : onnx.ModelProto
        The graph.

    Raises
    ------
    ImportError
        If the packages of the extra "onnx" are missing.
    NotDifferentiableError
        If a step has no twin.
    ValueError
        If X is not what the estimator takes, as another number of features, or holds text; if
        torch cannot export a step; or if the labels are no numbers and no text.

    Examples
    --------
    >>> import onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.persistence import to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = make_pipeline(StandardScaler(), IsometricClassifier(random_state=0)).fit(X, y)
    >>> session = onnxruntime.InferenceSession(to_onnx(clf, X).SerializeToString())
    >>> label, probabilities = session.run(None, {"X": X})
    >>> bool((label == clf.predict(X)).all())
    True
    """
    # Twins know most of scikit-learn: only an export pays for importing it.
    from sklearn_iso.twins import as_torch

    _require_onnx()
    check_is_fitted(estimator)
    _check_no_text(X)
    classes = _storable(estimator.classes_) if is_classifier(estimator) else None
    twin = as_torch(estimator)
    rows = torch.from_numpy(_two_rows(X, _precision(estimator, X)))
    if classes is not None:
        proba = hasattr(estimator, "predict_proba")
        name = "probabilities" if proba else "scores"
        model = _export(_Probabilities(twin) if proba else twin, rows, name)
        return _with_labels(model, classes, name)
    if is_regressor(estimator):
        return _export(_Column(twin), rows, "prediction")
    return _export(twin, rows, "Z")


class _Probabilities(nn.Module):
    """Class probabilities of a twin."""

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, X: Tensor) -> Tensor:
        from sklearn_iso.twins._responses import log_proba

        return log_proba(self.twin, X).exp()


class _Column(nn.Module):
    """One prediction a row, from a twin that gives one column."""

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, X: Tensor) -> Tensor:
        return self.twin(X).reshape(-1)


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"to_onnx needs the packages onnx and onnxscript; {error}. Install them with "
            "pip install 'sklearn-iso[onnx]'."
        ) from error


def _check_no_text(X: ArrayLike) -> None:
    """Raise a ValueError for a table with columns of text, which one tensor cannot hold."""
    table = X if hasattr(X, "columns") or issparse(X) else np.asarray(X)
    if not has_columns(table):
        return
    text = [column.name for column in columns_in(table) if column.kind is Kind.TEXT]
    if text:
        raise ValueError(
            "X must hold numbers alone, as a graph takes one tensor; columns "
            f"{', '.join(map(repr, text[:5]))} hold text or categories. Export the steps behind "
            "the encoder, to_onnx(pipeline[-1], pipeline[:-1].transform(X)), and encode samples "
            "before the graph runs."
        )


def _precision(estimator: BaseEstimator, X: ArrayLike) -> type:
    """Return the type of a graph's input; the estimator refuses an X that is not for it."""
    if issparse(X):
        raise TypeError("A graph takes dense samples; got a sparse X. Pass X[:2].toarray().")
    answers = ("predict_proba", "decision_function", "transform", "predict")
    answer = getattr(estimator, next(name for name in answers if hasattr(estimator, name)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the names of features, for one: of no account here
        computed = np.asarray(answer(_safe_indexing(X, slice(0, 2)))).dtype
    given = np.asarray(X).dtype
    decides = given if given in (np.float32, np.float64) else computed
    return np.float32 if decides == np.float32 else np.float64


def _two_rows(X: ArrayLike, dtype: type) -> NDArray:
    """Return two samples: a graph traced with one would be a graph of one."""
    return np.zeros((2, *np.asarray(X).shape[1:]), dtype=dtype)


def _export(twin: nn.Module, rows: Tensor, name: str) -> onnx.ModelProto:
    with _quiet():
        try:
            program = torch.onnx.export(
                twin.eval(),
                (rows,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("n_samples")},),
                input_names=["X"],
                output_names=[name],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ValueError(
                f"torch cannot export this estimator as a graph: {_first_line(error)}. Export "
                "its last step alone, and compute the others before it."
            ) from error
    assert program is not None  # dynamo=True returns one
    model = program.model_proto
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise ValueError(
            "A graph must take any number of samples, and torch finds the number built into this "
            f"estimator, {type(twin).__name__}: kernels, for one, go by blocks of samples. Export "
            "the steps before it, or choose another estimator."
        )
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        part.ClearField(_NOTES)
    del model.graph.value_info[:]
    return model


def _storable(classes: ArrayLike) -> NDArray:
    """Return the labels in a type that ONNX has."""
    from sklearn_iso.twins._labels import as_array

    classes = as_array(classes)
    if classes.ndim != 1 or any(np.ndim(label) for label in classes):
        raise ValueError(
            f"A graph tells one label for each sample; got an estimator of {len(classes)} outputs. "
            "Export one of them, of a hierarchy at_level(estimator, level)."
        )
    if classes.dtype.kind in "iu":
        fits = int(classes.max()) <= np.iinfo(np.int64).max
        return classes.astype(np.int64 if fits else np.uint64)
    if classes.dtype.kind == "f" and classes.dtype.itemsize > 8:  # a type that ONNX lacks
        narrow = classes.astype(np.float64)
        if not np.array_equal(narrow, classes):
            raise ValueError(
                f"Labels of a graph have at most the precision of float64; got {classes!r}. Encode "
                "them with sklearn.preprocessing.LabelEncoder."
            )
        return narrow
    if classes.dtype.kind in "bf":
        return classes
    if all(isinstance(label, str) for label in classes):
        return classes.astype(object)
    raise ValueError(
        f"Labels of a graph must be numbers or text; got {classes!r}. Encode them with "
        "sklearn.preprocessing.LabelEncoder."
    )


def _with_labels(model: onnx.ModelProto, classes: NDArray, name: str) -> onnx.ModelProto:
    """Return a model that also gives the label of the largest output."""
    from onnx import checker, helper, numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(classes, "classes"))
    model.graph.node.append(
        helper.make_node("ArgMax", [name], ["winner"], axis=1, keepdims=0, name="winner")
    )
    model.graph.node.append(
        helper.make_node("Gather", ["classes", "winner"], ["label"], axis=0, name="label")
    )
    kind = helper.np_dtype_to_tensor_dtype(classes.dtype)
    label = helper.make_tensor_value_info("label", kind, ["n_samples"])
    model.graph.output.insert(0, label)
    checker.check_model(model)
    return model


def _first_line(error: Exception) -> str:
    """Return what an exporter's error comes from, without its pages of advice."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch says of itself, and of each failed attempt, from the user."""
    # Loggers get their levels when they are made: let all be there before they are silenced.
    for module in ("torch._dynamo", "torch.export"):
        importlib.import_module(module)
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] == "torch"]
    loggers = [logging.getLogger(name) for name in {"torch", *names}]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        # It prints as well, as the code of a network that it failed to trace.
        with (
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("ignore", module=r"torch\.|copyreg")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
