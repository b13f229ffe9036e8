"""What the GFIM of every layer takes, known before the first sweep, held against the memory and the disk that are free.

A layer's GFIM is a sum over the ``n r`` rows of its samples' gradients. Where they are fewer than its d columns, the
rows take less than the matrix that they make, and solve the same system.
"""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from hyperinf.influence.packed import packed_bytes
from hyperinf.runtime.memory import GIB, free_bytes

_log = logging.getLogger(__name__)
COPIES = 4
"""Of the largest layer's matrix that its inversion works with, besides the matrices themselves."""
WORTH_SAYING = GIB
WAITING = 2048
"""Rows of a layer that wait to be added to its matrix on the disk, at the most, and no more than its columns: with as
many at a time their product takes several times as long as the matrix is read and written."""


@dataclass(frozen=True)
class GfimForm:
    """How the GFIM may be held.

    Attributes:
        rows: keep the rows of gradients that it is made of, of each layer where that takes less than the matrix; the
            number of samples has to be known before the sweep.
        scratch: folder for what does not fit into memory, which is refused when None.
        memory_bytes: that all that is held may take; what is free when None.
        dtype: that matrices in memory are kept in, below their diagonals only; as they are computed when None. Rows,
            and what is on the disk, are as ever.
    """

    rows: bool = False
    scratch: Path | None = None
    memory_bytes: int | None = None
    dtype: torch.dtype | None = None


@dataclass(frozen=True)
class GfimPlan:
    """How the GFIM will be held.

    Attributes:
        layers: ``{layer: (r, d)}``.
        rows: ``{layer: n r}`` of the layers whose rows are kept; of the others it is the matrix.
        folder: of the disk that they are held on; in memory when None.
        buffer_bytes: of rows that may wait for the disk.
        dtype: that matrices in memory are kept in, as in :class:`GfimForm`.
    """

    layers: Mapping[str, tuple[int, int]]
    rows: Mapping[str, int]
    folder: Path | None = None
    buffer_bytes: int = 0
    dtype: torch.dtype | None = None

    @property
    def held_bytes(self) -> int:
        """Count the bytes of all matrices and rows: in float64 but for matrices that are kept in another dtype."""
        return sum(self._bytes(layer, d) for layer, (_, d) in self.layers.items())

    def _bytes(self, layer: str, columns: int) -> int:
        if self.dtype is None or layer in self.rows:
            return 8 * self.rows.get(layer, columns) * columns
        return packed_bytes(columns, self.dtype)

    @property
    def working_bytes(self) -> int:
        """Count what the inversion of the largest layer's matrix works with: ``n r`` square of a layer of rows."""
        return 8 * COPIES * max((side**2 for side in self._sides), default=0)

    @property
    def disk_bytes(self) -> int:
        """Count what the disk takes, where all is held there: factors that are kept for many queries, too."""
        return self.held_bytes + self.factor_bytes

    @property
    def factor_bytes(self) -> int:
        """Count the bytes of a factor or inverse of every layer, in float64."""
        return 8 * sum(side**2 for side in self._sides)

    @property
    def memory_bytes(self) -> int:
        """Count what it takes of memory: all of it, or on the disk what waits in the sweep and what works after it."""
        if self.folder is not None:
            return max(self.working_bytes, self.buffer_bytes)
        return self.working_bytes + self.held_bytes

    @property
    def _sides(self) -> list[int]:
        return [self.rows.get(layer, d) for layer, (_, d) in self.layers.items()]

    def say(self) -> None:
        """Say where it is held, and what it takes where that is much."""
        count, inverted = len(self.layers), (self.held_bytes + self.working_bytes) / GIB
        if self.folder is not None:
            text = "the GFIM of %d layers takes %.1f GiB with its inversion, more than is free: %.1f GiB of it are on"
            _log.warning(f"{text} the disk, in %s", count, inverted, self.held_bytes / GIB, self.folder)
        elif inverted * GIB > WORTH_SAYING:
            _log.warning("the %s of %d layers takes %.1f GiB with its inversion", "GFIM", count, inverted)


def gfim_bytes(layers: Mapping[str, tuple[int, int]], rows: Mapping[str, int] | None = None) -> int:
    """Count the bytes of all layers' ``d x d`` matrices in float64, or of their rows, and of the largest's inversion.

    Args:
        layers: ``{layer name: (r, d)}``.
        rows: ``{layer name: n r}`` of the layers whose rows are kept instead.
    """
    return GfimPlan(layers, rows or {}).memory_bytes


