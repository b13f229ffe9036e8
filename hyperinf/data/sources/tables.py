"""Files of rows: delimited text, JSON or Parquet, packed or not."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from hyperinf.data.sources.delimited import read_delimited
from hyperinf.data.sources.json_rows import read_json_lines, read_json_rows
from hyperinf.data.sources.notes import Located, Notes, Row, check_columns
from hyperinf.data.sources.text_files import kind_of, lines_about
from hyperinf.errors import InputError

__all__ = ["TYPES", "Located", "Notes", "Row", "check_columns", "read_json_lines", "read_rows"]


def read_rows(
    path: Path,
    columns: Sequence[str],
    optional: Collection[str] = (),
    types: Collection[str] | None = None,
    encoding: str | None = None,
    notes: Notes | None = None,
) -> Iterator[Located]:
    """Read a file row by row.

    Args:
        path: the file; its suffix tells its type, before ``.gz``, ``.zst`` or ``.bz2`` where it is packed.
        columns: those that every row must have.
        optional: those that are read if they are there (all are, in a file that is read line by line).
        types: the suffixes that will do; by default all that can be read.
        encoding: how text is written; UTF-8 where None.
        notes: is told what was met.

    Raises:
        InputError: naming the file, and the line (row for Parquet and lists, counted from 1) where there is one.
    """
    path = Path(path).expanduser()
    allowed = sorted(_READERS if types is None else types)
    if kind_of(path) not in allowed:
        raise InputError(f"{path}: got file type {path.suffix!r}, expected one of {', '.join(allowed)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a {path.suffix} file")
    return _READERS[kind_of(path)](path, columns, optional, encoding, notes or Notes())


def rows_about(path: Path) -> int | None:
    """Tell about how many rows a file has, for the time left: its lines, or what Parquet says.

    A cell of several lines is counted as several rows, and the lines of a large packed file are counted in its
    beginning. None of one JSON document, which is read as a whole before its first row; a file that cannot be read is
    refused where it is read.
    """
    kind = kind_of(path)
    if kind == ".json":
        return None
    try:
        if kind == ".parquet":
            import pyarrow.parquet as pq

            return int(pq.read_metadata(path).num_rows)
        lines = lines_about(path)
    except (OSError, ValueError):
        return None
    return lines - (kind not in (".jsonl", ".ndjson"))


def _read_parquet(
    path: Path, columns: Sequence[str], optional: Collection[str], encoding: str | None, notes: Notes
) -> Iterator[Located]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if encoding is not None:
        raise InputError(f"{path}: got encoding {encoding!r}, expected none: Parquet has its own")
    if path.suffix.lower() != ".parquet":
        raise InputError(f"{path}: got Parquet that is packed once more, expected it unpacked")
    try:
        with pq.ParquetFile(path) as file:
            names = {name.strip(): name for name in file.schema_arrow.names}
            check_columns(str(path), columns, list(names))
            notes.columns.update(dict.fromkeys(names))
            chosen = {name: names[name] for name in (*columns, *optional) if name in names}
            number = 0
            for batch in file.iter_batches(_ROWS, columns=list(chosen.values())):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", {name: row[own] for name, own in chosen.items()}
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: got damaged content ({str(error).splitlines()[0]}), expected a whole Parquet file"
        ) from None


_ROWS = 1024
"""Of Parquet that are held at a time: cells may be images."""
_READERS: dict[str, Callable[[Path, Sequence[str], Collection[str], str | None, Notes], Iterator[Located]]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".txt": read_delimited,
    ".json": read_json_rows,
    ".jsonl": read_json_rows,
    ".ndjson": read_json_rows,
    ".parquet": _read_parquet,
}
TYPES = tuple(sorted(_READERS))
"""Suffixes of all files of rows that can be read."""
