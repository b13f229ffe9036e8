"""What one sweep over the training gradients leaves behind: damping for all methods, the GFIM for some."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinf.gradients import GradientSource

DEFAULT_DAMPING = 0.1


@dataclass(frozen=True)
class GradientStatistics:
    """Sums over the training samples.

    Attributes:
        layers: ``{layer name: (r, d)}``.
        samples: n.
        mean_square: ``{layer: mean over n, r and d of g**2}``.
        gfim: ``{layer: Tensor[d, d]}``, ``mean_i g_i^T g_i`` (the "sum" scale); empty when it was not asked for.
        gfim_seconds: time that the GFIM alone took in the sweep.
    """

    layers: Mapping[str, tuple[int, int]]
    samples: int
    mean_square: Mapping[str, float]
    gfim: Mapping[str, Tensor]
    gfim_seconds: float = 0.0

    def damping(self, delta: float = DEFAULT_DAMPING) -> dict[str, float]:
        """``lambda[l] = delta * mean(g**2)``, the one damping that every method uses (HyperINF, section 5)."""
        return {name: delta * value for name, value in self.mean_square.items()}


def gradient_statistics(source: GradientSource, gfim: bool = True) -> GradientStatistics:
    """Sweep ``source`` once.

    Products are taken in the gradients' own dtype (float32 or better) and summed in float64 where the device's
    memory is the host's, so that neither the block size nor the number of shards matters beyond rounding.

    Args:
        source: the training gradients.
        gfim: whether to accumulate the GFIM, ``d * d`` numbers a layer.

    Raises:
        ValueError: a gradient that is not finite; the message names the layer and the first such sample.
    """
    layers = dict(source.layers)
    squares = dict.fromkeys(layers, 0.0)
    matrices: dict[str, Tensor] = {}
    samples = 0
    seconds = 0.0
    for block in source:
        samples += len(block)
        for name, (_, columns) in layers.items():
            gradient = block.gradients[name]
            square = float(gradient.double().square().sum())
            if not torch.isfinite(torch.tensor(square)):
                raise ValueError(_not_finite(name, gradient, block.sample_ids))
            squares[name] += square
            if gfim:
                started = time.perf_counter()
                rows = gradient.reshape(-1, columns)
                product = rows.T @ rows
                if name in matrices:
                    matrices[name] += product
                else:
                    matrices[name] = product.to(torch.float32 if product.is_cuda else torch.float64)
                seconds += time.perf_counter() - started
    if samples == 0:
        raise ValueError("gradients: expected at least one sample, got none")
    for matrix in matrices.values():
        matrix /= samples
    mean_square = {name: squares[name] / (samples * r * d) for name, (r, d) in layers.items()}
    silent = [name for name, value in mean_square.items() if value == 0]
    if silent:
        warnings.warn(
            f"all gradients of {len(silent)} of {len(layers)} layers are zero, so they have no influence: "
            f"{', '.join(silent[:3])}{', ...' if len(silent) > 3 else ''}",
            stacklevel=2,
        )
    return GradientStatistics(layers, samples, mean_square, matrices, seconds)


def mean_gradient(source: GradientSource) -> dict[str, Tensor]:
    """``v[l]``, the mean gradient of the target samples: ``{layer: Tensor[r, d]}`` in float64.

    Raises:
        ValueError: a gradient that is not finite; the message names the layer and the first such sample.
    """
    totals: dict[str, Tensor] = {}
    samples = 0
    for block in source:
        samples += len(block)
        for name, gradient in block.gradients.items():
            total = gradient.double().sum(dim=0)
            if not bool(torch.isfinite(total).all()):
                raise ValueError(_not_finite(name, gradient, block.sample_ids, "target "))
            totals[name] = totals[name] + total if name in totals else total
    if samples == 0:
        raise ValueError("target gradients: expected at least one sample, got none")
    return {name: total / samples for name, total in totals.items()}


def _not_finite(layer: str, gradient: Tensor, sample_ids: tuple[str, ...], role: str = "") -> str:
    wrong = (~torch.isfinite(gradient).flatten(1).all(dim=1)).nonzero().flatten().tolist()
    where = f"sample {sample_ids[wrong[0]]!r}" if wrong else "their squares overflow"
    return f"{role}gradients of layer {layer!r} are not finite ({where})"
