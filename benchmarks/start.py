"""What a job takes before it computes: its imports, against those of the libraries alone.

python -m benchmarks.start

Each in processes of its own, by turns, with their bytecode in place. The result is ``results/start_cpu.json``;
``python -m benchmarks.cpu_table`` draws it.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.machine import device_name
from hyperinf.artifacts.files import write_json

RESULT = Path(__file__).parent / "results" / "start_cpu.json"
REPEATS = 9
MODEL = "from transformers import BertForSequenceClassification"
WORK = {
    "python": "pass",
    "import hyperinf": "import hyperinf",
    "hyperinf --help": "from hyperinf.cli import main; raise SystemExit(main(['--help']))",
    "torch": "import torch",
    "torch, one model of transformers": f"import torch; {MODEL}",
    "torch, one model of transformers, peft": f"import torch; {MODEL}; import peft",
    "the stage detect": "import hyperinf.pipeline.detect",
    "the stage score": "import hyperinf.pipeline.score",
    "the stage finetune": "import hyperinf.pipeline.finetune",
    "the stage finetune, and what it loads with a model": (
        f"import hyperinf.pipeline.finetune; {MODEL}; import peft, hyperinf.models.trainable"
    ),
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in WORK}
    for turn in range(REPEATS + 1):
        for name, code in WORK.items():
            spent = cpu_seconds(code)
            if turn:  # the first one finds its files on the disk
                seconds[name].append(spent)
    rows: list[dict[str, Any]] = [
        {"work": name, "median": statistics.median(found), "low": min(found), "high": max(found)}
        for name, found in seconds.items()
    ]
    print(json.dumps(rows, indent=1))
    about = {"machine": device_name(torch.device("cpu")), "torch": torch.__version__, "repeats": REPEATS}
    write_json(RESULT, {**about, "transformers": transformers.__version__, "rows": rows})


def cpu_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
