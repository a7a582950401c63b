"""All measures of distortion of one representation beside their reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, cast

from numpy.typing import ArrayLike

from sklearn_iso._protocols import RandomState
from sklearn_iso.metrics._distortion import constant_distance_stress
from sklearn_iso.metrics._distortion_scorer import MEASURES
from sklearn_iso.metrics._frames import frame_of
from sklearn_iso.metrics._pairs import Sampling, check_pair_of_spaces, pair_distances
from sklearn_iso.metrics._signatures import Metric
from sklearn_iso.metrics._weights import weighted

if TYPE_CHECKING:
    from pandas import DataFrame

#: What each measure is for a map that keeps all distances.
_PERFECT = {"stress": 0.0} | dict.fromkeys(
    ("shepard_correlation", "bi_lipschitz_ratio", "trustworthiness", "continuity"), 1.0
)


@dataclass(frozen=True)
class DistortionReport:
    """What :func:`distortion_report` found; prints as a table.

    Attributes
    ----------
    values, std_errors : dict of str to float
        Each measure, and the standard error of the draw; 0.0 where nothing was drawn.
    floor : float
        The stress of a map that puts all points at one distance from each other.
    n_samples, n_neighbors : int
    within_class : bool
        Whether only pairs of one class count.

    Examples
    --------
    >>> from sklearn_iso.metrics import distortion_report
    >>> rectangle = [[0, 0], [4, 0], [0, 3], [4, 3], [2, 1]]
    >>> flattened = [[x, y / 2] for x, y in rectangle]
    >>> print(distortion_report(rectangle, flattened, n_neighbors=2))
    Distortion of 5 points: all pairs, expansion and contraction at the 95% quantile, 2 neighbours
    <BLANKLINE>
    measure                        value  std error  isometry
    stress                        0.1816          0         0
    shepard_correlation              0.7          0         1
    expansion                          1          0
    contraction                        2          0
    bi_lipschitz_ratio                 2          0         1
    trustworthiness                    1          0         1
    continuity                         1          0         1
    stress of constant distances  0.2749
    <BLANKLINE>
    The stress lies below that of constant distances.
    """

    values: dict[str, float]
    std_errors: dict[str, float]
    floor: float
    n_samples: int
    n_neighbors: int
    within_class: bool

    def to_frame(self) -> DataFrame:
        """Return a pandas DataFrame, a row for each measure.

        Returns
        -------
        table : pandas.DataFrame
            The value, the standard error and the value of an isometry.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = {"value": self.values, "std_error": self.std_errors, "isometry": _PERFECT}
        return frame_of(columns, type(self).__name__, "values").loc[list(self.values)]

    def _rows(self) -> list[tuple[str, str, str, str]]:
        rows = [("measure", "value", "std error", "isometry")]
        for name, value in self.values.items():
            perfect = f"{_PERFECT[name]:g}" if name in _PERFECT else ""
            rows.append((name, f"{value:.4g}", f"{self.std_errors[name]:.2g}", perfect))
        rows.append(("stress of constant distances", f"{self.floor:.4g}", "", ""))
        return rows

    def _heading(self) -> str:
        pairs = "pairs of one class" if self.within_class else "all pairs"
        return (
            f"Distortion of {self.n_samples} points: {pairs}, expansion and contraction at the "
            f"95% quantile, {self.n_neighbors} neighbours"
        )

    def _verdict(self) -> str:
        if self.values["stress"] < self.floor:
            return "The stress lies below that of constant distances."
        return (
            "The stress is no lower than that of a map that puts all points at one distance: the "
            "number alone proves nothing. Look at shepard_correlation."
        )

    def __str__(self) -> str:
        rows = self._rows()
        first, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for name, *cells in rows:
            numbers = [c.rjust(width) for c, width in zip(cells, widths, strict=True)]
            lines.append("  ".join([name.ljust(first), *numbers]).rstrip())
        return "\n".join([self._heading(), "", *lines, "", self._verdict()])

    def _repr_html_(self) -> str:
        head, *body = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._rows()]
        rows = "".join(f"<tr>{row}</tr>" for row in body)
        return (
            f"<div><p>{escape(self._heading())}</p><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table><p>{escape(self._verdict())}</p></div>"
        )


def distortion_report(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    max_exact: int = 2000,
    n_pairs: int = 200_000,
    random_state: RandomState = 0,
    sample_weight: ArrayLike | None = None,
) -> DistortionReport:
    r"""Return every measure of distortion of a representation Z of X.

    Beside the stress stands that of a map that puts all points at one distance,
    :math:`\sqrt{1 - \bar{d_X}^2 / \overline{d_X^2}}`: it falls with the dimension of X, and on
    many data it is lower than that of any plane embedding, so that stress alone misleads.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space; further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        Their representations, sample by sample.
    y : array-like of shape (n_samples,), default=None
        Class labels. If given, only pairs of the same class count; neighbourhoods know none.
    n_neighbors : int, default=10
        Of trustworthiness and continuity.
    metric : {"euclidean", "cityblock", "chebyshev"} or a synonym, default="euclidean"
        Distance, of both spaces. Synonyms: "l2"; "manhattan", "l1"; "linf", "infinity".
    max_exact : int, default=2000
        Up to as many pairs as this number of points has, 1,999,000 by default, all pairs count.
    n_pairs : int, default=200_000
        With more eligible pairs than that, this many are drawn uniformly, with replacement.
    random_state : int, RandomState instance or None, default=0
        Seed of that draw.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, as each measure takes them.

    Returns
    -------
    report : DistortionReport
        Prints as a table.

    Raises
    ------
    ValueError
        If the points or a parameter break their rule.

    References
    ----------
    Smelser, Miller and Kobourov, "'Normalized Stress' is Not Normalized: How to Interpret Stress
    Correctly", BELIV 2024, arXiv 2408.07724.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_iso.metrics import distortion_report
    >>> X, y = load_iris(return_X_y=True)
    >>> report = distortion_report(X, PCA(2).fit_transform(X))
    >>> round(report.values["stress"], 3), round(report.floor, 3)
    (0.04, 0.54)
    """
    sampling = Sampling(metric, max_exact, n_pairs, random_state).checked()
    weight, X, Z, y = weighted(sample_weight, X, Z, y)
    X, Z, classes = check_pair_of_spaces(X, Z, y)
    of_pairs = {**sampling._asdict(), "y": y, "sample_weight": weight}
    of_points = {"n_neighbors": n_neighbors, "metric": metric, "max_exact": max_exact,
                 "random_state": random_state, "sample_weight": weight}  # fmt: skip
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    for name, measure in MEASURES.items():
        options: Mapping[str, object] = of_pairs if measure.of_pairs else of_points
        found = measure.function(X, Z, return_std_error=True, **options)
        values[name], errors[name] = cast(tuple[float, float], found)
    pairs = pair_distances(X, Z, classes, weight=weight, **sampling._asdict())
    floor = constant_distance_stress(pairs.d_X, pairs.weight)
    return DistortionReport(values, errors, floor, len(X), n_neighbors, y is not None)
