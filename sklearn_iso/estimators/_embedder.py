"""The steps of a transformer's fit, from validated arrays to fitted attributes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import orthogonal_procrustes
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import type_of_target
from torch import nn

from sklearn_iso._training import (
    ArrayDataset,
    EmbeddingObjective,
    PrivateStream,
    Randomness,
    TrainingSettings,
    build_net,
    calibrate,
    encode_labels,
    inference,
    landmark_coordinates,
    new_generator,
    resume_net,
    row_weights,
)
from sklearn_iso.estimators._embedding_networks import EmbeddingNetworks
from sklearn_iso.estimators._learner import (
    as_module,
    copy_weights,
    learns_by_chunks,
    positive_rows,
    run_net,
    settings_of,
    starts_warm,
)
from sklearn_iso.estimators._result import FitResult, found_before
from sklearn_iso.estimators._roles import Embedding
from sklearn_iso.estimators._targets import (
    Targets,
    find_paths,
    given_distances,
    kept_metric,
    metric_of,
)
from sklearn_iso.estimators._tasks import FitTask, random_state_of
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.penalties import (
    GeodesicIsometry,
    GlobalIsometry,
    JacobianIsometry,
    Penalty,
    embedding_penalty,
)

#: Samples from which the coordinates of a guide are found.
N_LANDMARKS = 500


class Embedder:
    """Fits one transformer; holds what only the fit needs.

    Parameters
    ----------
    estimator : IsometricTransformer
        Its parameters are read, and what an earlier fit has found out.
    task : FitTask, optional
        Who hears of the epochs.
    rng : RandomState, optional
        Where an earlier fit left off; by default, what `random_state` says.

    Attributes
    ----------
    result : FitResult
        What the estimator is to keep.
    """

    def __init__(
        self,
        estimator: Embedding,
        task: FitTask | None = None,
        rng: np.random.RandomState | None = None,
    ) -> None:
        self.estimator, self.task, self.result = estimator, task, FitResult()
        rng = random_state_of(estimator, task) if rng is None else rng
        self.weights = new_generator(rng)
        self.shuffling = new_generator(rng)
        penalty, validation_seed = new_generator(rng), rng.randint(2**31 - 1)
        own = estimator.encoder is not None or estimator.decoder is not None
        self.stream = PrivateStream(rng.randint(2**31 - 1)) if own else None
        self.randomness = Randomness(penalty, validation_seed, module=self.stream)
        self.rng = rng
        self.dtype = torch.float32

    @own_modes()
    def fit(
        self,
        X: NDArray,
        y: NDArray | None,
        sample_weight: ArrayLike | None,
        distances: NDArray | None,
    ) -> None:
        """Train on validated arrays."""
        estimator = self.estimator
        if self.task is not None and self.task.processes is not None:
            check_shareable(estimator)
        rows, kept = _numbered(X, sample_weight)
        given = given_distances(estimator, distances, kept)
        train, valid = self._split(rows)
        settings = settings_of(estimator)
        targets = self._start(rows, None if y is None else y[kept], settings, given, valid)
        self._run(train, rows, targets, estimator.max_epochs)

    @own_modes()
    def fit_chunk(self, X: NDArray, y: NDArray | None, sample_weight: ArrayLike | None) -> None:
        """Train for one epoch on some samples, from where the estimator is or from the start."""
        estimator = self.estimator
        rows, kept = _numbered(X, sample_weight)
        y = None if y is None else y[kept]
        settings = replace(settings_of(estimator), learning_rate_schedule="constant")
        if not hasattr(estimator, "net_"):
            targets = self._start(rows, y, settings)
        else:
            self.result = found_before(estimator, "net_", "penalty_")
            rows.X, rows.weight = as_module(estimator.net_, rows.X, rows.weight)
            labels = _labels(estimator.penalty_, y, len(rows))
            self.result.net_.criterion_.labels = torch.from_numpy(labels)
            targets = Targets(rows.X, kept_metric(estimator, estimator.penalty_))
            resume_net(estimator.net_, settings, self.shuffling)
        self.result.net_.criterion_.alpha = float(estimator.alpha)
        self._run(rows, rows, targets, 1)

    def _start(
        self,
        rows: ArrayDataset,
        y: NDArray | None,
        settings: TrainingSettings,
        given: NDArray | None = None,
        valid: ArrayDataset | None = None,
    ) -> Targets:
        """Begin the result, a net at its start, and return the distances to keep."""
        estimator = self.estimator
        self.dtype = torch.float64 if rows.X.dtype == np.float64 else torch.float32
        metric = metric_of(estimator.metric)
        penalty = embedding_penalty(estimator.penalty, metric, estimator.n_neighbors)
        kept = kept_metric(estimator, penalty)
        decoder_penalty = self._decoder_penalty()
        labels = _labels(penalty, y, len(rows))
        for term in (penalty, decoder_penalty):
            if term is not None:
                calibrate(term, ArrayDataset(rows.X, labels, rows.weight), self.rng)
        targets = Targets(rows.X, kept, given, find_paths(penalty))
        size = targets.spread(self.rng, rows.weight)
        networks = EmbeddingNetworks(estimator, self.weights, self.dtype, self.stream)
        module, mean_square = networks.at_start(rows, size, self.rng)
        if starts_warm(estimator):
            copy_weights(estimator.net_.module_, module)
        objective = EmbeddingObjective(
            penalty,
            decoder_penalty,
            float(estimator.alpha),
            mean_square=mean_square,
            labels=torch.from_numpy(labels),
            distances=given,
            guide=self._guide(penalty, targets, rows, module.encoder),
        )
        result = self.result
        result.net_ = build_net(module, objective, settings, self.shuffling, valid=valid)
        result.penalty_, result.decoder_penalty_ = penalty, decoder_penalty
        result._n_features_out = int(estimator.n_components)
        return targets

    def _run(self, train: ArrayDataset, rows: ArrayDataset, targets: Targets, epochs: int) -> None:
        objective = self.result.net_.criterion_
        try:
            run_net(
                self.result,
                train,
                self.randomness,
                epochs,
                estimator=self.estimator,
                task=self.task,
            )
        finally:
            self._complete(rows, targets, objective.mean_square)
            objective.release()

    def _guide(
        self, penalty: Penalty, targets: Targets, rows: ArrayDataset, encoder: nn.Module
    ) -> torch.Tensor | None:
        """Return where distances that X does not show place the samples, if any are to be kept."""
        terms = (term for _, _, term in penalty.terms())
        if starts_warm(self.estimator) or not any(
            isinstance(term, GeodesicIsometry | GlobalIsometry) for term in terms
        ):
            return None
        landmarks = targets.sample(self.rng, N_LANDMARKS)
        distances = targets.known_from(landmarks)
        if distances is None:
            return None
        n_components = int(self.estimator.n_components)
        places = landmark_coordinates(distances, landmarks, rows.weight, n_components)
        # Turned towards where the map starts: mirrored, it would have to cross itself.
        start = inference.representation(encoder, rows.X, "logits")
        places = places @ orthogonal_procrustes(rows.weight[:, None] * places, start)[0]
        return torch.from_numpy(places).to(self.dtype) if places.any() else None

    def _decoder_penalty(self) -> Penalty | None:
        penalty = self.estimator.decoder_penalty
        if penalty is None:
            return None
        if isinstance(penalty, str):
            return named_decoder_penalty(penalty)
        for _, _, term in penalty.terms():
            if term.needs_all_samples or getattr(term, "metric", None) == "precomputed":
                raise ValueError(
                    "decoder_penalty acts on embeddings, which change, so that no distances are "
                    f"given for them and no paths found; got {term!r}. Pass it as penalty, and "
                    "choose decoder_penalty='jacobian' or a norm as its metric."
                )
        return penalty.without_logits()

    def _split(self, rows: ArrayDataset) -> tuple[ArrayDataset, ArrayDataset | None]:
        if not self.estimator.early_stopping:
            return rows, None
        train, valid = train_test_split(
            np.arange(len(rows)),
            test_size=self.estimator.validation_fraction,
            random_state=self.rng,
        )
        return rows.subset(train), rows.subset(valid)

    def _complete(self, rows: ArrayDataset, targets: Targets, mean_square: float) -> None:
        result = self.result
        result.take_history("reconstruction_error")
        module = result.net_.module_
        measured = targets.sample(self.rng)
        Z = inference.representation(module, rows.X[measured], "logits")
        result.stress_ = targets.stress(Z, measured)
        squares = inference.squared_errors(module, rows.X)
        error = float(rows.weight.astype(np.float64) @ squares / rows.weight.sum(dtype=float))
        result.reconstruction_error_ = error / mean_square
        result._rng = self.rng


def named_decoder_penalty(name: str) -> Penalty:
    """Return the object that a name stands for as the penalty of a decoder: "jacobian" alone."""
    if name != "jacobian":
        raise ValueError(
            f"decoder_penalty must be 'jacobian', a Penalty or None; got {name!r}. Pass 'jacobian'."
        )
    return JacobianIsometry(layers="logits")


def embeds_by_chunks(estimator: Embedding) -> bool:
    """Return True; raise an AttributeError if a parameter needs all samples at once."""
    learns_by_chunks(estimator)
    try:
        metric = metric_of(estimator.metric)
        penalty = embedding_penalty(estimator.penalty, metric, estimator.n_neighbors)
    except (KeyError, TypeError, ValueError, AttributeError):
        return True  # a parameter out of its range is what partial_fit itself complains of
    if metric == "precomputed" or any(term.needs_all_samples for _, _, term in penalty.terms()):
        raise AttributeError(
            "Geodesic and precomputed distances are known among all samples only, while "
            f"partial_fit sees one chunk of samples at a time; got penalty={estimator.penalty!r} "
            f"and metric={estimator.metric!r}. Choose penalty='neighbors' or 'global' with a norm "
            "as metric, or call fit."
        )
    return True


def check_shareable(estimator: Embedding) -> None:
    """Raise a ValueError if several processes cannot share a fit."""
    metric = metric_of(estimator.metric)
    penalty = embedding_penalty(estimator.penalty, metric, estimator.n_neighbors)
    terms = [term for _, _, term in penalty.terms()]
    given = any(getattr(term, "metric", None) == "precomputed" for term in terms)
    if given or any(term.needs_all_samples for term in terms):
        raise ValueError(
            "Geodesic and precomputed distances are those between all samples: a table that every "
            "process would have to hold whole, so that several of them reach no further than one; "
            f"got penalty={estimator.penalty!r} and metric={estimator.metric!r}. Choose "
            "penalty='global' or 'neighbors' with a norm as metric, or set distributed='off' and "
            "fit in one process."
        )


def _numbered(X: NDArray, sample_weight: ArrayLike | None) -> tuple[ArrayDataset, NDArray]:
    """Return the samples that weigh anything, known by their number, and which of X they are."""
    weight = row_weights(sample_weight, X)
    kept = positive_rows(X, np.arange(len(X)), weight)
    return ArrayDataset(kept.X, np.arange(len(kept)), kept.weight), kept.y


def _labels(penalty: Penalty, y: NDArray | None, n_samples: int) -> NDArray:
    """Return the class of each sample; all 0 where there are none and none are needed."""
    needed = any(term.needs_labels for _, _, term in penalty.terms())
    if y is None and needed:
        raise ValueError(
            "A within-class penalty needs labels; got y=None. Pass fit(X, y), or choose "
            "penalty='global'."
        )
    if y is None or not (needed or type_of_target(y) in ("binary", "multiclass")):
        return np.zeros(n_samples, dtype=np.int64)
    return encode_labels(y)[1]
