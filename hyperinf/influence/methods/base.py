"""What a method of approximating ``H^-1 v`` is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, GradientSource, LayerGradients
from hyperinf.gradients.units import (
    all_largest,
    all_shifted,
    each_shifted,
    exponent_of,
    shifted,
    sizes_of_each,
)
from hyperinf.influence.memory import GfimForm
from hyperinf.influence.statistics import GradientStatistics, gradient_statistics
from hyperinf.influence.sweeps import Steps, Sweep, Vectors, completed
from hyperinf.influence.weighted import Weighing, Weights
from hyperinf.runtime.devices import torch_dtype
from hyperinf.settings.methods import MethodOptions, MethodSpec

TOLERATED = 0.1
"""Of the damping that rounding may move a GFIM's eigenvalues by without more of it."""


class InfluenceMethod(ABC):
    """One way to approximate the damped inverse Hessian's product with a vector.

    ``fit`` learns the curvature of the training gradients, ``precondition`` applies its inverse. Everything after
    that (the dot products with each sample's gradient) is the same for all methods.

    Args:
        options: an instance of its spec's model of options; their defaults when None.

    Attributes:
        spec: its entry in the register, ``hyperinf.settings.methods.METHODS``.
        needs_statistics: whether it has to be fitted before :meth:`precondition`.
        columns_only: whether each row of ``v[l]`` is multiplied from the right by one and the same matrix, whatever its
            number.
        copies: of its vectors that :meth:`precondition_each` holds at a time at the most, in float64; the vectors
            themselves and their products among them.
        layers_apart: whether the products of one layer after the other, once :meth:`prepare` was called, cost no more
            than those of all layers at once.
        options: what it was told.
        source: the training gradients, once they were swept.
        statistics: their sums, once they are known.
    """

    spec: ClassVar[MethodSpec]
    needs_statistics: ClassVar[bool] = True
    columns_only: ClassVar[bool] = False
    copies: ClassVar[int] = 6
    layers_apart: ClassVar[bool] = True

    options: MethodOptions
    source: GradientSource
    statistics: GradientStatistics

    def __init__(self, options: MethodOptions | None = None) -> None:
        self.options = self.spec.options() if options is None else options

    @property
    def name(self) -> str:
        """Its name in the register."""
        return self.spec.name

    @property
    def needs_gfim(self) -> bool:
        """Whether the statistics have to hold the GFIM."""
        return "gfim" in self.spec.needs

    @property
    def reads_matrix(self) -> bool:
        """Whether it uses the GFIM's matrices where they are there, and cannot do with the rows that make them."""
        return self.needs_gfim

    @property
    def sweeps(self) -> int:
        """The most sums over the training samples that it asks for beyond the statistics, one after the other."""
        return self.spec.rounds(self.options)

    def fit(
        self, source: GradientSource, statistics: GradientStatistics | None = None, scratch: Path | None = None
    ) -> Self:
        """Learn the curvature.

        Args:
            source: the training gradients.
            statistics: those of ``source``, when another method has already swept it; swept here when None.
            scratch: folder for a GFIM that does not fit into memory; it is refused when None.

        Raises:
            InputError: statistics without the GFIM, where it is needed.
            ValueError: the GFIM does not fit (see ``planned``).
        """
        self.source = source
        return self.fit_statistics(statistics or gradient_statistics(source, gfim_form([self], scratch)))

    def fit_statistics(self, statistics: GradientStatistics) -> Self:
        """Learn what the statistics alone tell: all that :meth:`precondition` of most methods needs.

        Raises:
            InputError: statistics without the GFIM, where it is needed.
            ValueError: there is no room for the matrices that are to be made of rows.
        """
        if self.needs_gfim and not (statistics.gfim or statistics.rows):
            raise InputError(f"statistics: got none of the GFIM, expected it, as {self.name} needs it")
        self.statistics = statistics.with_matrices if self.needs_gfim and self.reads_matrix else statistics
        return self

    def prepare(self) -> None:  # noqa: B027 - most methods learn nothing later
        """Learn of the training gradients what every product needs, of methods that else do at the first one."""

    @abstractmethod
    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute ``hvp[l]``, the damped inverse curvature times ``v[l]``.

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
        """Say how the method got there: sweeps, matrix products, residuals."""
        return {}

    def _in_units(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take ``v[l]`` of the layers that are not silent to the unit of its own size, for the curvature's product.

        Of several vectors, ``Tensor[k, r, d]``, each is taken to its own.

        Together with the unit of the training gradients (``GradientStatistics.exponent``) it keeps all that a method
        computes far from the ends of float32 and float64, whatever the gradients' scale. Units are powers of two, so
        that no digit depends on them.
        """
        heard = {layer: vector for layer, vector in v.items() if self.statistics.mean_square[layer] > 0}
        vectors = list(heard.values())
        if any(vector.ndim > 2 for vector in vectors):
            down = [[-exponent_of(size) for size in sizes] for sizes in sizes_of_each(vectors)]
            return {layer: each_shifted(stack, each) for (layer, stack), each in zip(heard.items(), down, strict=True)}
        exponents = [-exponent_of(size) for size in all_largest(vectors)]
        return dict(zip(heard, all_shifted(vectors, exponents), strict=True))

    def _restored(self, products: Mapping[str, Tensor], v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take products of :meth:`_in_units` with curvatures in units out of them; zero for the layers it left out.

        Products of several vectors are used up.

        Raises:
            InputError: a product that float64 cannot hold.
        """
        layers = [layer for layer in v if layer in products]
        if any(v[layer].ndim > 2 for layer in layers):
            sizes_of_all = dict(zip(layers, sizes_of_each([v[layer] for layer in layers]), strict=True))
            ups = {
                layer: [exponent_of(size) - 2 * self.statistics.exponent(layer) for size in sizes]
                for layer, sizes in sizes_of_all.items()
            }
            moved = self._moved({layer: products[layer] for layer in layers}, ups)
            return {layer: moved[layer] if layer in moved else torch.zeros_like(stack) for layer, stack in v.items()}
        found = [products[layer] for layer in layers]
        units = [
            exponent_of(size) - 2 * self.statistics.exponent(layer)
            for layer, size in zip(layers, all_largest([v[layer] for layer in layers]), strict=True)
        ]
        restored = all_shifted(found, units)
        sizes = all_largest([*found, *restored])
        for layer, product, held in zip(layers, sizes, sizes[len(layers) :]):
            self._check_held(layer, product, held)
        result = dict(zip(layers, restored, strict=True))
        return {layer: result[layer] if layer in result else torch.zeros_like(vector) for layer, vector in v.items()}

    def _lowered(self, products: Mapping[str, Tensor], drops: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
        """Take products of vectors that :func:`levelled` raised to those of the vectors themselves; uses them up."""
        return {
            **products,
            **self._moved({layer: products[layer] for layer, drop in drops.items() if any(drop)}, drops),
        }

    def _moved(self, products: Mapping[str, Tensor], exponents: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
        """Multiply each ``Tensor[k, r, d]`` by k powers of two, in its place.

        Raises:
            InputError: a product that float64 cannot hold.
        """
        before = sizes_of_each(list(products.values()))
        moved = {layer: each_shifted(stack, exponents[layer], in_place=True) for layer, stack in products.items()}
        for layer, sizes, held in zip(moved, before, sizes_of_each(list(moved.values())), strict=True):
            for size, after in zip(sizes, held, strict=True):
                self._check_held(layer, size, after)
        return moved

    def _check_held(self, layer: str, product: float, held: float) -> None:
        if held == 0 < product:
            raise InputError(f"{self.name}: got all but zero for layer {layer!r}, expected a product in float64")

    def _unit(self, layer: str) -> int:
        """Give the exponent of the unit that gradients of a layer are taken to."""
        return self.statistics.exponent(layer)

    def _gradients(self, block: GradientBlock, layer: str) -> LayerGradients:
        """Take a block's gradients of a layer to its unit."""
        return block.gradients[layer].scaled(-self._unit(layer))

    def _mean_square(self, layer: str) -> float:
        """Take the mean square to the square of the layer's unit."""
        return math.ldexp(self.statistics.mean_square[layer], -2 * self.statistics.exponent(layer))

    def _damping(self, layer: str) -> float:
        """Compute lambda in the square of the layer's unit."""
        return self.options.damping * self._mean_square(layer)

    def _gfim(self, layer: str) -> Tensor:
        """Take the GFIM, by its scale, to the square of the layer's unit.

        One that rounding may have moved by more than a tenth of the damping gets so much more on its diagonal.
        """
        matrix = shifted(self.statistics.gfim[layer], -2 * self.statistics.exponent(layer))
        if moved := self._raised(layer):
            matrix.diagonal().add_(moved)  # of a copy, as all that is rounded is made anew
        return matrix if self.options.gfim_scale == "sum" else matrix / self.statistics.layers[layer][0]

    def _raised(self, layer: str) -> float:
        """Tell what a layer's GFIM of scale "sum" gets on its diagonal against its rounding, in its unit."""
        moved = math.ldexp(self.statistics.rounding.get(layer, 0.0), -2 * self.statistics.exponent(layer))
        scale = 1 if self.options.gfim_scale == "sum" else self.statistics.layers[layer][0]
        return moved if moved > TOLERATED * self._damping(layer) * scale else 0.0


def gfim_form(methods: Iterable[InfluenceMethod], scratch: Path | None = None) -> GfimForm | Literal[False]:
    """Tell the form of the GFIM that one sweep takes for all of these methods; False where none needs it.

    Rows are kept in place of matrices only where each of them can do with rows.

    Args:
        methods: that are fitted on the same statistics.
        scratch: folder for what does not fit into memory.

    Raises:
        InputError: their options name different dtypes.
    """
    known = list(methods)
    dtypes = sorted({method.options.gfim_dtype for method in known if method.needs_gfim})
    if not dtypes:
        return False
    if len(dtypes) > 1:
        raise InputError(f"gfim_dtype: got {' and '.join(dtypes)}, expected one for all methods of one sweep")
    dtype = None if dtypes[0] == "auto" else torch_dtype(dtypes[0])
    return GfimForm(rows=not any(method.reads_matrix for method in known), scratch=scratch, dtype=dtype)


class SweepingMethod(InfluenceMethod):
    """A method that needs sums over the training samples beyond the statistics.

    It does not take them itself but asks for them, so that shards of the samples can be summed in other processes.

    Attributes:
        takes_stacks: whether :meth:`steps` takes several vectors, ``{layer: Tensor[k, r, d]}``, as it does one.
    """

    copies: ClassVar[int] = 12
    layers_apart: ClassVar[bool] = False
    takes_stacks: ClassVar[bool] = False

    @abstractmethod
    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """Take :meth:`precondition` in steps that yield the sweeps they need and are sent their sums."""

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the steps, each sum from a sweep over the source."""
        return completed([self.steps(v)], self.source, self.statistics.sample_ids)[0]

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the k vectors' steps at once, or side by side: each sweep over the source serves all of them."""
        if self.columns_only:
            return super().precondition_each(vectors)
        if self.takes_stacks:
            return completed([self.steps(vectors)], self.source, self.statistics.sample_ids)[0]
        twins = [copy(self) for _ in one_by_one(vectors)]  # steps note on their method how far they got
        steps = [twin.steps(v) for twin, v in zip(twins, one_by_one(vectors), strict=True)]
        products = completed(steps, self.source, self.statistics.sample_ids)
        self._take_notes(twins)
        return _stacked(products, vectors)

    def _times_fisher(self, vectors: Vectors) -> Steps:
        """Compute ``F x = mean_i <g_i, x> g_i`` in one sweep; ``x: Tensor[r, d]`` or ``[k, r, d]``, float64."""
        sums = yield Sweep.weighted(vectors, self._weighing(lambda _, dots: dots, own_dtype=True))
        return dict(zip(sums, torch._foreach_div(list(sums.values()), self.statistics.samples), strict=True))

    def _weighing(self, weights: Weights, own_dtype: bool = False) -> Weighing:
        """Say how gradients are weighed: alike for whatever has these statistics and options."""
        kind = (self.name, self.options.model_dump_json(), id(self.statistics))
        exponents = {layer: self._unit(layer) for layer in self.statistics.layers}
        return Weighing(kind, weights, exponents, own_dtype)

    def report(self) -> dict[str, Any]:
        """Say the sweeps of its own."""
        return {"sweeps": self.sweeps}

    def _take_notes(self, twins: Sequence[Any]) -> None:
        """Take over from methods that took the steps in this one's place what :meth:`report` says."""


def one_by_one(vectors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Take the k vectors ``{layer: Tensor[r, d]}`` of ``{layer: Tensor[k, r, d]}`` apart."""
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
    for (layer, stack), sizes in zip(vectors.items(), sizes_of_each(list(vectors.values())), strict=True):
        top = exponent_of(max(sizes, default=0.0))
        drops[layer] = [exponent_of(size) - top if size > 0 else 0 for size in sizes]
        level[layer] = each_shifted(stack, [-drop for drop in drops[layer]])
    return level, drops
