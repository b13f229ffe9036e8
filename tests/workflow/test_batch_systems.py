"""The generic profile, and what docs/cluster.md gives for other batch systems, against programs that play these."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from workspaces import ROOT, SMOKE, Workspace, environment

pytest.importorskip("snakemake_executor_plugin_cluster_generic")
COMMANDS = ("qsub", "qstat", "qacct", "qdel", "bsub", "bjobs")
PAGE = (ROOT / "docs/cluster.md").read_text()
THREE_SEEDS = "{run: [mislabel], studies: {mislabel: {seeds: [11, 12, 13]}}}"
QUICK = ("--seconds-between-status-checks", "1", "--latency-wait", "5")


@pytest.fixture
def batch(tmp_path: Path) -> dict[str, str]:
    """The variables of a shell in which the commands of the batch systems are there."""
    folder = tmp_path / "path"
    folder.mkdir()
    for name in COMMANDS:
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent}/batch_system.py {name} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "BATCH_STATE": str(tmp_path / "state")}


def run(workspace: Workspace, overlay: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (workspace.root / "overlay.yaml").write_text(overlay)
    where = ("--workflow-profile", "profiles/generic", *QUICK, "--configfile", SMOKE, "overlay.yaml")
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *where, *words],
        cwd=workspace.root,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def asked(batch: dict[str, str]) -> list[dict[str, object]]:
    files = sorted(Path(batch["BATCH_STATE"]).glob("*.asked"), key=lambda path: int(path.stem))
    return [json.loads(file.read_text()) for file in files]


def test_pbs_runs_what_it_is_given_and_what_it_kills_is_submitted_again_with_more(
    fresh: Workspace, batch: dict[str, str]
) -> None:
    done = run(fresh, THREE_SEEDS, "--until", "finetune", **batch, BATCH_KILLS="finetune", STUB_FAIL="finetune@seed-13")
    assert done.returncode == 1, done.stderr
    log = "results/smoke/logs/mislabel/sarcasm/minilm/lora-8/seed-13/finetune.log"
    assert "hyperinf: error: the stub was told to fail" in done.stderr.partition(f"failed: finetune, {log}\n")[2]
    made = sorted((fresh.root / "results/smoke/mislabel/sarcasm/minilm/lora-8").glob("*/finetuned"))
    assert [folder.parent.name for folder in made] == ["seed-11", "seed-12"]
    memory = [int(re.findall(r"mem=(\d+)mb", str(job["l"]))[0]) for job in asked(batch)]
    assert sorted(memory[-4:]) == [6000, 6000, 6000, 12000], "the killed one again, the refused one not"


def of_the_page(system: str) -> list[str]:
    """Flags that the page gives for a batch system."""
    (submit,) = re.findall(rf"^{system}: +(.+)$", PAGE, re.M)
    (status, cancel) = re.findall(rf"^\| {system.upper()} \| `(.+?)` \| `(.+?)` \|$", PAGE, re.M)[0]
    names = ("submit", "status", "cancel")
    return [
        word
        for name, value in zip(names, (submit, status, cancel))
        for word in (f"--cluster-generic-{name}-cmd", value)
    ]


@pytest.mark.parametrize("system", ["sge", "lsf"])
def test_the_commands_of_another_system_run_a_job_and_notice_one_that_is_killed(
    system: str, fresh: Workspace, batch: dict[str, str]
) -> None:
    words = [*of_the_page(system), "--until", "simulation_fisher", "--retries", "1"]
    done = run(fresh, "{}", *words, **batch, BATCH_KILLS="simulation_fisher")
    assert done.returncode == 0, done.stderr
    assert (fresh.root / "results/smoke/simulation/fisher/summary.csv").is_file()
    assert len(asked(batch)) == 2


def test_a_status_of_no_system_is_refused() -> None:
    command = ["sh", str(ROOT / "profiles/generic/status.sh"), "torque", "1"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
