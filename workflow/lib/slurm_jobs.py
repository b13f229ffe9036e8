"""Cancel the Slurm jobs that a killed run has left, before the next run submits the same ones again.

Slurm knows nothing of the process that submitted a job: it goes on when that one is killed, and would write the files
that the next run's job writes. The names of all jobs of a run have its mark in them.
"""

import subprocess  # nosec B404
import time


class SlurmError(RuntimeError):
    """Slurm does not answer, or has not done what it was told."""


def cancel_jobs(mark: str, patience: float = 120.0) -> list[str]:
    """Cancel the jobs with this mark in their names and wait until they have ended.

    Args:
        mark: what the names of all jobs of the run have in them, and those of no other run.
        patience: seconds to wait; Slurm kills what does not end by itself after its ``KillWait``, 30 s by default.

    Returns:
        Their ids, as ``squeue`` writes them.

    Raises:
        SlurmError: Slurm does not answer, or jobs are still there after that time.
    """
    cancelled = left = _listed(mark)
    if left:
        slurm("scancel", *left)
    until = time.monotonic() + patience
    while left := _listed(mark):
        if time.monotonic() > until:
            raise SlurmError(f"{', '.join(left)} cancelled {patience:.0f} s ago and not ended yet")
        time.sleep(0.5)
    return cancelled


def _listed(mark: str) -> list[str]:
    """Jobs that wait, run or are being ended."""
    lines = slurm("squeue", "--me", "--noheader", "--format=%i %j").splitlines()
    return [number for number, _, name in (line.partition(" ") for line in lines) if mark in name]


def slurm(*command: str) -> str:
    """Run a command of Slurm and return what it prints.

    Raises:
        SlurmError: it is not there, does not answer, or fails.
    """
    try:
        # A list of words, no shell.
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # nosec B603
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise SlurmError(str(error)) from None
    if done.returncode:
        raise SlurmError((done.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1])
    return done.stdout
