"""In a job array of Slurm, each task answers for its own job.

The executor (2.8) starts every task of an array as the job of the first one, and runs the task's own command from
there. So each task waits for the first one's output, fails when that comes more than ``latency-wait`` after its own,
and removes it, finished or not, when it fails itself:
https://github.com/snakemake/snakemake-executor-plugin-slurm/issues/447
And when the commands of all tasks are too long for a command line, every task runs the first one's.
"""

import base64
import json
import os
import zlib
from collections.abc import Mapping, Sequence

_COMMANDS = "--slurm-jobstep-array-execs="
# The task whose own command this is.
_OWN = "HYPERINF_ARRAY_TASK"
# The executor hides the rest of these from what it starts.
_KEPT = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_ARRAY_", "SLURM_CLUSTER_NAME", "SLURM_SUBMIT_")


class ArrayError(RuntimeError):
    """A task of an array does not know its job."""


def take_over(arguments: Sequence[str], variables: Mapping[str, str]) -> None:
    """Become the task's own command, in a task of an array that is not its first; return anywhere else.

    Args:
        arguments: of this process, Snakemake's.
        variables: of its environment.

    Raises:
        ArrayError: the executor has handed on no command for this task.
    """
    task = variables.get("SLURM_ARRAY_TASK_ID")
    first = task == variables.get("SLURM_ARRAY_TASK_MIN")
    if "slurm-jobstep" not in arguments or first or variables.get(_OWN) == task:
        return
    handed_on = [word.removeprefix(_COMMANDS) for word in arguments if word.startswith(_COMMANDS)]
    command = own_command(handed_on[0] if handed_on else "", str(task))
    left = {name: value for name, value in variables.items() if _is_left(name)}
    os.execvpe("sh", ["sh", "-c", command], {**left, _OWN: str(task)})  # nosec B606 B607


def own_command(handed_on: str, task: str) -> str:
    """The command of one task, from all of an array's as the executor hands them on."""
    try:
        commands = json.loads(base64.b64decode(handed_on, validate=True))
        return zlib.decompress(bytes.fromhex(commands[task])).decode()
    except (ValueError, KeyError, TypeError, zlib.error):
        raise ArrayError(
            f"task {task} of a job array has no command of its own; a lower slurm-array-limit in the profile makes the "
            "commands of an array fit on a command line"
        ) from None


def _is_left(name: str) -> bool:
    return name.startswith(_KEPT) or not name.startswith(("SLURM_", "SRUN_", "SBATCH_"))
