"""What is kept stands there as it did in the pool."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hyperinf.errors import InputError
from hyperinf.selecting.originals import write_originals

ROWS = [
    b'{"text":  "caf\\u00e9",  "n": 1e3}\r\n',
    b"\n",
    '{"text": "é", "more": [1,2]}\n'.encode(),
    b'{"text": "last"}',
]


def test_lines_of_json_are_the_bytes_they_were(tmp_path):
    (tmp_path / "pool.jsonl").write_bytes(b"\xef\xbb\xbf" + b"".join(ROWS))
    write_originals(tmp_path / "kept.jsonl", [(tmp_path / "pool.jsonl", {1, 4})])
    assert (tmp_path / "kept.jsonl").read_bytes() == ROWS[0] + ROWS[3] + b"\n"
    write_originals(tmp_path / "kept.jsonl", [(tmp_path / "pool.jsonl", {3})])
    assert (tmp_path / "kept.jsonl").read_bytes() == ROWS[2]


def test_a_list_becomes_lines(tmp_path):
    rows = [{"text": "é", "n": 1}, {"text": "b"}]
    (tmp_path / "pool.json").write_text(json.dumps(rows))
    write_originals(tmp_path / "kept.jsonl", [(tmp_path / "pool.json", {1})])
    assert (tmp_path / "kept.jsonl").read_text(encoding="utf-8") == '{"text": "é", "n": 1}\n'


TABLE = 'prompt;completion\n"one\ntwo; three";x\n\nfour;"y ""z"""\n five ; 007\n'


def test_rows_of_a_table_are_the_lines_they_were(tmp_path):
    (tmp_path / "pool.csv").write_text(TABLE)
    write_originals(tmp_path / "kept.csv", [(tmp_path / "pool.csv", {3, 6})])
    assert (tmp_path / "kept.csv").read_text() == 'prompt;completion\n"one\ntwo; three";x\n five ; 007\n'
    write_originals(tmp_path / "kept.csv", [(tmp_path / "pool.csv", {5})])
    assert (tmp_path / "kept.csv").read_text() == 'prompt;completion\nfour;"y ""z"""\n'


def test_tables_of_one_header_go_together_and_of_others_are_written_anew(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\na,1\nb,2\n")
    (tmp_path / "b.csv").write_text("text,n\nc,3\n")
    (tmp_path / "c.csv").write_text("n,text\n4,d\n")
    write_originals(tmp_path / "kept.csv", [(tmp_path / "a.csv", {3}), (tmp_path / "b.csv", {2})])
    assert (tmp_path / "kept.csv").read_text() == "text,n\nb,2\nc,3\n"
    write_originals(tmp_path / "kept.csv", [(tmp_path / "a.csv", {3}), (tmp_path / "c.csv", {2})])
    assert (tmp_path / "kept.csv").read_text() == "text,n\nb,2\nd,4\n"
    write_originals(tmp_path / "kept.tsv", [(tmp_path / "a.csv", {3})])
    assert (tmp_path / "kept.tsv").read_text() == "text\tn\nb\t2\n"


def test_parquet_keeps_columns_and_types(tmp_path):
    frame = pd.DataFrame({"n": pd.array([1, None, 3], dtype="Int32"), "when": pd.date_range("2024-01-01", periods=3)})
    table = pa.Table.from_pandas(frame).append_column("turns", pa.array([[{"role": "user"}], [], None]))
    pq.write_table(table, tmp_path / "pool.parquet")
    write_originals(tmp_path / "kept.parquet", [(tmp_path / "pool.parquet", {1, 3})])
    assert pq.read_table(tmp_path / "kept.parquet").equals(table.take([0, 2]))


def test_formats_change_where_that_is_asked_for(tmp_path):
    (tmp_path / "pool.jsonl").write_text('{"text": "a", "n": 1}\n{"text": "b"}\n')
    write_originals(tmp_path / "kept.parquet", [(tmp_path / "pool.jsonl", {1, 2})])
    assert pq.read_table(tmp_path / "kept.parquet").to_pylist() == [{"text": "a", "n": 1}, {"text": "b", "n": None}]
    write_originals(tmp_path / "kept.csv", [(tmp_path / "kept.parquet", {1})])
    assert (tmp_path / "kept.csv").read_text() == "text,n\na,1\n"
    write_originals(tmp_path / "kept.jsonl", [(tmp_path / "kept.parquet", {2})])
    assert (tmp_path / "kept.jsonl").read_text() == '{"text": "b", "n": null}\n'


@pytest.mark.parametrize("name", ["kept.csv", "kept.jsonl"])
def test_what_a_format_cannot_hold_is_refused_and_nothing_written(tmp_path, name):
    pd.DataFrame({"image": [b"x"]}).to_parquet(tmp_path / "pool.parquet")
    with pytest.raises(InputError, match=r"expected .*\.parquet"):
        write_originals(tmp_path / name, [(tmp_path / "pool.parquet", {1})])
    assert not (tmp_path / name).exists()


def test_a_packed_file_and_another_encoding_are_read(tmp_path):
    import gzip

    (tmp_path / "pool.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n{"text": "b"}\n'))
    write_originals(tmp_path / "kept.jsonl", [(tmp_path / "pool.jsonl.gz", {2})])
    assert (tmp_path / "kept.jsonl").read_text() == '{"text": "b"}\n'
    (tmp_path / "pool.csv").write_bytes("text\ncafé\n".encode("latin-1"))
    write_originals(tmp_path / "kept.csv", [(tmp_path / "pool.csv", {2})], "latin-1")
    assert (tmp_path / "kept.csv").read_text(encoding="utf-8") == "text\ncafé\n"


def test_many_rows_of_parquet_are_taken_from_every_batch(tmp_path):
    pd.DataFrame({"n": np.arange(3000)}).to_parquet(tmp_path / "pool.parquet")
    write_originals(tmp_path / "kept.parquet", [(tmp_path / "pool.parquet", {1, 1025, 3000})])
    assert pq.read_table(tmp_path / "kept.parquet")["n"].to_pylist() == [0, 1024, 2999]
