"""Questions about images: the published layouts, and what is done about images that cannot be used."""

import hashlib
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hyperinf.data.questions import (
    SPLITS,
    Question,
    QuestionSource,
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


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


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


# Images in the prepared folder


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


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def no_image(path: Path) -> None:
    path.write_text("no image at all")


def bomb(path: Path) -> None:
    """A header that promises more pixels than Pillow's limit."""
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.write_bytes(content)


BAD = [
    (Path.unlink, "No such file"),
    (truncated, "a damaged image"),
    (no_image, "not an image of a known kind"),
    (bomb, "more than 89,478,485 pixels"),
]


@pytest.mark.parametrize(("spoil", "why"), BAD, ids=["missing", "truncated", "no image", "bomb"])
def test_a_bad_image_names_its_question_and_is_passed_over_and_counted_only_where_that_is_asked_for(
    own, tmp_path, spoil, why
):
    spoil(own.parent / "5.png")
    line = refusal(tmp_path, config(own))
    assert line.startswith(f"question k5: image {own.parent / '5.png'}: {why}")
    found = everything(tmp_path, config(own, pool=5, skip_bad_images=True))
    assert set(found) == {f"k{i}" for i in range(12)} - {"k5"}
    info = read_questions_info(tmp_path / "task")
    assert (info["bad_images_skipped"], info["bad_images_first_ids"]) == (1, ["k5"])


@pytest.mark.parametrize("image", ["../outside.png", "{tmp}/outside.png", "link.png"])
def test_images_outside_their_folder_are_refused(own, tmp_path, image):
    picture(tmp_path / "outside.png", 200)
    (own.parent / "link.png").symlink_to(tmp_path / "outside.png")
    image = image.format(tmp=tmp_path)
    row = {"id": "k12", "question": "What?", "answer": "a", "image": image}
    own.write_text(own.read_text() + json.dumps(row) + "\n", encoding="utf-8")
    assert f"image {image!r} is not below {own.parent}" in refusal(tmp_path, config(own))


def test_another_folder_of_images_can_be_named(own, tmp_path):
    (tmp_path / "pictures").mkdir()
    for path in own.parent.glob("*.png"):
        path.rename(tmp_path / "pictures" / path.name)
    assert len(everything(tmp_path, config(own, images=tmp_path / "pictures"))) == 12


# Published layouts


def easy_vqa(folder: Path) -> Path:
    """Four images a split: colour and shape are told by two questions, by one, by one, and only in part."""
    for split in ("train", "test"):
        questions = []
        for image in range(4):
            picture(folder / split / "images" / f"{image}.png", image + 10 * (split == "test"))
            questions.append(["is there a teal shape?", "no", image])
        questions += [
            ["what shape is in the image?", "circle", 0],
            ["what color is the shape?", "red", 0],
            ["what is the blue shape?", "triangle", 1],
            ["what is the color of the rectangle?", "gray", 2],
            ["what color is the shape?", "black", 3],
        ]
        write_json(folder / split / "questions.json", questions)
    return folder


def test_easy_vqa_asks_open_questions_whose_choices_are_those_of_their_kind(tmp_path):
    task = config(easy_vqa(tmp_path / "easy"), format="easy_vqa", template="vqa_short", pool=3, validation=1, test=5)
    found = everything(tmp_path, task)
    shape = found["train/000004"] if "train/000004" in found else found["test/000004"]
    assert (shape.question, shape.answer, shape.kind) == ("what shape is in the image?", "circle", "shape")
    assert shape.choices == ("circle", "rectangle", "triangle")
    assert {each.kind for each in found.values()} == {"shape", "colour"}


def test_easy_vqa_can_be_taken_with_its_yes_no_questions(tmp_path):
    task = config(
        easy_vqa(tmp_path / "easy"), format="easy_vqa_all", template="vqa_short", pool=4, validation=2, test=9
    )
    kinds = Counter(each.kind for each in prepared(tmp_path, task)["test"])
    assert kinds == {"yes_no": 4, "shape": 2, "colour": 3}


def test_captions_of_easy_vqa_are_what_its_open_questions_tell_and_images_not_told_whole_are_counted(tmp_path):
    task = config(
        easy_vqa(tmp_path / "easy"), format="easy_vqa_captions", template="vqa_short", pool=2, validation=1, test=3
    )
    splits = prepared(tmp_path, task)
    assert {each.answer for each in splits["test"]} == {"a red circle", "a blue triangle", "a gray rectangle"}
    assert {each.choices for each in splits["test"]} == {()}
    assert read_questions_info(tmp_path / "task")["unusable_rows_dropped"] == {
        "shape or colour not told by any open question": 2
    }


def conversation(number: int, source: str) -> dict[str, Any]:
    said = [("human", "<image>\nWhat is it?"), ("gpt", f"thing {number}"), ("human", "And?"), ("gpt", "more")]
    row = {"id": f"id{number}", "conversations": [{"from": who, "value": what} for who, what in said]}
    return row if source == "text" else {**row, "image": f"{source}/{number}.png"}


def test_llava_asks_the_first_question_of_each_conversation_and_draws_each_source_in_proportion(tmp_path):
    sources = ["coco"] * 24 + ["gqa"] * 12 + ["text"] * 4
    rows = [conversation(number, source) for number, source in enumerate(sources)]
    for row in rows:
        if "image" in row:
            picture(tmp_path / "data" / row["image"], int(row["id"].removeprefix("id")))
    path = write_json(tmp_path / "llava.json", rows)
    task = config(path, format="llava", template="vqa_short", pool=18, validation=9, test=9, images=tmp_path / "data")
    splits = prepared(tmp_path, task)
    assert {each.question for each in splits["pool"]} == {"What is it?"}
    for split, number in (("pool", 18), ("validation", 9), ("test", 9)):
        assert Counter(each.kind for each in splits[split]) == {"coco": 2 * number // 3, "gqa": number // 3}, split
    assert read_questions_info(tmp_path / "task")["unusable_rows_dropped"] == {"no image": 4}


def test_llava_rows_without_an_image_are_used_where_that_is_asked_for(tmp_path):
    path = write_json(tmp_path / "llava.json", [conversation(number, "text") for number in range(12)])
    task = config(path, format="llava", template="vqa_short", text_rows=True)
    # The conversations ask the same, so they are told apart by nothing: copies that disagree are left out.
    assert "12" in refusal(tmp_path, task)


def test_vqav2_questions_are_joined_with_their_annotations(tmp_path):
    questions, annotations = [], []
    for i in range(12):
        picture(tmp_path / "val2014" / f"COCO_val2014_{i:012d}.jpg", i)
        questions.append({"image_id": i, "question": f"What {i}?", "question_id": 100 + i})
        answers = [{"answer": "cat", "answer_id": k} for k in range(7)] + [{"answer": "dog", "answer_id": 9}] * 3
        annotations.append(
            {
                "question_id": 100 + i,
                "multiple_choice_answer": ("dog", "cat")[i % 2],
                "answer_type": "other",
                "answers": answers,
            }
        )
    path = write_json(
        tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json", {"data_subtype": "val2014", "questions": questions}
    )
    task = config(path, format="vqav2", template="vqa_phrase")
    assert "no annotations of these questions" in refusal(tmp_path, task)
    write_json(tmp_path / "v2_mscoco_val2014_annotations.json", {"annotations": annotations})
    found = everything(tmp_path, task)
    assert set(found) == {str(100 + i) for i in range(12)}
    assert (found["103"].answer, found["103"].accepted, found["103"].kind) == (
        "cat",
        ("cat",) * 7 + ("dog",) * 3,
        "other",
    )


def test_textvqa_takes_the_most_frequent_answer_and_keeps_all(tmp_path):
    rows = []
    for i in range(12):
        picture(tmp_path / "train_images" / f"im{i}.jpg", i)
        rows.append(
            {
                "question": f"Say {i}?",
                "question_id": i,
                "image_id": f"im{i}",
                "answers": [*"bbbb", *"aaaaaa"] if i % 2 else ["c"] * 10,
            }
        )
    found = everything(
        tmp_path, config(write_json(tmp_path / "val.json", {"data": rows}), format="textvqa", template="vqa_phrase")
    )
    assert found["3"].answer == "a"
    assert Counter(found["3"].accepted) == {"a": 6, "b": 4}


def test_gqa_takes_ids_from_the_keys_and_the_kind_from_the_structure(tmp_path):
    rows = {}
    for i in range(12):
        picture(tmp_path / "images" / f"n{i}.jpg", i)
        structure = {"structural": "verify" if i % 2 else "query"}
        rows[f"q{i}"] = {"question": f"Is {i}?", "answer": ("no", "yes")[i % 2], "imageId": f"n{i}", "types": structure}
    found = everything(tmp_path, config(write_json(tmp_path / "gqa.json", rows), format="gqa", template="vqa_phrase"))
    assert (found["q3"].kind, found["q4"].kind) == ("verify", "query")


def test_pope_is_read_from_lines_in_a_file_called_json(tmp_path):
    lines = []
    for i in range(12):
        picture(tmp_path / f"p{i}.jpg", i)
        row = {
            "question_id": i,
            "image": f"p{i}.jpg",
            "text": f"Is there a {i}?",
            "label": ("yes", "no")[i % 2],
            "category": "random",
        }
        lines.append(json.dumps(row))
    path = tmp_path / "pope.json"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = everything(tmp_path, config(path, format="pope", template="vqa_phrase"))
    assert (found["4"].choices, found["4"].answer, found["4"].kind) == (("yes", "no"), "yes", "random")


def test_the_test_questions_may_come_from_another_set(own, tmp_path):
    rows = {}
    for i in range(8):
        picture(tmp_path / "images" / f"n{i}.jpg", 100 + i)
        rows[f"q{i}"] = {"question": f"Is {i}?", "answer": "yes", "imageId": f"n{i}"}
    other = QuestionSource(Source("path", str(write_json(tmp_path / "gqa.json", rows))), "gqa")
    splits = prepared(tmp_path, config(own, test=8, test_from=other))
    assert {each.sample_id for each in splits["test"]} == {f"test_from/q{i}" for i in range(8)}
    assert {each.source for each in splits["test"]} == {"gqa"}
    info = read_questions_info(tmp_path / "task")
    assert info["templates"] == {"mine": "vqa", "gqa": "vqa_phrase"}


@pytest.mark.parametrize(
    ("form", "content", "line"),
    [
        ("llava", {}, "expected a list of questions, not a dict"),
        ("llava", [{"conversations": "no"}], "not a conversation"),
        ("gqa", [], "expected an object of questions by their ids"),
        ("textvqa", {"rows": []}, "expected an object with 'data'"),
        ("vqav2", {"questions": []}, "no data_subtype"),
        ("easy_vqa", [["what?", "red"]], "expected a question, an answer and the number of an image"),
    ],
)
def test_a_document_of_another_layout_is_refused_by_name(tmp_path, form, content, line):
    path = write_json(tmp_path / "file.json", content)
    found = refusal(tmp_path, config(path, format=form, template="vqa_phrase"))
    assert str(path) in found
    assert line in found
