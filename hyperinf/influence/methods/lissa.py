"""LiSSA: a truncated, scaled Neumann series for the damped inverse."""

import math
from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from copy import copy
from typing import Any, ClassVar

import torch
from torch import Tensor

from hyperinf.gradients.units import all_largest, sizes_of_each
from hyperinf.influence.methods.base import SweepingMethod
from hyperinf.influence.stacks import Stacks
from hyperinf.influence.sweeps import Steps, Sweep, Vectors, completed
from hyperinf.linalg import ConvergenceError
from hyperinf.settings.methods import METHODS, LissaOptions, MethodOptions

# By how much rounding may lengthen a residual: in parts of it, and of the iterate whose product it is made of.
GROWTH, ROUNDING = 1e-3, 1e-5


class _ScaledSeries(SweepingMethod):
    """``r_0 = v; r_{t+1} = v + r_t - (C + lambda I) r_t / s; hvp = r_T / s`` (Agarwal et al. 2017).

    ``s`` is meant to be the largest eigenvalue of ``C + lambda I`` or a little more; the series converges for
    anything above half of it, and residuals that grow show an ``s`` below that.

    T, the option ``iterations``, is 10 in the published codes, which stop long before the series has converged.

    Attributes:
        scaling: what is known of ``s``.
        residuals: ``|v - (C + lambda I) r_t / s| / |v|`` after each iteration, the worst layer's.
        products: with the curvature, so far.
    """

    takes_stacks: ClassVar[bool] = True
    scaling: ClassVar[str]
    options: LissaOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.residuals: list[float] = []
        self.products = 0

    @abstractmethod
    def _multiply(self, vectors: Vectors) -> Steps:
        """Multiply a vector of every layer by the curvature."""

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """Take ``lanczos_steps + iterations`` products with the curvature; several vectors are zero in the same layers.

        Raises:
            ConvergenceError: the series of a layer diverges.
        """
        active = self._active(v)
        stacks = Stacks(active)
        start = stacks.stacked(active)
        self.residuals = []
        self.products = 0
        found = yield from self._scales(active)
        scales, lengths = stacks.columns(found), [v.norm(dim=-1) for v in start]
        r, previous = start, [torch.ones_like(length) for length in lengths]
        for _ in range(self.options.iterations if active else 0):
            curved = yield from self._damped(stacks, r)
            change = [v - product / scale for v, product, scale in zip(start, curved, scales, strict=True)]
            residuals, sizes = (
                [x.norm(dim=-1) / length for x, length in zip(each, lengths, strict=True)] for each in (change, r)
            )
            largest, excess, before, after = stacks.numbers(
                *zip(*map(_growth, residuals, previous, sizes), strict=True)
            )
            for layer in active:
                if not excess[layer] <= 0:
                    raise ConvergenceError(
                        f"layer {layer!r}: {self.name} diverges, its residual grew from {before[layer]:.3g} to "
                        f"{after[layer]:.3g} in iteration {len(self.residuals) + 1}; expected a scale of at least half "
                        f"the largest eigenvalue, got {found[layer]:.3g}"
                    )
            previous = residuals
            self.residuals.append(max(largest.values()))
            r = [x + step for x, step in zip(r, change, strict=True)]
        return self._restored(stacks.apart([x / scale for x, scale in zip(r, scales, strict=True)]), v)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take at once those that are zero in the same layers: which layers there are is where Lanczos starts from."""
        groups: dict[tuple[bool, ...], list[int]] = {}
        for place, sizes in enumerate(zip(*sizes_of_each(list(vectors.values())), strict=True)):
            groups.setdefault(tuple(size != 0 for size in sizes), []).append(place)
        parts = [{layer: stack[places] for layer, stack in vectors.items()} for places in groups.values()]
        twins = [copy(self) for _ in groups]  # steps note on their method how far they got
        steps = [twin.steps(part) for twin, part in zip(twins, [vectors] if len(parts) == 1 else parts, strict=True)]
        products = completed(steps, self.source, self.statistics.sample_ids)
        self._take_notes(twins)
        if len(products) == 1:
            return products[0]
        result = {layer: torch.empty_like(stack) for layer, stack in vectors.items()}
        for places, product in zip(groups.values(), products, strict=True):
            for layer, stack in product.items():
                result[layer][places] = stack
        return result

    def _active(self, v: Mapping[str, Tensor]) -> Vectors:
        """Take a vector, or several, to their units, of the layers where they are not zero: all, or none of them."""
        units = self._in_units(v)
        return {layer: units[layer] for layer, size in zip(units, all_largest(list(units.values()))) if size != 0}

    def _damped(self, stacks: Stacks, vectors: Sequence[Tensor]) -> Generator[Sweep, Vectors, list[Tensor]]:
        """Multiply stacked vectors by the damped curvature."""
        self.products += 1
        products = yield from self._multiply(stacks.apart(vectors))
        dampings = stacks.columns({layer: self._damping(layer) for layer in products})
        return [
            product.add_(damping * x)
            for product, damping, x in zip(stacks.stacked(products), dampings, vectors, strict=True)
        ]

    def _scales(self, start: Vectors) -> Generator[Sweep, Vectors, dict[str, float]]:
        """Find each layer's ``s``: the largest eigenvalue as some Lanczos steps estimate it, from a fixed random start.

        The largest Ritz value plus its residual norm (Zhou and Li 2011), which some eigenvalue, not always the largest,
        lies below: a cautious estimate and no bound (0.91 of the largest eigenvalue has been seen). Never more than
        the trace, which is one.
        """
        if not start:
            return {}
        generator = torch.Generator().manual_seed(0)
        shapes = {layer: self.statistics.layers[layer] for layer in start}  # of one vector, however many there are
        first = {
            layer: torch.randn(shapes[layer], generator=generator, dtype=torch.float64).to(vector.device)
            for layer, vector in start.items()
        }
        stacks = Stacks(first)
        basis = [[x / x.norm(dim=1, keepdim=True) for x in stacks.stacked(first)]]
        along: list[list[Tensor]] = []
        across: list[list[Tensor]] = []
        for _ in range(self.options.lanczos_steps):
            w = yield from self._damped(stacks, basis[-1])
            along.append([(x * q).sum(dim=1) for x, q in zip(w, basis[-1], strict=True)])
            for known in basis + basis:  # twice: one pass of Gram-Schmidt loses orthogonality
                w = [x - (x * q).sum(dim=1, keepdim=True) * q for x, q in zip(w, known, strict=True)]
            across.append([x.norm(dim=1) for x in w])
            basis.append([x / torch.where(b > 0, b, 1)[:, None] for x, b in zip(w, across[-1], strict=True)])
        steps = stacks.numbers(*along, *across)
        alphas, betas = (
            torch.tensor([[step[layer] for step in half] for layer in first], dtype=torch.float64)
            for half in (steps[: len(along)], steps[len(along) :])
        )
        tridiagonal = torch.diag_embed(alphas)
        tridiagonal += torch.diag_embed(betas[:, :-1], 1) + torch.diag_embed(betas[:, :-1], -1)
        values, vectors = torch.linalg.eigh(tridiagonal)
        ritz_values = (values[:, -1] + betas[:, -1] * vectors[:, -1, -1].abs()).tolist()
        estimates = {}
        for layer, ritz in zip(first, ritz_values, strict=True):
            rank, columns = self.statistics.layers[layer]
            trace = self._mean_square(layer) * rank * columns + self._damping(layer)
            estimates[layer] = min(self._certain(layer, ritz), trace) if ritz < trace else trace
        return estimates

    def _take_notes(self, twins: Sequence[Any]) -> None:
        """Take the most products, and after each iteration the worst residual."""
        self.products = max((twin.products for twin in twins), default=0)
        self.residuals = [max(each) for each in zip(*(twin.residuals for twin in twins if twin.residuals))]

    def _certain(self, layer: str, scale: float) -> float:
        """Give the scale to use where this one was estimated."""
        return scale

    def report(self) -> dict[str, Any]:
        """Say the products with the curvature, how far the series got, and what is known of its scale."""
        last = self.residuals[-1] if self.residuals else None
        iterations = self.options.iterations
        return {
            "products": self.products,
            "iterations": iterations,
            "residual": last,
            "scale": self.scaling.format(self.options.lanczos_steps),
        }


def _growth(residual: Tensor, previous: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of a group of layers, ``Tensor[l]`` or ``Tensor[l, k]``, the vector whose residual grew most beyond rounding.

    Args:
        residual: relative to the vector.
        previous: before this iteration.
        size: of the iterate, relative to the vector.

    Returns:
        ``Tensor[l]`` each: the largest residual; by how much the one that grew most did, and what it was before and is.
    """
    grown = residual - (1 + GROWTH) * previous - ROUNDING * size
    residual, previous, grown = (each.view(len(each), -1) for each in (residual, previous, grown))
    most = grown.argmax(dim=1, keepdim=True)  # of numbers that are none, the first
    excess, before, after = (each.gather(1, most)[:, 0] for each in (grown, previous, residual))
    return residual.amax(dim=1), excess, before, after


