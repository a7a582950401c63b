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
    """Return what `import sklearn_iso` adds, and then what fits add."""
    code = STAGES.format(bare=BARE)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_an_import_adds_the_package_and_skorch(new_modules):
    """No estimators of scikit-learn but those that every program has, and nothing to draw with."""
    imported, _ = new_modules
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
    _, fitted = new_modules
    assert not {"torch._dynamo", "sympy", "torch.distributed.fsdp"} & set(fitted)
    assert len(fitted) < 25, fitted
