"""Laws of scikit-learn's callbacks: a task for each epoch, and nothing left behind."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping

import sklearn_iso
from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
)
from sklearn_iso.estimators import _base as base

pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 brings callbacks")

X, y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 0}
ESTIMATORS = [
    IsometricClassifier(**QUICK),
    IsometricClassifier(**QUICK, early_stopping=True),
    IsometricRegressor(**QUICK),
    IsometricTransformer(**QUICK),
    HierarchicalIsometricClassifier(max_epochs=4, random_state=0),
]
EACH = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: repr(e)[:40])


class Record:
    """Callback that writes down what it hears, and may ask to stop."""

    def __init__(self, stop_at=None):
        self.heard, self.answers, self.stop_at = [], [], stop_at

    def setup(self, estimator, context):
        self.heard.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.heard.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.heard.append(f"end {context.task_name}")
        self.data = X, y, metadata
        if fitted_estimator is not None:  # a fold has none
            self.answers.append(fitted_estimator.transform(X))
        return context.task_name == "epoch" and context.task_id == self.stop_at

    def teardown(self, estimator, context):
        self.heard.append("teardown")


class Spread(Record):
    """The same, handed down by searches and pipelines."""

    max_propagation_depth = None


@EACH
def test_a_fit_is_a_task_and_each_epoch_one_of_its_parts(estimator):
    record = Record()
    clone(estimator).set_callbacks(record).fit(X, y)
    epochs = ["begin epoch", "end epoch"] * 4
    assert record.heard == ["setup", "begin fit", *epochs, "end fit", "teardown"]


@EACH
def test_a_callback_that_looks_on_changes_nothing(estimator):
    plain, watched = clone(estimator).fit(X, y), clone(estimator).set_callbacks(Record()).fit(X, y)
    np.testing.assert_array_equal(plain.transform(X), watched.transform(X))
    assert plain.history_ == watched.history_


@EACH
def test_the_copy_of_an_epoch_answers_as_a_fit_that_ended_there(estimator):
    estimator = clone(estimator).set_params(learning_rate_schedule="constant")
    record = Record()
    final = estimator.set_callbacks(record).fit(X, y).transform(X)
    np.testing.assert_array_equal(record.answers[-1], final)
    if not estimator.early_stopping:  # which goes back to the best epoch
        short = clone(estimator).set_callbacks().set_params(max_epochs=2).fit(X, y)
        np.testing.assert_array_equal(record.answers[1], short.transform(X))


@EACH
def test_a_callback_may_end_the_fit(estimator):
    record = Record(stop_at=1)
    stopped = clone(estimator).set_callbacks(record).fit(X, y)
    assert record.heard.count("end epoch") == stopped.n_iter_ == 2
    assert record.heard[-2:] == ["end fit", "teardown"]


def test_an_epoch_that_ends_the_fit_by_itself_is_a_whole_task():
    record = Record()
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=lambda _: None)
    fitted = IsometricClassifier(**QUICK, callbacks=[stop]).set_callbacks(record).fit(X, y)
    assert record.heard.count("end epoch") == fitted.n_iter_ == 2


def test_callbacks_get_the_data_and_the_weights_of_the_fit():
    record, weight = Record(), np.ones(150)
    IsometricClassifier(**QUICK).set_callbacks(record).fit(X, y, weight)
    assert record.data[0] is X and record.data[1] is y
    assert record.data[2]["sample_weight"] is weight


@EACH
def test_a_fitted_estimator_holds_no_task_and_no_data(estimator):
    fitted = clone(estimator).set_callbacks(Record()).fit(X, y)
    assert not {"_fit_task", "_callback_fit_ctx"} & vars(fitted).keys()
    kinds = {type(callback).__name__ for _, callback in fitted.net_.callbacks_}
    assert "EpochTasks" not in kinds


def test_a_fit_that_fails_is_torn_down():
    record = Record()
    with pytest.raises(ValueError, match="at least 2 classes"):
        IsometricClassifier(**QUICK).set_callbacks(record).fit(X, np.zeros(150))
    assert record.heard == ["setup", "begin fit", "teardown"]


def test_callbacks_stay_out_of_a_model_file(tmp_path):
    fitted = IsometricClassifier(**QUICK).set_callbacks(Record()).fit(X, y)
    fitted.save(tmp_path / "model.safetensors")
    again = sklearn_iso.load(tmp_path / "model.safetensors")
    assert not hasattr(again, "_skl_callbacks")
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert pickle.loads(pickle.dumps(fitted)).n_iter_ == 4


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_progress_bar_goes_through_a_search_and_a_pipeline(n_jobs, capfd):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    model = make_pipeline(StandardScaler(), IsometricClassifier(**QUICK))
    search = GridSearchCV(model, {"isometricclassifier__alpha": [0, 1]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert search.best_score_ > 0
    shown = capfd.readouterr().out
    assert "GridSearchCV - fit" in shown and "100%" in shown


def test_a_search_by_alpha_tells_of_its_folds_and_of_the_last_fit():
    record = Spread()
    chosen = IsometricClassifierCV([0.0, 1.0], estimator=IsometricClassifier(**QUICK), cv=2)
    chosen.set_callbacks(record).fit(X, y)
    folds = ["begin fold", "end fold"] * 2
    epochs = ["begin epoch", "end epoch"] * 4
    last = ["begin fit", *epochs, "end fit"]
    assert record.heard == ["setup", "begin fit", *folds, *last, "end fit", "teardown"]


def test_a_callback_of_scikit_learn_among_those_of_skorch_is_sent_to_its_place():
    with pytest.raises(ValueError, match=r"go to set_callbacks"):
        IsometricClassifier(**QUICK, callbacks=[Record()]).fit(X, y)


# --- links to the reference ----------------------------------------------------------------


@EACH
def test_the_html_view_links_to_the_reference(estimator, monkeypatch):
    monkeypatch.setattr(base, "documentation", lambda: "https://site.test/en")
    page = f"https://site.test/en/reference/names/sklearn_iso.{type(estimator).__name__}.html"
    assert page in estimator._repr_html_()
    assert page in make_pipeline(StandardScaler(), estimator)._repr_html_()


def test_a_class_of_the_user_links_nowhere(monkeypatch):
    monkeypatch.setattr(base, "documentation", lambda: "https://site.test/en")

    class Mine(IsometricClassifier):
        pass

    assert Mine()._get_doc_link() == ""


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        (["Source, https://a.test/s", "Documentation, https://a.test/d/"], "https://a.test/d"),
        (None, ""),
    ],
)
def test_the_site_is_that_of_the_installed_package(urls, expected, monkeypatch, tmp_path):
    class Found:
        def get_all(self, name):
            return urls

    monkeypatch.setattr(base, "metadata", lambda name: Found())
    monkeypatch.setattr(base, "__file__", str(tmp_path / "sklearn_iso" / "estimators" / "base.py"))
    assert base.documentation() == expected
    if urls is None:
        (tmp_path / "docs" / "_build" / "html").mkdir(parents=True)
        assert base.documentation() == (tmp_path / "docs" / "_build" / "html").as_uri()
