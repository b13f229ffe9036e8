"""Where the time of a run goes, by study and rule, from the files that Snakemake writes of each job.

python -m benchmarks.run_time COMMIT=RESULTS ...    # of finished runs of `make run`, the oldest first
python -m benchmarks.run_time --table               # draws docs/run-time.md
"""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.machine import device_name
from hyperinf.artifacts.files import write_json, write_text

RESULT = Path(__file__).parent / "results" / "run_time.json"
PAGE = Path(__file__).parents[1] / "docs" / "run-time.md"
MOST = 14
"""Rows that the table has of its own; the rest is one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="COMMIT=RESULTS")
    parser.add_argument("--table", action="store_true", help="draw docs/run-time.md from what was read")
    given = parser.parse_args()
    if given.table:
        write_text(PAGE, page(json.loads(RESULT.read_text(encoding="utf-8"))))
        return
    runs = dict(run.split("=", 1) for run in given.runs)
    found = [{"commit": commit, "rules": by_rule(Path(folder) / "benchmarks")} for commit, folder in runs.items()]
    write_json(RESULT, {"machine": device_name(torch.device("cpu")), "torch": torch.__version__, "runs": found})


def by_rule(folder: Path) -> dict[str, dict[str, float]]:
    """Add up the jobs' files: ``{"study: rule": {jobs, seconds, cpu_seconds, largest_mib}}``."""
    rows = []
    for file in sorted(folder.rglob("*.tsv")):
        job = pd.read_csv(file, sep="\t").iloc[0]
        what = f"{file.relative_to(folder).parts[0]}: {rule_of(file.relative_to(folder))}"
        rows.append((what, float(job["s"]), float(job["cpu_time"]), float(job["max_rss"])))
    table = pd.DataFrame(rows, columns=["what", "seconds", "cpu_seconds", "largest_mib"])
    sums = table.groupby("what").agg(
        jobs=("seconds", "size"),
        seconds=("seconds", "sum"),
        cpu_seconds=("cpu_seconds", "sum"),
        largest_mib=("largest_mib", "max"),
    )
    return {str(what): {key: round(float(row[key]), 1) for key in sums} for what, row in sums.iterrows()}


def rule_of(file: Path) -> str:
    """Name what a job did by its file: without its seed, epoch, share or size."""
    if file.parts[0] in ("assets", "models", "report"):
        return "all"
    name = re.sub(r"-(epoch-\d+|last)$", "", file.stem)
    if name.startswith("fraction-"):
        return "fine-tune on selections"
    return file.parent.name if re.fullmatch(r"seed-\d+|dim-.*", name) else name


def page(result: Mapping[str, Any]) -> str:
    """Draw the table, Markdown."""
    runs = [run["rules"] for run in result["runs"]]
    last = runs[-1]
    order = sorted(last, key=lambda what: -last[what]["cpu_seconds"])
    shown, rest = order[:MOST], order[MOST:]
    head = [
        "study: what",
        "jobs",
        *(f"CPU s at {run['commit']}" for run in result["runs"]),
        "share",
        "largest process, MiB",
    ]
    lines = [
        "# Where the time of a run goes",
        "",
        "Drawn by `python -m benchmarks.run_time --table` from the files that Snakemake writes of each job of"
        f" `make run` (`results/benchmarks`): {result['machine']}, two cores, torch {result['torch']}, one run of each"
        " commit. The report of a run has the same of itself, as a picture.",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    whole = sum(each["cpu_seconds"] for each in last.values())
    for name, parts in [*((what, [what]) for what in shown), ("all else", rest), ("all", order)]:
        own = [last[part] for part in parts]
        taken = [sum(run.get(part, {"cpu_seconds": 0})["cpu_seconds"] for part in parts) for run in runs]
        cells = [
            name,
            f"{sum(each['jobs'] for each in own):.0f}",
            *(f"{seconds:,.0f}" for seconds in taken),
            f"{taken[-1] / whole:.0%}",
            f"{max(each['largest_mib'] for each in own):,.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
