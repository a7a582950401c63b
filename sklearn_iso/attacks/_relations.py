"""Linear relations between columns, in the coordinates that attacks move in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso._geometry.norm import Norm, along
from sklearn_iso._threat.rules import Relation

#: Projections in turns onto the ball with the box, and onto the equations.
N_TURNS = 12
#: Most times that entries are fixed at the ends of their range to get back onto the equations.
MOST_FIXES = 40
#: What counts as 0, in coordinates of order 1.
TINY = 1e-13


def _rank_rows(rows: NDArray) -> NDArray:
    """Return orthonormal rows of the same span."""
    if not rows.size:
        return rows
    _, sizes, basis = np.linalg.svd(rows, full_matrices=False)
    found: NDArray = basis[sizes > 1e-9 * max(1.0, sizes.max(initial=0.0))]
    return found


def solved_for(
    rows: NDArray, dependents: Sequence[int | None], weight: NDArray
) -> tuple[NDArray, NDArray]:
    """Solve equations for one column each.

    Parameters
    ----------
    rows : ndarray of shape (k, d)
        Coefficients; 0 in columns that stay.
    dependents : sequence of int or None
        Columns that equations were written for.
    weight : ndarray of shape (d,)
        Columns of more weight are preferred otherwise.

    Returns
    -------
    columns : ndarray of shape (k',)
        Less than k where equations say the same.
    solution : ndarray of shape (k', d)
        Their changes by those of the other columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.attacks._relations import solved_for
    >>> solved_for(np.array([[1.0, -1.0, -2.0]]), [0], np.ones(3))
    (array([0]), array([[0., 1., 2.]]))
    """
    work, columns, used = rows.astype(float), [], []
    for row, dependent in enumerate(dependents):
        size = np.abs(work[row]) * weight
        if size.max(initial=0.0) <= 1e-9 * max(np.abs(rows[row] * weight).max(initial=0.0), 1e-300):
            continue
        column = int(size.argmax())
        if dependent is not None and size[dependent] > 1e-6 * size.max():
            column = dependent
        work[row] /= work[row, column]
        others = np.arange(len(work)) != row
        work[others] -= np.outer(work[others, column], work[row])
        columns.append(column)
        used.append(row)
    solution = -work[used]
    solution[:, columns] = 0.0
    return np.array(columns, dtype=int), solution + 0.0


@dataclass(frozen=True)
class Relations:
    r"""Equations and inequalities, as a linear subspace and a box.

    .. math:: \langle c, x'\rangle = \langle c, x\rangle, \qquad \langle g, x'\rangle \le b

    An inequality is an equation with one more entry, :math:`\langle g, v\rangle + u = 0`, whose
    range says how much room it leaves at x. All relations together are then a linear subspace
    and a box.

    Parameters
    ----------
    rows : Tensor of shape (m, d), float64
        Coefficients.
    bounds : Tensor of shape (m,)
    equal : Tensor of shape (m,), bool
    told : tuple of Relation
    movable : Tensor of shape (d,), bool
    equations : Tensor of shape (k, d)
        Orthonormal, in coordinates of the budget.
    basis : Tensor of shape (k, d + l)
        The same of all relations, with an entry for each of the l inequalities.
    below : Tensor of shape (l, d)
        Inequalities in coordinates of the budget, each of length 1.
    scale : Tensor of shape (l,)
        What their coefficients were multiplied by.
    reach : Tensor of shape (m,)
        By how much relations change at most, were columns to move alone.
    dependent : Tensor of shape (k,), int
    solution : Tensor of shape (k, d)
        Changes of the dependent columns by those of the others, in units of X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._threat.rules import relations_of
    >>> from sklearn_iso.attacks._relations import Relations
    >>> told = tuple(one.resolve(None, 3) for one in relations_of(["x2 == x0 + x1"]))
    >>> relations = Relations.of(told, torch.ones(3), whole=torch.zeros(3, dtype=torch.bool))
    >>> relations.slope(torch.tensor([[1.0, 1.0, -1.0]], dtype=torch.float64)).abs() < 1e-9
    tensor([[True, True, True]])
    """

    rows: Tensor
    bounds: Tensor
    equal: Tensor
    told: tuple[Relation, ...]
    movable: Tensor
    equations: Tensor
    basis: Tensor
    below: Tensor
    scale: Tensor
    reach: Tensor
    dependent: Tensor
    solution: Tensor

    @classmethod
    def of(cls, told: tuple[Relation, ...], eps: Tensor, whole: Tensor) -> Relations:
        """Return the relations between columns that move by up to eps."""
        units = eps.double().cpu().expand(len(whole)).numpy()
        d, moves = len(units), units > 0
        rows = np.stack([one.coefficients(d) for one in told])
        equal = np.array([one.sense == "==" for one in told])
        scaled = rows * units
        size = np.linalg.norm(scaled, axis=1, keepdims=True)
        scaled = np.divide(scaled, size, out=np.zeros_like(scaled), where=size > 0)
        under = ~equal & (size[:, 0] > 0)
        lifted = np.zeros((len(told), d + int(under.sum())))
        lifted[:, :d] = scaled
        lifted[under, d:] = np.eye(int(under.sum()))
        # Columns of whole numbers seldom make up for others.
        weight = units * np.where(whole.cpu().numpy(), 1e-3, 1.0)
        named = [one.dependent for one, is_equal in zip(told, equal, strict=True) if is_equal]
        dependents = [
            n if isinstance(n, int) and not whole[n] and moves[n] else None for n in named
        ]
        dependent, solution = solved_for(rows[equal] * moves, dependents, weight)

        def tensor(values: NDArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(eps.device)

        return cls(
            tensor(rows),
            torch.tensor([one.bound for one in told], dtype=torch.float64, device=eps.device),
            tensor(equal),
            told,
            tensor(moves),
            tensor(_rank_rows(scaled[equal])),
            tensor(_rank_rows(lifted[equal | under])),
            tensor(scaled[under]),
            tensor(1 / size[under, 0]),
            tensor(np.abs(rows) @ units),
            tensor(dependent),
            tensor(solution),
        )

    def excess(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """By how much points break each relation, and the size of its terms, of shape (n, m)."""
        x = x.double()
        off = x @ self.rows.T - self.bounds
        terms = x.abs() @ self.rows.abs().T + self.bounds.abs()
        return torch.where(self.equal, off.abs(), off.clamp(min=0)), terms

    def sides(self) -> tuple[Tensor, Tensor]:
        """Least and largest values of columns, by inequalities of one column."""
        low = torch.full((self.rows.shape[1],), -torch.inf, dtype=torch.float64)
        low = low.to(self.rows.device)
        high = -low
        for row, bound in zip(self.rows[~self.equal], self.bounds[~self.equal], strict=True):
            (columns,) = row.nonzero(as_tuple=True)
            if len(columns) == 1:
                (column,) = columns.tolist()
                end = bound / row[column]
                if row[column] > 0:
                    high[column] = torch.minimum(high[column], end)
                else:
                    low[column] = torch.maximum(low[column], end)
        return low, high

    def slope(self, slope: Tensor) -> Tensor:
        """Slopes along the equations."""
        return slope - (slope @ self.equations.T) @ self.equations

    def uphill(self, slope: Tensor) -> Tensor:
        """Return steps of slopes in the geometry of the projections, which counts room as well."""
        return slope - (slope @ self.basis[:, : slope.shape[1]].T) @ self.basis[:, : slope.shape[1]]

    def lifted(self, v: Tensor) -> Tensor:
        """Coordinates with the entries of the inequalities."""
        return torch.cat([v, -(v @ self.below.T)], dim=1)

    def ranges(self, X: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the box with the room that the inequalities leave at X."""
        under = torch.tensor([r.sense == "<=" for r in self.told], device=X.device)
        used = under & ((self.rows * self.movable) != 0).any(dim=1)
        room = (self.bounds[used] - X.double() @ self.rows[used].T).clamp(min=0) * self.scale
        return torch.cat([low, -room], dim=1), torch.cat(
            [high, torch.full_like(room, torch.inf)], 1
        )

    def dykstra(self, v: Tensor, low: Tensor, high: Tensor, norm: Norm | None) -> Tensor:
        """Project in turns onto the box, with the unit ball of a norm if there is one, and back.

        Parameters
        ----------
        v : Tensor of shape (n, d)
        low, high : Tensor of shape (n, d + l)
        norm : Norm, or None
        """
        d, z = v.shape[1], self.lifted(v)
        if norm is not None and norm.order == torch.inf:
            low, high, norm = self._within_one(low, -1.0), -self._within_one(-high, -1.0), None
        correction, of_ball = torch.zeros_like(z), torch.zeros_like(v)
        for _ in range(N_TURNS):
            before = z
            if norm is not None:
                ahead = z[:, :d] + of_ball
                inside = norm.project(ahead)
                of_ball = ahead - inside
                z = torch.cat([inside, z[:, d:]], dim=1)
            ahead = z + correction
            inside = ahead.clamp(low, high)
            correction = ahead - inside
            z = inside - (inside @ self.basis.T) @ self.basis
            if (z - before).abs().amax() < TINY:
                break
        return z

    def _within_one(self, low: Tensor, least: float) -> Tensor:
        """Return low ends of the box, none of a column below some value."""
        d = self.rows.shape[1]
        return torch.cat([low[:, :d].clamp(min=least), low[:, d:]], dim=1)

    def settled(self, z: Tensor, low: Tensor, high: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Fix entries at the ends of their range, one after the other, until all relations hold.

        Parameters
        ----------
        z, low, high : Tensor of shape (n, d + l)
        held : Tensor of the shape of z, bool
            Entries that stay as they are.

        Returns
        -------
        z : Tensor of shape (n, d + l)
        holds : Tensor of shape (n,), bool
        """
        z, fixed, holds = z.clone(), held.clone(), torch.zeros(len(z), dtype=torch.bool)
        rows = torch.arange(len(z))
        for _ in range(MOST_FIXES):
            some, ends = z[rows], (low[rows], high[rows])
            beyond = (some < ends[0]) | (some > ends[1])
            fixed[rows] |= beyond
            some = some.clamp(*ends)
            off = some @ self.basis.T
            right = off.abs().amax(dim=1) <= TINY * (1 + some.abs().amax(dim=1))
            z[rows], holds[rows] = some, right
            rows, some, off = rows[~right], some[~right], off[~right]
            if not len(rows):
                break
            free = (~fixed[rows]).to(z)
            part = self.basis * free[:, None]
            gram = torch.linalg.pinv(part @ self.basis.T, hermitian=True, rtol=1e-9)
            step = (off[:, None] @ gram @ part).squeeze(1)
            z[rows] = some - step
            stuck = step.abs().amax(dim=1) <= TINY**2
            rows = rows[~stuck]
            if not len(rows):
                break
        return z, holds

    def shared(self, v: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Shrink coordinates on the equations by the largest share that leaves all in its range."""
        z = self.lifted(self.slope(v))
        over, under = z > high + TINY, z < low - TINY
        share = torch.where(over, high / z, 1.0)
        share = torch.where(under, low / z, share)
        return z[:, : v.shape[1]] * share.amin(dim=1, keepdim=True)

    def fitted(
        self, v: Tensor, low: Tensor, high: Tensor, norm: Norm, limit: Tensor, ball: bool
    ) -> Tensor:
        """Coordinates near v in the box that obey the relations, of at most some size.

        Parameters
        ----------
        v : Tensor of shape (n, d), float64
        low, high : Tensor of shape (n, d + l)
        norm : Norm
        limit : Tensor of shape (n,)
        ball : bool
            Whether to look for those nearest to v within the unit ball; or else they shrink.
        """
        d, z = v.shape[1], self.lifted(v)
        slack = TINY * (1 + z.abs().amax(dim=1))
        good = (z @ self.basis.T).abs().amax(dim=1) <= slack
        good &= ((z >= low) & (z <= high)).all(dim=1) & (norm.size(v) <= limit)
        rest = (~good).nonzero().squeeze(1)
        if not len(rest):
            return v
        low, high, limit = low[rest], high[rest], limit[rest]
        if norm.order == 0:
            some = self._counted(v[rest], low, high, norm, limit)
        else:
            z = self.dykstra(v[rest], low, high, norm if ball else None)
            z, holds = self.settled(z, low, high, torch.zeros_like(z, dtype=torch.bool))
            some = torch.where(holds[:, None], z[:, :d], self.shared(z[:, :d], low, high))
            size = norm.size(some)
            some = some * along((limit / size.clamp(min=1e-300)).clamp(max=1), some)
        fitted = v.clone()
        fitted[rest] = some
        return fitted

    def _counted(self, v: Tensor, low: Tensor, high: Tensor, norm: Norm, limit: Tensor) -> Tensor:
        """Move few entries: the dependent ones and, of the others, as many of v as may."""
        best, found = torch.zeros_like(v), torch.zeros(len(v), dtype=torch.bool)
        entries = torch.ones(low.shape[1], dtype=torch.bool)
        entries[self.dependent] = False
        entries[v.shape[1] :] = False
        rank = v.abs().masked_fill(~entries[: v.shape[1]], 0).argsort(1, descending=True).argsort(1)
        for count in range(min(v.shape[1], int((v != 0).sum(1).amax())), 0, -1):
            kept = (rank < count) & (v != 0)
            z = self.lifted(torch.where(kept, v, 0))
            held = torch.zeros_like(z, dtype=torch.bool)
            held[:, : v.shape[1]] = ~kept & entries[: v.shape[1]]
            z, holds = self.settled(z, low, high, held)
            fits = holds & ~found & (norm.size(z[:, : v.shape[1]]) <= limit)
            best[fits], found = z[fits, : v.shape[1]], found | fits
            if found.all():
                break
        return best
