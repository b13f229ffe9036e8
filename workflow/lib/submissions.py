"""Jobs that no partition takes, said before the first one is submitted."""

from collections.abc import Iterator, Sequence
from typing import Any

from asking import fits
from partitions import described

_ASKED = ("mem_mb", "runtime", "gpu")


def unfit_jobs(workflow: Any, partitions: Sequence[Any]) -> Iterator[str]:
    """Write a line for each kind of job that no partition has enough for; the executor would take the default one.

    Args:
        workflow: Snakemake's, with its jobs planned.
        partitions: those that there are; nothing is said where none is known.
    """
    if not partitions:
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    for job in dict.fromkeys(workflow.dag.get_job_group(job) or job for job in jobs):
        account = job.resources.get("slurm_account")
        if account is not None and str(account).lower() in ("none", "null"):
            yield f"slurm_account: got {account!r}, expected an account; leave it out where there is none"
        if not job.resources.get("slurm_partition") and not fits(job.resources, job.threads, partitions):
            asked = [f"{name} {job.resources.get(name)}" for name in _ASKED if job.resources.get(name)]
            there = "; ".join(map(described, partitions))
            name = f"group {job.groupid}" if job.is_group() else f"rule {job.rule.name}"
            yield f"{name}: got threads {job.threads}, {', '.join(asked)}, expected what a partition has: {there}"
