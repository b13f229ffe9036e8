"""Tables with a fixed schema as Parquet files: written whole, read back only if they are what was written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import atomic_file
from hyperinf.data.examples import check_columns
from hyperinf.errors import InputError


def write_columns(path: Path, columns: Mapping[str, Sequence[Any]], schema: Any) -> None:
    """Write columns under a ``pyarrow`` schema; the same columns give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(dict(columns), schema=schema)
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary)


def read_frame(path: Path, columns: Sequence[str]) -> Any:
    """A Parquet file as a ``pandas.DataFrame``, whatever other columns it has.

    Raises:
        InputError: the file is missing, not whole, or lacks one of the columns.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})") from None
    check_columns(str(path), columns, list(frame.columns))
    return frame


def read_columns(path: Path, schema: Any, what: str, expected: str) -> dict[str, list[Any]]:
    """Read all columns of a file that has just this schema.

    Args:
        path: the file.
        schema: the ``pyarrow`` schema.
        what: what the file is when it is right ("a split of a text task"), for messages.
        expected: what the folder should be if the file is missing, for messages.

    Raises:
        InputError: the file is missing, not whole, or has another schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {expected}") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})") from None
    if not table.schema.equals(schema):
        raise InputError(f"{path}: not {what}; expected the columns {', '.join(schema.names)}")
    columns: dict[str, list[Any]] = table.to_pydict()
    return columns
