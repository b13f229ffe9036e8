"""Wall time and peak memory of a stage, for the cost tables."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hyperinf.runtime.choice import Counts, counted

MIB = 2**20


@dataclass
class Cost:
    """What a stage took.

    Attributes:
        seconds: wall time, the device synchronised.
        peak_memory_mib: the most memory above what was in use at the start: of the device on CUDA, of the process
            (resident set) elsewhere; None where the system does not tell.
        forms: how often products were taken from the factors of gradients and how often from the gradients themselves,
            ``{(operation, form): layers times blocks}``; empty where gradients were held.
    """

    seconds: float = 0.0
    peak_memory_mib: float | None = None
    forms: Counts = field(default_factory=Counter)


@contextlib.contextmanager
def metered(device: str = "cpu") -> Iterator[Cost]:
    """Measure the block; the yielded record is filled in when it ends."""
    cost = Cost()
    on_cuda = device.startswith("cuda")
    baseline = _reset_cuda(device) if on_cuda else _reset_resident()
    started = time.perf_counter()
    try:
        with counted() as cost.forms:
            yield cost
    finally:
        if on_cuda:
            import torch

            torch.cuda.synchronize(device)
            peak: float | None = torch.cuda.max_memory_allocated(device)
        else:
            peak = _status("VmHWM")
        cost.seconds = time.perf_counter() - started
        if baseline is not None and peak is not None:
            cost.peak_memory_mib = max(0.0, peak - baseline) / MIB


def _reset_cuda(device: str) -> float:
    import torch

    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    return float(torch.cuda.memory_allocated(device))


def _reset_resident() -> float | None:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark starts again from here
    except OSError:
        return None
    return _status("VmRSS")


def _status(key: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)
