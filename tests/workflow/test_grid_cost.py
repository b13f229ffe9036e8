"""The cost of a grid is computed for the jobs that the workflow would run."""

import re
import subprocess
import sys
from collections import Counter

import hub_sets
import pytest
from workspaces import ROOT, Workspace, job_counts

PAGE = ROOT / "docs" / "paper-grid.md"
PAPER = ("workflow/config/paper.yaml", "workflow/config/paper_vlm.yaml")


def table(*arguments: str) -> list[list[str]]:
    """The printed table, cell by cell."""
    command = [sys.executable, "benchmarks/grid_cost.py", *arguments]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("|")]
    assert rows[0][:4] == ["study", "rule", "jobs", "PFLOP"]
    return rows[2:]


PUBLISHED = ("simulation", "mislabel", "llm", "vlm")


@pytest.mark.parametrize(
    ("overlays", "studies"),
    [((), (*PUBLISHED, "vlm_parts", "validation")), (PAPER, PUBLISHED)],
    ids=["default", "paper"],
)
def test_the_cost_is_that_of_all_jobs_that_would_run(
    fresh: Workspace, overlays: tuple[str, ...], studies: tuple[str, ...]
) -> None:
    chosen = ["--configfile", *overlays] if overlays else []
    hub_sets.write_llava_data(fresh.root / "data")
    # For a cost nothing has to be there: the last overlay only says that the files of the VLM study are.
    *rows, total = table(*chosen[:2], "--studies", *studies)
    jobs: Counter[str] = Counter()
    for row in rows:
        jobs[re.sub(r" \(.*\)", "", row[1])] += int(row[2].replace(",", ""))
    workflow = job_counts(fresh.snakemake("--dry-run", *chosen))
    assert jobs == {rule: workflow[rule] for rule in jobs}
    # What is not counted takes seconds a job; a fine-tuning or a scoring that is left out would be a hole.
    left_out = workflow.keys() - jobs.keys()
    assert not {
        rule
        for rule in left_out
        if rule.endswith(("finetune", "score", "select", "retrain", "validate", "convergence", "timing"))
    }
    assert float(total[4].replace(",", "")) == pytest.approx(
        sum(float(row[4].replace(",", "")) for row in rows), rel=0.02
    )


def test_the_page_shows_what_the_command_prints() -> None:
    shown = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("|")]
    begin = next(place for place, row in enumerate(shown) if row[:2] == ["study", "rule"])
    printed = table("--configfile", PAPER[0], "--studies", *PUBLISHED)
    assert shown[begin + 2 : begin + 2 + len(printed)] == printed
