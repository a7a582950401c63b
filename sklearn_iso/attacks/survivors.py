"""The rows that an attack has not fooled yet: the only ones that still cost time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from sklearn_iso.attacks.categories import Categories
from sklearn_iso.attacks.parameters import check_counts

Logits = Callable[[Tensor], Tensor]
Value = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
#: Label of a point that got none: one that the classifier refuses. It is no adversarial example.
NO_ANSWER = torch.iinfo(torch.int64).min
RandomState = int | np.random.RandomState | np.random.Generator | torch.Generator | None


def as_generator(random_state: RandomState) -> torch.Generator:
    """Return a generator on the CPU for a seed, a generator, or (None) fresh entropy.

    Examples
    --------
    >>> from sklearn_iso.attacks.survivors import as_generator
    >>> as_generator(0).initial_seed()
    0
    """
    if isinstance(random_state, torch.Generator):
        return random_state
    generator = torch.Generator()
    if random_state is None:
        generator.seed()
    elif isinstance(random_state, np.random.RandomState):
        generator.manual_seed(int(random_state.randint(np.iinfo(np.int32).max)))
    elif isinstance(random_state, np.random.Generator):
        generator.manual_seed(int(random_state.integers(np.iinfo(np.int32).max)))
    elif isinstance(random_state, (int, np.integer)) and random_state >= 0:
        generator.manual_seed(int(random_state))
    else:
        raise ValueError(
            "random_state must be None, an integer >= 0, a numpy RandomState or Generator, or a "
            f"torch.Generator; got {random_state!r}."
        )
    return generator


def fork_seed(generator: torch.Generator) -> int:
    """Draw the seed of a generator of one's own: one draw, whatever is drawn from that.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.survivors import fork_seed
    >>> fork_seed(torch.Generator().manual_seed(0)) == fork_seed(torch.Generator().manual_seed(0))
    True
    """
    return int(torch.randint(2**62, (1,), generator=generator))


def check_shape(logits: Tensor, n_rows: int) -> None:
    """Raise a ValueError unless logits are of shape (n_rows, at least 2).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.survivors import check_shape
    >>> check_shape(torch.zeros(5, 2), n_rows=5)
    """
    if logits.ndim != 2 or logits.shape[0] != n_rows or logits.shape[1] < 2:
        raise ValueError(
            f"logits must return a tensor of shape ({n_rows}, n_classes) with at least 2 classes; "
            f"got {tuple(logits.shape)}. A single score z becomes torch.stack([0 * z, z], dim=1)."
        )


def _check_finite(logits: Tensor) -> None:
    if not torch.isfinite(logits).all():
        raise ValueError(
            "logits must be finite at X; found NaN or infinity. Return scores before any softmax "
            "or log, and scale the features if they overflow."
        )


def check_labels(y: Tensor, n_rows: int) -> Tensor:
    """Return labels as int64, of shape (n_rows,), not negative.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.survivors import check_labels
    >>> check_labels(torch.tensor([0, 2], dtype=torch.uint8), n_rows=2)
    tensor([0, 2])
    """
    try:
        y = torch.as_tensor(y)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"y must hold one integer for each row; got {y!r}.") from error
    if y.is_floating_point() or y.dtype == torch.bool or y.shape != (n_rows,):
        raise ValueError(
            f"y must hold one integer for each row, of shape ({n_rows},); got {y.dtype} of shape "
            f"{tuple(y.shape)}. Pass column numbers of the logits."
        )
    if len(y) and y.min() < 0:
        raise ValueError(f"y must hold column numbers of the logits; found {int(y.min())}.")
    return y.long()


def verdict(outputs: Tensor, y: Tensor) -> Tensor:
    """Which rows are misclassified, from logits or scores (n, n_classes) or from labels (n,).

    A row whose scores are NaN or infinite, or whose label is `NO_ANSWER`, is not.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.survivors import verdict
    >>> y = torch.tensor([0, 1])
    >>> verdict(torch.tensor([[2.0, 1.0], [3.0, 0.0]]), y), verdict(torch.tensor([0, 1]), y)
    (tensor([False,  True]), tensor([False, False]))
    """
    if not isinstance(outputs, Tensor):
        raise ValueError(
            f"logits must return a tensor of shape (n, n_classes); got {type(outputs).__name__}. "
            "Use torch.as_tensor."
        )
    if outputs.shape == y.shape and not outputs.is_floating_point():
        return (outputs != y) & (outputs != NO_ANSWER)
    check_shape(outputs, len(y))
    return (outputs.argmax(dim=1) != y) & outputs.isfinite().all(dim=1)


def _batches(rows: Tensor, batch_size: int) -> Iterator[Tensor]:
    return iter(rows.split(batch_size) if len(rows) else ())


def _on_copies(logits: Logits) -> Logits:
    """Return logits that may write into their input, as an in-place ReLU does, and harm nothing."""
    return lambda x: logits(x.clone())


class Survivors:
    """Rows under attack, with the best point found for each.

    Rows that are misclassified from the start are never attacked. A row leaves as soon as a
    point fools the network; for the others the point of the highest loss is kept.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), or to labels (n,).
    X : Tensor of shape (n, ...)
    y : Tensor of shape (n,)
        Columns of the logits.
    batch_size : int
        Most rows that logits sees at once.

    Attributes
    ----------
    X_adv : Tensor of shape (n, ...)
        The best points so far.
    centres : Tensor of shape (n, ...)
        What the balls surround: X, but for the categories that were flipped.
    alive : Tensor of shape (n,), bool
        Rows not fooled yet.
    is_fresh : bool
        Whether no gradient was taken yet: if the first are no numbers, the callable is at fault.
    ranking : Tensor of shape (n, n_classes - 1)
        Wrong classes, that of the largest logit at X first; empty for labels.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.survivors import Survivors
    >>> X = torch.tensor([[1.0], [-1.0], [2.0]])
    >>> hunt = Survivors(lambda x: torch.cat([x, -x], dim=1), X, torch.zeros(3, dtype=int), 10)
    >>> list(hunt.batches())
    [tensor([0, 2])]
    """

    def __init__(self, logits: Logits, X: Tensor, y: Tensor, batch_size: int) -> None:
        check_counts(batch_size=batch_size)
        self.logits, self.X, self.batch_size = _on_copies(logits), X, int(batch_size)
        self.y = check_labels(y, len(X)).to(X.device)
        self.X_adv, self.centres = X.detach().clone(), X.detach()
        self.best_loss = torch.full((len(X),), -torch.inf, dtype=X.dtype, device=X.device)
        self.alive = torch.zeros(len(X), dtype=torch.bool, device=X.device)
        self.is_fresh = True
        rankings = []
        for rows in _batches(torch.arange(len(X), device=X.device), self.batch_size):
            self.alive[rows], ranking = self._judge(rows)
            rankings.append(ranking)
        self.ranking = torch.cat(rankings) if rankings else self.y.new_empty(0, 0)

    @torch.no_grad()
    def _judge(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows are classified correctly, and their wrong classes by logit."""
        outputs, y = self.logits(self.X[rows]), self.y[rows]
        wrong = verdict(outputs, y)
        if outputs.ndim == 1:
            return ~wrong, y.new_empty(len(y), 0)
        _check_finite(outputs)
        if y.max() >= outputs.shape[1]:
            raise ValueError(
                f"y must hold column numbers of the {outputs.shape[1]} logits; found "
                f"{int(self.y.max())}."
            )
        order = outputs.argsort(dim=1, descending=True, stable=True)
        return ~wrong, order[order != y.unsqueeze(1)].view(len(y), -1)

    def batches(self) -> Iterator[Tensor]:
        """Iterate over the rows not fooled yet, packed into full batches."""
        return _batches(self.alive.nonzero().squeeze(1), self.batch_size)

    def goals(self, rows: Tensor, rank: int | None) -> Tensor:
        """Labels of the rows, beside the wrong class of a rank where one is given."""
        y = self.y[rows]
        return y if rank is None else torch.stack([y, self.ranking[rows, rank]], dim=1)

    def rounds(self, categories: Categories | None, value: Value) -> Iterator[None]:
        """Yield once for the categories of X, then once after each flip of the survivors.

        A flip is greedy: of all single flips of a survivor's centre, with the other features of
        its best point, the one of the highest value becomes its new centre.

        Parameters
        ----------
        categories : Categories or None
        value : callable
            Maps points and y to a value, higher for a better flip, and whether they fool.
        """
        self.centres = self.X.detach()
        yield
        if categories is None:
            return
        self.centres = self.centres.clone()
        for _ in range(categories.max_changes):
            for rows in self.batches():
                self._flip(categories, rows, value)
            yield

    def _flip(self, categories: Categories, rows: Tensor, value: Value) -> None:
        y = self.y[rows]
        # Earlier stages may have left other categories in the best point: count from the centre.
        best = categories.graft(self.X_adv[rows], self.centres[rows])
        flipped = categories.best_flip(best, lambda x: value(x, y)[0])
        self.centres[rows] = categories.graft(self.X[rows], flipped)
        self.record(rows, flipped, *value(flipped, y))

    def forget(self) -> None:
        """Let the next points count as the best yet, as after a change of the loss."""
        self.best_loss.fill_(-torch.inf)

    def record(self, rows: Tensor, points: Tensor, loss: Tensor, fooled: Tensor) -> None:
        """Keep the points of rows that were fooled or whose loss is the highest yet."""
        better = fooled | (loss > self.best_loss[rows])
        self.X_adv[rows[better]] = points[better]
        self.best_loss[rows[better]] = loss[better].to(self.best_loss)
        self.alive[rows[fooled]] = False
