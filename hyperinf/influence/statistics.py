"""What one sweep over the training gradients leaves behind: damping for all methods, the GFIM for some."""

import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, GradientSource, LayerGradients
from hyperinf.gradients.alike import together
from hyperinf.gradients.column import Column
from hyperinf.gradients.foretold import check_fits
from hyperinf.gradients.sweeping import checked
from hyperinf.gradients.units import all_largest, exponent_needed, shifted
from hyperinf.influence.memory import check_gfim_fits, gfim_bytes
from hyperinf.settings.methods import MethodOptions

DEFAULT_DAMPING: float = MethodOptions.model_fields["damping"].default

Watch = Callable[[GradientBlock], None]

# A GFIM is inverted, which enlarges its rounding. On a CPU its products are in float64: half as fast, but scores agree
# to 1e-7 however gradients are kept or sharded, where float32 leaves 2e-6. On a GPU, where float64 can be 64 times
# slower, only layers that need it get it: rounding in float32 moves eigenvalues by some 2e-8 of the largest, which is
# at most the trace, r d lambda / delta: at delta = 0.1 and beyond so many entries it could outweigh the damping and
# leave a matrix that is not definite.
FLOAT32_ENTRIES = 500_000
ROWS = 128

# Sums of squares from here to there have all their digits in float64, and twice a sum is still a number.
SMALLEST, LARGEST = sys.float_info.min, sys.float_info.max / 4


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
        sample_ids: n ids in the order of the sweep, which every later sweep is checked against; None if not known.
        devices: ``{layer: where its gradients are}``, where that is known.
    """

    layers: Mapping[str, tuple[int, int]]
    samples: int
    mean_square: Mapping[str, float]
    grad_norm: Tensor
    gfim: Mapping[str, Tensor]
    gfim_seconds: float = 0.0
    sample_ids: tuple[str, ...] | None = None
    devices: Mapping[str, torch.device] = field(default_factory=dict)

    def damping(self, delta: float = DEFAULT_DAMPING) -> dict[str, float]:
        """Compute ``lambda[l] = delta * mean(g**2)``, the one damping that every method uses (HyperINF, section 5)."""
        return {name: delta * value for name, value in self.mean_square.items()}

    def exponent(self, layer: str) -> int:
        """Find ``e`` of the unit ``2^e`` in which a layer's gradients are neither tiny nor huge; mostly 0.

        A damped inverse curvature between two gradients does not depend on their unit, so methods work in this one:
        in float32 even ``<g_i, v> g_i`` is zero for gradients of 1e-16.
        """
        return self.exponents.get(layer, 0)

    @cached_property
    def exponents(self) -> dict[str, int]:
        """The exponents that are not 0."""
        needed = {layer: exponent_needed(math.sqrt(value)) for layer, value in self.mean_square.items()}
        return {layer: exponent for layer, exponent in needed.items() if exponent}


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
        devices: ``{layer: where its gradients are}``, where that is known.
    """

    layers: Mapping[str, tuple[int, int]]
    sample_ids: tuple[str, ...]
    squares: Mapping[str, float]
    grad_norm: Tensor
    grams: Mapping[str, Tensor]
    gfim_seconds: float = 0.0
    devices: Mapping[str, torch.device] = field(default_factory=dict)

    def finished(self) -> GradientStatistics:
        """Divide by the number of samples; uses ``grams`` up, and warns of layers whose gradients are all zero.

        Raises:
            InputError: a layer whose mean square is not zero but below what float64 has, or above.
        """
        samples = len(self.sample_ids)
        mean_square = {name: self.squares[name] / (samples * r * d) for name, (r, d) in self.layers.items()}
        for name, value in mean_square.items():
            if value != 0 and not SMALLEST <= value <= LARGEST:
                raise InputError(_out_of_range(name, value))
        silent = [name for name, value in mean_square.items() if value == 0]
        if silent:
            warnings.warn(
                f"all gradients of {len(silent)} of {len(self.layers)} layers are zero, so they have no influence: "
                f"{', '.join(silent[:3])}{', ...' if len(silent) > 3 else ''}",
                stacklevel=3,
            )
        gfim = {name: matrix.div_(samples) for name, matrix in self.grams.items()}
        return GradientStatistics(
            self.layers,
            samples,
            mean_square,
            self.grad_norm,
            gfim,
            self.gfim_seconds,
            self.sample_ids,
            self.devices,
        )


