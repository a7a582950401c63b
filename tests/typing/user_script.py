"""What a user writes, with her mistakes: each tells the code of the error that it is."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricTransformer, ThreatModel
from sklearn_iso.attacks import fab, pgd, rays, square
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    adversarial_error,
    certified_accuracy,
    continuity,
    corruption_report,
    distortion_report,
    expansion,
    hierarchical_f1_score,
    isometry_distortion,
    local_distortion,
    make_distortion_scorer,
    robustness_curve,
    robustness_report,
    shepard_correlation,
    trustworthiness,
)
from sklearn_iso.penalties import (
    AdversarialCrossEntropy,
    Batch,
    GlobalIsometry,
    Penalty,
    WithinClassIsometry,
    WorstCaseIsometry,
)
from sklearn_iso.plotting import (
    AdversarialExamplesDisplay,
    AlphaPathDisplay,
    DistortionMapDisplay,
    RobustnessCurveDisplay,
    ShepardDisplay,
    TrainingCurveDisplay,
)
from sklearn_iso.testing import (
    check_adversarial_scorer,
    check_attack,
    check_distance_preservation,
    check_lipschitz,
    check_penalty,
    check_rigid_motion_invariance,
    labelled_point_clouds,
    point_clouds,
    similarities,
)

X: NDArray[np.float64] = np.random.default_rng(0).normal(size=(60, 4))
y = (X[:, 0] > 0).astype(int)

pairs = WorstCaseIsometry(norm="linf", radius=0.3, n_steps=3, start=("margin", "random"))
penalty = WithinClassIsometry(scale=2.0) + 0.5 * pairs.with_cross_entropy(0.5)
total: Penalty = penalty + 2 * AdversarialCrossEntropy(norm=np.inf)
WorstCaseIsometry(norm="l7")  # E: arg-type
WorstCaseIsometry(radius="large")  # E: arg-type
GlobalIsometry(loss="stress")  # E: arg-type
GlobalIsometry(metrik="l1")  # E: call-arg
"half" * pairs  # E: operator
print(penalty.weigths)  # E: attr-defined

clf = IsometricClassifier(0.5, penalty=total, hidden_layer_sizes=(16,), random_state=0)
clf = clf.set_params(penalty__radius=0.2).fit(X, y, sample_weight=np.ones(60))
clf.partial_fit(X, y, classes=[0, 1]).save(Path("model.safetensors"), include_optimizer=False)
labels: NDArray[np.int64] = clf.predict(X)
clf.fit()  # E: call-arg
clf.fit(X, y, sample_weights=None)  # E: call-arg
clf.partial_fit(X, y, klasses=[0, 1])  # E: call-arg
number: int = clf.fit(X, y)  # E: assignment
IsometricClassifier(alpha="lots")  # E: arg-type
IsometricClassifier(penalty="worst", activation="rely")  # E: arg-type arg-type
IsometricTransformer(metric="euclid", optimizer="adam").fit(X, distances=X)  # E: arg-type
sklearn_iso.IsometricClasifier()  # E: attr-defined

threat = ThreatModel("l2", units={"age": 10.0, "height": 0.1}, immutable=["age"])
ThreatModel("l7")  # E: arg-type
ThreatModel(units="large", bound=(0, 1))  # E: call-arg
ThreatModel(max_changes="two")  # E: arg-type
ThreatModel(categories=["job"], max_changes=2)
ThreatModel(categories=["job"], max_change=2)  # E: call-arg
ThreatModel(categories=3)  # E: arg-type
ThreatModel.from_data(X, norm="l2", unit=1.0)  # E: call-arg

share: float = adversarial_accuracy(clf, X, y, eps=0.1, threat=threat, attack="pgd")
adversarial_accuracy(clf, X, y)  # E: call-overload
adversarial_accuracy(clf, X, y, eps=0.1, treat="l2")  # E: call-overload call-overload
curve: NDArray[np.float64] = robustness_curve(clf, X, y, eps=[0.0, 0.1])
robustness_curve(clf, X, y, eps=[0.1], attack="pdg")  # E: arg-type
print(robustness_report(clf, X, y, eps=[0.1]).acuracy)  # E: attr-defined
under_attack: NDArray[np.float64] = robustness_report(clf, X, y, eps=[0.1]).accuracy
error: float = adversarial_error(clf, X, y, eps=0.1, loss="squared_error", random_state=0)
adversarial_error(clf, X, y, eps=0.1, loss="squared")  # E: arg-type
adversarial_error("regressor", X, y, eps=0.1)  # E: arg-type
certified: float = certified_accuracy(clf, X, y, eps=0.1, threat="l2")
certified_accuracy(clf, X, y, eps="large")  # E: arg-type
corrupted = corruption_report(clf, X, y, corruptions=["noise"], severities={"noise": [0.1]})
corruption_report(clf, X, y, corruptions=["noise"], severity=[0.1])  # E: call-arg
print(corrupted.clen)  # E: attr-defined
adversarial_distance(clf, X, y, attack="pgd")  # E: arg-type
stress: float = isometry_distortion(X, X)
stress_and_error: tuple[float, float] = isometry_distortion(X, X, return_std_error=True)
isometry_distortion(X, X, metric="cosine")  # E: call-overload
without_error: float = expansion(X, X, return_std_error=True)  # E: assignment
expansion(X, X, quantile="half")  # E: call-overload
shepard_correlation(X, X, return_std_error="yes")  # E: call-overload
trustworthiness(X, X, random_state="seed")  # E: call-overload
continuity(X, X, n_neighbors="five")  # E: call-overload
print(distortion_report(X, X).value)  # E: attr-defined
local_distortion(X, X)  # E: arg-type
make_distortion_scorer(within_class=True, n_pairs="many")  # E: arg-type
hierarchical_f1_score([["a", "b"]], [["a", "c"]], hierarchy="a")  # E: arg-type

curves = RobustnessCurveDisplay.from_estimator(clf, X, y, eps=[0.0, 0.1])
RobustnessCurveDisplay.from_estimator(clf, X, y, eps=[0.1], ax=curves).plot()  # E: arg-type
curves.plot(ax=curves.ax_).line_.set_colour("red")  # E: attr-defined
curves.figure_.savefig("curve.pdf")
AdversarialExamplesDisplay.from_estimator(X, X, y, eps=0.1)  # E: arg-type
AlphaPathDisplay([0.0, 1.0], {"accuracy": [0.9, 0.8]}, choosen=1.0)  # E: call-arg
AlphaPathDisplay.from_estimator(clf)  # E: arg-type
DistortionMapDisplay.from_estimator(clf, X[:, :2]).plot(n_ellipses="few")  # E: arg-type
ShepardDisplay.from_estimator(clf, X, random_state="seed")  # E: arg-type
TrainingCurveDisplay.from_estimator(clf, term=["penalty"])  # E: call-arg

check_penalty(penalty, zero_at="any scale")
check_penalty(penalty, gradchek=False)  # E: call-arg
check_attack("pgd", norms=("l2", "linf"))
check_attack("pdg")  # E: arg-type
check_lipschitz(clf, X, bound=1.0)  # E: call-arg
check_distance_preservation(clf, X, max_distortion="small")  # E: arg-type
check_rigid_motion_invariance(stress)  # E: arg-type
check_adversarial_scorer(0.5)  # E: arg-type
point_clouds(min_samples=4, dtype=np.float32)
point_clouds(sizes=(1, 2))  # E: call-arg
labelled_point_clouds(min_classes=2, max_sample=9)  # E: call-arg
similarities(factors=0.5)  # E: arg-type


def logits(points: Tensor) -> Tensor:
    """Return logits of her own."""
    return torch.stack([points.sum(1), -points.sum(1)], dim=1)


rows, labels_of_rows = torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)
moved: Tensor = pgd(logits, rows, labels_of_rows, eps=0.1, n_steps=20, step_size=0.5)
pgd(logits, rows, labels_of_rows, eps=0.1, n_step=20)  # E: call-arg
square(logits, rows, labels_of_rows, eps=0.1, n_queries="many")  # E: arg-type
fab(logits, rows, labels_of_rows, eps=0.1, n_restarts=2)  # E: call-arg
rays(logits, rows, labels_of_rows, threat="l7")  # E: arg-type


class SmallLogits(Penalty):
    """A penalty of her own."""

    def __call__(self, batch: Batch) -> float:  # E: override
        return batch.logits.square().mean().item()
