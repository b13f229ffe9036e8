"""`hyperinf select data` with images and with the test questions of another source."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hyperinf.cli.main import main
from hyperinf.data.questions import read_questions, read_questions_info


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


OWN = ["--source=path:mix.json", "--format=llava", "--images=pictures", "--text-rows", "--pool=6", "--validation=2"]
TEST = ["--test-source=path:pope.json", "--test-format=pope", "--test-images=coco", "--test-template=vqa", "--test=4"]


def select_data(*arguments: str) -> int:
    return main(["select", "data", "--seed=1", "--cache=cache", "--out=task", *arguments])


def test_images_and_a_test_set_of_another_source_are_taken_from_the_command_line(files):
    assert select_data(*OWN, *TEST, "--skip-bad-images") == 0
    info = read_questions_info(Path("task"))
    assert info["templates"] == {"mix": "vqa_short", "pope": "vqa"}
    assert {each.sample_id for each in read_questions(Path("task"), "test")} == {f"test_from/{i}" for i in range(4)}
    rest = [each for split in ("pool", "validation") for each in read_questions(Path("task"), split)]
    assert {each.question for each in rest} == {"Hello?", *(f"What is {i}?" for i in range(7))}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*OWN, *TEST], "question mix/7: image pictures/vg/7.png: No such file; mend it, or have such questions"),
        ([*OWN, "--test-images=coco"], "--test-images is given, but no --test-source"),
        ([*OWN, "--off-task-split=train"], "--off-task-split is given, but no --off-task-source"),
        ([*OWN, "--images=nowhere", *TEST], "nowhere: no such folder of images"),
        ([*OWN, *TEST, "--split-test=x"], "the test questions come from pope.json, but split_test names a split, too"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(files, capsys, arguments, message):
    assert select_data(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("hyperinf: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not Path("task").exists()
