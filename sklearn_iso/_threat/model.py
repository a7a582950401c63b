"""The threat model: what an attack may do to a sample, as one value."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, TypedDict, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._geometry.l0 import L0
from sklearn_iso._geometry.norms import NORMS, Norm, NormName, get_norm
from sklearn_iso._protocols import Samples
from sklearn_iso._threat.named import Columns, Named
from sklearn_iso._threat.observed import Observed
from sklearn_iso._threat.parts import (
    SIDES,
    Bounds,
    Chosen,
    Groups,
    Mask,
    ObservedRange,
    PerFeature,
    Values,
    bounds_of,
    categories_of,
    changes_of,
    check_order,
    check_some_left,
    immutable_of,
    like,
    numbers_of,
    shown,
    units_of,
    values_of,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Options(TypedDict, total=False):
    """Parameters of :class:`ThreatModel` beside the norm."""

    units: PerFeature | None
    bounds: Bounds | None
    immutable: Chosen | None
    categories: Groups | None
    max_changes: int


class ThreatParts(Options, total=False):
    """Parameters of :class:`ThreatModel`."""

    norm: NormName | float | Norm


@dataclass(frozen=True)
class Features:
    """The shape of a sample of X, and the names of its columns where it has some.

    Parameters
    ----------
    shape : tuple of int
    names : list or None

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso._threat.model import Features
    >>> Features.of(pd.DataFrame({"age": [42], "height": [1.8]})).positions(["height"], "immutable")
    (1,)
    """

    shape: tuple[int, ...]
    names: list[Hashable] | None = None

    @classmethod
    def of(cls, X: Samples) -> Features:
        """Return the features of an array, a tensor, a sparse matrix or a frame."""
        shape = tuple(X.shape) if hasattr(X, "shape") else np.shape(cast(ArrayLike, X))
        return cls(shape[1:], list(X.columns) if hasattr(X, "columns") else None)

    def values(self, values: Values, what: str, remedy: str | None = None) -> Values:
        """Return one number, or one for each feature in the order of the columns.

        Raises
        ------
        ValueError
            If they name other features than the columns of X, or have another shape.
        """
        if isinstance(values, Named):
            self._check_is_table(what)
            return values_of(values.in_order(self.names, self.shape[0], remedy or what), what)
        shape = numbers_of(values).shape
        if shape not in ((), self.shape):
            raise ValueError(
                f"{what} must be one number or one for each feature, of shape {self.shape}; got "
                f"shape {shape}."
            )
        return values

    def _check_is_table(self, what: str) -> None:
        if len(self.shape) != 1:
            raise ValueError(
                f"{what} may name features only where X is a table; samples of X have shape "
                f"{self.shape}. Pass an array of the shape of a sample."
            )

    def mask(self, immutable: Mask | Named | Columns | None) -> Mask | None:
        """Return which features are immutable."""
        if immutable is None:
            return None
        if isinstance(immutable, Named):
            self._check_is_table("immutable")
            return Mask.of(immutable.in_order(self.names, self.shape[0], "immutable"))
        if isinstance(immutable, Mask):
            shape, found = immutable.shape, immutable
        elif len(self.shape) == 1:
            return Mask(self.shape, tuple(sorted(set(self.positions(immutable, "immutable")))))
        else:
            shape, found = (len(immutable),), None
        if shape != self.shape or found is None:
            raise ValueError(
                "immutable must be a mask of booleans, one for each feature, of shape "
                f"{self.shape}; got shape {shape}."
            )
        return found

    def group(self, group: Columns) -> Columns:
        """Return the column numbers of a group of categories."""
        if len(self.shape) != 1:
            raise ValueError(
                f"categories need X of shape (n, n_features); samples have shape {self.shape}. "
                "Flatten the samples."
            )
        return self.positions(group, "categories")

    def positions(self, columns: Columns | list[Hashable], what: str) -> tuple[int, ...]:
        """Return the positions of columns told by number or by name.

        Raises
        ------
        ValueError
            If a column is not there.
        """
        n_features, numbers = self.shape[0], [c for c in columns if isinstance(c, int)]
        if len(numbers) == len(columns) and not self._have_names_like_numbers():
            if max(numbers) >= n_features:
                raise ValueError(
                    f"{what} must hold column numbers from 0 to {n_features - 1}; got "
                    f"{list(columns)!r}."
                )
            return tuple(numbers)
        known = {name: position for position, name in enumerate(self.names or [])}
        missing = [name for name in columns if name not in known]
        if missing:
            have = f"columns {self.names}" if self.names else "no column names"
            raise ValueError(
                f"{what} must hold column numbers or names of columns of X; found {missing[:5]}, "
                f"and X has {have}."
            )
        return tuple(known[name] for name in columns)

    def _have_names_like_numbers(self) -> bool:
        """Whether columns are named by numbers that are not their positions."""
        names = self.names
        if names is None or not all(isinstance(name, int | np.integer) for name in names):
            return False
        return names != list(range(len(names)))


@dataclass(frozen=True, init=False, repr=False)
class ThreatModel:
    r"""What an attack may do to a sample: how far it may move it, and what must stay.

    .. math:: \|(x' - x) / u\| \le \varepsilon, \qquad low \le x' \le high

    with the units u of the features. A budget `eps`, which the functions that attack take beside
    the threat, is a multiple of these units. One threat serves metrics, scorers, attacks and
    displays alike; wherever one is asked for, the name of a norm is short for a threat of that
    norm alone. Threats compare, hash and pickle. Columns told by name are looked up in the X at
    hand.

    Parameters
    ----------
    norm : {"linf", "l2", "l1", "l0"}, {numpy.inf, 2, 1, 0} or Norm, default="linf"
        Norm of the perturbation over the units. "l0" counts the features that change, however far
        within the bounds, which it needs: a budget is a whole number of features, and units are
        of no matter but where they are 0.
    units : float, array-like of the shape of a sample, or values by name, default=None
        Unit of each feature, such as ``X.std()``; features of unit 0 stay as they are. None: 1,
        the units of X. Values that come with names, in a pandas Series, a frame of one row or a
        dict, follow the columns of X by name.
    bounds : (low, high), default=None
        Range of the raw features, each side a number, one for each feature, or values by name.
        Perturbed points stay inside.
    immutable : list of column numbers or names, or mask of bool, default=None
        Features that stay as they are. A mask has the shape of a sample, or comes with names.
    categories : list of lists of column numbers or names, default=None
        Columns of each one-hot encoded feature. They have no part in the ball: in up to
        `max_changes` groups of a sample an attack chooses another category, whatever eps, and
        each group keeps exactly one 1. A column that is immutable or has unit 0 is never set or
        cleared.
    max_changes : int, default=1
        Most groups of categories that change in a sample.

    Raises
    ------
    ValueError
        If a part is out of its range: units that are negative, infinite, or all 0, bounds that
        cross, every feature immutable, groups that share a column.

    Examples
    --------
    >>> from sklearn_iso import ThreatModel
    >>> ThreatModel("l2", bounds=(0, 1))
    ThreatModel('l2', bounds=(0, 1))
    >>> ThreatModel() == ThreatModel("linf")
    True
    >>> ThreatModel(units={"age": 10, "height": 0.1}, immutable=["age"])
    ThreatModel(units={'age': 10, 'height': 0.1}, immutable=('age',))
    """

    norm: Norm
    units: Values | None
    bounds: tuple[Values, Values] | None
    immutable: Mask | Named | Columns | None
    categories: tuple[Columns, ...] | None
    max_changes: int

    def __init__(
        self,
        norm: NormName | Literal["l0"] | float | Norm = "linf",
        *,
        units: PerFeature | None = None,
        bounds: Bounds | None = None,
        immutable: Chosen | None = None,
        categories: Groups | None = None,
        max_changes: int = 1,
    ) -> None:
        groups = categories_of(categories)
        parts = {
            "norm": _norm_of(norm),
            "units": units_of(units),
            "bounds": bounds_of(bounds),
            "immutable": immutable_of(immutable),
            "categories": groups,
            "max_changes": changes_of(max_changes, groups),
        }
        for name, part in parts.items():
            object.__setattr__(self, name, part)  # once: the class is frozen

    @classmethod
    def from_data(cls, X: Samples, **overrides: Unpack[ThreatParts]) -> ThreatModel:
        """Read units, bounds and what must stay off data.

        Units are the standard deviations of the numeric columns (of all values, with n and not
        n - 1 in the denominator), bounds their least and largest values; NaN does not count.
        Where samples under attack lie beyond these bounds, they are widened to hold them, unlike
        bounds that are passed.
        Columns of text, categories and booleans are immutable. So are columns of one value
        alone: data tell no unit of them, which counts as 1, and no other value they might take.

        Parameters
        ----------
        X : array-like, sparse matrix, or pandas or polars DataFrame
            Columns of frames are told by name, so that the threat follows them into other
            frames.
        **overrides
            Parameters of :class:`ThreatModel`, which count in place of what the data say.

        Returns
        -------
        ThreatModel

        Raises
        ------
        ValueError
            If X is empty or names a column twice, or no column is left to the attack.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_iso import ThreatModel
        >>> X = pd.DataFrame({"age": [30.0, 50.0], "smokes": [True, False]})
        >>> ThreatModel.from_data(X, norm="l2", bounds=None)
        ThreatModel('l2', units={'age': 10, 'smokes': 1}, immutable=('smokes',))
        """
        parts: ThreatParts = {**Observed.of(X).parts(), **overrides}
        return cls(**parts)

    def resolve(self, X: Samples) -> ThreatModel:
        """Return the same threat for the columns of X: by position, and in their order.

        Parameters
        ----------
        X : array-like, tensor, sparse matrix or DataFrame of shape (n_samples, ...)

        Returns
        -------
        ThreatModel
            Its units and bounds are numbers or have the shape of a sample, `immutable` is a mask
            and `categories` hold column numbers.

        Raises
        ------
        ValueError
            If a part names columns that X does not have, or is not of the shape of a sample.

        Examples
        --------
        >>> import pandas as pd
        >>> from sklearn_iso import ThreatModel
        >>> threat = ThreatModel(units={"age": 10, "height": 0.1}, immutable=["age"])
        >>> threat.resolve(pd.DataFrame({"height": [1.8], "age": [42]}))
        ThreatModel(units=(0.1, 10), immutable=<mask of 1 among 2 features>)
        """
        features = Features.of(X)
        bounds, groups = self.bounds, self.categories
        if bounds is not None:
            low, high = (
                features.values(side, f"the {name} of bounds", "bounds")
                for side, name in zip(bounds, SIDES, strict=True)
            )
            check_order(numbers_of(low), numbers_of(high), shown((low, high)))
            bounds = like(bounds, low, high)
        if groups is not None:
            groups = tuple(features.group(group) for group in groups)
        fixed = features.mask(self.immutable)
        if fixed is not None:
            check_some_left(fixed.array())
        units = None if self.units is None else features.values(self.units, "units")
        return replace(self, units=units, bounds=bounds, immutable=fixed, categories=groups)

    def holding(self, low: NDArray, high: NDArray) -> ThreatModel:
        """Return the threat with bounds that hold some range, where data have shown them.

        Parameters
        ----------
        low, high : ndarray of the shape of a sample
            Least and largest values of the samples under attack.
        """
        if not isinstance(self.bounds, ObservedRange):
            return self
        least, most = (numbers_of(side) for side in self.bounds)
        return replace(self, bounds=(np.minimum(least, low), np.maximum(most, high)))

    def radius(self, eps: float) -> NDArray:
        """Return how far a budget lets each feature move: eps times the units, in float64."""
        return eps * (np.ones(()) if self.units is None else numbers_of(self.units))

    def widest(self, eps: float) -> NDArray:
        """Return how far a feature moves at most, but for the bounds: anywhere with norm "l0"."""
        return np.full((), np.inf) if self.norm.name == "l0" else self.radius(eps)

    def immutable_mask(self) -> NDArray:
        """Return which features are immutable, once :meth:`resolve` has found them in an X."""
        if not isinstance(self.immutable, Mask):
            raise TypeError("immutable must be a mask; call resolve(X) first.")
        return self.immutable.array()

    def __repr__(self) -> str:
        """Return the parts that are not the default."""
        told = [] if self.norm.name == "linf" else [repr(self.norm.name)]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value != (1 if field.name == "max_changes" else None):
                told.append(f"{field.name}={shown(value)}")
        return f"ThreatModel({', '.join(told)})"


def _norm_of(norm: NormName | Literal["l0"] | float | Norm) -> Norm:
    """Return a norm, or the count of features that stands among them."""
    counts = isinstance(norm, int | float | str) and not isinstance(norm, bool)
    return L0() if counts and norm in ("l0", 0) else get_norm(norm)


#: What functions take: a threat, or what is short for a threat of a norm alone.
Threat = ThreatModel | NormName | Literal["l0"] | float | Norm


def as_threat(threat: Threat) -> ThreatModel:
    """Return a threat, of a norm alone where that is what came.

    Examples
    --------
    >>> from sklearn_iso._threat import as_threat
    >>> as_threat("l2")
    ThreatModel('l2')
    """
    if isinstance(threat, ThreatModel):
        return threat
    try:
        return ThreatModel(threat)
    except (TypeError, ValueError):
        known = ", ".join(map(repr, NORMS))
        raise ValueError(
            f"threat must be a ThreatModel or a norm, one of {known} (or numpy.inf, 2, 1), or "
            f"'l0'; got {threat!r}. Pass for example ThreatModel('l2', units=X.std())."
        ) from None
