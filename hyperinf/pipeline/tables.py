"""The columns of the tables that stages write: one schema for all studies."""

from collections.abc import Iterable, Mapping
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
    """Write rows as CSV, with just these columns; what a row lacks stays empty."""
    import pandas as pd

    write_text(path, pd.DataFrame(list(rows), columns=list(columns)).to_csv(index=False))


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
