"""Tables as spreadsheets, scripts and exports leave them: separators, quotes, encodings, packing, headers."""

import bz2
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tasks import by_id, prepared, refusal, write_task

from hyperinf.data.samples import read_data_info
from hyperinf.data.sources.tables import read_rows

SIZES = {"train": 40, "validation": 10, "test": 10}
NAMED: dict[str, Any] = {"text": "text", "label": "label", **SIZES}
ROWS = [(f'text "{i}", größe; {i}', "ab"[i % 2]) for i in range(90)]


def delimited(delimiter: str, rows: list[tuple[str, str]] = ROWS, **options: Any) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n", **options)
    writer.writerows([("text", "label"), *rows])
    return stream.getvalue()


def everything(tmp_path: Path, path: Path, **settings: Any) -> dict[str, tuple[str, str]]:
    """Texts and labels of all rows, which a task of just their number uses up."""
    asked = {**NAMED, "train": 500, "validation": 100, "test": 100, **settings}
    found = by_id(prepared(tmp_path / "task", path, **asked))
    return {name: (each.context, each.true_answer) for name, each in found.items()}


def expected(rows: list[tuple[str, str]] = ROWS, stem: str = "mine") -> dict[str, tuple[str, str]]:
    return {f"{stem}/{number}": row for number, row in enumerate(rows)}


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Separators and quotes


