"""The threat model: what an attack may do to a sample, as one value."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._geometry.l0 import L0
from sklearn_iso._geometry.norms import NORMS, Norm, NormName, get_norm
from sklearn_iso._protocols import Samples
from sklearn_iso._threat.categories import Choice, Groups, categories_of, changes_of, one_hot
from sklearn_iso._threat.features import Features
from sklearn_iso._threat.named import Columns, Named
from sklearn_iso._threat.observed import Observed, choices
from sklearn_iso._threat.parts import (
    SIDES,
    Bounds,
    Chosen,
    GroupsLike,
    Mask,
    PerFeature,
    Values,
    bounds_of,
    check_order,
    check_some_left,
    immutable_of,
    like,
    numbers_of,
    shown,
    units_of,
    without,
)
from sklearn_iso._threat.rules import (
    Relation,
    UserRule,
    callable_of,
    columns_under,
    one_way_of,
    relations_of,
    rules_by_position,
    whole_columns,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Options(TypedDict, total=False):
    """Parameters of :class:`ThreatModel` beside the norm."""

    units: PerFeature | None
    bounds: Bounds | None
    immutable: Chosen | None
    categories: GroupsLike | None
    max_changes: int
    integers: Sequence[Hashable] | None
    increasing: Sequence[Hashable] | None
    decreasing: Sequence[Hashable] | None
    relations: Sequence[str] | None
    repair: UserRule | None
    is_valid: UserRule | None


class ThreatParts(Options, total=False):
    """Parameters of :class:`ThreatModel`."""

    norm: NormName | Literal["l0"] | float | Norm


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
    categories : list of groups and single columns, or "all", default=None
        What holds categories. A list of column numbers or names is one one-hot encoded feature;
        a single number or name is a raw column, of text or codes, of a table that metrics
        evaluate; "all" are the columns of text, categories and booleans that are not immutable.
        They have no part in the ball: in up to `max_changes` of them in a sample an attack
        chooses another category, whatever eps. Each group keeps exactly one 1, and each raw
        column one of the values that the data hold: those given to :meth:`from_data`, and those
        under attack. What is missing stays missing. A column of a group that is immutable or has
        unit 0 is never set or cleared. Columns of text that are not named here stay as they are.
    max_changes : int, default=1
        Most of the categories that change in a sample.
    integers : list of column numbers or names, default=None
        Columns of whole numbers, which move by whole numbers.
    increasing, decreasing : list of column numbers or names, default=None
        Columns that may only grow, or only fall.
    relations : list of str, default=None
        Linear relations between columns, such as ``"total == a + b"`` or ``"0.5*a <= limit"``;
        names that are no identifiers stand in backquotes, columns of arrays are x0, x1, ...
    repair : callable, default=None
        Maps X to an X of the same kind, array or frame, that obeys rules of its own. Metrics
        repair points before they judge them.
    is_valid : callable, default=None
        Maps X to one bool for each sample; for metrics a point that is not valid is no error.

    Raises
    ------
    ValueError
        If a part is out of its range: units that are negative, infinite, or all 0, bounds that
        cross, every feature immutable, groups that share a column, a relation that is not linear.
        An attack raises one where X itself breaks a rule.

    References
    ----------
    Simonetto, Ghamizi, Cordy, Constrained Adaptive Attack: Effective Adversarial Attack Against
    Deep Neural Networks for Tabular Data, NeurIPS 2024, arXiv 2406.00775.

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
    categories: Groups | None
    max_changes: int
    integers: Columns | None
    increasing: Columns | None
    decreasing: Columns | None
    relations: tuple[Relation, ...] | None
    repair: UserRule | None
    is_valid: UserRule | None

    def __init__(
        self,
        norm: NormName | Literal["l0"] | float | Norm = "linf",
        *,
        units: PerFeature | None = None,
        bounds: Bounds | None = None,
        immutable: Chosen | None = None,
        categories: GroupsLike | None = None,
        max_changes: int = 1,
        integers: Sequence[Hashable] | None = None,
        increasing: Sequence[Hashable] | None = None,
        decreasing: Sequence[Hashable] | None = None,
        relations: Sequence[str] | None = None,
        repair: UserRule | None = None,
        is_valid: UserRule | None = None,
    ) -> None:
        groups = categories_of(categories)
        parts = {
            "norm": _norm_of(norm),
            "units": units_of(units),
            "bounds": bounds_of(bounds),
            "immutable": immutable_of(immutable),
            "categories": groups,
            "max_changes": changes_of(max_changes, groups),
            **one_way_of(increasing, decreasing),
            "integers": columns_under(integers, "integers"),
            "relations": relations_of(relations),
            "repair": callable_of(repair, "repair"),
            "is_valid": callable_of(is_valid, "is_valid"),
        }
        for name, part in parts.items():
            object.__setattr__(self, name, part)  # once: the class is frozen

    @classmethod
    def from_data(cls, X: Samples, **overrides: Unpack[ThreatParts]) -> ThreatModel:
        """Read units, bounds and what must stay off data.

        Units are the standard deviations of the numeric columns (of all values, with n and not
        n - 1 in the denominator), bounds their least and largest values; NaN does not count.
        A sample under attack that lies beyond these bounds widens its own, and those of no other
        sample; beyond bounds that are passed it is an error.
        Columns of text, categories and booleans are immutable, unless `categories` names them:
        then they may become any value that X holds. Columns of one value alone are immutable,
        too: data tell no unit of them, which counts as 1, and no other value they might take.

        Parameters
        ----------
        X : array-like, sparse matrix, or pandas or polars DataFrame
            Columns of frames are told by name, so that the threat follows them into other
            frames.
        **overrides
            Any parameter of the class by its name, such as `norm` or `units`, in place of what the
            data say. ``integers="auto"`` are all columns that hold whole numbers alone; by default
            none.

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
        ThreatModel('l2', units={'age': 10}, immutable=('smokes',))
        """
        observed, categories = Observed.of(X), categories_of(overrides.get("categories"))
        if isinstance(overrides.get("integers"), str) and overrides["integers"] == "auto":
            overrides["integers"] = whole_columns(X)
        if categories is not None:
            categories = choices(X, categories)
        parts: ThreatParts = {**observed.parts(categories), **overrides}
        if categories is not None:
            parts["categories"] = categories
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
            and `categories` hold column numbers. Columns of text have unit 1 and no bounds.

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
                features.values(side, f"the {name} of bounds", "bounds", neutral)
                for side, name, neutral in zip(bounds, SIDES, (-np.inf, np.inf), strict=True)
            )
            check_order(numbers_of(low), numbers_of(high), shown((low, high)))
            bounds = like(bounds, low, high)
        fixed = features.mask(self.immutable)
        if groups is not None:
            groups = features.groups(groups, fixed)
        if fixed is not None:
            check_some_left(fixed.array())
        units = None if self.units is None else features.values(self.units, "units")
        resolved = replace(self, units=units, bounds=bounds, immutable=fixed, categories=groups)
        found = rules_by_position(resolved, features)
        return replace(resolved, **found) if found else resolved

    def radius(self, eps: float) -> NDArray:
        """Return how far a budget lets each feature move: eps times the units, in float64."""
        return eps * (np.ones(()) if self.units is None else numbers_of(self.units))

    @property
    def has_rules(self) -> bool:
        """Whether there are rules of the data, which not all points of ball and box obey."""
        rules = (self.integers, self.increasing, self.decreasing, self.relations)
        return any(rule is not None for rule in rules)

    def widest(self, eps: float) -> NDArray:
        """Return how far a feature moves at most, but for the bounds: anywhere with norm "l0"."""
        return np.full((), np.inf) if self.norm.name == "l0" else self.radius(eps)

    def one_hot(self) -> tuple[tuple[int, ...], ...]:
        """Return the groups of categories, once :meth:`resolve` has found them in an X."""
        return one_hot(self.categories)

    def immutable_mask(self) -> NDArray:
        """Return which features are immutable, once :meth:`resolve` has found them in an X."""
        if not isinstance(self.immutable, Mask):
            raise TypeError("immutable must be a mask; call resolve(X) first.")
        return self.immutable.array()

    def __repr__(self) -> str:
        """Return the parts that are not the default."""
        told = [] if self.norm.name == "linf" else [repr(self.norm.name)]
        stays = self.immutable if isinstance(self.immutable, tuple) else ()
        chosen = (one.column for one in self.categories or () if isinstance(one, Choice))
        unmoved = {*stays, *chosen}
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if field.name == "units" and value is not None:
                value = without(value, unmoved, 1.0)
            elif field.name == "bounds" and value is not None:
                sides = zip(value, (-np.inf, np.inf), strict=True)
                value = like(value, *(without(side, unmoved, free) for side, free in sides))
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
