"""Influence scores: damping, curvature, the methods, and the dot products."""

from hyperinf.influence.methods import METHODS, InfluenceMethod, build_method, register
from hyperinf.influence.scores import ScoreTable, built_methods, influence_scores, score_methods
from hyperinf.influence.statistics import GradientStatistics, gradient_statistics, mean_gradient

__all__ = [
    "METHODS",
    "GradientStatistics",
    "InfluenceMethod",
    "ScoreTable",
    "build_method",
    "built_methods",
    "gradient_statistics",
    "influence_scores",
    "mean_gradient",
    "register",
    "score_methods",
]
