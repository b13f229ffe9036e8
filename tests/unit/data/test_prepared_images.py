"""Images of prepared questions: copies under names that tell their content, and nothing from outside their folder."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hyperinf.data.questions import (
    SPLITS,
    Question,
    QuestionTaskConfig,
    prepare_questions,
    read_image,
    read_questions,
    read_questions_info,
)
from hyperinf.data.sources import Source
from hyperinf.errors import InputError


def picture(path: Path, number: int) -> None:
    """A tiny image of its own colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (number % 8 * 32, number // 8 % 8 * 32, number // 64 * 32)  # far apart: JPEG would make near ones equal
    Image.new("RGB", (16, 16), colour).save(path)


def config(path: Path, **changes: Any) -> QuestionTaskConfig:
    values: dict[str, Any] = {
        "source": Source("path", str(path)),
        "format": "record",
        "template": "vqa",
        "pool": 6,
        "validation": 3,
        "test": 3,
        "seed": 11,
        "cache": path.parent / "cache",
    }
    return QuestionTaskConfig(**{**values, **changes})


def prepared(folder: Path, task: QuestionTaskConfig) -> dict[str, tuple[Question, ...]]:
    prepare_questions(task, folder / "task")
    return {split: read_questions(folder / "task", split) for split in SPLITS}


def everything(folder: Path, task: QuestionTaskConfig) -> dict[str, Question]:
    return {each.sample_id: each for questions in prepared(folder, task).values() for each in questions}


def refusal(folder: Path, task: QuestionTaskConfig) -> str:
    with pytest.raises(InputError) as error:
        prepare_questions(task, folder / "task")
    assert "\n" not in str(error.value)
    assert not (folder / "task").exists()
    return str(error.value)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's own table of twelve questions, each about its own image."""
    rows = []
    for i in range(12):
        picture(tmp_path / "mine" / f"{i}.png", i)
        rows.append({"id": f"k{i}", "question": "What?", "answer": "ab"[i % 2], "image": f"{i}.png", "kind": "letter"})
    path = tmp_path / "mine" / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_images_lie_in_the_prepared_folder_under_names_that_tell_their_content(own, tmp_path):
    found = everything(tmp_path, config(own))
    assert len(found) == 12
    for name, each in found.items():
        original = own.parent / f"{name.removeprefix('k')}.png"
        copy = tmp_path / "task" / each.image
        assert copy.read_bytes() == original.read_bytes()
        assert hashlib.sha256(copy.read_bytes()).hexdigest().startswith(copy.stem)
    assert read_image(tmp_path / "task", found["k3"].image).getpixel((0, 0)) == (96, 0, 0)


def test_questions_on_copies_of_one_image_never_stand_in_two_splits(own, tmp_path):
    rows = [json.loads(line) for line in own.read_text().splitlines()]
    more = []
    for i in range(12):
        (own.parent / f"copy{i}.png").write_bytes((own.parent / f"{i}.png").read_bytes())
        more.append({**rows[i], "id": f"c{i}", "question": "And this?", "image": f"copy{i}.png"})
    own.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *more]), encoding="utf-8")
    splits = prepared(tmp_path, config(own, pool=8))
    images = {split: {each.image for each in questions} for split, questions in splits.items()}
    assert not images["pool"] & (images["validation"] | images["test"])
    assert not images["validation"] & images["test"]


def test_the_same_question_on_another_image_is_another_question(own, tmp_path):
    prepared(tmp_path, config(own))
    info = read_questions_info(tmp_path / "task")
    assert (info["duplicates_dropped"], info["contradictory_dropped"]) == (0, 0)


def test_the_same_sources_give_the_same_bytes_and_another_image_another_hash(own, tmp_path):
    for name in ("a", "b"):
        prepare_questions(config(own), tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    picture(own.parent / "5.png", 99)
    prepare_questions(config(own), tmp_path / "c")
    hashes = [read_questions_info(tmp_path / name)["content_sha256"] for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("image", ["../outside.png", "{tmp}/outside.png", "link.png"])
def test_images_outside_their_folder_are_refused(own, tmp_path, image):
    picture(tmp_path / "outside.png", 200)
    (own.parent / "link.png").symlink_to(tmp_path / "outside.png")
    image = image.format(tmp=tmp_path)
    row = {"id": "k12", "question": "What?", "answer": "a", "image": image}
    own.write_text(own.read_text() + json.dumps(row) + "\n", encoding="utf-8")
    assert f"image {image!r} is not below {own.parent}" in refusal(tmp_path, config(own))
