"""What a fresh process imports: counted in modules, as seconds depend on the machine."""

import json
import subprocess
import sys

import pytest

#: What scikit-learn and torch import by themselves, before the package is asked for.
BARE = "import sklearn.neural_network, torch"
STAGES = """
import json, sys, warnings
warnings.simplefilter("ignore")
{bare}
seen, new = set(sys.modules), []
def stage():
    global seen
    new.append(sorted(set(sys.modules) - seen))
    seen = set(sys.modules)
import sklearn_iso
stage()
import sklearn_iso.attacks, sklearn_iso.penalties
stage()
from sklearn_iso import IsometricClassifier
stage()
import numpy as np
from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso.penalties import JacobianIsometry, WithinClassIsometry, WorstCaseIsometry
X = np.random.RandomState(0).randn(40, 3)
y = (X[:, 0] > 0).astype(int)
penalties = (WithinClassIsometry() + WorstCaseIsometry(), JacobianIsometry())
models = [IsometricClassifier(alpha=1, penalty=one) for one in penalties]
models += [IsometricClassifier(), IsometricClassifier(alpha=1, optimizer="sgd")]
models += [IsometricRegressor(), IsometricTransformer()]
for model in models:
    model.set_params(max_epochs=2, random_state=0).fit(X, y)
model.transform(X)
models[0].partial_fit(X, y).predict(X)
stage()
print(json.dumps(new))
"""


@pytest.fixture(scope="module")
def new_modules():
    """Return what `import sklearn_iso` adds, then attacks, an estimator, and fits."""
    code = STAGES.format(bare=BARE)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_an_import_adds_next_to_nothing(new_modules):
    assert set(new_modules[0]) == {"sklearn_iso", "sklearn_iso._version"}


def test_attacks_and_penalties_come_without_estimators(new_modules):
    names = {name.split(".")[0] for name in new_modules[1]}
    assert "sklearn_iso" in names and not {"skorch", "tabulate", "wcwidth"} & names
    assert not [name for name in new_modules[1] if name.startswith("sklearn_iso.estimators")]


def test_an_estimator_adds_the_package_and_skorch(new_modules):
    """No estimators of scikit-learn but those that every program has, and nothing to draw with."""
    imported = [name for stage in new_modules[:3] for name in stage]
    ours = {"sklearn_iso", "skorch", "safetensors"}
    of_skorch = {"tabulate", "wcwidth", "tqdm", "shlex"}
    others = [name for name in imported if name.split(".")[0] not in ours | of_skorch]
    assert "sklearn_iso" in imported
    assert len(others) < 25, others
    families = ("ensemble", "neighbors", "cluster", "manifold", "linear_model", "svm")
    assert not {f"sklearn.{family}" for family in families} & set(imported)
    assert not {"matplotlib", "pandas", "filelock", "onnx"} & set(imported)


def test_fits_import_no_compiler(new_modules):
    """torch's optimisers import torch._dynamo and sympy, 800 modules, unless they are kept off."""
    fitted = new_modules[-1]
    assert not {"torch._dynamo", "sympy", "torch.distributed.fsdp"} & set(fitted)
    assert len(fitted) < 25, fitted


def test_names_and_subpackages_are_there_without_an_import_of_their_own():
    code = (
        "import sklearn_iso as package\n"
        "names = {*package.__all__, 'metrics', 'plotting', 'attacks'}\n"
        "assert names <= set(dir(package)), dir(package)\n"
        "assert all(hasattr(package, name) for name in names)\n"
        "assert not hasattr(package, 'nothing')\n"
        "assert package.metrics.robustness_report and package.ThreatModel('l2')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
