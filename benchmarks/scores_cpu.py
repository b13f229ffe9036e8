"""Scores from stored gradients on a CPU, against float32 by hand and the published loops: in turns, in CPU time.

``python -m benchmarks.scores_cpu --columns 384``; the result is added to ``benchmarks/results/scores_cpu.json``
under ``--label``, so that two versions of the code lie side by side.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.gpu.by_hand import BY_HAND
from benchmarks.gpu.loops import LOOPS
from benchmarks.gpu.record import SEED
from benchmarks.gpu.scores import OURS, SIZES, Sizes, drawn, ours
from benchmarks.machine import device_name

RESULT = Path(__file__).parent / "results" / "scores_cpu.json"
PUBLISHED = {"HyperINF, Cholesky": "HyperINF, Schulz"}
"""Whose published loop a method is held against, where it has none."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=384)
    parser.add_argument("--layers", type=int, default=SIZES["full"].layers)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=list(OURS), choices=list(OURS))
    parser.add_argument("--label", default="now", help="which version of the code this is")
    parser.add_argument("--loops", action="store_true", help="time the published loops, too, once")
    parser.add_argument(
        "--scores", type=Path, help="safetensors file that keeps the scores, or whose scores are compared with"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size, device = SIZES["full"], torch.device("cpu")
    shape = {"samples": size.samples, "rank": size.rank, "columns": arguments.columns, "layers": arguments.layers}
    size = type(size)(**{**vars(size), "layers": arguments.layers})
    train = drawn(size, size.samples, arguments.columns, device, SEED)
    target = drawn(size, size.targets, arguments.columns, device, SEED + 1)
    rows, loops = {}, {}
    for method in arguments.methods:
        works = {"by hand": partial(BY_HAND[method], train, target), "ours": partial(ours, method, train, target)}
        row: dict[str, Any] = {work: summary(seconds) for work, seconds in in_turns(works, arguments.repeats).items()}
        row["ratio"] = round(row["ours"]["median"] / row["by hand"]["median"], 3)
        if arguments.loops:
            published = PUBLISHED.get(method, method)
            if published not in loops:
                loops[published] = looped(published, size, train, target)
            row["published loop"] = loops[published]
            row["of the published loop"] = round(row["ours"]["median"] / row["published loop"]["median"], 4)
        found = works["ours"]()
        row["largest difference from by hand"] = difference(works["by hand"](), found)
        if arguments.scores:
            row["largest difference from before"] = against(arguments.scores, f"{method} {shape}", found)
        rows[method] = row
        print(method, json.dumps(row), flush=True)
    keep(arguments, shape, rows)


def looped(published: str, size: Sizes, train: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, float]:
    """Time a published loop once, from as many samples as the sizes say; all are as many times as long."""
    samples = size.looped.get(published, size.samples)
    some = {layer: g[:samples] for layer, g in train.items()}
    seconds = in_turns({"loop": lambda: LOOPS[published](some, target)}, 1)["loop"]
    return summary([each * size.samples / samples for each in seconds])


def in_turns(works: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Time every work once a turn, after one call of each, in seconds of CPU time over the threads."""
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            started = time.process_time()
            work()
            seconds[name].append(time.process_time() - started)
    return seconds


def summary(seconds: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(seconds), 5),
        "low": round(min(seconds), 5),
        "high": round(max(seconds), 5),
    }


def difference(scores: Tensor, others: Tensor) -> float:
    """The largest difference, relative to the largest score."""
    return float((scores.double() - others.double()).abs().max() / others.double().abs().max())


def against(path: Path, key: str, scores: Tensor) -> float | None:
    """Compare with the scores kept under ``key``; keep these where there are none."""
    kept = load_file(path) if path.exists() else {}
    if key in kept:
        return difference(scores, kept[key])
    save_file({**kept, key: scores}, path)
    return None


def keep(arguments: argparse.Namespace, shape: dict[str, int], rows: dict[str, Any]) -> None:
    content = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    run = content.setdefault(arguments.label, {}).setdefault(
        f"d {shape['columns']}, {arguments.threads} threads",
        {
            **shape,
            "threads": arguments.threads,
            "machine": device_name(torch.device("cpu")),
            "torch": torch.__version__,
            "seed": SEED,
        },
    )
    run.setdefault("methods", {}).update(rows)
    RESULT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
