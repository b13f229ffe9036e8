"""K-FAC and EK-FAC: the curvature of a layer as a Kronecker product of what goes in and what comes back.

A linear layer's gradient is ``g_i = sum_t L_it^T R_it``, of its input and its output's gradient at the t positions
(which of them is L follows from the layout). With ``A = mean L^T L`` and ``B = mean R^T R`` over all positions, padding
left out, and their eigenvectors ``Q_A``, ``Q_B``, both methods divide in one basis:

    ``hvp = Q_A ((Q_A^T v Q_B) / (Lambda + lambda)) Q_B^T``

K-FAC takes ``Lambda = a b^T`` of the eigenvalues (Martens and Grosse 2015), EK-FAC the mean squares of the gradients
in that basis, ``Lambda = mean_i (Q_A^T g_i Q_B)^2`` (George et al. 2018; as influence: Grosse et al. 2023). The Fisher
information is the empirical one, of the training labels, as everywhere here. ``lambda = damping * mean(Lambda)`` as in
kronfluence; of EK-FAC that is ``damping * mean(g^2)``, the damping of all other methods, as a rotation keeps squares.

The positions are needed one by one. Gradients that are held have lost them: they are taken again from the model where
it is at hand (``Sweep.factors``), and refused where it is not.
"""

from abc import abstractmethod
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, GradientSource
from hyperinf.gradients.contractions import Factors
from hyperinf.gradients.units import shifted
from hyperinf.influence.memory import check_gfim_fits
from hyperinf.influence.methods.base import SweepingMethod
from hyperinf.influence.statistics import GradientStatistics, gradient_statistics
from hyperinf.influence.sweeps import Steps, Sweep, Vectors, completed
from hyperinf.settings.methods import METHODS


class _Basis:
    """A layer's eigenbasis.

    Args:
        packed: ``Tensor[r^2 + d^2 + 1]`` of :func:`_covariances`, summed over all samples.
        rank: r.
        columns: d.

    Attributes:
        left: ``Tensor[r, r]``, eigenvectors of A.
        right: ``Tensor[d, d]``, eigenvectors of B.
        values: ``Tensor[r, d]``, the products of their eigenvalues.
    """

    def __init__(self, packed: Tensor, rank: int, columns: int) -> None:
        left, right, positions = packed.split([rank * rank, columns * columns, 1])
        a, self.left = torch.linalg.eigh(left.view(rank, rank) / positions)
        b, self.right = torch.linalg.eigh(right.view(columns, columns) / positions)
        self.values = a.clamp(min=0)[:, None] * b.clamp(min=0)[None, :]

    def rotated(self, x: Tensor) -> Tensor:
        """Compute ``Q_A^T x Q_B`` of ``Tensor[..., r, d]``."""
        return self.left.T @ x @ self.right

    def divided(self, x: Tensor, by: Tensor) -> Tensor:
        """Divide ``Tensor[..., r, d]`` by ``Tensor[r, d]`` in this basis."""
        return self.left @ (self.rotated(x) / by) @ self.right.T