def rows_kept(layers: Mapping[str, tuple[int, int]], samples: int | None) -> dict[str, int]:
    """Find the layers whose ``n r`` rows take less than their matrix, ``{layer: n r}``; none of an unknown n."""
    return {} if samples is None else {layer: samples * r for layer, (r, d) in layers.items() if samples * r < d}


def planned(
    layers: Mapping[str, tuple[int, int]],
    samples: int | None,
    device: torch.device | str,
    form: GfimForm,
    beside: int = 0,
) -> GfimPlan:
    """Choose how the GFIM is held: in memory where it fits, else on the disk where that is allowed and has room.

    Args:
        layers: ``{layer name: (r, d)}``.
        samples: n, where it is known.
        device: where the gradients are.
        form: what is allowed.
        beside: bytes of memory that the gradients' passes need at the same time.

    Raises:
        ValueError: it fits nowhere; names the largest layer, what is needed and what is free.
    """
    rows = rows_kept(layers, samples) if form.rows else {}
    plan, free = GfimPlan(layers, rows, dtype=form.dtype), free_bytes(device)
    fits = free is None or plan.memory_bytes + (beside if form.scratch is not None else 0) <= free
    if fits and (form.memory_bytes is None or plan.held_bytes <= form.memory_bytes):
        return plan
    if form.scratch is None:
        room = min(limit for limit in (free, form.memory_bytes) if limit is not None)
        keep = ", or let an Attributor keep it on the disk with scratch"
        packed = GfimPlan(layers, rows, dtype=torch.float32).memory_bytes
        if form.dtype is None and packed <= room:
            keep = f", or keep it in {packed / GIB:.1f} GiB with gfim_dtype='float32'{keep}"
        raise ValueError(_refusal(layers, rows, plan.memory_bytes, room, "GFIM", keep))
    buffer = 8 * sum(min(WAITING, d) * d for layer, (_, d) in layers.items() if layer not in rows)
    if free is not None:
        buffer = min(buffer, max(0, free - beside) // 4)
    on_disk, left = GfimPlan(layers, rows, form.scratch, buffer), _disk_bytes(form.scratch)
    if (free is not None and on_disk.memory_bytes + beside > free) or on_disk.disk_bytes > left:
        needed = f"{on_disk.disk_bytes / GIB:.1f} GiB of disk and {on_disk.memory_bytes / GIB:.1f} GiB of memory"
        instead = f", or free {needed} for {form.scratch}, where {left / GIB:.1f} GiB of disk are free"
        raise ValueError(_refusal(layers, rows, plan.memory_bytes, free or 0, "GFIM", instead))
    return on_disk


def check_gfim_fits(
    layers: Mapping[str, tuple[int, int]], device: torch.device | str = "cpu", what: str = "GFIM"
) -> None:
    """Refuse layers whose matrices do not fit into the memory that is free, and say what they take where it is much.

    Args:
        layers: ``{layer name: (r, d)}``.
        device: where the gradients are, and so the matrices.
        what: another matrix of that size, for the message.

    Raises:
        ValueError: names the largest layer, what is needed and what is free.
    """
    needed, free = gfim_bytes(layers), free_bytes(device)
    if free is not None and needed > free:
        raise ValueError(_refusal(layers, {}, needed, free, what))
    if needed > WORTH_SAYING:
        _log.warning("the %s of %d layers takes %.1f GiB with its inversion", what, len(layers), needed / GIB)


def _disk_bytes(folder: Path) -> int:
    """Ask how much of the disk is free where a folder is, or will be."""
    there = next((each for each in (folder, *folder.resolve().parents) if each.is_dir()), Path("/"))
    return shutil.disk_usage(there).free


def _refusal(
    layers: Mapping[str, tuple[int, int]], rows: Mapping[str, int], needed: int, free: int, what: str, instead: str = ""
) -> str:
    """Say which layer takes most, what all take and what is free, and what to do instead."""
    name = max(layers, key=lambda layer: rows.get(layer, layers[layer][1]) * layers[layer][1])
    rank, columns = layers[name]
    smaller = ", or take its smaller axis with gfim_axis='smaller'" if what == "GFIM" else ""
    most = f"{rows.get(name, columns):,} x {columns:,} {'rows' if name in rows else what}"
    verb = "take" if name in rows else "takes"
    return (
        f"layer {name!r}: got a gradient of {rank:,} x {columns:,}, whose {most} {verb},"
        f" with those of the other layers and an inversion, {needed / GIB:.1f} GiB, expected at most the"
        f" {free / GIB:.1f} GiB that are free; leave it out with layers{smaller}{instead}"
    )
