"""The influence methods; importing this module registers them all."""

from hyperinf.influence.methods.base import METHODS, InfluenceMethod, SweepingMethod, build_method, options_of, register
from hyperinf.influence.methods.datainf import DataInf, DataInfGFIM
from hyperinf.influence.methods.fim import ExactFisher
from hyperinf.influence.methods.hyperinf import GFIM, HyperINF
from hyperinf.influence.methods.lissa import LiSSA, LiSSAGFIM
from hyperinf.influence.methods.tracin import TracIN

__all__ = [
    "GFIM",
    "METHODS",
    "DataInf",
    "DataInfGFIM",
    "ExactFisher",
    "HyperINF",
    "InfluenceMethod",
    "LiSSA",
    "LiSSAGFIM",
    "SweepingMethod",
    "TracIN",
    "build_method",
    "options_of",
    "register",
]
