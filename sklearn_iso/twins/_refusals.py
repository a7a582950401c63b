"""Why some of scikit-learn's estimators have no twin."""

from __future__ import annotations

from sklearn.decomposition import (
    NMF,
    DictionaryLearning,
    LatentDirichletAllocation,
    MiniBatchDictionaryLearning,
    MiniBatchNMF,
    SparseCoder,
)
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.manifold import Isomap, LocallyLinearEmbedding
from sklearn.naive_bayes import BernoulliNB, CategoricalNB
from sklearn.neighbors import (
    KNeighborsTransformer,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_iso.twins._registry import refuse

refuse(
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
    reason="trees are piecewise constant, so their gradient is zero almost everywhere",
)
refuse(
    AdaBoostClassifier,
    RadiusNeighborsClassifier,
    reason="it counts votes, so its gradient is zero almost everywhere",
)
refuse(
    AdaBoostRegressor,
    reason="it predicts by the median of its members, which jumps from one to the next",
)
refuse(
    RadiusNeighborsRegressor,
    reason="it goes by the neighbours within a radius, which change in jumps as X moves",
)
refuse(
    Binarizer,
    KBinsDiscretizer,
    BernoulliNB,
    reason="bins are steps, so their gradient is zero almost everywhere",
)
refuse(
    CategoricalNB,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
    reason="categories have no neighbourhood, so there is no gradient with respect to them",
)
refuse(
    CountVectorizer,
    DictVectorizer,
    FeatureHasher,
    HashingVectorizer,
    reason="it takes text or records, and attacks perturb tables of numbers",
)
refuse(
    NMF,
    MiniBatchNMF,
    DictionaryLearning,
    MiniBatchDictionaryLearning,
    SparseCoder,
    LatentDirichletAllocation,
    reason="its transform is an optimisation of its own for every sample, without a closed form",
)
refuse(
    Isomap,
    LocallyLinearEmbedding,
    KNeighborsTransformer,
    RadiusNeighborsTransformer,
    reason="it goes by the nearest neighbours, which change in jumps as X moves",
)
