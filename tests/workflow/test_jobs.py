"""What a job waits for, and the code behind it, of an experiment that takes other scores than the default."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from jobs import Jobs
from workspaces import ROOT

from hyperinf.settings.experiment import checked_experiment
from hyperinf.settings.yaml_files import read_yaml

RUN = "results/mislabel/sarcasm/minilm/lora-8/seed-11"
WILDCARDS = {"study": "mislabel", "task": "sarcasm", "model": "minilm", "setting": "lora-8", "seed": "11"}


def jobs(**scoring):
    """The default experiment with another scoring of detection."""
    values = read_yaml(ROOT / "config.yaml")
    values["studies"]["mislabel"]["scoring"] |= scoring
    values["studies"]["mislabel"]["finetuning"] |= {"epochs": 5, "checkpoints": [1, 3, 5], "keep_moments": True}
    return Jobs(checked_experiment(values, Path()), "results")


def at(checkpoint):
    return SimpleNamespace(**WILDCARDS, checkpoint=checkpoint)


@pytest.mark.parametrize(("checkpoint", "before"), [("epoch-1", []), ("epoch-3", [1]), ("epoch-5", [1, 3])])
def test_scores_over_checkpoints_wait_for_those_of_the_checkpoints_before(checkpoint, before):
    pooled = jobs(methods=["tracin", "tracin_cp"])
    assert pooled.earlier_scores(at(checkpoint)) == [f"{RUN}/scores/epoch-{epoch}/scores.parquet" for epoch in before]
    assert jobs(methods=["tracin", "tracin_unit"]).earlier_scores(at(checkpoint)) == []


def test_the_code_of_a_method_or_a_baseline_counts_where_it_is_taken_and_in_all_its_forms():
    plain = jobs(methods=["tracin"], baselines=["loss"]).score_code(at("epoch-1"))
    assert jobs(methods=["tracin", "tracin_unit"], baselines=["loss"]).score_code(at("epoch-1")) == plain
    assert jobs(methods=["tracin", "tracin_cp"], baselines=["loss", "random"]).score_code(at("epoch-1")) == plain
    ekfac = jobs(methods=["tracin", "ekfac"], baselines=["loss"]).score_code(at("epoch-1"))
    assert plain != ekfac == jobs(methods=["tracin", "kfac_unit"], baselines=["loss"]).score_code(at("epoch-1"))
    assert jobs(methods=["tracin"], baselines=["loss", "bm25"]).score_code(at("epoch-1")) != plain


def test_the_baselines_of_a_selection_reach_its_jobs_and_training_on_all_samples_does_not_know_them():
    values = read_yaml(ROOT / "config.yaml")
    values["studies"]["llm"]["selection"]["baselines"] = ["loss"]
    plan = Jobs(checked_experiment(values, Path()), "results").plan
    assert plan.select("llm", "headlines", "smollm2", "lora-8", 11, "0.2").baselines == ("loss",)
    assert plan.select("llm", "headlines", "smollm2", "lora-8", 11, "1.0").baselines == ()


def test_figures_are_planned_for_the_main_methods():
    plan = jobs(methods=["hyperinf", "hyperinf_unit", "kfac", "ekfac"]).plan
    assert plan.shape("mislabel").methods == ("hyperinf", "ekfac")


@pytest.mark.parametrize(
    ("study", "rank"), [("mislabel", 0), ("vlm_parts", 0), ("validation", 1), ("llm", 1), ("vlm", 1)]
)
def test_what_trainings_wait_for_comes_before_what_detection_waits_for(study, rank):
    assert jobs().priority(SimpleNamespace(**WILDCARDS | {"study": study})) == rank
