"""How a network is trained: data, objective, randomness and the skorch net."""

from sklearn_iso._randomness import private_random_state
from sklearn_iso._training.acceleration import Acceleration
from sklearn_iso._training.calibration import calibrate, input_similarity
from sklearn_iso._training.data import ArrayBatches, ArrayDataset
from sklearn_iso._training.embedding import EmbeddingObjective
from sklearn_iso._training.fit import build_net, release_data, resume_net
from sklearn_iso._training.history import history_columns
from sklearn_iso._training.labels import (
    check_several_classes,
    combine_weights,
    encode_among,
    encode_labels,
    known_classes,
    row_weights,
)
from sklearn_iso._training.landmarks import landmark_coordinates
from sklearn_iso._training.levels import AlternatingNet, LevelsObjective
from sklearn_iso._training.net import LossNotFiniteError, PenalizedNet
from sklearn_iso._training.objective import Objective
from sklearn_iso._training.principal import principal_axes
from sklearn_iso._training.randomness import (
    PrivateStream,
    Randomness,
    new_generator,
)
from sklearn_iso._training.robust_stopping import RobustEarlyStopping
from sklearn_iso._training.settings import (
    OPTIMIZERS,
    SCHEDULES,
    TrainingSettings,
    resolve_device,
)
from sklearn_iso._training.weak_pairs import warn_of_weak_pairs

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Acceleration",
    "AlternatingNet",
    "ArrayBatches",
    "ArrayDataset",
    "EmbeddingObjective",
    "LevelsObjective",
    "LossNotFiniteError",
    "Objective",
    "PenalizedNet",
    "PrivateStream",
    "Randomness",
    "RobustEarlyStopping",
    "TrainingSettings",
    "build_net",
    "calibrate",
    "check_several_classes",
    "combine_weights",
    "encode_among",
    "encode_labels",
    "history_columns",
    "input_similarity",
    "known_classes",
    "landmark_coordinates",
    "new_generator",
    "principal_axes",
    "private_random_state",
    "release_data",
    "resolve_device",
    "resume_net",
    "row_weights",
    "warn_of_weak_pairs",
]
