"""A table as people have it: numbers, words, truth values, and gaps."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from sklearn_iso._protocols import RandomState
from sklearn_iso._randomness import private_random_state
from sklearn_iso._typed import validate_params

if TYPE_CHECKING:
    import pandas as pd

JOBS, REGIONS = ("clerk", "cook", "nurse", "teacher"), ("north", "south", "west")


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "missing": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_loans(
    n_samples: int = 1000,
    *,
    noise: float = 0.5,
    missing: float = 0.08,
    random_state: RandomState = None,
) -> tuple[pd.DataFrame, NDArray]:
    r"""Make a table of loans, with mixed columns and gaps, and whether they were paid back.

    .. math:: s = 1.2 \, (\log \text{income} - 10) - \text{debt} / 10^4
              + (\text{age} - 45) / 20 + 0.6 \, [\text{owns home}]
              + 0.5 \, [\text{nurse or teacher}] + \sigma z, \qquad z \sim N(0, 1)

    A loan is "repaid" where s > -0.6, else a "default".

    Parameters
    ----------
    n_samples : int, default=1000
    noise : float, default=0.5
        The :math:`\sigma`: with more of it classes overlap more.
    missing : float, default=0.08
        Share of the incomes and of the jobs that are missing, at random.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    X : pandas.DataFrame of shape (n_samples, 6)
        "age" in whole years, "income" and "debt" in money, "job" as text, "owns_home" as booleans
        and "region" as a categorical.
    y : ndarray of str of shape (n_samples,)
        "default" or "repaid".

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    ImportError
        If pandas is not installed.

    Examples
    --------
    >>> from sklearn_iso.datasets import make_loans
    >>> X, y = make_loans(3, random_state=0)
    >>> X["age"].tolist(), X["job"].tolist(), y.tolist()
    ([62, 65, 71], ['cook', 'cook', 'clerk'], ['repaid', 'repaid', 'repaid'])
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "make_loans needs pandas. Install it with pip install 'sklearn-iso[data]'."
        ) from error
    rng = private_random_state(random_state)
    age, income = rng.randint(18, 80, n_samples), rng.lognormal(10, 0.5, n_samples)
    debt, home = rng.gamma(2, 5000, n_samples), rng.random_sample(n_samples) < 0.4
    job = np.array(JOBS, dtype=object)[rng.randint(len(JOBS), size=n_samples)]
    region = np.array(REGIONS)[rng.randint(len(REGIONS), size=n_samples)]
    score = 1.2 * (np.log(income) - 10) - debt / 1e4 + (age - 45) / 20 + 0.6 * home
    score += 0.5 * np.isin(job, ("nurse", "teacher")) + noise * rng.standard_normal(n_samples)
    income[rng.random_sample(n_samples) < missing] = np.nan
    job[rng.random_sample(n_samples) < missing] = None
    columns = {"age": age, "income": income.round(), "debt": debt.round(), "job": job}
    table = pd.DataFrame(columns | {"owns_home": home})
    table["region"] = pd.Categorical(region, categories=list(REGIONS))
    return table, np.where(score > -0.6, "repaid", "default")
