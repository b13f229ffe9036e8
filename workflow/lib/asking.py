"""What jobs ask for: more memory and time with each attempt, and never more than any partition gives."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

# What grows with each attempt, and the limit of a partition that it stays within.
_GROWING = {"mem_mb": "max_mem_mb", "runtime": "max_runtime"}


class Asking:
    """What the rules ask of the place they run at.

    Attributes:
        partitions: those of a cluster that are known (:mod:`partitions`); none on one machine.
    """

    def __init__(self) -> None:
        self.partitions: Sequence[Any] = ()

    def __call__(self, mem_mb: Any, runtime: Any, gpu: int) -> dict[str, Any]:
        """Name the resources of a rule, as Snakemake takes them.

        Args:
            mem_mb: memory of the first attempt in MB, or what gives it for the wildcards; as much again for each
                further one.
            runtime: minutes, in the same way.
            gpu: number of GPUs.
        """

        def grown(name: str) -> Callable[..., int]:
            def amount(wildcards: Any, attempt: int, threads: int) -> int:
                asked = {"mem_mb": mem_mb, "runtime": runtime}
                first = {key: value(wildcards) if callable(value) else value for key, value in asked.items()}
                return self._within({**first, "gpu": gpu}, attempt, threads)[name]

            return amount

        return {**{name: grown(name) for name in _GROWING}, "gpu": gpu}

    def _within(self, first: Mapping[str, int], attempt: int, threads: int) -> dict[str, int]:
        """The request of an attempt; where partitions are known, the largest that one which takes the first gives."""
        wanted = {name: first[name] * attempt for name in _GROWING}
        given = [
            {name: int(min(wanted[name], getattr(each.limits, limit))) for name, limit in _GROWING.items()}
            for each in self.partitions
            if fits(first, threads, [each])
        ]
        return max(given, key=lambda each: min(each[name] / wanted[name] for name in _GROWING), default=wanted)


def fits(resources: Mapping[str, Any], threads: int, partitions: Iterable[Any]) -> bool:
    """Whether one of the partitions takes a job, by the rules of Snakemake's executor, which chooses among them."""
    job = SimpleNamespace(resources=resources, threads=threads)
    return any(each.score_job_fit(job) is not None for each in partitions)
