"""How much memory is free where something is computed, and how an allocator deals with it."""

import ctypes
import gc
from pathlib import Path

import torch

GIB = 2**30
HELD = 1.75
"""Of a CPU's memory what glibc holds for tensors that take 1: what is let go stays with it, in pieces that do not fit
the next. On a GPU, or once large tensors are mapped, next to nothing."""
_MMAP_THRESHOLD, _MAPPED_FROM = -3, 2**20
_mapped = False


def held_for(device: torch.device | str) -> float:
    """Tell how many bytes an allocator holds for each byte of many large tensors."""
    return HELD if torch.device(device).type == "cpu" and not _mapped else 1.0


def give_back() -> None:
    """Return to the system what this process has let go of, and its allocator holds (glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def map_large_tensors() -> bool:
    """Have glibc take every piece of memory of 1 MiB or more from the system, and give it back at once.

    For the rest of the process; passes then take a tenth more time or less, and their tensors' bytes alone.

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
