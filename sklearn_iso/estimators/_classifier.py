"""IsometricClassifier: a robust neural network with scikit-learn's manners."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso._training import inference, known_classes
from sklearn_iso._typed import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    available_if,
    fit_context,
)
from sklearn_iso.estimators._base import with_dtypes
from sklearn_iso.estimators._constraints import CLASSIFIER, Auto
from sklearn_iso.estimators._crossfitting import ChoosingLearner
from sklearn_iso.estimators._input import check_fit_input
from sklearn_iso.estimators._learner import Learner, learns_by_chunks
from sklearn_iso.estimators._representing import RepresentingNetwork
from sklearn_iso.estimators._tasks import fit_task
from sklearn_iso.modules import Representation
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._build import has_own_sizes
from sklearn_iso.modules._orthogonal import as_plain
from sklearn_iso.modules._representations import only_first_output
from sklearn_iso.penalties import Penalty
from sklearn_iso.penalties._catalogue import PenaltyName


@dataclass(eq=False, repr=False, kw_only=True)
class IsometricClassifier(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, RepresentingNetwork):
    r"""Neural network trained to keep distances, and thereby robust to small perturbations.

    .. math:: L = \mathrm{CE}(f(X), y) + \alpha P(f, X, y)

    With the default penalty, the hidden layers keep the distances between samples of one class
    up to scale (:class:`~sklearn_iso.penalties.WithinClassIsometry`), and the logits expand no
    direction at any sample by more than they need to, with half the cross-entropy of the sample
    at the perturbation too (:class:`~sklearn_iso.penalties.WorstCaseIsometry`).

    Parameters
    ----------
    alpha : float or "auto", default="auto"
        Strength of the penalty, dimensionless; 0 trains a plain network. "auto" lets held out
        samples choose (see Notes).
    penalty : {"isometric", "within_class", "worst_case"} or Penalty, default="isometric"
        What `alpha` multiplies; "isometric" is ``WithinClassIsometry() +
        WorstCaseIsometry().with_cross_entropy(0.5)``. A grid reaches its parameters, by name or
        as an object: ``penalty__radius`` is that of all pairs.
    layers : {"hidden", "last_hidden", "logits"} or sequence of str, default="hidden"
        Representations whose distances are kept, and the last of which is the output of
        :meth:`transform`; names are those of submodules.
    hidden_layer_sizes : sequence of int, default=(256, 128)
        Widths of the hidden layers of the built-in network and of "orthogonal"; not used with
        another `module`.
    activation : str, default="relu"
        "relu", "tanh", "elu", "gelu", "silu", "softplus", "leaky_relu", "logistic" or
        "identity"; not used with `module`.
    module : {"orthogonal", "small_cnn"}, nn.Module, its class or a function, optional
        "orthogonal" is :class:`~sklearn_iso.modules.OrthogonalMLP`, isometric by construction, of
        the `hidden_layer_sizes`; pass :class:`~sklearn_iso.penalties.LipschitzCrossEntropy` with
        it. "small_cnn" is :class:`~sklearn_iso.modules.SmallCNN`, for square images of one
        channel. Any other maps X to logits, one for each class. An instance is copied with its
        weights; a class is built anew and given ``n_features`` and ``n_outputs`` if its
        constructor takes them.
    optimizer : {"adam", "adamw", "sgd"} or torch optimiser class, default="adam"
    learning_rate : float or "auto", default="auto"
        "auto" is 0.002, and 0.01 for the members of a cross-fit.
    learning_rate_schedule : {"linear", "cosine", "constant"}, default="linear"
        "linear" and "cosine" let the learning rate fall to 0 over the epochs.
    weight_decay : float or "auto", default="auto"
        "auto" is 0, and chosen with `alpha` in a cross-fit, where it is part of the loss.
    max_epochs : int or "auto", default="auto"
        Passes over the training samples; "auto" is 100, and 20 in a cross-fit.
    batch_size : int or "auto", default="auto"
        Samples of a batch, within which pairs are formed. "auto" is 256, and in a cross-fit as
        many as make 8 batches, between 16 and 256.
    shuffle : bool, default=True
        Order the samples anew in every epoch.
    samples_per_class : int or None, default=None
        Balanced batches, for many classes: samples of one class come in groups of at least so
        many (all of a smaller class; at most half a batch), so that every batch holds few
        classes and within-class pairs of each. Every sample comes once an epoch, the classes
        evenly spread over it; batches differ in size by less than two groups. None mixes all
        classes; with hundreds of them, few samples of a batch then have a partner.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the samples, stop once their loss has not improved by
        the factor `tol` for `n_iter_no_change` epochs, and keep the best weights.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with `sample_weight`.
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
    classes_ : ndarray of shape (n_classes,)
    alpha_, weight_decay_ : float
        What the network was trained with.
    temperature_ : float
        What the logits were divided by after training; 1 without a cross-fit.
    selection_ : dict of str to ndarray, or None
        Of the candidates of a cross-fit: "alpha", "weight_decay", held out "log_loss" and "error",
        and with "_excess" and "_std_error" how far they are above the least.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the module.
    penalty_ : Penalty
        The calibrated penalty; as it came for ``alpha=0``.
    radius_, scale_ : float
        What the worst-case term came to; absent without one, and where `alpha` is given as 0.
    n_iter_ : int
        Epochs run.
    history_ : dict of str to list of float
        Columns "epoch", "loss", "classification_loss", "penalty", those of each term of a
        sum, and "valid_..." where there was validation data.
    loss_curve_ : list of float
        The column "loss".
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    See Also
    --------
    sklearn_iso.metrics.adversarial_accuracy : Measure robustness.
    sklearn_iso.metrics.isometry_distortion : Measure how far distances are kept.

    Notes
    -----
    How steep a map the classes support depends on their noise, which no distance tells. With
    ``alpha="auto"`` the data tell: four small networks for each of several strengths leave out
    one fold of the samples each, all trained at once. The strongest is taken whose held out log
    loss and error are within a standard error of the least; the mean of its four networks, with
    logits over the temperature that suits the held out samples, is one network of the
    `hidden_layer_sizes`. This takes built-in layers of 64 units or more, in multiples of 4, a
    penalty of the default kind, 50 distinct samples or more and at most 10 million values in X,
    and neither `early_stopping`, `warm_start`, `compile`, `mixed_precision` nor
    :meth:`partial_fit`. Otherwise alpha is 1.

    References
    ----------
    K. Beshkov, J. Verhellen, M. E. Lepperød, "Isometric Representations in Neural Networks
    Improve Robustness", Scientific Reports 2025, doi:10.1038/s41598-025-20619-0.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso import IsometricClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = make_pipeline(StandardScaler(), IsometricClassifier(random_state=0)).fit(X, y)
    >>> clf.score(X, y) > 0.95
    True
    """

    _parameter_constraints = CLASSIFIER

    alpha: float | Auto = field(default="auto", kw_only=False)
    penalty: PenaltyName | Penalty = "isometric"
    samples_per_class: int | None = None
    class_weight: dict[Any, float] | Literal["balanced"] | None = None

    classes_: NDArray = field(init=False)
    alpha_: float = field(init=False)
    weight_decay_: float = field(init=False)
    temperature_: float = field(init=False)
    selection_: dict[str, NDArray] | None = field(init=False)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> IsometricClassifier:
        """Train the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or torch Dataset
            Input; more dimensions are passed on to a `module`. float32 and float64 keep
            their precision. Sparse samples become dense batch by batch, and a Dataset of pairs
            (x, y), which has a length, is read so; then leave out y.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights; samples of weight 0 are left out.

        Returns
        -------
        self : IsometricClassifier
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
            many = has_own_sizes(self.module)
            X, y = check_fit_input(self, X, y, many_dimensions=many, lazy=True)
            learner = ChoosingLearner(self, task)
            self._learn(learner, learner.fit, *task.samples(X, y, sample_weight))
        return self

    @available_if(learns_by_chunks)
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> IsometricClassifier:
        """Train for one epoch on some samples, for data that come chunk by chunk.

        The first call builds the network and calibrates the penalty on its samples; the later
        ones, also after :meth:`fit`, go on with weights, optimiser and random draws. The
        learning rate is constant, and a warm-up of the penalty counts calls against
        `max_epochs`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), optional
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights; samples of weight 0 are left out.

        Returns
        -------
        self : IsometricClassifier

        Raises
        ------
        ValueError
            If the data or a parameter breaks its rule, classes are missing in the first call or
            differ later, or a label is not among them.
        AttributeError
            If ``early_stopping`` or ``class_weight="balanced"`` ask for all samples at once: then
            there is no such method.
        TrainingDivergedError
            If the loss becomes NaN or infinite; the last good state stays usable.
        KeyboardInterrupt
            If the user interrupts; what was fitted so far stays usable.
        """
        known = known_classes(classes, self.classes_ if hasattr(self, "net_") else None)
        X, y = check_fit_input(
            self,
            X,
            y,
            many_dimensions=has_own_sizes(self.module),
            reset=not hasattr(self, "net_"),
            lazy=True,
        )
        learner = Learner(self, rng=getattr(self, "_rng", None))
        self._learn(learner, learner.fit_chunk, X, y, known, sample_weight)
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Values of ``classes_``.
        """
        logits = self._logits(X)
        labels: NDArray = self.classes_[logits.argmax(axis=1)]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Each row adds up to 1.
        """
        return inference.probabilities(self._logits(X))

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """Return the logarithm of :meth:`predict_proba`, without its underflow.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Finite wherever float64 can hold them.
        """
        log_probabilities: NDArray = log_softmax(self._logits(X), axis=1)
        return log_probabilities

    def decision_function(self, X: ArrayLike) -> NDArray:
        r"""Return the logits, whose softmax is :meth:`predict_proba`.

        Of two classes one number, the difference :math:`z_1 - z_0`: the log-odds of
        ``classes_[1]``, which is predicted where they are positive.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            In the order of ``classes_``.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits  # noqa: PLR2004

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
            Maps X to logits in the order of ``classes_``, or to the representation.
        """
        check_is_fitted(self)
        module = as_plain(copy.deepcopy(self.net_.module_).cpu())
        if transform:
            return Representation(module, self.layers).eval()
        return (module if self.module is None else only_first_output(module)).eval()

    def _logits(self, X: ArrayLike) -> NDArray:
        samples = self._checked(X)
        return inference.logits(self.net_.module_, samples)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return with_dtypes(tags, single=bool(self.mixed_precision))
