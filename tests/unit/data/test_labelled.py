"""Texts with labels: what is drawn and flipped, the classes, and the asset ``sarcasm``."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tasks import by_id, prepared, refusal

from hyperinf.data import registry
from hyperinf.data.assets import fetch_asset
from hyperinf.data.formats.labelled import read_headlines
from hyperinf.data.samples import read_data_info
from hyperinf.errors import InputError

STARS = ["bad", "ok", "good"]
REVIEWS: dict[str, Any] = {"text": "text", "label": "stars", "train": 30, "validation": 10, "test": 20}


@pytest.fixture
def reviews(write_jsonl):
    return write_jsonl([{"text": f" review {i}", "stars": STARS[i % 3], "key": f"k{i}"} for i in range(60)])


def test_splits_carry_the_rows_of_the_source_with_all_classes_as_choices(reviews, tmp_path):
    splits = prepared(tmp_path / "task", reviews, **REVIEWS)
    assert {split: len(samples) for split, samples in splits.items()} == {"train": 30, "validation": 10, "test": 20}
    assert read_data_info(tmp_path / "task")["label_names"] == ["bad", "good", "ok"]
    found = by_id(splits)
    assert len(found) == 60
    for name, each in found.items():
        number = int(name.removeprefix("reviews/"))
        assert each.texts == (f" review {number}", None)
        assert (each.choices, each.answer, each.source) == (("bad", "good", "ok"), STARS[number % 3], "reviews")


def test_exactly_the_fraction_is_flipped_in_training_and_the_drawn_samples_stay(reviews, tmp_path):
    clean = prepared(tmp_path / "clean", reviews, **REVIEWS)
    for mode, following in (("uniform", None), ("next", {"bad": "good", "good": "ok", "ok": "bad"})):
        noisy = prepared(tmp_path / mode, reviews, **REVIEWS, label_noise=0.2, noise_mode=mode)
        assert (noisy["validation"], noisy["test"]) == (clean["validation"], clean["test"])
        assert [each.sample_id for each in noisy["train"]] == [each.sample_id for each in clean["train"]]
        assert [each.true_answer for each in noisy["train"]] == [each.answer for each in clean["train"]]
        wrong = [each for each in noisy["train"] if each.answer != each.true_answer]
        assert [each for each in noisy["train"] if each.corruption == "label_noise"] == wrong
        assert len(wrong) == 6
        assert following is None or all(each.answer == following[each.true_answer] for each in wrong)


def test_another_labelled_set_may_be_off_task_and_leaves_the_flips_as_they_are(reviews, write_jsonl, tmp_path):
    other = write_jsonl([{"body": f"mail {i}", "kind": ["ham", "spam"][i % 2]} for i in range(30)], "mails.jsonl")
    mails = {"source": f"path:{other}", "text": "body", "label": "kind"}
    alone = prepared(tmp_path / "alone", reviews, **REVIEWS, label_noise=0.4)["train"]
    task = {**REVIEWS, "label_noise": 0.4, "off_task": 0.3, "off_task_data": mails}
    both = prepared(tmp_path / "both", reviews, **task)["train"]
    assert Counter(each.corruption for each in both) == {"": 9, "label_noise": 12, "off_task": 9}
    for one, two in zip(alone, both, strict=True):
        assert two == one or (two.corruption, one.corruption, two.source) == ("off_task", "", "mails")
    assert read_data_info(tmp_path / "both")["label_names"] is None
    assert read_data_info(tmp_path / "both")["templates"] == {"reviews": "labelled", "mails": "labelled"}


def test_pairs_and_ids_come_from_their_columns(write_jsonl, tmp_path):
    rows = [{"q": f"question {i}", "s": f"answer {i}", "y": i % 2, "key": f"k{i}"} for i in range(12)]
    columns = {"text": "q", "pair": "s", "label": "y", "id": "key"}
    found = by_id(prepared(tmp_path / "task", write_jsonl(rows), **columns, train=8, validation=2, test=2))
    assert {name: each.texts for name, each in found.items()} == {
        f"k{i}": (f"question {i}", f"answer {i}") for i in range(12)
    }


def test_files_of_a_folder_may_be_the_splits_and_each_of_their_rows_is_meant(write_jsonl, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("learn", "exam"):
        write_jsonl([{"text": f"{name} {i}", "stars": i % 2} for i in range(40)], f"mine/{name}.jsonl")
    task = {**REVIEWS, "splits": {"train": "learn.jsonl", "test": "exam.jsonl"}}
    splits = prepared(tmp_path / "task", tmp_path / "mine", **task)
    assert all(each.sample_id.startswith("exam/") for each in splits["test"])
    with open(tmp_path / "mine" / "exam.jsonl", "a") as stream:
        stream.write('{"text": "no stars", "stars": null}\n')
    line = refusal(tmp_path / "again", tmp_path / "mine", **task)
    assert "exam.jsonl:41: no label in column 'stars'" in line


def test_fewer_samples_than_asked_of_a_set_in_the_hubs_layout_are_recorded_and_said(tmp_path, caplog):
    folder = tmp_path / "mine" / "sub"
    folder.mkdir(parents=True)
    for split, count in (("train", 20), ("validation", 10)):
        table = {"text": [f"{split} {i}" for i in range(count)], "stars": [i % 2 for i in range(count)]}
        pq.write_table(pa.table(table), folder / f"{split}-00000-of-00001.parquet")
    task = {**REVIEWS, "subset": "sub", "train": 4500, "validation": 6, "test": 4}
    assert len(prepared(tmp_path / "task", tmp_path / "mine", **task)["train"]) == 20
    info = read_data_info(tmp_path / "task")
    assert (info["asked"]["train"], info["missing"]["train"]) == (4500, 4480)
    assert info["drawn_from"]["test"] == {"validation": 4}
    assert "20 train samples, 4,500 asked for" in caplog.text


@pytest.mark.parametrize(
    ("rows", "drawn"),
    [
        ({"train": 9000, "validation": 1200}, {"train": 4500, "validation": 500, "test": 500}),  # as QNLI, QQP, SST-2
        # As MRPC, RTE, WNLI: training and test share what there is, 4500 to 500.
        ({"train": 3000, "validation": 408}, {"train": 2700, "validation": 408, "test": 300}),
    ],
)
def test_the_published_subsampling_takes_4500_and_500_of_a_glue_task_and_less_of_a_small_one(tmp_path, rows, drawn):
    folder = tmp_path / "glue" / "qqp"
    folder.mkdir(parents=True)
    for split, count in {**rows, "test": 50}.items():
        labels = [-1 if split == "test" else i % 2 for i in range(count)]
        table = {"text": [f"{split} {i}" for i in range(count)], "stars": labels}
        pq.write_table(pa.table(table), folder / f"{split}-00000-of-00001.parquet")
    asked = {"train": 4500, "validation": 500, "test": 500}  # as in the paper
    splits = prepared(tmp_path / "task", folder.parent, **REVIEWS | asked, subset="qqp", label_noise=0.2)
    assert {split: len(samples) for split, samples in splits.items()} == drawn
    assert read_data_info(tmp_path / "task")["corrupted"]["label_noise"] == round(0.2 * drawn["train"])
    assert len(by_id(splits)) == sum(drawn.values())


def headlines(count: int) -> bytes:
    system = {"role": "system", "content": "Respond with only a 1 or 0 to signify if it includes sarcasm"}
    lines = [
        {"input": [system, {"role": "user", "content": f"headline {i}"}], "ideal": str(i % 2)} for i in range(count)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@pytest.fixture
def sarcasm(make_asset, monkeypatch):
    """Put content into the asset's place; gives the settings of a task that reads it."""

    def use(content: bytes) -> dict[str, Any]:
        member = "toy/samples.jsonl"
        asset, wheel = make_asset({member: content}, member=member, name="sarcasm", kind="data")
        monkeypatch.setitem(registry.ASSETS, "sarcasm", asset)
        sizes = {"train": 25, "validation": 10, "test": 5}
        return {"source": "asset:sarcasm", "text": "text", "label": "label", "wheels": [str(wheel)], **sizes}

    return use


