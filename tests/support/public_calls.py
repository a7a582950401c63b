"""One valid call of every public function, class and method, to be spoilt one by one."""

import inspect
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

import sklearn_iso
from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
    SmoothedClassifier,
    attacks,
    augmentation,
    datasets,
    hierarchy,
    metrics,
    model_selection,
    modules,
    penalties,
    persistence,
    plotting,
    testing,
    twins,
)

RNG = np.random.RandomState(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = np.arange(24) % 3
PATHS = np.array([[f"c{int(y > 0)}", f"f{y}"] for y in Y])
ABOVE = {"f0": "c0", "f1": "c1", "f2": "c1"}
FEW = {"max_epochs": 1, "hidden_layer_sizes": (4,), "batch_size": 8, "random_state": 0}
MODEL = IsometricClassifier(**FEW | {"max_epochs": 5}).fit(X, Y)
PLANE = IsometricClassifier(**FEW).fit(X[:, :2], Y)
EMBEDDING = IsometricTransformer(**FEW).fit(X)
LEVELS = HierarchicalIsometricClassifier(max_epochs=1, batch_size=8, random_state=0).fit(X, PATHS)
LINEAR = LogisticRegression().fit(X, Y)
SEARCH = GridSearchCV(LINEAR, {"C": [0.1, 1]}, cv=2).fit(X, Y)
Z = MODEL.transform(X)
SMALL = {"X": X[:6], "y": Y[:6]}
TENSORS = {"X": torch.from_numpy(X[:6]), "y": torch.from_numpy(Y[:6])}
PAIRS = {"metric": "euclidean", "max_exact": 2000, "n_pairs": 100, "random_state": 0}
FEWEST = {"n_steps": 1, "n_queries": 2, "n_restarts": 1}
STEPS = {"eps": 0.1, "attack": attacks.PGD(n_steps=1), "random_state": 0}
QUERIES = {"eps": 0.1, "attack": attacks.AttackEnsemble(n_queries=2), "random_state": 0}
FOLDER = Path(tempfile.mkdtemp())
MODEL.save(FOLDER / "model.safetensors")


class Zero(penalties.Penalty):
    """A penalty that keeps every law."""

    def __call__(self, batch):
        return batch.weight.new_zeros(())


class Call(NamedTuple):
    """A function, and the parameters of a valid call."""

    function: object
    usual: dict
    target: object

    @property
    def parameters(self):
        """Return the names that a value may be passed under."""
        various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        listed = inspect.signature(self.target).parameters.items()
        named = [name for name, value in listed if value.kind not in various and name != "self"]
        return list(dict.fromkeys([*named, *self.usual]))


CALLS = {}


def call(name, target, function=None, /, **usual):
    CALLS[name] = Call(function or target, usual, target)


def fitting(options, target):
    return {k: v for k, v in options.items() if k in inspect.signature(target).parameters}


# ---- threat, attacks, datasets, hierarchy

call("ThreatModel", sklearn_iso.ThreatModel, units=[1, 2, 3, 4], categories=[(0, 1)])
call("ThreatModel.from_data", sklearn_iso.ThreatModel.from_data, X=X)
call("ThreatModel.resolve", sklearn_iso.ThreatModel().resolve, X=X)

LOGITS = MODEL.to_torch()
COUNT = sklearn_iso.ThreatModel("l0", bounds=(-10, 10))
KINDS = [*attacks.ATTACKS.values(), attacks.Coordinates,
         attacks.MinimumNormEnsemble, attacks.SigmaZero]  # fmt: skip


def attacked(kind):
    """Return a function that makes an attack of its parameters and runs it."""
    threat = {attacks.DDN: "l2", attacks.SigmaZero: COUNT}.get(kind, "linf")
    budget = {"eps": 1, "threat": threat, "random_state": 0}
    return lambda **params: kind(**params)(LOGITS, *TENSORS.values(), **budget)


for kind in KINDS:
    call(f"attacks.{kind.__name__}", kind, attacked(kind), **fitting(FEWEST, kind))
for name in (*sorted(attacks.ATTACKS.keys() - {"auto"}), "attack_ensemble", "coordinates"):
    attack = getattr(attacks, name)
    first = next(iter(inspect.signature(attack).parameters))
    seed = fitting({"random_state": 0}, attack)
    call(f"attacks.{name}", attack, **{first: LOGITS}, **TENSORS, eps=0.1, **seed)
call("attacks.as_attack", attacks.as_attack, attack="pgd")
call("attacks.distances", attacks.distances, logits=LOGITS, X_adv=TENSORS["X"] + 0.1, **TENSORS)
call("attacks.get_norm", attacks.get_norm, norm="l2")
call("attacks.Budget", attacks.Budget.of, X=TENSORS["X"], eps=0.1)
call("datasets.digit_paths", datasets.digit_paths, y=[1, 2])
call("datasets.make_entangled_rings", datasets.make_entangled_rings, n_samples=20)
call("datasets.make_loans", datasets.make_loans, n_samples=20)
call("datasets.make_torus", datasets.make_torus, n_samples=20)
call("datasets.make_taxonomy", datasets.make_taxonomy, n_samples=20)
call("hierarchy.LabelTree", hierarchy.LabelTree, paths=PATHS)
call("hierarchy.ancestry_paths", hierarchy.ancestry_paths, labels=PATHS[:, 1], hierarchy=ABOVE)
call("hierarchy.told_paths", hierarchy.told_paths, y=PATHS[:, 1], hierarchy=ABOVE)
call("hierarchy.parents_of", hierarchy.parents_of, hierarchy=ABOVE)
call("hierarchy.as_paths", hierarchy.as_paths, y=PATHS)


def load_mnist(path):
    # None asks the network.
    return datasets.load_mnist(FOLDER if path is None else path)


call("datasets.load_mnist", datasets.load_mnist, load_mnist, path=FOLDER)

# ---- metrics

measure = metrics.adversarial_distance
nearest = attacks.MinimumNormEnsemble(n_steps=1, n_queries=2)
call("metrics.adversarial_distance", measure, estimator=MODEL, **SMALL, attack=nearest,
     random_state=0)  # fmt: skip
for how, options in {"": STEPS, " by queries": QUERIES}.items():
    measure, given = metrics.adversarial_accuracy, {"estimator": MODEL, **SMALL, **options}
    call(f"metrics.adversarial_accuracy{how}", measure, **given)
    call(f"metrics.adversarial_examples{how}", metrics.adversarial_examples, **given)
    for name in ("robustness_curve", "robustness_report"):
        call(f"metrics.{name}{how}", getattr(metrics, name), **given | {"eps": [0.1]})
REPORTS = {
    "CorruptionReport": metrics.corruption_report(MODEL, **SMALL, n_repeats=1),
    "RobustnessReport": metrics.robustness_report(MODEL, **SMALL, eps=[0.1], n_diagnosed=0,
                                                  random_state=0),
}  # fmt: skip
for name, report in REPORTS.items():
    call(f"{name}.to_json", report.to_json, path=FOLDER / "report.json", date="today")
call("metrics.corruption_report", metrics.corruption_report, estimator=MODEL, **SMALL, n_repeats=1)
REGRESSION = Ridge().fit(X, X[:, 0])
NUMBERS = {"X": X[:6], "y": X[:6, 0]}
ERRORS = metrics.robustness_report(REGRESSION, **NUMBERS, eps=[0.1], n_diagnosed=0, random_state=0)
call("RegressionReport.to_json", ERRORS.to_json, path=FOLDER / "report.json", distances=[0.0] * 6,
     tolerance=0.5)  # fmt: skip
call("metrics.adversarial_error", metrics.adversarial_error, estimator=REGRESSION, **NUMBERS,
     **STEPS)  # fmt: skip
call("metrics.adversarial_examples of a regressor", metrics.adversarial_examples,
     estimator=REGRESSION, **NUMBERS, **STEPS, loss="squared_error")  # fmt: skip
call("metrics.adversarial_error by queries", metrics.adversarial_error, estimator=REGRESSION,
     **NUMBERS, **QUERIES)  # fmt: skip
call("metrics.adversarial_distance of a regressor", metrics.adversarial_distance,
     estimator=REGRESSION, **NUMBERS, attack=nearest, tolerance=0.5, random_state=0)  # fmt: skip
for name in ("robustness_curve", "robustness_report"):
    call(f"metrics.{name} of a regressor", getattr(metrics, name), estimator=REGRESSION, **NUMBERS,
         **STEPS | {"eps": [0.1]})  # fmt: skip
TREE = DecisionTreeClassifier(random_state=0).fit(X, Y)
call("metrics.certified_distance", metrics.certified_distance, estimator=TREE, **SMALL)
call("metrics.certified_accuracy", metrics.certified_accuracy, estimator=TREE, **SMALL, eps=0.1)
call("metrics.certified_distance of a regressor", metrics.certified_distance,
     estimator=REGRESSION, **NUMBERS, tolerance=0.5)  # fmt: skip
call("metrics.certified_error", metrics.certified_error, estimator=REGRESSION, **NUMBERS, eps=0.1)
for name in ("isometry_distortion", "expansion", "contraction", "bi_lipschitz_ratio",
             "shepard_correlation", "distortion_report", "scale_normalized_stress"):  # fmt: skip
    call(f"metrics.{name}", getattr(metrics, name), X=X, Z=Z, **PAIRS)
for name in ("trustworthiness", "continuity"):
    call(f"metrics.{name}", getattr(metrics, name), X=X, Z=Z, n_neighbors=5, max_exact=2000)
for name in ("centered_kernel_alignment", "procrustes_distance", "representational_similarity"):
    call(f"metrics.{name}", getattr(metrics, name), X=X, Z=Z)
call("metrics.representational_similarity tested", metrics.representational_similarity, X=X, Z=Z,
     n_permutations=9, return_p_value=True)  # fmt: skip
for name in ("hierarchical_f1_score", "hierarchical_precision_score", "hierarchical_recall_score",
             "tree_distance"):  # fmt: skip
    measure = getattr(metrics, name)
    call(f"metrics.{name}", measure, y_true=PATHS, y_pred=PATHS[::-1])
    labels = {"y_true": PATHS[:, 1], "y_pred": PATHS[::-1, 1], "hierarchy": ABOVE}
    call(f"metrics.{name} of labels", measure, **labels)
call("metrics.jacobian_singular_values", metrics.jacobian_singular_values, estimator=MODEL, X=X)
call("metrics.local_distortion", metrics.local_distortion, estimator=MODEL, X=X)
SEVERAL = DecisionTreeClassifier(random_state=0).fit(X, np.stack([Y, Y > 0], axis=1))
call("metrics.at_output", metrics.at_output, estimator=SEVERAL, output=0)
call("metrics.adversarial_accuracy of several outputs", metrics.adversarial_accuracy,
     estimator=SEVERAL, X=X[:6], y=np.stack([Y, Y > 0], axis=1)[:6], **QUERIES)  # fmt: skip
call("metrics.at_level", metrics.at_level, estimator=LEVELS, level=0)


def scored(make, *data):
    return lambda **params: make(**params)(*data)


ROWS = (SMALL["X"], SMALL["y"])
make = metrics.make_adversarial_scorer
call("metrics.make_adversarial_scorer", make, scored(make, MODEL, *ROWS), **STEPS)
call("metrics.make_adversarial_scorer by queries", make, scored(make, MODEL, *ROWS), **QUERIES)
call("metrics.make_adversarial_scorer of a metric", make, scored(make, MODEL, *ROWS), **STEPS,
     metric="f1_macro")  # fmt: skip
make = metrics.make_certified_scorer
call("metrics.make_certified_scorer", make, scored(make, TREE, *ROWS), eps=0.1)
make = metrics.make_distortion_scorer
call("metrics.make_distortion_scorer", make, scored(make, MODEL, X, Y), measure="stress")
make = metrics.make_representation_scorer
call("metrics.make_representation_scorer", make, scored(make, MODEL, X, Y),
     measure="representational_similarity")  # fmt: skip
make = metrics.make_hierarchical_scorer
call("metrics.make_hierarchical_scorer", make, scored(make, LEVELS, X, PATHS), measure="f1")
make, robust = metrics.make_level_scorer, metrics.make_adversarial_scorer(**QUERIES)
call("metrics.make_level_scorer", make, scored(make, LEVELS, X, PATHS), scorer=robust, level=0)

# ---- model_selection, modules, penalties, persistence, twins

SCORES = {"mean_test_clean": [0.9, 0.8], "mean_test_robust": [0.1, 0.2]}
SCORES |= {"std_test_clean": [0.1, 0.1], "split0_test_clean": [1, 1], "split1_test_clean": [1, 1]}
make = model_selection.refit_robust
call("model_selection.refit_robust", make, scored(make, SCORES), max_accuracy_drop=0.01)


def fit_with_stopping(**params):
    stop = model_selection.RobustEarlyStopping(**params)
    params = {"callbacks": [stop], "early_stopping": True}
    return IsometricClassifier(**params, **FEW).fit(X, Y)


call("model_selection.RobustEarlyStopping", model_selection.RobustEarlyStopping, fit_with_stopping,
     eps=0.1, attack="fgsm")  # fmt: skip


def fit_with_shifts(**params):
    shifts = augmentation.RandomShifts(**params)
    return IsometricClassifier(callbacks=[shifts], **FEW).fit(X, Y)


call("augmentation.RandomShifts", augmentation.RandomShifts, fit_with_shifts, n_pixels=1)
call("modules.MLP", modules.MLP, n_features=4, n_outputs=3)
call("modules.ConvNet", modules.ConvNet, n_features=64, n_outputs=3)
call("modules.SmallCNN", modules.SmallCNN, n_features=256, n_outputs=3)
call("modules.OrthogonalMLP", modules.OrthogonalMLP, n_features=4, n_outputs=3)
call("modules.OrthogonalConvNet", modules.OrthogonalConvNet, n_features=64, n_outputs=3)
PART = {"module": LOGITS, "X": TENSORS["X"]}
call("modules.represent", modules.represent, layers="hidden", **PART)
call("modules.represent_many", modules.represent_many, choices=["hidden"], **PART)
call("penalties.make_penalty", penalties.make_penalty, penalty="global")
call("penalties.embedding_penalty", penalties.embedding_penalty, penalty="global", metric="l2",
     n_neighbors=3)  # fmt: skip


def fit_with_sum(**params):
    return IsometricClassifier(penalty=penalties.PenaltySum(**params), **FEW).fit(X, Y)


def fit_with_checkpoint(**params):
    return IsometricClassifier(callbacks=[persistence.Checkpoint(**params)], **FEW).fit(X, Y)


TERMS = [("global", penalties.GlobalIsometry())]
call("penalties.PenaltySum", penalties.PenaltySum, fit_with_sum, penalties=TERMS, weights=[1.0])
call("persistence.Checkpoint", persistence.Checkpoint, fit_with_checkpoint,
     path=FOLDER / "run.checkpoint", every=1)  # fmt: skip
call("persistence.model_card", persistence.model_card, estimator=MODEL)
call("persistence.save", persistence.save, estimator=MODEL, path=FOLDER / "saved.safetensors")
call("persistence.to_onnx", persistence.to_onnx, estimator=object(), X=X)
call("sklearn_iso.load", sklearn_iso.load, path=FOLDER / "model.safetensors")
call("sklearn_iso.preset", sklearn_iso.preset, name="paper")
call("twins.as_torch", twins.as_torch, estimator=LINEAR)
call("twins.verify", twins.verify, twin=twins.as_torch(LINEAR), estimator=LINEAR, X=X)
call("twins.surrogates", twins.surrogates, twin=twins.as_torch(LINEAR))

# ---- plotting

CURVE = {"eps": [0, 0.1], "accuracy": [0.9, 0.5], "threat": "l2"}
DISTANCES = {"d_X": [1.0, 2.0], "d_Z": [1.0, 2.0]}
PATH = {"alpha": [0.1, 1], "scores": {"accuracy": [0.1, 0.2]}}
GRID = {"x0": np.arange(3.0), "x1": np.arange(3.0), "jacobians": np.tile(np.eye(2), (3, 3, 1, 1))}
MOVED = {"X": X[:2], "X_adv": X[:2] + 0.1}
ATTACKED = {"estimator": MODEL, **SMALL, "attack": "fgsm"}
#: Parameters of the constructor, of from_estimator, and of from_predictions where they differ.
DISPLAYS = {
    "RobustnessCurveDisplay": (CURVE, ATTACKED | {"eps": [0.1]}, CURVE),
    "ShepardDisplay": (DISTANCES, {"estimator": MODEL, "X": X}, {"X": X, "Z": Z}),
    "EmbeddingDisplay": (
        {"Z": X[:, :2], "distortion": X[:, 0] ** 2},
        {"estimator": MODEL, "X": X},
        {"X": X, "Z": X[:, :2]},
    ),
    "AlphaPathDisplay": (PATH, {"search": SEARCH, "param": "C"}, PATH),
    "TrainingCurveDisplay": (
        {"history": {"loss": [1.0, 0.5]}, "terms": ["loss"]},
        {"estimator": MODEL},
        {"history": {"loss": [1.0, 0.5]}, "terms": ["loss"]},
    ),
    "DistortionMapDisplay": (
        GRID,
        {"estimator": PLANE, "X": X[:, :2], "grid_resolution": 5},
        GRID,
    ),
    "AdversarialExamplesDisplay": (MOVED, ATTACKED | {"eps": 0.1}, MOVED),
}
for name, (made, estimated, predicted) in DISPLAYS.items():
    display = getattr(plotting, name)
    drawn = lambda display=display, **params: display(**params).plot()  # noqa: E731
    call(f"plotting.{name}", display, drawn, **made)
    call(f"{name}.from_estimator", display.from_estimator, **estimated)
    if hasattr(display, "from_predictions"):
        call(f"{name}.from_predictions", display.from_predictions, **predicted)
call("RobustnessCurveDisplay.from_report", plotting.RobustnessCurveDisplay.from_report,
     report=REPORTS["RobustnessReport"])  # fmt: skip

# ---- testing

for name in ("point_clouds", "labelled_point_clouds", "rigid_motions", "similarities",
             "bi_lipschitz_maps", "label_trees"):  # fmt: skip
    call(f"testing.{name}", getattr(testing, name))
call("testing.Similarity", testing.Similarity, factor=1.0)
call("testing.BiLipschitzMap", testing.BiLipschitzMap, slopes=(1.0, 2.0))
ROTATION = PCA().fit(X)
call("testing.check_distance_preservation", testing.check_distance_preservation,
     transformer=ROTATION, X=X, max_distortion=2)  # fmt: skip
call("testing.check_lipschitz", testing.check_lipschitz, estimator=ROTATION, X=X[:2], bound=2,
     radius=0.1, n_steps=2, n_starts=1)  # fmt: skip
call("testing.check_rigid_motion_invariance", testing.check_rigid_motion_invariance,
     metric=lambda X, Z: 1.0, max_examples=2)  # fmt: skip
call("testing.check_penalty", testing.check_penalty, penalty=Zero(), max_examples=2)
call("testing.check_attack", testing.check_attack, attack="fgsm", norms=["linf"])
call("testing.check_adversarial_scorer", testing.check_adversarial_scorer,
     scorer=metrics.make_adversarial_scorer(eps=0.1), eps=0.1, threat="linf")  # fmt: skip

# ---- methods of estimators


def fresh(kind, method):
    """Return a method of an estimator that is made anew for each call."""
    return lambda **params: getattr(kind(**fitting(FEW, kind)), method)(**params)


FOLDS = {"alphas": [0.0, 1.0], "estimator": IsometricClassifier(**FEW), "cv": 2}
call("IsometricClassifierCV.fit", IsometricClassifierCV.fit, IsometricClassifierCV(**FOLDS).fit,
     X=X, y=Y)  # fmt: skip
for kind, y in ((IsometricClassifier, Y), (IsometricRegressor, Y), (IsometricTransformer, Y),
                (HierarchicalIsometricClassifier, PATHS)):  # fmt: skip
    for method in ("fit", "partial_fit"):
        if hasattr(kind, method):
            target = getattr(kind, method)
            classes = fitting({"classes": [0, 1, 2]}, target)
            call(f"{kind.__name__}.{method}", target, fresh(kind, method), X=X, y=y, **classes)
ANSWERS = ("predict", "predict_proba", "predict_log_proba", "predict_paths", "transform")
for fitted in (MODEL, EMBEDDING, LEVELS):
    for method in (*ANSWERS, "decision_function"):
        if hasattr(fitted, method):
            call(f"{type(fitted).__name__}.{method}", getattr(fitted, method), X=X)
call("IsometricClassifier.score", MODEL.score, X=X, y=Y)
call("HierarchicalIsometricClassifier.score", LEVELS.score, X=X, y=PATHS)
call("IsometricTransformer.score", EMBEDDING.score, X=X)
BACK = EMBEDDING.transform(X)
call("IsometricTransformer.inverse_transform", EMBEDDING.inverse_transform, X=BACK)
call("HierarchicalIsometricClassifier.at_level", LEVELS.at_level, level=0)
SMOOTHED = SmoothedClassifier(LINEAR, n_samples=20, n_guess=5, random_state=0).fit(X, Y)
call(
    "SmoothedClassifier.fit",
    SmoothedClassifier.fit,
    lambda **params: SmoothedClassifier(LINEAR, n_samples=5).fit(**params),
    X=X,
    y=Y,
)
for method in ("predict", "predict_proba", "certified_radius"):
    call(f"SmoothedClassifier.{method}", getattr(SMOOTHED, method), X=X)
call("IsometricClassifier.save", MODEL.save, path=FOLDER / "saved.safetensors")

#: Given by users as data or as functions of theirs: refused in the words of who reads them.
DATA = {"X", "X_adv", "Z", "attack", "estimator", "hold", "jacobians", "labels", "logits",
        "metric", "module", "paths", "predict", "sample_weight", "scorer", "scores", "search",
        "transformer", "twin", "x0", "x1", "y", "y_pred", "y_true"}  # fmt: skip

#: Parameters that an error may name by another one that follows from them.
ALSO = {"alpha": ["alphas"], "n_features": ["image_shape", "patch_size"], "choices": ["layers"]}

#: Calls of which the valid one is left out, and why.
NEVER_VALID = {
    "datasets.load_mnist": "needs the file",
    "persistence.to_onnx": "takes seconds",
}

#: Modules of torch, whose first weights come from torch's generator where none is passed.
TORCH_MODULES = {"modules.MLP", "modules.ConvNet", "modules.SmallCNN", "modules.OrthogonalMLP",
                 "modules.OrthogonalConvNet"}  # fmt: skip

#: Public names that nobody calls with parameters of their own.
NOT_CALLED = {
    "results": ["metrics.CorruptionReport", "metrics.DistortionReport", "metrics.Finding",
                "metrics.RegressionReport", "metrics.RobustnessReport", "twins.Agreement",
                "estimators.LevelClassifier"],
    "errors": ["testing.LawBrokenError", "twins.NotDifferentiableError"],
    "parts that a fit makes of parameters it has checked": [
        "attacks.Attack", "attacks.Norm", "modules.Autoencoder", "modules.BestLeaf",
        "modules.LeafScores", "modules.Representation",
        "modules.Rescaled", "modules.ResidualMLP", "modules.Stack", "modules.StackLevel",
        "penalties.Batch", "penalties.PairwiseIsometry", "penalties.Penalty"],
    "functions of what as_paths returned": ["hierarchy.common_depth", "hierarchy.depths",
                                            "hierarchy.is_missing"],
    "functions of tensors": ["penalties.nearest_other_class_distance"],
    "without parameters": ["twins.registered", "modules.SortPairs"],
    "decorators, which would stay registered": ["twins.register", "twins.torch_function"],
}  # fmt: skip
