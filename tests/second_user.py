"""Two users of one machine who share a group, as root can play them."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ANNA, BERT, GROUP = 61_001, 61_002, 61_000
needs_two_users = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become two other users, by setpriv"
)


@contextmanager
def shared_folder(mode: int = 0o2775) -> Iterator[Path]:
    """A folder that both may write, below one that they may enter (pytest's own are closed to others)."""
    top = Path(tempfile.mkdtemp(prefix="hyperinf-shared-"))
    try:
        top.chmod(0o755)
        folder = top / "shared"
        folder.mkdir()
        os.chown(folder, 0, GROUP)
        folder.chmod(mode)
        yield folder
    finally:
        shutil.rmtree(top)


def become(user: int, do: Callable[..., object], *arguments: object) -> str:
    """Do something in a fork of this process as another user, with the usual mask: what is new is one's own to write.

    A fork, as the Python that runs the tests may be closed to other users.

    Returns:
        ``ok`` and what it gave, or the name and the line of the error that it ended with.
    """
    "".encode("cp437")  # of names in archives: read while it can be
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(user)
            os.umask(0o022)
            said = f"ok {do(*arguments)}"
        except BaseException as error:
            said = f"{type(error).__name__} {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


def as_user(user: int) -> list[str]:
    """What goes before a command that another user runs, who may read everything: the Python of the tests, too."""
    reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return ["setpriv", "--reuid", str(user), "--regid", str(GROUP), "--clear-groups", *reads]
