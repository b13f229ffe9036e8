"""Every mistake in a configuration is a line of its own, the exit code is 2, and nothing is started."""

import subprocess
import sys
from pathlib import Path

import pytest
from workspaces import SMOKE, Workspace, environment

WRONG = """
devise: cpu
run: [simulation, mislable]
studies:
  mislabel: {scoring: {damping: -1}, adapter: {ranks: [0]}, tasks: [nowhere]}
  llm: {selection: {fractions: [20]}}
"""
PLACES = (
    "devise",
    "run[1]",
    "studies.mislabel.tasks[0]",
    "studies.mislabel.adapter.ranks[0]",
    "studies.mislabel.scoring.damping",
    "studies.llm.selection.fractions[0]",
)
STARTS = {"snakemake": ["-m", "snakemake"], "run.py": ["workflow/run.py"]}


@pytest.mark.parametrize("words", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("further", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_all_mistakes_are_said_at_once_and_nothing_is_started(
    fresh: Workspace, words: list[str], further: list[str]
) -> None:
    (fresh.root / "wrong.yaml").write_text(WRONG)
    before = files(fresh.root)
    command = [sys.executable, *words, "--cores", "1", *further, "--configfile", SMOKE, "wrong.yaml"]
    done = subprocess.run(command, cwd=fresh.root, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if ": got " in line or ": unknown" in line]
    assert sorted(line.partition(": ")[0] for line in lines) == sorted(PLACES)
    assert files(fresh.root) == before


def files(root: Path) -> set[Path]:
    found = (path.relative_to(root) for path in root.rglob("*"))
    return {path for path in found if path.parts[0] != ".snakemake" and "__pycache__" not in path.parts}
