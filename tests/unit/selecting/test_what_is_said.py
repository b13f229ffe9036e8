"""What commands on rows say of rows that cannot be used, of a row, and of what may follow."""

import json
import shlex

import pytest

from hyperinf.attribution.summary import one_line
from hyperinf.cli.flags import settings_of
from hyperinf.cli.main import build_parser
from hyperinf.errors import InputError
from hyperinf.selecting.exchanges import read_exchange
from hyperinf.selecting.reading import Read, read_file
from hyperinf.selecting.summary import again
from hyperinf.settings.selecting import SelectRows


def refusal(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError) as refused:
        list(read_file(Read(path), read_exchange, ()))
    return [line.removeprefix(str(path)) for line in str(refused.value).splitlines()]


def test_one_reason_of_many_rows_is_told_at_three_of_them(tmp_path):
    rows = [{"term": "a", "prefix": str(row)} for row in range(100)]
    lines = refusal(tmp_path, rows)
    assert [line.partition(" ")[0] for line in lines] == [":1:", ":2:", ":3:", ":", ":"]
    assert "97 rows more" in lines[3]
    assert "100 of 100" in lines[4]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_a_table_without_names_of_columns_is_told_apart_from_rows_to_mend(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    path.write_text("".join(f"a quote{chr(9) if suffix == '.tsv' else ','}Ada {row}\n" for row in range(9)))
    with pytest.raises(InputError, match=r"8 of 8 rows.*first line.*columns"):
        list(read_file(Read(path), read_exchange, ()))


def test_plain_text_is_told_how_it_is_read(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text("Once, upon a time.\nThere, was, one.\n")
    with pytest.raises(InputError, match=r":2: got 3 fields.*plain text.*text"):
        list(read_file(Read(path), read_exchange, ()))


def test_other_reasons_are_told_beside_it(tmp_path):
    rows = [*[{"term": "a"}] * 50, {"messages": 3}, {"messages": [{"role": "nobody", "content": "Hi"}]}, {"text": "Hi"}]
    lines = refusal(tmp_path, rows)
    assert [line.partition(" ")[0] for line in lines] == [":1:", ":2:", ":3:", ":51:", ":52:", ":", ":"]
    assert "47 rows more" in lines[-2]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"keep": "7", "max_length": 64, "chat": False, "stratified": "task's"},
        {"pool": ("a b.jsonl", "c.jsonl"), "target": ("d.jsonl", "e.jsonl"), "method": "tracin", "damping": 0.5},
        {"model": "path:some folder", "adapter": "other"},
    ],
    ids=str,
)
def test_the_next_command_is_the_one_that_was_given_with_what_is_new(given):
    settings = SelectRows(**{"pool": ("a.jsonl",), "target": ("d.jsonl",), "model": "path:m", **given})
    words = shlex.split(again("select", settings, evaluate=True))[1:]
    parsed, left = build_parser(words).parse_known_args(words)
    assert not left
    expected = settings.model_dump() | {"evaluate": True}
    found = settings_of(parsed, SelectRows).model_dump()
    assert {**found, "model": None} == {**expected, "model": None}


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ([("<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n", False), ("I.<|im_end|>", True)],
         "system Be kind user Who? | I."),
        ([("x" * 500 + " which?", False), ("this" + "y" * 500, True), ("\n", False)], "which? | this"),
        ([("a text", True)], "a text"),
        ([("q1", False), ("a1", True), ("q2", False), ("a2", True)], "q1a1q2 | a2"),
    ],
    ids=lambda each: str(each)[:30],
)  # fmt: skip
def test_a_row_on_one_line_is_what_is_asked_last_and_the_answer_to_it(parts, shown):
    assert shown in one_line(parts)
    assert len(one_line(parts)) < 120
