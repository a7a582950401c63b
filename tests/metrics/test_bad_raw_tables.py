"""Raw tables and threats that do not fit: errors that name the column."""

import numpy as np
import pandas as pd
import pytest
import torch
from raw_tables import NUMBERS, TEXT, X, Y, fitted, in_polars
from sklearn.preprocessing import OneHotEncoder

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD
from sklearn_iso.metrics import adversarial_accuracy


def with_new_plan():
    frame = X.copy()
    frame.iloc[3, 1] = "unheard of"
    return frame


@pytest.mark.parametrize(
    "frame, threat, message",
    [
        (with_new_plan(), {}, "refuses what column 'plan' holds: Found unknown categories"),
        (X, {"units": {"age": 1, "income": 1, "plan": 3}}, "units must be of .*'plan' holds text"),
        (X, {"units": [1, 5, 1, 1, 1]}, "units must be of columns of numbers; column 'plan'"),
        (X, {"bounds": ({"age": 0, "income": 0, "plan": 0}, 100)}, "bounds must be .*'plan'"),
        (X, {"bounds": (0, 70)}, "X must lie inside bounds; column 'age' holds"),
        (X, {"immutable": [*NUMBERS]}, "every column of X stays as it is"),
        (X, {"categories": ["plan"], "immutable": ["plan"]}, "both name 'plan'"),
        (X, {"categories": ["plam"]}, r"categories must hold .*found \['plam'\]"),
        (X, {"categories": [["plan", "grade"]]}, "column 'plan' holds text. Name it alone"),
        (X.drop(columns=[*TEXT, "smokes"]), {"categories": "all"}, "needs a column of text"),
        (X.assign(income=np.inf), {}, "column 'income' holds infinity"),
        (X.set_axis(["age", "plan", "age", "smokes", "grade"], axis=1), {"categories": ["plan"]},
         "different names; got 'age' twice"),
        (X.assign(plan=[[1]] * len(X)), {"categories": ["plan"]}, "do not hash, such as lists"),
        (X.assign(a=X["smokes"] * 1, b=1 - X["smokes"]), {"categories": ["a", "b"]},
         r"Pass categories=\[\['a', 'b'\]\]"),
        (pd.concat([X.assign(plan=[f"{n}-{k}" for n in range(len(X))]) for k in range(10)]),
         {"categories": ["plan"]}, "at most 500 different values"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_that_names_the_column(frame, threat, message):
    model = fitted(text=OneHotEncoder()) if message.startswith("refuses") else fitted()
    y = np.resize(Y, len(frame))
    with pytest.raises(ValueError, match=message):
        adversarial_accuracy(model, frame, y, eps=0.1, threat=ThreatModel(**threat))


def test_raw_columns_mean_nothing_to_an_attack_on_tensors():
    attack = PGD()
    with pytest.raises(ValueError, match="categories of tensors must be groups.*found 0"):
        attack(lambda x: x, torch.zeros(2, 2), torch.tensor([0, 1]), eps=0.1,
               threat=ThreatModel(categories=[0]))  # fmt: skip


def test_frames_of_no_use_are_told():
    model = fitted()
    twice = X.set_axis(["age", "plan", "income", "smokes", "age"], axis=1)
    with pytest.raises(ValueError, match=r"different names; got 'age' twice\. Rename one"):
        adversarial_accuracy(model, twice, Y, eps=0.1)
    with pytest.raises(ValueError, match="at least one feature; got a frame of 80 samples"):
        adversarial_accuracy(model, X[[]], Y, eps=0.1)
    lazy = in_polars(X).lazy()
    for ask in (ThreatModel.from_data, lambda X: adversarial_accuracy(model, X, Y, eps=0.1)):
        with pytest.raises(TypeError, match=r"got a LazyFrame\. Pass X\.collect"):
            ask(lazy)
