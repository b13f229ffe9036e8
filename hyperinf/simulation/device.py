"""Where the studies compute: the device a user names, and a clock that waits for it."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

from hyperinf.errors import InputError

Result = TypeVar("Result")


def resolve_device(device: str) -> torch.device:
    """The device meant by ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        InputError: another name, or ``cuda`` where there is none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: {device!r} given, one of auto, cpu, cuda expected")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: 'cuda' given, but this machine's torch finds no CUDA device; use auto or cpu")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def limit_threads(threads: int | None) -> int:
    """Let torch use ``threads`` CPU threads (None: leave it as it is); returns how many it now uses."""
    if threads is not None:
        if threads < 1:
            raise InputError(f"threads: {threads} given, a whole number of at least 1 expected")
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def timed(work: Callable[[], Result], device: torch.device) -> tuple[Result, float]:
    """Run ``work`` once and return its result and the seconds it took.

    On CUDA the time lies between two events on the current stream and the device is synchronised before it is read:
    without that only the launch is measured, which is how impossible speeds get published.
    """
    if device.type == "cuda":
        started, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(device)
        started.record()
        result = work()
        ended.record()
        torch.cuda.synchronize(device)
        return result, started.elapsed_time(ended) / 1e3
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin
