"""The published grid with every hub name in it replaced by a tiny local folder in the hub's layout.

The commands are those that the workflow gives for ``paper.yaml``, with its models, columns, templates and precision;
only numbers of samples, steps, ranks and seeds are cut. They run in this process, one after the other.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hub_models
import hub_sets
import pytest
import yaml
from given_commands import Command, commands
from snakemake.utils import update_config
from workspaces import ROOT, Workspace

PAPER = ("workflow/config/paper.yaml", "workflow/config/paper_vlm.yaml")
SIZES = {"train": 16, "validation": 12, "test": 8}


def rows_of(row: Callable[[str, int], dict[str, Any]], name: str) -> Callable[[Path], None]:
    """Writes the splits of a set, where the hub has them."""

    def write(folder: Path) -> None:
        for split, count in SIZES.items():
            rows = [row(split, index) for index in range(count)]
            hub_sets.write_split(folder / name.format(split=split), rows)

    return write


def glue(folder: Path) -> None:
    for subset in hub_sets.GLUE:
        hub_sets.write_glue(folder, subset, (16, 12, 8))


# What stands in for each name on the hub. A name more in paper.yaml is a proof more here.
MODELS = {
    "FacebookAI/roberta-large": hub_models.roberta_large,
    "meta-llama/Llama-2-7b-hf": hub_models.llama_2,
    "llava-hf/llava-1.5-7b-hf": hub_models.llava_1_5,
}
DATA = {
    "nyu-mll/glue": glue,
    "allenai/qasc": rows_of(hub_sets.qasc_row, "data/{split}-00000-of-00001.parquet"),
    "Rowan/hellaswag": rows_of(hub_sets.hellaswag_row, "data/{split}-00000-of-00001.parquet"),
    "ybisk/piqa": rows_of(hub_sets.piqa_row, "plain_text/{split}/0000.parquet"),
    "lucasmccabe/logiqa": rows_of(hub_sets.logiqa_row, "default/{split}/0000.parquet"),
}
TRAINING = {"max_steps": 2, "batch_size": 4}
LANGUAGE = {
    "seeds": [11],
    "samples": {"train": 12, "validation": 4, "test": 3},
    "adapter": {"ranks": [2]},
    "finetuning": TRAINING,
    "selection": {"fractions": [0.4], "training": TRAINING},
}
SMALL = {
    "results": "results",
    "device": "cpu",
    "studies": {
        "mislabel": {
            "seeds": [11],
            "samples": {"train": 12, "validation": 6, "test": 4},
            "adapter": {"ranks": [2]},
            "finetuning": {"epochs": 1, "checkpoints": [1], "batch_size": 6},
            "detection": {"report_epoch": 1},
        },
        "llm": LANGUAGE,
        "vlm": LANGUAGE,
    },
}


def paper() -> dict[str, Any]:
    """The checked configuration of the published grid, merged as Snakemake does."""
    config: dict[str, Any] = {}
    for file in ("config.yaml", *PAPER):
        update_config(config, yaml.safe_load((ROOT / file).read_text()))
    return config


def named(config: dict[str, Any]) -> dict[str, set[str]]:
    """The entries of each section that a study of the grid names."""
    studies = [config["studies"][name] for name in config["run"] if name != "simulation"]
    tasks = {task for study in studies for task in study["tasks"]}
    return {
        "models": {model for study in studies for model in study["models"]},
        "data": tasks | {config["data"][name].get("test_from") for name in tasks} - {None},
    }


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, pristine: Workspace) -> Workspace:
    """A workspace in which the overlay ``local.yaml`` turns the grid into one that needs neither hub nor GPU."""
    workspace = pristine.copy(tmp_path_factory.mktemp("grid") / "workspace")
    hub_sets.write_llava_data(workspace.root / "data")
    config = paper()
    local: dict[str, Any] = {}
    for section, names in named(config).items():
        stands_in = MODELS if section == "models" else DATA
        for name in names:
            source = config[section][name]["source"]
            if "path" in source:
                continue  # it lies where write_llava_data has put its like, or the workflow refuses it
            hub = source["hub"]
            assert hub in stands_in, f"{section}.{name}: nothing proves that hub:{hub} can be loaded"
            folder = workspace.root / "hub" / hub
            if not folder.exists():
                stands_in[hub](folder)
            entry = {"source": {"hub": None, "path": str(folder)}}
            local.setdefault(section, {})[name] = {**entry, **({"revision": None} if section == "data" else {})}
    (workspace.root / "local.yaml").write_text(yaml.safe_dump({**SMALL, **local}))
    return workspace


@pytest.fixture(scope="module")
def given(grid: Workspace) -> list[Command]:
    return commands(grid, *PAPER, "local.yaml")


@pytest.mark.parametrize("study", ["mislabel", "llm", "vlm"])
def test_every_model_and_data_set_of_the_grid_goes_through_all_stages_from_a_folder_like_the_hubs(
    grid: Workspace, given: list[Command], study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(grid.root)
    stages = set()
    for command in given:
        if study in command.out.parts:
            assert command.run() == 0, command.words
            stages.add(command.stage)
    assert stages == {"prepare", "finetune", "score", "detect"} | ({"select"} if study != "mislabel" else set())
    tasks = {path.name for path in (grid.root / "results" / study).iterdir()}
    assert set(paper()["studies"][study]["tasks"]) == tasks


def test_the_grid_is_the_published_one() -> None:
    config = paper()
    assert config["run"] == ["simulation", "mislabel", "llm", "vlm"]
    simulation, studies = config["simulation"], config["studies"]
    mislabel, llm, vlm = (studies[name] for name in ("mislabel", "llm", "vlm"))
    assert len(mislabel["tasks"]) == 7
    assert mislabel["models"] == ["roberta_large"]
    assert mislabel["adapter"]["ranks"] == [1, 2, 4, 8, 16]
    assert len(mislabel["seeds"]) == 10
    assert [name.removesuffix("_hub") for name in llm["tasks"]] == ["qasc", "hellaswag", "piqa", "logiqa"]
    assert (llm["models"], llm["adapter"]["trained"]) == (["llama_2_7b"], ["lora", "last_layer"])
    assert llm["selection"]["fractions"] == [0.05, 0.2, 0.4]
    assert [config["data"][name]["test_from"] for name in vlm["tasks"]] == ["vqav2", "gqa", "pope", "textvqa"]
    assert (vlm["models"], vlm["scoring"]["gradients_of"]) == (["llava_1_5_7b"], ["projector", "last_layer"])
    assert vlm["selection"]["fractions"] == [0.2, 0.4, 0.6, 0.8]
    assert simulation["dims"] == [512, 1024, 2048, 4096]
    assert simulation["samples"] == [200, 800, 6400, 12800]
