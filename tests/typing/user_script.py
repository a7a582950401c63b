"""What a user writes, with her mistakes: each tells the code of the error that it is."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricTransformer
from sklearn_iso.penalties import (
    AdversarialCrossEntropy,
    Batch,
    GlobalIsometry,
    Penalty,
    WithinClassIsometry,
    WorstCaseIsometry,
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


class SmallLogits(Penalty):
    """A penalty of her own."""

    def __call__(self, batch: Batch) -> float:  # E: override
        return batch.logits.square().mean().item()
