"""The settings beside what a stage wrote do it again: the same command, the file, another place for the result."""

import pytest
import yaml
from stage_runs import detected, same_files, selected

from hyperinf.cli import main

HOW = {"max_steps": 3, "batch_size": 4, "learning_rate": 5e-3, "fraction": 0.5, "methods": ("hyperinf",)}


@pytest.fixture(scope="module")
def stages(run_of, tmp_path_factory):
    """Folders that stages wrote, by their command."""
    run, folder = run_of("causal"), tmp_path_factory.mktemp("stages")
    return {
        "prepare-model": run.model,
        "prepare": run.data,
        "finetune": run.finetuned,
        "score": run.scores,
        "detect": detected(folder / "detection", run.finetuned, run.scores),
        "select": selected(folder / "kept", run.data, run.finetuned, run.scores, **HOW),
    }


@pytest.mark.parametrize("command", ["prepare-model", "prepare", "finetune", "score", "detect", "select"])
def test_the_settings_beside_a_result_do_it_again(stages, tmp_path, command):
    done = stages[command]
    assert main([command, "--config", str(done / "settings.yaml"), "--out", str(tmp_path / "again")]) == 0
    same_files(done, tmp_path / "again", but=("settings.yaml", "cost.csv"))
    first, second = (yaml.safe_load((folder / "settings.yaml").read_text()) for folder in (done, tmp_path / "again"))
    assert second.pop("out") == str(tmp_path / "again")
    assert first.pop("out") == str(done)
    assert first == second


def test_a_flag_wins_over_the_file(stages, tmp_path):
    done = stages["finetune"]
    change = ["--max-steps", "1", "--config", str(done / "settings.yaml"), "--seed", "2"]
    assert main(["finetune", *change, "--out", str(tmp_path / "other")]) == 0
    settings = yaml.safe_load((tmp_path / "other" / "settings.yaml").read_text())
    assert (settings["max_steps"], settings["seed"], settings["batch_size"]) == (1, 2, 4)
