"""The project's own penalties, attacks and measures, held to the kit that it offers."""

import pytest
from reliability import told
from sklearn.base import clone

from sklearn_iso.attacks import ATTACKS, NORMS, RayS, Square
from sklearn_iso.metrics import (
    bi_lipschitz_ratio,
    centered_kernel_alignment,
    continuity,
    contraction,
    expansion,
    isometry_distortion,
    make_adversarial_scorer,
    procrustes_distance,
    representational_similarity,
    scale_normalized_stress,
    shepard_correlation,
    trustworthiness,
)
from sklearn_iso.penalties import (
    EMBEDDING_PENALTIES,
    PENALTIES,
    AdversarialCrossEntropy,
    CertifiedCrossEntropy,
    GeodesicIsometry,
    GlobalIsometry,
    JacobianIsometry,
    LipschitzCrossEntropy,
    LocalIsometry,
    NeighborIsometry,
    PenaltySum,
    WithinClassIsometry,
    WorstCaseIsometry,
)
from sklearn_iso.penalties._adversarial import AdversarialPenalty
from sklearn_iso.penalties._search import AdversarialExamples
from sklearn_iso.testing import (
    check_adversarial_scorer,
    check_attack,
    check_penalty,
    check_rigid_motion_invariance,
)

UP_TO_SCALE = {"within_class", "global", "neighbors", "local", "jacobian"}


def hold_perturbation(penalty, batch):
    """Hold what is chosen without a gradient where it is on a batch: delta, and a temperature."""
    terms = [(name, _held(clone(term).set_params(**term.get_params()), term, batch), factor)
             for name, factor, term in penalty.terms()]  # fmt: skip
    return PenaltySum([(name, term) for name, term, _ in terms], [factor for *_, factor in terms])


def _held(copy, term, batch):
    copy.__dict__.update(term.__dict__)
    if isinstance(term, AdversarialPenalty):
        delta = term.examples(batch).delta
        copy.examples = lambda batch: AdversarialExamples.at(batch, delta, term.layers)
    if isinstance(term, LipschitzCrossEntropy):
        temperature = term.scaled_temperature(batch, term.offsets(batch).detach())
        copy.scaled_temperature = lambda batch, offsets: temperature
    return copy


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_of_the_list_keeps_the_laws(name):
    zero_at = "any scale" if name in UP_TO_SCALE else None
    check_penalty(name, zero_at=zero_at, hold=hold_perturbation)


VARIANTS = {
    "raw stress": (WithinClassIsometry(loss="raw_stress", scale=0.1), 0.1),
    "fixed scale": (WithinClassIsometry(scale=2.0), 2.0),
    "relative": (WithinClassIsometry(loss="relative"), "any scale"),
    "absolute": (WithinClassIsometry(loss="absolute", scale=0.5), None),
    "non-expansive": (GlobalIsometry(scale=0.1, two_sided=False), 0.1),
    "l1 metric": (GlobalIsometry(metric="l1"), None),
    "two neighbours": (NeighborIsometry(n_neighbors=2), "any scale"),
    "local, linf": (LocalIsometry(norm="linf", scale=0.5, two_sided=False), None),
    "jacobian at scale": (JacobianIsometry(scale=0.3), 0.3),
    "linf": (WorstCaseIsometry(norm="linf", n_steps=3), None),
    "l1": (WorstCaseIsometry(norm="l1", n_steps=2), None),
    "margin": (WorstCaseIsometry(ascent="margin", n_steps=3), None),
    "cross-entropy": (AdversarialCrossEntropy(), None),
    "certified cross-entropy": (CertifiedCrossEntropy(), None),
    "Lipschitz cross-entropy": (LipschitzCrossEntropy(), None),
    "two-sided": (WorstCaseIsometry(two_sided=True, n_steps=2), None),
    "hidden": (WorstCaseIsometry(layers="hidden", start="random"), None),
}


@pytest.mark.parametrize("penalty, zero_at", VARIANTS.values(), ids=VARIANTS)
def test_variant_of_a_penalty_keeps_the_laws(penalty, zero_at):
    check_penalty(penalty, zero_at=zero_at, hold=hold_perturbation)


def test_every_penalty_class_is_held_to_the_laws():
    held = {type(t) for p in PENALTIES.values() for *_, t in p().terms()}
    # Geodesic distances are those of training rows known by number: see test_geodesic.py.
    named = {type(t) for p in EMBEDDING_PENALTIES.values() for *_, t in p("l2", 3).terms()}
    assert named - held == {GeodesicIsometry}


# In two dimensions, where a few hundred queries find the boundary.
FEW = {"n_features": 2, "reach": 1.05}
SEARCHES = {"square": Square(n_queries=400), "rays": RayS(n_queries=400)}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_of_the_list_keeps_the_laws(name, norm):
    if name == "ddn" and norm != "l2":
        pytest.skip("takes the Euclidean norm only")
    options = FEW if name in SEARCHES else {}
    check_attack(SEARCHES.get(name, name), norms=[norm], **options)


@pytest.mark.parametrize("norm", NORMS)
def test_own_scorer_keeps_the_laws(norm):
    check_adversarial_scorer(make_adversarial_scorer(eps=0.3, threat=norm))


MEASURES = {
    "isometry_distortion": (isometry_distortion, True),
    "scale_normalized_stress": (scale_normalized_stress, True),
    "shepard_correlation": (shepard_correlation, True),
    "expansion": (expansion, False),
    "contraction": (contraction, False),
    "bi_lipschitz_ratio": (bi_lipschitz_ratio, True),
    "trustworthiness": (trustworthiness, True),
    "continuity": (continuity, True),
    "procrustes_distance": (procrustes_distance, True),
    "centered_kernel_alignment": (centered_kernel_alignment, True),
    "representational_similarity": (representational_similarity, True),
}


@pytest.mark.parametrize("measure, scale_invariant", MEASURES.values(), ids=MEASURES)
def test_measure_does_not_change_under_motions(measure, scale_invariant):
    check_rigid_motion_invariance(measure, scale_invariant=scale_invariant)


def test_the_page_tells_what_is_tried():
    assert told(r"(\d+) penalties and variants") == (len(PENALTIES) + len(VARIANTS),)
    # One of them takes one norm only.
    pairs = len(ATTACKS) * len(NORMS) - len(NORMS) + 1
    assert told(r"(\d+) attacks in the norms that they take: (\d+)") == (len(ATTACKS), pairs)
    assert told(r"the project's scorer \| (\d+) norms") == (len(NORMS),)
    assert told(r"(\d+) measures, 25 clouds") == (len(MEASURES),)
