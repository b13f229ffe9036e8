"""How many jobs of a run are done and how much time is left, from the times of jobs of the same rules."""

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

FILE = Path(".snakemake/hyperinf-times.json")
_EVERY = 15.0  # seconds between two lines
_WEIGHT_OF_BEFORE = 1  # jobs that what is known of a rule from earlier runs counts for


class TimeLeft:
    """The jobs of a run, as they start and finish.

    Args:
        rules: of the jobs that are planned, the name of the rule by the number of the job.
        before: seconds of a job by rule, in earlier runs.
        clock: seconds.
    """

    def __init__(
        self, rules: Mapping[int, str], before: Mapping[str, float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rules, self._before, self._clock = rules, before, clock
        self._began = clock()
        self._started: dict[int, float] = {}
        self._took: dict[int, float] = {}
        self._said = self._began

    def start(self, jobs: Iterable[int]) -> None:
        """Note that jobs start."""
        self._started.update(dict.fromkeys(jobs, self._clock()))

    def finish(self, job: int) -> str | None:
        """Note that a job has finished, and write where the run stands, unless that was said just now."""
        now = self._clock()
        self._took[job] = now - self._started.get(job, now)
        if now - self._said < _EVERY or len(self._took) >= len(self._rules):
            return None
        self._said = now
        seconds, unknown = self.left()
        known = f"about {told(seconds)} left" if seconds else "time left not known yet"
        more = f", and jobs of {unknown} rules of which nothing is known yet" if seconds and unknown else ""
        return f"{len(self._took)} of {len(self._rules)} jobs done, {known}{more}"

    def seconds(self) -> dict[str, float]:
        """Tell how long a job of each rule takes: of this run's jobs and, as one more, of earlier runs."""
        total: defaultdict[str, float] = defaultdict(float)
        count = Counter[str]()
        for job, took in self._took.items():
            total[self._rules[job]] += took
            count[self._rules[job]] += 1
        for rule, took in self._before.items():
            total[rule] += _WEIGHT_OF_BEFORE * took
            count[rule] += _WEIGHT_OF_BEFORE
        return {rule: total[rule] / count[rule] for rule in total}

    def left(self) -> tuple[float, int]:
        """Estimate the seconds that are left, and count the rules of which nothing is known."""
        seconds, now = self.seconds(), self._clock()
        unknown = {rule for job, rule in self._rules.items() if job not in self._took and rule not in seconds}
        work = 0.0
        for job, rule in self._rules.items():
            if job not in self._took and rule in seconds:
                done = now - self._started[job] if job in self._started else 0.0
                work += max(seconds[rule] - done, 0.0)
        elapsed = max(now - self._began, 1e-9)
        at_once = sum(self._took.values()) + sum(now - at for job, at in self._started.items() if job not in self._took)
        return work / max(at_once / elapsed, 1.0), len(unknown)


def told(seconds: float) -> str:
    """Write a time to the minute, or to ten seconds below two minutes."""
    if seconds < 120:
        return f"{max(10, 10 * math.ceil(seconds / 10))} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def read_seconds(file: Path = FILE) -> dict[str, float]:
    """Read what earlier runs took; nothing where that cannot be read: it decides no result."""
    with suppress(AttributeError, OSError, TypeError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(rule): float(took) for rule, took in found.items() if 0 <= float(took) < math.inf}
    return {}


def write_seconds(seconds: Mapping[str, float], file: Path = FILE) -> None:
    """Write what this run took, for the next one."""
    with suppress(OSError):
        file.write_text(json.dumps({rule: round(took, 2) for rule, took in sorted(seconds.items())}), encoding="utf-8")
