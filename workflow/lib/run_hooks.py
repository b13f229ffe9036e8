"""What is done before a run plans its jobs, when the first one starts, and when the run ends."""

import errno
import logging
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from kept_outputs import KeptOutputs
from orphans import doubt, mark_unfinished
from places import first_closed
from run_lock import Lock, RefusedError, acquire, peek, redate_the_future
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent


class RunHooks:
    """Keeps runs apart, and what a killed run has left from being taken for results.

    Where the Snakefile is read nobody knows yet whether jobs, a dry run or a list is wanted, and ``onstart`` comes when
    the jobs are planned. Between the two Snakemake logs that it plans: a filter of its log, which hides nothing, is
    called there, with all settings known.
    """

    def __init__(self, workflow: Any, results: str) -> None:
        """Listen for the run, unless this process is one of its jobs.

        Args:
            workflow: Snakemake's.
            results: folder of the results, as it stands in the rules' outputs.
        """
        self._workflow = workflow
        self._results = results
        self._lock: Lock | None = None
        self._planning = False
        self._kept = KeptOutputs(results)
        self._outputs: dict[int, list[str]] = {}
        if workflow.is_main_process:
            logger.addFilter(self._listen)

    def start(self) -> None:
        """Note what the next run must know of this one, before it has jobs."""
        if self._lock is None:
            sys.exit(f"{self._results}: Snakemake has planned without a word; expected 9.27. Nothing was started")
        try:
            self._lock.begin(slurm=self._by_slurm())
            self._keep()
        except OSError as error:
            _refuse(self._results, error)

    def end(self, finished: bool) -> None:
        """Note that no job is left; that Slurm may be ending some if not all have finished."""
        if self._lock is not None:
            self._put_back()
            self._lock.end(finished)

    def _listen(self, record: logging.LogRecord) -> bool:
        runs = self._workflow.executor_plugin is not None and self._workflow.persistence is not None
        if runs and not self._planning:
            self._planning = True
            try:
                self._before_planning()
            except (RefusedError, OSError) as refusal:
                _refuse(self._results, refusal)
        elif getattr(record, "event", None) == LogEvent.JOB_FINISHED:
            self._kept.drop(self._outputs.pop(record.job_id, []))  # type: ignore[attr-defined]
        return True

    def _before_planning(self) -> None:
        if self._workflow.dryrun:
            self._judge(peek(self._results))
            return
        self._lock = acquire(self._results)
        if self._lock.note:
            print(self._lock.note, file=sys.stderr)
        self._put_back()
        self._judge(self._lock.killed)
        self._lock.settle()
        redate_the_future(Path(self._results))
        if self._by_slurm():
            # The executor puts this before the name of its jobs, of which it makes up the rest.
            settings = self._workflow.executor_settings
            settings.jobname_prefix = "-".join(filter(None, [settings.jobname_prefix, self._lock.mark]))

    def _judge(self, killed: float | None) -> None:
        if killed is not None:
            doubt(self._workflow, self._results, killed)

    def _keep(self) -> None:
        dag = self._workflow.dag
        jobs = {dag.jobid(job): job for job in dag.needrun_jobs()}
        if there := first_closed(file for job in jobs.values() for file in job.products()):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))
        self._outputs = {number: [str(output) for output in job.output] for number, job in jobs.items()}
        self._kept.keep(output for outputs in self._outputs.values() for output in outputs)

    def _put_back(self) -> None:
        names = self._kept.put_back(lambda outputs: mark_unfinished(self._workflow, outputs))
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            print(
                f"{names[0]}{more}: what an earlier run made is put back, as the job that was to replace it has not "
                "succeeded; the next run makes it again",
                file=sys.stderr,
            )

    def _by_slurm(self) -> bool:
        return bool(self._workflow.executor_plugin.name == "slurm")


def _refuse(results: str, refusal: RefusedError | OSError) -> NoReturn:
    """End with one line."""
    if isinstance(refusal, OSError):
        where = refusal.filename or results
        why = refusal.strerror or refusal
        sys.exit(
            f"{where}: got {why}, expected a place to write {results} to; make room and leave to write there, or set "
            "results to another folder; nothing was started"
        )
    sys.exit(str(refusal))
