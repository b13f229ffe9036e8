"""Measure how many of the rows that `hyperinf select` keeps are of the target's task; see ``protocol.yaml``.

    python benchmarks/selecting/run.py FOLDER

Goes on after a kill; a wheel of evals that is in ``FOLDER/packages`` already is not fetched again. Writes
``benchmarks/results/selecting.json`` and prints the table.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from scipy.stats import t
from transformers import AutoModel, AutoTokenizer

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "mislabeled"))
from machine import device_name
from tables import member_of

from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.settings.runtime import CacheSettings
from hyperinf.settings.sources import ModelSource

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "selecting.json"
Row = dict[str, Any]


def rows_of(task: str, content: str) -> list[Row]:
    """Read a task's rows as chats without a system message, each once."""
    found: dict[str, Row] = {}
    for line in filter(str.strip, content.splitlines()):
        row = json.loads(line)
        asked = [turn for turn in row["input"] if turn["role"] == "user"]
        answer = row["ideal"] if isinstance(row["ideal"], str) else row["ideal"][0]
        chat = [*asked, {"role": "assistant", "content": answer.strip()}]
        found.setdefault(json.dumps(chat), {"messages": chat, "task": task})
    return list(found.values())


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def make_pool(folder: Path, plan: Row, packages: Path, seed: int) -> None:
    """Write ``pool.jsonl``, in random order, and ``TASK.jsonl`` for each target."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pool: list[Row] = []
    for task, member in plan["tasks"].items():
        content = member_of(packages, plan["package"], f"evals/registry/data/{member}").decode()
        rows = rows_of(task, content)
        drawn = [rows[place] for place in rng.permutation(len(rows))[: plan["pool"] + plan["target"]]]
        pool += drawn[: plan["pool"]]
        write(folder / f"{task}.jsonl", drawn[plan["pool"] :])
    write(folder / "pool.jsonl", [pool[place] for place in rng.permutation(len(pool))])


def select(folder: Path, plan: Row, seed: int) -> float:
    """Run the command, and give the CPU seconds that it took."""
    targets = [str(folder / f"{task}.jsonl") for task in plan["tasks"]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    given = ["--model", plan["model"], *plan["options"], "--seed", str(seed), "--out", str(folder / "kept.jsonl")]
    command = [sys.executable, "-m", "hyperinf", "select", str(folder / "pool.jsonl"), "--target", *targets, *given]
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def text_of(row: Row) -> str:
    """Write a row as one text."""
    return "\n".join(turn["content"] for turn in row["messages"])


@torch.inference_mode()
def states(rows: Sequence[Row]) -> np.ndarray:
    """Take MiniLM's mean state of each row, of unit length, as sentence-transformers does."""
    folder = resolve_model_folder(ModelSource(asset="minilm"), resolve_cache(CacheSettings()), ())
    tokenizer, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    found = []
    for row in rows:
        inputs = tokenizer(text_of(row), truncation=True, max_length=128, return_tensors="pt")
        found.append(encoder(**inputs).last_hidden_state[0].mean(dim=0).numpy())
    unit: np.ndarray = np.array(found) / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def measure(folder: Path, plan: Row, seed: int) -> list[Row]:
    """Count for each target and ranking how many of the kept rows are of the target's task."""
    pool = [json.loads(line) for line in (folder / "pool.jsonl").read_text(encoding="utf-8").splitlines()]
    tasks = np.array([row["task"] for row in pool])
    scores = pd.read_parquet(folder / "kept.scores.parquet").sort_values("row")
    targets = {
        task: list(map(json.loads, (folder / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()))
        for task in plan["tasks"]
    }
    own = states(pool)
    loss = scores["loss"].to_numpy()
    rng = np.random.default_rng([seed, 1])
    found = []
    for task, rows in targets.items():
        aim = states(rows)
        keys = {
            "hyperinf": scores[f"influence_{task}"].to_numpy(),
            "embedding": -own @ aim.mean(axis=0),
            "nearest": -(own @ aim.T).max(axis=1),
            "low loss": loss,
            "high loss": -loss,
            "random": rng.random(len(pool)),
        }
        for ranking, key in keys.items():
            kept = np.argsort(key, kind="stable")[: plan["pool"]]
            found.append({"target": task, "ranking": ranking, "own": int((tasks[kept] == task).sum())})
    return found


def interval(values: Sequence[float]) -> list[float]:
    """Give the mean and the half-width of its 95 % t-interval."""
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return [round(float(np.mean(values)), 2), round(float(half), 2)]


def report(plan: Row, cells: Sequence[Row]) -> None:
    """Write what came of the cells that are there, and print the table."""
    counts = pd.DataFrame([{"seed": cell["seed"], **count} for cell in cells for count in cell["counts"]])
    means = counts.groupby(["ranking", "seed"])["own"].mean()
    result: Row = {"machine": device_name(torch.device("cpu")), "protocol": plan, "cells": list(cells), "means": {}}
    print(f"\n| kept of {plan['pool']} | {' | '.join(plan['tasks'])} | mean | difference to HyperINF |")
    print("| --- " * (3 + len(plan["tasks"])) + "|")
    for ranking in plan["rankings"]:
        mean, apart = interval(means[ranking].tolist()), interval((means[ranking] - means["hyperinf"]).tolist())
        result["means"][ranking] = {"mean": mean, "difference": apart}
        of = counts[counts["ranking"] == ranking].groupby("target")["own"].mean()
        shown = "" if ranking == "hyperinf" else f"{apart[0]:+.1f} ± {apart[1]:.1f}"
        by_task = " | ".join(f"{of[task]:.1f}" for task in plan["tasks"])
        print(f"| {ranking} | {by_task} | {mean[0]:.1f} ± {mean[1]:.1f} | {shown} |")
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main(folder: Path) -> None:
    """Run all cells, and write what came of them after each."""
    plan = yaml.safe_load((HERE / "protocol.yaml").read_text(encoding="utf-8"))
    done = folder / "cells.jsonl"
    cells = [json.loads(line) for line in done.read_text(encoding="utf-8").splitlines()] if done.is_file() else []
    for seed in plan["seeds"]:
        if all(cell["seed"] != seed for cell in cells):
            place = folder / f"seed-{seed}"
            make_pool(place, plan, folder / "packages", seed)
            cells.append({"seed": seed, "cpu_seconds": select(place, plan, seed), "counts": measure(place, plan, seed)})
            with done.open("a", encoding="utf-8") as file:
                file.write(json.dumps(cells[-1]) + "\n")
        report(plan, cells)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
