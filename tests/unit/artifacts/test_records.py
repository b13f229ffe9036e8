import json
from pathlib import Path
from typing import Any

import pytest

from hyperinf.artifacts.files import sha256_file
from hyperinf.artifacts.records import check_written, read_record, write_record
from hyperinf.errors import InputError

CONTENT = b"a table,of numbers\n1,2.5\n"


@pytest.fixture
def table(tmp_path):
    """A table with its record beside it."""
    (tmp_path / "metrics.csv").write_bytes(CONTENT)
    outputs = {"metrics.csv": sha256_file(tmp_path / "metrics.csv")}
    content: dict[Any, Any] = {"seed": 1, 5: [0.1, None], "outputs": outputs}
    write_record(tmp_path / "info.json", content)
    return tmp_path / "metrics.csv"


def test_a_record_is_read_as_it_was_written(table):
    record = read_record(table.with_name("info.json"))
    assert (table.parent / record.pop("run_from")).resolve() == Path.cwd()
    assert record == {"seed": 1, "5": [0.1, None], "outputs": {"metrics.csv": sha256_file(table)}}
    check_written(table)


@pytest.mark.parametrize("bit", range(0, 8 * len(CONTENT), 7))
def test_any_bit_that_is_flipped_in_a_file_is_noticed(table, bit):
    content = bytearray(CONTENT)
    content[bit // 8] ^= 1 << bit % 8
    table.write_bytes(content)
    with pytest.raises(InputError, match=r"metrics\.csv: has changed since it was written"):
        check_written(table)
    with pytest.raises(InputError, match=r"metrics\.csv: has changed since it was written .* remove "):
        read_record(table.with_name("info.json"))


def test_any_bit_that_is_flipped_in_a_record_is_noticed_or_says_the_same(table):
    path = table.with_name("info.json")
    before, expected = path.read_bytes(), read_record(path)
    noticed = 0
    for bit in range(8 * len(before)):
        content = bytearray(before)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        try:
            found = read_record(path)
        except InputError:
            noticed += 1
            continue
        # White space may become other white space; the key of the record's own hash may get another name.
        assert {key: found.get(key) for key in expected} == expected
    assert noticed > 7 * len(before)


def test_a_table_beside_a_record_that_was_edited_is_not_taken(table):
    path = table.with_name("info.json")
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))
    with pytest.raises(InputError, match=r"info\.json: has changed since it was written"):
        check_written(table)


def test_what_has_no_hash_is_taken_as_it_is(tmp_path):
    (tmp_path / "mine.csv").write_text("a,b\n")
    check_written(tmp_path / "mine.csv")
    (tmp_path / "info.json").write_text(json.dumps({"by": "hand", "outputs": {"gone.csv": "0"}}))
    assert read_record(tmp_path / "info.json")["by"] == "hand"
    check_written(tmp_path / "mine.csv")
    (tmp_path / "info.json").write_text("[1]")
    assert read_record(tmp_path / "info.json") == [1]


def test_a_record_beside_a_table_of_its_own_name_comes_first(table):
    (table.parent / "metrics.info.json").write_text(json.dumps({"outputs": {"metrics.csv": "0" * 64}}))
    with pytest.raises(InputError, match="changed"):
        check_written(table)
