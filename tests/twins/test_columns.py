"""Twins of ColumnTransformer and FunctionTransformer."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

from sklearn_iso.twins import NotDifferentiableError, as_torch, torch_function

X, Y = load_iris(return_X_y=True)
FRAME = pd.DataFrame(X, columns=list("abcd"))
POSITIONS = {
    "integers": [2, 0],
    "negative": [-1],
    "slice": slice(1, 3),
    "mask": [True, False, False, True],
    "mask array": np.array([False, True, False, False]),
}
NAMES = {
    "strings": ["d", "a"],
    "slice of strings": slice("b", "c"),
    "selector": make_column_selector("[ac]"),
    "positions": [3, 1],
}


@pytest.mark.parametrize("remainder", ["drop", "passthrough", MinMaxScaler()], ids=repr)
@pytest.mark.parametrize("columns", POSITIONS.values(), ids=POSITIONS.keys())
def test_columns_by_position(columns, remainder):
    transformer = ColumnTransformer(
        [("scale", StandardScaler(), columns), ("same", "passthrough", [1])], remainder=remainder
    ).fit(X)
    np.testing.assert_allclose(as_torch(transformer)(torch.tensor(X)), transformer.transform(X))


@pytest.mark.parametrize("remainder", ["drop", "passthrough", MinMaxScaler()], ids=repr)
@pytest.mark.parametrize("columns", NAMES.values(), ids=NAMES.keys())
def test_columns_by_name(columns, remainder):
    transformer = ColumnTransformer(
        [("scale", StandardScaler(), columns)],
        remainder=remainder,
        transformer_weights={"scale": 0.5},
    ).fit(FRAME)
    actual = as_torch(transformer)(torch.tensor(X))
    np.testing.assert_allclose(actual, transformer.transform(FRAME))


def test_dropped_and_empty_columns_are_gone():
    transformer = ColumnTransformer(
        [("out", "drop", [0]), ("none", StandardScaler(), []), ("pca", PCA(1), [1, 2])]
    ).fit(X)
    np.testing.assert_allclose(
        as_torch(transformer)(torch.tensor(X)), transformer.transform(X), atol=1e-12
    )


def test_composition_of_any_depth_with_its_gradient():
    deep = FeatureUnion([("pca", PCA(2)), ("squares", FunctionTransformer(np.square))])
    columns = ColumnTransformer([("deep", make_pipeline(StandardScaler(), deep), ["a", "b", "c"])])
    pipeline = make_pipeline(columns, StandardScaler(), LogisticRegression()).fit(FRAME, Y)
    twin = as_torch(pipeline)
    np.testing.assert_allclose(twin(torch.tensor(X)), pipeline.decision_function(FRAME), atol=1e-9)
    assert torch.autograd.gradcheck(twin, (torch.tensor(X[:3], requires_grad=True),))
    again = pickle.loads(pickle.dumps(twin))
    torch.testing.assert_close(again(torch.tensor(X)), twin(torch.tensor(X)))


BINS = KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf")


@pytest.mark.parametrize("step", [BINS, OneHotEncoder()], ids=["bins", "one-hot"])
def test_error_names_the_path_to_a_column_transformers_step(step):
    transformer = ColumnTransformer([("steps", step, [0])], remainder="passthrough")
    pipeline = make_pipeline(transformer, LogisticRegression(max_iter=2000))
    with pytest.raises(NotDifferentiableError) as caught:
        as_torch(pipeline.fit(X.round(), Y))
    message = str(caught.value)
    kind = type(step).__name__
    assert message.startswith(f"Step 'columntransformer' > 'steps' ({kind}) cannot be differ")
    assert "gradient" in message.partition("These can")[0]


@pytest.mark.parametrize(
    "function",
    [None, np.abs, np.exp, np.log1p, np.log, np.sqrt, np.square, np.tanh, np.cbrt, np.arcsinh],
    ids=lambda function: getattr(function, "__name__", "identity"),
)
def test_numpy_functions_have_torch_twins(function):
    transformer = FunctionTransformer(function)
    twin = pickle.loads(pickle.dumps(as_torch(transformer)))
    points = torch.tensor(X, requires_grad=True)
    np.testing.assert_allclose(twin(points).detach(), transformer.transform(X), rtol=1e-12)
    assert torch.autograd.gradcheck(twin, (points,))


@pytest.mark.parametrize("function", [np.sqrt, np.cbrt, np.abs])
def test_infinite_slopes_at_zero_are_taken_for_zero(function):
    zero = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    output = as_torch(FunctionTransformer(function))(zero)
    output.backward()
    assert output.item() == 0 and zero.grad.item() == 0


def shifted_power(X, shift=0.0):
    return (X + shift) ** 1.5


def test_user_declares_a_torch_function_with_its_options():
    transformer = FunctionTransformer(shifted_power, kw_args={"shift": 2.0})
    with pytest.raises(NotDifferentiableError, match="torch_function.shifted_power."):
        as_torch(transformer)

    @torch_function(shifted_power)
    def torch_shifted_power(X, shift=0.0):
        return (X + shift) ** 1.5

    twin = pickle.loads(pickle.dumps(as_torch(transformer)))
    np.testing.assert_allclose(twin(torch.tensor(X)), transformer.transform(X))


def test_unknown_function_is_named_with_the_remedy():
    with pytest.raises(NotDifferentiableError, match="declare one with @sklearn_iso.twins.torch_f"):
        as_torch(FunctionTransformer(partial(np.clip, a_min=0, a_max=1)))
    with pytest.raises(TypeError, match="torch_function takes the function of a FunctionTran"):
        torch_function("log1p")
