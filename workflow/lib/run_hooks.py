"""What is done before a run plans its jobs, when the first one starts, and when the run ends."""

import logging
import sys
from pathlib import Path
from typing import Any

from orphans import doubt
from run_lock import Lock, RunningError, acquire, peek, redate_the_future
from snakemake.logging import logger


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
        if workflow.is_main_process:
            logger.addFilter(self._listen)

    def start(self) -> None:
        """Note what the next run must know of this one, before it has jobs."""
        if self._lock is None:
            sys.exit(f"{self._results}: Snakemake has planned without a word; expected 9.27. Nothing was started")
        self._lock.begin(slurm=self._by_slurm())

    def end(self, finished: bool) -> None:
        """Note that no job is left; that Slurm may be ending some if not all have finished."""
        if self._lock is not None:
            self._lock.end(finished)

    def _listen(self, record: logging.LogRecord) -> bool:
        runs = self._workflow.executor_plugin is not None and self._workflow.persistence is not None
        if runs and not self._planning:
            self._planning = True
            self._before_planning()
        return True

    def _before_planning(self) -> None:
        if self._workflow.dryrun:
            self._judge(peek(self._results))
            return
        try:
            self._lock = acquire(self._results)
        except RunningError as refusal:
            sys.exit(str(refusal))
        if self._lock.note:
            print(self._lock.note, file=sys.stderr)
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

    def _by_slurm(self) -> bool:
        return bool(self._workflow.executor_plugin.name == "slurm")
