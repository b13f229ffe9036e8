from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hyperinf.data.examples import Columns, Example
from hyperinf.data.tables import read_table
from hyperinf.errors import InputError

COLUMNS = Columns("text", "label")


def examples(path: Path, columns: Columns = COLUMNS) -> list[Example]:
    (found,) = read_table(path, columns).splits.values()
    return list(found)


def refusal(path: Path, columns: Columns = COLUMNS) -> str:
    with pytest.raises(InputError) as error:
        read_table(path, columns)
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
    Example("reviews/0", "good, very", None, "pos"),
    Example("reviews/1", 'a "bad"\none', None, "neg"),
    Example("reviews/2", "größe 😀", None, "pos"),
    Example("reviews/3", "NA", None, "neg"),
]
CSV = 'text,label\n"good, very",pos\n"a ""bad""\none",neg\n\ngröße 😀,pos\nNA,neg\n'


def test_csv_keeps_quotes_line_breaks_and_words_that_look_like_missing_values(write):
    assert examples(write("reviews.csv", CSV)) == EXPECTED


def test_a_byte_order_mark_is_no_part_of_the_first_column(write):
    assert examples(write("reviews.csv", b"\xef\xbb\xbf" + CSV.encode())) == EXPECTED


def test_tsv_is_read_alike(write):
    content = 'label\ttext\npos\tgood, very\nneg\t"a ""bad""\none"\npos\tgröße 😀\nneg\tNA\n'
    assert examples(write("reviews.TSV", content)) == EXPECTED


def test_json_lines_are_read_alike(write_jsonl):
    rows = [{"text": each.text, "label": each.label, "more": [1]} for each in EXPECTED]
    assert examples(write_jsonl(rows)) == EXPECTED


def test_parquet_is_read_alike(tmp_path):
    rows = [{"text": each.text, "label": each.label, "more": [1]} for each in EXPECTED]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "reviews.parquet", row_group_size=2)
    assert examples(tmp_path / "reviews.parquet") == EXPECTED


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
    assert read_table(path, COLUMNS).label_names == names


def test_pairs_and_ids_come_from_their_columns(write_jsonl):
    rows = [{"a": "one", "b": "two", "y": 0, "key": 7}, {"a": "three", "b": "four", "y": 1, "key": "x-8"}]
    assert examples(write_jsonl(rows), Columns("a", "y", "b", "key")) == [
        Example("7", "one", "two", "0"),
        Example("x-8", "three", "four", "1"),
    ]


def test_a_missing_column_is_named_beside_those_there(write, write_jsonl, tmp_path):
    assert "no column 'label'; it has text, stars" in refusal(write("reviews.csv", "text,stars\na,1\n"))
    assert "reviews.jsonl:2: no column 'text'; it has label" in refusal(
        write_jsonl([{"text": "a", "label": 1}, {"label": 0}])
    )
    pq.write_table(pa.table({"text": ["a"], "stars": [1]}), tmp_path / "reviews.parquet")
    assert "no column 'label'; it has text, stars" in refusal(tmp_path / "reviews.parquet")


def test_a_file_without_rows_is_refused(write, tmp_path):
    assert "empty file" in refusal(write("reviews.csv", ""))
    assert "no rows" in refusal(write("reviews.csv", "text,label\n"))
    assert "no rows" in refusal(write("reviews.jsonl", "\n\n"))
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}), tmp_path / "e.parquet"
    )
    assert "no rows" in refusal(tmp_path / "e.parquet")


def test_a_line_that_is_no_json_object_is_named(write):
    good = '{"text": "a", "label": 0}\n'
    assert "reviews.jsonl:2: not JSON (" in refusal(write("reviews.jsonl", good + '{"text": "b", "label"\n'))
    assert "reviews.jsonl:3: expected a JSON object, not a list" in refusal(
        write("reviews.jsonl", good + good + "[1]\n")
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "", "label": 0}, "no text in column 'text'"),
        ({"text": "  \t", "label": 0}, "no text in column 'text'"),
        ({"text": None, "label": 0}, "no text in column 'text'"),
        ({"text": 5, "label": 0}, "column 'text' has 5, expected a string"),
        ({"text": "a", "label": None}, "no label in column 'label'"),
        ({"text": "a", "label": " "}, "no label in column 'label'"),
        ({"text": "a", "label": 0.37}, "label 0.37 is not a class"),
        ({"text": "a", "label": ["x"]}, r"label ['x'] is not a class"),
    ],
)
def test_a_row_without_text_or_label_is_refused_by_its_line(write_jsonl, row, reason):
    assert f"reviews.jsonl:3: {reason}" in refusal(
        write_jsonl([{"text": "a", "label": 0}, {"text": "b", "label": 1}, row])
    )


def test_a_csv_row_is_named_by_the_line_it_ends_on(write):
    assert "reviews.csv:5: no label" in refusal(write("reviews.csv", 'text,label\n"two\nlines",1\na,0\nb,\n'))
    assert "reviews.csv:3: 3 fields, expected 2" in refusal(write("reviews.csv", "text,label\na,1\nb,c,0\n"))
    assert "reviews.csv:2: " in refusal(write("reviews.csv", 'text,label\n"never closed,1\n'))


def test_a_parquet_row_is_named_by_its_number(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b", None], "label": [0, 1, 1]}), tmp_path / "r.parquet", row_group_size=1)
    assert "r.parquet:3: no text" in refusal(tmp_path / "r.parquet")


def test_a_file_that_is_not_utf8_is_refused(write):
    assert "not UTF-8" in refusal(write("reviews.csv", "text,label\ngröße,1\n".encode("latin-1")))
    assert "not UTF-8" in refusal(write("reviews.jsonl", '{"text": "größe", "label": 1}\n'.encode("latin-1")))


def test_a_truncated_parquet_file_is_refused(tmp_path):
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"text": ["a", "b"] * 100, "label": [0, 1] * 100}), path)
    path.write_bytes(path.read_bytes()[:-10])
    assert "not a whole Parquet file" in refusal(path)


def test_an_unknown_file_type_and_a_missing_file_are_refused(write, tmp_path):
    assert "unknown file type '.xlsx'; expected .csv, .jsonl, .parquet, .tsv" in refusal(write("reviews.xlsx", "x"))
    assert "no such file" in refusal(tmp_path / "absent.csv")


def test_a_label_column_that_is_none_is_refused(write_jsonl):
    same = [{"text": f"t{index}", "label": "spam"} for index in range(4)]
    assert "label column 'label' has one class only, 'spam'" in refusal(write_jsonl(same))
    score = [{"text": f"t{index}", "label": f"{index / 7:.3f}"} for index in range(20)]
    assert "20 different values in 20 rows" in refusal(write_jsonl(score))


def test_ids_that_are_no_ids_are_refused(write_jsonl):
    columns = Columns("text", "label", id="key")
    rows = [{"text": "a", "label": 0, "key": 1}, {"text": "b", "label": 1, "key": "1"}]
    assert "sample id '1' occurs twice" in refusal(write_jsonl(rows), columns)
    rows[1]["key"] = None
    assert "reviews.jsonl:2: no sample id in column 'key'" in refusal(write_jsonl(rows), columns)
    rows[1]["key"] = 1.5
    assert "reviews.jsonl:2: sample id 1.5 in column 'key'" in refusal(write_jsonl(rows), columns)


def test_a_column_name_that_occurs_twice_is_refused(write):
    assert "a column name occurs twice" in refusal(write("reviews.csv", "text,label,text\na,1,b\n"))
