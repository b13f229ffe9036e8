"""GPUs that a run asks for and that are not there, said before the first job."""

import os
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hyperinf.runtime.gpus import LOCKS

_COUNT = "import torch; print(torch.cuda.device_count())"


def unfit_devices(workflow: Any, device: str, processes: int) -> Iterator[str]:
    """Write a line where the jobs that are planned could not have the GPUs that they ask for.

    Args:
        workflow: Snakemake's, with its jobs planned.
        device: of the experiment.
        processes: those that a launcher starts on a machine.
    """
    asks = any(job.resources.get("gpu") for job in workflow.dag.needrun_jobs())
    if not asks or not device.startswith("cuda"):
        return
    if not workflow.local_exec:
        if ":" in device:
            yield f"device: got {device!r}, expected cuda: a cluster gives each job its own GPU, as number 0"
        return
    count = count_gpus()
    index = int(device.partition(":")[2] or 0)
    limit = workflow.global_resources.get("gpu")
    if count == 0:
        yield f"device: got {device!r}, expected auto or cpu: PyTorch finds no GPU here"
    elif index >= count:
        yield f"device: got {device!r}, expected a number below {count}, or cuda"
    elif ":" in device and limit is not None and limit.value > 1:
        yield f"device: got {device!r} beside --resources gpu={limit.value}, expected cuda: each job gets its own GPU"
    elif processes > count:
        yield f"launcher: got {processes} processes on this machine, expected at most {count}, one for each GPU"


def share_gpus() -> None:
    """Let the jobs of this machine and user take a GPU each."""
    os.environ[LOCKS] = str(Path(tempfile.gettempdir(), f"hyperinf-gpus-{os.getuid()}"))


def count_gpus() -> int:
    """Ask PyTorch, in a process of its own as that is not needed here otherwise."""
    # A list of words, no shell.
    done = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, check=False)  # nosec B603
    return int(done.stdout) if done.returncode == 0 else 0
