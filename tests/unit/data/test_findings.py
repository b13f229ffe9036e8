"""What is found in one's own rows and is no reason to stop, up to a point; and what is done about it on request."""

import json
from pathlib import Path
from typing import Any

import pytest
from tasks import by_id, prepared, refusal, write_task

from hyperinf.data.samples import SPLITS, read_contradictory, read_data_info, read_samples

NAMED: dict[str, Any] = {"text": "text", "label": "label", "train": 60, "validation": 20, "test": 20}


def rows(count: int, labels: str = "ab") -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "label": labels[i % len(labels)]} for i in range(count)]


def record(tmp_path: Path) -> dict[str, Any]:
    return read_data_info(tmp_path / "task")


# Rows without text or label


@pytest.mark.parametrize("lack", [{"text": ""}, {"text": None}, {"label": " "}, {"label": None}])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_few_rows_without_text_or_label_are_left_out_and_counted(tmp_path, caplog, lack, form):
    content = rows(300)
    for number in (5, 77, 200):
        content[number] |= lack
    path = tmp_path / f"mine.{form}"
    if form == "csv":
        lines = [f"{row['text'] or ''},{row['label'] or ''}" for row in content]
        path.write_text("text,label\n" + "\n".join(lines) + "\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    found = by_id(prepared(tmp_path / "task", path, **NAMED))
    assert not found.keys() & {"mine/5", "mine/77", "mine/200"}
    assert all(each.context == f"text {name.removeprefix('mine/')}" for name, each in found.items())
    assert sum(record(tmp_path)["unusable_rows_dropped"].values()) == 3
    assert "3 rows left out" in caplog.text
    line = refusal(tmp_path / "again", path, **NAMED, strict=True)
    assert f"mine.{form}:{7 if form == 'csv' else 6}: " in line
    assert f"column {next(iter(lack))!r}" in line


def test_more_than_one_in_a_hundred_is_refused_with_the_first_and_both_numbers(tmp_path, write_jsonl):
    content = rows(300)
    for number in (5, 77, 200, 250):
        content[number]["label"] = ""
    path = write_jsonl(content)
    line = refusal(tmp_path / "task", path, **NAMED)
    assert "reviews.jsonl:6: " in line
    assert "4 such rows of 300" in line
    assert "1%" in line
    # The advice, either way.
    prepared(tmp_path / "task", write_jsonl([row for row in content if row["label"]]), **NAMED, strict=True)
    prepared(tmp_path / "task", write_jsonl([{**row, "label": row["label"] or "a"} for row in content]), **NAMED)


def test_the_part_is_of_each_file_of_a_folder(tmp_path, write_jsonl):
    (tmp_path / "mine").mkdir()
    write_jsonl(rows(500), "mine/train.jsonl")
    write_jsonl([*rows(50)[:48], {"text": "", "label": "a"}], "mine/validation.jsonl")
    assert "validation.jsonl:49: " in refusal(tmp_path / "task", tmp_path / "mine", **NAMED)


def test_a_split_whose_labels_are_all_withheld_is_none_to_test_on(tmp_path, write_jsonl):
    (tmp_path / "mine").mkdir()
    write_jsonl(rows(300), "mine/train.jsonl")
    write_jsonl([{"text": f"t {i}", "label": None} for i in range(50)], "mine/test.jsonl")
    prepared(tmp_path / "task", tmp_path / "mine", **NAMED)
    assert record(tmp_path)["withheld_splits"] == ["test"]


def test_questions_without_an_answer_count_likewise(tmp_path, write_jsonl):
    content = [{"question": f"Which {i}?", "answer": f"{i % 7}"} for i in range(200)]
    content[3]["answer"] = ""
    task = {"format": "record", "train": 60, "validation": 20, "test": 20}
    prepared(tmp_path / "task", write_jsonl(content), **task)
    assert record(tmp_path)["unusable_rows_dropped"] == {"no answer": 1}
    assert "reviews.jsonl:4: " in refusal(tmp_path / "again", write_jsonl(content), **task, strict=True)


# Labels


def numbers(values: list[Any], tmp_path: Path, suffix: str = "csv") -> Path:
    path = tmp_path / f"mine.{suffix}"
    if suffix == "csv":
        path.write_text("text,label\n" + "".join(f'text {i},"{value}"\n' for i, value in enumerate(values)))
    else:
        path.write_text("".join(json.dumps({"text": f"text {i}", "label": v}) + "\n" for i, v in enumerate(values)))
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "values",
    [
        [round((i % 968) / 968 * 5, 4) for i in range(5_000)],
        [(i * 7919) % 100_003 * 10 for i in range(2_000)],
        [f"{i / 30:.2e}" for i in range(300)],
        [i % 25 + 0.5 for i in range(5_000)],
        [-i / 7 for i in range(40)],
        [f"{i / 7:.3f}".replace(".", ",") for i in range(400)],
        [f"{i / 7:.1f} %" for i in range(400)],
        [f"{i / 7:.1f}" if i % 50 else "unknown" for i in range(400)],
    ],
    ids=["fractions", "amounts", "exponents", "few fractions", "negative", "commas", "per cent", "mostly"],
)
def test_numbers_that_measure_something_are_refused_with_what_helps(tmp_path, values, suffix):
    line = refusal(tmp_path / "task", numbers(values, tmp_path, suffix), **NAMED)
    assert f"mine.{suffix}" in line
    assert "'label'" in line
    assert "low and high" in line
    classes = ["low" if i % 3 else "high" for i in range(len(values))]
    prepared(tmp_path / "task", numbers(classes, tmp_path, suffix), **NAMED)
    assert record(tmp_path)["label_names"] == ["high", "low"]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([i % 10 / 2 for i in range(300)], 10),
        ([i % 5 for i in range(300)], 5),
        ([i % 150 for i in range(600)], 150),
        ([f"c{(i * 7919) % 100_003}" for i in range(40)] * 2, 40),
        ([2000 + 100 * (i % 24) for i in range(300)], 24),
    ],
    ids=["half stars", "stars", "numbers of intents", "codes with a letter", "codes that are frequent"],
)
def test_numbers_that_name_classes_are_classes(tmp_path, values, classes):
    prepared(tmp_path / "task", numbers(values, tmp_path), **NAMED)
    assert len(record(tmp_path)["label_names"]) == classes


