"""How well each tool's scores predict retraining, and what they took."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.alone import in_a_process
from benchmarks.peers.study import Study
from benchmarks.peers.tools import METHODS
from hyperinf.evaluation.datamodeling import bootstrapped, mean_correlation, predicted, rank_correlations

Array = NDArray[np.float64]


def compare(
    study: Study, tools: list[str], repeats: int, flags: list[str], keep: Path | None
) -> Iterator[dict[str, Any]]:
    """Score by every method, in turns, each in a process of its own; give what is known after each turn.

    The first scores of each are judged.

    Args:
        study: a finished one.
        tools: whose methods are run.
        repeats: times that each is run.
        flags: that open the study again in another process.
        keep: folder for the tables of scores; none is kept when None.
    """
    asked = [(tool, method) for tool in METHODS if tool in tools for method in METHODS[tool]]
    costs: dict[tuple[str, str], list[dict[str, Any]]] = {each: [] for each in asked}
    scores: dict[tuple[str, str], Array] = {}
    for turn in range(repeats):
        for each in asked:
            if any("not run" in cost for cost in costs[each]):
                continue
            cost, values = one(*each, flags, study.seed)
            print(turn, *each, cost, flush=True)
            costs[each].append(cost)
            if values is not None:
                scores.setdefault(each, values)
        if keep is not None:
            write_scores(keep, scores)
        judged = {target: judge(study, scores, target) for target in ("query", "mean")}
        rows = [row(each, costs[each], {name: judged[name].get(each) for name in judged}) for each in asked]
        subsets, samples = study.bank.subsets.shape
        sizes = {"samples": samples, "subsets": subsets, "targets": study.bank.losses.shape[1]}
        yield {**sizes, "repeats": turn + 1, "methods": rows}


def write_scores(folder: Path, scores: dict[tuple[str, str], Array]) -> None:
    """Keep the scores, a table a method: samples and target samples in the order of the retrainings."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Any] = {": ".join(each): values for each, values in scores.items()}
    np.savez_compressed(folder / "scores.npz", **tables)


def one(tool: str, method: str, flags: list[str], seed: int) -> tuple[dict[str, Any], Array | None]:
    """Score by one method in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        asked = ["score-alone", *flags, "--tool", tool, "--work", method, "--seed", str(seed)]
        cost = in_a_process(asked, Path(folder))
        if "not run" in cost:
            return cost, None
        values = np.load(Path(folder) / "scores.npy")
    bad = int((~np.isfinite(values)).sum())
    return (cost, values) if not bad else ({"not run": f"{bad:,} of {values.size:,} scores are not finite"}, None)


def judge(study: Study, scores: dict[tuple[str, str], Array], target: str) -> dict[tuple[str, str], dict[str, float]]:
    """Take the linear datamodeling score of each, on each target sample or on their mean, on the same draws."""
    bank, whole = study.bank, target == "mean"
    actual = bank.losses.mean(axis=1, keepdims=True) if whole else bank.losses
    known = {
        str(each): predicted(bank.subsets, values.mean(axis=1, keepdims=True) if whole else values)
        for each, values in scores.items()
    }
    spans = bootstrapped(known, actual, 300, study.seed)
    return {
        each: {
            "lds": round(mean_correlation(rank_correlations(known[str(each)], actual)), 4),
            "low": round(spans[str(each)][0], 4),
            "high": round(spans[str(each)][1], 4),
        }
        for each in scores
    }


def row(
    each: tuple[str, str], costs: list[dict[str, Any]], judged: dict[str, dict[str, float] | None]
) -> dict[str, Any]:
    """Put together what is known of a method."""
    tool, method = each
    failed = [cost["not run"] for cost in costs if "not run" in cost]
    if failed:
        return {"tool": tool, "method": method, "not run": failed[0]}
    found: dict[str, Any] = {"tool": tool, "method": method}
    for name in ("cpu_seconds", "seconds", "peak_mib"):
        values = [cost[name] for cost in costs if cost[name] is not None]
        if values:
            found[name] = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {**found, **{f"lds_{target}": values for target, values in judged.items()}}
