"""A run is killed, and one of its jobs ends nevertheless, as on a cluster: whose settings does its output have?"""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from test_run_lock import calls, wait_until
from workspaces import SMOKE, Workspace

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
DAMPING = "studies: {mislabel: {scoring: {damping: 0.2}}}"
RUN = "mislabel/sarcasm/minilm/lora-8/seed-11"
SCORED = {"score": 2, "detect": 1, "report_mislabel": 1, "report_page": 1}


def scorings(workspace: Workspace) -> list[float]:
    """The damping of each scoring of the last checkpoint so far."""
    told = calls(workspace, "score", f"{RUN}/scores/epoch-3")
    return [json.loads(call[call.index("--config") + 1])["damping"] for call in told]


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
    configured = kill(workspace, overlay, "score@/epoch-3")
    # As the executors of clusters start it.
    jobs = [
        f"score:study=mislabel,task=sarcasm,model=minilm,setting=lora-8,seed=11,checkpoint=epoch-{epoch}"
        for epoch in (1, 3)
    ]
    elsewhere = ["--mode", "remote", "--target-jobs", *jobs, "--allowed-rules", "score"]
    workspace.snakemake(*configured, *elsewhere, "--force", "--ignore-incomplete", "--no-hooks")
    assert (workspace.root / f"results/smoke/{RUN}/scores/epoch-3/info.json").is_file()


@pytest.fixture
def killed(finished: Workspace, tmp_path: Path) -> Workspace:
    """After a finished run one with another damping."""
    workspace = finished.copy(tmp_path / "copy")
    kill_while_scoring(workspace, DAMPING)
    return workspace


def test_what_it_made_with_other_settings_is_made_again(killed: Workspace) -> None:
    before = scorings(killed)
    assert before == [0.1, 0.2, 0.2]
    assert killed.would_run() == SCORED
    killed.smoke()
    assert scorings(killed) == [*before, 0.1]
    assert killed.would_run() == {}


def test_what_it_made_with_the_same_settings_is_made_again_too_and_nothing_else(fresh: Workspace) -> None:
    kill_while_scoring(fresh, DAMPING)
    before = scorings(fresh)
    fresh.smoke(overlay=DAMPING)
    assert scorings(fresh) == [*before, 0.2]
    assert fresh.would_run(DAMPING) == {}
    assert len(calls(fresh, "finetune", "/mislabel/")) == 1


def test_what_it_made_can_be_taken_as_it_is(fresh: Workspace) -> None:
    alone = f"{{run: [mislabel], {DAMPING}}}"
    kill_while_scoring(fresh, alone)
    fresh.snakemake("--configfile", SMOKE, "overlay.yaml", "--touch")
    left = fresh.would_run(alone)
    assert "score" not in left
    assert "report_mislabel" in left


def test_what_was_there_before_it_is_not_taken_for_its_own(finished: Workspace, tmp_path: Path) -> None:
    copied = finished.copy(tmp_path / "copy")
    for file in (copied.root / "results/smoke/mislabel").rglob("*"):
        file.touch()
    (copied.root / "results/smoke/simulation/timing.csv").unlink()
    kill(copied, DAMPING, "simulate timing", "--until", "simulation_timing")
    copied.smoke("--until", "score", overlay=DAMPING)
    assert scorings(copied) == [0.1, 0.2]


def test_results_from_elsewhere_without_notes_are_not_taken_for_a_killed_runs(done: Workspace) -> None:
    shutil.rmtree(done.root / ".snakemake/metadata")
    (done.root / "results/smoke/simulation/timing.csv").unlink()
    kill(done, "{}", "simulate timing", "--until", "simulation_timing")
    assert done.would_run() == {"simulation_timing": 1, "report_simulation": 1, "report_page": 1}


def test_what_the_next_run_does_not_plan_is_doubted_by_the_one_after(killed: Workspace) -> None:
    (killed.root / "results/smoke/simulation/timing.csv").unlink()
    killed.smoke("--until", "simulation_timing", overlay=DAMPING)
    assert json.loads((killed.root / "results/smoke/.lock").read_text()) == {}
    assert killed.would_run() == SCORED


def test_a_first_run_that_was_killed_leaves_nothing_that_other_settings_would_take_over(fresh: Workspace) -> None:
    kill_while_scoring(fresh, DAMPING)
    fresh.smoke()
    assert scorings(fresh) == [0.2, 0.2, 0.1]
