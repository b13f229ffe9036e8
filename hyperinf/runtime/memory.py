"""How much memory is free where something is computed, and how an allocator deals with it."""

import ctypes
import gc
from pathlib import Path

import torch

GIB = 2**30
HELD = 1.75
"""Of a CPU's memory what glibc holds for tensors that take 1: what is let go stays with it, in pieces that do not fit
the next."""
ALWAYS_MAPPED = 2**25
"""Bytes from which on glibc gives back at once whatever it is told."""
PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_FIRST_VERSION = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_SECOND_VERSION = ("memory.max", "memory.current", "inactive_file")
_MMAP_THRESHOLD, _MAPPED_FROM = -3, 2**17
_mapped = False


def held_for(size: float, device: torch.device | str) -> float:
    """Tell how many bytes an allocator holds for a tensor of this size, which comes and goes among others.

    On a GPU, and once large tensors are mapped, no more than it takes.
    """
    return HELD * size if torch.device(device).type == "cpu" and not _mapped and abs(size) < ALWAYS_MAPPED else size


def give_back() -> None:
    """Return to the system what this process has let go of, and its allocator holds (glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def map_large_tensors() -> bool:
    """Have glibc take every piece of memory of 128 KiB or more from the system, and give it back at once.

    For the rest of the process; what is computed then takes its tensors' bytes alone, and somewhat more time.

    Returns:
        Whether it could be done: there is another allocator's library where not.
    """
    global _mapped
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    _mapped = _mapped or bool(mallopt is not None and mallopt(_MMAP_THRESHOLD, _MAPPED_FROM))
    return _mapped


def free_bytes(device: torch.device | str) -> int | None:
    """Ask how much memory is free on a device, of a process's own limit where it has one; None where nobody tells.

    What PyTorch has let go of on a GPU, and holds for what comes, is free.
    """
    device = torch.device(device)
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    found = [_available(), _left_in_group()]
    return min((value for value in found if value is not None), default=None)


def _available() -> int | None:
    try:
        lines = (PROC / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None


def _left_in_group() -> int | None:
    """Ask the control groups that a scheduler or container put the process in, and those they are in."""
    try:
        lines = (PROC / "self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, files = (GROUPS / "memory", _FIRST_VERSION) if controllers else (GROUPS, _SECOND_VERSION)
        group = root / own.lstrip("/")
        # Within a container the path is often that outside, and its root is what is limited.
        found += [_left_in(each, *files) for each in (group, *group.parents) if each.is_relative_to(root)]
    return min((left for left in found if left is not None), default=None)


def _left_in(group: Path, limit: str, usage: str, cached: str) -> int | None:
    """Take what is used from a group's limit; cached files count as free. None where it has none."""
    try:
        most = int((group / limit).read_text(encoding="ascii"))
        used = int((group / usage).read_text(encoding="ascii"))
        parts = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, most - used + int(parts.get(cached, 0)))
    except (OSError, ValueError):  # there is no such group, or its limit is the word `max`
        return None