class _Kronecker(SweepingMethod):
    """What K-FAC and EK-FAC share."""

    copies: ClassVar[int] = 6
    layers_apart: ClassVar[bool] = True

    _known: dict[str, tuple[_Basis, Tensor]] | None = None
    """Each layer's basis and ``Lambda + lambda``, once they are known: they do not depend on a vector."""

    _met: dict[str, Tensor] | None = None
    """Each layer's sums of :meth:`_covariances`, where the sweep for the statistics met factors of all layers."""

    def fit(
        self, source: GradientSource, statistics: GradientStatistics | None = None, scratch: Path | None = None
    ) -> Self:
        """Learn the curvature; where factors are swept for the statistics, the covariances in that sweep.

        Covariances are in memory whatever ``scratch`` is.
        """
        if statistics is not None:
            return super().fit(source, statistics)
        check_gfim_fits(source.layers, getattr(source, "device", "cpu"), "covariance")
        met: dict[str, Tensor] | None = {}

        def watch(block: GradientBlock) -> None:
            nonlocal met
            if met is None or not all(isinstance(block.gradients[layer], Factors) for layer in source.layers):
                met = None
                return
            for layer in source.layers:
                part = self._covariances(block, layer)
                met[layer] = met[layer].add_(part) if layer in met else part

        super().fit(source, gradient_statistics(source, gfim=False, watch=watch))
        self._met = met
        return self

    def fit_statistics(self, statistics: GradientStatistics) -> Self:
        """Learn what the statistics alone tell; bases of others are forgotten."""
        check_gfim_fits(statistics.layers, next(iter(statistics.devices.values()), "cpu"), "covariance")
        self._known = self._met = None
        return super().fit_statistics(statistics)

    def steps(self, v: Mapping[str, Tensor]) -> Steps:
        """Ask for the covariances in one sweep; EK-FAC for the squares in another."""
        if self._known is None:
            self._known = yield from self._learnt()
        return self._divided(v)

    def prepare(self) -> None:
        """Learn the bases."""
        if self._known is None:
            completed([self.steps({})], self.source, self.statistics.sample_ids)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Divide all vectors in the same bases, which are kept."""
        self.prepare()
        return self._divided(vectors)

    def _divided(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        assert self._known is not None
        known = self._known
        return self._restored(
            {layer: known[layer][0].divided(x, known[layer][1]) for layer, x in self._in_units(v).items()}, v
        )

    def _learnt(self) -> Generator[Sweep, Vectors, dict[str, tuple[_Basis, Tensor]]]:
        layers = {
            layer: shape for layer, shape in self.statistics.layers.items() if self.statistics.mean_square[layer] > 0
        }
        if self._met is None:
            sums = yield Sweep.of(layers, self._covariances, factors=True)
        else:
            sums, self._met = self._met, None
        bases = {layer: _Basis(sums.pop(layer), *shape) for layer, shape in layers.items()}
        found = yield from self._values(bases)
        return {
            layer: (basis, found[layer] + self.options.damping * found[layer].mean()) for layer, basis in bases.items()
        }

    @abstractmethod
    def _values(self, bases: Mapping[str, _Basis]) -> Generator[Sweep, Vectors, Vectors]:
        """Find ``Lambda`` of each layer, in the square of its unit."""

    def _covariances(self, block: GradientBlock, layer: str) -> Tensor:
        """Sum up ``L^T L`` and ``R^T R`` of a block, and count the positions, all in one row of numbers."""
        factors = block.gradients[layer]
        if not isinstance(factors, Factors):
            raise InputError(
                f"{self.name}: got gradients of layer {layer!r} without the positions that they are sums over, expected"
                " those of a model that is at hand (not of a store alone), and a layer that is not taken one sample at"
                " a time"
            )
        left, right, positions = factors.covariances(block.mask)
        return torch.cat([left.flatten(), right.flatten(), left.new_tensor([positions])])


class KFAC(_Kronecker):
    """K-FAC: ``Lambda`` of the eigenvalues; one sweep."""

    spec: ClassVar = METHODS["kfac"]

    def _values(self, bases: Mapping[str, _Basis]) -> Generator[Sweep, Vectors, Vectors]:
        """Multiply the eigenvalues."""
        yield from ()
        return {layer: shifted(basis.values, -2 * self.statistics.exponent(layer)) for layer, basis in bases.items()}


class EKFAC(_Kronecker):
    """EK-FAC: ``Lambda`` of the gradients' mean squares in K-FAC's basis; two sweeps."""

    spec: ClassVar = METHODS["ekfac"]

    def _values(self, bases: Mapping[str, _Basis]) -> Generator[Sweep, Vectors, Vectors]:
        """Ask for the squares in one sweep."""

        def term(block: GradientBlock, layer: str) -> Tensor:
            pieces = self._gradients(block, layer).dense().split(_SAMPLES)
            return torch.stack([bases[layer].rotated(few.double()).square().sum(dim=0) for few in pieces]).sum(dim=0)

        sums = yield Sweep.of(bases, term)
        return {layer: total / self.statistics.samples for layer, total in sums.items()}


_SAMPLES = 32
"""Whose gradients are rotated at a time."""
