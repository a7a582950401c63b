"""Natural robustness: exact answers, laws of corruptions, and the same figures in any container."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.stats import norm as normal
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, get_scorer, make_scorer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso.metrics import (
    adversarial_accuracy,
    corruption_report,
    make_adversarial_scorer,
)
from sklearn_iso.metrics._columns import Kind, columns_of_container
from sklearn_iso.metrics._corruptions import TABLE_CORRUPTIONS, CorruptibleTable, Dose
from sklearn_iso.metrics._image_corruptions import IMAGE_CORRUPTIONS, CorruptibleImages
from sklearn_iso.testing._generators import require_global_generators_kept

X, Y = load_iris(return_X_y=True)
RNG = np.random.default_rng(0)


class Sign(ClassifierMixin, BaseEstimator):
    """Whether one column is positive."""

    def __init__(self, column=0):
        self.column = column

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, X):
        cells = X.iloc[:, self.column] if hasattr(X, "iloc") else X[:, self.column]
        return (np.asarray(cells, dtype=float) > 0).astype(int)


class Identity(RegressorMixin, BaseEstimator):
    """Predicts its only column."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0]


def lines(report, column=None):
    return [line for line in report.lines if line.column == column]


def only(estimator, X, y, name, severity, **options):
    """Return the line of one corruption of all columns."""
    options = {"by_column": False, **options}
    report = corruption_report(estimator, X, y, corruptions=name, severities=[severity], **options)
    (line,) = report.lines
    return line


# ---- exact answers


def test_severity_0_is_the_clean_score_exactly():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    report = corruption_report(model, X, Y, severities=[0])
    assert {line.score for line in report.lines} == {model.score(X, Y)} == {report.clean}
    assert {line.drop for line in report.lines} == {0.0}
    assert {(line.low, line.high) for line in report.lines} == {report.clean_interval}
    assert report.worst_columns == {}


def test_severity_0_of_any_score_is_the_clean_one_exactly():
    model = Ridge().fit(X, Y)
    for scoring in (None, "neg_mean_absolute_error"):
        report = corruption_report(model, X, Y, severities=[0], scoring=scoring, by_column=False)
        scorer = get_scorer(scoring or "r2")
        assert {line.score for line in report.lines} == {scorer(model, X, Y)}


@pytest.mark.parametrize("severity", [0.3, 1.0, 3.0])
def test_accuracy_under_noise_has_the_closed_form(severity):
    """Where x lies |x| from the threshold, noise of deviation s leaves it there by Phi(|x| / s)."""
    x = RNG.normal(size=2000)
    model = Sign().fit(None, None)
    line = only(model, x[:, None], (x > 0).astype(int), "noise", severity, n_repeats=20)
    exact = normal.cdf(np.abs(x) / (severity * x.std())).mean()
    assert line.low < exact < line.high
    assert abs(line.score - exact) < 4 * 0.5 / np.sqrt(2000 * 20)
    assert line.drop == pytest.approx(1 - line.score)


def test_error_under_noise_has_the_closed_form():
    """Noise of variance s adds s to the squared error, and takes s / var(y) from R2."""
    y = RNG.normal(size=3000)
    line = only(Identity().fit(None, None), y[:, None], y, "noise", 0.5, n_repeats=10)
    assert line.low < 1 - 0.25 < line.high and abs(line.score - 0.75) < 0.01


@pytest.mark.parametrize(("severity", "kept"), [(0.5, 0.69146), (2.0, 0.97725)])
def test_drift_tells_the_worse_sign(severity, kept):
    """All samples above the threshold: only a fall hurts, by the share that lies within it."""
    x = normal.ppf((np.arange(10_000) + 0.5) / 10_000)
    x = x - x.min() + 1e-9
    line = only(Sign().fit(None, None), x[:, None], np.ones(len(x), int), "drift", severity)
    assert line.score == np.mean(x - severity * x.std() > 0)
    assert line.drop > 0


def test_rounding_falls_on_a_grid_of_standard_deviations():
    table = CorruptibleTable(X)
    rounded = table.corrupted(Dose(TABLE_CORRUPTIONS["rounding"], 0.5), 0, 0, 1)
    step = 0.5 * X.std(axis=0)
    np.testing.assert_allclose(rounded / step, np.round(rounded / step), atol=1e-9)
    assert (np.abs(rounded - X) <= step / 2 + 1e-12).all() and (rounded != X).any()


