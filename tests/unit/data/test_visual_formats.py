"""Every format of questions about images, read from files in the layout it is published in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tasks

from hyperinf.data.assets import fetch_asset
from hyperinf.data.formats.documents import read_easy_vqa, read_easy_vqa_captions
from hyperinf.data.samples import Sample, read_data_info, read_samples
from hyperinf.errors import InputError

TEN = ["two"] * 6 + ["2", "three", "three", "a few"]


def task(form: str, **more: Any) -> dict[str, Any]:
    images = {"images": str(more.pop("images"))} if "images" in more else {}
    return {"format": form, "train": 6, "validation": 3, "test": 3, "seed": 3, **images, **more}


def prepare(tmp_path: Path, file: Path | str, form: str, **more: Any) -> dict[str, Sample]:
    """All samples by their ids, from a task of 6, 3 and 3."""
    return tasks.by_id(tasks.prepared(tmp_path / "task", file, **task(form, **more)))


def refusal(tmp_path: Path, file: Path | str, form: str, **more: Any) -> str:
    return tasks.refusal(tmp_path / "task", file, **task(form, **more))


def dump(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


# Published sets in small: each writes its images (shade i for question i) and the questions' file, which it returns.


def llava(folder: Path, write_png: Callable[..., Path], changes: dict[str, Any] | None = None) -> Path:
    rows = [
        {
            "id": f"{i:012d}",
            "image": f"{('coco/train2017', 'gqa/images')[i % 2]}/{i}.jpg",
            "conversations": [
                {"from": "human", "value": f"<image>\nWhat is {i}?" if i % 2 else f"What is {i}?\n<image>"},
                {"from": "gpt", "value": f"It is {i}."},
                {"from": "human", "value": "Are you sure?"},
                {"from": "gpt", "value": "Yes."},
            ],
        }
        for i in range(12)
    ]
    for i, row in enumerate(rows):
        write_png(f"pictures/{row['image']}", i)
    rows[5] |= changes or {}
    return dump(folder / "llava.json", rows)


def vqav2(folder: Path, write_png: Callable[..., Path], changes: dict[str, Any] | None = None) -> Path:
    questions = [{"image_id": i, "question": f"How many {i}?", "question_id": 1000 + i} for i in range(12)]
    for i in range(12):
        write_png(f"pictures/val2014/COCO_val2014_{i:012d}.jpg", i)
    annotations = [
        {
            "question_type": "how many",
            "multiple_choice_answer": str(i),
            "answers": [
                {"answer": answer, "answer_confidence": "yes", "answer_id": 1 + n} for n, answer in enumerate(TEN)
            ],
            "image_id": i,
            "answer_type": "number",
            "question_id": 1000 + i,
        }
        for i in reversed(range(12))
    ]
    document = {"task_type": "Open-Ended", "data_type": "mscoco", "data_subtype": "val2014", "questions": questions}
    dump(folder / "v2_mscoco_val2014_annotations.json", {"data_subtype": "val2014", "annotations": annotations})
    return dump(folder / "v2_OpenEnded_mscoco_val2014_questions.json", document | (changes or {}))


def textvqa(folder: Path, write_png: Callable[..., Path], changes: dict[str, Any] | None = None) -> Path:
    rows = [
        {
            "question": f"what number is {i}?",
            "image_id": f"0054c91397f2fe0{i}",
            "image_classes": ["Billboard"],
            "answers": ["one"] * 7 + ["1"] * 3 if i % 2 else TEN,
            "question_tokens": ["what"],
            "question_id": 34602 + i,
            "set_name": "val",
        }
        for i in range(12)
    ]
    for i, row in enumerate(rows):
        write_png(f"pictures/train_images/{row['image_id']}.jpg", i)
    rows[5] |= changes or {}
    return dump(folder / "TextVQA_0.5.1_val.json", {"dataset_type": "val", "dataset_name": "textvqa", "data": rows})


def gqa(folder: Path, write_png: Callable[..., Path], changes: dict[str, Any] | None = None) -> Path:
    document: dict[str, dict[str, Any]] = {
        f"2013{i}": {
            "semantic": [],
            "question": f"Is it {i}?",
            "imageId": f"n16131{i}",
            "isBalanced": True,
            "answer": ("yes", "no")[i % 2],
            "types": {"detailed": "weatherVerify", "semantic": "global", "structural": "verify"},
            "fullAnswer": "",
        }
        for i in range(12)
    }
    for i in range(12):
        write_png(f"pictures/images/n16131{i}.jpg", i)
    document["20135"] |= changes or {}
    return dump(folder / "testdev_balanced_questions.json", document)


def pope(folder: Path, write_png: Callable[..., Path], changes: dict[str, Any] | None = None) -> Path:
    rows: list[dict[str, Any]] = [
        {
            "question_id": 1 + i,
            "image": f"COCO_val2014_{i:012d}.jpg",
            "text": "Is there a snowboard in the image?",
            "label": ("yes", "no")[i % 2],
        }
        for i in range(12)
    ]
    for i, row in enumerate(rows):
        write_png(f"pictures/{row['image']}", i)
    rows[5] |= changes or {}
    path = folder / "coco_pope_popular.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def record(folder: Path, write_png: Callable[..., Path], changes: dict[str, Any] | None = None) -> Path:
    rows: list[dict[str, Any]] = [
        {"id": f"k{i}", "question": "What?", "answer": "ab"[i % 2], "image": f"{i}.png", "kind": "letter"}
        for i in range(12)
    ]
    for i in range(12):
        write_png(f"pictures/{i}.png", i)
    rows[5] |= changes or {}
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SHAPES, COLOURS = ("circle", "rectangle", "triangle"), ("black", "blue", "red", "teal")


def easy_vqa(folder: Path, write_png: Callable[..., Path]) -> Path:
    """Ten images a split; image 8 has no question about its colour, image 9 has yes/no questions only."""
    for number, split in enumerate(("train", "test")):
        rows: list[Any] = []
        for i in range(10):
            shape, colour = SHAPES[i % 3], COLOURS[i % 4]
            write_png(f"easy/{split}/images/{i}.png", 20 * number + i)
            rows.append([f"is there not a {COLOURS[i % 3]} shape?", "yes", i])
            if i < 9:
                rows.append(["what shape is in the image?", shape, i])
            if i < 8:
                rows.append([f"what color is the {shape}?", colour, i])
        dump(folder / "easy" / split / "questions.json", rows)
    return folder / "easy"


WRITERS = {each.__name__: each for each in (llava, vqav2, textvqa, gqa, pope, record)}


def image_of(tmp_path: Path, question: Sample) -> bytes:
    return (tmp_path / "task" / question.image).read_bytes()


def test_llava_instructions_give_their_first_question_and_answer_and_the_source_of_the_image(tmp_path, write_png):
    found = prepare(tmp_path, llava(tmp_path, write_png), "llava", images=tmp_path / "pictures")
    assert sorted(found) == sorted(f"llava/{i}" for i in range(12))
    for name, each in found.items():
        i = int(name.removeprefix("llava/"))
        assert i == int(each.question.removeprefix("What is ").removesuffix("?"))
        assert (each.answer, each.choices, each.kind) == (f"It is {i}.", (), ("coco", "gqa")[i % 2])
        original = tmp_path / "pictures" / ("coco/train2017", "gqa/images")[i % 2] / f"{i}.jpg"
        assert image_of(tmp_path, each) == original.read_bytes()
    assert read_data_info(tmp_path / "task")["templates"] == {"llava": "vqa_short"}


def test_llava_rows_without_an_image_are_left_out_and_counted_unless_they_are_asked_for(tmp_path, write_png):
    file = llava(tmp_path, write_png)
    rows = json.loads(file.read_text())
    talk = [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Hi."}]
    silent = {"image": "coco/train2017/0.jpg", "conversations": [{"from": "gpt", "value": "Hi."}]}
    dump(file, [*rows, {"id": "text", "conversations": talk}, silent])
    where = {"images": tmp_path / "pictures"}
    assert "Hello?" not in {each.question for each in prepare(tmp_path, file, "llava", **where).values()}
    assert read_data_info(tmp_path / "task")["unusable_rows_dropped"] == {
        "no image": 1,
        "no question of 'human' that 'gpt' answers": 1,
    }
    found = prepare(tmp_path, file, "llava", text_rows=True, train=7, **where)
    (text,) = [each for each in found.values() if each.question == "Hello?"]
    assert (text.answer, text.image, text.kind) == ("Hi.", "", "text")


def test_vqav2_joins_questions_and_annotations_and_keeps_the_answers_of_all_people(tmp_path, write_png):
    found = prepare(tmp_path, vqav2(tmp_path, write_png), "vqav2", images=tmp_path / "pictures")
    assert len(found) == 12
    for each in found.values():
        i = int(each.question.removeprefix("How many ").removesuffix("?"))
        assert each.sample_id == str(1000 + i)
        assert (each.answer, each.accepted, each.kind) == (str(i), tuple(TEN), "number")
        assert image_of(tmp_path, each) == (tmp_path / f"pictures/val2014/COCO_val2014_{i:012d}.jpg").read_bytes()


def test_vqav2_without_its_annotations_is_refused(tmp_path, write_png):
    file = vqav2(tmp_path, write_png)
    (tmp_path / "v2_mscoco_val2014_annotations.json").unlink()
    line = refusal(tmp_path, file, "vqav2", images=tmp_path / "pictures")
    assert "got no annotations of these questions, expected v2_mscoco_val2014_annotations.json beside it" in line
    line = refusal(tmp_path, dump(tmp_path / "vqa.json", json.loads(file.read_text())), "vqav2")
    assert "expected v2_OpenEnded_..._questions.json" in line


def test_textvqa_has_the_most_frequent_answer_for_its_answer(tmp_path, write_png):
    found = prepare(tmp_path, textvqa(tmp_path, write_png), "textvqa", images=tmp_path / "pictures")
    assert found["34602"].answer == "two"
    assert found["34602"].accepted == tuple(TEN)
    assert found["34603"].answer == "one"
    assert image_of(tmp_path, found["34603"]) == (tmp_path / "pictures/train_images/0054c91397f2fe01.jpg").read_bytes()


def test_gqa_is_an_object_of_questions_with_their_structural_type(tmp_path, write_png):
    found = prepare(tmp_path, gqa(tmp_path, write_png), "gqa", images=tmp_path / "pictures")
    assert sorted(found) == sorted(f"2013{i}" for i in range(12))
    assert (found["20137"].question, found["20137"].answer, found["20137"].kind) == ("Is it 7?", "no", "verify")
    assert image_of(tmp_path, found["20137"]) == (tmp_path / "pictures/images/n161317.jpg").read_bytes()


def test_pope_is_yes_or_no_and_takes_its_category_from_the_row_or_the_name_of_the_file(tmp_path, write_png):
    file = pope(tmp_path, write_png, {"category": "adversarial"})
    found = prepare(tmp_path, file, "pope", images=tmp_path / "pictures")
    assert sorted(found, key=int) == [str(1 + i) for i in range(12)]
    for name, each in found.items():
        assert (each.choices, each.answer) == (("yes", "no"), ("yes", "no")[int(name) % 2 == 0])
        assert each.kind == ("adversarial" if name == "6" else "popular")
    assert image_of(tmp_path, found["6"]) == (tmp_path / "pictures/COCO_val2014_000000000005.jpg").read_bytes()


def test_ones_own_rows_may_have_images_in_a_folder_that_is_named(tmp_path, write_png):
    found = prepare(tmp_path, record(tmp_path, write_png), "record", template="vqa", images=tmp_path / "pictures")
    assert sorted(found) == sorted(f"k{i}" for i in range(12))
    assert (found["k3"].answer, found["k3"].kind) == ("b", "letter")
    assert image_of(tmp_path, found["k3"]) == (tmp_path / "pictures/3.png").read_bytes()


def test_easy_vqa_asks_for_shapes_and_colours_with_the_answers_of_a_kind_as_choices(tmp_path, write_png):
    found = prepare(tmp_path, easy_vqa(tmp_path, write_png), "easy_vqa", validation=2, test=17)
    assert {each.kind: len(each.choices) for each in found.values()} == {"shape": 3, "colour": 8}
    # Three rows an image, of which the first is a yes/no question, and two for image 8; all rows count in the numbers.
    open_rows = [row for row in range(24) if row % 3] + [25]
    assert sorted(name for name in found if name.startswith("test/")) == [f"test/{row:06d}" for row in open_rows]
    assert (found["test/000001"].answer, found["test/000002"].answer) == ("circle", "black")
    assert image_of(tmp_path, found["test/000004"]) == (tmp_path / "easy/test/images/1.png").read_bytes()


def test_easy_vqa_may_have_its_yes_no_questions_too(tmp_path, write_png):
    found = prepare(tmp_path, easy_vqa(tmp_path, write_png), "easy_vqa_all", validation=2, test=27)
    kinds = [each.kind for name, each in found.items() if name.startswith("test/")]
    assert {kind: kinds.count(kind) for kind in kinds} == {"yes_no": 10, "shape": 9, "colour": 8}
    assert found["test/000000"].choices == ("yes", "no")


def test_captions_say_what_the_open_questions_tell_and_images_that_lack_a_part_are_counted(tmp_path, write_png):
    file = easy_vqa(tmp_path, write_png)
    found = prepare(tmp_path, file, "easy_vqa_captions", train=5, validation=2, test=8)
    assert read_data_info(tmp_path / "task")["unusable_rows_dropped"] == {
        "shape or colour not told by any open question": 4
    }
    for name, each in found.items():
        i = int(name.partition("/")[2])
        assert each.answer == f"a {COLOURS[i % 4]} {SHAPES[i % 3]}"
        assert (each.question, each.choices, each.kind) == ("what is present?", (), "caption")
    assert {name for name in found if name.startswith("test/")} == {f"test/{i}" for i in range(8)}


def test_an_image_of_which_two_colours_are_told_has_no_caption(tmp_path):
    rows = [["what color is the circle?", "red", 0], ["what is the blue shape?", "circle", 0]]
    (where, row), *others = read_easy_vqa_captions(dump(tmp_path / "questions.json", rows))
    assert (row["caption"], others) == ("", [])
    assert where.endswith("questions.json, images/0.png")


@pytest.mark.assets
def test_the_real_easy_vqa_is_read_to_the_last_row(tmp_path):
    try:
        folder = fetch_asset("easy_vqa", tmp_path / "cache")
    except InputError as error:
        pytest.skip(f"no package index with the asset: {error}")
    # The numbers of questions and images that its author gives.
    rows = {split: list(read_easy_vqa(folder / split / "questions.json")) for split in ("train", "test")}
    assert {split: len(each) for split, each in rows.items()} == {"train": 38_575, "test": 9_673}
    assert {split: len({row["image"] for _, row in each}) for split, each in rows.items()} == {
        "train": 4_000,
        "test": 1_000,
    }
    # All images that are told whole: without 819 and 209 of them, counted by a script of its own.
    sizes = {"train": 3_181 - 100, "validation": 100, "test": 791}
    prepare(tmp_path, "asset:easy_vqa", "easy_vqa_captions", **sizes)
    assert sum(read_data_info(tmp_path / "task")["unusable_rows_dropped"].values()) == 819 + 209


# What is refused


@pytest.mark.parametrize("image", ["../secret.png", "pictures/../../secret.png", "/etc/hostname", "//x.png"])
@pytest.mark.parametrize("skip", [False, True])
def test_images_outside_their_folder_are_refused_by_name_in_ones_own_rows(tmp_path, write_png, image, skip):
    file = record(tmp_path, write_png, {"image": image})
    write_png("secret.png")
    line = refusal(tmp_path, file, "record", template="vqa", images=tmp_path / "pictures", skip_bad_images=skip)
    assert line.startswith(f"{file}:6: got image {image!r}, which is not below {tmp_path}/pictures")


@pytest.mark.parametrize(
    ("form", "changes", "place", "image"),
    [
        ("llava", {"image": "../secret.png"}, "llava.json, row 5", "../secret.png"),
        ("llava", {"image": "/etc/hostname"}, "llava.json, row 5", "/etc/hostname"),
        ("textvqa", {"image_id": "../../secret"}, "val.json, row 5", "train_images/../../secret.jpg"),
        ("gqa", {"imageId": "../../secret"}, "questions.json, question '20135'", "images/../../secret.jpg"),
        ("pope", {"image": "../secret.png"}, "popular.json:6", "../secret.png"),
        ("vqav2", {"data_subtype": "/tmp"}, "questions.json, row 0", "/tmp/COCO_/tmp_000000000000.jpg"),
        ("vqav2", {"data_subtype": ".."}, "questions.json, row 0", "../COCO_.._000000000000.jpg"),
    ],
)
def test_images_outside_their_folder_are_refused_by_name_in_published_files(
    tmp_path, write_png, form, changes, place, image
):
    file = WRITERS[form](tmp_path, write_png, changes)
    line = refusal(tmp_path, file, form, images=tmp_path / "pictures")
    assert f"{place}: got image {image!r}, which is not below {tmp_path}/pictures" in line


@pytest.mark.parametrize(
    ("form", "changes", "line"),
    [
        ("llava", {"conversations": "hello"}, "row 5: not a conversation, a list of objects with 'from' and 'value'"),
        ("llava", {"image": 3}, "row 5: got 3 in column 'image', expected an image"),
        ("vqav2", {"questions": {}}, "got a dict, expected a list of questions"),
        ("vqav2", {"data_subtype": None}, "got no data_subtype, the name of COCO's folder of images"),
        (
            "vqav2",
            {"questions": [{"question_id": [], "image_id": 1}]},
            "row 0: got question_id [], expected an integer",
        ),
        ("vqav2", {"questions": [{"question_id": 1, "image_id": "1"}]}, "row 0: got image_id '1', expected an integer"),
        ("textvqa", {"answers": "two"}, "row 5: got 'two' in column 'answers', expected a list of strings"),
        ("gqa", {"imageId": None}, "question '20135': no sample id in column 'imageId'"),
        ("pope", {"label": "maybe"}, "popular.json:6: got answer 'maybe', expected one of the choices 'yes', 'no'"),
        ("record", {"image": ["5.png"]}, "mine.jsonl:6: got ['5.png'] in column 'image', expected an image"),
    ],
)
def test_a_row_that_is_none_of_its_form_is_refused_with_its_place(tmp_path, write_png, form, changes, line):
    file = WRITERS[form](tmp_path, write_png, changes)
    assert line in refusal(tmp_path, file, form, images=tmp_path / "pictures")


@pytest.mark.parametrize(
    ("form", "document", "line"),
    [
        ("llava", {"rows": []}, "got a dict, expected a list of questions"),
        ("llava", [1], "row 0: got a int, expected a JSON object"),
        ("llava", [{"id": "1"}], "row 0: got columns id, expected 'conversations'"),
        ("textvqa", [], "expected an object with 'data'"),
        ("gqa", [], "got a list, expected an object of questions by their ids"),
        ("gqa", {"1": 2}, "question '1': got a int, expected a JSON object"),
    ],
)
def test_a_file_of_another_form_is_refused_with_what_is_expected(tmp_path, form, document, line):
    assert line in refusal(tmp_path, dump(tmp_path / "file.json", document), form)


def test_a_file_that_is_cut_off_or_of_another_type_is_refused(tmp_path, write_png):
    file = llava(tmp_path, write_png)
    file.write_text(file.read_text()[:-20])
    assert "llava.json: not a JSON file" in refusal(tmp_path, file, "llava")
    other = dump(tmp_path / "llava.txt", [])
    assert "got file type '.txt', expected one of .json" in refusal(tmp_path, other, "llava")


def test_a_row_of_easy_vqa_that_is_none_is_refused_with_its_number(tmp_path, write_png):
    folder = easy_vqa(tmp_path, write_png)
    for row, line in (
        (["what?", "red"], "row 1: got ['what?', 'red'], expected a question, an answer and the number of an image"),
        (["what?", "pink", 0], "row 1: got answer 'pink', expected a shape, a colour, yes or no"),
    ):
        dump(folder / "train/questions.json", [["what?", "red", 0], row])
        assert line in refusal(tmp_path, folder, "easy_vqa")
    (folder / "train/questions.json").unlink()
    assert "train/questions.json: no such file" in refusal(tmp_path, folder, "easy_vqa")


def test_a_folder_of_images_must_be_there_and_the_format_must_have_images(tmp_path, write_png):
    file = llava(tmp_path, write_png)
    assert "absent: no such folder" in refusal(tmp_path, file, "llava", images=tmp_path / "absent")
    assert "got a folder of images for format 'hellaswag'" in refusal(tmp_path, file, "hellaswag", images=tmp_path)
    assert "got format 'llava', that of the published file, expected path:FILE" in refusal(tmp_path, "hub:a/b", "llava")


# Drawing


def sources(folder: Path, write_png: Callable[..., Path]) -> Path:
    """200 instructions: 120 about images of COCO, 60 of GQA, 20 of Visual Genome."""
    names = ["coco"] * 120 + ["gqa"] * 60 + ["vg"] * 20
    talk = [[{"from": "human", "value": f"What is {i}?"}, {"from": "gpt", "value": f"{i}"}] for i in range(200)]
    for i, name in enumerate(names):
        write_png(f"{name}/{i}.png", i)
    return dump(
        folder / "mix.json",
        [{"image": f"{n}/{i}.png", "conversations": talk[i]} for i, n in enumerate(names)],
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_source_of_llava_has_its_share_of_every_split(tmp_path, write_png, seed):
    prepare(tmp_path, sources(tmp_path, write_png), "llava", train=100, validation=20, test=40, seed=seed)
    counts = read_data_info(tmp_path / "task")["counts"]
    for split, number in (("train", 100), ("validation", 20), ("test", 40)):
        for kind, share in (("coco", 0.6), ("gqa", 0.3), ("vg", 0.1)):
            assert abs(counts[split]["kinds"][kind] - share * number) <= 1


# A test set of another source


def other_test_set(tmp_path: Path, file: Path) -> dict[str, str]:
    return {"source": f"path:{file}", "format": "pope", "images": str(tmp_path / "pictures")}


def test_the_test_questions_may_come_from_another_source_which_gives_nothing_else(tmp_path, write_png):
    benchmark = other_test_set(tmp_path, pope(tmp_path, write_png))
    own = record(tmp_path, lambda name, shade: write_png(name, 100 + shade))
    found = prepare(
        tmp_path, own, "record", template="vqa", images=tmp_path / "pictures", train=9, test=12, test_data=benchmark
    )
    test = read_samples(tmp_path / "task", "test")
    assert sorted(each.sample_id for each in test) == sorted(f"test_data/{1 + i}" for i in range(12))
    assert {each.source for each in test} == {"coco_pope_popular"}
    assert {each.source for name, each in found.items() if name.startswith("k")} == {"mine"}
    info = read_data_info(tmp_path / "task")
    assert info["templates"] == {"mine": "vqa", "coco_pope_popular": "vqa_phrase"}
    assert (info["test_data"]["format"], info["counts"]["test"]["kinds"]) == ("pope", {"popular": 12})


def test_an_image_of_that_test_set_is_in_no_other_split_under_whatever_name(tmp_path, write_png):
    benchmark = other_test_set(tmp_path, pope(tmp_path, write_png))
    # Shades 8 to 19: four images are those of the benchmark, under other names.
    own = record(tmp_path, lambda name, shade: write_png(name, 8 + shade))
    where = {"template": "vqa", "images": tmp_path / "pictures", "test_data": benchmark, "test": 12, "validation": 2}
    found = prepare(tmp_path, own, "record", **where)
    assert {name for name in found if name.startswith("k")} == {f"k{i}" for i in range(4, 12)}
    assert sum(name.startswith("k") for name in prepare(tmp_path, own, "record", train=99, **where)) == 8


def test_that_test_set_gives_its_split_named_test_or_the_one_that_is_named(tmp_path, write_png):
    own = record(tmp_path, lambda name, shade: write_png(name, 100 + shade))
    benchmark = easy_vqa(tmp_path, write_png)
    for splits, expected in (({}, "test"), ({"test": "train"}, "train")):
        source = {"source": f"path:{benchmark}", "format": "easy_vqa", "splits": splits}
        prepare(tmp_path, own, "record", template="vqa", images=tmp_path / "pictures", train=9, test_data=source)
        test = read_samples(tmp_path / "task", "test")
        assert all(each.sample_id.startswith(f"test_data/{expected}/") for each in test)


def test_a_source_may_be_tested_on_its_own_kind_whatever_its_splits_are_called(tmp_path, write_png, monkeypatch):
    monkeypatch.chdir(tmp_path)
    easy_vqa(tmp_path, write_png).rename(tmp_path / "train")
    benchmark = {"source": "path:train", "format": "easy_vqa"}
    prepare(tmp_path, Path("train"), "easy_vqa", test_data=benchmark)
    assert all(each.source == "train (test)" for each in read_samples(tmp_path / "task", "test"))
    assert all(each.source == "train" for each in read_samples(tmp_path / "task", "train"))
