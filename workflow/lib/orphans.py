"""Outputs that nobody saw made.

Snakemake notes the settings of a job in the process that started it, when the job has ended. A job may outlive that
process, above all on another machine, and then takes away the mark by which its output would be known as unfinished.
Without a note, or with that of an earlier run, the next run would take the output for what its own settings give,
whatever they are now.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakemake.io import IOFile

_SLACK = 1.0  # seconds


def doubt(workflow: Any, folder: str, since: float) -> None:
    """Mark outputs that nobody saw made as unfinished, so that the plan makes them again.

    Args:
        workflow: Snakemake's, before it plans.
        folder: of the results, as it stands in the rules' outputs.
        since: when the run began that was killed; what is older is not its.
    """
    mark_unfinished(workflow, [out for out in _outputs(workflow, folder, since) if not _noted(workflow, IOFile(out))])


def mark_unfinished(workflow: Any, outputs: Iterable[str]) -> None:
    """Let the next plan make outputs again, as those of a job that was killed."""
    # Of a job this takes nothing but the outputs.
    workflow.persistence.started(SimpleNamespace(output=[IOFile(output) for output in outputs]))


def _outputs(workflow: Any, folder: str, since: float) -> Iterator[str]:
    """Files and folders in ``folder`` that are some rule's output and were made after ``since``."""
    patterns = [output for rule in workflow.rules for output in rule.output]
    for path in sorted(Path(folder).rglob("*")):
        name = f"{folder}/{path.relative_to(folder).as_posix()}"
        if any(pattern.match(name) for pattern in patterns) and _date(path) > since - _SLACK:
            yield name


def _noted(workflow: Any, output: Any) -> bool:
    """Whether Snakemake has noted an output as it is now."""
    note = workflow.persistence.metadata(output)
    return bool(note and note.endtime) and _date(Path(output)) <= note.endtime + _SLACK


def _date(path: Path) -> float:
    """A folder has the date of the file that Snakemake puts into it."""
    stamp = path / ".snakemake_timestamp"
    return (stamp if stamp.exists() else path).stat().st_mtime
