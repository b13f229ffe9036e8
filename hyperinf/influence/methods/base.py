"""What a method of approximating ``H^-1 v`` is, and the register of those there are."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor

from hyperinf.gradients import GradientSource
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

    def _gfim(self, layer: str) -> Tensor:
        matrix = self.statistics.gfim[layer]
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
        return completed(self.steps(v), self.source)


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
