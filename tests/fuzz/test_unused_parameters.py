"""A parameter that would do nothing, and that was set, is an error that says which one takes it."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricTransformer,
    ThreatModel,
    preset,
)
from sklearn_iso.attacks import apgd, pgd
from sklearn_iso.metrics import corruption_report, make_distortion_scorer
from sklearn_iso.penalties import GlobalIsometry, WorstCaseIsometry
from sklearn_iso.plotting import AdversarialExamplesDisplay

X, y = load_iris(return_X_y=True)
LOGISTIC = LogisticRegression(max_iter=500).fit(X, y)
ROWS, LABELS = torch.from_numpy(X), torch.from_numpy(y)


def logits(rows):
    return rows[:, :3]


def attacked(attack, **params):
    return attack(logits, ROWS[:8], logits(ROWS[:8]).argmax(1), eps=0.1, random_state=0, **params)


def hierarchy(**params):
    return HierarchicalIsometricClassifier(max_epochs=1, random_state=0, **params)


def embedding(**params):
    return IsometricTransformer(max_epochs=1, random_state=0, **params).fit(X)


def examples(**params):
    rows, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=50).fit(rows[:100] / 16, labels[:100])
    return AdversarialExamplesDisplay.from_estimator(
        model, rows[:100] / 16, labels[:100], eps=0.1, attack="fgsm", **params
    )


UNUSED = {
    "n_pairs of a measure of points": (
        lambda: make_distortion_scorer(measure="trustworthiness", n_pairs=100),
        "n_pairs is a parameter of measures of pairs",
    ),
    "image_shape without patches": (
        lambda: WorstCaseIsometry(image_shape=(2, 2)).calibrate(ROWS, LABELS),
        "image_shape is a parameter of start='patches'",
    ),
    "first_radius of an ascent without steps": (
        lambda: WorstCaseIsometry(first_radius=4.0).calibrate(ROWS, LABELS),
        "first_radius is that of a ball that shrinks .*n_steps of 4 or more",
    ),
    "n_targets of pgd": (
        lambda: attacked(pgd, loss="margin", n_targets=2),
        "n_targets is a parameter of loss='targeted_margin'",
    ),
    "n_targets of apgd": (
        lambda: attacked(apgd, n_targets=2),
        "n_targets is a parameter of loss='targeted_margin'",
    ),
    "max_changes without groups": (
        lambda: ThreatModel(max_changes=2),
        "max_changes is a number of groups of categories",
    ),
    "metric beside a penalty object": (
        lambda: embedding(metric="manhattan", penalty=GlobalIsometry()),
        "metric is that of a penalty by name",
    ),
    "target of penalties on single samples": (
        lambda: hierarchy(target="previous", penalty="worst_case").fit(X, y),
        "target='previous' is about penalties on pairs",
    ),
    "widths beside the network of a preset": (
        lambda: preset("images", hidden_layer_sizes=(8,)),
        "hidden_layer_sizes is a parameter of the built-in network",
    ),
    "number of images of a table": (
        lambda: examples(n_examples=3),
        "n_examples is how many images to draw",
    ),
    "columns of images": (
        lambda: corruption_report(LOGISTIC, X, y, image_shape=(2, 2), by_column=True),
        "by_column=True is about the columns of tables",
    ),
    "units of images": (
        lambda: AdversarialExamplesDisplay(ROWS, ROWS, image_shape=(2, 2), units=np.ones(4)),
        "units are those of the features of a table",
    ),
}

USED = {
    "by_column": lambda: corruption_report(LOGISTIC, X, y, n_repeats=1, by_column=True),
    "n_pairs": lambda: make_distortion_scorer(n_pairs=100),
    "image_shape": lambda: WorstCaseIsometry(start=["patches"], image_shape=(2, 2)).calibrate(
        ROWS, LABELS
    ),
    "first_radius": lambda: WorstCaseIsometry(first_radius=4.0, n_steps=4).calibrate(ROWS, LABELS),
    "n_targets": lambda: attacked(pgd, loss="targeted_margin", n_targets=1),
    "metric": lambda: embedding(metric="manhattan", penalty=GlobalIsometry(metric=1)),
    "target": lambda: hierarchy(target="previous").fit(X, y),
    "widths": lambda: preset("images", module=None, hidden_layer_sizes=(8,)),
    "images": lambda: examples(image_shape=(8, 8), n_examples=3),
}


@pytest.mark.parametrize("make, said", UNUSED.values(), ids=UNUSED)
def test_a_parameter_that_would_do_nothing_is_an_error(make, said):
    with pytest.raises(ValueError, match=f"{said}.*; got .*(Leave|Pass)"):
        make()


@pytest.mark.parametrize("make", USED.values(), ids=USED)
def test_where_it_does_something_it_is_taken(make):
    make()
