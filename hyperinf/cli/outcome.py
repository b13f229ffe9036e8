"""What a stage came to, in a few lines, read from the tables that it has written."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_METRICS = ("roc_auc", "accuracy")
_MOST = 10


def outcome(out: Path) -> Iterator[str]:
    """Say how many rows the tables of a folder have, and what each method came to; nothing of a file."""
    if not out.is_dir():
        return
    if tables := sorted(out.glob("*.parquet")):
        import pyarrow.parquet as pq

        yield f"rows: {', '.join(f'{path.stem} {pq.read_metadata(path).num_rows:,}' for path in tables)}"
    if (out / "metrics.csv").is_file():
        yield from _metrics(out / "metrics.csv")


def _metrics(path: Path) -> Iterator[str]:
    """Say the metrics that matter most, by method and by what it kept; the mean where there are several values."""
    found: dict[str, dict[str, list[float]]] = {metric: defaultdict(list) for metric in _METRICS}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["metric"] in found and row["value"]:
                how = " ".join(filter(None, (row["method"], row["strategy"], row["fraction"])))
                found[row["metric"]][how].append(float(row["value"]))
    for metric, values in found.items():
        shown = [f"{how} {sum(each) / len(each):.3f}" for how, each in values.items()]
        more = [f"and {len(shown) - _MOST} more in {path.name}"] if len(shown) > _MOST else []
        if shown:
            yield f"{metric}: {', '.join([*shown[:_MOST], *more])}"
