"""Rules of the data that hold between columns: linear relations, read from text."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._protocols import Samples
from sklearn_iso._threat.categories import members
from sklearn_iso._threat.features import Features
from sklearn_iso._threat.observed import _numbers
from sklearn_iso._threat.parts import Columns, as_array, columns_told

_HOW = (
    'relations must be linear in the columns, such as "total == a + b", "debt <= limit" or '
    '"0.5*a - b >= 2", with other names in backquotes'
)
_PLACE = "_quoted_{}_"
#: What a user says of X, in the container that came in: X as repaired, or which samples are valid.
UserRule = Callable[[Any], Any]
Sense = Literal["==", "<="]


@dataclass(frozen=True, repr=False)
class Relation:
    r"""A linear relation between columns, :math:`\sum_j c_j x_j = b` or :math:`\le b`.

    Parameters
    ----------
    terms : tuple of (name or number of a column, coefficient)
        Sorted, none of them 0.
    sense : {"==", "<="}
    bound : float
    dependent : name or number of a column, or None
        The one that an equation sets, where it is all of its left side.
    text : str
        What was read; it does not count in comparisons.

    Examples
    --------
    >>> from sklearn_iso._threat.rules import Relation
    >>> Relation.read("total == a + 2*`b c`")[0].terms
    (('a', -1.0), ('b c', -2.0), ('total', 1.0))
    >>> Relation.read("a >= 1") == Relation.read("-a <= -1"), Relation.read("0 <= a <= 1")
    (True, ('0 <= a', 'a <= 1'))
    """

    terms: tuple[tuple[Hashable, float], ...]
    sense: Sense
    bound: float
    dependent: Hashable = None
    text: str = field(default="", compare=False)

    @classmethod
    def read(cls, text: object) -> tuple[Relation, ...]:
        """Return the relations of a text: one, or each link of a chain ``a <= b <= c``.

        Raises
        ------
        ValueError
            If the text is no linear relation.
        """
        if not isinstance(text, str):
            raise ValueError(f"{_HOW}; got {text!r}.")
        quoted: list[str] = []

        def placed(found: re.Match[str]) -> str:
            quoted.append(found[1])
            return _PLACE.format(len(quoted) - 1)

        try:
            node = ast.parse(re.sub("`([^`]+)`", placed, text.strip()), mode="eval").body
        except SyntaxError as error:
            raise ValueError(f"{_HOW}; cannot read {text!r}: {error.msg}.") from None
        if not isinstance(node, ast.Compare):
            raise ValueError(f"{_HOW}; {text!r} holds no ==, <= or >=.")
        sides = [node.left, *node.comparators]
        links = zip(sides, node.ops, sides[1:], strict=False)
        return tuple(cls._of_link(*link, quoted=quoted, whole=text) for link in links)

    @classmethod
    def _of_link(
        cls, left: ast.expr, op: ast.cmpop, right: ast.expr, *, quoted: list[str], whole: str
    ) -> Relation:
        signs = {ast.Eq: ("==", 1), ast.LtE: ("<=", 1), ast.GtE: (">=", -1)}
        if type(op) not in signs:
            raise ValueError(f"{_HOW}; {whole!r} holds another comparison than ==, <= and >=.")
        sign, factor = signs[type(op)]
        reader = _Linear(quoted, whole)
        found = reader.sum_of(left, 1.0 * factor)
        for name, coefficient in reader.sum_of(right, -1.0 * factor).items():
            found[name] = found.get(name, 0.0) + coefficient
        bound = 0.0 - found.pop(None, 0.0)
        terms = tuple(sorted((str(name), c) for name, c in found.items() if c))
        if not terms:
            raise ValueError(f"{_HOW}; {whole!r} is about no column.")
        if not np.isfinite([bound, *(c for _, c in terms)]).all():
            raise ValueError(f"{_HOW}; {whole!r} holds a number that is not finite.")
        equal = sign == "=="
        dependent = reader.name_of(left) if equal and isinstance(left, ast.Name) else None
        if dependent not in dict(terms):
            dependent = None
        shown = f"{ast.unparse(left)} {sign} {ast.unparse(right)}"
        for number, name in enumerate(quoted):
            shown = shown.replace(_PLACE.format(number), f"`{name}`")
        return cls(terms, "==" if equal else "<=", bound, dependent, shown)

    def resolve(self, names: Sequence[Hashable] | None, n_features: int) -> Relation:
        """Return the relation between columns by their numbers.

        Raises
        ------
        ValueError
            If X does not have a column.
        """
        if all(isinstance(name, int) for name, _ in self.terms):
            place = {name: name for name, _ in self.terms if name < n_features}  # type: ignore[operator]
        elif names is None:
            place = {f"x{number}": number for number in range(n_features)}
        else:
            place = {str(name): number for number, name in enumerate(names)}
        missing = [name for name, _ in self.terms if name not in place]
        if missing:
            have = f"columns {names}" if names else f"no names; columns are x0 to x{n_features - 1}"
            raise ValueError(
                f"relations must be about columns of X; {self.text!r} holds {missing[:5]}, and X "
                f"has {have}."
            )
        terms = tuple(sorted((place[name], coefficient) for name, coefficient in self.terms))
        return replace(self, terms=terms, dependent=place.get(self.dependent))

    def coefficients(self, n_features: int) -> NDArray:
        """Return the coefficient of each column, once :meth:`resolve` has found them."""
        row = np.zeros(n_features)
        for column, coefficient in self.terms:
            row[column] = coefficient  # type: ignore[call-overload]
        return row

    def __repr__(self) -> str:
        """Return the text."""
        return repr(self.text)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


class _Linear:
    """Reads sums of columns: coefficients by name, the constant under None."""

    def __init__(self, quoted: list[str], whole: str) -> None:
        self.quoted, self.whole = quoted, whole

    def name_of(self, node: ast.Name) -> str:
        found = re.fullmatch(_PLACE.format(r"(\d+)"), node.id)
        return self.quoted[int(found[1])] if found else node.id

    def sum_of(self, node: ast.expr, factor: float) -> dict[Hashable, float]:
        if _is_number(node):
            return {None: factor * float(ast.literal_eval(node))}
        if isinstance(node, ast.Name):
            return {self.name_of(node): factor}
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
            return self.sum_of(node.operand, -factor if isinstance(node.op, ast.USub) else factor)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            total = self.sum_of(node.left, factor)
            sign = -factor if isinstance(node.op, ast.Sub) else factor
            for name, coefficient in self.sum_of(node.right, sign).items():
                total[name] = total.get(name, 0.0) + coefficient
            return total
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
            return self._product(node, factor)
        raise ValueError(f"{_HOW}; {self.whole!r} is not.")

    def _product(self, node: ast.BinOp, factor: float) -> dict[Hashable, float]:
        left, right = self.sum_of(node.left, 1.0), self.sum_of(node.right, 1.0)
        number, total = (right, left) if set(right) == {None} else (left, right)
        divides = isinstance(node.op, ast.Div)
        if set(number) != {None} or (divides and (number is left or number[None] == 0)):
            raise ValueError(f"{_HOW}; {self.whole!r} multiplies or divides by a column or by 0.")
        by = factor / number[None] if divides else factor * number[None]
        return {name: coefficient * by for name, coefficient in total.items()}


def relations_of(relations: object) -> tuple[Relation, ...] | None:
    """Return relations read from a list of texts.

    Examples
    --------
    >>> from sklearn_iso._threat.rules import relations_of
    >>> relations_of(["a <= b"])
    ('a <= b',)
    """
    if relations is None:
        return None
    if isinstance(relations, str) or not isinstance(relations, list | tuple):
        raise ValueError(
            f'relations must be a list of texts, such as ["a <= b"]; got {relations!r}.'
        )
    read: list[Relation] = []
    for one in relations:
        read.extend([one] if isinstance(one, Relation) else Relation.read(one))
    return tuple(read) or None


def columns_under(columns: object, what: str) -> Columns | None:
    """Return the columns that a rule is about, as a tuple of numbers or names.

    Examples
    --------
    >>> from sklearn_iso._threat.rules import columns_under
    >>> columns_under(["age"], "increasing"), columns_under([], "increasing")
    (('age',), None)
    """
    if columns is None:
        return None
    rule = f"{what} must be a list of column numbers or names"
    if isinstance(columns, str) and columns == "auto":
        raise ValueError(
            f"{rule}; got 'auto', which ThreatModel.from_data(X, integers='auto') takes."
        )
    given = as_array(columns)
    if given is None or given.ndim != 1 or given.dtype == bool:
        raise ValueError(f"{rule}; got {columns!r}.")
    return columns_told(given, columns, rule) if given.size else None


def one_way_of(increasing: object, decreasing: object) -> dict[str, Columns | None]:
    """Return the columns that may only grow, and those that may only fall; none may do neither.

    Examples
    --------
    >>> from sklearn_iso._threat.rules import one_way_of
    >>> one_way_of(["age"], None)
    {'increasing': ('age',), 'decreasing': None}
    """
    up, down = columns_under(increasing, "increasing"), columns_under(decreasing, "decreasing")
    both = sorted(set(up or ()) & set(down or ()), key=str)
    if both:
        raise ValueError(
            f"increasing and decreasing must not share columns; both hold {both[:5]}. Columns that "
            "stay as they are belong in immutable."
        )
    return {"increasing": up, "decreasing": down}


def callable_of(function: UserRule | None, what: str) -> UserRule | None:
    """Return a callable, or None.

    Examples
    --------
    >>> from sklearn_iso._threat.rules import callable_of
    >>> callable_of(len, "repair")
    <built-in function len>
    """
    if function is not None and not callable(function):
        raise ValueError(f"{what} must be None or a callable of X; got {function!r}.")
    return function


def whole_columns(X: Samples) -> list[Hashable]:
    """Return the columns that hold whole numbers alone and not all the same, by name or number.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.rules import whole_columns
    >>> whole_columns(np.array([[1.0, 0.5], [2.0, 3.0]]))
    [0]
    """
    values, names = _numbers(X)
    if values.ndim != 2:  # noqa: PLR2004
        raise ValueError(f"integers='auto' needs X of shape (n, n_features); got {values.shape}.")
    known = np.where(np.isfinite(values), values, 0.0)
    moves = np.nanmax(values, axis=0, initial=-np.inf) > np.nanmin(values, axis=0, initial=np.inf)
    whole = np.flatnonzero((known == np.round(known)).all(axis=0) & moves)
    return [int(at) if names is None else names[at] for at in whole]


def rules_by_position(threat: Any, features: Features) -> dict[str, Any]:
    """Return the rules of a threat for columns told by number; nothing where it has none.

    Raises
    ------
    ValueError
        If a column is not there, or belongs to categories as well.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._threat.features import Features
    >>> from sklearn_iso._threat.rules import rules_by_position
    >>> rules_by_position(ThreatModel(integers=[0]), Features.of(np.zeros((1, 2))))
    {'integers': (0,)}
    """
    names = ("integers", "increasing", "decreasing", "relations")
    told = {name: part for name in names if (part := getattr(threat, name)) is not None}
    if told and len(features.shape) != 1:
        raise ValueError(
            f"{next(iter(told))} need X of shape (n, n_features); samples have shape "
            f"{features.shape}. Flatten the samples."
        )
    relations = told.pop("relations", None)
    found: dict[str, Any] = {name: features.positions(part, name) for name, part in told.items()}
    one_way_of(found.get("increasing"), found.get("decreasing"))
    under = {column for columns in found.values() for column in columns}
    if relations is not None:
        n = features.shape[0]
        found["relations"] = tuple(one.resolve(features.names, n) for one in relations)
        under |= {column for one in found["relations"] for column, _ in one.terms}
    grouped = () if isinstance(threat.categories, str) else threat.categories or ()
    shared = sorted({one for group in grouped for one in members(group)} & under, key=str)
    if shared:
        raise ValueError(
            "Columns of categories must be in no integers, increasing, decreasing or relations; "
            f"got columns {shared[:5]} in both."
        )
    return found
