"""A type checker finds the mistakes of a user, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest

from sklearn_iso._geometry.norms import NORMS, NormName
from sklearn_iso._threat.model import ThreatModel, ThreatParts
from sklearn_iso._training import OPTIMIZERS, SCHEDULES
from sklearn_iso.attacks import APGD, DDN, FAB, FGSM, FMN, PGD, AttackEnsemble, RayS, Square
from sklearn_iso.attacks import _options as options
from sklearn_iso.attacks._coordinates import Coordinates
from sklearn_iso.estimators import _constraints as constraints
from sklearn_iso.estimators import _targets as targets
from sklearn_iso.modules import ACTIVATIONS
from sklearn_iso.penalties import (
    EMBEDDING_PENALTIES,
    PENALTIES,
)
from sklearn_iso.penalties import (
    _catalogue as catalogue,
)
from sklearn_iso.penalties import (
    _pairwise as pairwise,
)
from sklearn_iso.penalties import (
    _search as search,
)
from sklearn_iso.penalties import (
    _starts as starts,
)
from sklearn_iso.testing import point_clouds
from sklearn_iso.testing._clouds import CloudParameters

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("user_script.py")


def expected():
    """Return the line and the code of each mistake that the script tells."""
    lines = enumerate(SCRIPT.read_text("utf-8").splitlines(), 1)
    return sorted((n, code) for n, line in lines if "# E:" in line
                  for code in line.split("# E:")[1].split())  # fmt: skip


def test_mypy_finds_the_mistakes_of_a_user_and_no_others(tmp_path_factory):
    pytest.importorskip("mypy", reason="mypy is not installed")
    # As of an installed package: what mypy finds inside of it is not the user's.
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
               "--warn-unused-ignores", "--no-error-summary", "--no-pretty", "--config-file=",
               f"--cache-dir={ROOT / '.mypy_cache' / 'user'}", str(SCRIPT)]  # fmt: skip
    ran = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path_factory.mktemp("user"),
        env=os.environ | {"MYPYPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert not ran.stderr
    found = re.findall(r"user_script\.py:(\d+): error: .*\[([\w-]+)\]", ran.stdout)
    assert sorted((int(line), code) for line, code in found) == expected(), ran.stdout


NAMES = {
    "norm": (NormName, NORMS),
    "loss": (pairwise.LossName, pairwise.LOSSES),
    "start": (starts.Start, starts.STARTS),
    "ascent": (search.Ascent, search.HEIGHTS),
    "penalty": (catalogue.PenaltyName, PENALTIES),
    "penalty of an embedding": (catalogue.EmbeddingPenaltyName, EMBEDDING_PENALTIES),
    "activation": (constraints.Activation, ACTIVATIONS),
    "optimizer": (get_args(constraints.Optimizer)[0], OPTIMIZERS),
    "schedule": (constraints.Schedule, SCHEDULES),
    "metric": (get_args(constraints.MetricOfX)[0], targets.METRICS),
}


@pytest.mark.parametrize(("literal", "table"), NAMES.values(), ids=NAMES)
def test_names_that_a_type_checker_knows_are_those_of_the_table(literal, table):
    assert set(get_args(literal)) == set(table)


OPTIONS = {
    "square": (Square, options.SquareOptions),
    "rays": (RayS, options.QueryOptions),
    "coordinates": (Coordinates, options.QueryOptions),
    "pgd": (PGD, options.ProjectedOptions),
    "fgsm": (FGSM, options.SignOptions),
    "apgd": (APGD, options.AscentOptions),
    "ddn": (DDN, options.StepOptions),
    "fmn": (FMN, options.StepOptions),
    "fab": (FAB, options.BoundaryOptions),
    "ensemble": (AttackEnsemble, options.EnsembleOptions),
}


@pytest.mark.parametrize(("kind", "known"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_a_type_checker_knows_are_the_parameters_of_the_attack(kind, known):
    parameters = {field.name: field.type for field in fields(kind) if field.init}
    told = {name: one.__forward_arg__ for name, one in known.__annotations__.items()}
    assert parameters == told


def test_parameters_of_clouds_and_threats_are_those_that_a_type_checker_knows():
    assert set(CloudParameters.__annotations__) == set(signature(point_clouds).parameters)
    assert set(ThreatParts.__annotations__) == set(signature(ThreatModel).parameters)


def test_package_says_that_it_has_types():
    assert (ROOT / "sklearn_iso" / "py.typed").exists()