@pytest.mark.parametrize("suffix", ["csv", "txt", "tsv", "CSV"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_the_separator_is_the_one_between_the_columns_that_are_named(tmp_path, suffix, delimiter, quoting):
    path = written(tmp_path, f"mine.{suffix}", delimited(delimiter, quoting=quoting))
    assert everything(tmp_path, path) == expected()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_line_by_which_excel_names_the_separator_is_no_header(tmp_path, delimiter):
    path = written(tmp_path, "mine.csv", f"sep={delimiter}\r\n" + delimited(delimiter))
    assert everything(tmp_path, path) == expected()


QUOTES = ['"never closed', 'closed "at the end"', '"all of it"', 'an inch: 5"', '"', '"two" of "them"', 'a "b', "''"]


@pytest.mark.parametrize("suffix", ["tsv", "txt", "csv"])
def test_quotes_in_a_table_with_tabs_are_part_of_the_text_and_merge_no_rows(tmp_path, suffix):
    rows = [(f"{QUOTES[i % 8]} {i}" if i % 3 else f"{i}", "ab"[i % 2]) for i in range(90)]
    content = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)
    assert everything(tmp_path, written(tmp_path, f"mine.{suffix}", content)) == expected(rows)


def test_two_quotes_that_would_hold_lines_together_are_seen_in_csv(tmp_path, caplog):
    lines = [f"plain {i},{'ab'[i % 2]}" for i in range(90)]
    lines[7], lines[11] = '"he said,a', 'and left",b'
    path = written(tmp_path, "mine.csv", "text,label\n" + "\n".join(lines) + "\n")
    write_task(tmp_path / "task", path, **NAMED)
    assert "mine.csv:9: " in caplog.text
    assert any("mine.csv:9: " in each for each in read_data_info(tmp_path / "task")["remarks"])
    # The advice: the quote in quotes, and doubled.
    lines[7], lines[11] = '"""he said",a', '"and left""",b'
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    caplog.clear()
    assert everything(tmp_path, path)["mine/7"] == ('"he said', "a")
    assert "together" not in caplog.text


def test_cells_over_several_lines_are_one_and_nothing_is_remarked(tmp_path, caplog):
    rows = [(f"one, {i}\ntwo\n\nthree {i}" if i % 2 else f"{i}", "ab"[i % 2]) for i in range(90)]
    for delimiter in ",\t":
        path = written(tmp_path, "mine.csv", delimited(delimiter, rows))
        assert everything(tmp_path, path) == expected(rows)
    assert "together" not in caplog.text


def test_a_quote_that_is_never_closed_is_named_by_the_line_it_opens_on(tmp_path):
    content = "text,label\n" + "a,1\nb,0\n" * 5 + '"open,1\n' + "c,1\n" * 5
    assert "mine.csv:12: " in refusal(tmp_path / "task", written(tmp_path, "mine.csv", content), **NAMED)


def test_cells_may_be_longer_than_any_default(tmp_path):
    rows = [(("word " * 60_000).strip() + f" {i}", "ab"[i % 2]) for i in range(6)]
    for name, content in (("mine.csv", delimited(",", rows)), ("mine.tsv", delimited("\t", rows))):
        assert everything(tmp_path, written(tmp_path, name, content)) == expected(rows)


def test_a_row_of_another_length_is_refused_with_its_line_and_what_helps(tmp_path):
    path = written(tmp_path, "mine.csv", delimited(",") + "one, two,b\n")
    line = refusal(tmp_path / "task", path, **NAMED)
    assert "mine.csv:92: got 3 fields, expected 2" in line
    path.write_text(path.read_text().replace("one, two", '"one, two"'))
    assert ("one, two", "b") in everything(tmp_path, path).values()


def test_a_row_of_another_length_among_quotes_that_are_text_is_the_one_that_is_named(tmp_path):
    lines = [f"{QUOTES[i % 8]} {i}\t{'ab'[i % 2]}" for i in range(90)]
    lines[60] = "one\ttwo\ta"
    path = written(tmp_path, "mine.tsv", "text\tlabel\n" + "\n".join(lines) + "\n")
    assert "mine.tsv:62: got 3 fields" in refusal(tmp_path / "task", path, **NAMED)


# Headers


@pytest.mark.parametrize("column", ["text", " text "])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_spaces_around_names_of_columns_do_not_count(tmp_path, suffix, column):
    rows = [{" text": text, "label ": label} for text, label in ROWS]
    path = tmp_path / f"mine.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(delimited(",").replace("text,label", " text, label ", 1))
    assert everything(tmp_path, path, text=column) == expected()


def test_names_of_columns_may_have_spaces_in_them_and_those_nobody_asked_for_may_be_empty_or_twice(tmp_path):
    head = ",Review Text,Star Rating,note,note,\n"
    content = head + "".join(f'{i},"{i}, fine",{i % 2},x,y,\n' for i in range(90))
    found = everything(tmp_path, written(tmp_path, "mine.csv", content), text="Review Text", label="Star Rating")
    assert found == expected([(f"{i}, fine", str(i % 2)) for i in range(90)])


def test_a_file_without_a_header_is_refused_and_its_texts_are_not_printed(tmp_path):
    line = refusal(tmp_path / "task", written(tmp_path, "mine.csv", ("word " * 50_000 + ",1\n") * 5), **NAMED)
    assert "mine.csv" in line
    assert "'text'" in line
    assert len(line) < 1_000


def test_rows_without_a_character_are_no_rows(tmp_path):
    content = delimited(",").replace("\n", "\n\n , \n,\n", 40) + ",\n" * 50
    found = everything(tmp_path, written(tmp_path, "mine.csv", content))
    assert set(found.values()) == set(ROWS)


# Encodings


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "jsonl", "json", "ndjson", "csv.gz"])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_refused_with_line_and_byte_and_read_once_it_is_named(tmp_path, suffix, encoding):
    rows = [(f"größe {i}" if i > 4 else f"size {i}", "ab"[i % 2]) for i in range(90)]
    objects = [{"text": text, "label": label} for text, label in rows]
    kind = suffix.split(".")[0]
    if kind == "json":
        content = json.dumps(objects, ensure_ascii=False, indent=1)
    elif kind in ("jsonl", "ndjson"):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects)
    else:
        content = delimited("\t" if kind == "tsv" else ",", rows)
    packed = content.encode(encoding)
    path = written(tmp_path, f"mine.{suffix}", gzip.compress(packed) if suffix.endswith("gz") else packed)
    line = refusal(tmp_path / "task", path, **NAMED)
    lines = content.split("\n")
    number = next(i for i, each in enumerate(lines, 1) if "ö" in each) if encoding in ("latin-1", "cp1252") else 1
    assert f"mine.{suffix}:{number}: got byte 0x" in line
    assert "encoding" in line
    if encoding in ("latin-1", "cp1252"):
        assert f"0xf6, number {lines[number - 1].index('ö') + 1} of the line" in line
    if encoding.startswith("utf"):
        assert f"set encoding to {encoding}" in line
    assert everything(tmp_path, path, encoding=encoding) == expected(rows)
    assert read_data_info(tmp_path / "task")["encoding"] == encoding


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, encoding):
    mark = b"" if encoding == "utf-16" else "\ufeff".encode()
    path = written(tmp_path, "mine.csv", mark + delimited(",").encode(encoding))
    assert everything(tmp_path, path, encoding=encoding) == expected()


