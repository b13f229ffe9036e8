"""Images in the cells of Parquet, in folders with a table of their own or one folder a class, and named by CSV."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tasks
from PIL import Image

from hyperinf.data.images import read_image
from hyperinf.data.samples import Sample, read_data_info

SIZES = {"train": 6, "validation": 3, "test": 3, "seed": 3}
CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
HUGE = "x" * 775_535


def png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (3, 2), shade).save(stream, "PNG")
    return stream.getvalue()


def shade(folder: Path, sample: Sample) -> int:
    """The shade of a prepared image, which was given to its question by its number."""
    return int(np.asarray(read_image(folder, sample.image))[0, 0, 0])


def questions(count: int = 12) -> dict[str, list[Any]]:
    return {"id": [f"k{i}" for i in range(count)], "question": [f"What is {i}?" for i in range(count)],
            "answer": [f"a{i}" for i in range(count)]}  # fmt: skip


def write_parquet(path: Path, images: list[Any], kind: pa.DataType = CELL, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({**questions(len(images)), "image": pa.array(images, kind)})
    pq.write_table(table, path, **more)
    return path


def record(tmp_path: Path, source: Path, **more: Any) -> dict[str, Sample]:
    settings = {"format": "record", "template": "vqa", **SIZES, **more}
    return tasks.by_id(tasks.prepared(tmp_path / "task", source, **settings))


def refusal(tmp_path: Path, source: Path, **more: Any) -> str:
    return tasks.refusal(tmp_path / "task", source, **{"format": "record", "template": "vqa", **SIZES, **more})


@pytest.mark.parametrize("rows", [1, 5, 1000])
@pytest.mark.parametrize("kind", [CELL, pa.binary()])
def test_parquet_holds_its_images_in_cells_whatever_its_groups_of_rows(tmp_path, rows, kind):
    cells = [{"bytes": png(i), "path": f"{i}.png"} if kind == CELL else png(i) for i in range(12)]
    found = record(tmp_path, write_parquet(tmp_path / "mine.parquet", cells, kind, row_group_size=rows))
    assert len(found) == 12
    for i in range(12):
        assert shade(tmp_path / "task", found[f"k{i}"]) == i
        assert Path(found[f"k{i}"].image).stem == hashlib.sha256(png(i)).hexdigest()[:32]


def test_a_table_that_has_changed_since_is_read_anew(tmp_path):
    for first in (0, 100):
        cells = [{"bytes": png(first + i), "path": None} for i in range(12)]
        found = record(tmp_path, write_parquet(tmp_path / "mine.parquet", cells))
        assert shade(tmp_path / "task", found["k3"]) == first + 3


def test_a_cell_may_hold_a_path_alone(tmp_path, write_png):
    for i in range(12):
        write_png(f"pictures/{i}.png", i)
    cells = [{"bytes": None, "path": f"pictures/{i}.png"} for i in range(12)]
    found = record(tmp_path, write_parquet(tmp_path / "mine.parquet", cells))
    assert [shade(tmp_path / "task", found[f"k{i}"]) for i in range(12)] == list(range(12))


@pytest.mark.parametrize("empty", [None, {"bytes": None, "path": None}, {"bytes": b"", "path": ""}])
def test_a_cell_without_an_image_is_a_question_without_one(tmp_path, empty):
    cells = [empty if i == 4 else {"bytes": png(i), "path": None} for i in range(12)]
    found = record(tmp_path, write_parquet(tmp_path / "mine.parquet", cells), template="vqa_short")
    assert [name for name, sample in found.items() if not sample.image] == ["k4"]


def test_questions_about_one_image_in_several_cells_never_stand_in_two_splits(tmp_path):
    cells = [{"bytes": png(i % 6), "path": f"{i}.png"} for i in range(18)]
    splits = tasks.prepared(
        tmp_path / "task", write_parquet(tmp_path / "mine.parquet", cells), format="record", template="vqa", train=3,
        validation=3, test=3, seed=1)  # fmt: skip
    images = [{each.image for each in samples} for samples in splits.values()]
    assert sum(map(len, images)) == len(set.union(*images)) <= 6


def test_a_damaged_image_in_a_cell_is_named_by_its_row_and_not_printed(tmp_path):
    cells = [{"bytes": b"x" * 9999 if i == 4 else png(i), "path": None} for i in range(12)]
    file = write_parquet(tmp_path / "mine.parquet", cells)
    line = refusal(tmp_path, file)
    assert line.startswith(f"sample k4: image {file}:5: got no image of a known kind")
    assert "xxxx" not in line
    record(tmp_path, file, train=5, skip_bad_images=True)
    assert read_data_info(tmp_path / "task")["bad_images_first_ids"] == ["k4"]


@pytest.mark.parametrize("path", ["/etc/hostname", "../outside.png"])
def test_a_path_in_a_cell_does_not_lead_out_of_its_folder(tmp_path, path):
    cells = [{"bytes": None, "path": path} for _ in range(12)]
    line = refusal(tmp_path, write_parquet(tmp_path / "mine.parquet", cells))
    assert "mine.parquet:1" in line
    assert "not below" in line


@pytest.mark.parametrize("form", ["record", "image_classes"])
def test_what_is_no_image_in_a_cell_is_refused_by_its_row(tmp_path, form):
    table = pa.table({**questions(), "label": ["a", "b"] * 6, "image": [[1, 2]] * 12})
    pq.write_table(table, tmp_path / "mine.parquet")
    line = refusal(tmp_path, tmp_path / "mine.parquet", format=form)
    assert "mine.parquet:1: got [1, 2] in column 'image'" in line


def test_the_hub_s_parquet_has_its_images_decoded_by_us_and_each_once(tmp_path):
    features = datasets.Features({name: datasets.Value("string") for name in questions()} | {"image": datasets.Image()})
    for split, first in (("train", 0), ("test", 100)):
        rows = questions() | {"image": [{"bytes": png(first + i), "path": None} for i in range(12)]}
        rows["id"] = [f"{split}{name}" for name in rows["id"]]
        rows["question"] = [f"{split} {text}" for text in rows["question"]]
        table = datasets.Dataset.from_dict(rows, features=features)
        (tmp_path / "set").mkdir(exist_ok=True)
        table.to_parquet(str(tmp_path / "set" / f"{split}-00000-of-00001.parquet"))
    found = record(tmp_path, tmp_path / "set")
    for name, sample in found.items():
        split, _, number = name.partition("/")[2].partition("k")
        assert shade(tmp_path / "task", sample) == int(number) + 100 * (split == "test")


@pytest.fixture
def folder(tmp_path, write_png):
    """A folder of images with a table of its own, whose kind is up to the test."""

    def make(kind: str, place: str = "", column: str = "file_name", split: str = "pictures") -> Path:
        rows = []
        for i in range(12):
            name = f"{place}{i}.png"
            write_png(f"{split}/{name}", i)
            rows.append({column: name} | {key: values[i] for key, values in questions().items()})
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if kind == "csv":
            text = "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]) + "\n"
        (tmp_path / split / f"metadata.{kind}").write_text(text)
        return tmp_path / split

    return make


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("place", ["", "below/it/"])
def test_a_folder_of_images_says_in_its_metadata_what_is_asked_of_each(folder, tmp_path, kind, place):
    found = record(tmp_path, folder(kind, place))
    assert len(found) == 12
    for i in range(12):
        sample = found[f"train/k{i}"]
        assert (sample.question, sample.answer) == (f"What is {i}?", f"a{i}")
        assert shade(tmp_path / "task", sample) == i


def test_metadata_that_name_an_image_that_is_not_there_are_refused_by_its_name(folder, tmp_path):
    source = folder("csv")
    (source / "5.png").unlink()
    line = refusal(tmp_path, source)
    assert "5.png" in line
    assert "no such file" in line


def test_metadata_without_an_answer_are_refused_by_the_columns_there_are(folder, tmp_path):
    source = folder("csv")
    text = (source / "metadata.csv").read_text()
    (source / "metadata.csv").write_text(text.replace("answer", "reply", 1))
    line = refusal(tmp_path, source)
    assert "'answer'" in line
    assert "reply" in line


def test_changed_metadata_are_read_anew(folder, tmp_path):
    record(tmp_path, folder("csv"))
    source = folder("csv")
    (source / "metadata.csv").write_text((source / "metadata.csv").read_text().replace("a5", "b55"))
    assert record(tmp_path, source)["train/k5"].answer == "b55"


def classes(tmp_path: Path, write_png: Any, *splits: str) -> Path:
    for split in splits:
        for i in range(12):
            write_png(f"animals/{split}/{('cat', 'dog')[i % 2]}/{i}.png", i + 20 * len(split))
    return tmp_path / "animals"


@pytest.mark.parametrize("splits", [("",), ("train", "test")])
def test_a_folder_with_a_folder_of_images_for_each_class_asks_for_the_class(tmp_path, write_png, splits):
    source = classes(tmp_path, write_png, *splits)
    found = tasks.prepared(tmp_path / "task", source, format="image_classes", **SIZES)
    assert [len(samples) for samples in found.values()] == [6, 3, 3]
    for samples in found.values():
        for sample in samples:
            assert sample.choices == ("cat", "dog")
            assert sample.answer == ("cat", "dog")[shade(tmp_path / "task", sample) % 2]
    if len(splits) == 2:
        assert {each.sample_id.partition("/")[0] for each in found["test"]} == {"test"}


def test_labels_of_a_class_a_folder_can_be_harmed(tmp_path, write_png):
    source = classes(tmp_path, write_png, "")
    found = tasks.prepared(tmp_path / "task", source, format="image_classes", label_noise=0.5, **SIZES)
    assert sum(each.answer != each.true_answer for each in found["train"]) == 3


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_table_that_names_images_and_their_classes_is_read(tmp_path, write_png, kind):
    rows = [{"image": write_png(f"{i}.png", i).name, "label": "ab"[i % 2]} for i in range(12)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if kind != "jsonl":
        between = "," if kind == "csv" else "\t"
        text = "\n".join([between.join(rows[0]), *(between.join(row.values()) for row in rows)]) + "\n"
    (tmp_path / f"mine.{kind}").write_text(text)
    found = tasks.prepared(tmp_path / "task", tmp_path / f"mine.{kind}", format="image_classes", **SIZES)
    for samples in found.values():
        assert all(each.answer == "ab"[shade(tmp_path / "task", each) % 2] for each in samples)


@pytest.mark.parametrize(
    ("form", "column", "value"),
    [
        ("record", "answer", HUGE),
        ("record", "question", [HUGE]),
        ("record", "choices", HUGE),
        ("record", "choices", ["a", HUGE]),
        ("record", "id", [HUGE]),
        ("record", "image", HUGE),
        ("record", "image", "../" + HUGE),
        ("record", "image", {"bytes": HUGE}),
        ("record", HUGE, 1),
        ("image_classes", "label", [HUGE]),
        ("image_classes", "image", {HUGE: 1}),
        ("qasc", "choices", HUGE),
        ("qasc", "answerKey", HUGE),
        ("piqa", "label", HUGE),
        ("pope", "label", HUGE),
        ("labelled", "label", [HUGE]),
        ("labelled", "text", [HUGE]),
    ],
)
def test_no_cell_is_printed_whole(tmp_path, write_jsonl, form, column, value):
    rows: dict[str, dict[str, Any]] = {
        "record": {"question": "Which?", "answer": "b", "choices": ["a", "b"], "id": "k"},
        "image_classes": {"image": "a.png", "label": "a"},
        "qasc": {"id": "k", "question": "Q", "answerKey": "A", "choices": {"text": ["a", "b"], "label": ["A", "B"]}},
        "piqa": {"goal": "g", "sol1": "a", "sol2": "b", "label": 0},
        "pope": {"question_id": 1, "image": "a.png", "text": "Is it?", "label": "yes"},
        "labelled": {"text": "a", "label": "b"},
    }  # fmt: skip
    row = {**rows[form], column: value}
    if column == HUGE:
        del row["answer"]
    named = {"text": "text", "label": "label"} if form == "labelled" else {}
    line = tasks.refusal(tmp_path / "task", write_jsonl([row], "mine.jsonl"), format=form, **named, **SIZES)
    assert "mine.jsonl" in line or "sample k" in line
    assert len(line) < 2_500
    assert "x" * 1_001 not in line