def gradient_statistics(source: GradientSource, gfim: bool = True, watch: Watch | None = None) -> GradientStatistics:
    """Sweep ``source`` once.

    Args:
        source: the training gradients.
        gfim: whether to accumulate the GFIM, ``d * d`` numbers a layer.
        watch: called with every block, for what else is taken of the same sweep.

    Raises:
        InputError: a gradient that is not finite (the message names the layer and the first such sample), a layer whose
            squares are out of the range of float64, or blocks that do not fit (see ``checked``).
    """
    return statistic_sums(source, gfim, watch).finished()


def statistic_sums(source: GradientSource, gfim: bool = True, watch: Watch | None = None) -> StatisticSums:
    """Sweep the samples of a shard once, and divide nothing by their number yet.

    All is in float64, so that neither the block size nor the number of shards matters beyond rounding; but on a GPU the
    GFIM of a layer that is not large is in the gradients' own dtype (float32 or better).

    Args:
        source: as in :func:`gradient_statistics`.
        gfim: as in :func:`gradient_statistics`.
        watch: as in :func:`gradient_statistics`.

    Raises:
        InputError: as in :func:`gradient_statistics`.
    """
    layers = dict(source.layers)
    if gfim:
        device = getattr(source, "device", "cpu")
        check_gfim_fits(layers, device)
        if hasattr(source, "foretold"):
            check_fits(source.foretold(), device, gfim_bytes(layers), "the GFIM with its inversion takes")
    sums = dict.fromkeys(layers, 0.0)
    matrices: dict[str, Tensor] = {}
    norms = Column(getattr(source, "known_length", None))
    ids: list[str] = []
    seconds = 0.0
    vanished: set[str] = set()
    devices: dict[str, torch.device] = {}
    for block in checked(source, "train"):
        squares: dict[str, Tensor] = {}
        for few in together({name: block.gradients[name] for name in layers}):
            squares.update(zip(few.layers, few.squares().unbind(), strict=True))
        devices = {name: each.device for name, each in squares.items()}
        table = torch.stack([squares[name].to(devices[next(iter(layers))]) for name in layers])
        norms.extend(table.sum(0).sqrt())
        for (name, (rank, columns)), total in zip(layers.items(), table.sum(1).tolist(), strict=True):
            gradients = block.gradients[name]
            if not math.isfinite(total):
                raise InputError(not_finite(name, gradients, block.sample_ids))
            if total < SMALLEST and name not in vanished and not gradients.silent():
                vanished.add(name)
            sums[name] += total
            if gfim:
                started = time.perf_counter()
                product = _gram(gradients, total, _gfim_dtype(devices[name], rank * columns))
                if name not in matrices:
                    matrices[name] = product if product.is_cuda else product.double()
                else:
                    matrices[name] = matrices[name].to(torch.promote_types(matrices[name].dtype, product.dtype))
                    _accumulate(matrices[name], product)
                seconds += time.perf_counter() - started
        if watch is not None:
            watch(block)
        ids.extend(block.sample_ids)
        del block, gradients, few  # before the source makes the next one
    if not norms:
        raise InputError("train: got no samples, expected at least one")
    for name, total in sums.items():
        if total > LARGEST or (total < SMALLEST and name in vanished):
            raise InputError(_out_of_range(name, total))
    grad_norm = norms.joined()
    if not bool(torch.isfinite(grad_norm).all()):
        sample = ids[int((~torch.isfinite(grad_norm)).nonzero()[0])]
        raise InputError(f"gradients of sample {sample!r}: got an infinite norm over all layers, expected a number")
    for matrix in matrices.values():
        matrix += matrix.T.clone()  # rounding leaves products of two different factors not quite symmetric
        matrix /= 2
    return StatisticSums(layers, tuple(ids), sums, grad_norm, matrices, seconds, devices)


