"""Influence scores: damping, curvature, the methods, and the dot products."""

from hyperinf.influence.methods import METHODS, InfluenceMethod, SweepingMethod, build_method, build_methods, options_of
from hyperinf.influence.scores import ScoreTable, influence_scores, score_methods
from hyperinf.influence.statistics import (
    GradientStatistics,
    StatisticSums,
    added,
    gradient_statistics,
    mean_gradient,
    statistic_sums,
)
from hyperinf.influence.sweeps import SampleScores, Sweep, replayed, sweep_scores, sweep_sums

__all__ = [
    "METHODS",
    "GradientStatistics",
    "InfluenceMethod",
    "SampleScores",
    "ScoreTable",
    "StatisticSums",
    "Sweep",
    "SweepingMethod",
    "added",
    "build_method",
    "build_methods",
    "gradient_statistics",
    "influence_scores",
    "mean_gradient",
    "options_of",
    "replayed",
    "score_methods",
    "statistic_sums",
    "sweep_scores",
    "sweep_sums",
]
