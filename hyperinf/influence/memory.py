"""What the GFIM of every layer takes, known before the first sweep, held against the memory that is free."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

_log = logging.getLogger(__name__)
GIB = 2**30
COPIES = 4
"""Of the largest layer's matrix that its inversion works with, besides the matrices themselves."""
WORTH_SAYING = GIB


def gfim_bytes(layers: Mapping[str, tuple[int, int]]) -> int:
    """Count the bytes of all layers' ``d x d`` matrices in float64, and of the inversion of the largest.

    Args:
        layers: ``{layer name: (r, d)}``.
    """
    squares = [d * d for _, d in layers.values()]
    return 8 * (sum(squares) + COPIES * max(squares, default=0))


def check_gfim_fits(
    layers: Mapping[str, tuple[int, int]], device: torch.device | str = "cpu", what: str = "GFIM"
) -> None:
    """Refuse layers whose GFIM does not fit into the memory that is free, and say what it takes where it is much.

    Args:
        layers: ``{layer name: (r, d)}``.
        device: where the gradients are, and so the matrices.
        what: another matrix of that size, for the message.

    Raises:
        ValueError: names the largest layer, what is needed and what is free.
    """
    needed, free = gfim_bytes(layers), free_bytes(device)
    name = max(layers, key=lambda layer: layers[layer][1])
    rank, columns = layers[name]
    if free is not None and needed > free:
        smaller = ", or take its smaller axis with gfim_axis='smaller'" if what == "GFIM" else ""
        raise ValueError(
            f"layer {name!r}: got a gradient of {rank:,} x {columns:,}, whose {columns:,} x {columns:,} {what} takes,"
            f" with those of the other layers and an inversion, {needed / GIB:.1f} GiB, expected at most the"
            f" {free / GIB:.1f} GiB that are free; leave it out with layers{smaller}"
        )
    if needed > WORTH_SAYING:
        _log.warning("the %s of %d layers takes %.1f GiB with its inversion", what, len(layers), needed / GIB)


def free_bytes(device: torch.device | str) -> int | None:
    """Ask how much memory is free on a device, of a process's own limit where it has one; None where nobody tells."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = [_available(), _left_in_group()]
    return min((value for value in found if value is not None), default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None


def _left_in_group() -> int | None:
    """Ask the control group that a scheduler or container put the process in; cached files count as free."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition("::")[2].lstrip("/")
        group = Path("/sys/fs/cgroup") / own
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        cached = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return None if limit == "max" else max(0, int(limit) - used + int(cached.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None
