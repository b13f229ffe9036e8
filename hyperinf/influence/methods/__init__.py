"""The influence methods: what each is stands in its spec, how it computes in a module of this package."""

from hyperinf.influence.methods.base import InfluenceMethod, SweepingMethod
from hyperinf.influence.methods.building import METHODS, build_method, build_methods, options_of

__all__ = ["METHODS", "InfluenceMethod", "SweepingMethod", "build_method", "build_methods", "options_of"]
