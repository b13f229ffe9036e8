import random
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hyperinf.data.sources.text_files as text_files
from hyperinf.data.origin import Origin
from hyperinf.data.reading import read_source
from hyperinf.data.samples import Sample
from hyperinf.data.sources.tables import rows_about
from hyperinf.errors import InputError
from hyperinf.settings.data import DataSettings


def samples(path: Path, **columns: str) -> list[Sample]:
    data = DataSettings(**{"source": f"path:{path}", "text": "text", "label": "label", **columns})
    corpus = read_source(Origin(data), data.splits, path.parent / "cache")
    (found,) = corpus.splits.values()
    return list(found)


def labelled(sample_id: str, text: str, label: str, pair: str = "", classes: str = "neg pos") -> Sample:
    return Sample(sample_id, text, pair, tuple(classes.split()), label, label, source="reviews")


def refusal(path: Path, **columns: str) -> str:
    with pytest.raises(InputError) as error:
        samples(path, **columns)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    return str(error.value)


@pytest.fixture
def write(tmp_path):
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


EXPECTED = [
    labelled("reviews/0", "good, very", "pos"),
    labelled("reviews/1", 'a "bad"\none', "neg"),
    labelled("reviews/2", "größe 😀", "pos"),
    labelled("reviews/3", "NA", "neg"),
]
CSV = 'text,label\n"good, very",pos\n"a ""bad""\none",neg\n\ngröße 😀,pos\nNA,neg\n'


def test_csv_keeps_quotes_line_breaks_and_words_that_look_like_missing_values(write):
    assert samples(write("reviews.csv", CSV)) == EXPECTED


def test_a_byte_order_mark_is_no_part_of_the_first_column(write):
    assert samples(write("reviews.csv", b"\xef\xbb\xbf" + CSV.encode())) == EXPECTED


def test_tsv_is_read_alike(write):
    content = 'label\ttext\npos\tgood, very\nneg\t"a ""bad""\none"\npos\tgröße 😀\nneg\tNA\n'
    assert samples(write("reviews.TSV", content)) == EXPECTED


def test_json_lines_are_read_alike(write_jsonl):
    rows = [{"text": each.context, "label": each.answer, "more": [1]} for each in EXPECTED]
    assert samples(write_jsonl(rows)) == EXPECTED


def test_parquet_is_read_alike(tmp_path):
    rows = [{"text": each.context, "label": each.answer, "more": [1]} for each in EXPECTED]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "reviews.parquet", row_group_size=2)
    assert samples(tmp_path / "reviews.parquet") == EXPECTED


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", "a", "b", "a"], ("a", "b")),
        ([10, 9, 10, -1, 9, 9], ("-1", "9", "10")),
        ([True, False, True, True], ("false", "true")),
        ([1.0, 0.0, 1.0, 1.0], ("0", "1")),
        (["10", "9", "10", "9"], ("9", "10")),
    ],
    ids=["strings", "integers", "bools", "whole floats", "integers as strings"],
)
def test_class_names_are_sorted_by_value_or_by_letter(write_jsonl, values, names):
    path = write_jsonl([{"text": f"t{index}", "label": value} for index, value in enumerate(values)])
    assert samples(path)[0].choices == names


def test_pairs_and_ids_come_from_their_columns(write_jsonl):
    rows = [{"a": "one", "b": "two", "y": 0, "key": 7}, {"a": "three", "b": "four", "y": 1, "key": "x-8"}]
    assert samples(write_jsonl(rows), text="a", label="y", pair="b", id="key") == [
        labelled("7", "one", "0", "two", "0 1"),
        labelled("x-8", "three", "1", "four", "0 1"),
    ]


def test_a_missing_column_is_named_beside_those_there(write, write_jsonl, tmp_path):
    assert "got columns text, stars, expected 'label' among them" in refusal(write("reviews.csv", "text,stars\na,1\n"))
    assert "reviews.jsonl:2: got columns label, expected 'text' among them" in refusal(
        write_jsonl([{"text": "a", "label": 1}, {"label": 0}])
    )
    pq.write_table(pa.table({"text": ["a"], "stars": [1]}), tmp_path / "reviews.parquet")
    assert "got columns text, stars, expected 'label' among them" in refusal(tmp_path / "reviews.parquet")


def test_a_file_without_rows_is_refused(write, tmp_path):
    assert "empty file" in refusal(write("reviews.csv", ""))
    assert "got no row with an answer" in refusal(write("reviews.csv", "text,label\n"))
    assert "got no row with an answer" in refusal(write("reviews.jsonl", "\n\n"))
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}), tmp_path / "e.parquet"
    )
    assert "got no row with an answer" in refusal(tmp_path / "e.parquet")


def test_a_line_that_is_no_json_object_is_named(write):
    good = '{"text": "a", "label": 0}\n'
    assert "reviews.jsonl:2: got what is not JSON (" in refusal(
        write("reviews.jsonl", good + '{"text": "b", "label"\n')
    )
    assert "reviews.jsonl:3: got a list, expected a JSON object" in refusal(
        write("reviews.jsonl", good + good + "[1]\n")
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "", "label": 0}, "no text in column 'text'"),
        ({"text": "  \t", "label": 0}, "no text in column 'text'"),
        ({"text": None, "label": 0}, "no text in column 'text'"),
        ({"text": 5, "label": 0}, "got 5 in column 'text', expected a string"),
        ({"text": "a", "label": None}, "no label in column 'label'"),
        ({"text": "a", "label": " "}, "no label in column 'label'"),
        ({"text": "a", "label": ["x"]}, "got label ['x'] in column 'label'"),
    ],
)
def test_a_row_without_text_or_label_is_refused_by_its_line(write_jsonl, row, reason):
    assert f"reviews.jsonl:3: {reason}" in refusal(
        write_jsonl([{"text": "a", "label": 0}, {"text": "b", "label": 1}, row])
    )


def test_a_csv_row_is_named_by_the_line_it_ends_on(write):
    assert "reviews.csv:5: no label" in refusal(write("reviews.csv", 'text,label\n"two\nlines",1\na,0\nb,\n'))
    assert "reviews.csv:3: got 3 fields, expected 2" in refusal(write("reviews.csv", "text,label\na,1\nb,c,0\n"))
    assert "reviews.csv:2: " in refusal(write("reviews.csv", 'text,label\n"never closed,1\n'))


def test_a_parquet_row_is_named_by_its_number(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b", None], "label": [0, 1, 1]}), tmp_path / "r.parquet", row_group_size=1)
    assert "r.parquet:3: no text" in refusal(tmp_path / "r.parquet")


def test_a_file_that_is_not_utf8_is_refused(write):
    assert "expected UTF-8" in refusal(write("reviews.csv", "text,label\ngröße,1\n".encode("latin-1")))
    assert "expected UTF-8" in refusal(write("reviews.jsonl", '{"text": "größe", "label": 1}\n'.encode("latin-1")))


def test_a_truncated_parquet_file_is_refused(tmp_path):
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"text": ["a", "b"] * 100, "label": [0, 1] * 100}), path)
    path.write_bytes(path.read_bytes()[:-10])
    assert "expected a whole Parquet file" in refusal(path)


def test_an_unknown_file_type_and_a_missing_file_are_refused(write, tmp_path):
    line = refusal(write("reviews.xlsx", "x"))
    assert "got file type '.xlsx', expected one of .csv, .json, .jsonl, .ndjson, .parquet, .tsv, .txt" in line
    assert "no such file" in refusal(tmp_path / "absent.csv")


def test_a_label_column_that_is_none_is_refused(write_jsonl):
    same = [{"text": f"t{index}", "label": "spam"} for index in range(4)]
    assert "got only class 'spam' in label column 'label'" in refusal(write_jsonl(same))
    score = [{"text": f"t{index}", "label": f"{index / 7:.3f}"} for index in range(20)]
    assert "20 different numbers in 20 rows" in refusal(write_jsonl(score))


def test_ids_that_are_no_ids_are_refused(write_jsonl):
    rows = [{"text": "a", "label": 0, "key": 1}, {"text": "b", "label": 1, "key": "1"}]
    assert "sample id '1' twice" in refusal(write_jsonl(rows), id="key")
    rows[1]["key"] = None
    assert "reviews.jsonl:2: no sample id in column 'key'" in refusal(write_jsonl(rows), id="key")
    rows[1]["key"] = 1.5
    assert "reviews.jsonl:2: got sample id 1.5 in column 'key'" in refusal(write_jsonl(rows), id="key")


def test_a_column_name_that_occurs_twice_is_refused(write):
    assert "got a column name twice" in refusal(write("reviews.csv", "text,label,text\na,1,b\n"))


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".json", ".csv.gz"])
def test_a_file_knows_about_how_many_rows_it_has(tmp_path, suffix, rows):
    path = tmp_path / f"mine{suffix}"
    frame = pd.DataFrame({"text": ["a, b"] * rows, "label": ["c"] * rows})
    if suffix in (".jsonl", ".json"):
        frame.to_json(path, orient="records", lines=suffix == ".jsonl")
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    if rows or suffix != ".jsonl":  # pandas writes an empty line for none
        assert rows_about(path) == (None if suffix == ".json" else rows)
    assert rows_about(tmp_path / "nowhere.csv") is None
    (tmp_path / "damaged.csv.gz").write_bytes(b"no gzip")
    assert rows_about(tmp_path / "damaged.csv.gz") is None


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_the_rows_of_a_large_packed_file_are_told_from_its_beginning(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(text_files, "_MEBIBYTES", 3)
    draw, rows, path = random.Random(0), 100_000, tmp_path / f"large.jsonl{suffix}"
    with pa.output_stream(str(path), compression=text_files._PACKED[suffix]) as stream:
        for _ in range(rows):
            stream.write(b'{"text": "%d", "label": "a"}\n' % draw.getrandbits(200))
    assert rows_about(path) == pytest.approx(rows, rel=0.35)
