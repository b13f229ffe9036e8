"""Hold the results of one run against those of another, file by file and column by column.

    python tests/compare_results.py OLD NEW

Tables (CSV, Parquet), figures and adapters are compared; what is a time or a size of memory is not, nor what says
where and with which versions a file was made. A file counts as the same if its bytes are, or if its tables are but for
such columns. Of a numeric column that moved, the largest change is told, and the column's largest value. The exit code
is 1 if anything differs.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

MEASURED = ("seconds", "peak_memory_mib", "time", "ratio", "median_seconds", "samples_per_second")
COMPARED = (".csv", ".parquet", ".png", ".safetensors")
SKIPPED = ("assets", "logs", "benchmarks", ".snakemake")
TIMED = ("timing", "cost", "lds")
"""Of files whose names say so, all numbers may be times; scores by retraining stand in metrics.csv as well."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    old, new = (listed(folder) for folder in (arguments.old, arguments.new))
    same = 0
    differences: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            differences.append(f"{name}: only in the {'new' if name in new else 'old'} results")
            continue
        found = compared(old[name], new[name])
        same += not found
        differences += [f"{name}: {line}" for line in found]
    print("\n".join(differences))
    print(f"{same} of {len(old.keys() | new.keys())} files are the same")
    return int(bool(differences))


def listed(folder: Path) -> dict[str, Path]:
    """The files of a results folder that are compared, by their path in it."""
    paths = (path for path in folder.rglob("*") if path.suffix in COMPARED)
    names = {str(path.relative_to(folder)): path for path in paths}
    return {name: path for name, path in names.items() if not set(Path(name).parts) & set(SKIPPED)}


def compared(old: Path, new: Path) -> list[str]:
    """What differs between two files, one line each; nothing if they are the same."""
    if old.read_bytes() == new.read_bytes():
        return []
    if old.suffix not in (".csv", ".parquet"):
        return [] if any(word in old.stem for word in TIMED) else ["other bytes"]
    read = pd.read_csv if old.suffix == ".csv" else pd.read_parquet
    before, after = read(old), read(new)
    if list(before.columns) != list(after.columns) or len(before) != len(after):
        return [f"{len(before)} rows of {list(before.columns)}, now {len(after)} of {list(after.columns)}"]
    return [line for column in before for line in column_differs(old, column, before[column], after[column])]


def column_differs(path: Path, column: str, before: pd.Series, after: pd.Series) -> list[str]:
    if column in MEASURED or before.equals(after):
        return []
    if not (pd.api.types.is_numeric_dtype(before) and pd.api.types.is_numeric_dtype(after)):
        return [f"{column}: {int((before.astype(str) != after.astype(str)).sum())} of {len(before)} values differ"]
    if any(word in path.stem for word in TIMED):
        return []
    change = np.nanmax(np.abs(before - after))
    size = np.nanmax(np.abs(before))
    return [
        f"{column}: largest change {change:.3g}, of {size:.3g}; {int((before != after).sum())} of {len(before)} values"
    ]


if __name__ == "__main__":
    sys.exit(main())
