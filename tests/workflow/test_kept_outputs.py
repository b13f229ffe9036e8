"""What earlier runs have made is lost neither by a job that fails, nor by a kill, nor unnoticed."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from test_run_lock import wait_until
from workspaces import SMOKE, Workspace, files_of

SEED = "results/smoke/mislabel/sarcasm/data/seed-11"
RUN = "results/smoke/mislabel/sarcasm/minilm/lora-8/seed-11"
DAMPED = "studies: {mislabel: {scoring: {damping: 0.2}}}"


def edited(workspace: Workspace) -> None:
    """Another content of prepared data."""
    (workspace.root / SEED / "train.parquet").write_text("a bit flipped")


def failing(workspace: Workspace, command: str, *arguments: str, overlay: str = "{}") -> str:
    (workspace.root / "overlay.yaml").write_text(overlay)
    configured = ("--configfile", SMOKE, "overlay.yaml", "--cores", "2")
    return workspace.snakemake(*configured, *arguments, check=False, STUB_FAIL=command)


def calls(workspace: Workspace) -> list[str]:
    return [json.loads(line)[0] for line in (workspace.root / "calls.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("command", "overlay"),
    [
        ("finetune", "{}"),
        ("score", DAMPED),
        ("select", "studies: {llm: {selection: {training: {max_steps: 16}}}}"),
        ("report page", "studies: {llm: {title: Headlines}}"),
        ("align", "models: {llava_tiny: {align: {max_steps: 61}}}"),
        ("simulate timing", "simulation: {timing: {repeats: 3}}"),
    ],
)
def test_a_job_that_fails_leaves_what_an_earlier_one_made_and_is_made_again(
    done: Workspace, command: str, overlay: str
) -> None:
    if command == "finetune":
        edited(done)
    before = files_of(done)
    needed = done.would_run(overlay)
    printed = failing(done, command, overlay=overlay)
    assert "put back" in printed
    after = files_of(done)
    assert before.keys() - after.keys() == set()
    assert [name for name in before if "/seed-" in name and name not in after] == []
    # It is not taken for what the new settings give.
    rule = {"report page": "report_page", "simulate timing": "simulation_timing"}.get(command, command)
    assert done.would_run(overlay)[rule] == needed[rule]
    done.smoke(overlay=overlay)
    assert done.would_run(overlay) == {}
    assert not (done.root / "results/smoke/.kept").exists()


def test_a_run_that_was_killed_in_a_job_leaves_what_the_job_was_to_replace_to_the_next_run(done: Workspace) -> None:
    adapter = next((done.root / RUN / "finetuned").rglob("adapter_model.safetensors"))
    edited(done)
    running = done.start("--configfile", SMOKE, "--cores", "2", STUB_HANG="finetune")
    marker = done.root / "hanging.pid"
    wait_until(lambda: marker.exists() and marker.read_text())
    assert not adapter.exists()
    running.kill()
    running.wait()
    os.kill(int(marker.read_text()), signal.SIGKILL)
    assert not adapter.exists()
    printed = failing(done, "finetune")
    assert "put back" in printed
    assert adapter.exists()
    assert "finetune" in done.would_run()
    done.smoke()
    assert done.would_run() == {}


def test_what_a_job_makes_is_not_what_was_kept(done: Workspace) -> None:
    scores = done.root / RUN / "scores/epoch-1/scores.parquet"
    scores.write_text("of the old damping")
    printed = failing(done, "detect", overlay=DAMPED)
    assert scores.read_text() == "score\n"
    assert (done.root / RUN / "detection/metrics.csv").exists()
    assert "detection" in printed


def test_folders_without_hard_links_are_copied(done: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "no hard links here")

    edited(done)
    monkeypatch.setattr(os, "link", refused)
    before = files_of(done)
    failing(done, "finetune")
    assert before.keys() - files_of(done).keys() == set()


# What a refusal tells to remove, by the folder or the file that it names, and who makes it again.
REMOVED = {
    SEED: "prepare",
    f"{RUN}/finetuned": "finetune",
    f"{RUN}/scores/epoch-1": "score",
    f"{RUN}/scores/epoch-1/cost.csv": "score",
    f"{RUN}/detection": "detect",
    f"{RUN}/detection/metrics.csv": "detect",
    "results/smoke/models": "prepare_model",
    "results/smoke/aligned/llava_tiny/data": "align_data",
    "results/smoke/aligned/llava_tiny/model": "align",
    "results/smoke/simulation/timing.csv": "simulation_timing",
    "results/smoke/simulation/fisher": "simulation_fisher",
    "results/smoke/simulation/convergence": "simulation_convergence",
    "results/smoke/assets/minilm.json": "asset_record",
    "results/smoke/report.html": "report_page",
    "results/smoke/tables/mislabel_manifest.json": "report_mislabel",
}


@pytest.mark.parametrize("name", REMOVED)
def test_what_was_removed_after_the_run_would_be_made_again(finished: Workspace, tmp_path: Path, name: str) -> None:
    path = finished.root / name
    path.rename(tmp_path / "removed")
    try:
        assert REMOVED[name] in finished.would_run()
    finally:
        (tmp_path / "removed").rename(path)


def test_all_that_was_removed_after_the_run_is_made_again(done: Workspace) -> None:
    before = files_of(done)
    for path in (done.root / name for name in REMOVED):
        if path.is_dir():
            shutil.rmtree(path)
        else:  # it may have gone with a folder
            path.unlink(missing_ok=True)
    done.smoke()
    assert before.keys() - files_of(done).keys() == set()
    assert done.would_run() == {}


def test_a_selection_that_was_removed_is_made_again(done: Workspace) -> None:
    for folder in list((done.root / "results/smoke").rglob("fraction-*")):
        if folder.is_dir() and not folder.name.endswith(".state"):
            shutil.rmtree(folder)
    assert done.would_run()["select"] == 4
    done.smoke()
    assert done.would_run() == {}


def test_after_a_refusal_its_advice_brings_everything_back(done: Workspace) -> None:
    """A bit flips in prepared data, the fine-tuning refuses it, the folder is removed as the refusal says."""
    before = files_of(done)
    edited(done)
    failing(done, "finetune")
    shutil.rmtree(done.root / SEED)
    done.smoke()
    after = files_of(done)
    assert before.keys() - after.keys() == set()
    assert (done.root / SEED / "train.parquet").read_text() == "prepare\n"
    assert done.would_run() == {}


def test_what_is_made_again_alone_with_the_same_content_reruns_nothing(done: Workspace) -> None:
    shutil.rmtree(done.root / SEED)
    before = len(calls(done))
    done.smoke(f"{SEED}/info.json")
    assert calls(done)[before:] == ["prepare"]
    assert done.would_run() == {}