class LiSSA(_ScaledSeries):
    """LiSSA on the FIM; a sweep over the training gradients for every product."""

    spec: ClassVar = METHODS["lissa"]
    scaling: ClassVar[str] = "estimated by {} Lanczos steps"

    def _multiply(self, vectors: Vectors) -> Steps:
        """Compute ``F x``."""
        return self._times_fisher(vectors)

    def report(self) -> dict[str, Any]:
        """Say the sweeps, and how far the series got."""
        return {"sweeps": self.products, **super().report()}


class LiSSAGFIM(_ScaledSeries):
    """LiSSA on the GFIM; no sweep beyond the one that accumulates it, and a scale that is an upper bound."""

    spec: ClassVar = METHODS["lissa_gfim"]
    scaling: ClassVar[str] = "upper bound"

    def _multiply(self, vectors: Vectors) -> Steps:
        """Compute ``x G`` of every vector, ``[r, d] x [d, d]``."""
        yield from ()
        return {layer: x @ self._gfim(layer).to(x.dtype) for layer, x in vectors.items()}

    def _certain(self, layer: str, scale: float) -> float:
        """Raise the estimate by five per cent until ``s I - G - lambda I`` has a Cholesky factor, as of a bound."""
        rest = -self._gfim(layer).double()
        diagonal = rest.diagonal().clone()
        while math.isfinite(scale):
            # The margin is for the rounding of the factor.
            rest.diagonal().copy_(diagonal + (scale * (1 + 1e-9) - self._damping(layer)))
            if int(torch.linalg.cholesky_ex(rest).info) == 0:
                break
            scale *= 1.05
        return scale
