"""The laws that every penalty keeps, as one check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from hypothesis import given
from sklearn.base import clone
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sklearn_iso._typed import validate_params
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import Batch, Penalty, make_penalty
from sklearn_iso.testing._broken import LawBrokenError, require
from sklearn_iso.testing._clouds import labelled_point_clouds
from sklearn_iso.testing._examples import repeatable
from sklearn_iso.testing._generators import require_global_generators_kept
from sklearn_iso.testing._models import require_model_kept

#: Holds what a penalty chooses without a gradient: (penalty, batch) -> penalty.
Hold = Callable[[Penalty, Batch], Penalty]

N_FEATURES, N_CLASSES, WIDTHS = 4, 3, (6, 5)


@validate_params(
    {
        "zero_at": [StrOptions({"any scale"}), Interval(Real, 0, None, closed="neither"), None],
        "gradcheck": ["boolean"],
        "hold": [callable, None],
        "rtol": [Interval(Real, 0, None, closed="left")],
        "max_examples": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=False,
)
def check_penalty(
    penalty: Penalty | str,
    *,
    zero_at: str | float | None = None,
    gradcheck: bool = True,
    hold: Hold | None = None,
    rtol: float = 1e-8,
    max_examples: int = 20,
) -> None:
    r"""Check the laws that a penalty must keep, on small networks and points that are drawn.

    A penalty

    - is a finite scalar and at least 0;
    - does not depend on the order of the samples;
    - counts a row of weight 2 as the row twice, which asks that random draws be shared by the
      batch;
    - is 0 for maps that keep distances, where `zero_at` says so;
    - has the gradient that finite differences have;
    - is finite, with its gradient, where all samples coincide, where no two samples share a class
      and where the network is dead;
    - is the same in float32 to 1e-4, for which random numbers are drawn in one dtype;
    - leaves the batch, the network and the global generators as they were, and repeats itself;
    - can be cloned.

    Parameters
    ----------
    penalty : Penalty or str
        An object of your own, or a key of :data:`sklearn_iso.penalties.PENALTIES`.
    zero_at : "any scale" or float, optional
        The penalty is 0 for similarities of any factor, or for maps that multiply all
        distances by this factor. None checks neither.
    gradcheck : bool, default=True
        Whether to compare the gradient of the weights with finite differences. A penalty that
        chooses something by itself and without a gradient, such as a perturbation or a target,
        differs: pass `hold`, or False.
    hold : callable, optional
        ``hold(calibrated_penalty, batch)`` returns a penalty that keeps the choices made on
        this batch.
    rtol : float, default=1e-8
        Slack for rounding in float64, relative to the larger of the value and 1e-3.
    max_examples : int, default=20
        Clouds of points drawn by hypothesis, the same each time.

    Raises
    ------
    LawBrokenError
        If a law is broken: an AssertionError that names it.
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from sklearn_iso.penalties import GlobalIsometry, Penalty
    >>> from sklearn_iso.testing import check_penalty
    >>> check_penalty(GlobalIsometry(), zero_at="any scale")
    >>> class SmallLogits(Penalty):
    ...     def __call__(self, batch):
    ...         return batch.logits.square().mean()
    >>> check_penalty(SmallLogits())
    Traceback (most recent call last):
    sklearn_iso.testing._broken.LawBrokenError: SmallLogits() must count a row of weight 2 ...
    """
    if isinstance(penalty, Penalty):
        _check_object(penalty)
    chosen = make_penalty(penalty)
    case = _Case.of(chosen, rtol)
    _check_side_effects(case)
    _check_repeats(case)
    _check_rows(case, max_examples)
    _check_weights(case)
    _check_degenerate(case)
    _check_float32(case)
    if zero_at is not None:
        _check_zero(case, zero_at)
    if gradcheck:
        _check_gradient(case, hold)


@dataclass(frozen=True)
class Points:
    """Samples with their classes and weights."""

    X: Tensor
    y: Tensor
    weight: Tensor

    @classmethod
    def drawn(cls, n: int = 12, dtype: torch.dtype = torch.float64, seed: int = 0) -> Points:
        """Return normal samples in turn of each class, of unequal weights."""
        generator = torch.Generator().manual_seed(seed)
        X = torch.randn(n, N_FEATURES, generator=generator, dtype=torch.float64)
        weight = torch.rand(n, generator=generator, dtype=torch.float64) + 0.5
        return cls(X.to(dtype), torch.arange(n) % N_CLASSES, weight.to(dtype))

    def take(self, index: Tensor, weight: Tensor | None = None) -> Points:
        """Return some of the samples, in the order of the index."""
        return Points(
            self.X[index], self.y[index], self.weight[index] if weight is None else weight
        )

    def told(self) -> str:
        """Return all of them, to try again."""
        return f"X: {self.X.tolist()}\ny: {self.y.tolist()}\nweight: {self.weight.tolist()}"


@dataclass(frozen=True)
class _Case:
    """A penalty under test, calibrated on points that never change."""

    penalty: Penalty
    rtol: float

    @classmethod
    def of(cls, penalty: Penalty, rtol: float) -> _Case:
        return cls(_calibrated(penalty, torch.float64), rtol)

    def value(self, module: nn.Module, points: Points, seed: int = 0) -> Tensor:
        """Return the value of the penalty, which is a scalar."""
        value = self.penalty(batch_of(self.penalty, module, points, seed))
        told = repr(value)
        if isinstance(value, Tensor):
            told = f"shape {tuple(value.shape)} of {value.dtype}"
        require(
            isinstance(value, Tensor) and value.shape == () and value.is_floating_point(),
            f"{self.name} must be a scalar, a tensor of shape () and real numbers; got {told}.",
        )
        return value

    def same(self, first: Tensor, second: Tensor) -> bool:
        scale = max(abs(first.item()), abs(second.item()), 1e-3)
        return abs(first.item() - second.item()) <= self.rtol * scale

    @property
    def name(self) -> str:
        return repr(self.penalty)


def batch_of(penalty: Penalty, module: nn.Module, points: Points, seed: int = 0) -> Batch:
    """Return the batch that a fit would show to a penalty, numbered as training samples."""
    return Batch(
        module,
        points.X.detach().requires_grad_(),
        points.y,
        points.weight,
        choices=[term.layers for _, _, term in penalty.terms()],
        generator=torch.Generator().manual_seed(seed),
        index=torch.arange(len(points.X)),
    )


def network(activation: str = "tanh", dtype: torch.dtype = torch.float64) -> MLP:
    """Return the same small network each time."""
    # tanh: no kink of the network's own, and no dead unit whose direction is a tie.
    return MLP(
        N_FEATURES,
        N_CLASSES,
        hidden_layer_sizes=WIDTHS,
        activation=activation,
        generator=torch.Generator().manual_seed(1),
        dtype=dtype,
    )


def _calibrated(penalty: Penalty, dtype: torch.dtype) -> Penalty:
    points = Points.drawn(30, dtype)
    generator = torch.Generator().manual_seed(0)
    copy: Penalty = clone(penalty)
    return copy.calibrate(points.X, points.y, points.weight, generator)


def _check_object(penalty: Penalty) -> None:
    try:
        again = clone(penalty)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise LawBrokenError(
            f"{type(penalty).__name__} must survive clone: store every parameter under its own "
            f"name, unchanged. {error}."
        ) from error
    require(repr(again) == repr(penalty), f"{penalty!r} must survive clone; got {again!r}.")


def _check_repeats(case: _Case) -> None:
    with require_global_generators_kept(case.name):
        first, again = (case.value(network(), Points.drawn()) for _ in range(2))
    require(
        torch.isfinite(first),
        f"{case.name} must be finite and at least 0; got {first.item()} for normal points.",
    )
    require(
        torch.equal(first, again),
        f"{case.name} must repeat itself with the same batch.generator; got {first.item()} and "
        f"{again.item()}. Draw from batch.generator and from nothing else.",
    )


def _check_side_effects(case: _Case) -> None:
    module, points, kept = network(), Points.drawn(), Points.drawn()
    with require_model_kept(module, case.name):
        case.value(module, points)
    for name in ("X", "y", "weight"):
        require(
            torch.equal(getattr(points, name), getattr(kept, name)),
            f"{case.name} must leave the batch as it was; it wrote into batch.{name}. Work on a "
            "copy.",
        )


def _check_rows(case: _Case, max_examples: int) -> None:
    """Look at points of every shape: not negative, finite, whatever the order of the samples."""
    clouds = labelled_point_clouds(
        min_classes=2,
        max_classes=N_CLASSES,
        min_samples=4,
        max_samples=12,
        min_features=N_FEATURES,
        max_features=N_FEATURES,
        scales=(0.01, 100),
    )

    # The examples drawn follow from the source of this function.
    @repeatable(max_examples)
    @given(clouds)
    def keeps_the_laws(data: tuple[Any, Any]) -> None:
        X, y = (torch.from_numpy(part.copy()) for part in data)
        points = Points(X, y, torch.linspace(0.5, 2, len(X), dtype=torch.float64))
        found = case.value(network(), points)
        require(
            torch.isfinite(found) and found >= -1e-12,
            f"{case.name} must be finite and at least 0; got {found.item()}.\n{points.told()}",
        )
        # Not a rotation nor a reversal, which keep neighbours together.
        order = torch.randperm(len(X), generator=torch.Generator().manual_seed(len(X)))
        other = case.value(network(), points.take(order))
        require(
            case.same(found, other),
            f"{case.name} must not depend on the order of the rows; got {found.item()}, and "
            f"{other.item()} in the order {order.tolist()}.\n{points.told()}",
        )

    keeps_the_laws()


def _check_weights(case: _Case) -> None:
    points = Points.drawn()
    repeats = torch.tensor([1, 2, 3] * 4)
    index = torch.repeat_interleave(torch.arange(len(repeats)), repeats)
    module = network()
    weighted = case.value(module, points.take(torch.arange(len(repeats)), repeats.double()))
    repeated = case.value(module, points.take(index, torch.ones(len(index)).double()))
    require(
        case.same(weighted, repeated),
        f"{case.name} must count a row of weight 2 as the row twice; got {weighted.item()} with "
        f"weights and {repeated.item()} with repeated rows. Weigh by batch.weight, and share "
        "random draws by the batch.",
    )


def _check_degenerate(case: _Case) -> None:
    points, dead = Points.drawn(6), network("relu")
    for parameter in dead.parameters():
        nn.init.zeros_(parameter)
    equal = Points(torch.ones_like(points.X), points.y, points.weight)
    alone = points.take(torch.arange(3))
    cases = {
        "where all rows coincide": (network(), equal),
        "where no two rows share a class": (network(), alone),
        "for a dead network": (dead, points),
    }
    for where, (module, rows) in cases.items():
        value = case.value(module, rows)
        gradients = _gradients(value, module)
        finite = torch.isfinite(value) and all(torch.isfinite(g).all() for g in gradients)
        require(
            finite,
            f"{case.name} must be finite, with its gradient, {where}; got {value.item()}. A "
            "square root has an infinite slope at 0.",
        )


def _check_float32(case: _Case) -> None:
    points = Points.drawn()
    double = case.value(network(), points).item()
    module = network().float()
    single = _calibrated(case.penalty, torch.float32)
    rows = Points(points.X.float(), points.y, points.weight.float())
    found = single(batch_of(single, module, rows)).item()
    require(
        abs(found - double) <= 1e-4 * max(abs(double), 1e-3),
        f"{case.name} in float32 must agree with float64 to 1e-4; got {found} and {double}. Draw "
        "random numbers in float64 and convert them: another dtype draws others.",
    )


def _check_zero(case: _Case, zero_at: str | float) -> None:
    points = Points.drawn()
    rotation = torch.linalg.qr(Points.drawn(N_FEATURES, seed=1).X)[0]
    factors = (1e-3, 1.0, 50.0) if zero_at == "any scale" else (float(zero_at),)
    for factor in factors:
        hidden, last = _linear(factor * rotation), _linear(torch.eye(N_FEATURES))
        value = case.value(nn.Sequential(hidden, last), points).item()
        require(
            abs(value) <= 1e-10,
            f"{case.name} must be 0 for a similarity of factor {factor:g}; got {value}.",
        )


def _linear(matrix: Tensor) -> nn.Linear:
    # Not initialised, which would draw from torch's default generator.
    layer = nn.utils.skip_init(nn.Linear, *matrix.shape, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(matrix)
        layer.bias.zero_()
    return layer


def _check_gradient(case: _Case, hold: Hold | None) -> None:
    module, points = network(), Points.drawn()
    held = case.penalty
    if hold is not None:
        held = hold(case.penalty, batch_of(case.penalty, module, points))
        if not isinstance(held, Penalty):
            raise TypeError(f"hold must return a Penalty; got {type(held).__name__}.")
    gradients = _gradients(held(batch_of(held, module, points)), module)
    generator = torch.Generator().manual_seed(7)
    along = [torch.randn(g.shape, generator=generator, dtype=g.dtype) for g in gradients]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, along, strict=True))
    step = 1e-6
    up, down = (_moved(held, points, along, sign * step) for sign in (1, -1))
    numeric = (up - down) / (2 * step)
    require(
        abs(slope - numeric) <= 1e-4 * max(abs(slope), abs(numeric), 1e-3),
        f"The gradient of {case.name} must be that of finite differences; got a slope of "
        f"{slope:.6g} and {numeric:.6g}. If it chooses something without a gradient, pass hold.",
    )


def _gradients(value: Tensor, module: nn.Module) -> tuple[Tensor, ...]:
    """Return the gradient of the parameters; a value that does not depend on them has 0."""
    parameters = list(module.parameters())
    if not value.requires_grad:
        return tuple(torch.zeros_like(parameter) for parameter in parameters)
    return torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)


def _moved(penalty: Penalty, points: Points, along: list[Tensor], step: float) -> float:
    module = network()
    with torch.no_grad():
        for parameter, direction in zip(module.parameters(), along, strict=True):
            parameter.add_(direction, alpha=step)
    return penalty(batch_of(penalty, module, points)).item()
