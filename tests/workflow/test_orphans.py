"""A run is killed, and one of its jobs ends nevertheless, as on a cluster: whose settings does its output have?"""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from test_run_lock import wait_until
from workspaces import SMOKE, Workspace

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
DAMPING = "mislabel: {damping: 0.2}"
SCORED = {"mislabel_score": 1, "report_mislabel": 1, "report_page": 1}


def scorings(workspace: Workspace) -> list[str]:
    """The damping of each scoring so far."""
    calls = [json.loads(line) for line in (workspace.root / "calls.jsonl").read_text().splitlines()]
    return [next(word for word in call if "--damping" in word) for call in calls if call[:2] == ["mislabel", "score"]]


def kill(workspace: Workspace, overlay: str, command: str, *arguments: str) -> list[str]:
    """Kill a run in its first job with this command; returns the arguments that configured it."""
    (workspace.root / "overlay.yaml").write_text(overlay)
    configured = ["--configfile", SMOKE, "overlay.yaml", "--cores", "2"]
    running = workspace.start(*configured, *arguments, STUB_HANG=command)
    marker = workspace.root / "hanging.pid"
    wait_until(lambda: marker.exists() and marker.read_text())
    running.kill()
    running.wait()
    os.kill(int(marker.read_text()), signal.SIGKILL)
    marker.unlink()
    return configured


def kill_while_scoring(workspace: Workspace, overlay: str) -> None:
    """Kill a run in its scoring, which goes on elsewhere and ends."""
    configured = kill(workspace, overlay, "mislabel score")
    # As the executors of clusters start it.
    job = "mislabel_score:task=sarcasm,model=minilm,rank=8,seed=11"
    elsewhere = ["--mode", "remote", "--target-jobs", job, "--allowed-rules", "mislabel_score"]
    workspace.snakemake(*configured, *elsewhere, "--force", "--ignore-incomplete", "--no-hooks")
    assert (workspace.root / "results/smoke/mislabel/sarcasm/minilm/rank-8/seed-11/scores/metrics.csv").is_file()


@pytest.fixture
def killed(finished: Workspace, tmp_path: Path) -> Workspace:
    """After a finished run one with another damping."""
    workspace = finished.copy(tmp_path / "copy")
    kill_while_scoring(workspace, DAMPING)
    return workspace


def test_what_it_made_with_other_settings_is_made_again(killed: Workspace) -> None:
    before = scorings(killed)
    assert before == ["--damping=0.1", *["--damping=0.2"] * 2]
    assert killed.would_run() == SCORED
    killed.smoke()
    assert scorings(killed) == [*before, "--damping=0.1"]
    assert killed.would_run() == {}


def test_what_it_made_with_the_same_settings_is_made_again_too_and_nothing_else(fresh: Workspace) -> None:
    kill_while_scoring(fresh, DAMPING)
    before = scorings(fresh)
    fresh.smoke(overlay=DAMPING)
    assert scorings(fresh) == [*before, "--damping=0.2"]
    assert fresh.would_run(DAMPING) == {}
    calls = [json.loads(line)[:2] for line in (fresh.root / "calls.jsonl").read_text().splitlines()]
    assert calls.count(["mislabel", "finetune"]) == 1


def test_what_it_made_can_be_taken_as_it_is(fresh: Workspace) -> None:
    kill_while_scoring(fresh, DAMPING)
    fresh.snakemake("--configfile", SMOKE, "overlay.yaml", "--touch")
    left = fresh.would_run(DAMPING)
    assert "mislabel_score" not in left
    assert "report_mislabel" in left


def test_what_was_there_before_it_is_not_taken_for_its_own(finished: Workspace, tmp_path: Path) -> None:
    copied = finished.copy(tmp_path / "copy")
    for file in (copied.root / "results/smoke/mislabel").rglob("*"):
        file.touch()
    (copied.root / "results/smoke/simulation/timing.csv").unlink()
    kill(copied, DAMPING, "simulate timing", "--until", "simulation_timing")
    copied.smoke("--until", "mislabel_score", overlay=DAMPING)
    assert scorings(copied) == ["--damping=0.1", "--damping=0.2"]


def test_results_from_elsewhere_without_notes_are_not_taken_for_a_killed_runs(done: Workspace) -> None:
    shutil.rmtree(done.root / ".snakemake/metadata")
    (done.root / "results/smoke/simulation/timing.csv").unlink()
    kill(done, "{}", "simulate timing", "--until", "simulation_timing")
    assert done.would_run() == {}


def test_what_the_next_run_does_not_plan_is_doubted_by_the_one_after(killed: Workspace) -> None:
    (killed.root / "results/smoke/simulation/timing.csv").unlink()
    killed.smoke("--until", "simulation_timing", overlay=DAMPING)
    assert json.loads((killed.root / "results/smoke/.lock").read_text()) == {}
    assert killed.would_run() == SCORED


def test_a_first_run_that_was_killed_leaves_nothing_that_other_settings_would_take_over(fresh: Workspace) -> None:
    kill_while_scoring(fresh, DAMPING)
    fresh.smoke()
    assert scorings(fresh) == ["--damping=0.2", "--damping=0.2", "--damping=0.1"]