def added(parts: Sequence[StatisticSums]) -> StatisticSums:
    """Add the sums of shards to those of all samples, in float64 in the order given.

    Args:
        parts: at least one, of different samples; a layer's matrices are asked for one layer at a time.

    Raises:
        InputError: a sample that two parts have.
    """
    ids = [sample for part in parts for sample in part.sample_ids]
    if len(set(ids)) < len(ids):
        twice = next(sample for sample, times in Counter(ids).items() if times > 1)
        raise InputError(f"shards: got sample {twice!r} in two, expected each in one")
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
        {name: _sum([part.squares[name] for part in parts]) for name in layers},
        torch.cat([part.grad_norm for part in parts]),
        grams,
        sum(part.gfim_seconds for part in parts),
    )


def _sum(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


def _accumulate(total: Tensor, product: Tensor) -> None:
    """Add to ``total`` a few rows at a time: a whole copy of a large matrix in the wider dtype costs far more."""
    if total.dtype == product.dtype:
        total += product
        return
    for sums, rows in zip(total.split(ROWS), product.split(ROWS), strict=True):
        sums += rows


def mean_gradient(source: GradientSource) -> dict[str, Tensor]:
    """Compute ``v[l]``, the mean gradient of the target samples: ``{layer: Tensor[r, d]}`` in float64.

    Raises:
        InputError: a gradient that is not finite (the message names the layer and the first such sample), or blocks
            that do not fit (see ``checked``).
    """
    totals: dict[str, Tensor] = {}
    samples = 0
    for block in checked(source, "target"):
        samples += len(block)
        found: dict[str, Tensor] = {}
        for few in together({name: block.gradients[name] for name in source.layers}):
            found.update(zip(few.layers, few.sum().unbind(), strict=True))
        for name, size in zip(found, all_largest(list(found.values())), strict=True):
            if not math.isfinite(size):
                raise InputError(not_finite(name, block.gradients[name], block.sample_ids, "target "))
            totals[name] = totals[name] + found[name] if name in totals else found[name]
        del block, few
    if samples == 0:
        raise InputError("target: got no samples, expected at least one")
    names = list(source.layers)
    return dict(zip(names, torch._foreach_div([totals[name] for name in names], samples), strict=True))


def _gram(gradients: LayerGradients, squares: float, dtype: torch.dtype | None) -> Tensor:
    """Compute the Gram matrix of gradients with this sum of squares; of tiny or huge ones in their unit, in float64."""
    exponent = exponent_needed(math.sqrt(squares)) if squares > 0 else 0
    product = gradients.scaled(-exponent).gram(dtype)
    return shifted(product.double(), 2 * exponent) if exponent else product


def _out_of_range(layer: str, squares: float) -> str:
    what = "too small" if squares < 1 else "too large"
    return f"gradients of layer {layer!r}: got squares {what} for float64 ({squares:.3g}), expected a range that it has"


def _gfim_dtype(device: torch.device, entries: int) -> torch.dtype | None:
    return torch.float64 if device.type == "cpu" or entries > FLOAT32_ENTRIES else None


def not_finite(layer: str, gradients: LayerGradients, sample_ids: tuple[str, ...], role: str = "") -> str:
    """Say which layer's gradients are not finite, and of which sample first."""
    wrong = (~gradients.finite()).nonzero().flatten().tolist()
    where = f"sample {sample_ids[wrong[0]]!r}" if wrong else "they overflow"
    return f"{role}gradients of layer {layer!r}: got values that are not finite ({where}), expected finite ones"
