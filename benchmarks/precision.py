"""What ``dtype: bfloat16`` changes of a run on a CPU: time, memory, scores, what they find, and the model's accuracy.

    python -m benchmarks.precision RESULTS

RESULTS is the folder of a finished ``make run`` in the present folder. Its fine-tunings are run again in each dtype,
with the seeds that they have there, and scored by HyperINF and TracIN at the last checkpoint: every step as a command
of its own, the dtypes by turns, the first one another for every other seed. What is compared was chosen before any
was run. The result is ``results/precision_cpu.json``; ``python -m benchmarks.cpu_table`` draws it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers
import yaml

from benchmarks.machine import device_name
from hyperinf.artifacts.files import write_json

RESULT = Path(__file__).parent / "results" / "precision_cpu.json"
DTYPES = ("float32", "bfloat16")
METHODS = ("hyperinf", "tracin")
CELLS = {
    "mislabel/sarcasm/minilm/lora-8": ("MiniLM, LoRA of rank 8", "epoch-5"),
    "llm/headlines/smollm2_8/lora-8": ("SmolLM2 cut to 8 layers, LoRA of rank 8", "last"),
}
"""Fine-tunings of the default run, and their last checkpoints."""
SEEDS = (11, 12, 13)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, metavar="RESULTS")
    results = parser.parse_args().results
    rows = []
    for cell, (name, checkpoint) in CELLS.items():
        runs = [row for seed in SEEDS for row in both(results / cell / f"seed-{seed}", checkpoint, seed)]
        rows.append({"model": name, **summary(runs), "runs": runs})
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "runs"}, indent=1), flush=True)
    about = {"machine": device_name(torch.device("cpu")), "torch": torch.__version__, "threads": 1, "seeds": SEEDS}
    about["bfloat16 instructions"] = "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    write_json(RESULT, {**about, "transformers": transformers.__version__, "rows": rows})


def both(run: Path, checkpoint: str, seed: int) -> list[dict[str, Any]]:
    """Fine-tune and score in each dtype, and compare the scores."""
    rows, scores = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for dtype in DTYPES if seed % 2 else DTYPES[::-1]:
            row, scores[dtype] = one(run, checkpoint, dtype, Path(folder) / dtype)
            rows.append({"seed": seed, "dtype": dtype, **row})
    agreement = {
        method: float(
            scores["float32"][f"influence_{method}"].corr(scores["bfloat16"][f"influence_{method}"], "spearman")
        )
        for method in METHODS
    }
    return [{**row, "rank correlation": agreement} for row in rows]


def one(run: Path, checkpoint: str, dtype: str, out: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Fine-tune, score and detect as the run has it, but for the dtype and the methods."""
    finetune = {**read(run / "finetuned"), "dtype": dtype, "out": f"{out}/finetuned", "state": f"{out}/state"}
    place = {"finetuned": f"{out}/finetuned", "out": f"{out}/scores"}
    score = {**read(run / "scores" / checkpoint), **place, "methods": METHODS, "baselines": []}
    detect = {"finetuned": f"{out}/finetuned", "scores": [f"{out}/scores"], "out": f"{out}/detection"}
    costs = {name: command(name, settings, out) for name, settings in (("finetune", finetune), ("score", score))}
    command("detect", detect, out)
    metrics = pd.read_csv(out / "detection" / "metrics.csv").set_index(["method", "metric"])["value"]
    found = {
        "accuracy": metrics["model", "accuracy"],
        **{f"{name} ROC AUC": metrics[name, "roc_auc"] for name in METHODS},
    }
    table = pd.read_parquet(out / "scores" / "scores.parquet").set_index("sample_id")
    return {"costs": costs, **{key: float(value) for key, value in found.items()}}, table


def read(folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))
    return {key: value for key, value in settings.items() if value is not None}


def command(name: str, settings: Mapping[str, Any], out: Path) -> dict[str, float]:
    """Run a stage in a process of its own, and tell its CPU seconds, its seconds and its peak memory."""
    file = out / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "hyperinf", name, "--config", str(file)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name}: got the exit status {status}, expected 0")
    seconds = time.perf_counter() - started
    return {"cpu": usage.ru_utime + usage.ru_stime, "seconds": seconds, "peak_mib": usage.ru_maxrss / 1024}


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give medians over the seeds, and ratios of bfloat16 to float32 seed by seed, with their range."""
    of = {dtype: [run for run in runs if run["dtype"] == dtype] for dtype in DTYPES}
    found: dict[str, Any] = {}
    for what in ("accuracy", *(f"{method} ROC AUC" for method in METHODS)):
        found[what] = {dtype: spread([run[what] for run in of[dtype]]) for dtype in DTYPES}
    for stage in ("finetune", "score"):
        for cost in ("cpu", "peak_mib"):
            pairs = zip(*([run["costs"][stage][cost] for run in of[dtype]] for dtype in DTYPES), strict=True)
            found[f"{stage}, {cost}"] = {
                **{dtype: spread([run["costs"][stage][cost] for run in of[dtype]]) for dtype in DTYPES},
                "ratio": spread([narrow / wide for wide, narrow in pairs]),
            }
    for method in METHODS:
        found[f"{method}, rank correlation"] = spread([run["rank correlation"][method] for run in of["float32"]])
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


if __name__ == "__main__":
    main()
