"""Tables that other stages wrote, and single cells of tables."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from hyperinf.data.sources.notes import check_columns
from hyperinf.errors import InputError


def read_frame(path: Path, columns: Sequence[str]) -> Any:
    """Read a Parquet file as a ``pandas.DataFrame``, whatever other columns it has.

    Raises:
        InputError: the file is missing, not whole, or lacks one of the columns.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a table") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: got damaged content ({str(error).splitlines()[0]}), expected a whole Parquet file"
        ) from None
    check_columns(str(path), columns, list(frame.columns))
    return frame


class ParquetCells:
    """Read single cells of a Parquet file; the group of rows that was read last is kept.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._group: tuple[str, int, Any] | None = None

    def __call__(self, column: str, row: int) -> Any:
        """Read a cell by its column and its row, from 0."""
        import pyarrow.parquet as pq

        if self._group is None or self._group[0] != column or not 0 <= row - self._group[1] < len(self._group[2]):
            with pq.ParquetFile(self._path) as file:
                sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                starts = [0, *accumulate(sizes)]
                group = bisect_right(starts, row) - 1
                self._group = column, starts[group], file.read_row_group(group, columns=[column])[column]
        return self._group[2][row - self._group[1]].as_py()
