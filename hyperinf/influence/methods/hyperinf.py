"""HyperINF: the damped GFIM, inverted by Schulz's iteration; and the same by Cholesky, its oracle."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from hyperinf.gradients.scratch import takes_many
from hyperinf.influence.gfim import product_dtype
from hyperinf.influence.matrix_file import MatrixFile
from hyperinf.influence.memory import GfimPlan
from hyperinf.influence.methods.base import InfluenceMethod
from hyperinf.influence.rows import Rows
from hyperinf.influence.statistics import GradientStatistics
from hyperinf.linalg import ConvergenceError, InverseResult, hyperpower_inverse
from hyperinf.runtime.memory import free_bytes
from hyperinf.settings.methods import METHODS, HyperInfOptions, MethodOptions

MOST = 64
"""Matrices that are inverted at once: more of them no longer shorten the time of each."""
MATRICES = 20
"""Of the size of one that its iteration holds, and its matrix in float64."""
NEAR = 0.5
"""Residual ``||I - A X||_F`` below which an update of second order squares it, or better: near the inverse."""


class GFIM(InfluenceMethod):
    """``hvp = v (G + lambda I)^-1`` by Cholesky in float64: the oracle of :class:`HyperINF`.

    Of a layer whose statistics hold the rows ``R: [n r, d]`` with ``G = R^T R / c``, by Woodbury's identity:
    ``(v - v R^T (c lambda I + R R^T)^-1 R) / lambda`` (Woodbury 1950), a factorisation of ``n r`` rows in place of d.
    """

    spec: ClassVar = METHODS["gfim"]
    columns_only: ClassVar[bool] = True

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self._kept: MutableMapping[str, Tensor] | None = None
        """Inverses or factors, of a layer's matrix or of ``R R^T``, once vectors are asked for a few at a time."""

    @property
    def reads_matrix(self) -> bool:
        """Rows do as well."""
        return False

    def fit_statistics(self, statistics: GradientStatistics) -> Self:
        """Learn what the statistics alone tell; inverses of others are forgotten."""
        self._kept = None
        return super().fit_statistics(statistics)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve for all vectors at once, by inverses or factors that are kept for the next call.

        Raises:
            ConvergenceError: as in :meth:`precondition`.
        """
        if self._kept is None:
            self._kept = self._shelf()
        return super().precondition_each(vectors)

    def _shelf(self) -> MutableMapping[str, Tensor] | None:
        """Find a place for inverses or factors: half of the memory that is free, else the disk; None where neither is.

        Without one, each is computed again for the next vectors.
        """
        known = self.statistics
        if known.on_disk and known.scratch is not None:
            return MatrixFile(known.scratch)
        needed = GfimPlan(known.layers, {layer: len(rows) for layer, rows in known.rows.items()}).factor_bytes
        free = free_bytes(next(iter(known.devices.values()), "cpu"))
        if free is None or needed <= free // 2:
            return {}
        return None if known.scratch is None else MatrixFile(known.scratch)

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve by one factorisation, or of :class:`HyperINF` one inverse, a layer.

        Raises:
            ConvergenceError: names the layer; nothing that has not converged is returned.
        """
        vectors = self._in_units(v)
        result = {}
        for layers in self._alike(list(vectors)):
            result.update(self._solve({layer: vectors[layer] for layer in layers}))
        return self._restored(result, v)

    def _alike(self, layers: list[str]) -> list[list[str]]:
        """Put layers of one shape together whose matrices a GPU takes at once, as many as fit into half its memory.

        A CPU is busy with one; and there each layer's digits are its own, whatever the others are. What is on the disk
        or in another dtype is taken one by one, and so are rows.
        """
        alike: dict[tuple[Any, ...], list[str]] = {}
        for layer in layers:
            kind: tuple[Any, ...] = (layer,)
            if layer not in self.statistics.rows and not self._made_when_asked:
                matrix = self.statistics.gfim[layer]
                many = takes_many(matrix.device)
                kind = (self.statistics.layers[layer], matrix.dtype, matrix.device) if many else kind
            alike.setdefault(kind, []).append(layer)
        groups = []
        for named in alike.values():
            most = 1
            if len(named) > 1:
                matrix = self.statistics.gfim[named[0]]
                most = _matrices_at_once(len(matrix), matrix.device)
            groups += [named[start : start + most] for start in range(0, len(named), most)]
        return groups

    def report(self) -> dict[str, Any]:
        """Say how it was solved."""
        return {"solver": "cholesky", **self._held()}

    def _held(self) -> dict[str, Any]:
        """Say of how many layers rows took the place of the matrix, and whether the disk that of memory, if any."""
        statistics: GradientStatistics | None = getattr(self, "statistics", None)
        if statistics is None:
            return {}
        said: dict[str, Any] = {}
        if statistics.rows:
            said |= {"woodbury_layers": len(statistics.rows), "layers": len(statistics.layers)}
        if statistics.on_disk:
            said["on_disk"] = True
        if statistics.rounding:
            said["gfim_dtype"] = str(statistics.dtype).removeprefix("torch.")
            said["raised_layers"] = sum(1 for layer in statistics.rounding if self._raised(layer))
        return said

    @property
    def _made_when_asked(self) -> bool:
        """Whether matrices are made anew, one by one, whenever they are asked for."""
        return self.statistics.on_disk or self.statistics.dtype is not None

    def _relative(self, layers: list[str]) -> Tensor:
        """Give ``G / lambda + I`` of each layer, ``Tensor[l, d, d]``."""
        matrices = _stacked([self._gfim(layer) / self._damping(layer) for layer in layers])
        matrices.diagonal(dim1=1, dim2=2).add_(1.0)
        return matrices

    def _solve(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve for layers of one shape, by Cholesky."""
        first = next(iter(vectors))
        if first in self.statistics.rows:
            return {first: self._by_rows(first, vectors[first])}
        factors = self._once(list(vectors), lambda layers: torch.linalg.cholesky(self._relative(layers).double()))
        solved = torch.cholesky_solve(_stacked(list(vectors.values())).mT, factors).mT
        return self._divided(solved, list(vectors))

    def _by_rows(self, layer: str, x: Tensor) -> Tensor:
        """Solve for ``x: [k, d]`` by Woodbury's identity on the rows of a layer, in its unit."""
        held = self.statistics.rows[layer]
        rank, columns = self.statistics.layers[layer]
        rows, damping = Rows(held, -self.statistics.exponent(layer)), self._damping(layer)
        weight = damping * self.statistics.samples * (rank if self.options.gfim_scale == "mean" else 1)

        def made(_: list[str]) -> Tensor:
            dtype = product_dtype(held.device, rank * columns) or torch.promote_types(held.dtype, torch.float32)
            matrix = rows.gram(dtype).div_(weight)
            matrix.diagonal().add_(1.0)
            return torch.linalg.cholesky(matrix)[None]

        inner = torch.cholesky_solve(rows.times(x).mT, self._once([layer], made)[0]).div_(weight)
        found = x.clone()
        rows.subtract(inner.mT, found)
        return found.div_(damping)

    def _divided(self, products: Tensor, layers: list[str]) -> dict[str, Tensor]:
        """Divide each layer's ``Tensor[r, d]`` by its damping."""
        dampings = products.new_tensor([self._damping(layer) for layer in layers])
        return dict(zip(layers, (products / dampings[:, None, None]).unbind(), strict=True))

    def _once(self, layers: list[str], make: Callable[[list[str]], Tensor]) -> Tensor:
        """Give what was kept of layers, ``Tensor[l, d, d]``; else what ``make`` gives, which is kept if anything is."""
        if self._kept is None:
            return make(layers)
        wanted = [layer for layer in layers if layer not in self._kept]
        if wanted:
            self._kept.update(zip(wanted, make(wanted).unbind(), strict=True))
        return _stacked([self._kept[layer] for layer in layers])


class HyperINF(GFIM):
    """``hvp = v (G + lambda I)^-1``, the inverse by Schulz's hyperpower iteration (HyperINF, algorithm 1).

    The iteration runs on ``G / lambda + I``, whose smallest eigenvalue is known to be at least 1 and whose size does
    not depend on how small the gradients are: in float32, and on in float64 where that does not reach the tolerance.
    One residual step in float64 then removes what its tolerance left. The option ``solver`` may name Cholesky's
    factorisation instead; ``auto`` is that, too, as it is faster wherever we have measured both, and of rows where they
    are fewer than columns.
    """

    spec: ClassVar = METHODS["hyperinf"]
    options: HyperInfOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.matmuls: dict[str, int] = {}
        self.residuals: dict[str, float] = {}

    @property
    def reads_matrix(self) -> bool:
        """Schulz's iteration inverts the matrix; Cholesky's factorisation does with rows."""
        return self.options.solver == "schulz"

    def report(self) -> dict[str, Any]:
        """Say the solver, its matrix products and the worst residual over the layers."""
        if not self.matmuls:
            return {"solver": self.options.solver, **self._held()}
        return {
            "solver": self.options.solver,
            "matmuls": sum(self.matmuls.values()),
            "residual": max(self.residuals.values()),
            **self._held(),
        }

    def _solve(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Solve for layers of one shape, by the solver that was asked for."""
        if self.options.solver != "schulz":
            return super()._solve(vectors)
        matrices = self._relative(list(vectors))

        def made(layers: list[str]) -> Tensor:
            return self._inverses(layers, matrices if len(layers) == len(vectors) else self._relative(layers))

        inverses = self._once(list(vectors), made).double()
        matrices, right = matrices.double(), _stacked(list(vectors.values()))
        x = right @ inverses
        x = x + (right - x @ matrices) @ inverses
        return self._divided(x, list(vectors))

    def _inverses(self, layers: list[str], matrices: Tensor) -> Tensor:
        """Invert ``G / lambda + I`` of each layer, ``Tensor[l, d, d]``."""
        if len(layers) > 1:
            try:
                return self._noted(layers, self._by_products(matrices.float()))
            except ConvergenceError:  # one at a time, which tells the layer
                return torch.cat([self._inverses([layer], matrix[None]) for layer, matrix in zip(layers, matrices)])
        try:
            result = self._by_products(matrices[0].float())
        except ConvergenceError as error:
            result = self._in_double(layers[0], matrices[0].double(), error.result)
        return self._noted(layers, result)[None]

    def _in_double(self, layer: str, matrix: Tensor, begun: InverseResult | None) -> InverseResult:
        """Invert in double precision what is beyond float32's reach.

        The same iteration goes on from where it came to in float32; from anew, if that is far from the inverse.

        Raises:
            ConvergenceError: double precision does not do, either (names the layer).
        """
        attempts: list[tuple[Literal["auto"] | Tensor, int]] = [("auto", 0)]
        if begun is not None and begun.residual < NEAR and begun.iterations < self.options.max_iter:
            attempts.insert(0, (begun.inverse.double(), begun.iterations))
        spent = begun.matmuls if begun else 0
        for start, used in attempts:
            try:
                result = self._by_products(matrix, start, used)
            except ConvergenceError as error:
                failure, spent = error, spent + (error.result.matmuls if error.result else 0)
            else:
                return replace(result, matmuls=spent + result.matmuls)
        raise ConvergenceError(f"layer {layer!r}: {failure}") from None

    def _noted(self, layers: list[str], result: InverseResult) -> Tensor:
        self.matmuls.update(dict.fromkeys(layers, int(result.matmuls)))
        self.residuals.update(dict.fromkeys(layers, float(result.residual)))
        return result.inverse

    def _by_products(self, matrices: Tensor, init: Literal["auto"] | Tensor = "auto", used: int = 0) -> InverseResult:
        tol, most = self.options.tol, self.options.max_iter - used
        return hyperpower_inverse(matrices, init=init, tol=tol, max_iter=most, lmin=1.0)


def _stacked(tensors: list[Tensor]) -> Tensor:
    """Put tensors of one shape side by side; of one that is a view."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)


def _matrices_at_once(columns: int, device: torch.device) -> int:
    """Count the float32 matrices whose inversion takes half the memory that is free on a device, at least 1."""
    free = free_bytes(device)
    return MOST if free is None else min(MOST, max(1, free // 2 // (MATRICES * 4 * columns**2)))
