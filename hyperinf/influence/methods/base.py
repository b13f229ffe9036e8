"""What a method of approximating ``H^-1 v`` is, and the register of those there are."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, GradientSource, LayerGradients
from hyperinf.gradients.units import exponent_of, largest, shifted
from hyperinf.influence.statistics import DEFAULT_DAMPING, GradientStatistics, gradient_statistics
from hyperinf.influence.sweeps import Steps, completed

METHODS: dict[str, type["InfluenceMethod"]] = {}
GFIM_SCALES = ("sum", "mean")
_Class = TypeVar("_Class", bound=type["InfluenceMethod"])


@dataclass
class InfluenceMethod(ABC):
    """One way to approximate the damped inverse Hessian's product with a vector.

    ``fit`` learns the curvature of the training gradients, ``precondition`` applies its inverse. Everything after
    that (the dot products with each sample's gradient) is the same for all methods.

    Attributes:
        damping: delta of ``lambda[l] = delta * mean(g**2)``.
        gfim_scale: ``"sum"`` (as the public code has it) or ``"mean"`` (divided by r, as the derivation has it).
    """

    name: ClassVar[str]
    needs_gfim: ClassVar[bool] = False
    needs_source: ClassVar[bool] = False
    """Whether the training gradients themselves are needed, which no sum over shards of them can stand for."""

    damping: float = DEFAULT_DAMPING
    gfim_scale: str = "sum"
    source: GradientSource = field(init=False, repr=False)
    statistics: GradientStatistics = field(init=False, repr=False)
    lambdas: dict[str, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.damping < float("inf"):
            raise ValueError(f"damping: expected a positive number, got {self.damping}")
        if self.gfim_scale not in GFIM_SCALES:
            raise ValueError(f"gfim_scale: expected one of {', '.join(GFIM_SCALES)}, got {self.gfim_scale!r}")

    def fit(self, source: GradientSource, statistics: GradientStatistics | None = None) -> Self:
        """Learn the curvature.

        Args:
            source: the training gradients.
            statistics: those of ``source``, when another method has already swept it; swept here when None.
        """
        self.source = source
        return self.fit_statistics(statistics or gradient_statistics(source, gfim=self.needs_gfim))

    def fit_statistics(self, statistics: GradientStatistics) -> Self:
        """Learn what the statistics alone tell: all that :meth:`precondition` of most methods needs."""
        self.statistics = statistics
        self.lambdas = self.statistics.damping(self.damping)
        return self

    @abstractmethod
    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``hvp[l]``, the damped inverse curvature times ``v[l]``.

        Args:
            v: ``{layer: Tensor[r, d]}``, float64.

        Returns:
            ``{layer: Tensor[r, d]}``, float64; zero for a layer whose gradients are all zero.
        """

    def report(self) -> dict[str, Any]:
        """What the method can say of how it got there: sweeps, matrix products, residuals."""
        return {}

    def _in_units(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``v[l]`` in the unit of its own size, of the layers that are not silent: what the curvature is applied to.

        Together with the unit of the training gradients (``GradientStatistics.exponent``) it keeps all that a method
        computes far from the ends of float32 and float64, whatever the gradients' scale. Units are powers of two, so
        that no digit depends on them.
        """
        return {
            layer: shifted(vector, -exponent_of(largest(vector)))
            for layer, vector in v.items()
            if self.statistics.mean_square[layer] > 0
        }

    def _restored(self, products: Mapping[str, Tensor], v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``hvp[l]`` of products of :meth:`_in_units` with curvatures in units; zero for the layers it left out.

        Raises:
            InputError: a product that float64 cannot hold.
        """
        result = {}
        for layer, vector in v.items():
            if layer not in products:
                result[layer] = torch.zeros_like(vector)
                continue
            exponent = exponent_of(largest(vector)) - 2 * self.statistics.exponent(layer)
            result[layer] = shifted(products[layer], exponent)
            if exponent and largest(result[layer]) == 0 < largest(products[layer]):
                raise InputError(f"{self.name}: got all but zero for layer {layer!r}, expected a product in float64")
        return result

    def _gradients(self, block: GradientBlock, layer: str) -> LayerGradients:
        """A block's gradients of a layer, in its unit."""
        return block.contractions(layer).scaled(-self.statistics.exponent(layer))

    def _mean_square(self, layer: str) -> float:
        """In the square of the layer's unit."""
        return math.ldexp(self.statistics.mean_square[layer], -2 * self.statistics.exponent(layer))

    def _damping(self, layer: str) -> float:
        """Lambda, in the square of the layer's unit."""
        return self.damping * self._mean_square(layer)

    def _gfim(self, layer: str) -> Tensor:
        """The GFIM, in the square of the layer's unit."""
        matrix = shifted(self.statistics.gfim[layer], -2 * self.statistics.exponent(layer))
        return matrix if self.gfim_scale == "sum" else matrix / self.statistics.layers[layer][0]


@dataclass
class SweepingMethod(InfluenceMethod):
    """A method that needs sums over the training samples beyond the statistics.

    It does not take them itself but asks for them, so that shards of the samples can be summed in other processes.
    """

    @property
    @abstractmethod
    def sweeps(self) -> int:
        """The most sums that :meth:`steps` asks for, one after the other."""

    @abstractmethod
    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """:meth:`precondition` as steps that yield the sweeps they need and are sent their sums."""

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The steps, each sum from a sweep over the source."""
        return completed(self.steps(v), self.source, self.statistics.sample_ids)


def register(cls: _Class) -> _Class:
    """Class decorator: make the method known under its name."""
    METHODS[cls.name] = cls
    return cls


def build_method(name: str, **options: Any) -> InfluenceMethod:
    """The method called ``name`` with its options.

    Raises:
        ValueError: an unknown method, an option that it does not have, or a value out of range.
    """
    if name not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {name!r}")
    known = options_of(name)
    for option in options:
        if option not in known:
            raise ValueError(f"{name}: unknown option {option!r}; expected one of {', '.join(known)}")
    return METHODS[name](**options)


def options_of(name: str) -> tuple[str, ...]:
    """The names of the options that a method takes."""
    return tuple(item.name for item in dataclasses.fields(METHODS[name]) if item.init)
