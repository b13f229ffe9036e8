"""Which failed jobs are tried again, and what is told of those that are not.

Profiles allow retries. What helps against a kill, a preemption or too little memory does not help against an input that
is refused: what has itself said in its log why it ended is not tried again, but for want of memory.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakemake.logging import LogEvent

_REFUSED = re.compile(r"^hyperinf: error: .*", re.M)
# A refusal, before anything is computed, for want of memory that the next attempt asks for.
_TOO_LITTLE = re.compile(r"GiB that are free")
_CRASHED = re.compile(r"^Traceback \(most recent call last\):", re.M)
# In a traceback: the process, or one that it has started, was killed, or had too little memory.
_WORTH_A_RETRY = re.compile(r"SIGKILL|SIGTERM|Signal 9|Signal 15|killed by signal|MemoryError|can't allocate memory")
_TAIL = 100_000  # bytes
_LINES = 6
_SHOWN = 20


class Failures:
    """The failed jobs of a run.

    Args:
        workflow: Snakemake's.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self._said: dict[str, list[str]] = {}
        self.since = 0.0
        """When the run began, by the clock of the file system: an older log is that of another run."""

    def see(self, record: Any) -> None:
        """Look at what Snakemake logs: before it decides whether a job is tried again, it logs that it has failed."""
        if getattr(record, "event", None) != LogEvent.JOB_ERROR:
            return
        dag = self._workflow.dag
        job = next(each for each in dag.jobs if dag.jobid(each) == record.jobid)
        text = "".join(self._text(Path(file)) for file in job.log)
        state = str(record.rule_msg or "").partition("\n")[0].partition("For further")[0].strip()
        self._said[str(next(iter(job.log), job))] = [job.rule.name, *([state] if state else []), *last_words(text)]
        if ended_by_itself(text):
            # A group's jobs are tried again together.
            unit = dag.get_job_group(job) or job
            unit.attempt = unit.restart_times + 1

    def summary(self) -> Iterator[str]:
        """Write what the failed jobs have said last."""
        for log, (rule, *lines) in list(self._said.items())[:_SHOWN]:
            yield f"failed: {rule}, {log}"
            yield from (f"    {line}" for line in lines)
        if len(self._said) > _SHOWN:
            yield f"... and {len(self._said) - _SHOWN} more"

    def _text(self, log: Path) -> str:
        try:
            if log.stat().st_mtime < self.since - 1:
                return ""
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - _TAIL))
                return file.read().decode(errors="replace")
        except OSError:
            return ""


def ended_by_itself(log: str) -> bool:
    """Whether a job's log says why it failed, so that it would fail again."""
    crashed = _CRASHED.search(log)
    refusals = _REFUSED.findall(log)
    if (crashed and _WORTH_A_RETRY.search(log, crashed.end())) or any(map(_TOO_LITTLE.search, refusals)):
        return False
    return bool(crashed or refusals)


def last_words(log: str) -> list[str]:
    """What a log says of an end: the refusals, or else its last lines."""
    lines = [line[:300] for line in log.splitlines() if line.strip()]
    return ([line for line in lines if _REFUSED.match(line)] or lines)[-_LINES:]