def test_outliers_lie_ten_deviations_off_in_about_the_share_of_cells():
    x = RNG.normal(size=(5000, 2))
    moved = CorruptibleTable(x).corrupted(Dose(TABLE_CORRUPTIONS["outliers"], 0.2), 0, 0, 1) - x
    far = moved[moved != 0] / np.broadcast_to(x.std(axis=0), x.shape)[moved != 0]
    np.testing.assert_allclose(np.abs(far), 10)
    assert abs(np.mean(moved != 0) - 0.2) < 0.02 and abs(np.mean(far > 0) - 0.5) < 0.05


def test_swapped_cells_hold_another_category_uniformly():
    cells = np.array(["a", "b", "c", "d"])[np.arange(8000) % 4][:, None]
    swapped = CorruptibleTable(cells).corrupted(Dose(TABLE_CORRUPTIONS["swapped"], 0.3), 0, 0, 1)
    changed = swapped != cells
    assert abs(changed.mean() - 0.3) < 0.02 and swapped.dtype == cells.dtype
    pairs = pd.crosstab(cells[changed], swapped[changed])
    assert (np.diag(pairs) == 0).all()
    off = pairs.to_numpy()[~np.eye(4, dtype=bool)]
    assert off.min() > 0.75 * off.mean() and off.max() < 1.25 * off.mean()


def test_a_whole_column_that_is_missing_leaves_a_tree_its_other_branch():
    x = np.column_stack([RNG.normal(size=400), RNG.normal(size=400)])
    y = (x[:, 0] > 0).astype(int)
    tree = DecisionTreeClassifier(max_depth=1).fit(x, y)
    report = corruption_report(tree, x, y, corruptions="missing", severities=[1])
    gone = x.copy()
    gone[:, 0] = np.nan
    (first,) = lines(report, "0")
    assert first.score == tree.score(gone, y)
    assert lines(report, "1")[0].drop == 0.0


# ---- laws


def test_only_the_column_that_the_model_uses_hurts():
    frame = pd.DataFrame(RNG.normal(size=(300, 3)), columns=["idle", "used", "unused"])
    y = (frame["used"] > 0).astype(int)
    report = corruption_report(Sign(1).fit(None, None), frame, y)
    assert list(report.worst_columns) == ["used"]
    assert {line.drop for line in lines(report, "idle")} == {0.0}
    assert "noise" in str(report) and "used" in str(report).splitlines()[-1]


numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))


@settings(max_examples=15, deadline=None)
@given(constant=numbers, values=st.lists(numbers, min_size=4, max_size=12), seed=st.integers(0, 99))
def test_a_constant_column_cannot_hurt(constant, values, seed):
    x = np.column_stack([np.full(len(values), constant), values])
    y = np.arange(len(values)) % 2
    model = KNeighborsClassifier(1).fit(x, y)
    report = corruption_report(
        model, x, y, corruptions=["noise", "drift", "rounding", "outliers"], severities=[1],
        random_state=seed, n_repeats=2,
    )  # fmt: skip
    assert all(line.drop == 0.0 for line in lines(report, "0"))


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(TABLE_CORRUPTIONS)),
    severity=st.floats(0, 1),
    seed=st.integers(0, 2**31 - 1),
)
def test_shape_columns_and_untouched_cells_stay(name, severity, seed):
    frame = mixed(40)
    before = frame.copy(deep=True)
    table = CorruptibleTable(frame)
    changed = table.corrupted(Dose(TABLE_CORRUPTIONS[name], severity), seed, 0, 1)
    pd.testing.assert_frame_equal(frame, before)
    assert changed.columns.equals(frame.columns) and changed.index.equals(frame.index)
    of_kind = {frame.columns[p] for p in table.positions(TABLE_CORRUPTIONS[name])}
    for column in frame:
        if column not in of_kind:
            pd.testing.assert_series_equal(changed[column], frame[column])
        elif name != "missing":
            assert (changed[column].isna() == frame[column].isna()).all()


