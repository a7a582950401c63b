"""The table of loans: mixed columns, gaps, and labels that follow from a score."""

import numpy as np
import pandas as pd
import pytest

from sklearn_iso.datasets import make_loans


def test_columns_have_the_kinds_that_tables_have():
    X, y = make_loans(500, random_state=0)
    assert list(X) == ["age", "income", "debt", "job", "owns_home", "region"]
    assert X["age"].dtype == np.int64 and X["owns_home"].dtype == bool
    assert isinstance(X["region"].dtype, pd.CategoricalDtype) and X["debt"].dtype == np.float64
    assert not pd.api.types.is_numeric_dtype(X["job"]) and set(y) == {"default", "repaid"}


def test_a_seed_decides_all_and_no_global_generator_moves():
    before = np.random.get_state()[1].copy()
    first, second = make_loans(50, random_state=3), make_loans(50, random_state=3)
    pd.testing.assert_frame_equal(first[0], second[0])
    assert (first[1] == second[1]).all() and (np.random.get_state()[1] == before).all()
    assert not make_loans(50, random_state=4)[0].equals(first[0])


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_gaps_are_as_many_as_asked_for(share):
    X, _ = make_loans(4000, missing=share, random_state=0)
    found = X.isna().mean()
    assert found[["income", "job"]].to_numpy() == pytest.approx(share, abs=0.03)
    assert not found.drop(["income", "job"]).any()


def test_without_noise_labels_follow_from_the_score():
    X, y = make_loans(2000, noise=0, missing=0, random_state=0)
    score = 1.2 * (np.log(X["income"]) - 10) - X["debt"] / 1e4 + (X["age"] - 45) / 20
    score += 0.6 * X["owns_home"] + 0.5 * X["job"].isin(["nurse", "teacher"])
    sure = np.abs(score + 0.6) > 1e-3  # money is rounded
    assert (np.where(score > -0.6, "repaid", "default") == y)[sure].all()
