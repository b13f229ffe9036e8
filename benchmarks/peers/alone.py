"""One work in a process of its own: its seconds, and its memory above what the model and the imports take."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers.study import Study
from benchmarks.peers.tools import opened
from hyperinf.runtime.profiling import metered


def in_a_process(arguments: list[str], folder: Path) -> dict[str, Any]:
    """Run this package with these arguments, and read what it found; or say what went wrong, in its last line."""
    out = folder / "alone.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.peers", *arguments, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode < 0:
        return {"not run": f"killed by signal {-done.returncode}, on a machine of {memory_gib():.0f} GiB"}
    if done.returncode or not out.is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        return {"not run": lines[-1]}
    return json.loads(out.read_text())


def memory_gib() -> float:
    """Tell the memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def score_alone(study: Study, tool: str, method: str, seed: int, folder: Path) -> None:
    """Score by one method, and write what it took; the scores go beside it."""
    work, model = opened(tool).METHODS[method], study.model()
    torch.manual_seed(seed)
    found: dict[str, Any] = {}

    def run() -> None:
        found["scores"] = work(study, model)

    took = measured(run)
    np.save(folder / "scores.npy", found["scores"])
    write(folder, took)


def extract_alone(study: Study, tool: str, work: str, rows: int, folder: Path) -> None:
    """Take the gradients once, and write what it took."""
    works = opened(tool).extraction(study.model(), study.rows("train", rows))
    write(folder, measured(works[work]))


def measured(run: Any) -> dict[str, float | None]:
    """Time a work, and find its memory's peak above what was there before."""
    started = time.process_time()
    with metered("cpu") as cost:
        run()
    peak = None if cost.peak_memory_mib is None else round(cost.peak_memory_mib, 1)
    return {"cpu_seconds": round(time.process_time() - started, 3), "seconds": round(cost.seconds, 3), "peak_mib": peak}


def write(folder: Path, took: dict[str, float | None]) -> None:
    """Write it for the process that waits."""
    (folder / "alone.json").write_text(json.dumps(took))
