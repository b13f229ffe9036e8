"""Whatever a configuration names reaches the commands as it stands there: no shell reads it."""

import csv
import json

import pytest
import yaml
from workspaces import Workspace

EVIL = (
    "$(touch ran) `touch ran` ; touch ran # && touch ran",
    'it\'s a "b" {task} {{x}} * ? ~ \\ %',
    "line\nbreak; touch ran",
    "' ; touch ran; '",
)
CUT = '; touch ran; \'$(touch ran)` "y"'


def calls(workspace: Workspace) -> list[list[str]]:
    return [json.loads(line) for line in (workspace.root / "calls.jsonl").read_text().splitlines()]


@pytest.fixture
def evil(fresh: Workspace) -> Workspace:
    """A workspace with a file and a folder of unpleasant names."""
    (fresh.root / f"{CUT}.csv").write_text("text,label\n")
    return fresh


@pytest.mark.parametrize("value", EVIL)
def test_a_value_is_never_read_by_a_shell(evil: Workspace, value: str) -> None:
    overlay = {
        "run": ["mislabel"],
        "data": {
            "sarcasm": {
                "source": {"asset": None, "path": f"{CUT}.csv"},
                "text": value,
                "label": f"l {value}",
                "id": value + "id",
                "splits": {"train": value},
            }
        },
        # Of a model on the hub nobody knows yet what layers it has.
        "models": {"minilm": {"source": {"asset": None, "hub": "some/model"}, "target_modules": [value]}},
        # A path holds no new line and no brace.
        **({} if set("\n{") & set(value) else {"cache": value}),
    }
    with (evil.root / f"{CUT}.csv").open("w", newline="") as file:
        csv.writer(file).writerow([value, f"l {value}", f"{value}id"])
    evil.smoke("--until", "finetune", overlay=yaml.safe_dump(overlay))
    assert not (evil.root / "ran").exists()
    data, finetune = (next(call for call in calls(evil) if call[0] == name) for name in ("prepare", "finetune"))
    settings = json.loads(data[data.index("--config") + 1])
    assert (settings["text"], settings["splits"]["train"]) == (value, value)
    assert settings["source"]["path"] == f"{CUT}.csv"
    assert data[data.index("--cache") + 1] == overlay.get("cache", "results/assets")
    assert json.loads(finetune[finetune.index("--config") + 1])["target_modules"] == [value]


def test_a_results_folder_with_a_shell_s_words_is_a_folder(evil: Workspace) -> None:
    name = "results/a b; $(touch ran) 'x'"
    evil.smoke("--until", "simulation_fisher", "prepare", overlay=yaml.safe_dump({"results": name}))
    assert not (evil.root / "ran").exists()
    assert (evil.root / name / "simulation/fisher/summary.csv").is_file()
