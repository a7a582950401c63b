"""Why some of scikit-learn's estimators have no twin."""

from __future__ import annotations

from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomTreesEmbedding,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.naive_bayes import BernoulliNB, CategoricalNB
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso.twins.registry import refuse

refuse(
    DecisionTreeClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomTreesEmbedding,
    reason="trees are piecewise constant, so their gradient is zero almost everywhere",
)
refuse(
    AdaBoostClassifier,
    RadiusNeighborsClassifier,
    reason="it counts votes, so its gradient is zero almost everywhere",
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
