"""Writing rows as they stand in their files: lines as they are, tables with their columns, Parquet with its types."""

import contextlib
import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

from hyperinf.artifacts.files import atomic_file
from hyperinf.data.sources.tables import read_rows
from hyperinf.data.sources.text_files import DELIMITED, kind_of, text_lines
from hyperinf.errors import InputError

_LINES = (".json", ".jsonl", ".ndjson")
_AT_ONCE = 1024
Chosen = Sequence[tuple[Path, Collection[int]]]
"""Files, each with the numbers of its rows, as a row's place names them."""


def write_originals(out: Path, chosen: Chosen, encoding: str | None = None) -> None:
    """Write rows of files, in their order there, in the format that the suffix of ``out`` names.

    A line of JSON stays the line it was, and a row of a delimited file the lines it was where all files have one
    header; Parquet keeps its columns and their types. What has to change its format is written anew.

    Args:
        out: file to write.
        chosen: files and rows.
        encoding: of text; what is written is UTF-8.

    Raises:
        InputError: the format cannot hold such rows.
    """
    kind = out.suffix.lower()
    if kind == ".parquet":
        _write_parquet(out, chosen, encoding)
    elif kind in _LINES:
        with _text_file(out) as file:
            for path, numbers in chosen:
                file.writelines(_as_lines(path, numbers, encoding, out))
    else:
        _write_delimited(out, chosen, encoding)


@contextlib.contextmanager
def _text_file(out: Path) -> Iterator[IO[str]]:
    with atomic_file(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


def _as_lines(path: Path, numbers: Collection[int], encoding: str | None, out: Path) -> Iterator[str]:
    lines = text_lines(path, encoding) if kind_of(path) in _LINES else iter(())
    first = next((line for line in lines if line.strip()), "[")
    if not first.lstrip().startswith("["):
        for number, line in enumerate(text_lines(path, encoding), start=1):
            if number in numbers:
                yield line if line.endswith(("\n", "\r")) else f"{line}\n"
        return
    for where, row in _rows(path, numbers, encoding):
        try:
            yield f"{json.dumps(row, ensure_ascii=False, default=_plain)}\n"
        except TypeError as error:
            raise InputError(
                f"{out}: got {where} with {error}, which JSON cannot hold, expected a file .parquet"
            ) from None


def _plain(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError(f"a {type(value).__name__}")


def _rows(path: Path, numbers: Collection[int], encoding: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Read chosen rows with all their columns."""
    if kind_of(path) == ".parquet":
        import pyarrow as pa

        start = 1
        for batch in _batches(path):
            here = [place for place in range(len(batch)) if start + place in numbers]
            for place, row in zip(here, batch.take(pa.array(here, pa.int64())).to_pylist(), strict=True):
                yield f"{path}:{start + place}", row
            start += len(batch)
        return
    for where, row in read_rows(path, (), encoding=encoding):
        if int(where.rpartition(":")[2]) in numbers:
            yield where, row


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(_AT_ONCE)


def _write_delimited(out: Path, chosen: Chosen, encoding: str | None) -> None:
    delimiter = "\t" if out.suffix.lower() == ".tsv" else ","
    headers = {_header(path, encoding) for path, _ in chosen}
    header = headers.pop() if len(headers) == 1 else None
    as_they_are = header is not None and all(kind_of(path) == out.suffix.lower() for path, _ in chosen)
    with _text_file(out) as file:
        if as_they_are:
            assert header is not None
            file.write(header)
            for path, numbers in chosen:
                file.writelines(_raw(path, numbers, encoding))
            return
        columns: list[str] | None = None
        writer: Any = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        for where, row in chain.from_iterable(_rows(path, numbers, encoding) for path, numbers in chosen):
            if columns is None:
                columns = list(row)
                writer.writerow(columns)
            if set(row) != set(columns) or any(isinstance(value, Mapping | list | bytes) for value in row.values()):
                raise InputError(
                    f"{out}: got {where} with other columns, or lists in them, expected a file .jsonl or .parquet"
                )
            writer.writerow(["" if row[name] is None else row[name] for name in columns])


def _header(path: Path, encoding: str | None) -> str | None:
    """Read the lines before the first row of a delimited file; None where the header is more than one line."""
    if kind_of(path) not in DELIMITED:
        return None
    before = ""
    for line in text_lines(path, encoding):
        before += line
        if line.strip() and not line.strip().strip('"').startswith("sep="):
            return before if line.count('"') % 2 == 0 else None
    return None


def _raw(path: Path, numbers: Collection[int], encoding: str | None) -> Iterator[str]:
    """Give the lines of chosen rows as they are; the number of a row is that of its last line."""
    header = str(_header(path, encoding)).splitlines()
    lines = enumerate(text_lines(path, encoding), start=1)
    for _ in header:
        next(lines)
    for where, _row in read_rows(path, (), encoding=encoding):
        end = int(where.rpartition(":")[2])
        own = ""
        for number, line in lines:
            own += line if own or line.strip() else ""
            if number == end:
                break
        if end in numbers:
            yield own if own.endswith(("\n", "\r")) else f"{own}\n"


def _write_parquet(out: Path, chosen: Chosen, encoding: str | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = [pq.read_schema(path) for path, _ in chosen if kind_of(path) == ".parquet"]
    schema = None
    try:
        if len(schemas) == len(chosen):
            schema = pa.unify_schemas(schemas)
            tables = (_parts(path, numbers, schema) for path, numbers in chosen)
        else:
            rows = [row for path, numbers in chosen for _, row in _rows(path, numbers, encoding)]
            names = list(dict.fromkeys(name for row in rows for name in row))
            whole = pa.table({name: [row.get(name) for row in rows] for name in names})
            schema, tables = whole.schema, (iter([each]) for each in [whole])
        with atomic_file(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for table in chain.from_iterable(tables):
                writer.write_table(table)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{out}: got rows of types that do not go together ({reason}), expected a file .jsonl"
        ) from None


def _parts(path: Path, numbers: Collection[int], schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    start = 1
    for batch in _batches(path):
        here = [place for place in range(len(batch)) if start + place in numbers]
        start += len(batch)
        if here:
            table = pa.Table.from_batches([batch.take(pa.array(here, pa.int64()))])
            missing = [name for name in schema.names if name not in table.column_names]
            for name in missing:
                table = table.append_column(schema.field(name), pa.nulls(len(table), schema.field(name).type))
            yield table.select(schema.names).cast(schema)
