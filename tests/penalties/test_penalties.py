"""Laws that every penalty keeps; a new one joins PENALTIES and inherits them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from penalty_batches import batch_of, data, identity_batch, value
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from torch import nn

from sklearn_iso._geometry import Stress, one_block
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import (
    PENALTIES,
    AdversarialCrossEntropy,
    Batch,
    GlobalIsometry,
    JacobianIsometry,
    LocalIsometry,
    NeighborIsometry,
    PenaltySum,
    WithinClassIsometry,
    WorstCaseIsometry,
    make_penalty,
)
from sklearn_iso.penalties._adversarial import AdversarialPenalty
from sklearn_iso.penalties._neighbours import neighbour_pairs
from sklearn_iso.penalties._search import AdversarialExamples


def torch_distances(X):
    return (X[:, None] - X[None]).abs().amax(2)


VARIANTS = {
    **{name: build() for name, build in PENALTIES.items()},
    "paper": WithinClassIsometry(loss="raw_stress", scale=0.1),
    "fitted raw stress": WithinClassIsometry(loss="raw_stress"),
    "fixed normalised stress": WithinClassIsometry(scale=2.0),
    "relative": WithinClassIsometry(loss="relative"),
    "absolute": WithinClassIsometry(loss="absolute", scale=0.5),
    "non-expansive": GlobalIsometry(scale=0.1, two_sided=False),
    "l1 metric": GlobalIsometry(metric="l1"),
    "own metric": GlobalIsometry(metric=torch_distances),
    "previous layer": WithinClassIsometry(target="previous"),
    "two neighbours": NeighborIsometry(n_neighbors=2),
    "local, linf": LocalIsometry(norm="linf", scale=0.5, two_sided=False),
    "jacobian at scale": JacobianIsometry(scale=0.3),
    "jacobian of the logits": JacobianIsometry(layers="logits"),
    "linf": WorstCaseIsometry(norm="linf", n_steps=3),
    "l1": WorstCaseIsometry(norm="l1", n_steps=2),
    "two-sided": WorstCaseIsometry(two_sided=True, n_steps=2),
    "hidden worst case": WorstCaseIsometry(layers="hidden", start="random"),
    "random start": WorstCaseIsometry(start="random"),
    "margin": WorstCaseIsometry(ascent="margin", n_steps=3),
    "uniform start": WorstCaseIsometry(start="uniform", n_steps=2),
    "patches": WorstCaseIsometry(start="patches", n_steps=2),
    "either start": WorstCaseIsometry(start=("margin", "patches"), norm="linf"),
    "short steps": WorstCaseIsometry(n_steps=3, step_size=0.4, min_radius=0.5),
    "from a wider ball": WorstCaseIsometry(start="uniform", n_steps=5, first_radius=3.0),
    "bounded": WorstCaseIsometry(norm="linf", n_steps=2, bounds=(-20, 20), radius=15.0),
    "cross-entropy": AdversarialCrossEntropy(n_steps=2),
    "with cross-entropy": WorstCaseIsometry(n_steps=2).with_cross_entropy(0.5),
    "with cross-entropy, hidden": WorstCaseIsometry(layers="hidden").with_cross_entropy(0.5),
}
every_penalty = pytest.mark.parametrize("penalty", VARIANTS.values(), ids=VARIANTS.keys())


def network(dtype=torch.float64, **params):
    generator = torch.Generator().manual_seed(1)
    return MLP(4, 3, hidden_layer_sizes=(6, 5), generator=generator, dtype=dtype, **params)


@every_penalty
def test_penalty_is_a_finite_non_negative_scalar(penalty):
    result = value(penalty, network(), *data())
    assert result.shape == ()
    assert torch.isfinite(result)
    assert result >= 0


@every_penalty
def test_order_of_the_rows_does_not_matter(penalty):
    X, y, weight = data()
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(3))
    module = network()
    torch.testing.assert_close(
        value(penalty, module, X, y, weight),
        value(penalty, module, X[order], y[order], weight[order]),
        rtol=1e-10, atol=1e-12,
    )  # fmt: skip


@every_penalty
def test_weight_two_equals_the_row_twice(penalty):
    X, y, _ = data()
    repeats = torch.tensor([1, 2, 3] * 4)
    module = network()
    weighted = value(penalty, module, X, y, repeats.double())
    index = torch.repeat_interleave(torch.arange(len(X)), repeats)
    repeated = value(penalty, module, X[index], y[index], torch.ones(len(index)).double())
    torch.testing.assert_close(weighted, repeated, rtol=1e-9, atol=1e-12)


# A previous layer is a target, and a target is held fixed.
@pytest.mark.parametrize("penalty", [p for name, p in VARIANTS.items() if name != "previous layer"])
def test_gradient_of_the_weights_agrees_with_finite_differences(penalty):
    # tanh: the worst case has kinks of its own, but none of the network's in the way
    module = network(activation="tanh")
    X, y, weight = data()
    direction = [torch.randn(p.shape, generator=torch.Generator().manual_seed(7)).to(p)
                 for p in module.parameters()]  # fmt: skip
    loss = value(penalty, module, X, y, weight)
    gradients = torch.autograd.grad(loss, list(module.parameters()), materialize_grads=True)
    slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))

    held = _frozen(penalty, module, X, y, weight)

    def moved(step):
        other = network(activation="tanh")
        with torch.no_grad():
            for p, q, d in zip(other.parameters(), module.parameters(), direction, strict=True):
                p.copy_(q + step * d)
        return value(held, other, X, y, weight, held=True).item()

    step = 1e-6
    numeric = (moved(step) - moved(-step)) / (2 * step)
    assert slope.item() == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def _frozen(penalty, module, X, y, weight):
    """Hold delta where it was: it is chosen without a gradient, by definition."""
    terms = make_penalty(penalty).terms()
    return PenaltySum(
        [(name, _hold(term, module, X, y, weight)) for name, _, term in terms],
        [factor for _, factor, _ in terms],
    )


def _hold(term, module, X, y, weight):
    calibrated = clone(term).calibrate(*data(30, X.dtype))
    if not isinstance(term, AdversarialPenalty):
        return calibrated
    # Terms of a sum draw in turn, and only adversarial ones draw: the stream starts afresh.
    batch = Batch(module, X.detach().requires_grad_(), y, weight,
                  generator=torch.Generator().manual_seed(0))  # fmt: skip
    delta = calibrated.search().perturbation(batch)
    calibrated.examples = lambda batch: AdversarialExamples.at(batch, delta, term.layers)
    return calibrated


@every_penalty
def test_coincident_rows_give_finite_values_and_gradients(penalty):
    module = network()
    X = torch.ones(6, 4, dtype=torch.float64)
    loss = value(penalty, module, X, torch.tensor([0, 0, 1, 1, 2, 2]), torch.ones(6).double())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@every_penalty
def test_dead_network_gives_finite_values_and_gradients(penalty):
    module = network()
    for p in module.parameters():
        nn.init.zeros_(p)
    loss = value(penalty, module, *data())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@every_penalty
def test_rows_without_a_partner_give_a_finite_value(penalty):
    X, _, weight = data(3)
    assert torch.isfinite(value(penalty, network(), X, torch.tensor([0, 1, 2]), weight))


@every_penalty
def test_float32_agrees_with_float64(penalty):
    # tanh: where a ReLU is dead, the direction of largest displacement is a tie
    double = value(penalty, network(activation="tanh"), *data())
    X, y, weight = data()
    single = value(penalty, network(activation="tanh").float(), X.float(), y, weight.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(double.item(), rel=1e-4, abs=1e-7)


@every_penalty
def test_penalty_clones_and_pickles(penalty):
    assert repr(pickle.loads(pickle.dumps(penalty))) == repr(penalty)
    assert clone(penalty).get_params(deep=False).keys() == penalty.get_params(deep=False).keys()


@every_penalty
def test_penalty_leaves_the_global_generator_alone(penalty):
    before = torch.get_rng_state()
    value(penalty, network(), *data())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("factor", [1e-3, 1.0, 50.0])
def test_within_class_penalty_is_zero_for_a_similarity(factor):
    X, y, _ = data()
    assert WithinClassIsometry()(identity_batch(X, y, factor)) < 1e-12
    assert WithinClassIsometry(scale=factor)(identity_batch(X, y, factor)) < 1e-12


@pytest.mark.parametrize("factor", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize(
    "penalty", [GlobalIsometry, NeighborIsometry, LocalIsometry, JacobianIsometry]
)
def test_penalty_up_to_scale_is_zero_for_a_similarity(penalty, factor):
    X, y, weight = data()
    assert abs(penalty().calibrate(X, y, weight)(identity_batch(X, y, factor))) < 1e-12


@pytest.mark.parametrize("penalty", [GlobalIsometry, LocalIsometry, JacobianIsometry])
def test_penalty_at_a_scale_is_positive_at_any_other(penalty):
    X, y, weight = data()
    calibrated = penalty(scale=2.0).calibrate(X, y, weight)
    assert abs(calibrated(identity_batch(X, y, 2.0))) < 1e-12
    assert calibrated(identity_batch(X, y, 2.5)) > 0.01


def test_one_sided_stress_is_zero_for_a_contraction_only():
    X, y, _ = data()
    penalty = GlobalIsometry(scale=1.0, two_sided=False)
    assert penalty(identity_batch(X, y, 0.5)) == 0
    assert penalty(identity_batch(X, y, 1.5)).item() == pytest.approx(0.25)


def test_each_loss_of_a_similarity_at_the_wrong_scale_is_known():
    X, y, _ = data()
    batch = identity_batch(X, y, 1.5)
    # relative: the rounding of a distance of zero is no pair
    for loss, expected in [("normalized_stress", 0.25), ("relative", 0.25), ("absolute", 0.5)]:
        value = GlobalIsometry(loss=loss, scale=1.0)(batch)
        assert value.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gap", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("target", ["input", "previous"])
@pytest.mark.parametrize("kind", [GlobalIsometry, WithinClassIsometry])
def test_relative_loss_of_near_pairs_in_float32_is_that_of_their_differences(kind, target, gap):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(32, 4, generator=generator)
    X = torch.cat([X, X + gap * torch.randn(32, 4, generator=generator) / 2]) + 3
    y = torch.arange(64) // 2 % 2
    penalty = kind(loss="relative", target=target, layers="last_hidden").calibrate(X, y)
    batch = batch_of(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2)), X, y)
    # Of the representations as they are, in float32, so that only distances differ.
    (Z,) = batch.representations("last_hidden")
    value = penalty(batch)
    (gradient,) = torch.autograd.grad(value, Z, retain_graph=True)
    points, images = X.double(), Z.detach().double().requires_grad_()
    i, j = torch.triu_indices(64, 64, 1)
    if kind is WithinClassIsometry:
        i, j = i[y[i] == y[j]], j[y[i] == y[j]]
    ratio = torch.linalg.vector_norm(images[i] - images[j], dim=1)
    ratio = ratio / torch.linalg.vector_norm(points[i] - points[j], dim=1)
    factor = (ratio.sum() / ratio.square().sum()).detach()
    expected = (factor * ratio - 1).square().mean()
    expected.backward()
    assert value.dtype == torch.float32 and value.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(
        gradient.double(), images.grad, rtol=1e-3, atol=1e-4 * float(images.grad.abs().max())
    )


def test_previous_layer_is_the_target_when_asked():
    X, y, weight = data()
    module = network()
    batch = Batch(module, X, y, weight, generator=torch.Generator().manual_seed(0))
    first, second = batch.representations("hidden")
    blocks = one_block(weight)
    expected = [
        Stress.normalized(blocks, blocks.distances(X))(first),
        Stress.normalized(blocks, blocks.distances(first.detach()))(second),
    ]
    found = GlobalIsometry(target="previous")(batch)
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_neighbours_are_scikit_learns():
    X = data(40)[0]
    graph = NearestNeighbors(n_neighbors=3).fit(X.numpy()).kneighbors_graph().toarray() > 0
    found = neighbour_pairs(torch.cdist(X, X), torch.ones(40).double(), 3)
    np.testing.assert_array_equal(found, graph | graph.T)


def test_jacobian_penalty_has_the_traces_of_a_linear_map():
    X, y, weight = data()
    module = nn.Linear(4, 3, bias=False).double()
    gram = (module.weight @ module.weight.T).detach()
    penalty, values = JacobianIsometry(layers="logits"), []
    for seed in range(3000):
        generator = torch.Generator().manual_seed(seed)
        row = X[:1].requires_grad_()
        batch = Batch(module, row, y[:1], weight[:1], choices=["logits"], generator=generator)
        u, product = penalty._draw_product(batch)
        values.append([(u * product).sum().item(), product.square().sum().item()])
    trace, squares = np.mean(values, axis=0)
    assert trace == pytest.approx(gram.trace().item(), rel=0.05)
    assert squares == pytest.approx((gram @ gram).trace().item(), rel=0.05)


@pytest.mark.parametrize(
    "penalty",
    [
        GlobalIsometry(loss="absolute"),
        WithinClassIsometry(two_sided=False),
        LocalIsometry(two_sided=False),
    ],
    ids=repr,
)
def test_fitted_scale_is_refused_where_it_has_no_closed_form(penalty):
    with pytest.raises(ValueError, match="scale='fitted' goes with.*Pass a number"):
        penalty.calibrate(*data())


def test_paper_form_is_the_published_formula():
    X, y, _ = data()
    K, module = 10, network(activation="tanh")
    batch = Batch(module, X, y, torch.ones(12).double(),
                  generator=torch.Generator().manual_seed(0))  # fmt: skip
    expected = 0.0
    for H in batch.representations("hidden"):
        for i in range(12):
            for j in range(12):
                Y = float(y[i] == y[j])
                d_H, d_X = (H[i] - H[j]).norm(), (X[i] - X[j]).norm()
                expected += (K * Y * d_H - Y * d_X) ** 2 / 12**2 / 2
    penalty = WithinClassIsometry(loss="raw_stress", scale=1 / K)
    assert penalty(batch).item() == pytest.approx(expected.item(), rel=1e-9)


def test_sum_is_the_weighted_sum_of_its_terms():
    X, y, weight = data()
    module = network()
    parts = [value(p, module, X, y, weight) for p in (WithinClassIsometry(), WorstCaseIsometry())]
    total = value(0.5 * WithinClassIsometry() + 3 * WorstCaseIsometry(), module, X, y, weight)
    torch.testing.assert_close(total, 0.5 * parts[0] + 3 * parts[1])


def test_multiplying_a_sum_multiplies_every_weight():
    penalty = 2 * (WithinClassIsometry() + 3 * WorstCaseIsometry())
    assert penalty.weights == [2.0, 6.0]


def test_terms_of_one_kind_get_names_of_their_own():
    penalty = WorstCaseIsometry(norm="linf") + WorstCaseIsometry() + WithinClassIsometry()
    assert [name for name, _ in penalty.penalties] == ["worst_case", "worst_case_2", "within_class"]


def test_parameter_of_one_term_is_reached_by_its_own_name():
    penalty = clone(WithinClassIsometry() + WorstCaseIsometry()).set_params(radius=3.0)
    assert penalty.get_params()["worst_case__radius"] == 3.0
    assert penalty.get_params()["radius"] == 3.0


def test_parameter_of_several_terms_needs_the_name_of_one():
    penalty = WithinClassIsometry() + WorstCaseIsometry()
    with pytest.raises(ValueError, match="within_class__scale.*worst_case__scale"):
        penalty.set_params(scale=1.0)


def test_negative_weight_is_refused():
    with pytest.raises(ValueError, match="would reward distortion"):
        (-1 * WorstCaseIsometry()).calibrate(*data())


@pytest.mark.parametrize(
    "penalty",
    [
        WorstCaseIsometry(radius=-1.0),
        WorstCaseIsometry(scale=0.0),
        WorstCaseIsometry(n_steps=0),
        WorstCaseIsometry(norm="l7"),
        WithinClassIsometry(loss="nonsense"),
        WithinClassIsometry(scale=-2.0),
    ],
    ids=repr,
)
def test_parameter_out_of_range_is_named_in_the_error(penalty):
    with pytest.raises(ValueError, match="The '.*' parameter of W.*Isometry must be"):
        penalty.calibrate(*data())


def test_unknown_penalty_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'isometric', .*'within_class', 'worst_case'"):
        make_penalty("isometrics")


def test_norms_are_named_by_number_too():
    for name, number in [("linf", np.inf), ("l2", 2), ("l1", 1)]:
        a = value(WorstCaseIsometry(norm=name), network(), *data())
        b = value(WorstCaseIsometry(norm=number), network(), *data())
        assert a == b
