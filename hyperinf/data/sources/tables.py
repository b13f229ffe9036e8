"""Files of rows: CSV, TSV, JSON lines or Parquet.

CSV (``,``) and TSV (tab) have a header line and double quotes around fields that need them; JSON lines hold one object
each; all are UTF-8.
"""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import parse_json
from hyperinf.errors import InputError

Row = Mapping[str, Any]
"""What a row holds, by column."""
Located = tuple[str, Row]
"""Where a row stands (``file:line`` or ``file:row``) and what it holds."""


def check_columns(where: str, names: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InputError: naming the first one missing and those that are there.
    """
    for name in names:
        if name not in there:
            raise InputError(f"{where}: got columns {', '.join(there) or 'none'}, expected {name!r} among them")


def read_rows(
    path: Path, columns: Sequence[str], optional: Collection[str] = (), types: Collection[str] | None = None
) -> Iterator[Located]:
    """Read a file row by row.

    Args:
        path: the file; its suffix tells its type.
        columns: those that every row must have.
        optional: those that are read if they are there (all are, in a file that is read line by line).
        types: the suffixes that will do; by default all that can be read.

    Raises:
        InputError: naming the file, and the line (row for Parquet, counted from 1) where there is one.
    """
    path = Path(path).expanduser()
    allowed = sorted(_READERS if types is None else types)
    if path.suffix.lower() not in allowed:
        raise InputError(f"{path}: got file type {path.suffix!r}, expected one of {', '.join(allowed)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a {path.suffix} file")
    return _READERS[path.suffix.lower()](path, columns, optional)


def _read_delimited(path: Path, columns: Sequence[str], _: Collection[str], *, delimiter: str) -> Iterator[Located]:
    # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
    with open(path, encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            if len(set(header)) != len(header):
                raise InputError(f"{path}:1: got a column name twice in {', '.join(header)}, expected different ones")
            if not header:
                raise InputError(f"{path}: got an empty file, expected a header line with {', '.join(columns)}")
            check_columns(str(path), columns, header)
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise InputError(f"{path}:{reader.line_num}: got {len(fields)} fields, expected {len(header)}")
                yield f"{path}:{reader.line_num}", dict(zip(header, fields, strict=True))
        except csv.Error as error:
            raise InputError(
                f"{path}:{reader.line_num}: got what is not CSV ({error}), expected a row of fields"
            ) from None
        except UnicodeDecodeError as error:
            raise _not_utf8(path, error) from None


def read_json_lines(path: Path, columns: Sequence[str] = (), optional: Collection[str] = ()) -> Iterator[Located]:
    """Read a file of one JSON object a line, whatever its suffix.

    Args:
        path: the file.
        columns: those that every row must have.
        optional: read like all others.

    Raises:
        InputError: naming the file, and the line where there is one.
    """
    with open(path, encoding="utf-8-sig") as stream:
        try:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    row = _json_object(f"{path}:{number}", line)
                    check_columns(f"{path}:{number}", columns, list(row))
                    yield f"{path}:{number}", row
        except UnicodeDecodeError as error:
            raise _not_utf8(path, error) from None


def _json_object(where: str, line: str) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: got what is not JSON ({error.msg} at column {error.colno}), expected an object"
        ) from None
    except ValueError as error:
        raise InputError(f"{where}: got JSON that cannot be used ({error}), expected an object") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: got a {type(row).__name__}, expected a JSON object")
    return row


def _read_parquet(path: Path, columns: Sequence[str], optional: Collection[str]) -> Iterator[Located]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            check_columns(str(path), columns, there)
            number = 0
            for batch in file.iter_batches(columns=[*columns, *(name for name in optional if name in there)]):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", row
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: got damaged content ({str(error).splitlines()[0]}), expected a whole Parquet file"
        ) from None


def _not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    return InputError(f"{path}: got byte 0x{error.object[error.start]:02x} ({error.reason}), expected UTF-8")


_READERS: dict[str, Callable[[Path, Sequence[str], Collection[str]], Iterator[Located]]] = {
    ".csv": partial(_read_delimited, delimiter=","),
    ".tsv": partial(_read_delimited, delimiter="\t"),
    ".jsonl": read_json_lines,
    ".parquet": _read_parquet,
}
