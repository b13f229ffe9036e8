"""The cost of a grid is computed for the jobs that the workflow would run."""

import re
import subprocess
import sys
from collections import Counter

import pytest
from conftest import ROOT, Workspace, job_counts


def table(*arguments: str) -> list[list[str]]:
    """The printed table, cell by cell."""
    command = [sys.executable, "benchmarks/grid_cost.py", *arguments]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("|")]
    assert rows[0][:4] == ["study", "rule", "jobs", "PFLOP"]
    return rows[2:]


@pytest.mark.parametrize("overlay", ["", "workflow/config/paper.yaml"], ids=["default", "paper"])
def test_the_cost_is_that_of_all_jobs_that_would_run(pristine: Workspace, overlay: str) -> None:
    chosen = ["--configfile", overlay] if overlay else []
    *rows, total = table(*chosen)
    jobs: Counter[str] = Counter()
    for row in rows:
        jobs[re.sub(r" \(.*\)", "", row[1])] += int(row[2].replace(",", ""))
    workflow = job_counts(pristine.snakemake("--dry-run", *chosen))
    assert jobs == {rule: workflow[rule] for rule in jobs}
    # What is not counted takes seconds a job; a fine-tuning or a scoring that is left out would be a hole.
    left_out = workflow.keys() - jobs.keys()
    assert not {rule for rule in left_out if rule.endswith(("finetune", "score", "warmup", "convergence", "timing"))}
    assert float(total[4].replace(",", "")) == pytest.approx(
        sum(float(row[4].replace(",", "")) for row in rows), rel=0.02
    )
