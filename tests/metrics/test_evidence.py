"""Evidence as JSON: valid, the same for the same call, and true to the report."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import IsometricClassifier, ThreatModel, __version__
from sklearn_iso.attacks import PGD
from sklearn_iso.metrics import (
    adversarial_distance,
    certified_distance,
    corruption_report,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.metrics._digests import digest_of_data, digest_of_model
from sklearn_iso.metrics._evidence import plain
from sklearn_iso.persistence import model_card

X, Y = load_iris(return_X_y=True)
EPS = [0.4, 0.0, 0.2]


@pytest.fixture(scope="module")
def model():
    return LogisticRegression(max_iter=500).fit(X, Y)


@pytest.fixture(scope="module")
def report(model):
    return robustness_report(model, X, Y, eps=EPS, n_diagnosed=5, random_state=0)


def strict(text):
    """Read JSON that holds no NaN and no Infinity."""

    def refuse(literal):
        raise AssertionError(literal)

    return json.loads(text, parse_constant=refuse)


def test_samples_add_up_to_the_accuracy_at_every_budget(report):
    told = strict(report.to_json())["samples"]
    broken_at = np.array([np.inf if at is None else at for at in told["broken_at"]])
    for eps, accuracy in zip(EPS, report.accuracy, strict=True):
        assert np.mean(broken_at > eps) == accuracy
    held = [stage is None for stage in told["broken_by"]]
    assert held == np.isinf(broken_at).tolist()
    for stage, counts in report.broken_by.items():
        assert told["broken_by"].count(stage) == counts[0]  # 0.4 is the largest budget
    clean = np.array(told["broken_by"]) == "clean"
    assert (broken_at[clean] == 0).all() and told["position"] == list(range(150))


def test_budgets_at_which_samples_break_contain_their_distances(model, report):
    distances = adversarial_distance(model, X, Y, random_state=0)
    told = strict(report.to_json(distances=distances))["samples"]
    assert told["distance"] == distances.tolist()
    pairs = zip(told["distance"], told["broken_at"], strict=True)
    assert all(distance <= at * 1.001 for distance, at in pairs if at is not None)


def test_infinite_distances_are_text_and_unknown_figures_null(model):
    report = robustness_report(model, X[:100], Y[:100], eps=[0.1], n_diagnosed=0, random_state=0)
    told = strict(report.to_json(distances=np.r_[np.inf, np.zeros(99)]))
    assert told["samples"]["distance"][:2] == ["inf", 0.0]
    assert told["results"]["table"]["accuracy of 2"] == [None]


def test_samples_of_weight_0_are_left_out_by_position(model):
    weight = np.arange(150) % 3
    report = robustness_report(
        model, X, Y, eps=[0.3], n_diagnosed=0, random_state=0, sample_weight=weight
    )
    distances = np.arange(150.0)
    told = strict(report.to_json(distances=distances))
    kept = np.flatnonzero(weight)
    assert told["samples"]["position"] == kept.tolist()
    assert told["samples"]["distance"] == distances[kept].tolist()
    assert told["hashes"]["sample_weight"]["sha256"] == digest_of_data(weight).sha256


def test_settings_tell_all_that_decides(model):
    threat = ThreatModel("l2", units=X.std(axis=0), immutable=[0], bounds=(0, 9))
    report = robustness_report(
        model, X, Y, eps=[0.5], threat=threat, attack=PGD(n_steps=5), random_state=3, n_diagnosed=0
    )
    told = strict(report.to_json())["settings"]
    assert told["eps"] == [0.5] and told["random_state"] == 3
    assert told["attack"]["n_steps"] == 5 and told["attack"]["repr"] == "PGD(n_steps=5)"
    assert told["threat"]["repr"] == repr(threat) and told["threat"]["bounds"] == [0, 9]
    assert told["threat"]["units"] == X.std(axis=0).tolist()
    again = robustness_curve(
        model, X, Y, eps=told["eps"], threat=threat, attack=PGD(n_steps=told["attack"]["n_steps"]),
        random_state=told["random_state"],
    )  # fmt: skip
    np.testing.assert_array_equal(again, report.accuracy)


def test_attacks_of_users_and_generators_have_no_address(model):
    def shift(logits, X, y, *, eps, threat):
        return X + eps

    for seed in (np.random.RandomState(0), None):
        report = robustness_report(
            model, X, Y, eps=[0.1], attack=shift, random_state=seed, n_diagnosed=0
        )
        text = report.to_json()
        assert "0x" not in text and "shift" in strict(text)["settings"]["attack"]


def test_the_same_call_tells_the_same(model, report, tmp_path):
    again = robustness_report(model, X, Y, eps=EPS, n_diagnosed=5, random_state=0)
    assert again.to_json() == report.to_json() == report.to_json(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text("utf-8") == report.to_json()
    for one, other in ((model, model), (model, pickle.loads(pickle.dumps(model)))):
        texts = [corruption_report(m, X, Y, n_repeats=1).to_json() for m in (one, other)]
        assert texts[0] == texts[1]


def test_a_date_is_told_only_if_passed(report):
    assert "date" not in strict(report.to_json())
    dated = strict(report.to_json(date="2026-11-30"))
    assert dated.pop("date") == "2026-11-30" and dated == strict(report.to_json())
    for wrong in (20261130, b"2026"):
        with pytest.raises(TypeError, match="date must be text"):
            report.to_json(date=wrong)


@pytest.mark.parametrize(
    "wrong", [[1.0], np.zeros((150, 1)), ["a"] * 150, [[1.0], 2.0], [np.nan] * 150, [None] * 150]
)
def test_distances_of_other_samples_are_refused(report, wrong):
    with pytest.raises(ValueError, match="distances must be"):
        report.to_json(distances=wrong)


def test_versions_and_findings_are_told(report, model):
    told = strict(report.to_json())
    assert told["versions"]["sklearn_iso"] == __version__
    assert told["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    few = robustness_report(model, X[::10], Y[::10], eps=[0.1], n_diagnosed=5, random_state=0)
    findings = strict(few.to_json())["results"]["warnings"]
    assert [finding["name"] for finding in findings] == [found.name for found in few.warnings]
    assert findings and all(finding["next_step"] for finding in findings)


def test_a_report_of_corruptions_tells_its_table(model):
    report = corruption_report(model, X, Y, corruptions=["noise", "missing"], units={"0": 1.0})
    told = strict(report.to_json(date="today"))
    assert told["results"]["table"] == report.table and told["date"] == "today"
    assert list(told["results"]["worst_columns"].items()) == list(report.worst_columns.items())
    assert told["settings"]["units"] == {"0": 1.0}
    assert told["settings"]["corruptions"]["noise"] == [0.1, 0.3, 1.0]
    assert strict(replace(report, clean=np.nan).to_json())["results"]["clean"] is None


# ---- certificates


@pytest.fixture(scope="module")
def tree():
    return DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, Y)


def test_certificates_are_told_sample_by_sample(tree):
    weight = np.arange(50) % 3
    report = robustness_report(
        tree,
        X[::3],
        Y[::3],
        eps=EPS,
        n_diagnosed=0,
        random_state=0,
        certify=True,
        sample_weight=weight,
    )
    proven = certified_distance(tree, X[::3], Y[::3])
    told = strict(report.to_json(certified_distances=proven))
    samples = told["samples"]
    assert told["results"]["proof"] == report.proven.method and told["settings"]["certify"]
    assert samples["certified_distance"] == proven[weight > 0].tolist()
    for position in range(len(EPS)):
        verdicts = np.array([each[position] for each in samples["verdicts"]])
        assert verdicts.tolist() == report.proven.verdicts[position].tolist()
        held = np.average(verdicts == "certified", weights=weight[weight > 0])
        assert held == pytest.approx(told["results"]["table"]["certified"][position])
    for distance, at, broken in zip(
        samples["certified_distance"], samples["certified_at"], samples["broken_at"], strict=True
    ):
        assert at == max((eps for eps in EPS if eps < distance), default=None)
        assert broken is None or broken >= distance


def test_certified_distances_beyond_what_broke_a_sample_are_refused(tree):
    report = robustness_report(
        tree, X[::3], Y[::3], eps=EPS, n_diagnosed=0, random_state=0, certify=True
    )
    proven = certified_distance(tree, X[::3], Y[::3])
    with pytest.raises(ValueError, match="certified_distances must be lower bounds; those of"):
        report.to_json(certified_distances=proven + 1)
    with pytest.raises(ValueError, match="lie above distance, where"):
        report.to_json(certified_distances=proven, distances=proven / 2)
    with pytest.raises(ValueError, match="certified_distances must be those of the 50 samples"):
        report.to_json(certified_distances=proven[:5])
    told = strict(report.to_json(certified_distances=proven, distances=proven))
    assert told["samples"]["distance"] == told["samples"]["certified_distance"]


def test_without_proofs_nothing_is_told_of_any(report):
    told = strict(report.to_json())
    assert told["results"]["proof"] is None and told["settings"]["certify"] is False
    assert not {"certified_at", "verdicts"} & set(told["samples"])


# ---- regressors

TARGETS = np.random.RandomState(0).normal(size=(150, 2))


@pytest.mark.parametrize("columns", [0, [0, 1]], ids=["one", "two"])
def test_a_report_of_a_regressor_tells_each_sample_at_each_budget(columns):
    y, weight = TARGETS[:, columns], np.arange(150) % 3
    ridge = Ridge().fit(X, y)
    threat = ThreatModel("l2", units=X.std(axis=0))
    report = robustness_report(
        ridge, X, y, eps=EPS, threat=threat, random_state=3, n_diagnosed=5, sample_weight=weight,
        loss="squared_error",
    )  # fmt: skip
    told, kept = strict(report.to_json()), weight > 0
    samples, settings = told["samples"], told["settings"]
    assert told["report"] == "regression_report" and told["results"]["loss"] == "squared_error"
    assert samples["position"] == np.flatnonzero(weight).tolist()
    losses = np.array(samples["loss"])
    table = told["results"]["table"]
    assert table == {name: column.tolist() for name, column in report.columns().items()}
    np.testing.assert_allclose(
        np.average(losses, axis=0, weights=weight[kept]), table["squared_error"]
    )
    predicted, targets = np.array(samples["prediction"]), y[kept][:, None]
    errors = (predicted - targets) ** 2
    np.testing.assert_allclose(errors if errors.ndim == 2 else errors.mean(axis=2), losses)
    for position in range(len(EPS)):
        found = [each[position] for each in samples["found_by"]]
        for stage, counts in report.found_by.items():
            assert found.count(stage) == counts[position]
    assert settings["threat"]["units"] == X.std(axis=0).tolist() and settings["random_state"] == 3
    assert settings["loss"] == "squared_error" and settings["n_samples_given"] == 150
    assert told["hashes"]["y"]["sha256"] == digest_of_data(y).sha256


def test_the_same_call_tells_the_same_of_a_regressor(tmp_path):
    ridge, given = Ridge().fit(X, TARGETS[:, 0]), {"eps": [0.1], "random_state": 0}
    reports = [robustness_report(ridge, X, TARGETS[:, 0], **given) for _ in range(2)]
    texts = [report.to_json(date="today") for report in reports]
    assert texts[0] == texts[1] == reports[0].to_json(tmp_path / "a.json", date="today")
    assert (tmp_path / "a.json").read_text("utf-8") == texts[0]
    hashes = strict(texts[0])["hashes"]
    assert hashes["model"]["sha256"] == digest_of_model(ridge).sha256
    lines = [f"- SHA-256 of {name}: `{one['sha256']}`" for name, one in hashes.items()]
    assert "\n".join(lines) in model_card(ridge, reports=reports[0])


def test_distances_of_a_regressor_go_with_their_tolerance():
    ridge = Ridge().fit(X, TARGETS[:, 0])
    report = robustness_report(ridge, X, TARGETS[:, 0], eps=[0.1], n_diagnosed=0, random_state=0)
    distances = adversarial_distance(ridge, X, tolerance=0.5, random_state=0)
    told = strict(report.to_json(distances=distances, tolerance=0.5))
    assert told["samples"]["distance"] == plain(distances)
    assert told["settings"]["tolerance"] == 0.5
    for wrong in (
        {"distances": distances}, {"tolerance": 0.5}, {"distances": distances, "tolerance": 0},
        {"distances": distances, "tolerance": "0.5"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="distances of a regressor go with their tolerance"):
            report.to_json(**wrong)
    with pytest.raises(ValueError, match="distances must be those of the 150 samples"):
        report.to_json(distances=distances[:3], tolerance=0.5)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(PLAIN)
def test_whatever_is_told_is_valid_json(value):
    told = plain(value)
    assert strict(json.dumps(told, allow_nan=False)) == told


# ---- hashes


def test_hash_of_an_array_can_be_computed_by_hand():
    told = b"\0float64\0(150, 4)\0" + X.astype("<f8").tobytes()
    assert digest_of_data(X).sha256 == hashlib.sha256(told).hexdigest()
    words = np.array(["a", None], dtype=object)
    told = b"\0object\0(2,)\0'a'\0None\0"
    assert digest_of_data(words).sha256 == hashlib.sha256(told).hexdigest()


def test_hash_of_data_follows_values_types_names_and_order_but_not_memory():
    frame = pd.DataFrame(X, columns=list("abcd"))
    changed = frame.copy()
    changed.iloc[7, 2] += 1e-9
    dates = pd.date_range("2026-01-01", periods=3)
    others = [
        changed, frame[["b", "a", "c", "d"]], frame.astype(np.float32), frame.iloc[::-1],
        frame.rename(columns={"a": "e"}), X, X.T, X.astype(np.float32), csr_matrix(X), Y,
        pd.DataFrame({"a": dates, "b": dates.astype(str)}), pd.DataFrame({"a": dates[::-1]}),
        pl.DataFrame({"a": ["u", None]}), pl.DataFrame({"a": ["u", "None"]}),
    ]  # fmt: skip
    hashes = [digest_of_data(one).sha256 for one in (frame, *others)]
    assert None not in hashes
    assert len(set(hashes)) == len(hashes)
    for same in (frame.copy(), frame.set_index(np.arange(150) + 5), frame[list("abcd")]):
        assert digest_of_data(same) == digest_of_data(frame)
    assert digest_of_data(np.asfortranarray(X)) == digest_of_data(X)
    assert digest_of_data(X.tolist()).sha256 == digest_of_data(X).sha256
    assert digest_of_data(X.astype(">f8")).sha256 != hashes[1]


MODELS = {
    "logistic": lambda: LogisticRegression(max_iter=500),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "neighbours": lambda: KNeighborsClassifier(),
    "pipeline": lambda: make_pipeline(StandardScaler(), SVC()),
    "isometric": lambda: IsometricClassifier(
        alpha=1.0, hidden_layer_sizes=(8,), max_epochs=1, random_state=0
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_hash_of_a_model_stays_and_tells_models_apart(name):
    fitted = MODELS[name]().fit(X, Y)
    digest = digest_of_model(fitted)
    fitted.predict(X)
    assert digest_of_model(fitted) == digest and len(digest.sha256) == 64
    assert digest_of_model(pickle.loads(pickle.dumps(fitted))) == digest
    assert digest_of_model(MODELS[name]().fit(X, Y)) == digest
    assert digest_of_model(MODELS[name]().fit(X[1:], Y[1:])) != digest
    assert digest_of_model(MODELS[name]()) != digest


def test_a_model_that_cannot_be_pickled_has_no_hash_and_the_report_says_why():
    steps = FunctionTransformer(lambda X: X), LogisticRegression(max_iter=500)
    local = make_pipeline(*steps).fit(X, Y)
    told = strict(corruption_report(local, X, Y, severities=[0]).to_json())["hashes"]["model"]
    assert told["sha256"] is None and "cannot be pickled" in told["of"]


@pytest.mark.slow
def test_hash_of_a_model_is_the_same_in_another_process(tmp_path):
    code = (
        "import pickle, sys\nfrom sklearn_iso.metrics._digests import digest_of_model\n"
        "print(digest_of_model(pickle.load(open(sys.argv[1], 'rb'))).sha256)"
    )
    for seed, name in enumerate(("forest", "isometric")):
        fitted = MODELS[name]().fit(X, Y)
        (tmp_path / name).write_bytes(pickle.dumps(fitted))
        found = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name)],
            env=os.environ | {"PYTHONHASHSEED": str(seed + 1)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert found.stdout.strip() == digest_of_model(fitted).sha256
