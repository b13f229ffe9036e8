"""JSON with an object for each row: one a line, or a list of them.

The lines are parsed one by one with Python's ``json``: pandas and pyarrow change values (dates, numbers as text) and
name no line.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import parse_json
from hyperinf.data.sources.notes import Located, Notes, check_columns
from hyperinf.data.sources.text_files import text_lines
from hyperinf.errors import InputError


def read_json_rows(
    path: Path, columns: Sequence[str], optional: Collection[str], encoding: str | None, notes: Notes
) -> Iterator[Located]:
    """Read a file of one JSON object a line, or of one list of objects, whatever its suffix.

    Args:
        path: the file.
        columns: those that every row must have.
        optional: read like all others.
        encoding: how the file is written; UTF-8 where None.
        notes: is told the columns of all rows.

    Raises:
        InputError: naming the file, and the line, or of a list the number of the object, from 1.
    """
    first = next((line for line in text_lines(path, encoding) if line.strip()), "")
    found = _read_list if first.lstrip().startswith("[") else _read_lines
    for where, value in found(path, encoding):
        if not isinstance(value, dict):
            raise InputError(f"{where}: got a {type(value).__name__}, expected a JSON object")
        row = {name.strip(): each for name, each in value.items()}
        check_columns(where, columns, list(row))
        notes.columns.update(dict.fromkeys(row))
        yield where, row


def read_json_lines(path: Path) -> Iterator[Located]:
    """Read a published file of one JSON object a line, whatever its suffix."""
    return read_json_rows(path, (), (), None, Notes())


def _read_lines(path: Path, encoding: str | None) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text_lines(path, encoding), start=1):
        if line.strip():
            yield f"{path}:{number}", _parsed(path, number, line.rstrip())


def _read_list(path: Path, encoding: str | None) -> Iterator[tuple[str, Any]]:
    rows = _parsed(path, 1, "".join(text_lines(path, encoding)))
    yield from ((f"{path}:{number}", row) for number, row in enumerate(rows, start=1))


def _parsed(path: Path, line: int, text: str) -> Any:
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{line + error.lineno - 1}: got what is not JSON ({error.msg} at column {error.colno}),"
            " expected an object on each line, or a list of objects"
        ) from None
    except ValueError as error:
        raise InputError(f"{path}:{line}: got JSON that cannot be used ({error}), expected an object") from None
