"""A report of natural robustness: the score under noise, drift, missing values and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_consistent_length
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_iso._protocols import Predictor, RandomState
from sklearn_iso._randomness import private_random_state
from sklearn_iso._threat.parts import PerFeature
from sklearn_iso._typed import validate_params
from sklearn_iso.metrics._corruption_lines import CorruptionLine, CorruptionRun
from sklearn_iso.metrics._corruption_text import as_html, as_text
from sklearn_iso.metrics._corruptions import (
    Corruptible,
    CorruptibleTable,
    Dose,
    Severities,
    alone,
    doses_of,
)
from sklearn_iso.metrics._evidence import Evidence, write
from sklearn_iso.metrics._frames import frame_of
from sklearn_iso.metrics._image_corruptions import CorruptibleImages
from sklearn_iso.metrics._scored import measure_of
from sklearn_iso.metrics._weights import weighted
from sklearn_iso.modules._ambient import gradients_on

if TYPE_CHECKING:
    import pandas as pd

#: So many columns are looked at alone by default.
MOST_COLUMNS = 100


@dataclass(frozen=True, eq=False)
class CorruptionReport:
    """What :func:`corruption_report` found; it prints as a table.

    Attributes
    ----------
    estimator_name : str
    scoring : str
        Name of the score; greater is better.
    n_samples : int
        Number of samples, those of weight 0 left out.
    n_repeats : int
        Of corruptions that draw.
    clean : float
        The score without corruption.
    clean_interval : (float, float) or None
        Its 95% interval; None where none exists.
    lines : tuple of CorruptionLine
        All columns at once, for each corruption and severity; then each column alone.
    left_out : str
        Why columns were not looked at alone, empty if they were.
    evidence : Evidence
        Settings, versions and hashes, for :meth:`to_json`.

    Examples
    --------
    See :func:`corruption_report`.

    >>> from sklearn_iso.metrics import CorruptionReport
    >>> CorruptionReport.__name__
    'CorruptionReport'
    """

    estimator_name: str
    scoring: str
    n_samples: int
    n_repeats: int
    clean: float
    clean_interval: tuple[float, float] | None
    lines: tuple[CorruptionLine, ...]
    left_out: str = ""
    evidence: Evidence = field(default_factory=Evidence, repr=False)

    @property
    def table(self) -> list[dict[str, str | float | None]]:
        """The lines, each as a dict: one for each corruption, severity and column."""
        return [asdict(line) for line in self.lines]

    @property
    def worst_columns(self) -> dict[str, float]:
        """The largest drop of each column alone, worst first.

        Only of columns that hurt: the 95% interval of a drop lies above 0.
        """
        drops: dict[str, float] = {}
        for line in self.lines:
            if line.column is not None and line.hurts and line.drop is not None:
                drops[line.column] = max(line.drop, drops.get(line.column, 0.0))
        return dict(sorted(drops.items(), key=lambda item: -item[1]))

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a pandas DataFrame.

        Returns
        -------
        table : pandas.DataFrame
            A row for each line of the printed table.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return frame_of(self.table, type(self).__name__, "table")

    def to_json(self, path: str | Path | None = None, *, date: str | None = None) -> str:
        """Return all figures with settings, versions and hashes as JSON, and write it to a file.

        Parameters
        ----------
        path : path-like, optional
            Where to write it.
        date : str, optional
            Told as it is; without one there is none, and equal calls give equal text.

        Returns
        -------
        str
            Valid JSON. Null is what does not exist, such as the score of a line that the
            estimator refused.

        Raises
        ------
        ValueError, TypeError
            If path names no file, or date is no text.

        Examples
        --------
        >>> import json
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn_iso.metrics import corruption_report
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = LogisticRegression(max_iter=500).fit(X, y)
        >>> report = corruption_report(classifier, X, y, corruptions="missing")
        >>> line = json.loads(report.to_json())["results"]["table"][0]
        >>> line["severity"], line["score"], line["refused"]
        (0.1, None, 'ValueError: Input X contains NaN.')
        """
        figures = {
            "score": self.scoring,
            "n_samples": self.n_samples,
            "clean": self.clean,
            "clean_interval": self.clean_interval,
            "table": self.table,
            "worst_columns": self.worst_columns,
            "columns_alone": self.left_out or "all",
        }
        return write(
            "corruption_report", self.estimator_name, figures, self.evidence, path=path, date=date
        )

    def __str__(self) -> str:
        """Return a table for people."""
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict"])],
        "corruptions": [str, list, tuple],
        "severities": ["array-like", dict, Real, None],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "by_column": ["boolean", StrOptions({"auto"})],
        "image_shape": ["array-like", None],
        "random_state": ["random_state"],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=False,
)
@gradients_on()
def corruption_report(
    estimator: Predictor,
    X: ArrayLike,
    y: ArrayLike,
    *,
    corruptions: str | Sequence[str] = "auto",
    severities: Severities | None = None,
    n_repeats: int = 5,
    scoring: str | Callable[..., float] | None = None,
    by_column: bool | str = "auto",
    units: PerFeature | None = None,
    image_shape: Sequence[int] | None = None,
    random_state: RandomState = 0,
    sample_weight: ArrayLike | None = None,
) -> CorruptionReport:
    r"""Evaluate any fitted estimator on samples that go wrong by themselves, without an attacker.

    ============ ============================================ ======================= ==========
    corruption   what happens                                 severity                columns
    ============ ============================================ ======================= ==========
    "noise"      Gaussian noise is added                      standard deviations     numbers
    "drift"      all values rise, or all fall; the worse      standard deviations     numbers
    "rounding"   values fall on a grid                        standard deviations     numbers
    "outliers"   cells move by 10 standard deviations         probability of a cell   numbers
    "missing"    cells go missing completely at random        probability of a cell   all
    "swapped"    cells get another category seen in X         probability of a cell   categories
    ============ ============================================ ======================= ==========

    of images instead

    ============ ============================================ ============================
    "noise"      Gaussian noise, within the range of X        standard deviations of pixels
    "blur"       a Gaussian filter                            its width in pixels
    "shift"      up, down, left or right; the edge repeats    pixels
    "contrast"   pixels move to the mean of their image       share of the way
    "occlusion"  a square of the mean of all pixels           side, share of the shorter one
    ============ ============================================ ============================

    Standard deviations are those of X itself, or `units`. Text, categories, bool and numbers of
    dtype category are categories. The estimator is asked with the container, the names and the
    dtypes of X; integers that get noise become floats. Severity 0 is X itself. Random numbers
    belong to a corruption, column and repeat: the figures of one do not depend on which others
    are asked for, and the cells that are hit at one severity are also hit at all larger ones.

    Parameters
    ----------
    estimator : fitted classifier, regressor or pipeline
        Any that `scoring` can score.
    X : array-like, sparse matrix, pandas or polars DataFrame of shape (n_samples, n_columns)
        What a user passes to ``predict``; text, categories and missing values too. Or images of
        shape (n_samples, height, width), with the channels first or last where there are some.
    y : array-like of shape (n_samples,)
    corruptions : "auto", str or list of str
        "auto": all that apply to a column of X.
    severities : float, list of float, or dict of these by corruption, default=None
        None: 0.1, 0.3 and 1, but of images 0.5, 1 and 2 for "blur", 1, 2 and 4 for "shift", 0.3,
        0.6 and 0.9 for "contrast", and 0.2, 0.4 and 0.6 for "occlusion".
    n_repeats : int
        Repeats of what is drawn; drift, rounding, blur and contrast draw nothing.
    scoring : str, callable or None
        The name of a scorer of scikit-learn, or a callable ``(estimator, X, y)``; greater is
        better. None: accuracy of classifiers, R2 of regressors.
    by_column : bool or "auto"
        Whether to corrupt each column alone too, at the largest severity of each corruption;
        "auto" does up to 100 columns.
    units : float, array-like of shape (n_columns,), values by name, default=None
        What a standard deviation is: that of training samples, for example. Columns that are not
        named keep that of X. One number for images.
    image_shape : (height, width), with the channels first or last where there are several
        What a flat sample holds.
    random_state : int, RandomState or None
        Decides all draws.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the samples; those of weight 0 are left out.

    Returns
    -------
    CorruptionReport
        Intervals are of 95%, for new samples like these under new draws. Of accuracies they are
        Wilson's, of as many samples as have the variance of the shares of repeats in which each
        sample is right; of other scores those of a jackknife over 20 groups of samples. Drops are
        compared sample by sample, or group by group. They are not adjusted for the number of
        lines, nor for the choice of the worse drift. Where the estimator raises an error or
        predicts NaN, the line says so and has no score.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the clean score is NaN.
    TypeError
        If estimator is neither a classifier nor a regressor, and scoring is None.

    References
    ----------
    Hendrycks, Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations, ICLR 2019.
    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal of the
    American Statistical Association 22, 1927.
    Agresti, Min, Simple Improved Confidence Intervals for Comparing Matched Proportions,
    Statistics in Medicine 24, 2005.
    Efron, Tibshirani, An Introduction to the Bootstrap, Chapman and Hall 1993.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics import corruption_report
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> classifier = LogisticRegression(tol=1e-8, max_iter=500).fit(X, y)
    >>> report = corruption_report(
    ...     classifier, X, y, corruptions=["noise", "missing"], severities=[0.3, 1]
    ... )
    >>> print(report)
    Corruption of LogisticRegression: accuracy, 150 samples, 5 repeats
    Clean: 0.973 [0.933, 0.990]
    <BLANKLINE>
    corruption  severity    score    95% interval   drop  worst column alone
    noise            0.3    0.917  [0.882, 0.943]  0.056
    noise              1    0.664  [0.621, 0.704]  0.309  petal length (cm) 0.297
    missing          0.3  refused                         ValueError: Input X contains NaN.
    missing            1  refused                         ValueError: Input X contains NaN.
    <BLANKLINE>
    Columns that hurt alone, by their largest drop: petal length (cm) 0.297, petal width (cm) 0.091.
    """
    check_is_fitted(estimator)
    check_consistent_length(X, y)
    weight, X, y = weighted(sample_weight, X, y)
    seed = int(private_random_state(random_state).randint(np.iinfo(np.int32).max))
    subject = _subject(X, image_shape, units)
    measure = measure_of(estimator, y, weight, scoring, seed)
    doses = doses_of(subject, corruptions, severities)
    run = CorruptionRun(subject, measure, n_repeats, seed)
    left_out = _left_out(subject, by_column)
    lines = [run.line(dose) for one in doses.values() for dose in one]
    if not left_out:
        largest = [max(one, key=lambda dose: dose.severity) for one in doses.values()]
        lines += [run.line(dose) for dose in _alone(subject, largest)]
    settings = {
        "corruptions": {name: [dose.severity for dose in one] for name, one in doses.items()},
        "n_repeats": n_repeats, "by_column": by_column, "units": units, "image_shape": image_shape,
        "random_state": random_state, "scoring": scoring,
        "weighted": weight is not None,
    }  # fmt: skip
    return CorruptionReport(
        estimator_name=type(estimator).__name__,
        scoring=measure.name,
        n_samples=_num_samples(y),
        n_repeats=n_repeats,
        clean=run.clean.score,
        clean_interval=measure.interval(run.clean, 1),
        lines=tuple(lines),
        left_out=left_out,
        evidence=Evidence.of(settings, estimator, X, y, weight),
    )


def _subject(
    X: ArrayLike, image_shape: Sequence[int] | None, units: PerFeature | None
) -> Corruptible:
    is_image = image_shape is not None or np.ndim(X) in (3, 4)
    return CorruptibleImages(X, image_shape, units) if is_image else CorruptibleTable(X, units)


def _left_out(subject: Corruptible, by_column: bool | str) -> str:
    n = len(subject.names)
    if not n and by_column is True:
        raise ValueError(
            "by_column=True is about the columns of tables; got images. Leave it out, or leave out "
            "image_shape."
        )
    if not n:
        return "images have no columns"
    if by_column == "auto" and n > MOST_COLUMNS:
        return f"{n} columns are more than {MOST_COLUMNS}; by_column=True looks at each alone"
    return "" if by_column else "by_column=False"


def _alone(subject: Corruptible, doses: Iterable[Dose]) -> Iterable[Dose]:
    for dose in doses:
        for column in subject.positions(dose.corruption):
            yield alone(dose, column)
