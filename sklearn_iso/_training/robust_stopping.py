"""Early stopping by the robustness of held out samples."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from sklearn_iso._threat import Threat, as_threat
from sklearn_iso._training.acceleration import as_written
from sklearn_iso._training.data import ArrayDataset
from sklearn_iso._training.labels import encode_among
from sklearn_iso.attacks import as_attack
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.modules._representations import first_output

_COUNT = [Interval(Integral, 1, None, closed="left")]
#: Most samples that the network sees at once.
_BATCH = 1000


class RobustEarlyStopping(Callback):
    r"""Callback that keeps the epoch at which held out samples are the most robust.

    Adversarial training overfits: the robust accuracy of new samples falls from some epoch on,
    while the loss of the training samples falls further. Pass the callback in ``callbacks`` of a
    classifier. Every `every` epochs, and after the last one, an attack runs on held out samples;
    after `patience` attacks without a new best the fit ends. It ends with the weights of

    .. math:: t^* = \arg\max_t \frac{1}{\sum_i w_i} \sum_i w_i
              \mathbb{1}[f_t(x_i + \delta_i) = y_i], \qquad \|\delta_i\| \le \varepsilon,

    the first of equal epochs; so does a fit that is interrupted.

    With ``early_stopping=True`` a classifier holds out the share `validation_fraction` of its
    samples, and this callback decides in place of their loss (`n_iter_no_change` and `tol` do
    nothing). Or pass samples of your own as `X` and `y`, and leave `early_stopping` off.

    Parameters
    ----------
    eps : float
        Budget of the attack, in units of the threat.
    threat : ThreatModel or norm, default="linf"
        What the attack may do.
    attack : str, attack or callable, default="pgd"
        One of :mod:`sklearn_iso.attacks`. "auto" is the whole ensemble: what is robust against
        "pgd" alone may only mislead it.
    every : int, default=1
        Epochs from one attack to the next.
    patience : int or None, default=5
        Attacks without a new best that end the fit; None never does.
    max_samples : int or None, default=1000
        Held out samples that are attacked at most, drawn once.
    X : array-like of shape (n_samples, n_features), optional
        Held out samples, which the classifier does not see.
    y : array-like of shape (n_samples,), optional
        Their labels.

    Attributes
    ----------
    epochs_ : list of int
        After which the attack ran, counted from 1.
    robust_accuracies_ : list of float
        Share of the held out samples that it left, for each of these.
    best_epoch_ : int or None
        Whose weights the fit ended with; None if there was no attack before it ended.
    best_robust_accuracy_ : float
        The largest of the shares.
    stopped_ : bool
        Whether it ended the fit before its last epoch.

    Raises
    ------
    ValueError
        By ``fit``, if a parameter is out of its range, no samples are held out, or what is fitted
        is no single network that returns logits (a regressor, a hierarchy, a cross-fit).

    Notes
    -----
    The `random_state` of the classifier decides what the attack draws, the same at every epoch.
    A :class:`~sklearn_iso.persistence.Checkpoint` keeps what was found so far. Several processes
    that share a fit follow the first of them.

    References
    ----------
    L. Rice, E. Wong, J. Z. Kolter, "Overfitting in adversarially robust deep learning", ICML 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.model_selection import RobustEarlyStopping
    >>> X, y = load_iris(return_X_y=True)
    >>> stop = RobustEarlyStopping(eps=0.3, every=2, patience=3)
    >>> clf = IsometricClassifier(
    ...     alpha=1.0, early_stopping=True, validation_fraction=0.2, callbacks=[stop],
    ...     max_epochs=20, random_state=0,
    ... ).fit(X, y)
    >>> best = stop.robust_accuracies_.index(stop.best_robust_accuracy_)
    >>> stop.best_epoch_ == stop.epochs_[best], stop.epochs_[0]
    (True, 2)
    """

    _parameter_constraints: dict[str, Sequence[object]] = {
        "eps": [Interval(Real, 0, None, closed="neither")],
        "every": _COUNT,
        "patience": [*_COUNT, None],
        "max_samples": [*_COUNT, None],
    }

    stopped_ = False

    def __init__(
        self,
        eps: float,
        threat: Threat = "linf",
        *,
        attack: AttackLike = "pgd",
        every: int = 1,
        patience: int | None = 5,
        max_samples: int | None = 1000,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> None:
        self.eps = eps
        self.threat = threat
        self.attack = attack
        self.every = every
        self.patience = patience
        self.max_samples = max_samples
        self.X = X
        self.y = y

    #: What a checkpoint keeps.
    state_names = ("epochs_", "robust_accuracies_", "best_epoch_", "best_weights_", "stopped_")

    best_weights_: dict[str, Tensor] | None

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Check the parameters and find the held out samples."""
        self.epochs_: list[int] = []
        self.robust_accuracies_: list[float] = []
        self.best_epoch_: int | None = None
        self.best_weights_, self.stopped_ = None, False
        given = {name: getattr(self, name) for name in self._parameter_constraints}
        validate_parameter_constraints(self._parameter_constraints, given, type(self).__name__)
        as_attack(self.attack)
        as_threat(self.threat)
        if (classes := getattr(net, "classes_", None)) is None:
            raise ValueError(
                "RobustEarlyStopping must watch a classifier that trains one network; this fit "
                "trains none, or several. For a cross-fit pass a number as alpha; leave it out of "
                "fits of numbers, of embeddings and of hierarchies."
            )
        self.held_out_ = self._given(net, classes)
        self.last_epoch_ = len(net.history) + net.epochs_to_run

    @property
    def best_robust_accuracy_(self) -> float:
        """The largest share of held out samples that an attack left."""
        return max(self.robust_accuracies_)

    def on_epoch_end(
        self,
        net: NeuralNet,
        dataset_train: object = None,
        dataset_valid: ArrayDataset | None = None,
        **kwargs: object,
    ) -> None:
        """Attack after every so many epochs, and keep weights that are the best so far."""
        epoch = len(net.history)
        if epoch % self.every and epoch != self.last_epoch_:
            return
        held_out = cast(ArrayDataset, self.held_out_ or dataset_valid)
        own = {"left": self._measured(net, held_out)} if net.leads else None
        found = float(net.of_leader(own)["left"])
        if found > max(self.robust_accuracies_, default=-1.0):
            self.best_epoch_ = epoch
            self.best_weights_ = {k: v.clone() for k, v in net.module_.state_dict().items()}
        self.epochs_.append(epoch)
        self.robust_accuracies_.append(found)
        best = self.robust_accuracies_.index(self.best_robust_accuracy_)
        without = len(self.epochs_) - 1 - best
        self.stopped_ = self.patience is not None and without >= self.patience

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Take the best weights, and let the copies go."""
        if self.best_weights_ is not None:
            net.module_.load_state_dict(self.best_weights_)
        self.best_weights_, self.held_out_ = None, None

    def _given(self, net: NeuralNet, classes: NDArray) -> ArrayDataset | None:
        """Return the samples that were passed; None where the fit has held some out."""
        splits = net.train_split is not None
        if (self.X is None) != (self.y is None) or splits == (self.X is not None):
            raise ValueError(
                "RobustEarlyStopping must have held out samples from one source; got "
                f"{'X' if self.X is not None else 'no X'}, {'y' if self.y is not None else 'no y'} "
                f"and early_stopping={splits}. Set early_stopping=True, or pass both X and y."
            )
        if self.X is None:
            return None
        double = next(net.module_.parameters()).dtype == torch.float64
        dtype = np.float64 if double else np.float32
        X = check_array(self.X, dtype=dtype, allow_nd=True, input_name="X")
        check_consistent_length(X, self.y)
        y = encode_among(classes, np.asarray(self.y))
        return ArrayDataset(X, y, np.ones(len(X), dtype=dtype))

    def _measured(self, net: NeuralNet, held_out: ArrayDataset) -> float:
        """Return the share of the weight of held out samples that the attack leaves."""
        module = as_written(net.module_).eval()

        def logits(points: Tensor) -> Tensor:
            return first_output(module(points))

        with net._randomness.validation_stream() as generator:
            chosen = torch.randperm(len(held_out), generator=generator)[: self.max_samples]
            X, (y, weight) = held_out.take(chosen.sort().values.numpy())
            samples, labels = torch.tensor(X).to(net.device), torch.tensor(y).to(net.device)
            X_adv = as_attack(self.attack)(
                logits, samples, labels, eps=self.eps, threat=self.threat, random_state=generator
            )
            with torch.no_grad():
                found = torch.cat([logits(part).argmax(dim=1) for part in X_adv.split(_BATCH)])
        right = (found == labels).numpy(force=True)
        return float(np.average(right, weights=weight))
