import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from hyperinf.data import registry
from hyperinf.data.sources import Source
from hyperinf.data.text import SPLITS, TextTaskConfig, prepare_text_task, read_info, read_split
from hyperinf.errors import InputError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def reviews(write_jsonl):
    return write_jsonl(
        [{"text": f"review {i}", "stars": ["bad", "ok", "good"][i % 3], "key": f"k{i}"} for i in range(60)]
    )


def config(path: Path, **changes: Any) -> TextTaskConfig:
    values: dict[str, Any] = {
        "source": Source("path", str(path)),
        "text": "text",
        "label": "stars",
        "train": 30,
        "validation": 10,
        "test": 20,
        "noise_rate": 0.2,
        "seed": 11,
    }
    return TextTaskConfig(**{**values, **changes})


def test_splits_carry_the_rows_of_the_source(reviews, tmp_path):
    prepare_text_task(config(reviews), tmp_path / "task")
    names = read_info(tmp_path / "task")["label_names"]
    assert names == ["bad", "good", "ok"]
    seen = []
    for split, count in (("train", 30), ("validation", 10), ("test", 20)):
        samples = read_split(tmp_path / "task", split)
        assert len(samples) == count
        assert samples.pairs is None
        for sample_id, text, true in zip(samples.sample_ids, samples.texts, samples.true_labels, strict=True):
            number = int(sample_id.removeprefix("reviews/"))
            assert text == f"review {number}"
            assert names[true] == ["bad", "ok", "good"][number % 3]
            seen.append(number)
    assert sorted(seen) == list(range(60))


def test_exactly_the_noise_rate_is_flipped_in_training_and_nothing_elsewhere(reviews, tmp_path):
    prepare_text_task(config(reviews), tmp_path / "task")
    for split, expected in (("train", 6), ("validation", 0), ("test", 0)):
        samples = read_split(tmp_path / "task", split)
        differing = [a != b for a, b in zip(samples.labels, samples.true_labels, strict=True)]
        assert differing == samples.flipped
        assert sum(differing) == expected


def test_the_noise_rate_changes_labels_and_not_the_drawn_samples(reviews, tmp_path):
    prepare_text_task(config(reviews), tmp_path / "noisy")
    prepare_text_task(config(reviews, noise_rate=0.0), tmp_path / "clean")
    noisy, clean = read_split(tmp_path / "noisy", "train"), read_split(tmp_path / "clean", "train")
    assert noisy.sample_ids == clean.sample_ids
    assert noisy.true_labels == clean.true_labels == clean.labels


def test_the_same_configuration_writes_the_same_bytes_and_another_seed_others(reviews, tmp_path):
    for name, seed in (("one", 11), ("two", 11), ("three", 12)):
        prepare_text_task(config(reviews, seed=seed), tmp_path / name)
    files = [*(f"{split}.parquet" for split in SPLITS), "info.json"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(files)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        assert (tmp_path / "one" / file).read_bytes() != (tmp_path / "three" / file).read_bytes()


def test_the_columns_of_the_files_are_those_the_other_stages_read(reviews, tmp_path):
    prepare_text_task(config(reviews), tmp_path / "task")
    schema = pq.read_schema(tmp_path / "task" / "train.parquet")
    assert [(field.name, str(field.type)) for field in schema] == [
        ("sample_id", "string"),
        ("text", "string"),
        ("text_pair", "string"),
        ("label", "int64"),
        ("true_label", "int64"),
        ("flipped", "bool"),
    ]


def test_the_description_counts_every_split_and_class(reviews, tmp_path):
    prepare_text_task(config(reviews, id_column="key"), tmp_path / "task")
    info = json.loads((tmp_path / "task" / "info.json").read_text())
    assert info["source"] == f"path:{reviews}"
    assert (info["noise_rate"], info["flipped"], info["seed"], info["subset"]) == (0.2, 6, 11, None)
    assert info["asked"] == {"train": 30, "validation": 10, "test": 20}
    assert info["drawn_from"] == {split: {"reviews": info["asked"][split]} for split in SPLITS}
    assert len(bytes.fromhex(info["content_sha256"])) == 32
    for split in SPLITS:
        samples = read_split(tmp_path / "task", split)
        assert all(sample_id.startswith("k") for sample_id in samples.sample_ids)
        counts = info["counts"][split]
        assert counts["samples"] == info["asked"][split]
        for index, name in enumerate(info["label_names"]):
            assert counts["label"][name] == samples.labels.count(index)
            assert counts["true_label"][name] == samples.true_labels.count(index)


def test_the_content_hash_depends_on_the_content_alone(reviews, write_jsonl, tmp_path):
    def digest(path: Path) -> str:
        prepare_text_task(config(path), tmp_path / "task")
        return read_info(tmp_path / "task")["content_sha256"]

    rows = [json.loads(line) for line in reviews.read_text().splitlines()]
    before = digest(reviews)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "reviews.parquet")
    assert digest(tmp_path / "reviews.parquet") == before
    rows[7]["text"] += "!"
    assert digest(write_jsonl(rows)) != before


def test_pairs_are_kept_beside_their_texts(write_jsonl, tmp_path):
    rows = [{"q": f"question {i}", "s": f"answer {i}", "stars": i % 2} for i in range(12)]
    prepare_text_task(config(write_jsonl(rows), text="q", pair="s", train=8, validation=2, test=2), tmp_path / "task")
    samples = read_split(tmp_path / "task", "train")
    assert samples.pairs == [text.replace("question", "answer") for text in samples.texts]


def test_duplicates_and_contradictions_are_counted_and_said(write_jsonl, tmp_path, caplog):
    rows = [{"text": f"t {i}", "stars": i % 2} for i in range(20)]
    rows += [{"text": "t 3", "stars": 1}, {"text": "t 4 ", "stars": 0}, {"text": "t 5", "stars": 0}]
    with caplog.at_level(logging.WARNING, logger="hyperinf"):
        prepare_text_task(config(write_jsonl(rows), train=15, validation=2, test=2), tmp_path / "task")
    info = read_info(tmp_path / "task")
    assert info["duplicates_dropped"] == 2
    assert info["contradictory_dropped"] == 2
    assert info["contradictory_first_ids"] == ["reviews/5", "reviews/22"]
    assert "2 samples left out, whose texts have two labels (reviews/5)" in caplog.text


def test_fewer_samples_than_asked_of_a_set_in_the_hubs_layout_are_recorded_and_said(tmp_path, caplog):
    folder = tmp_path / "mine" / "sub"
    folder.mkdir(parents=True)
    for split, count in (("train", 20), ("validation", 10)):
        table = {"text": [f"{split} {i}" for i in range(count)], "stars": [i % 2 for i in range(count)]}
        pq.write_table(pa.table(table), folder / f"{split}-00000-of-00001.parquet")
    with caplog.at_level(logging.WARNING, logger="hyperinf"):
        prepare_text_task(
            config(tmp_path / "mine", subset="sub", train=4500, validation=6, test=4, cache=tmp_path / "cache"),
            tmp_path / "task",
        )
    info = read_info(tmp_path / "task")
    assert info["counts"]["train"]["samples"] == 20
    assert info["asked"]["train"] == 4500
    assert info["drawn_from"]["test"] == {"validation": 4}
    assert "20 train samples, 4500 asked for" in caplog.text


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
    paper = yaml.safe_load((ROOT / "workflow/config/paper.yaml").read_text(encoding="utf-8"))["mislabel"]
    asked = {role: paper[role] for role in SPLITS}
    prepare_text_task(
        config(folder.parent, subset="qqp", cache=tmp_path / "cache", **asked),
        tmp_path / "task",
    )
    info = read_info(tmp_path / "task")
    assert {role: info["counts"][role]["samples"] for role in SPLITS} == drawn
    assert info["flipped"] == round(0.2 * drawn["train"])
    used = [sample for role in SPLITS for sample in read_split(tmp_path / "task", role).sample_ids]
    assert len(set(used)) == len(used) == sum(drawn.values())


def headlines(count: int) -> bytes:
    system = {
        "role": "system",
        "content": "Respond with only a 1 or 0 to signify if the user's message includes sarcasm",
    }
    lines = [
        {"input": [system, {"role": "user", "content": f"headline {i}"}], "ideal": str(i % 2)} for i in range(count)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@pytest.fixture
def sarcasm(make_asset, monkeypatch):
    def use(content: bytes) -> Path:
        member = "toy/samples.jsonl"
        asset, wheel = make_asset({member: content}, member=member, name="sarcasm", kind="data")
        monkeypatch.setitem(registry.ASSETS, "sarcasm", asset)
        return wheel

    return use


def test_the_sarcasm_asset_gives_headlines_out_of_chats(sarcasm, tmp_path):
    wheel = sarcasm(headlines(40))
    task = config(wheel, source=Source("asset", "sarcasm"), label="label", cache=tmp_path / "cache", wheels=(wheel,))
    with pytest.raises(InputError, match="40 different samples, but 60 are asked for"):
        prepare_text_task(task, tmp_path / "task")
    task = config(
        wheel,
        source=Source("asset", "sarcasm"),
        label="label",
        cache=tmp_path / "cache",
        wheels=(wheel,),
        test=5,
        train=25,
    )
    prepare_text_task(task, tmp_path / "task")
    samples = read_split(tmp_path / "task", "train")
    assert read_info(tmp_path / "task")["label_names"] == ["not sarcastic", "sarcastic"]
    for sample_id, text, true in zip(samples.sample_ids, samples.texts, samples.true_labels, strict=True):
        number = int(sample_id.removeprefix("sarcasm/"))
        assert sample_id == f"sarcasm/{number:06d}"
        assert text == f"headline {number}"
        assert true == number % 2


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[1]",
        b"nonsense",
        b'{"input": [], "ideal": "1"}',
        headlines(1).replace(b'"ideal": "0"', b'"ideal": "2"').strip(),
    ],
)
def test_a_line_of_the_sarcasm_file_that_is_no_headline_is_named(sarcasm, tmp_path, line):
    wheel = sarcasm(headlines(2) + line + b"\n")
    task = config(wheel, source=Source("asset", "sarcasm"), label="label", cache=tmp_path / "cache", wheels=(wheel,))
    with pytest.raises(InputError, match=r"samples\.jsonl:3: not a headline with an answer 0 or 1"):
        prepare_text_task(task, tmp_path / "task")


def test_the_sarcasm_asset_has_two_columns(sarcasm, tmp_path):
    wheel = sarcasm(headlines(4))
    task = config(wheel, source=Source("asset", "sarcasm"), text="headline", cache=tmp_path / "cache", wheels=(wheel,))
    with pytest.raises(InputError, match="asset:sarcasm: no column 'headline'; it has text, label"):
        prepare_text_task(task, tmp_path / "task")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"train": 0}, "train samples: 0 asked for, expected at least 1"),
        ({"validation": -1}, "validation samples: -1 asked for"),
        ({"test": 0}, "test samples: 0 asked for"),
        ({"noise_rate": 1.2}, "noise rate is 1.2"),
        ({"noise_rate": -0.1}, "noise rate is -0.1"),
        ({"seed": -1}, "seed is -1"),
        ({"pair": "text"}, "column 'text' is named twice"),
        ({"label": "text"}, "column 'text' is named twice"),
        ({"revision": "main"}, "a revision .'main'. exists on the hub only"),
        ({"subset": "qnli"}, "has no subsets, but 'qnli' is asked for"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(reviews, changes, line):
    with pytest.raises(InputError, match=line):
        config(reviews, **changes)


def test_a_split_that_a_single_file_cannot_have_is_refused(reviews, tmp_path):
    with pytest.raises(InputError, match="no split 'dev' for validation; it has 'reviews'"):
        prepare_text_task(config(reviews, split_validation="dev"), tmp_path / "task")


def test_assets_that_are_no_text_classification_sets_are_refused(reviews, tmp_path):
    with pytest.raises(InputError, match="asset:easy_vqa: not a text classification set; asset:sarcasm is"):
        prepare_text_task(config(reviews, source=Source("asset", "easy_vqa")), tmp_path / "task")


def test_a_refused_task_leaves_nothing_behind(reviews, tmp_path):
    with pytest.raises(InputError):
        prepare_text_task(config(reviews, train=1000), tmp_path / "out" / "task")
    assert not (tmp_path / "out").exists()


def test_an_existing_task_is_replaced_and_any_other_folder_is_left_alone(reviews, tmp_path):
    prepare_text_task(config(reviews), tmp_path / "task")
    prepare_text_task(config(reviews, noise_rate=0.0), tmp_path / "task")
    assert read_info(tmp_path / "task")["flipped"] == 0
    (tmp_path / "task" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"holds 'thesis\.tex', which is no part of a task"):
        prepare_text_task(config(reviews), tmp_path / "task")
    with pytest.raises(InputError, match=r"reviews\.jsonl: is a file"):
        prepare_text_task(config(reviews), reviews)
    with pytest.raises(InputError, match="cannot be written"):
        prepare_text_task(config(reviews), reviews / "task")


def test_a_split_that_cannot_be_read_is_named(reviews, tmp_path):
    with pytest.raises(InputError, match="split 'dev' is not known; known are train, validation, test"):
        read_split(tmp_path, "dev")
    with pytest.raises(InputError, match=r"train\.parquet: no such file"):
        read_split(tmp_path, "train")
    prepare_text_task(config(reviews), tmp_path / "task")
    path = tmp_path / "task" / "train.parquet"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"train\.parquet: not a whole Parquet file"):
        read_split(tmp_path / "task", "train")
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(InputError, match=r"train\.parquet: not a split of a text task"):
        read_split(tmp_path / "task", "train")


def test_a_description_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"info\.json: no such file"):
        read_info(tmp_path)
    (tmp_path / "info.json").write_text("{}")
    with pytest.raises(InputError, match=r"info\.json: not the description of a text task"):
        read_info(tmp_path)
