"""One run at a time in a results folder, and nothing left over from a run that was killed.

Snakemake's own lock survives a ``kill -9`` and must then be removed by hand, so the profiles switch it off and the
workflow holds a lock of the kernel's instead: whatever ends the run releases it. Over NFS it holds on all machines.

Jobs that outlive a killed run are ended before the next run starts any of its own. On this machine they are found by a
mark in their environment, and in Slurm, wherever they wait or run, by the name that the lock file keeps.
"""

import errno
import fcntl
import json
import os
import signal
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from slurm_jobs import LeftoverError, cancel_jobs

MARK = "HYPERINF_RUN"
_SKEW = 10.0  # seconds
_held: list[int] = []


class RunningError(RuntimeError):
    """Another run is at work in the results folder, or jobs of one that was killed are."""


def redate_the_future(folder: Path) -> list[Path]:
    """Date the files that a clock which was set back since has left in the future to now; returns them.

    Snakemake fails a job whose output is older than its input. The clocks of machines that share a file system differ
    by less than ``_SKEW`` and are left alone.
    """
    now = time.time()
    ahead = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mtime > now + _SKEW]
    for path in ahead:
        os.utime(path, (now, now))
    return ahead


@dataclass(frozen=True)
class Before:
    """What the run before has left in the lock.

    Attributes:
        settings: what it was started with, if it did not come to a good end.
        note: what the user should know of it, in one line; mostly empty.
    """

    settings: str | None = None
    note: str = ""


def hold(folder: Path | str) -> Before:
    """Lock ``folder`` until this process ends, and end what a killed run has left.

    Before the jobs are planned: until they have ended, those of the killed run may write files and remove them.

    Args:
        folder: the results folder.

    Raises:
        RunningError: another process holds the lock, or jobs of a killed run cannot be ended.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            owner = _process(_read(handle))
            os.close(handle)
            raise RunningError(f"{folder}: another run ({owner}) is at work here; nothing was started") from None
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        # A file system without locks: the run goes on, unprotected, as any other program would there.
    before = _read(handle)
    try:
        _end_leftovers(folder, before)
    except RunningError:
        os.close(handle)
        raise
    redate_the_future(folder)
    _held.append(handle)
    note = ""
    if "process" in before and before.get("host", socket.gethostname()) != socket.gethostname():
        note = (
            f"{folder}: the last run here ({_process(before)}) was killed; what it may have left on that machine "
            "cannot be ended from this one"
        )
    return Before(_settings(before), note)


def look(folder: Path | str) -> Before:
    """What :func:`hold` would find, without holding or ending anything; nothing while a run is at work."""
    try:
        with (Path(folder) / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return Before(_settings(_read(file.fileno())))
    except OSError:
        return Before()


def run_begins(settings: str, slurm_name: str | None = None) -> None:
    """Note in the lock what the next run must know if this one is killed, and mark the processes to come.

    Args:
        settings: what this run was started with, in a few characters.
        slurm_name: the name of all jobs that it submits to Slurm, if it does.
    """
    mark = uuid.uuid4().hex
    record = {"process": os.getpid(), "host": socket.gethostname(), "mark": mark}
    for handle in _held:
        _write(handle, {**record, "slurm": slurm_name, "settings": settings})
    os.environ[MARK] = mark


def run_ended(finished: bool) -> None:
    """Note that the run held here came to an end by itself, and so has left no process on this machine.

    Args:
        finished: all its jobs have ended; otherwise Slurm may still be ending some of them.
    """
    for handle in _held:
        kept = {name: value for name, value in _read(handle).items() if name in ("slurm", "settings")}
        _write(handle, {} if finished else kept)


def _settings(before: dict[str, object]) -> str | None:
    """None after a good end; a lock from before settings were noted has unknown ones, which are no others' own."""
    return str(before.get("settings", "unknown")) if before else None


def _end_leftovers(folder: Path, before: dict[str, object]) -> None:
    name = before.get("slurm")
    if name:
        try:
            cancel_jobs(str(name))
        except LeftoverError as error:
            raise RunningError(
                f"{folder}: jobs of the last run may be at work in Slurm, and cannot be ended from here ({error}); "
                f"nothing was started. Where Slurm is, `scancel --name {name}`; then delete {folder}/.lock"
            ) from None
    end_marked_processes(str(before.get("mark", "")))


def end_marked_processes(mark: str, patience: float = 10.0) -> list[int]:
    """Kill the processes that a run with this mark has started on this machine.

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


def _process(record: dict[str, object]) -> str:
    return f"process {record.get('process', 'unknown')} on {record.get('host', 'an unknown machine')}"


def _read(handle: int) -> dict[str, object]:
    try:
        record = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _write(handle: int, record: dict[str, object]) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(record).encode(), 0)
