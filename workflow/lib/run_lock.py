"""One run at a time in a results folder, and nothing left over from a run that was killed.

Snakemake's own lock survives a ``kill -9`` and must then be removed by hand, so the profiles switch it off and the
workflow holds a lock of the kernel's instead: whatever ends the run releases it. Over NFS it holds on all machines.

Jobs that outlive a killed run are ended before the next run starts any of its own. All carry the run's mark, which the
lock file keeps: in the environment of processes on this machine, and in the names of jobs in Slurm.
"""

import contextlib
import errno
import fcntl
import json
import os
import pwd
import signal
import socket
import stat
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from slurm_jobs import SlurmError, cancel_jobs

MARK = "HYPERINF_RUN"
_SKEW = 10.0  # seconds
_SIZE = 1024  # bytes of the lock file


class RefusedError(RuntimeError):
    """The results folder is not this run's to write: another one is at work there, or it is somebody else's."""


@dataclass(frozen=True)
class Lock:
    """A results folder that is this process's own until it ends.

    Attributes:
        killed: when the run before began, if it did not come to a good end.
        note: what the user should know of it, in one line; mostly empty.
        mark: of what this run starts, and of nothing else.
    """

    handle: int
    killed: float | None
    note: str
    mark: str = field(default_factory=lambda: f"hyperinf-{uuid.uuid4().hex[:16]}")

    def settle(self) -> None:
        """Forget the run before, once what it has left is ended and judged."""
        _write(self.handle, _owner())

    def begin(self, slurm: bool) -> float:
        """Note what the next run must know if this one is killed, and mark the processes to come.

        Args:
            slurm: jobs are submitted to Slurm, under names that have the mark in them.

        Returns:
            When that was, by the clock of the file system.
        """
        os.utime(self.handle)
        # By the clock of the file system, as the dates of the outputs.
        began = os.fstat(self.handle).st_mtime
        _write(self.handle, {**_owner(), "mark": self.mark, "began": began, "slurm": slurm})
        os.environ[MARK] = self.mark
        return began

    def end(self, finished: bool) -> None:
        """Note that this run came to an end by itself, and so has left no process on this machine.

        Args:
            finished: all its jobs have ended; otherwise Slurm may still be ending some of them.
        """
        kept = {name: value for name, value in _read(self.handle).items() if name in ("mark", "began", "slurm")}
        _write(self.handle, {} if finished else kept)


def acquire(folder: Path | str) -> Lock:
    """Lock ``folder`` until this process ends, and end what a killed run has left.

    Before the jobs are planned: until they have ended, those of the killed run may write files and remove them.

    Args:
        folder: the results folder.

    Raises:
        RefusedError: another process holds the lock, it cannot be written, or jobs of a killed run cannot be ended.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    handle = _opened(folder / ".lock")
    try:
        _lock(handle, folder)
        before = _read(handle)
        _end_leftovers(folder, before)
    except BaseException:
        os.close(handle)
        raise
    note = ""
    own = _owner()
    if "mark" in before and any(before.get(name, own[name]) != own[name] for name in ("host", "user")):
        note = (
            f"{folder}: the last run here ({_process(before)}) was killed; what it may have left there cannot be ended "
            "from here"
        )
    return Lock(handle, _began(before), note)


def peek(folder: Path | str) -> float | None:
    """When the run began that was killed, without acquiring or ending anything; None while a run is at work."""
    try:
        with (Path(folder) / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return _began(_read(file.fileno()))
    except OSError:
        return None


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


def _opened(path: Path) -> int:
    """Open the lock file, as writable for the group as its folder: a colleague may go on in shared results."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:
        if not path.exists():
            raise
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(handle, path.parent)
        finally:
            os.close(handle)
        raise RefusedError(
            f"{path}: got a lock of {user_name(path.stat().st_uid)} that no run holds and that cannot be written, "
            f"expected one that can be; remove {path} where the folder is yours to write, or set results to another "
            "folder; nothing was started"
        ) from None
    with contextlib.suppress(PermissionError):  # another user's, who has opened it up
        os.fchmod(handle, stat.S_IMODE(os.fstat(handle).st_mode) | path.parent.stat().st_mode & stat.S_IWGRP)
    return handle


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            owner = _process(_read(handle))
            raise RefusedError(f"{folder}: another run ({owner}) is at work here; nothing was started") from None
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        # A file system without locks: the run goes on, unprotected, as any other program would there.


def _began(before: dict[str, object]) -> float | None:
    """None where no job was left; the beginning of time where the clock was set back since."""
    if "mark" not in before:
        return None
    began = before.get("began", 0.0)
    return began if isinstance(began, float) and began < time.time() + _SKEW else 0.0


def _end_leftovers(folder: Path, before: dict[str, object]) -> None:
    mark = str(before.get("mark", ""))
    if before.get("slurm") and mark:
        try:
            cancel_jobs(mark)
        except SlurmError as error:
            raise RefusedError(
                f"{folder}: jobs of the last run may be at work in Slurm, and cannot be ended from here ({error}); "
                f"nothing was started. Where Slurm is, cancel the jobs with {mark} in their names; then delete "
                f"{folder}/.lock"
            ) from None
    end_marked_processes(mark)


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


def _owner() -> dict[str, object]:
    return {"process": os.getpid(), "host": socket.gethostname(), "user": user_name(os.geteuid())}


def user_name(user: int) -> str:
    """A user's name, or the number where it has none, as in a container."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _process(record: dict[str, object]) -> str:
    own = user_name(os.geteuid())
    of = f" of {record['user']}" if record.get("user", own) != own else ""
    return f"process {record.get('process', 'unknown')}{of} on {record.get('host', 'an unknown machine')}"


def _read(handle: int) -> dict[str, object]:
    try:
        record = json.loads(os.pread(handle, _SIZE, 0) or b"{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _write(handle: int, record: dict[str, object]) -> None:
    """In one go, over what stands there: a kill leaves the one record or the other."""
    os.pwrite(handle, json.dumps(record).ljust(_SIZE).encode(), 0)
