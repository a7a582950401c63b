"""Twins of estimators that hold one other."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso.twins._registry import after_the_first, hands_on, register, twin_of_step
from sklearn_iso.twins._responses import Chain

# GridSearchCV's parent, which scikit-learn does not export: every search is one, also halving.
SearchCV = GridSearchCV.__bases__[0]
hands_on(Pipeline, SearchCV, FrozenEstimator)


@register(Pipeline)
def _pipeline(pipeline: Pipeline) -> nn.Module:
    return _chain(pipeline, last_transforms=False)


@register(Pipeline, transform=True)
def _pipeline_of_transformers(pipeline: Pipeline) -> nn.Module:
    return _chain(pipeline, last_transforms=True)


def _chain(pipeline: Pipeline, last_transforms: bool) -> nn.Module:
    last = len(pipeline.steps) - 1
    twins: list[nn.Module] = []
    for position, (name, step) in enumerate(pipeline.steps):
        if not _passes(step):
            with after_the_first(len(twins)):
                twins.append(twin_of_step(name, step, transform=last_transforms or position < last))
    return Chain(*twins)


def _passes(step: BaseEstimator) -> bool:
    """Whether a step hands X on as it is: by name, or as it resamples the training data alone."""
    resamples = hasattr(step, "fit_resample") and not hasattr(step, "transform")
    return step is None or isinstance(step, str) or resamples


@register(SearchCV)
def _search(search: GridSearchCV) -> nn.Module:
    return twin_of_step("best_estimator_", _best(search))


@register(SearchCV, transform=True)
def _search_of_transformers(search: GridSearchCV) -> nn.Module:
    return twin_of_step("best_estimator_", _best(search), transform=True)


def _best(search: GridSearchCV) -> BaseEstimator:
    check_is_fitted(
        search,
        "best_estimator_",
        msg="%(name)s(refit=False) keeps no fitted estimator. Search with refit=True.",
    )
    return search.best_estimator_


@register(FrozenEstimator)
def _frozen(frozen: FrozenEstimator) -> nn.Module:
    return twin_of_step("estimator", frozen.estimator)


@register(FrozenEstimator, transform=True)
def _frozen_transformer(frozen: FrozenEstimator) -> nn.Module:
    return twin_of_step("estimator", frozen.estimator, transform=True)