@pytest.mark.parametrize(
    ("spellings", "one"),
    [
        (["yes", "yes", "Yes", "YES"], "yes"),
        (["1", "1", "1.0", "1.00"], "1"),
        (["not spam", "not spam", "not  spam"], "not spam"),
        (["é", "é", "e\u0301"], "é"),
    ],
)
def test_labels_that_differ_only_in_spelling_are_reported_and_merged_on_request_only(tmp_path, caplog, spellings, one):
    path = numbers([spellings[i // 2 % len(spellings)] if i % 2 else "other" for i in range(240)], tmp_path)
    prepared(tmp_path / "task", path, **NAMED)
    assert set(record(tmp_path)["label_names"]) == {*spellings, "other"}
    (group,) = record(tmp_path)["labels_alike"]
    assert sum(group.values()) == 120
    assert set(group) == set(spellings)
    assert repr(one) in caplog.text
    assert "merge_labels" in caplog.text
    found = by_id(prepared(tmp_path / "task", path, **NAMED, merge_labels=True))
    assert set(record(tmp_path)["label_names"]) == {one, "other"}
    assert all(each.answer == (one if int(name.split("/")[1]) % 2 else "other") for name, each in found.items())
    assert record(tmp_path)["labels_alike"] == [group]


def test_many_whole_numbers_are_classes_and_it_is_said(tmp_path, caplog):
    prepared(tmp_path / "task", numbers([1900 + i % 60 for i in range(300)], tmp_path), **NAMED)
    assert "60 numbers are each a class" in caplog.text


def test_long_whole_numbers_are_told_apart(tmp_path):
    prepared(tmp_path / "task", numbers([10**17 + i % 2 for i in range(240)], tmp_path), **NAMED)
    assert record(tmp_path)["labels_alike"] == []


def test_a_class_without_a_training_sample_is_named(tmp_path, write_jsonl, caplog):
    (tmp_path / "mine").mkdir()
    write_jsonl(rows(100), "mine/train.jsonl")
    write_jsonl(rows(40, "abc"), "mine/test.jsonl")
    prepared(tmp_path / "task", tmp_path / "mine", **NAMED)
    assert record(tmp_path)["classes_without_training_samples"] == ["c"]
    assert "no training sample of 1 classes: 'c'" in caplog.text


# Copies


def test_half_a_file_of_copies_is_said_and_recorded(tmp_path, write_jsonl, caplog):
    prepared(tmp_path / "task", write_jsonl(rows(150) * 2), **NAMED)
    assert record(tmp_path)["duplicates_dropped"] == 150
    assert "150 of 300 samples (50.0%)" in caplog.text
    assert any("150 of 300" in each for each in record(tmp_path)["remarks"])


def test_copies_that_contradict_each_other_are_listed_and_on_request_kept_for_training(tmp_path, write_jsonl, caplog):
    content = [*rows(200), *({"text": f" text  {i}", "label": "ba"[i % 2]} for i in range(30)), *rows(5)]
    path = write_jsonl(content, "mine.jsonl")
    ids = {f"mine/{i}": i for i in range(30)} | {f"mine/{200 + i}": i for i in range(30)}
    ids |= {f"mine/{230 + i}": i for i in range(5)}
    splits = prepared(tmp_path / "task", path, **NAMED)
    assert not by_id(splits).keys() & ids.keys()
    assert read_contradictory(tmp_path / "task") == ids
    assert "65 samples left out" in caplog.text
    info = record(tmp_path)
    assert (info["contradictory_found"], info["contradictory_dropped"]) == (65, 65)
    assert "contradictory.parquet" in info["outputs"]

    splits = prepared(tmp_path / "task", path, **NAMED, keep_contradictory=True)
    kept = [each.sample_id for each in splits["train"] if each.sample_id in ids]
    # All of them, once for each label.
    assert sorted(kept) == sorted({f"mine/{i}" for i in range(30)} | {f"mine/{200 + i}" for i in range(30)})
    assert not [each for split in SPLITS[1:] for each in splits[split] if each.sample_id in ids]
    info = record(tmp_path)
    assert (info["contradictory_found"], info["contradictory_dropped"], info["duplicates_dropped"]) == (65, 0, 5)
    assert read_contradictory(tmp_path / "task") == ids


def test_of_copies_that_contradict_each_other_across_splits_training_keeps_its_own(tmp_path, write_jsonl):
    (tmp_path / "mine").mkdir()
    write_jsonl(rows(100), "mine/train.jsonl")
    write_jsonl([{"text": f"exam {i}", "label": "ab"[i % 2]} for i in range(30)], "mine/test.jsonl")
    with open(tmp_path / "mine" / "test.jsonl", "a") as stream:
        stream.write('{"text": "text 0", "label": "b"}\n')
    splits = prepared(tmp_path / "task", tmp_path / "mine", **{**NAMED, "train": 99}, keep_contradictory=True)
    assert "train/0" in {each.sample_id for each in splits["train"]}
    assert "test/30" not in by_id(splits)
    assert read_contradictory(tmp_path / "task") == {"test/30": 0, "train/0": 0}


def test_without_contradictions_there_is_no_list_and_a_folder_with_one_is_replaced(tmp_path, write_jsonl):
    write_task(tmp_path / "task", write_jsonl([*rows(200), {"text": "text 0", "label": "b"}]), **NAMED)
    assert (tmp_path / "task" / "contradictory.parquet").is_file()
    write_task(tmp_path / "task", write_jsonl(rows(200)), **NAMED)
    assert not (tmp_path / "task" / "contradictory.parquet").exists()
    assert read_contradictory(tmp_path / "task") == {}


# Records of questions


def questions(count: int = 100, **more: Any) -> list[dict[str, Any]]:
    return [{"question": f"Which {i}?", "answer": f"{i % 7}", **more} for i in range(count)]


RECORD: dict[str, Any] = {"format": "record", "train": 60, "validation": 20, "test": 20}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_columns_of_a_record_that_mean_nothing_are_named_with_the_one_that_may_be_meant(tmp_path, caplog, suffix):
    import pandas as pd

    frame = pd.DataFrame(questions(image_path="a.png", difficulty=3))
    path = tmp_path / f"mine.{suffix}"
    if suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    prepared(tmp_path / "task", path, **RECORD)
    assert record(tmp_path)["unknown_columns"] == ["image_path", "difficulty"]
    (line,) = [each for each in record(tmp_path)["remarks"] if "image_path" in each]
    assert line in caplog.text
    assert "'image'" in line
    # The advice.
    (tmp_path / "a.png").write_bytes(b"")
    frame.rename(columns={"image_path": "image"}).to_json(tmp_path / "mine.jsonl", orient="records", lines=True)
    assert "a.png" in refusal(tmp_path / "again", tmp_path / "mine.jsonl", **RECORD)


def test_a_table_of_text_may_have_choices_as_json_and_leave_cells_empty(tmp_path):
    lines = [f'Which {i}?,"[""red"", ""blue""]",{("red", "blue")[i % 2]},,,' for i in range(100)]
    (tmp_path / "mine.csv").write_text("question,choices,answer,context,id,image\n" + "\n".join(lines) + "\n")
    for each in by_id(prepared(tmp_path / "task", tmp_path / "mine.csv", **RECORD)).values():
        assert each.choices == ("red", "blue")
        assert each.sample_id.startswith("mine/")
        assert not each.image


@pytest.mark.parametrize("template", [None, "question", "multiple_choice", "letter"])
def test_the_prompt_of_a_record_has_a_place_for_its_image_if_it_has_one(tmp_path, write_jsonl, write_png, template):
    from hyperinf.data.prompts import load_template, render

    write_png("a.png")
    content = [{**row, "choices": list("0123456")} for row in questions(image="a.png")]
    pictured = {i for i in range(100) if i % 3}
    for i in set(range(100)) - pictured:
        del content[i]["image"]
    # Of one image all are in one split: here each has a copy of its own.
    for i in pictured:
        content[i]["image"] = write_png(f"{i}.png", i).name
    write_task(tmp_path / "task", write_jsonl(content, "mine.jsonl"), **RECORD, template=template)
    (name,) = read_data_info(tmp_path / "task")["templates"].values()
    for split in SPLITS:
        for each in read_samples(tmp_path / "task", split):
            rendered = render(load_template(name), each)
            assert (rendered.before + rendered.context + rendered.after).count("<image>") == bool(each.image)


def test_a_template_without_a_place_for_images_is_refused_for_a_record_that_has_one(tmp_path, write_jsonl, write_png):
    write_png("a.png")
    content = [{**row, "image": write_png(f"{i}.png", i).name} for i, row in enumerate(questions())]
    line = refusal(tmp_path / "task", write_jsonl(content), **RECORD, template="completion")
    assert "'completion'" in line
    for named in ("question", "vqa"):
        assert named in line
        write_task(tmp_path / "task", write_jsonl(content), **RECORD, template=named)
