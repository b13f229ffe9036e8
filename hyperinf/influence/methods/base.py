"""What a method of approximating ``H^-1 v`` is, and the register of those there are."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, GradientSource, LayerGradients
from hyperinf.gradients.units import exponent_of, largest, shifted
from hyperinf.influence.statistics import DEFAULT_DAMPING, GradientStatistics, gradient_statistics
from hyperinf.influence.sweeps import Steps, completed, completed_together

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
    columns_only: ClassVar[bool] = False
    """Whether each row of ``v[l]`` is multiplied from the right by one and the same matrix, whatever its number."""

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

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute ``hvp[l]`` of k vectors, each as :meth:`precondition` would alone, for less than k times the work.

        Args:
            vectors: ``{layer: Tensor[k, r, d]}``, float64.

        Returns:
            ``{layer: Tensor[k, r, d]}``, float64.
        """
        if self.columns_only:
            level, drops = levelled(vectors)
            products = self.precondition({layer: stack.flatten(0, 1) for layer, stack in level.items()})
            return self._lowered({layer: products[layer].view_as(stack) for layer, stack in level.items()}, drops)
        return _stacked([self.precondition(v) for v in one_by_one(vectors)], vectors)

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
            result[layer] = self._held(layer, products[layer], exponent)
        return result

    def _lowered(self, products: Mapping[str, Tensor], drops: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
        """The products of vectors that :func:`levelled` raised, as those of the vectors themselves."""
        return {
            layer: torch.stack([self._held(layer, product, drop) for product, drop in zip(stack, drops[layer])])
            if any(drops[layer])
            else stack
            for layer, stack in products.items()
        }

    def _held(self, layer: str, product: Tensor, exponent: int) -> Tensor:
        held = shifted(product, exponent)
        if exponent and largest(held) == 0 < largest(product):
            raise InputError(f"{self.name}: got all but zero for layer {layer!r}, expected a product in float64")
        return held

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

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The k vectors' steps side by side: each sweep over the source serves all of them."""
        if self.columns_only:
            return super().precondition_each(vectors)
        twins = [copy(self) for _ in one_by_one(vectors)]  # steps note on their method how far they got
        steps = [twin.steps(v) for twin, v in zip(twins, one_by_one(vectors), strict=True)]
        products = completed_together(steps, self.source, self.statistics.sample_ids)
        self._take_notes(twins)
        return _stacked(products, vectors)

    def _take_notes(self, twins: Sequence[Any]) -> None:
        """Take over from methods that took the steps in this one's place what :meth:`report` says."""


def one_by_one(vectors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The k vectors ``{layer: Tensor[r, d]}`` of ``{layer: Tensor[k, r, d]}``."""
    count = min((len(stack) for stack in vectors.values()), default=0)
    return [{layer: stack[place] for layer, stack in vectors.items()} for place in range(count)]


def _stacked(products: Sequence[Mapping[str, Tensor]], vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not products:
        return {layer: torch.zeros_like(stack) for layer, stack in vectors.items()}
    return {layer: torch.stack([product[layer] for product in products]) for layer in vectors}


def levelled(vectors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """Raise each layer's vectors to the size of the largest one, by powers of two, so that one unit fits them all.

    Returns:
        ``{layer: Tensor[k, r, d]}``, and of each layer the k exponents that take its vectors back.
    """
    level, drops = {}, {}
    for layer, stack in vectors.items():
        sizes = [largest(vector) for vector in stack]
        top = exponent_of(max(sizes, default=0.0))
        drops[layer] = [exponent_of(size) - top if size > 0 else 0 for size in sizes]
        raised = [shifted(vector, -drop) for vector, drop in zip(stack, drops[layer])]
        level[layer] = torch.stack(raised) if any(drops[layer]) else stack
    return level, drops


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
