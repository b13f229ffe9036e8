"""A clock that waits for the device."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


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