def test_an_encoding_that_is_none_or_not_the_files_is_refused(tmp_path):
    path = written(tmp_path, "mine.csv", delimited(","))
    assert "mine.csv:1: got byte 0x" in refusal(tmp_path / "task", path, **NAMED, encoding="utf-32")
    line = refusal(tmp_path / "task", path, **NAMED, encoding="ascii")
    assert "mine.csv:2: got byte 0xc3" in line
    assert "expected ascii" in line
    for name in ("latin1000", "rot13", "base64", "undefined"):
        with pytest.raises(ValueError, match="encoding of text"):
            write_task(tmp_path / "task", path, **NAMED, encoding=name)
    pq.write_table(pa.table({"text": ["a"], "label": ["b"]}), tmp_path / "mine.parquet")
    assert "'latin-1'" in refusal(tmp_path / "task", tmp_path / "mine.parquet", **NAMED, encoding="latin-1")


# JSON and packed files


OBJECTS = [{"text": text, "label": label} for text, label in ROWS]
LINES = "".join(json.dumps(row) + "\n" for row in OBJECTS)


@pytest.mark.parametrize("suffix", ["json", "jsonl", "ndjson"])
@pytest.mark.parametrize("content", [LINES, json.dumps(OBJECTS), "\n" + json.dumps(OBJECTS, indent=2)])
def test_json_is_a_list_of_objects_or_one_a_line_whatever_the_suffix(tmp_path, suffix, content):
    assert everything(tmp_path, written(tmp_path, f"mine.{suffix}", content)) == expected()


def test_what_is_wrong_in_a_list_is_named_by_its_line_or_its_row(tmp_path):
    def line(content: str) -> str:
        return refusal(tmp_path / "task", written(tmp_path, "mine.json", content), **NAMED)

    assert "mine.json:2: " in line(json.dumps([*OBJECTS[:1], 7]))
    assert "mine.json:4: " in line('[\n{"text": "a", "label": 1},\n\n{"text": }]')
    assert "mine.json:3: got columns text" in line(json.dumps([*OBJECTS[:2], {"text": "a"}]))
    assert "mine.json:1: " in line(json.dumps({"data": OBJECTS}, indent=1))


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("packing", "pack"), [("gz", gzip.compress), ("zst", zstd), ("bz2", bz2.compress), ("GZ", gzip.compress)]
)
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
def test_packed_files_are_read_like_others_and_refused_where_they_are_damaged(tmp_path, packing, pack, kind):
    content = {"csv": delimited(","), "tsv": delimited("\t"), "jsonl": LINES, "json": json.dumps(OBJECTS)}[kind]
    path = written(tmp_path, f"mine.{kind}.{packing}", pack(content.encode()))
    assert everything(tmp_path, path) == expected()
    for damaged in (path.read_bytes()[:-9], b"text,label\na,b\n"):
        path.write_bytes(damaged)
        assert f"mine.{kind}.{packing}" in refusal(tmp_path / "again", path, **NAMED)


def test_splits_of_a_folder_may_be_packed_or_have_other_separators_and_encodings(tmp_path):
    folder = tmp_path / "mine"
    parts = {"train": ROWS[:60], "dev": ROWS[60:75], "test": ROWS[75:]}
    for split, rows in parts.items():
        written(folder, f"{split}.tsv", "text\tlabel\n" + "".join(f'"{text}\t{label}\n' for text, label in rows))
    splits = prepared(tmp_path / "task", folder, **{**NAMED, "train": 99, "validation": 99, "test": 99})
    assert {split: len(each) for split, each in splits.items()} == {"train": 60, "validation": 15, "test": 15}
    assert {(each.context, each.answer) for each in splits["train"]} == {(f'"{a}', b) for a, b in parts["train"]}
    assert all(each.sample_id.startswith("dev/") for each in splits["validation"])
    for path in folder.iterdir():
        path.unlink()
    for split, rows in parts.items():
        written(folder, f"{split}.csv.gz", gzip.compress(delimited(";", rows).encode("latin-1")))
    assert ":2: got byte 0xf6" in refusal(tmp_path / "again", folder, **NAMED)
    assert len(prepared(tmp_path / "task", folder, **NAMED, encoding="latin-1")["train"]) == 40


def test_an_encoding_of_a_folder_that_holds_other_files_is_refused(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(OBJECTS), folder / "train.parquet")
    assert "'latin-1'" in refusal(tmp_path / "task", folder, **NAMED, encoding="latin-1")


@pytest.mark.parametrize("columns", [["Name", "Text, with commas, many"], ["text", "label"]])
def test_a_table_named_as_one_of_tabs_is_split_at_them_whatever_its_texts_hold(tmp_path, columns):
    path = written(tmp_path, "mine.tsv", "\t".join(columns) + '\nAda\t"Hm," she said, "yes, no, well."\n')
    (row,) = [dict(row) for _, row in read_rows(path, ())]
    assert row == dict(zip(columns, ["Ada", '"Hm," she said, "yes, no, well."'], strict=True))
