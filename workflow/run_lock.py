"""One run at a time in a results folder, and nothing left over from a run that was killed.

Snakemake's own lock survives a ``kill -9`` and must then be removed by hand, so the profiles switch it off and the
workflow holds a lock of the kernel's instead: whatever ends the run releases it. Jobs that outlive a killed run are
found by a mark in their environment and ended before the next run starts any of its own.
"""

import errno
import fcntl
import json
import os
import signal
import time
import uuid
from pathlib import Path

MARK = "HYPERINF_RUN"
_held: list[int] = []


class RunningError(RuntimeError):
    """Another run is at work in the results folder."""


def hold(folder: Path | str) -> None:
    """Lock ``folder`` until this process ends; end what a killed run has left; mark the jobs to come.

    Raises:
        RunningError: another process holds the lock.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            owner = _read(handle).get("process", "unknown")
            os.close(handle)
            raise RunningError(
                f"{folder}: another run (process {owner}) is at work here; nothing was started"
            ) from None
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        # A file system without locks: the run goes on, unprotected, as any other program would there.
    end_marked_processes(str(_read(handle).get("mark", "")))
    mark = uuid.uuid4().hex
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"process": os.getpid(), "mark": mark}).encode(), 0)
    os.environ[MARK] = mark
    _held.append(handle)


def end_marked_processes(mark: str, patience: float = 10.0) -> list[int]:
    """Kill the processes that a run with this mark has started.

    Args:
        mark: what the run wrote into its lock; nothing happens when it is empty.
        patience: seconds to wait until they are gone.

    Returns:
        Their process ids.
    """
    killed = _marked(mark) if mark else []
    for process in killed:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    until = time.monotonic() + patience
    while killed and _marked(mark) and time.monotonic() < until:
        time.sleep(0.05)
    return killed


def _marked(mark: str) -> list[int]:
    """Ids of other running processes whose environment carries the mark; none where there is no ``/proc``."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or is someone else's
        if wanted in environment.split(b"\0") and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def _read(handle: int) -> dict[str, object]:
    try:
        record = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
