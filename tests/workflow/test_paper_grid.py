"""The published grid with every hub name in it replaced by a tiny local folder in the hub's layout.

The commands are those that the workflow gives for ``paper.yaml``, with its models, columns, templates and precision;
only numbers of samples, steps, ranks and seeds are cut. They run in this process, one after the other.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import published
import published_models
import pytest
import yaml
from check_config import checked_config
from conftest import ROOT, Workspace

from hyperinf.cli import main

PAPER = "workflow/config/paper.yaml"
SIZES = {"train": 16, "validation": 12, "test": 8}


def rows_of(row: Callable[[str, int], dict[str, Any]], name: str) -> Callable[[Path], None]:
    """Writes the splits of a set, where the hub has them."""

    def write(folder: Path) -> None:
        for split, count in SIZES.items():
            rows = [row(split, index) for index in range(count)]
            published.write_split(folder / name.format(split=split), rows)

    return write


def glue(folder: Path) -> None:
    for subset in published.GLUE:
        published.write_glue(folder, subset, (16, 12, 8))


# What stands in for each name on the hub. A name more in paper.yaml is a proof more here.
MODELS = {
    "FacebookAI/roberta-large": published_models.roberta_large,
    "meta-llama/Llama-2-7b-hf": published_models.llama_2,
}
DATA = {
    "nyu-mll/glue": glue,
    "allenai/qasc": rows_of(published.qasc_row, "data/{split}-00000-of-00001.parquet"),
    "Rowan/hellaswag": rows_of(published.hellaswag_row, "data/{split}-00000-of-00001.parquet"),
    "ybisk/piqa": rows_of(published.piqa_row, "plain_text/{split}/0000.parquet"),
    "lucasmccabe/logiqa": rows_of(published.logiqa_row, "default/{split}/0000.parquet"),
}
SMALL = {
    "results": "results",
    "device": "cpu",
    "mislabel": {
        "train": 12,
        "validation": 6,
        "test": 4,
        "ranks": [2],
        "seeds": [11],
        "epochs": [1],
        "report_epoch": 1,
        "training": {"batch_size": 6},
    },
    "llm": {
        "pool": 12,
        "validation": 4,
        "test": 3,
        "ranks": [2],
        "seeds": [11],
        "percent": [40],
        "warmup": {"steps": 2, "batch_size": 4},
        "finetune": {"steps": 2, "batch_size": 4},
    },
}


def paper() -> dict[str, Any]:
    """The checked configuration of the published grid."""
    merged = yaml.safe_load((ROOT / "config.yaml").read_text())
    return checked_config(deep_merged(merged, yaml.safe_load((ROOT / PAPER).read_text())), ROOT)


def deep_merged(base: Any, over: Any) -> Any:
    """As Snakemake merges configuration files: key by key."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: deep_merged(base.get(key), value) for key, value in over.items()}}


def named(config: dict[str, Any]) -> dict[str, set[str]]:
    """The entries of each section that a study of the grid names."""
    studies = [config[study] for study in config["studies"] if "tasks" in config[study]]
    sections: dict[str, set[str]] = {"models": set(), "data": set(), "questions": set()}
    for settings in studies:
        sections["models"] |= set(settings["models"])
        sections["data" if settings is config["mislabel"] else "questions"] |= set(settings["tasks"])
    return sections


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, pristine: Workspace) -> Workspace:
    """A workspace in which the overlay ``local.yaml`` turns the grid into one that needs neither hub nor GPU."""
    workspace = pristine.copy(tmp_path_factory.mktemp("grid") / "workspace")
    config = paper()
    local: dict[str, Any] = {}
    for section, names in named(config).items():
        stands_in = MODELS if section == "models" else DATA
        for name in names:
            hub = config[section][name]["source"]["hub"]
            assert hub in stands_in, f"{section}.{name}: nothing proves that hub:{hub} can be loaded"
            folder = workspace.root / "hub" / hub
            if not folder.exists():
                stands_in[hub](folder)
            entry = {"source": {"hub": None, "path": str(folder)}}
            local.setdefault(section, {})[name] = {**entry, **({"revision": None} if section == "questions" else {})}
    (workspace.root / "local.yaml").write_text(yaml.safe_dump({**SMALL, **local}))
    return workspace


def commands(grid: Workspace) -> list[list[str]]:
    """What the workflow would run, in an order that it could run it in; the arguments of ``python -m hyperinf``."""
    printed = grid.snakemake("--dry-run", "--printshellcmds", "--configfile", PAPER, "local.yaml")
    found = re.findall(r"python -m hyperinf (.+) > \S+ 2>&1$", printed, re.M)
    return [shlex.split(command) for command in found]


@pytest.mark.parametrize("study", ["mislabel", "llm"])
def test_every_model_and_data_set_of_the_grid_goes_through_all_stages_from_a_folder_like_the_hubs(
    grid: Workspace, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(grid.root)
    stages = set()
    for command in commands(grid):
        out = Path(command[command.index("--out") + 1])
        if study in out.parts:
            status = main(command)
            assert not status, shlex.join(command)
            stages.add(" ".join(command[:2]))
    expected = {"mislabel": {"data", "finetune", "score"}, "llm": {"data", "warmup", "score", "finetune"}}
    assert stages == {f"{'mislabel' if study == 'mislabel' else 'select'} {stage}" for stage in expected[study]}
    assert set(paper()[study]["tasks"]) == {path.name for path in (grid.root / "results" / study).iterdir()}


def test_the_grid_is_the_published_one() -> None:
    config = paper()
    assert config["studies"] == ["simulation", "mislabel", "llm"]
    mislabel, llm, simulation = (config[study] for study in ("mislabel", "llm", "simulation"))
    assert len(mislabel["tasks"]) == 7
    assert mislabel["models"] == ["roberta_large"]
    assert mislabel["ranks"] == [1, 2, 4, 8, 16]
    assert len(mislabel["seeds"]) == 10
    assert [name.removesuffix("_hub") for name in llm["tasks"]] == ["qasc", "hellaswag", "piqa", "logiqa"]
    assert (llm["models"], llm["train"], llm["percent"]) == (["llama_2_7b"], ["lora", "last_layer"], [5, 20, 40])
    assert simulation["dims"] == [512, 1024, 2048, 4096]
    assert simulation["samples"] == [200, 800, 6400, 12800]
