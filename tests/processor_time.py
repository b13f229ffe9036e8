"""Limits on processor time. What else the machine does lengthens it, if less than the time on the wall."""

import resource
from collections.abc import Callable


def of_children(run: Callable[[], object]) -> float:
    """Processor time of the processes that it starts and waits for, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def quickest(seconds: Callable[[], float], limit: float, times: int = 8) -> float:
    """Measure until it is below the limit, so many times at most; the least that was found."""
    found = float("inf")
    for _ in range(times):
        found = min(found, seconds())
        if found < limit:
            break
    return found
