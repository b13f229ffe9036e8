"""The columns of the tables that stages write: one schema for all studies."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import write_text
from hyperinf.runtime.choice import told
from hyperinf.runtime.profiling import Cost

RUN_COLUMNS = ("study", "task", "model", "family", "setting")
METRIC_COLUMNS = (*RUN_COLUMNS, "method", "strategy", "fraction", "checkpoint", "seed", "metric", "value")
CURVE_COLUMNS = (*RUN_COLUMNS, "method", "checkpoint", "seed", "inspected", "detected")
COST_COLUMNS = (*RUN_COLUMNS, "method", "checkpoint", "seed", "stage", "seconds", "peak_memory_mib", "forms")


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> None:
    """Write rows as CSV, with just these columns; what a row lacks, or is no number, stays empty.

    A column of numbers has all of them with a point where one has it, or is missing, as pandas writes them, whose
    import would take longer than the writing.
    """
    read = list(rows)
    table = [_cells([row.get(column) for row in read]) for column in columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*table, strict=True))
    write_text(path, text.getvalue())


def _cells(values: Sequence[Any]) -> list[Any]:
    missing = [value is None or (isinstance(value, float) and math.isnan(value)) for value in values]
    there = [value for value, lacks in zip(values, missing, strict=True) if not lacks]
    whole = all(isinstance(value, int) for value in there) and not any(missing)
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in there)
    if numbers and not whole:
        values = [value if lacks else float(value) for value, lacks in zip(values, missing, strict=True)]
    return ["" if lacks else value for value, lacks in zip(values, missing, strict=True)]


def cost_rows(key: Mapping[str, Any], costs: Mapping[tuple[str, str], Cost]) -> list[dict[str, Any]]:
    """Make one row of a cost table for each method and stage."""
    return [
        {
            **key,
            "method": method,
            "stage": stage,
            "seconds": cost.seconds,
            "peak_memory_mib": cost.peak_memory_mib,
            "forms": told(cost.forms),
        }
        for (method, stage), cost in costs.items()
    ]
