"""No stage runs code that its rule does not hash; and a study is a section of YAML.

The experiment below has studies that no file of the repository knows: a language model that finds wrong labels, in
shards; a classifier that selects; a vision-language model that is aligned first. Their commands are those that the
workflow gives, and are really run.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from given_commands import Command, commands, name_hashed
from workspaces import SMOKE, Workspace, job_counts

TINY = {"max_steps": 2, "batch_size": 4, "max_length": 48}
SAMPLES = {"train": 12, "validation": 4, "test": 4}
STUDIES: dict[str, dict[str, object]] = {
    "wrong_labels": {
        "title": "A language model finds wrong labels",
        "family": "causal",
        "tasks": ["words"],
        "models": ["llama_tiny"],
        "corruption": {"label_noise": 0.25},
        "scoring": {"methods": ["hyperinf", "datainf"]},
        "runtime": {"shards": 2, "gradient_batch_size": 4},
    },
    "kept": {
        "title": "A classifier on what is kept",
        "family": "classifier",
        "tasks": ["words"],
        "models": ["bert"],
        "finetuning": {"epochs": 2, "checkpoints": [1, 2], "max_steps": None, "batch_size": 4, "max_length": 16},
        "scoring": {"methods": ["gfim", "tracin", "lissa_gfim", "fim"], "damping": 10.0},
        "detection": None,
        "selection": {"fractions": [0.5], "strategies": ["plain"], "training": {"max_steps": 2}},
        "validation": {"subsets": 3, "again": 0, "resamples": 5, "removal": None},
    },
    "pictures": {
        "title": "Pictures",
        "family": "vision",
        "tasks": ["shown"],
        "models": ["llava"],
        "adapter": {"trained": ["lora_projector"], "ranks": [2]},
        "scoring": {"methods": ["hyperinf"]},
        "validation": {"subsets": 3, "again": 2, "at_once": 2, "resamples": 5, "removal": {"fractions": [0.1]}},
    },
}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, pristine: Workspace, tiny_bert: Path) -> Workspace:
    """A workspace with the overlay ``mine.yaml``."""
    workspace = pristine.copy(tmp_path_factory.mktemp("mine") / "workspace")
    rows = [{"text": f"w{index % 20} w{index % 7}", "label": ("low", "high")[index % 2]} for index in range(40)]
    pd.DataFrame(rows).to_csv(workspace.root / "words.csv", index=False)
    draw(workspace.root / "pictures.jsonl")
    words = {"source": {"path": "words.csv"}, "text": "text", "label": "label"}
    shown = {"source": {"path": "pictures.jsonl"}, "format": "record", "template": "vqa_short"}
    align = {"data": "shown", "train": 12, "test": 4, "tower_epochs": 1, "parts": ["projector"], **TINY}
    llava = {"source": {"shape": "llava_tiny"}, "target_modules": ["q_proj", "v_proj"], "align": align}
    common = {"seeds": [11], "samples": SAMPLES, "finetuning": TINY}
    mine = {
        "results": "results/mine",
        "device": "cpu",
        "run": ["simulation", *STUDIES],
        "simulation": {"dims": [8], "samples": [20], "seeds": [11], "timing": {"dims": [8], "repeats": 1}},
        "data": {"words": words, "shown": shown},
        "models": {"bert": {"source": {"path": str(tiny_bert)}}, "llava": llava},
        "studies": {name: {**common, **study} for name, study in STUDIES.items()},
    }
    (workspace.root / "mine.yaml").write_text(yaml.safe_dump(mine))
    return workspace


def draw(questions: Path) -> None:
    from PIL import Image

    lines: list[dict[str, Any]] = []
    for index, colour in enumerate(["red", "green", "blue"] * 14):
        picture = Image.new("RGB", (32, 32), colour)
        picture.putpixel((0, 0), (index, index, index))  # a picture that is there twice counts once
        picture.save(questions.with_name(f"{index}.png"))
        lines.append({"question": f"which colour {index}?", "answer": colour, "image": f"{index}.png"})
    questions.write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture(scope="module")
def given(experiment: Workspace) -> list[Command]:
    name_hashed(experiment)
    return commands(experiment, SMOKE, "mine.yaml")


def test_a_study_is_a_section_of_yaml(experiment: Workspace) -> None:
    jobs = job_counts(experiment.snakemake("--dry-run", "--configfile", SMOKE, "mine.yaml"))
    # Of each study: data, a fine-tuning, scores at each checkpoint; what is done with them where it is asked for.
    stages = ("prepare", "finetune", "score", "detect", "select", "retrain", "validate")
    assert {name: jobs[name] for name in stages} == {
        "prepare": 3,
        "finetune": 3,
        "score": 1 + 2 + 1,
        "detect": 1 + 0 + 1,
        "select": 0 + 2 + 0,
        "retrain": 0 + 1 + 1,
        "validate": 0 + 1 + 1,
    }
    assert {name for name in jobs if name.startswith("report_")} == {
        *(f"report_{name}" for name in ("simulation", *STUDIES)),
        "report_page",
    }


def test_no_stage_reads_code_that_its_rule_does_not_hash(
    experiment: Workspace, given: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(experiment.root)
    seen: set[tuple[str, frozenset[str]]] = set()
    unhashed = {}
    for command in given:
        # What one process has shown of a stage and its hash, a second would show again.
        if (command.stage, command.hashed) in seen:
            assert command.run() == 0, command.words
        elif missing := command.unhashed():
            unhashed[" ".join(command.words)] = missing
        seen.add((command.stage, command.hashed))
    assert unhashed == {}
    stages = {stage for stage, _ in seen}
    shards = {f"shard {step}" for step in ("target", "statistics", "sums", "add", "solve", "scores")}
    assert {"prepare", "prepare-model", "align", "finetune", "score", "detect", "select", *shards} <= stages
    assert {"retrain", "validate"} <= stages
    assert {"report study", "report page", "simulate convergence", "simulate fisher", "simulate timing"} <= stages


def test_such_studies_come_to_metrics_of_the_one_schema(experiment: Workspace) -> None:
    """Of what the test before this one has written."""
    found = pd.concat(map(pd.read_csv, (experiment.root / "results/mine").glob("*/**/seed-11/*/metrics.csv")))
    assert set(found["study"]) == set(STUDIES)
    wrong = found[found["study"] == "wrong_labels"]
    assert {"roc_auc", "accuracy"} <= set(wrong["metric"])
    assert set(found.loc[found["study"] == "kept", "fraction"].dropna()) == {0.0, 0.5, 1.0}
    for study in ("kept", "pictures"):
        assert {"lds", "lds_mean_target"} <= set(found.loc[found["study"] == study, "metric"])
    assert (experiment.root / "results/mine/report.html").is_file()
