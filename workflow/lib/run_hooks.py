"""What is done before a run plans its jobs, when the first one starts, and when the run ends."""

import errno
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from asking import Asking
from failures import Failures
from first_look import unfit_inputs
from gpus import share_gpus, unfit_devices
from jobs import Jobs
from kept_outputs import KeptOutputs
from last_run import note_configuration
from looks import one_look_at_a_time
from orphans import doubt, mark_unfinished
from partitions import read_partitions, unknown, write_partitions
from places import first_closed
from run_lock import Lock, RefusedError, acquire, end_marked_processes, peek, redate_the_future
from snakemake.logging import LogEvent, logger
from snakemake.utils import available_cpu_count
from submissions import unfit_jobs
from targets import mistyped
from time_left import TimeLeft, read_seconds, write_seconds

from hyperinf.errors import InputError
from hyperinf.settings.reporting import RUN_BEGAN


class RunHooks:
    """Keeps runs apart, and what a killed run has left from being taken for results; refuses what a job would refuse.

    Where the Snakefile is read nobody knows yet whether jobs, a dry run or a list is wanted, and ``onstart`` comes when
    the jobs are planned. Between the two Snakemake logs that it plans: a filter of its log, which hides nothing, is
    called there, with all settings known.
    """

    def __init__(self, workflow: Any, jobs: Jobs, asked: Asking) -> None:
        """Listen for the run, unless this process is one of its jobs.

        Args:
            workflow: Snakemake's.
            jobs: of the experiment that is to be run.
            asked: what the rules ask for; is told of the partitions that there are.
        """
        self._workflow = workflow
        self._results = jobs.results
        self._jobs = jobs
        self._asked = asked
        self._failures = Failures(workflow)
        self._lock: Lock | None = None
        self._planning = False
        self._kept = KeptOutputs(self._results)
        self._outputs: dict[int, list[str]] = {}
        self._time_left: TimeLeft | None = None
        if workflow.is_main_process:
            logger.addFilter(self._listen)

    def start(self) -> None:
        """Note what the next run must know of this one, before it has jobs."""
        if self._lock is None:
            sys.exit(f"{self._results}: Snakemake has planned without a word; expected 9.27. Nothing was started")
        self._refuse(unfit_jobs(self._workflow, self._asked.partitions))
        self._refuse(unfit_devices(self._workflow, self._jobs.experiment.device, self._jobs.launched_gpus()))
        self._refuse(unfit_inputs(self._jobs.experiment))
        try:
            self._failures.since = self._lock.begin(slurm=self._by_slurm())
            os.environ[RUN_BEGAN] = str(self._failures.since)
            self._keep()
        except OSError as error:
            _refuse(self._results, error)
        one_look_at_a_time()
        dag = self._workflow.dag
        self._time_left = TimeLeft({dag.jobid(job): job.rule.name for job in dag.needrun_jobs()}, read_seconds())
        if self._workflow.local_exec:
            share_gpus()
            signal.signal(signal.SIGINT, self._interrupted)

    def end(self, finished: bool) -> None:
        """Note that no job is left; that Slurm may be ending some if not all have finished."""
        if self._lock is not None:
            self._put_back()
            self._lock.end(finished)
        if self._time_left is not None:
            write_seconds(self._time_left.seconds())
        page = Path(self._results, "report.html")
        if finished and page.is_file():
            for line in _verdicts(Path(self._results), tuple(self._jobs.experiment.run)):
                print(f"hyperinf: {line}", file=sys.stderr)
            program = Path(sys.executable).with_name("hyperinf")
            print(f"hyperinf: look at {page}", f"hyperinf: next: {program} --help", sep="\n", file=sys.stderr)
        for line in self._failures.summary():
            print(line, file=sys.stderr)

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
            self._tell_time_left(record)
        elif getattr(record, "event", None) == LogEvent.JOB_STARTED and self._time_left is not None:
            self._time_left.start(record.jobs)  # type: ignore[attr-defined]
        self._failures.see(record)
        return True

    def _tell_time_left(self, record: Any) -> None:
        if self._time_left is not None and (line := self._time_left.finish(record.job_id)):
            print(f"hyperinf: {line}", file=sys.stderr)

    def _before_planning(self) -> None:
        self._refuse(mistyped(self._workflow))
        self._count_jobs_as_cores()
        if self._workflow.dryrun:
            self._judge(peek(self._results))
            return
        self._lock = acquire(self._results)
        note_configuration(self._workflow)
        if self._lock.note:
            print(self._lock.note, file=sys.stderr)
        self._put_back()
        self._judge(self._lock.killed)
        self._lock.settle()
        redate_the_future(Path(self._results))
        if self._by_slurm():
            self._prepare_slurm(self._workflow.executor_settings, self._lock.mark)

    def _prepare_slurm(self, settings: Any, mark: str) -> None:
        # The executor puts this before the name of its jobs, of which it makes up the rest.
        settings.jobname_prefix = "-".join(filter(None, [settings.jobname_prefix, mark]))
        if settings.partition_config is not None:
            file = Path(settings.partition_config)
            try:
                self._asked.partitions = read_partitions(file)
            except InputError as error:
                self._refuse([str(error)])
            self._refuse(unknown(self._asked.partitions, file))
            settings.partition_config = Path(self._workflow.persistence.path, "partitions.yaml")
            write_partitions(self._asked.partitions, settings.partition_config)

    def _count_jobs_as_cores(self) -> None:
        """Let ``-j`` mean what it does without a profile: beside cores, Snakemake would forget those on one machine."""
        jobs, cores = self._workflow.nodes, self._workflow.resource_settings.cores
        if self._workflow.local_exec and jobs is not None:
            # All of them are the default profile's; fewer were asked for.
            count = jobs if cores in (None, available_cpu_count()) else min(jobs, cores)
            self._workflow.register_resource("_cores", count)
            self._workflow.register_resource("_nodes", None)

    def _judge(self, killed: float | None) -> None:
        if killed is not None:
            doubt(self._workflow, self._results, killed)

    def _refuse(self, mistakes: Iterable[str]) -> None:
        lines = list(dict.fromkeys(mistakes))
        if lines:
            print("The run cannot be made; nothing was started.", *lines, sep="\n", file=sys.stderr)
            sys.exit(2)

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

    def _interrupted(self, number: int, frame: FrameType | None) -> NoReturn:
        """End the jobs, those too that are just being started, for which Snakemake would wait."""
        assert self._lock is not None
        threading.Thread(target=_end_all, args=(self._lock.mark,), daemon=True).start()
        raise KeyboardInterrupt


def _verdicts(results: Path, studies: tuple[str, ...]) -> list[str]:
    """What the run found on the published claims; nothing where that cannot be read: the run is done all the same."""
    from hyperinf.reporting.verdict_lines import verdict_lines

    with suppress(InputError, OSError, LookupError, ValueError):
        width = shutil.get_terminal_size((110, 24)).columns - len("hyperinf: ")
        return verdict_lines(results, studies, width, colour=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    return []


def _end_all(mark: str) -> NoReturn:
    """Until this process ends itself."""
    while True:
        end_marked_processes(mark)
        time.sleep(0.2)


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
