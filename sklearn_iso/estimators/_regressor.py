"""IsometricRegressor: a network whose predictions move no faster than they need to."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score
from sklearn.utils import Tags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso._training import inference
from sklearn_iso._typed import (
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    available_if,
    fit_context,
)
from sklearn_iso.estimators._base import with_dtypes
from sklearn_iso.estimators._constraints import CHOOSING, MODULE, Auto
from sklearn_iso.estimators._input import check_fit_input
from sklearn_iso.estimators._learner import learns_by_chunks
from sklearn_iso.estimators._regression import RegressionLearner, regression_penalty
from sklearn_iso.estimators._representing import RepresentingNetwork
from sklearn_iso.estimators._tasks import fit_task
from sklearn_iso.modules import Representation, Rescaled
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._build import has_own_sizes
from sklearn_iso.modules._orthogonal import as_plain
from sklearn_iso.penalties import PENALTIES, Penalty


@dataclass(eq=False, repr=False, kw_only=True)
class IsometricRegressor(ClassNamePrefixFeaturesOutMixin, RegressorMixin, RepresentingNetwork):
    r"""Neural network for regression, trained to keep distances.

    .. math:: L = \frac{\sum_i w_i (f(x_i) - y_i)^2}{\sigma_y^2 \sum_i w_i} + \alpha P(f, X)

    With the default penalty, the hidden layers keep the distances of each sample to its nearest
    ones up to scale (:class:`~sklearn_iso.penalties.NeighborIsometry`), and the prediction
    moves no faster, in the worst direction at any sample, than a slope that is free
    (:class:`~sklearn_iso.penalties.WorstCaseIsometry`).

    Parameters
    ----------
    alpha : float or "auto", default="auto"
        Strength of the penalty, dimensionless; 0 trains a plain network. "auto" lets held out
        samples choose (see Notes).
    penalty : str or Penalty, default="isometric"
        What `alpha` multiplies: "isometric", "neighbors", "global", "worst_case", "local" or
        "jacobian"; one that needs no classes. "auto" in it means, in the absence
        of classes, for the radius half the median distance of a sample to its nearest other one;
        for the scale four standard deviations of y over the root mean square distance of the
        samples from their mean; and a start "margin" becomes "random". Numbers for the scale are
        in standard deviations of y for each unit of X.
    layers : {"hidden", "last_hidden", "logits"} or sequence of str, default="hidden"
        Representations whose distances are kept, and the last of which is the output of
        :meth:`transform`; "logits" is the prediction itself.
    hidden_layer_sizes : sequence of int, default=(256, 128)
        Widths of the hidden layers of the built-in network and of "orthogonal"; not used with
        another `module`.
    activation : str, default="relu"
        "relu", "tanh", "elu", "gelu", "silu", "softplus", "leaky_relu", "logistic" or
        "identity"; not used with `module`.
    module : {"orthogonal", "small_cnn"}, nn.Module, its class or a function, optional
        "orthogonal" is :class:`~sklearn_iso.modules.OrthogonalMLP`, isometric by construction, of
        the `hidden_layer_sizes`; "small_cnn" is :class:`~sklearn_iso.modules.SmallCNN`, for
        square images of one channel. Any other maps X to one output. An instance
        is copied with its weights; a class is built anew and given ``n_features``, the values of
        a sample, and ``n_outputs`` if its constructor takes them.
    optimizer : {"adam", "adamw", "sgd"} or torch optimiser class, default="adam"
    learning_rate : float or "auto", default="auto"
        "auto" is 0.002, and 0.01 for the members of a cross-fit.
    learning_rate_schedule : {"linear", "cosine", "constant"}, default="linear"
        "linear" and "cosine" let the learning rate fall to 0 over the epochs.
    weight_decay : float or "auto", default="auto"
        "auto" is 0, and chosen with `alpha` in a cross-fit, where it is part of the loss.
    max_epochs : int or "auto", default="auto"
        Passes over the training samples; "auto" is 100, and 40 in a cross-fit.
    batch_size : int or "auto", default="auto"
        Samples of a batch, within which pairs are formed. "auto" is 256, and in a cross-fit as
        many as make 5 batches, between 16 and 256.
    shuffle : bool, default=True
        Order the samples anew in every epoch.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the samples, stop once their loss has not improved by
        the factor `tol` for `n_iter_no_change` epochs, and keep the best weights.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
    callbacks : sequence of skorch callbacks, optional
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where there is one.
    distributed : {"replicated", "sharded", "off"}, default="replicated"
        What X is where torch.distributed connects several processes, as under ``torchrun``, which
        then all fit one model, of the global batches of one process: the same in all of them, or
        the samples of each. "off" lets each fit by itself. Without a process group it changes
        nothing.
    compile : bool or dict, default=False
        Compile the network with torch.compile while it trains; a dict holds arguments of
        torch.compile, for example ``{"mode": "max-autotune"}``. It takes seconds or minutes
        at first. Penalties that differentiate twice ("jacobian") do not go with it.
    mixed_precision : bool, default=False
        Train with products in bfloat16, which pays for wide layers and convolutions; samples of
        float64 become float32, and so does all that comes of them: weights, losses, distances,
        representations and probabilities.
    verbose : bool, default=False
        Show a progress bar.
    warm_start : bool, default=False
        Let :meth:`fit` start at the weights of the last fit; optimiser and schedule are new.
    random_state : int, RandomState instance or None, default=None
        Decides weights, order of samples and the draws of the penalty.

    Attributes
    ----------
    alpha_, weight_decay_ : float
        What the network was trained with.
    shrinkage_ : float
        From 0.01 to 1: what the predictions, as differences from the mean of y, were multiplied
        with after training, which is less than 1 where held out samples call for it; 1 without a
        cross-fit.
    selection_ : dict of str to ndarray, or None
        Of the candidates of a cross-fit: "alpha", "weight_decay", held out "squared_error" in
        variances of y, and with "_excess" and "_std_error" how far it is above the least.
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

    Notes
    -----
    With ``alpha="auto"`` held out samples choose by squared error, as those of
    :class:`IsometricClassifier` choose by log loss, and under the same conditions: the strongest
    of three candidates within a standard error of the least, and how far predictions are drawn
    towards the mean of y, as noise asks for. Otherwise alpha is 0.3.

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

    _parameter_constraints = CHOOSING | {
        "penalty": [StrOptions(set(PENALTIES) - {"within_class"}), Penalty],
        "layers": [str, "array-like"],
        "module": MODULE,
    }

    alpha: float | Auto = field(default="auto", kw_only=False)

    alpha_: float = field(init=False)
    weight_decay_: float = field(init=False)
    shrinkage_: float = field(init=False)
    selection_: dict[str, NDArray] | None = field(init=False)
    target_mean_: float = field(init=False)
    target_std_: float = field(init=False)

    def _penalty_by_name(self, name: str, role: str = "penalty") -> Penalty:
        return regression_penalty(name)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> IsometricRegressor:
        """Train the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or torch Dataset
            Input; more dimensions are passed on to a `module`. float32 and float64 keep
            their precision. Sparse samples become dense batch by batch, and a Dataset of pairs
            (x, y), which has a length, is read so; then leave out y.
        y : array-like of shape (n_samples,)
            Target values.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights; samples of weight 0 are left out.

        Returns
        -------
        self : IsometricRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter breaks its rule.
        TrainingDivergedError
            If the loss becomes NaN or infinite; the last good state stays usable.
        KeyboardInterrupt
            If the user interrupts; what was fitted so far stays usable.
        """
        with fit_task(self, X, y, sample_weight) as task:
            X, y = self._check(X, y)
            learner = RegressionLearner(self, task)
            self._learn(learner, learner.fit, *task.samples(X, y, sample_weight))
        return self

    @available_if(learns_by_chunks)
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> IsometricRegressor:
        """Train for one epoch on some samples, for data that come chunk by chunk.

        The first call builds the network, and takes the units of X and y from its samples (those
        of y from the first chunk in which it varies); the later ones, also after :meth:`fit`,
        go on. The learning rate is constant.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights; samples of weight 0 are left out.

        Returns
        -------
        self : IsometricRegressor

        Raises
        ------
        ValueError
            If the data or a parameter breaks its rule.
        AttributeError
            If ``early_stopping`` asks for all samples at once: then there is no such method.
        TrainingDivergedError
            If the loss becomes NaN or infinite; the last good state stays usable.
        KeyboardInterrupt
            If the user interrupts; what was fitted so far stays usable.
        """
        X, y = self._check(X, y, reset=not hasattr(self, "net_"))
        learner = RegressionLearner(self, rng=getattr(self, "_rng", None))
        self._learn(learner, learner.fit_chunk, X, y, sample_weight)
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the predicted target of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of float64 of shape (n_samples,)
            The predictions.
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
        module = as_plain(copy.deepcopy(self.net_.module_).cpu())
        if transform:
            return Representation(module, self.layers).eval()
        return Rescaled(module, self.target_std_, self.target_mean_).eval()

    def _check(
        self, X: ArrayLike, y: ArrayLike | None, reset: bool = True
    ) -> tuple[NDArray, NDArray]:
        many = has_own_sizes(self.module)
        return check_fit_input(
            self, X, y, many_dimensions=many, reset=reset, y_numeric=True, lazy=True
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return with_dtypes(tags, single=bool(self.mixed_precision))
