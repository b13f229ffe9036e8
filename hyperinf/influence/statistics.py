"""What one sweep over the training gradients leaves behind: damping for all methods, the GFIM for some."""

import math
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinf.gradients import GradientSource, LayerGradients

DEFAULT_DAMPING = 0.1

# A GFIM is inverted, which enlarges its rounding. On a CPU its products are in float64: half as fast, but scores agree
# to 1e-7 however gradients are kept or sharded, where float32 leaves 2e-6. On a GPU, where float64 can be 64 times
# slower, only layers that need it get it: rounding in float32 moves eigenvalues by some 2e-8 of the largest, which is
# at most the trace, r d lambda / delta: at delta = 0.1 and beyond so many entries it could outweigh the damping and
# leave a matrix that is not definite.
FLOAT32_ENTRIES = 500_000
ROWS = 128


@dataclass(frozen=True)
class GradientStatistics:
    """Sums over the training samples.

    Attributes:
        layers: ``{layer name: (r, d)}``.
        samples: n.
        mean_square: ``{layer: mean over n, r and d of g**2}``.
        grad_norm: ``Tensor[n]``, the norm of each sample's gradient over all layers.
        gfim: ``{layer: Tensor[d, d]}``, ``mean_i g_i^T g_i`` (the "sum" scale); empty when it was not asked for.
        gfim_seconds: time that the GFIM alone took in the sweep.
    """

    layers: Mapping[str, tuple[int, int]]
    samples: int
    mean_square: Mapping[str, float]
    grad_norm: Tensor
    gfim: Mapping[str, Tensor]
    gfim_seconds: float = 0.0

    def damping(self, delta: float = DEFAULT_DAMPING) -> dict[str, float]:
        """``lambda[l] = delta * mean(g**2)``, the one damping that every method uses (HyperINF, section 5)."""
        return {name: delta * value for name, value in self.mean_square.items()}


@dataclass(frozen=True)
class StatisticSums:
    """What one sweep over some of the training samples adds up to.

    Attributes:
        layers: ``{layer name: (r, d)}``.
        sample_ids: n ids.
        squares: ``{layer: sum over n, r and d of g**2}``.
        grad_norm: ``Tensor[n]``, the norm of each sample's gradient over all layers.
        grams: ``{layer: Tensor[d, d]}``, ``sum_i g_i^T g_i``; empty when the GFIM was not asked for.
        gfim_seconds: time that the GFIM alone took in the sweep.
    """

    layers: Mapping[str, tuple[int, int]]
    sample_ids: tuple[str, ...]
    squares: Mapping[str, float]
    grad_norm: Tensor
    grams: Mapping[str, Tensor]
    gfim_seconds: float = 0.0

    def finished(self) -> GradientStatistics:
        """The statistics of these samples; uses ``grams`` up, and warns of layers whose gradients are all zero."""
        samples = len(self.sample_ids)
        mean_square = {name: self.squares[name] / (samples * r * d) for name, (r, d) in self.layers.items()}
        silent = [name for name, value in mean_square.items() if value == 0]
        if silent:
            warnings.warn(
                f"all gradients of {len(silent)} of {len(self.layers)} layers are zero, so they have no influence: "
                f"{', '.join(silent[:3])}{', ...' if len(silent) > 3 else ''}",
                stacklevel=3,
            )
        gfim = {name: matrix.div_(samples) for name, matrix in self.grams.items()}
        return GradientStatistics(self.layers, samples, mean_square, self.grad_norm, gfim, self.gfim_seconds)


def gradient_statistics(source: GradientSource, gfim: bool = True) -> GradientStatistics:
    """Sweep ``source`` once.

    Args:
        source: the training gradients.
        gfim: whether to accumulate the GFIM, ``d * d`` numbers a layer.

    Raises:
        ValueError: a gradient that is not finite; the message names the layer and the first such sample.
    """
    return statistic_sums(source, gfim).finished()