def test_the_sarcasm_asset_gives_headlines_out_of_chats(sarcasm, tmp_path):
    task = sarcasm(headlines(40))
    splits = prepared(tmp_path / "more", **task | {"test": 25})
    assert [len(splits[split]) for split in ("train", "validation", "test")] == [18, 6, 16]
    found = by_id(prepared(tmp_path / "task", **task))
    assert read_data_info(tmp_path / "task")["label_names"] == ["not sarcastic", "sarcastic"]
    assert sorted(found) == [f"sarcasm/{number:06d}" for number in range(40)]
    for name, each in found.items():
        number = int(name.removeprefix("sarcasm/"))
        assert each.texts == (f"headline {number}", None)
        assert each.choices.index(each.answer) == number % 2


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"nonsense",
        b'{"input": [], "ideal": "1"}',
        headlines(1).replace(b'"ideal": "0"', b'"ideal": "2"').strip(),
    ],
)
def test_a_line_of_the_sarcasm_file_that_is_no_headline_is_named(sarcasm, tmp_path, line):
    assert "samples.jsonl:3: " in refusal(tmp_path / "task", **sarcasm(headlines(2) + line + b"\n"))


def test_the_sarcasm_asset_has_two_columns_and_other_assets_have_no_labels(sarcasm, tmp_path):
    task = sarcasm(headlines(4))
    line = refusal(tmp_path / "task", **task | {"text": "headline"})
    assert "got columns text, label, expected 'headline'" in line
    line = refusal(tmp_path / "task", **task | {"source": "asset:logiqa"})
    assert line == "asset:logiqa: got format 'labelled', expected logiqa_evals"


@pytest.mark.assets
def test_the_real_sarcasm_asset_has_28498_headlines_that_are_nearly_balanced(tmp_path):
    try:
        folder = fetch_asset("sarcasm", tmp_path)
    except InputError as error:
        if any(reason in str(error) for reason in ("cannot be reached", "no package index has it", "has no pip")):
            pytest.skip(f"no package index with the asset: {error}")
        raise
    rows = [row for _, row in read_headlines(Path(folder) / "samples.jsonl")]
    assert len(rows) == 28_614
    label = {row["text"]: row["label"] for row in rows}
    assert len(label) == 28_498
    assert Counter(label.values())["not sarcastic"] / len(label) == pytest.approx(0.52, abs=0.006)
    assert label["thirtysomething scientists unveil doomsday clock of hair loss"] == "sarcastic"
