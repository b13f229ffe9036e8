"""A clock that waits for the device."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def timed(work: Callable[[], Result], device: torch.device) -> tuple[Result, float]:
    """Run ``work`` once and return its result and the seconds it took.

    On CUDA the time lies between two events on the device's current stream, and the device is synchronised before it is
    read: without that only the launch is measured, which is how impossible speeds get published.
    """
    if device.type == "cuda":
        started, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        # Of this device: the current stream of another one would measure nothing.
        stream = torch.cuda.current_stream(device)
        torch.cuda.synchronize(device)
        started.record(stream)
        result = work()
        ended.record(stream)
        torch.cuda.synchronize(device)
        return result, started.elapsed_time(ended) / 1e3
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin
