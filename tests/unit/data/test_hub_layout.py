import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_sets import GLUE, write_glue, write_split
from hub_sets import glue_rows as rows

from hyperinf.data.origin import Origin
from hyperinf.data.reading import read_source
from hyperinf.data.sampling import Corpus
from hyperinf.errors import InputError
from hyperinf.settings.data import DataSettings


@pytest.fixture
def glue(tmp_path):
    def write(subset: str) -> Path:
        write_glue(tmp_path / "glue", subset)
        return tmp_path / "glue"

    return write


def read(folder: Path | str, cache: Path, text: str = "text", **settings: str | dict[str, str] | None) -> Corpus:
    source = folder if isinstance(folder, str) else f"path:{folder}"
    data = DataSettings(**{"source": source, "text": text, "label": "label", **settings})
    return read_source(Origin(data), data.splits, cache)


@pytest.mark.parametrize("subset", GLUE)
def test_every_glue_subset_of_the_paper_is_read_from_a_local_copy(glue, tmp_path, subset):
    text, pair, classes = GLUE[subset]
    corpus = read(glue(subset), tmp_path / "cache", text, pair=pair, subset=subset)
    assert {name: len(samples) for name, samples in corpus.splits.items()} == {"train": 12, "validation": 6}
    assert corpus.hidden == ("test",)
    third = corpus.splits["train"][3]
    assert (third.sample_id, third.answer, third.choices) == ("train/3", classes[1], tuple(classes))
    assert third.texts == ("train text 3", "train pair 3" if pair else None)


def test_only_the_cache_is_written_to_and_nothing_is_printed(glue, tmp_path, capfd):
    folder = glue("rte")
    before = sorted(folder.rglob("*"))
    read(folder, tmp_path / "cache", "sentence1", pair="sentence2", subset="rte")
    assert sorted(folder.rglob("*")) == before
    assert (tmp_path / "cache" / "datasets").is_dir()
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_plain_files_is_read_by_their_names(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.csv").write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(8)))
    (folder / "validation.csv").write_text("text,label\nv 1,a\nv 2,b\n")
    corpus = read(folder, tmp_path / "cache")
    assert corpus.splits["train"][0].choices == ("a", "b")
    assert [each.sample_id for each in corpus.splits["validation"]] == ["validation/0", "validation/1"]


def test_a_readme_may_say_where_a_subset_lies(tmp_path):
    folder = tmp_path / "mine"
    write_split(folder / "files" / "one.parquet", rows("train", 8, "text", None))
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: first\n  data_files:\n  - split: train\n    path: files/one.parquet\n---\n"
    )
    corpus = read(folder, tmp_path / "cache", subset="first")
    assert [len(samples) for samples in corpus.splits.values()] == [8]


def test_a_file_that_has_changed_is_read_anew(glue, tmp_path):
    folder = glue("cola")
    assert len(read(folder, tmp_path / "cache", "sentence", subset="cola").splits["train"]) == 12
    path = folder / "cola" / "train-00000-of-00001.parquet"
    write_split(path, rows("train", 10, "sentence", None), {"label": GLUE["cola"][2]})
    os.utime(path, ns=(path.stat().st_mtime_ns + 10**9,) * 2)
    assert len(read(folder, tmp_path / "cache", "sentence", subset="cola").splits["train"]) == 10


def test_rows_without_text_or_label_are_left_out_and_the_others_keep_their_ids(tmp_path):
    table = rows("train", 8, "text", None)
    table[2]["text"] = " "
    table[5]["label"] = -1
    write_split(tmp_path / "mine" / "train.parquet", table, {"label": ["no", "yes"]})
    corpus = read(tmp_path / "mine", tmp_path / "cache")
    assert [each.sample_id for each in corpus.splits["train"]] == [f"train/{index}" for index in (0, 1, 3, 4, 6, 7)]
    assert corpus.unusable == {"no answer": 1, "no text in column 'text'": 1}


