"""Tables that other stages wrote."""

from collections.abc import Sequence
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
