"""Read CSV files that stages wrote; whatever does not fit is refused in one line that names the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hyperinf.artifacts.records import check_written
from hyperinf.errors import InputError


@dataclass(frozen=True)
class Schema:
    """Columns of one kind of CSV: text, whole numbers, numbers; those in ``optional`` may be empty in a row."""

    text: tuple[str, ...]
    whole: tuple[str, ...]
    number: tuple[str, ...]
    key: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """All columns that must be there."""
        return [*self.text, *self.whole, *self.number]


def read_csv(path: Path, schema: Schema, may_be_empty: bool = False) -> pd.DataFrame:
    """Read one CSV in the form of ``schema``; extra columns are dropped.

    Args:
        path: the file.
        schema: its form.
        may_be_empty: a header without rows says something too.

    Raises:
        InputError: no such file, not a CSV, no rows, a column is missing, a value is not what its column holds,
            or it has changed since the stage wrote it whose record lies beside it.
    """
    check_written(path)
    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: got a folder, expected a CSV file") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: got no CSV file ({str(error).splitlines()[0]}), expected one") from None
    missing = [column for column in schema.columns if column not in raw.columns]
    if missing:
        raise InputError(f"{path}: got no column {', '.join(missing)}, expected columns {', '.join(schema.columns)}")
    if raw.empty and not may_be_empty:
        raise InputError(f"{path}: got no rows, expected at least one below the header")
    frame = pd.DataFrame({column: raw[column] for column in schema.text})
    for column in (*schema.whole, *schema.number):
        frame[column] = _numbers(raw[column], column, path, schema)
    for column in schema.text:
        empty = frame[column] == ""
        if column not in schema.optional and empty.any():
            row = int(empty.to_numpy().argmax()) + 1
            raise InputError(f"{path}: column {column}, row {row}: got an empty cell, expected a name")
    return frame


def _numbers(raw: pd.Series, column: str, path: Path, schema: Schema) -> pd.Series:
    values = pd.to_numeric(raw, errors="coerce").astype(np.float64)
    optional, whole = column in schema.optional, column in schema.whole
    wrong = values.isna() & ~(optional & raw.str.lower().isin(["", "nan"]))
    if whole:
        wrong |= values.notna() & (values != values.round())
    if wrong.any():
        row, wanted = int(wrong.to_numpy().argmax()), "a whole number" if whole else "a number"
        raise InputError(f"{path}: column {column}, row {row + 1}: got {raw.iloc[row]!r}, expected {wanted}")
    return values.astype(np.int64) if whole and not optional else values


def read_many(paths: Sequence[Path], schema: Schema) -> pd.DataFrame:
    """Read several CSVs of one kind as one frame, sorted by the key.

    Raises:
        InputError: as for one file, none given, or two rows with the same key (a run given twice).
    """
    if not paths:
        raise InputError("got no input file, expected at least one")
    return joined([(Path(path), read_csv(Path(path), schema)) for path in paths], schema)


def joined(frames: Sequence[tuple[Path, pd.DataFrame]], schema: Schema) -> pd.DataFrame:
    """Join frames of one kind, each with the file that it came from, sorted by the key.

    Raises:
        InputError: two rows with the same key.
    """
    filled = [frame.assign(_source=str(path)) for path, frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=schema.columns)
    frame, key = pd.concat(filled, ignore_index=True), list(schema.key)
    repeated = frame.duplicated(key)
    if repeated.any():
        row = frame[repeated].iloc[0]
        known = [column for column in key if not (pd.isna(row[column]) or row[column] == "")]
        named = ", ".join(str(row[name]) if name in schema.text else f"{name} {row[name]:g}" for name in known)
        raise InputError(f"{row['_source']}: got a second row for {named}, expected one; is a run given twice?")
    return frame.drop(columns="_source").sort_values(key, kind="stable", ignore_index=True)
