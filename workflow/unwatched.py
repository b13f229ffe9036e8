"""Outputs that nobody saw made.

Snakemake notes the settings of a job in the process that started it, when the job has ended. Jobs on other machines go
on when that process is killed, and clear the mark by which it would have known them as unfinished. Without a note, or
with that of an earlier run, the next run takes their output for what its own settings give, whatever they are now.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

_SLACK = 1.0  # seconds


def distrust(workflow: Any, folder: str) -> None:
    """Mark outputs that nobody saw made as unfinished, so that the plan makes them again.

    Args:
        workflow: Snakemake's, before it plans.
        folder: of the results, as it stands in the rules' outputs.
    """
    for file in _unseen(workflow, _outputs(workflow, folder)):
        workflow.persistence._mark_incomplete(file, None)


def adopt(workflow: Any) -> None:
    """Note the settings of outputs that the plan of ``workflow`` has taken as they are.

    Only for a plan with the settings of the run that was killed.
    """
    for job in workflow.dag.jobs:
        if not workflow.dag.needrun(job) and _unseen(workflow, job.output):
            workflow.async_run(workflow.persistence.finished(job))


def _outputs(workflow: Any, folder: str) -> list[str]:
    """Files and folders in ``folder`` that are some rule's output."""
    outputs = [output for rule in workflow.rules for output in rule.output]
    names = [f"{folder}/{path.relative_to(folder).as_posix()}" for path in sorted(Path(folder).rglob("*"))]
    return [name for name in names if any(output.match(name) for output in outputs)]


def _unseen(workflow: Any, files: Iterable[object]) -> list[str]:
    """Of these files and folders those that are younger than what is noted of them."""
    names = [str(file) for file in files]
    return [name for name in names if Path(name).exists() and _date(name) > _noted(workflow, name) + _SLACK]


def _noted(workflow: Any, file: str) -> float:
    """The date that Snakemake has noted of an output; 0 without one."""
    # It remembers what it has read, and not that it has written since.
    workflow.persistence._clear_cache()
    note = workflow.persistence._read_record(file)
    workflow.persistence._clear_cache()
    return float(note.endtime) if note and note.endtime else 0.0


def _date(file: str) -> float:
    """A folder has the date of the file that Snakemake puts into it."""
    stamp = Path(file, ".snakemake_timestamp")
    return (stamp if stamp.exists() else Path(file)).stat().st_mtime
