"""`hyperinf prepare` with images and with the test samples of another source."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hyperinf.cli.main import main
from hyperinf.data.samples import read_data_info, read_samples


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Instructions with images in `pictures`, one of which is missing, and a benchmark with images in `coco`."""
    monkeypatch.chdir(tmp_path)
    rows: list[dict[str, Any]] = [
        {
            "image": f"vg/{i}.png",
            "conversations": [{"from": "human", "value": f"What is {i}?"}, {"from": "gpt", "value": f"{i}"}],
        }
        for i in range(8)
    ]
    talk = [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Hi."}]
    Path("mix.json").write_text(json.dumps([*rows, {"conversations": talk}]))
    asked = [
        {"question_id": i, "image": f"{i}.png", "text": "Is there a dog?", "label": ("yes", "no")[i % 2]}
        for i in range(4)
    ]
    Path("pope.json").write_text("".join(json.dumps(row) + "\n" for row in asked))
    for folder, count, shade in (("pictures/vg", 7, 0), ("coco", 4, 100)):
        Path(folder).mkdir(parents=True)
        for i in range(count):
            Image.new("L", (3, 2), shade + i).save(Path(folder) / f"{i}.png")
    return tmp_path


OWN = [
    *("--source=path:mix.json", "--format=llava", "--template=vqa_short", "--images=pictures", "--text-rows"),
    *("--train=6", "--validation=2", "--test=4"),
]
TEST = [
    *("--test-data.source=path:pope.json", "--test-data.format=pope", "--test-data.template=vqa"),
    "--test-data.images=coco",
]


def prepare(*arguments: str) -> int:
    return main(["prepare", "--seed=1", "--cache=cache", "--out=task", *arguments])


def test_images_and_a_test_set_of_another_source_are_taken_from_the_command_line(files, capsys):
    assert prepare(*OWN, *TEST, "--skip-bad-images") == 0
    said = capsys.readouterr().err.splitlines()
    assert any(line.startswith("hyperinf: warning: ") and "passed over" in line for line in said)
    assert said[-2].startswith("hyperinf: wrote task: ")
    assert "hyperinf finetune --data task" in said[-1]
    assert read_data_info(Path("task"))["templates"] == {"mix": "vqa_short", "pope": "vqa"}
    assert {each.source for each in read_samples(Path("task"), "test")} == {"pope"}
    rest = [each for split in ("train", "validation") for each in read_samples(Path("task"), split)]
    assert {each.question for each in rest} == {"Hello?", *(f"What is {i}?" for i in range(7))}


def test_a_file_says_the_same_as_flags(files):
    assert prepare(*OWN, *TEST, "--skip-bad-images") == 0
    before = Path("task/train.parquet").read_bytes()
    assert main(["prepare", "--config", "task/settings.yaml", "--out", "again"]) == 0
    assert Path("again/train.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([*OWN, *TEST], ("mix/7", "pictures/vg/7.png", "skip_bad_images")),
        ([*OWN, "--test-data.images=coco"], ("--test-data.source: got nothing",)),
        ([*OWN, "--off-task-data.splits.train=x"], ("--off-task-data.source: got nothing",)),
        ([*OWN, "--images=nowhere", *TEST], ("nowhere", "folder")),
        ([*OWN, *TEST, "--splits.test=x"], ("--splits.test: got 'x'",)),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(files, capsys, arguments, parts):
    assert prepare(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hyperinf: error: ")
    assert all(part in line for part in parts), line
    assert not Path("task").exists()
