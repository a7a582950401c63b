"""
Where an embedding keeps distances
==================================

Digits in the plane: samples that never took part, coloured by the distortion of their distances,
and the Shepard diagram of the same map beside. Unlike scikit-learn's MDS, the map places new
samples.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_iso import IsometricTransformer
from sklearn_iso.plotting import EmbeddingDisplay, ShepardDisplay

X, _ = load_digits(return_X_y=True)
X_train, X_new = train_test_split(X, random_state=0)
model = IsometricTransformer(n_components=2, random_state=0).fit(X_train)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
EmbeddingDisplay.from_estimator(model, X_new, name="450 new digits", ax=left)
_ = ShepardDisplay.from_estimator(model, X_new, name="their pairs", ax=right)
