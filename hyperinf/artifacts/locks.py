"""A lock between processes, of several users too; what it guards must be right without it as well."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from hyperinf.artifacts.files import group_writes


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock file, once no other process does, and say whether it is held.

    It is not on a file system without locks, and where a file of that name is another user's and not to be written:
    then nothing keeps others out.

    Args:
        path: the lock file; it is made as writable for the group as its folder is.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=0o644 | group_writes(path.parent))
    try:
        with warnings.catch_warnings():
            # Where there is no flock, a file that is there or not is the lock, and filelock says so.
            warnings.simplefilter("ignore")
            lock.acquire()
    except (OSError, NotImplementedError):
        if not path.exists():
            raise
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