def test_minus_one_is_a_class_where_classes_are_plain_numbers_and_others_are_there(tmp_path):
    table = rows("train", 9, "text", None)
    for index, row in enumerate(table):
        row["label"] = index % 3 - 1
    write_split(tmp_path / "mine" / "train.parquet", table)
    assert read(tmp_path / "mine", tmp_path / "cache").splits["train"][0].choices == ("-1", "0", "1")


def test_ids_from_a_column_are_told_apart_by_split(glue, tmp_path):
    corpus = read(glue("sst2"), tmp_path / "cache", "sentence", id="idx", subset="sst2")
    assert corpus.splits["train"][0].sample_id == "train/0"
    assert corpus.splits["validation"][0].sample_id == "validation/0"


def test_splits_that_no_role_needs_are_not_read(tmp_path):
    folder = tmp_path / "mine"
    write_split(folder / "train.parquet", rows("train", 8, "text", None))
    write_split(folder / "dev.parquet", rows("dev", 8, "text", None))
    write_split(folder / "test.parquet", rows("test", 8, "text", None))
    corpus = read(folder, tmp_path / "cache", splits={"test": "validation"})
    assert set(corpus.splits) == {"train", "validation"}


def refusal(*arguments, **options) -> str:
    with pytest.raises(InputError) as error:
        read(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_column_is_named_with_its_split_and_those_there(glue, tmp_path):
    line = refusal(glue("rte"), tmp_path / "cache", "sentence", subset="rte")
    assert line.endswith(
        "rte, split 'train': got columns sentence1, sentence2, label, idx, expected 'sentence' among them"
    )


def test_an_unknown_subset_is_refused_with_those_there(glue, tmp_path):
    assert "subset 'mnli', expected one of its sub-folders: rte" in refusal(
        glue("rte"), tmp_path / "cache", "sentence1", subset="mnli"
    )


def test_a_missing_and_an_empty_folder_are_refused(tmp_path):
    assert "no such file or folder" in refusal(tmp_path / "absent", tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    assert "empty: cannot be loaded (" in refusal(tmp_path / "empty", tmp_path / "cache")


def test_a_truncated_file_is_refused(glue, tmp_path):
    folder = glue("rte")
    path = folder / "rte" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be loaded (" in refusal(folder, tmp_path / "cache", "sentence1", subset="rte")


def test_a_loading_script_is_never_run(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    trace = tmp_path / "was run"
    (folder / "mine.py").write_text(f"open({str(trace)!r}, 'w')\n")
    refusal(folder, tmp_path / "cache")
    assert not trace.exists()


def test_labels_that_are_all_withheld_are_refused(tmp_path):
    write_split(tmp_path / "mine" / "test.parquet", rows("test", 5, "text", None, hidden=True))
    assert "got no row with an answer" in refusal(tmp_path / "mine", tmp_path / "cache")


def test_a_regression_target_is_refused(tmp_path):
    table = rows("train", 6, "text", None)
    for row, label in zip(table, [0.5, 1.0, 2.5, 3.0, 4.5, 5.0], strict=True):
        row["label"] = label
    write_split(tmp_path / "mine" / "train.parquet", table)
    assert "got 6 different numbers in 6 rows of label column 'label'" in refusal(tmp_path / "mine", tmp_path / "cache")


def test_a_set_that_the_hub_cannot_give_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"hub:nyu-mll/glue \(qnli\): cannot be loaded \(") as error:
        read("hub:nyu-mll/glue", tmp_path / "cache", "question", subset="qnli")
    assert "\n" not in str(error.value)


def test_integer_columns_are_no_text(tmp_path):
    (tmp_path / "mine").mkdir()
    pq.write_table(pa.table({"text": [1, 2, 3], "label": [0, 1, 0]}), tmp_path / "mine" / "train.parquet")
    assert "split 'train', row 0: got 1 in column 'text', expected a string" in refusal(
        tmp_path / "mine", tmp_path / "cache"
    )
