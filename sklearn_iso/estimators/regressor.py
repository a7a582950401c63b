"""IsometricRegressor: a network whose predictions move no faster than they need to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import device as torch_device
from torch import nn

from sklearn_iso._typed import (
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    available_if,
    fit_context,
)
from sklearn_iso.estimators.base import NetworkEstimator, with_dtypes
from sklearn_iso.estimators.constraints import TRAINING
from sklearn_iso.estimators.input import check_fit_input
from sklearn_iso.estimators.learner import learns_by_chunks
from sklearn_iso.estimators.regression import RegressionLearner, regression_penalty
from sklearn_iso.estimators.representing import RepresentingMixin
from sklearn_iso.estimators.tasks import reports_epochs
from sklearn_iso.modules import Layers, Representation, Rescaled
from sklearn_iso.modules.ambient import own_modes
from sklearn_iso.penalties import PENALTIES, Penalty
from sklearn_iso.training import inference


class IsometricRegressor(
    ClassNamePrefixFeaturesOutMixin, RegressorMixin, RepresentingMixin, NetworkEstimator
):
    r"""Neural network for regression, trained to keep distances.

    .. math:: L = \frac{\sum_i w_i (f(x_i) - y_i)^2}{\sigma_y^2 \sum_i w_i} + \alpha P(f, X)

    With the default penalty, the hidden layers keep the distances of each row to its nearest
    ones up to scale (:class:`~sklearn_iso.penalties.NeighborIsometry`), and the prediction
    moves no faster, in the worst direction at any row, than a slope that is free
    (:class:`~sklearn_iso.penalties.WorstCaseIsometry`).

    Parameters
    ----------
    alpha : float, default=0.3
        Strength of the penalty, dimensionless; 0 trains a plain network.
    penalty : str or Penalty, default="isometric"
        What `alpha` multiplies: "isometric", "neighbors", "global", "worst_case", "local" or
        "jacobian"; one that needs no classes. "auto" in it means, in the absence
        of classes, for the radius half the median distance of a row to its nearest other row;
        for the scale four standard deviations of y over the root mean square distance of the
        rows from their mean; and a start "margin" becomes "random". Numbers for the scale are
        in standard deviations of y for each unit of X.
    layers : {"hidden", "last_hidden", "logits"} or sequence of str, default="hidden"
        Representations whose distances are kept, and the last of which is the output of
        :meth:`transform`; "logits" is the prediction itself.
    hidden_layer_sizes : sequence of int, default=(256, 128)
        Widths of the hidden layers of the built-in network; not used with `module`.
    activation : str, default="relu"
        "relu", "tanh", "elu", "gelu", "silu", "softplus", "leaky_relu", "logistic" or
        "identity"; not used with `module`.
    module : nn.Module, its class or a function returning one, optional
        Maps X to one output, in place of the built-in network. An instance
        is copied with its weights; a class is built anew and told ``n_features``, the values of
        a row, and ``n_outputs`` if its constructor takes them.
    optimizer : {"adam", "adamw", "sgd"} or torch optimiser class, default="adam"
    learning_rate : float, default=0.002
    learning_rate_schedule : {"linear", "cosine", "constant"}, default="linear"
        "linear" and "cosine" let the learning rate fall to 0 over the epochs.
    weight_decay : float, default=0.0
    max_epochs : int, default=100
        Passes over the training rows.
    batch_size : int, default=256
        Rows of a batch. Pairs are formed within a batch.
    shuffle : bool, default=True
        Order the rows anew in every epoch.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows, stop once their loss has not improved by
        the factor `tol` for `n_iter_no_change` epochs, and keep the best weights.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
    callbacks : sequence of skorch callbacks, optional
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where there is one.
    compile : bool or dict, default=False
    mixed_precision : bool, default=False
        As in :class:`IsometricClassifier`.
    verbose : bool, default=False
        Show a progress bar.
    warm_start : bool, default=False
        Let :meth:`fit` start at the weights of the last fit; optimiser and schedule are new.
    random_state : int, RandomState instance or None, default=None
        Decides weights, order of rows and the draws of the penalty.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` predicts in standard deviations of y from its mean.
    target_mean_, target_std_ : float
        Mean and standard deviation of y; 0 for a y that does not vary, which is what is then
        predicted.
    penalty_ : Penalty
        The calibrated penalty; as it came for ``alpha=0``.
    radius_, scale_ : float
        What the worst-case term came to; absent without one, and for ``alpha=0``.
    n_iter_ : int
        Epochs run.
    history_ : dict of str to list of float
        Columns "epoch", "loss", "squared_error" (over the variance of y), "penalty", those of
        each term of a sum, and "valid_..." where there was validation data.
    loss_curve_ : list of float
        The column "loss".
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    See Also
    --------
    IsometricClassifier : The same for classes.

    References
    ----------
    Y. Yang et al., "A Closer Look at Accuracy vs. Robustness", NeurIPS 2020, for local
    Lipschitz regularisation.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sklearn_iso import IsometricRegressor
    >>> X, y = make_friedman1(300, random_state=0)
    >>> reg = IsometricRegressor(random_state=0).fit(X[:200], y[:200])
    >>> reg.score(X[200:], y[200:]) > 0.8
    True
    """

    _parameter_constraints: dict = TRAINING | {
        "penalty": [StrOptions(set(PENALTIES) - {"within_class"}), Penalty],
        "layers": [str, "array-like"],
        "module": [callable, None],
        "warm_start": ["boolean"],
    }

    target_mean_: float
    target_std_: float

    def __init__(
        self,
        alpha: float = 0.3,
        *,
        penalty: str | Penalty = "isometric",
        layers: Layers = "hidden",
        hidden_layer_sizes: Sequence[int] = (256, 128),
        activation: str = "relu",
        module: nn.Module | Callable[..., nn.Module] | None = None,
        optimizer: str | Callable[..., Any] = "adam",
        learning_rate: float = 2e-3,
        learning_rate_schedule: str = "linear",
        weight_decay: float = 0.0,
        max_epochs: int = 100,
        batch_size: int = 256,
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        callbacks: Sequence[Any] | None = None,
        device: str | torch_device = "cpu",
        compile: bool | dict[str, Any] = False,
        mixed_precision: bool = False,
        verbose: bool = False,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.alpha = alpha
        self.penalty = penalty
        self.layers = layers
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.module = module
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.device = device
        self.compile = compile
        self.mixed_precision = mixed_precision
        self.verbose = verbose
        self.warm_start = warm_start
        self.random_state = random_state

    def _penalty_by_name(self, name: str) -> Penalty:
        return regression_penalty(name)

    @fit_context(prefer_skip_nested_validation=False)
    @reports_epochs
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> IsometricRegressor:
        """Train the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or torch Dataset
            Input; more dimensions are passed on to a `module`. float32 and float64 keep
            their precision. Sparse rows become dense batch by batch, and a Dataset of pairs
            (x, y), which has a length, is read so; then leave out y.
        y : array-like of shape (n_samples,)
            Target values.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights; rows of weight 0 are left out.

        Returns
        -------
        self : IsometricRegressor

        Raises
        ------
        ValueError
            If the data or a parameter breaks its rule.
        TrainingDivergedError
            If the loss becomes NaN or infinite; the last good state stays usable.
        KeyboardInterrupt
            If the user interrupts; what was fitted so far stays usable.
        """
        X, y = self._check(X, y)
        RegressionLearner(self).fit(X, y, sample_weight)
        return self

    @available_if(learns_by_chunks)
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> IsometricRegressor:
        """Train for one epoch on some rows, for data that come chunk by chunk.

        The first call builds the network, and takes the units of X and y from its rows (those
        of y from the first chunk in which it varies); the later ones, also after :meth:`fit`,
        go on. The learning rate is constant.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            As in :meth:`fit`.

        Returns
        -------
        self : IsometricRegressor

        Raises
        ------
        ValueError
            As :meth:`fit`.
        AttributeError
            If ``early_stopping`` asks for all samples at once: then there is no such method.
        TrainingDivergedError, KeyboardInterrupt
            As :meth:`fit`.
        """
        X, y = self._check(X, y, reset=not hasattr(self, "net_"))
        RegressionLearner(self, getattr(self, "_rng", None)).fit_chunk(X, y, sample_weight)
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the predicted target of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of float64 of shape (n_samples,)
        """
        samples = self._checked(X)
        outputs = inference.logits(self.net_.module_, samples)[:, 0].astype(np.float64)
        predicted: NDArray = outputs * self.target_std_ + self.target_mean_
        return predicted

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Targets of any magnitude, also where :func:`sklearn.metrics.r2_score` would lose
            their squares.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        score : float
            At most 1; 0 for predictions of the mean of y.
        """
        target = np.asarray(y, dtype=np.float64)
        _, exponent = np.frexp(np.abs(target).max(initial=0.0))
        pairs = (np.ldexp(values, -exponent) for values in (target, self.predict(X)))
        return float(r2_score(*pairs, sample_weight=sample_weight))

    @own_modes()
    def to_torch(self, *, transform: bool = False) -> nn.Module:
        """Return a copy of the trained module, on the CPU and in evaluation mode.

        Parameters
        ----------
        transform : bool, default=False
            Whether it ends at the representation that :meth:`transform` returns.

        Returns
        -------
        module : nn.Module
            Maps X to predictions (n_samples, 1) in the units of y, or to the representation.
        """
        check_is_fitted(self)
        module = copy.deepcopy(self.net_.module_).cpu()
        if transform:
            return Representation(module, self.layers).eval()
        return Rescaled(module, self.target_std_, self.target_mean_).eval()

    def _check(
        self, X: ArrayLike, y: ArrayLike | None, reset: bool = True
    ) -> tuple[NDArray, NDArray]:
        many = self.module is not None
        return check_fit_input(
            self, X, y, many_dimensions=many, reset=reset, y_numeric=True, lazy=True
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return with_dtypes(tags, single=bool(self.mixed_precision))
