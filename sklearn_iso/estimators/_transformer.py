"""IsometricTransformer: a metric embedding with an out-of-sample map and an inverse."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso._typed import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    available_if,
    fit_context,
)
from sklearn_iso.estimators._base import with_dtypes
from sklearn_iso.estimators._constraints import EMBEDDING, Activation, MetricOfX, ModuleName
from sklearn_iso.estimators._embedder import Embedder, embeds_by_chunks, named_decoder_penalty
from sklearn_iso.estimators._embedding_map import bring_back, embed, stress_of_rows
from sklearn_iso.estimators._input import check_embedding_input
from sklearn_iso.estimators._network import NetworkEstimator
from sklearn_iso.estimators._targets import metric_of
from sklearn_iso.estimators._tasks import fit_task
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._orthogonal import as_plain
from sklearn_iso.modules._representations import only_first_output
from sklearn_iso.penalties import Penalty, embedding_penalty
from sklearn_iso.penalties._catalogue import EmbeddingPenaltyName


@dataclass(eq=False, repr=False, kw_only=True)
class IsometricTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    r"""Map to few dimensions that keeps distances, with a map back.

    .. math:: L = \frac{\sum_i w_i \lVert g(f(x_i)) - x_i \rVert^2}{c^2 \sum_i w_i}
              + \alpha P(f, X)

    The encoder f is metric multidimensional scaling (or Isomap, by `penalty`) that also
    embeds new samples, and the decoder g goes back; c is the root mean square distance of the
    samples from their mean. Both are networks that start at principal component analysis and its
    inverse, so that a small budget of epochs suffices and the seed hardly matters; geodesic and
    precomputed distances draw the map to their classical scaling first.

    Parameters
    ----------
    n_components : int, default=2
        Width of the embedding; at most ``min(n_samples, n_features)``.
    alpha : float, default=100.0
        Strength of the penalty, dimensionless. Distances come first in the default; small
        values give more to reconstruction, and 0 trains a plain autoencoder.
    penalty : {"global", "neighbors", "geodesic", "within_class"} or Penalty, default="global"
        Which distances are kept:

        - "global": those of all pairs, as metric multidimensional scaling does;
        - "neighbors": those to the `n_neighbors` nearest samples of the batch;
        - "geodesic": shortest paths through the graph of the `n_neighbors` nearest samples, as
          Isomap does (:class:`~sklearn_iso.penalties.GeodesicIsometry`);
        - "within_class": those between samples of one class; needs y.

        An object brings its own metric and number of neighbours. A grid reaches its parameters,
        and those of a name, for example ``penalty__loss``.
    decoder_penalty : "jacobian" or Penalty, optional
        Added to `penalty`, for the decoder: "jacobian" asks that the way back be locally
        isometric up to scale (:class:`~sklearn_iso.penalties.JacobianIsometry`).
    metric : str, float from 1 to 100 or callable, default="euclidean"
        Distances of X: "euclidean" ("l2"), "manhattan" ("cityblock", "l1"), "chebyshev"
        ("linf"), the p of a norm, a function from a tensor (n, n_features) to (n, n), or
        "precomputed": then :meth:`fit` takes them as `distances` beside the features X.
    n_neighbors : int, default=10
        For "neighbors" and "geodesic".
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Widths of the hidden layers of the built-in encoder; its decoder has them in reverse.
    activation : str, default="silu"
        A key of :data:`sklearn_iso.modules.ACTIVATIONS`; of the built-in networks.
    encoder, decoder : nn.Module, its class or a function returning one, optional
        Map X to the embedding, and back, in place of the built-in networks, which start at
        principal components. An encoder may be "orthogonal":
        :class:`~sklearn_iso.modules.OrthogonalMLP` of the `hidden_layer_sizes`, which expands no
        distance whatever is trained. An instance is copied with its weights; a class is built
        anew and given ``n_features`` and ``n_outputs``, the widths of its input and of its
        output, if its constructor takes them.
    optimizer : {"adam", "adamw", "sgd"} or torch optimiser class, default="adam"
    learning_rate : float, default=0.01
    learning_rate_schedule : {"linear", "cosine", "constant"}, default="linear"
        "linear" and "cosine" let the learning rate fall to 0 over the epochs.
    weight_decay : float, default=0.0
    max_epochs : int, default=60
        Passes over the training samples.
    batch_size : int, default=256
        Samples of a batch. Pairs are formed within a batch.
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
    stress_ : float
        Scale-optimal normalised stress of the training samples, in [0, 1]:
        ``sqrt(1 - cos^2)`` of the distances that were to be kept and those of the embedding;
        over all pairs of up to 2,000 samples, a random sample of those above.
    reconstruction_error_ : float
        Squared distance of the training samples from their way there and back, over that from
        their mean: 0 is perfect, and 1 minus it is the explained variance.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` has an ``encoder`` and a ``decoder``.
    penalty_, decoder_penalty_ : Penalty
        The calibrated penalties.
    n_iter_ : int
        Epochs run.
    history_ : dict of str to list of float
        Columns "epoch", "loss", "reconstruction_error", "penalty", those of each term of a
        sum, and "valid_..." where there was validation data.
    loss_curve_ : list of float
        The column "loss".
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    See Also
    --------
    sklearn_iso.metrics.distortion_report : How far an embedding keeps distances.
    sklearn.manifold.MDS, sklearn.manifold.Isomap : Embeddings without or with a costly map.

    Notes
    -----
    A normalised stress falls with the dimension of X whatever the embedding: distances
    concentrate, so that a map to equal distances would score well. Compare embeddings of the
    same X, and read :func:`~sklearn_iso.metrics.distortion_report`, which prints that floor.

    References
    ----------
    I. Borg, P. Groenen, *Modern Multidimensional Scaling*, 2nd ed., Springer 2005.
    J. B. Tenenbaum, V. de Silva, J. C. Langford, "A Global Geometric Framework for Nonlinear
    Dimensionality Reduction", Science 2000.
    Y. Lee, S. Yoon, M. Son, F. C. Park, "Regularized Autoencoders for Isometric
    Representation Learning", ICLR 2022, for the Jacobian of the decoder.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_iso import IsometricTransformer
    >>> X, _ = load_iris(return_X_y=True)
    >>> embedding = IsometricTransformer(random_state=0).fit(X[::2])
    >>> Z = embedding.transform(X[1::2])
    >>> Z.shape, embedding.score(X[1::2]) > -0.05
    ((75, 2), True)
    >>> embedding.inverse_transform(Z).shape
    (75, 4)
    """

    _parameter_constraints = EMBEDDING

    n_components: int = field(default=2, kw_only=False)
    alpha: float = 100.0
    penalty: EmbeddingPenaltyName | Penalty = "global"
    decoder_penalty: Literal["jacobian"] | Penalty | None = None
    metric: MetricOfX = "euclidean"
    n_neighbors: int = 10
    hidden_layer_sizes: Sequence[int] = (128, 128)
    activation: Activation = "silu"
    encoder: ModuleName | nn.Module | Callable[..., nn.Module] | None = None
    decoder: nn.Module | Callable[..., nn.Module] | None = None
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    max_epochs: int = 60
    batch_size: int = 256

    stress_: float = field(init=False)
    reconstruction_error_: float = field(init=False)
    penalty_: Penalty = field(init=False)
    decoder_penalty_: Penalty | None = field(init=False)
    _n_features_out: int = field(init=False)

    def _penalty_by_name(self, name: str, role: str = "penalty") -> Penalty:
        if role == "decoder_penalty":
            return named_decoder_penalty(name)
        if (name, self.metric) == ("geodesic", "precomputed"):
            raise ValueError(
                "penalty='geodesic' with metric='precomputed' finds the shortest paths before the "
                "penalty sees distances, and has no object with parameters. Pass the shortest "
                "paths as distances, and penalty='global'."
            )
        return embedding_penalty(name, metric_of(self.metric), self.n_neighbors)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        distances: ArrayLike | None = None,
    ) -> IsometricTransformer:
        """Learn the map and its inverse.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training samples. float32 and float64 keep their precision; mixed precision makes both
            float32.
        y : array-like of shape (n_samples,), optional
            Class labels, for penalties that use them.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights; samples of weight 0 are left out.
        distances : array-like of shape (n_samples, n_samples), optional
            The distances to keep, for ``metric="precomputed"``: symmetric, not negative, 0
            between a sample and itself.

        Returns
        -------
        self : IsometricTransformer
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
            X, labels, given = check_embedding_input(self, X, y, distances)
            learner = Embedder(self, task)
            self._learn(learner, learner.fit, *task.samples(X, labels, sample_weight), given)
        return self

    @available_if(embeds_by_chunks)
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> IsometricTransformer:
        """Train for one epoch on some samples, for data that come chunk by chunk.

        The first call starts at the principal components of its samples; the later ones, also
        after :meth:`fit`, go on. The learning rate is constant. ``stress_`` and
        ``reconstruction_error_`` are those of the samples of the last call.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), optional
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights; samples of weight 0 are left out.

        Returns
        -------
        self : IsometricTransformer

        Raises
        ------
        ValueError
            If the data or a parameter breaks its rule.
        AttributeError
            If ``early_stopping``, geodesic or precomputed distances ask for all samples at once:
            then there is no such method.
        TrainingDivergedError
            If the loss becomes NaN or infinite; the last good state stays usable.
        KeyboardInterrupt
            If the user interrupts; what was fitted so far stays usable.
        """
        X, labels, _ = check_embedding_input(self, X, y, reset=not hasattr(self, "net_"))
        learner = Embedder(self, rng=getattr(self, "_rng", None))
        self._learn(learner, learner.fit_chunk, X, labels, sample_weight)
        return self

    def transform(self, X: ArrayLike) -> NDArray:
        """Embed samples, each by itself.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            In the units of the distances that are kept.
        """
        return embed(self, X)

    def inverse_transform(self, X: ArrayLike) -> NDArray:
        """Go back from embeddings to samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Embeddings, called X by scikit-learn's convention.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            The samples that the decoder puts there.
        """
        return bring_back(self, X)

    def score(
        self, X: ArrayLike, y: ArrayLike | None = None, *, distances: ArrayLike | None = None
    ) -> float:
        """Return the negative scale-optimal normalised stress of some samples, greater is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, new ones or not; above 2,000 a random sample of them is measured. With
            geodesic distances, the shortest paths are those among these samples.
        y : ignored
        distances : array-like of shape (n_samples, n_samples), optional
            The distances between them, for ``metric="precomputed"``.

        Returns
        -------
        score : float
            In [-1, 0].
        """
        return -stress_of_rows(self, X, distances)

    @own_modes()
    def to_torch(self) -> nn.Module:
        """Return a copy of the trained map X to Z, on the CPU and in evaluation mode.

        Returns
        -------
        module : nn.Module
            From X to Z.
        """
        check_is_fitted(self)
        encoder = as_plain(copy.deepcopy(self.net_.module_.encoder).cpu()).eval()
        return encoder if self.encoder is None else only_first_output(encoder)

    @property
    def _n_outputs(self) -> int:
        width: int = self._n_features_out
        return width

    def __sklearn_tags__(self) -> Tags:
        return with_dtypes(super().__sklearn_tags__(), single=bool(self.mixed_precision))
