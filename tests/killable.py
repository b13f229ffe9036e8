"""Commands in processes of their own, which a test may kill: forks of one that has imported what is slow to import."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
# Nothing of hyperinf, and nothing that computes: a fork of a process whose libraries have started threads may hang.
_FORKS.set_forkserver_preload(
    ["torch", "transformers.modeling_utils", "transformers.models.auto", "peft", "pandas", "pyarrow.parquet",
     "datasets", "scipy.stats", "sklearn.metrics", "pydantic", "yaml"]
)  # fmt: skip


def start(run: Callable[..., Any], *arguments: object) -> ForkServerProcess:
    """Start a function of a module, such as ``hyperinf.cli.main``; what it returns, if a number, is the exit code."""
    return _started(run, arguments)


def killed_once_there(files: tuple[Path, str], run: Callable[..., Any], *arguments: object, number: int = 1) -> bool:
    """Run a function that is killed as soon as a folder has so many files of a pattern; says whether it came to that.

    The process kills itself, as ``kill -9`` would, before the next file that it opens or renames: a watcher beside it
    may look away for longer than the rest takes.
    """
    process = _started(_killed, (files, number, run, arguments))
    process.join()
    return process.exitcode == -signal.SIGKILL


def _started(run: Callable[..., Any], arguments: tuple[object, ...]) -> ForkServerProcess:
    process = _FORKS.Process(target=_quietly, args=(run, arguments), daemon=True)
    process.start()
    return process


def _killed(files: tuple[Path, str], number: int, run: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    folder, pattern = files

    def look(event: str, _: object) -> None:
        if event in ("open", "os.rename") and len(list(folder.glob(pattern))) >= number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    return run(*arguments)


def _quietly(run: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    with Path(os.devnull).open("w") as nowhere:
        for descriptor in (1, 2):
            os.dup2(nowhere.fileno(), descriptor)
    code = run(*arguments)
    raise SystemExit(code if isinstance(code, int) else 0)
