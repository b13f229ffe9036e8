"""One look a second at which jobs could run: Snakemake begins one more series of them whenever a job ends.

Its scheduler looks again a second after every look, in case its rate limit has held jobs back, and at the end of every
job as well. Each of those looks is followed by others, a second apart, until the run ends: after a hundred jobs there
are a hundred looks a second, each at the sizes of all input of the jobs that wait. That took a fifth of a core after
eighty jobs of a run of two hundred on two cores (Snakemake 9.27.1).
"""

import threading
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler


def one_look_at_a_time() -> None:
    """Let Snakemake's scheduler have one look ahead of it, however many it has had."""
    JobScheduler._schedule_reevalutation = _look_later


def _look_later(scheduler: Any, delay: float) -> None:
    """Look again after a delay, in seconds, unless that is to be done already."""
    if getattr(scheduler, "_look_ahead", None) is not None:
        return

    def look() -> None:
        scheduler._look_ahead = None  # before the look itself, which asks for the next one
        scheduler._open_jobs.release()

    scheduler._look_ahead = threading.Timer(delay, look)
    scheduler._look_ahead.daemon = True  # a run that is over does not wait for it
    scheduler._look_ahead.start()
