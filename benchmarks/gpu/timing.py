"""Times of several ways to do one thing: in turns, warmed up, with the spread and the peak memory of each."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from hyperinf.runtime.profiling import metered
from hyperinf.simulation.clock import timed

Work = Callable[[], Any]
LEAST = 3
"""Repeats that are made even where the time is up."""


def compared(
    works: Mapping[str, Work],
    device: torch.device,
    repeats: int,
    until: float,
    slow: Mapping[str, int] | None = None,
) -> dict[str, dict[str, Any]]:
    """Time each of ``works`` once in every turn, A B A B, after calls that warm it up and whose peak memory is taken.

    Args:
        works: by name; each makes its result anew.
        device: where they run.
        repeats: turns, at most.
        until: of ``time.monotonic``, when to stop after the least number of turns.
        slow: ``{name: repeats}`` of those that are warmed up by one call instead of two, and have fewer turns.

    Returns:
        ``{name: {"median", "low", "high" (seconds), "repeats", "peak_mib"}}``, or ``{"error"}`` of one that failed.
    """
    slow = slow or {}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    peaks: dict[str, float | None] = {}
    errors: dict[str, str] = {}
    for name, work in works.items():
        for _ in range(1 if name in slow else 2):
            peaks[name], error = attempted(partial(peak_of, work, device), device)
            if error:
                errors[name] = error
                break
    for turn in range(repeats):
        if turn >= LEAST and time.monotonic() > until:
            break
        for name, work in works.items():
            if name in errors or turn >= slow.get(name, repeats):
                continue
            taken, error = attempted(partial(seconds_of, work, device), device)
            if error:
                errors[name] = error
            else:
                seconds[name].append(taken)
    return {
        name: {"error": errors[name]} if name in errors else {**summary(seconds[name]), "peak_mib": peaks[name]}
        for name in works
    }


def summary(seconds: list[float]) -> dict[str, Any]:
    """The median with the range, in seconds."""
    return {
        "median": statistics.median(seconds),
        "low": min(seconds),
        "high": max(seconds),
        "repeats": len(seconds),
    }


def peak_of(work: Work, device: torch.device) -> float | None:
    """Run ``work``; MiB above what was in use before, its result included."""
    with metered(str(device)) as cost:
        result = work()
    del result
    return cost.peak_memory_mib


def seconds_of(work: Work, device: torch.device) -> float:
    """Run ``work``; the seconds it took, its result given up."""
    return timed(work, device)[1]


def attempted(work: Work, device: torch.device) -> tuple[Any, str]:
    """What ``work`` returns, and an empty string; or None and why there is nothing, the device's memory given back."""
    result, error = None, ""
    try:
        result = work()
    except torch.OutOfMemoryError:
        error = "out of memory"
    except Exception as failure:  # one row that fails must not end a run on a machine that is lent for minutes
        error = f"{type(failure).__name__}: {str(failure).splitlines()[0] if str(failure) else ''}"[:300]
    if error:
        released(device)
    return result, error


def released(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