def test_cells_hit_at_one_severity_are_hit_at_larger_ones():
    table = CorruptibleTable(X)
    dose = [Dose(TABLE_CORRUPTIONS["missing"], s) for s in (0.1, 0.3)]
    few, more = (np.isnan(table.corrupted(one, 7, 0, 1)) for one in dose)
    assert few.any() and (few <= more).all() and few.sum() < more.sum()


def test_figures_do_not_depend_on_what_else_is_asked():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    whole = corruption_report(model, X, Y, by_column=False)
    alone = corruption_report(model, X, Y, corruptions="noise", severities=[0.3], by_column=False)
    assert alone.lines[0] in whole.lines


def test_same_seed_same_result_and_another_seed_another():
    model = DecisionTreeClassifier(random_state=0).fit(X, Y)
    one, same, other = (
        corruption_report(model, X, Y, corruptions=["noise", "missing"], random_state=seed).lines
        for seed in (3, 3, 4)
    )
    assert one == same and one != other


def test_global_generators_and_the_data_stay_as_they_were():
    data, labels = X.copy(), Y.copy()
    model = make_pipeline(StandardScaler(copy=False), LogisticRegression()).fit(X.copy(), Y)
    with require_global_generators_kept("corruption_report"):
        for seed in (0, None):
            corruption_report(model, data, labels, random_state=seed, n_repeats=1)
    assert (data == X).all() and (labels == Y).all()
    assert corruption_report(model, data, labels, severities=[0]).clean == model.score(X.copy(), Y)


# ---- containers


def mixed(n=200):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": rng.lognormal(10, 0.5, n).astype(np.float32),
            "plan": rng.choice(["basic", "family", "business"], n),
            "vip": rng.random(n) < 0.3,
        }
    )
    frame["plan"] = frame["plan"].astype(object).where(rng.random(n) > 0.1, None)
    frame["income"] = frame["income"].where(rng.random(n) > 0.1)
    return frame


def as_polars(frame):
    return pl.DataFrame(
        {
            name: [None if pd.isna(cell) else cell for cell in column.tolist()]
            for name, column in frame.items()
        }
    )


def test_containers_hold_the_same_kinds():
    frame = mixed()
    kinds = [Kind.NUMBERS, Kind.NUMBERS, Kind.CATEGORIES, Kind.CATEGORIES]
    typed = frame.assign(plan=frame["plan"].astype("category"), age=frame["age"].astype("Int64"))
    for container in (frame, typed, as_polars(frame), frame.to_numpy(dtype=object)):
        assert [c.kind for c in columns_of_container(container).columns] == kinds
    dates = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=3), "list": [[1], [2], [3]]})
    assert [c.kind for c in columns_of_container(dates).columns] == [Kind.OTHER] * 2


def test_frames_and_arrays_give_the_same_figures():
    frame = mixed()
    frame["income"] = frame["income"].fillna(20000.0).astype(np.float64)
    y = np.where(frame["age"] + 20 * (frame["plan"] == "family") > 50, "stays", "leaves")
    encode = OneHotEncoder(handle_unknown="ignore")
    model = make_pipeline(
        make_column_transformer((encode, [2, 3]), (StandardScaler(), [0, 1])),
        LogisticRegression(max_iter=500),
    )
    found = []
    for container in (frame, as_polars(frame), frame.to_numpy(dtype=object)):
        report = corruption_report(
            model.fit(container, y), container, y,
            corruptions=["noise", "drift", "rounding", "outliers", "swapped"], by_column=False,
        )  # fmt: skip
        assert not any(line.refused for line in report.lines)
        found.append([(line.corruption, line.severity, line.score) for line in report.lines])
    assert found[0] == found[1] == found[2]


def test_sparse_lists_and_arrays_give_the_same_figures():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    dense = corruption_report(model, X, Y, corruptions="noise").lines
    for container in (csr_matrix(X), X.tolist()):
        assert corruption_report(model, container, Y, corruptions="noise").lines == dense


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers what it is asked."""

    def fit(self, X, y):
        self.classes_, self.seen_ = np.unique(y), []
        return self

    def predict(self, X):
        self.seen_.append(X)
        return np.full(len(X), self.classes_[0])


@pytest.mark.parametrize("polars", [False, True])
def test_the_estimator_sees_the_columns_and_dtypes_of_its_frame(polars):
    frame = mixed().assign(kind=pd.Categorical(RNG.choice(["u", "v"], 200)))
    frame["count"] = frame["age"].astype("Int16")
    frame = as_polars(frame) if polars else frame
    model = Recorder().fit(frame, np.arange(200) % 2)
    corruption_report(model, frame, np.arange(200) % 2)
    assert len(model.seen_) > 100
    types = dict(zip(frame.columns, frame.dtypes, strict=True))
    for seen in model.seen_:
        assert type(seen) is type(frame) and list(seen.columns) == list(frame.columns)
        for name, kind in zip(seen.columns, seen.dtypes, strict=True):
            floats = {"int64": "float64", "Int16": "Float64", "bool": "object"}
            allowed = {str(types[name]), floats.get(str(types[name]))}
            if polars:
                allowed |= {"Float64"} if types[name].is_integer() else set()
            assert str(kind) in allowed, (name, kind)


def test_names_may_repeat():
    frame = pd.DataFrame(X, columns=["a", "a", "b", "c"])
    model = LogisticRegression(max_iter=500).fit(X, Y)
    ours = corruption_report(model, frame.set_axis(range(4), axis=1).to_numpy(), Y)
    changed = CorruptibleTable(frame).corrupted(Dose(TABLE_CORRUPTIONS["drift"], 1, 1), 0, 0, 1)
    assert (changed.iloc[:, 0] == frame.iloc[:, 0]).all()
    assert (changed.iloc[:, 1] != frame.iloc[:, 1]).all() and ours.n_samples == 150


# ---- what the estimator refuses, weights, units


def test_what_the_estimator_refuses_is_told_and_is_no_score():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    report = corruption_report(model, X, Y, corruptions=["noise", "missing"], severities=[0.1])
    refused = [line for line in report.lines if line.corruption == "missing"]
    assert len(refused) == 5
    for line in refused:
        assert line.refused.startswith("ValueError: Input X contains NaN")
        assert line.score is line.low is line.drop is None
    assert "refused" in str(report) and "nan" not in str(report).lower().replace("contains nan", "")


def test_nan_predictions_and_scores_are_refused():
    class Silent(Identity):
        def predict(self, X):
            return np.where(np.abs(X[:, 0]) > 3, np.nan, X[:, 0])

    y = RNG.normal(size=50).clip(-2, 2)
    line = only(Silent().fit(None, None), y[:, None], y, "outliers", 0.5)
    assert "NaN" in line.refused and line.score is None

    def unknown(estimator, X, y):
        return float("nan") if np.abs(X).max() > 3 else 1.0

    line = only(Identity().fit(None, None), y[:, None], y, "outliers", 0.5, scoring=unknown)
    assert "gives NaN" in line.refused
    with pytest.raises(ValueError, match="scoring must give a number"):
        only(Identity().fit(None, None), 5 * y[:, None], y, "noise", 0.5, scoring=unknown)


def test_errors_of_clean_samples_and_of_the_machine_reach_the_user():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    holes = X.copy()
    holes[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        corruption_report(model, holes, Y)

    class Full(Sign):
        def predict(self, X):
            if np.abs(X).max() > 20:
                raise MemoryError
            return super().predict(X)

    with pytest.raises(MemoryError):
        only(Full().fit(None, None), X, Y > 0, "outliers", 1.0)


def test_labels_of_another_type_than_the_predictions_are_an_error():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    with pytest.raises(ValueError, match=r"type of the estimator's predictions, \["):
        corruption_report(model, X, Y.astype(str))


def test_warnings_of_corrupted_samples_are_silent():
    class Loud(Sign):
        def predict(self, X):
            if not np.array_equal(X, Loud.clean):
                warnings.warn("odd", stacklevel=2)
            return super().predict(X)

    Loud.clean = X
    assert only(Loud().fit(None, None), X, np.ones(150), "noise", 1.0).score is not None


def test_a_weight_of_2_is_the_sample_twice_and_one_of_0_leaves_it_out():
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, Y)
    weight = np.arange(150) % 3
    twice = np.repeat(np.arange(150), weight)
    options = {"corruptions": ["drift", "rounding"], "by_column": False, "units": 0.5}
    ours = corruption_report(model, X, Y, sample_weight=weight, **options)
    theirs = corruption_report(model, X[twice], Y[twice], **options)
    assert ours.n_samples == 100
    for one, other in zip(ours.lines, theirs.lines, strict=True):
        assert one.score == pytest.approx(other.score)
    errors = corruption_report(Ridge().fit(X, Y), X, Y, sample_weight=weight, **options)
    theirs = corruption_report(Ridge().fit(X, Y), X[twice], Y[twice], **options)
    assert errors.clean == pytest.approx(theirs.clean)


def test_units_are_what_a_severity_of_1_is():
    frame = pd.DataFrame(X, columns=list("abcd"))
    spread = frame.std(ddof=0)
    model = LogisticRegression(max_iter=500).fit(frame, Y)
    few = {"corruptions": ["noise", "drift", "outliers"], "severities": [0.5], "n_repeats": 2}
    usual = corruption_report(model, frame, Y, **few).lines
    for units in (spread, spread.to_dict(), spread.to_numpy(), spread[["b"]], None):
        assert corruption_report(model, frame, Y, units=units, **few).lines == usual
    assert corruption_report(model, frame, Y, units=0, corruptions="noise").worst_columns == {}
    with pytest.raises(ValueError, match="units must be given by names of columns.*'e'"):
        corruption_report(model, frame, Y, units={"e": 1})
    for wrong in ([1, 2], -1, "b", [1, 2, 3, np.nan]):
        with pytest.raises(ValueError, match="units must be"):
            corruption_report(model, frame, Y, units=wrong)


def test_scorers_of_others_see_the_estimator_itself_and_those_of_scikit_learn_its_answers():
    model, seen = LogisticRegression(max_iter=500).fit(X, Y), []

    def right(estimator, X, y):
        seen.append(estimator)
        return float(np.mean(estimator.predict(X) == y))

    found = [
        only(model, X, Y, "noise", 0.5, scoring=scoring)
        for scoring in (right, make_scorer(accuracy_score), "accuracy")
    ]
    assert all(one is model for one in seen)
    assert found[0].score == found[1].score == found[2].score
    assert (found[0].low, found[0].drop_low) == (found[1].low, found[1].drop_low)
    some, attack = slice(None, None, 5), {"eps": 0.1, "attack": "fgsm"}
    line = only(model, X[some], Y[some], "drift", 0.5, scoring=make_adversarial_scorer(**attack))
    attacked = adversarial_accuracy(model, X[some], Y[some], **attack)
    assert line.score + line.drop == pytest.approx(attacked) and line.drop > 0


# ---- intervals


@pytest.mark.parametrize("n_repeats", [1, 5])
def test_intervals_cover_the_true_accuracy_in_19_of_20_draws(n_repeats):
    """A standard normal keeps its sign under as much noise in 3 of 4 cases."""
    covered, drops, n_draws = 0, 0, 400
    rng = np.random.default_rng(n_repeats)
    for seed in range(n_draws):
        x = rng.normal(size=60)
        model = Sign().fit(None, None)
        line = only(model, x[:, None], (x > 0).astype(int), "noise", 1.0, n_repeats=n_repeats,
                    random_state=seed, units=1.0)  # fmt: skip
        covered += line.low <= 0.75 <= line.high
        drops += line.drop_low <= 0.25 <= line.drop_high
    assert 0.925 < covered / n_draws < 0.985
    assert 0.915 < drops / n_draws < 0.985


@pytest.mark.slow
def test_jackknife_intervals_cover_the_true_r2_in_19_of_20_draws():
    covered, drops, n_draws = 0, 0, 400
    rng = np.random.default_rng(0)
    for seed in range(n_draws):
        y = rng.normal(size=200)
        x = y + rng.normal(size=200) * 0.5  # R2 of 0.75, and of 0.5 with noise of a half
        line = only(Identity().fit(None, None), x[:, None], y, "noise", 0.5, n_repeats=3,
                    random_state=seed, units=1.0)  # fmt: skip
        covered += line.low <= 0.5 <= line.high
        drops += line.drop_low <= 0.25 <= line.drop_high
    assert 0.91 < covered / n_draws < 0.985
    assert 0.91 < drops / n_draws < 0.985


def test_clean_interval_is_wilsons_and_no_interval_is_told():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    low, high = corruption_report(model, X, Y, severities=[0]).clean_interval
    p, n, z = model.score(X, Y), 150, normal.ppf(0.975)
    for side in (low, high):  # Wilson's ends solve this
        assert (p - side) ** 2 == pytest.approx(z**2 * side * (1 - side) / n)
    # R2 of one sample, where the other is left out, does not exist.
    report = corruption_report(Identity().fit(None, None), [[1.0], [2.0]], [1, 3], severities=[0])
    assert report.clean_interval is None and "unknown" in str(report)


# ---- images


DIGITS, LABELS = (part[:200] for part in load_digits(return_X_y=True))


def image_dose(name, severity):
    return Dose(IMAGE_CORRUPTIONS[name], severity)


def test_images_flat_and_not_give_the_same_figures():
    model = LogisticRegression(max_iter=200).fit(DIGITS, LABELS)

    class OfImages(Sign):
        def predict(self, X):
            return model.predict(np.asarray(X).reshape(len(X), -1))

    flat = corruption_report(model, DIGITS, LABELS, image_shape=(8, 8), n_repeats=2)
    assert [line.corruption for line in flat.lines[::3]] == list(IMAGE_CORRUPTIONS)
    for shape in ((8, 8), (1, 8, 8), (8, 8, 1)):
        images = DIGITS.reshape(-1, *shape)
        report = corruption_report(OfImages().fit(None, None), images, LABELS, n_repeats=2)
        assert report.lines == flat.lines
    assert "images have no columns" in str(flat) and flat.worst_columns == {}


def test_images_stay_in_range_and_contrast_shift_and_occlusion_do_what_they_say():
    flat = CorruptibleImages(DIGITS, (8, 8))
    images = DIGITS.reshape(-1, 8, 8)

    def corrupted(name, severity):
        return flat.corrupted(image_dose(name, severity), 0, 0, 1).reshape(-1, 8, 8)

    noisy = corrupted("noise", 3.0)
    assert noisy.min() >= 0 and noisy.max() <= 16
    grey = corrupted("contrast", 1.0)
    np.testing.assert_allclose(
        grey, np.broadcast_to(images.mean((1, 2), keepdims=True), grey.shape)
    )
    shifted = corrupted("shift", 1.0)
    ways = [np.roll(images, step, axis) for axis in (1, 2) for step in (1, -1)]
    inner = [(way[:, 1:-1, 1:-1] == shifted[:, 1:-1, 1:-1]).all((1, 2)) for way in ways]
    assert np.any(inner, axis=0).all() and min(np.mean(inner, axis=1)) > 0.1
    changed = corrupted("occlusion", 0.5) != images
    assert (changed.any(2).sum(1) <= 4).all() and (changed.any(1).sum(1) <= 4).all()
    np.testing.assert_allclose(corrupted("occlusion", 1.0), DIGITS.mean())


def test_blur_spreads_a_point_as_a_gaussian():
    point = np.zeros((1, 31, 31))
    point[0, 15, 15] = 1.0
    blurred = CorruptibleImages(point, None).corrupted(image_dose("blur", 1.5), 0, 0, 1)[0]
    down, right = np.indices((31, 31)) - 15
    bell = np.exp(-(down**2 + right**2) / (2 * 1.5**2))
    np.testing.assert_allclose(blurred, bell / bell.sum(), atol=1e-4)


def test_channels_are_found_on_either_side_and_move_together():
    first = RNG.random((5, 3, 6, 4))
    last = np.moveaxis(first, 1, -1)
    for name in ("blur", "shift", "contrast", "occlusion"):
        dose = image_dose(name, 1.0 if name == "shift" else 0.5)
        of_first = CorruptibleImages(first, None).corrupted(dose, 0, 0, 1)
        of_last = CorruptibleImages(last, None).corrupted(dose, 0, 0, 1)
        np.testing.assert_allclose(np.moveaxis(of_first, 1, -1), of_last)
    hidden = (
        CorruptibleImages(first, None).corrupted(image_dose("occlusion", 0.5), 0, 0, 1) != first
    )
    assert (hidden == hidden[:, :1]).all()


# ---- what is refused, and forms of the report


def test_one_severity_is_a_list_of_one():
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, Y)
    options = {"corruptions": "noise", "by_column": False}
    expected = corruption_report(model, X, Y, severities=[0.3], **options).table
    for severities in (0.3, {"noise": 0.3}):
        assert corruption_report(model, X, Y, severities=severities, **options).table == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"corruptions": "swapped"}, "corruptions must be 'auto' or among those that apply.*noise"),
        ({"corruptions": ["blur"]}, "corruptions must be 'auto'.*image_shape"),
        ({"corruptions": []}, "corruptions must be"),
        ({"corruptions": [["noise"]]}, "corruptions must be"),
        ({"severities": [-1]}, "severities must be finite numbers of at least 0"),
        ({"severities": []}, "severities must be"),
        ({"severities": [2]}, "severities of 'outliers' are a share.*at most 1.*dict"),
        ({"severities": {"blur": [1]}}, r"severities must be given for.*\['blur'\]"),
        ({"image_shape": (8, 8)}, "image_shape must hold the 4 values"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"scoring": "no such"}, "scoring"),
        ({"scoring": object}, "scoring must be .* got the class object. Pass an instance"),
        ({"scoring": lambda *_: None}, "scoring must give a number; it gives NoneType None"),
        ({"scoring": lambda *_: [0.5]}, r"scoring must give a number; it gives list \[0.5\]"),
        ({"scoring": lambda *_: "0.5"}, "scoring must give a number; it gives str '0.5'"),
    ],
)
def test_parameters_out_of_range_are_refused(options, said):
    model = LogisticRegression(max_iter=500).fit(X, Y)
    with pytest.raises(ValueError, match=said):
        corruption_report(model, X, Y, **options)


def test_data_and_estimators_that_cannot_be_scored_are_refused():
    from sklearn.cluster import KMeans

    model = LogisticRegression(max_iter=500).fit(X, Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        corruption_report(model, X, Y[:5])
    with pytest.raises(ValueError, match="X must have two dimensions"):
        corruption_report(model, np.array(["text"] * 150), Y)
    with pytest.raises(TypeError, match="scoring must say how"):
        corruption_report(KMeans(2, n_init=1).fit(X), X, Y)
    with pytest.raises(ValueError, match="sample_weight must be left out"):
        corruption_report(model, X, Y, scoring=lambda e, X, y: 1.0, sample_weight=np.ones(150))


def test_severities_by_name_and_columns_alone():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    report = corruption_report(
        model, X, Y, corruptions=["noise", "drift"], severities={"noise": [2]}, by_column=True
    )
    told = [(line.corruption, line.severity) for line in lines(report)]
    assert told == [("noise", 2.0), ("drift", 0.1), ("drift", 0.3), ("drift", 1.0)]
    assert [line.severity for line in lines(report, "3")] == [2.0, 1.0]
    wide = np.tile(X, 30)
    model = LogisticRegression(max_iter=500).fit(wide, Y)
    left = corruption_report(model, wide, Y, corruptions="drift", severities=[1])
    assert "120 columns are more than 100" in str(left) and len(left.lines) == 1


def test_table_frame_text_and_html_tell_the_same():
    frame = pd.DataFrame(X, columns=["<a>", "b", "c", "d"])
    report = corruption_report(LogisticRegression(max_iter=500).fit(frame, Y), frame, Y)
    assert report.to_frame()["score"].tolist()[:5] == [row["score"] for row in report.table[:5]]
    assert len(report.to_frame()) == len(report.lines) == len(report.table)
    worst, drop = next(iter(report.worst_columns.items()))
    text, html = str(report), report._repr_html_()
    assert f"{worst} {drop:.3f}" in text and f"{drop:.3f}" in html
    assert "<a>" not in html
    head, *rows = text.splitlines()[3:9]
    end = head.index("score") + len("score")
    assert all(row[:end].rstrip()[-1].isdigit() for row in rows)
    assert pickle.loads(pickle.dumps(report)).lines == report.lines
