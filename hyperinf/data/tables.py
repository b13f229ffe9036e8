"""A user's own table: CSV, TSV, JSON lines or Parquet."""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import parse_json
from hyperinf.data.examples import (
    Columns,
    Corpus,
    Example,
    RowError,
    check_columns,
    check_ids,
    check_labels,
    example,
    label_name,
    order_names,
)
from hyperinf.errors import InputError

Row = tuple[str, dict[str, Any]]
"""Where a row stands (``file:line`` or ``file:row``) and what it holds."""


def read_table(path: Path, columns: Columns) -> Corpus[Example]:
    """Read every row of a file as an example; one that is not whole is refused, not skipped.

    CSV (``,``) and TSV (tab) have a header line and double quotes around fields that need them; JSON lines hold
    one object each; all are UTF-8. A sample's id is its id column, or the file's stem and the row, counted from 0.

    Raises:
        InputError: naming the file, and the line (row for Parquet, counted from 1) where there is one.
    """
    path = Path(path).expanduser()
    examples = []
    for number, (where, row) in enumerate(read_rows(path, columns.names)):
        try:
            label = label_name(row[columns.label])
            examples.append(example(columns, row, f"{path.stem}/{number}", label))
        except RowError as error:
            raise InputError(f"{where}: {error}") from None
    if not examples:
        raise InputError(f"{path}: no rows; expected some below the columns {', '.join(columns.names)}")
    label_names = order_names({each.label for each in examples})
    check_labels(str(path), columns.label, label_names, len(examples))
    check_ids(str(path), examples)
    return Corpus(splits={path.stem: examples}, label_names=label_names, exact=True)


def read_rows(
    path: Path, columns: Sequence[str], optional: Collection[str] = (), types: Collection[str] | None = None
) -> Iterator[Row]:
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
        raise InputError(f"{path}: unknown file type {path.suffix!r}; expected {', '.join(allowed)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return _READERS[path.suffix.lower()](path, columns, optional)


def _read_csv(path: Path, columns: Sequence[str], optional: Collection[str]) -> Iterator[Row]:
    return _read_delimited(path, columns, ",")


def _read_tsv(path: Path, columns: Sequence[str], optional: Collection[str]) -> Iterator[Row]:
    return _read_delimited(path, columns, "\t")


def _read_delimited(path: Path, columns: Sequence[str], delimiter: str) -> Iterator[Row]:
    # utf-8-sig: spreadsheets put a byte order mark before the first column's name.
    with open(path, encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            if len(set(header)) != len(header):
                raise InputError(f"{path}:1: a column name occurs twice in {', '.join(header)}")
            if not header:
                raise InputError(f"{path}: empty file; expected a header line with {', '.join(columns)}")
            check_columns(str(path), columns, header)
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise InputError(f"{path}:{reader.line_num}: {len(fields)} fields, expected {len(header)}")
                yield f"{path}:{reader.line_num}", dict(zip(header, fields, strict=True))
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: {error}") from None
        except UnicodeDecodeError as error:
            raise _not_utf8(path, error) from None


def read_json_lines(path: Path, columns: Sequence[str] = (), optional: Collection[str] = ()) -> Iterator[Row]:
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
        raise InputError(f"{where}: not JSON ({error.msg} at column {error.colno})") from None
    except ValueError as error:
        raise InputError(f"{where}: not JSON that can be used ({error})") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object, not a {type(row).__name__}")
    return row


def _read_parquet(path: Path, columns: Sequence[str], optional: Collection[str]) -> Iterator[Row]:
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
        raise InputError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})") from None


def _not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    return InputError(f"{path}: not UTF-8 ({error.reason}, byte 0x{error.object[error.start]:02x})")


_READERS: dict[str, Callable[[Path, Sequence[str], Collection[str]], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": read_json_lines,
    ".parquet": _read_parquet,
}
