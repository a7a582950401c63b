"""
Unroll a sheet
==============

:class:`~sklearn_iso.IsometricTransformer` learns a map to the plane that keeps the distances along
the sheet (``penalty="geodesic"``), for samples that it has never seen too.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_swiss_roll

from sklearn_iso import IsometricTransformer

X, t = make_swiss_roll(800, noise=0.05, random_state=0)
X_new, t_new = make_swiss_roll(300, noise=0.05, random_state=1)
model = IsometricTransformer(n_components=2, penalty="geodesic", random_state=0).fit(X)

figure = plt.figure(figsize=(10, 4.2), layout="constrained")
ax = figure.add_subplot(1, 2, 1, projection="3d")
ax.scatter(*X_new.T, c=t_new, s=10, cmap="cividis")
ax.view_init(elev=12, azim=-75)
ax.set_title("300 new points of a swiss roll", y=0.9)
ax.set(xlabel="x, in units of X", ylabel="y", zlabel="z", yticks=(0, 20))
ax = figure.add_subplot(1, 2, 2)
dots = ax.scatter(*model.transform(X_new).T, c=t_new, s=10, cmap="cividis")
ax.set(title="Their embedding", xlabel="Dimension 0, in units of X", aspect="equal",
       ylabel="Dimension 1, in units of X")  # fmt: skip
_ = figure.colorbar(dots, ax=ax, shrink=0.6, label="Position along the sheet (radians)")