def statistic_sums(source: GradientSource, gfim: bool = True) -> StatisticSums:
    """:func:`gradient_statistics` of the samples of a shard, before anything is divided by their number.

    All is in float64, so that neither the block size nor the number of shards matters beyond rounding; but on a GPU the
    GFIM of a layer that is not large is in the gradients' own dtype (float32 or better).

    Args:
        source: as in :func:`gradient_statistics`.
        gfim: as in :func:`gradient_statistics`.

    Raises:
        ValueError: as in :func:`gradient_statistics`.
    """
    layers = dict(source.layers)
    sums = dict.fromkeys(layers, 0.0)
    matrices: dict[str, Tensor] = {}
    norms: list[Tensor] = []
    ids: list[str] = []
    seconds = 0.0
    for block in source:
        norm = torch.zeros(())
        for name, (rank, columns) in layers.items():
            gradients = block.contractions(name)
            squares = gradients.squares()
            sums[name] += _finite_sum(squares, name, gradients, block.sample_ids)
            norm = norm.to(squares) + squares
            if gfim:
                started = time.perf_counter()
                product = gradients.gram(_gfim_dtype(squares.device, rank * columns))
                if name in matrices:
                    _accumulate(matrices[name], product)
                else:
                    matrices[name] = product if product.is_cuda else product.double()
                seconds += time.perf_counter() - started
        norms.append(norm.sqrt())
        ids.extend(block.sample_ids)
        del block, gradients  # before the source makes the next one
    if not norms:
        raise ValueError("gradients: expected at least one sample, got none")
    for matrix in matrices.values():
        matrix += matrix.T.clone()  # rounding leaves products of two different factors not quite symmetric
        matrix /= 2
    return StatisticSums(layers, tuple(ids), sums, torch.cat(norms), matrices, seconds)


def added(parts: Sequence[StatisticSums]) -> StatisticSums:
    """The sums of all samples from those of shards of them, added in float64 in the order given.

    Args:
        parts: at least one, of different samples; a layer's matrices are asked for one layer at a time.

    Raises:
        ValueError: a sample that two parts have.
    """
    ids = [sample for part in parts for sample in part.sample_ids]
    if len(set(ids)) < len(ids):
        twice = next(sample for sample, times in Counter(ids).items() if times > 1)
        raise ValueError(f"sample {twice!r} is in two shards; expected each in one")
    layers = parts[0].layers
    grams = {}
    for name in parts[0].grams:
        total = parts[0].grams[name].to(torch.float64, copy=True)
        for part in parts[1:]:
            _accumulate(total, part.grams[name])
        grams[name] = total
    return StatisticSums(
        layers,
        tuple(ids),
        {name: math.fsum(part.squares[name] for part in parts) for name in layers},
        torch.cat([part.grad_norm for part in parts]),
        grams,
        sum(part.gfim_seconds for part in parts),
    )


def _accumulate(total: Tensor, product: Tensor) -> None:
    """``total += product`` a few rows at a time: a whole copy of a large matrix in the wider dtype costs far more."""
    for sums, rows in zip(total.split(ROWS), product.split(ROWS), strict=True):
        sums += rows


def mean_gradient(source: GradientSource) -> dict[str, Tensor]:
    """``v[l]``, the mean gradient of the target samples: ``{layer: Tensor[r, d]}`` in float64.

    Raises:
        ValueError: a gradient that is not finite; the message names the layer and the first such sample.
    """
    totals: dict[str, Tensor] = {}
    samples = 0
    for block in source:
        samples += len(block)
        for name in source.layers:
            gradients = block.contractions(name)
            total = gradients.sum().double()
            if not bool(torch.isfinite(total).all()):
                raise ValueError(_not_finite(name, gradients, block.sample_ids, "target "))
            totals[name] = totals[name] + total if name in totals else total
        del block, gradients
    if samples == 0:
        raise ValueError("target gradients: expected at least one sample, got none")
    return {name: total / samples for name, total in totals.items()}


def _gfim_dtype(device: torch.device, entries: int) -> torch.dtype | None:
    return torch.float64 if device.type == "cpu" or entries > FLOAT32_ENTRIES else None


def _finite_sum(squares: Tensor, layer: str, gradients: LayerGradients, sample_ids: tuple[str, ...]) -> float:
    total = float(squares.sum())
    if not math.isfinite(total):
        raise ValueError(_not_finite(layer, gradients, sample_ids))
    return total


def _not_finite(layer: str, gradients: LayerGradients, sample_ids: tuple[str, ...], role: str = "") -> str:
    wrong = (~gradients.finite()).nonzero().flatten().tolist()
    where = f"sample {sample_ids[wrong[0]]!r}" if wrong else "they overflow"
    return f"{role}gradients of layer {layer!r} are not finite ({where})"
