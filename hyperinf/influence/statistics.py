"""What one sweep over the training gradients leaves behind: damping for all methods, the GFIM for some."""

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinf.gradients import GradientSource, LayerGradients

DEFAULT_DAMPING = 0.1

# Rounding in float32 moves eigenvalues by some 2e-8 of the largest, which is at most the trace, r d lambda / delta: at
# delta = 0.1 and beyond so many entries it could outweigh the damping and leave a matrix that is not definite.
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


def gradient_statistics(source: GradientSource, gfim: bool = True) -> GradientStatistics:
    """Sweep ``source`` once.

    Products are taken in the gradients' own dtype (float32 or better) and summed in float64 where the device's
    memory is the host's, so that neither the block size nor the number of shards matters beyond rounding. The GFIM of
    a large layer is in float64 throughout, on every device.

    Args:
        source: the training gradients.
        gfim: whether to accumulate the GFIM, ``d * d`` numbers a layer.

    Raises:
        ValueError: a gradient that is not finite; the message names the layer and the first such sample.
    """
    layers = dict(source.layers)
    sums = dict.fromkeys(layers, 0.0)
    matrices: dict[str, Tensor] = {}
    norms: list[Tensor] = []
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
                product = gradients.gram(torch.float64 if rank * columns > FLOAT32_ENTRIES else None)
                if name in matrices:
                    _accumulate(matrices[name], product)
                else:
                    matrices[name] = product if product.is_cuda else product.double()
                seconds += time.perf_counter() - started
        norms.append(norm.sqrt())
        del block, gradients  # before the source makes the next one
    if not norms:
        raise ValueError("gradients: expected at least one sample, got none")
    grad_norm = torch.cat(norms)
    samples = len(grad_norm)
    for matrix in matrices.values():
        matrix += matrix.T.clone()  # rounding leaves products of two different factors not quite symmetric
        matrix /= 2 * samples
    mean_square = {name: sums[name] / (samples * r * d) for name, (r, d) in layers.items()}
    silent = [name for name, value in mean_square.items() if value == 0]
    if silent:
        warnings.warn(
            f"all gradients of {len(silent)} of {len(layers)} layers are zero, so they have no influence: "
            f"{', '.join(silent[:3])}{', ...' if len(silent) > 3 else ''}",
            stacklevel=2,
        )
    return GradientStatistics(layers, samples, mean_square, grad_norm, matrices, seconds)


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


def _finite_sum(squares: Tensor, layer: str, gradients: LayerGradients, sample_ids: tuple[str, ...]) -> float:
    total = float(squares.sum())
    if not math.isfinite(total):
        raise ValueError(_not_finite(layer, gradients, sample_ids))
    return total


def _not_finite(layer: str, gradients: LayerGradients, sample_ids: tuple[str, ...], role: str = "") -> str:
    wrong = (~gradients.finite()).nonzero().flatten().tolist()
    where = f"sample {sample_ids[wrong[0]]!r}" if wrong else "they overflow"
    return f"{role}gradients of layer {layer!r} are not finite ({where})"
