"""Seconds of taking per-sample gradients, all works in turns in one process; memory in a process each."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers.alone import in_a_process
from benchmarks.peers.study import Study
from benchmarks.peers.tools import EXTRACTING, opened
from benchmarks.scores_cpu import in_turns, summary

UNIT = "training step"


def compare(study: Study, tools: list[str], rows: int, repeats: int, flags: list[str]) -> dict[str, Any]:
    """Time every tool's extraction of the same batches, as multiples of a training step of them.

    Args:
        study: whose model and training samples are taken.
        tools: whose ways are timed, beside the training step.
        rows: number of headlines.
        repeats: timed sweeps of each, in turns, after one untimed.
        flags: that open the study again in another process.
    """
    works, owner, first, failed = gathered(study, tools, rows)
    timed = {name: summary(seconds) for name, seconds in in_turns(works, repeats).items()}
    found: list[dict[str, Any]] = []
    for name, seconds in timed.items():
        row = {"tool": owner[name], "work": name, "cpu_seconds": seconds, "first_sweep": round(first[name], 3)}
        row["training_steps"] = round(seconds["median"] / timed[UNIT]["median"], 3)
        row["peak_mib"] = alone(owner[name], name, rows, flags)
        found.append(row)
    size = len(study.rows("train", rows))
    return {"rows": size, "batch": 32, "repeats": repeats, "works": found, "not run": failed}


def gathered(
    study: Study, tools: list[str], rows: int
) -> tuple[dict[str, Callable[[], None]], dict[str, str], dict[str, float], dict[str, str]]:
    """Make every work that runs, with its tool and the seconds of its first sweep; say why others do not."""
    works: dict[str, Callable[[], None]] = {}
    owner: dict[str, str] = {}
    first: dict[str, float] = {}
    failed: dict[str, str] = {}
    for tool in [each for each in EXTRACTING if each in tools or each == "torch"]:
        try:
            made = opened(tool).extraction(study.model(), study.rows("train", rows))
            seconds = {name: timed_once(work) for name, work in made.items()}
        except Exception as error:
            failed[tool] = said(error)
            continue
        works |= made
        first |= seconds
        owner |= dict.fromkeys(made, tool)
    return works, owner, first, failed


def said(error: BaseException) -> str:
    """Say an error in a line."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def timed_once(work: Callable[[], None]) -> float:
    """Time a work once, with all that it does in its first sweep only."""
    started = time.process_time()
    work()
    return time.process_time() - started


def alone(tool: str, work: str, rows: int, flags: list[str]) -> float | None:
    """Find the peak of a work's memory in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        found = in_a_process(
            ["extract-alone", *flags, "--tool", tool, "--work", work, "--rows", str(rows)], Path(folder)
        )
    return found.get("peak_mib")
