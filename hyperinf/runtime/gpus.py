"""A GPU of its own for each job of a machine that has several.

``python -m hyperinf.runtime.gpus COUNT COMMAND ...`` runs a command that several processes share, with so many GPUs.
"""

import fcntl
import os
import re
import shutil
import subprocess  # nosec B404
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hyperinf.errors import InputError
from hyperinf.runtime.process import launched

LOCKS = "HYPERINF_GPU_LOCKS"
"""Environment variable: the folder of the locks that jobs of one machine tell by which GPU is taken."""
_WAIT = 0.5  # seconds
_held: list[int] = []


def visible() -> list[str]:
    """Name the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [each.strip() for each in given.split(",") if each.strip() not in ("", "-1")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    done = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, check=False)  # nosec B603
    return re.findall(r"^GPU (\d+):", done.stdout, re.M)


def take(count: int = 1) -> None:
    """Wait until so many GPUs are free and make them the only ones of this process and of those it starts.

    They are free again when all of these have ended. Nothing happens without ``$HYPERINF_GPU_LOCKS``, or a GPU.

    Raises:
        InputError: there are not so many.
    """
    folder = os.environ.pop(LOCKS, None)
    names = visible() if folder else []
    if not folder or not names:
        return
    if count > len(names):
        raise InputError(f"gpu: got a job of {count} GPUs, expected at most {len(names)}: {', '.join(names)}")
    Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    while (taken := _locked(Path(folder), names, count)) is None:
        time.sleep(_WAIT)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)


def take_for(device: str) -> None:
    """Take a GPU for a job that is to run on ``auto`` or ``cuda``; who names one has it, whoever else does.

    Raises:
        InputError: one GPU is named for several processes.
    """
    if device in ("auto", "cuda"):
        take()
    elif device.startswith("cuda") and launched():
        raise InputError(f"device: got {device!r} for several processes, expected cuda: each has its own")


def _locked(folder: Path, names: Sequence[str], count: int) -> list[str] | None:
    """The first free ones; none of them is kept if they are too few."""
    taken: dict[str, int] = {}
    for name in names:
        if len(taken) == count:
            break
        handle = os.open(folder / re.sub(r"\W", "-", name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        # Whatever this process starts, or becomes, holds the lock as well.
        os.set_inheritable(handle, True)
        taken[name] = handle
    if len(taken) < count:
        for handle in taken.values():
            os.close(handle)
        return None
    _held.extend(taken.values())
    return list(taken)


def main() -> None:
    """Take GPUs and become the command."""
    count, *command = sys.argv[1:]
    try:
        take(int(count))
    except InputError as error:
        sys.exit(f"hyperinf: error: {error}")
    os.execvp(command[0], command)  # nosec B606


if __name__ == "__main__":
    main()
