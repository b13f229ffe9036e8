"""Commands in processes of their own, which a test may kill: forks of one that has imported what is slow to import."""

import multiprocessing
import os
import time
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
    process = _FORKS.Process(target=_quietly, args=(run, arguments), daemon=True)
    process.start()
    return process


def kill_when(process: ForkServerProcess, reached: Callable[[], object]) -> bool:
    """Kill a process, as ``kill -9`` does, as soon as something is so; says whether it had not ended before."""
    until = time.monotonic() + 600
    while process.is_alive() and not reached() and time.monotonic() < until:
        time.sleep(0.002)
    process.kill()
    process.join()
    return process.exitcode == -9


def _quietly(run: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    with Path(os.devnull).open("w") as nowhere:
        for descriptor in (1, 2):
            os.dup2(nowhere.fileno(), descriptor)
    code = run(*arguments)
    raise SystemExit(code if isinstance(code, int) else 0)
