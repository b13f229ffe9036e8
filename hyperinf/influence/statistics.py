"""What one sweep over the training gradients leaves behind: damping for all methods, the GFIM for some."""

import math
import sys
import time
import warnings
from collections import ChainMap, Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, GradientSource, LayerGradients
from hyperinf.gradients.alike import together
from hyperinf.gradients.column import Column
from hyperinf.gradients.foretold import check_fits
from hyperinf.gradients.sweeping import checked
from hyperinf.gradients.units import all_largest, exponent_needed, shifted
from hyperinf.influence.gfim import accumulate, gfim_sums, product_dtype
from hyperinf.influence.matrix_file import MatrixFile
from hyperinf.influence.memory import GfimForm, GfimPlan, planned
from hyperinf.influence.packed import PackedMatrices
from hyperinf.influence.rows import Rows
from hyperinf.settings.methods import MethodOptions

DEFAULT_DAMPING: float = MethodOptions.model_fields["damping"].default

Watch = Callable[[GradientBlock], None]

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
        rows: ``{layer: Tensor[n r, d]}``, the rows of all gradients, of layers whose GFIM they stand for.
        on_disk: whether matrices and rows are on the disk; each is then mapped into memory as long as it is used.
        scratch: folder for matrices that do not fit into memory, if there is one.
        dtype: that matrices in memory are kept in; as they are computed when None.
        rounding: ``{layer: how far that dtype may have moved the matrix's eigenvalues}``, of layers where it may.
    """

    layers: Mapping[str, tuple[int, int]]
    samples: int
    mean_square: Mapping[str, float]
    grad_norm: Tensor
    gfim: Mapping[str, Tensor]
    gfim_seconds: float = 0.0
    sample_ids: tuple[str, ...] | None = None
    devices: Mapping[str, torch.device] = field(default_factory=dict)
    rows: Mapping[str, Tensor] = field(default_factory=dict)
    on_disk: bool = False
    scratch: Path | None = None
    dtype: torch.dtype | None = None
    rounding: Mapping[str, float] = field(default_factory=dict)

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

    @property
    def with_matrices(self) -> "GradientStatistics":
        """The same with the matrices of all layers: those that rows stand for are made of them, once.

        Raises:
            ValueError: they fit neither into memory nor onto the disk.
        """
        return self._with_made if self.rows else self

    @cached_property
    def _with_made(self) -> "GradientStatistics":
        layers = {name: self.layers[name] for name in self.rows}
        form = GfimForm(scratch=self.scratch, dtype=self.dtype)
        plan = planned(layers, None, next(iter(self.devices.values()), "cpu"), form)
        plan.say()
        made: MatrixFile | PackedMatrices | dict[str, Tensor] = {}
        if plan.folder is not None:
            made = MatrixFile(plan.folder)
        elif self.dtype is not None:
            made = PackedMatrices(self.dtype)
        for name in layers:
            if isinstance(made, PackedMatrices):
                made.add(name, self._made(name))
            else:
                made[name] = self._made(name)
        on_disk = self.on_disk or plan.folder is not None
        rounding = {**self.rounding, **_roundings(made)}
        both: Any = ChainMap(made, self.gfim)  # type: ignore[arg-type]
        return replace(self, gfim=both, rows={}, on_disk=on_disk, rounding=rounding)

    def _made(self, layer: str) -> Tensor:
        """Compute the GFIM of a layer whose rows are there."""
        rank, columns = self.layers[layer]
        rows, exponent = self.rows[layer], self.exponent(layer)
        dtype = product_dtype(rows.device, rank * columns) or torch.promote_types(rows.dtype, torch.float32)
        return shifted(Rows(rows, -exponent).matrix(dtype), 2 * exponent).div_(self.samples)


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
        rows: as in :class:`GradientStatistics`.
        on_disk: as in :class:`GradientStatistics`.
        scratch: as in :class:`GradientStatistics`.
        dtype: as in :class:`GradientStatistics`.
    """

    layers: Mapping[str, tuple[int, int]]
    sample_ids: tuple[str, ...]
    squares: Mapping[str, float]
    grad_norm: Tensor
    grams: Mapping[str, Tensor]
    gfim_seconds: float = 0.0
    devices: Mapping[str, torch.device] = field(default_factory=dict)
    rows: Mapping[str, Tensor] = field(default_factory=dict)
    on_disk: bool = False
    scratch: Path | None = None
    dtype: torch.dtype | None = None

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
        gfim = self.grams
        if isinstance(gfim, MatrixFile):
            for name in gfim:
                gfim.mapped(name).div_(samples)
        elif isinstance(gfim, PackedMatrices):
            gfim.divide(samples)
        else:
            gfim = {name: matrix.div_(samples) for name, matrix in gfim.items()}
        return GradientStatistics(
            self.layers,
            samples,
            mean_square,
            self.grad_norm,
            gfim,
            self.gfim_seconds,
            self.sample_ids,
            self.devices,
            self.rows,
            self.on_disk,
            self.scratch,
            self.dtype,
            _roundings(gfim),
        )


def _roundings(gfim: Mapping[str, Tensor]) -> dict[str, float]:
    """Ask matrices how far their dtype may have moved their eigenvalues; those that cannot tell are exact."""
    return {name: gfim.rounding(name) for name in gfim} if isinstance(gfim, PackedMatrices) else {}


def gradient_statistics(
    source: GradientSource, gfim: bool | GfimForm = True, watch: Watch | None = None
) -> GradientStatistics:
    """Sweep ``source`` once.

    Args:
        source: the training gradients.
        gfim: whether to accumulate the GFIM, ``d * d`` numbers a layer in memory; or in which form.
        watch: called with every block, for what else is taken of the same sweep.

    Raises:
        InputError: a gradient that is not finite (the message names the layer and the first such sample), a layer whose
            squares are out of the range of float64, or blocks that do not fit (see ``checked``).
        ValueError: the GFIM does not fit (see :func:`planned`).
    """
    return statistic_sums(source, gfim, watch).finished()


def statistic_sums(source: GradientSource, gfim: bool | GfimForm = True, watch: Watch | None = None) -> StatisticSums:
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
    form = gfim if isinstance(gfim, GfimForm) else GfimForm()
    gram = None if gfim is False else gfim_sums(_planned(source, form))
    sums = dict.fromkeys(layers, 0.0)
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
        for name, total in zip(layers, table.sum(1).tolist(), strict=True):
            gradients = block.gradients[name]
            if not math.isfinite(total):
                raise InputError(not_finite(name, gradients, block.sample_ids))
            if total < SMALLEST and name not in vanished and not gradients.silent():
                vanished.add(name)
            sums[name] += total
            if gram is not None:
                started = time.perf_counter()
                gram.add(name, gradients, total, devices[name])
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
    if gram is None:
        return StatisticSums(layers, tuple(ids), sums, grad_norm, {}, seconds, devices)
    started = time.perf_counter()
    grams, rows = gram.grams(), gram.rows()
    seconds += time.perf_counter() - started
    return StatisticSums(
        layers,
        tuple(ids),
        sums,
        grad_norm,
        grams,
        seconds,
        devices,
        rows,
        on_disk=gram.plan.folder is not None,
        scratch=form.scratch,
        dtype=gram.plan.dtype,
    )


def _planned(source: GradientSource, form: GfimForm) -> GfimPlan:
    """Choose how the GFIM is held, and see that it fits beside the passes that the gradients are taken by.

    Raises:
        ValueError: it does not.
    """
    layers, device = dict(source.layers), getattr(source, "device", "cpu")
    samples = getattr(source, "known_length", None)
    plan = planned(layers, samples, device, form)
    if hasattr(source, "foretold"):
        passes = source.foretold()
        if form.scratch is not None and passes is not None:
            plan = planned(layers, samples, device, form, passes.bytes)
        check_fits(passes, device, plan.memory_bytes, "the GFIM with its inversion takes")
    plan.say()
    return plan


def added(parts: Sequence[StatisticSums]) -> StatisticSums:
    """Add the sums of shards to those of all samples, in float64 in the order given.

    Args:
        parts: at least one, of different samples; a layer's matrices are asked for one layer at a time.

    Raises:
        InputError: a sample that two parts have, or rows in place of a matrix.
    """
    for name in (name for part in parts for name in part.rows):
        raise InputError(f"shards: got rows of layer {name!r}, expected their matrix")
    ids = [sample for part in parts for sample in part.sample_ids]
    if len(set(ids)) < len(ids):
        twice = next(sample for sample, times in Counter(ids).items() if times > 1)
        raise InputError(f"shards: got sample {twice!r} in two, expected each in one")
    layers = parts[0].layers
    grams = {}
    for name in parts[0].grams:
        total = parts[0].grams[name].to(torch.float64, copy=True)
        for part in parts[1:]:
            accumulate(total, part.grams[name])
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


def _out_of_range(layer: str, squares: float) -> str:
    what = "too small" if squares < 1 else "too large"
    return f"gradients of layer {layer!r}: got squares {what} for float64 ({squares:.3g}), expected a range that it has"


def not_finite(layer: str, gradients: LayerGradients, sample_ids: tuple[str, ...], role: str = "") -> str:
    """Say which layer's gradients are not finite, and of which sample first."""
    wrong = (~gradients.finite()).nonzero().flatten().tolist()
    where = f"sample {sample_ids[wrong[0]]!r}" if wrong else "they overflow"
    return f"{role}gradients of layer {layer!r}: got values that are not finite ({where}), expected finite ones"
