"""Compare the numbers of a results folder of before the rebuild with those of one of after it.

    python tests/compare_layouts.py OLD NEW

Accuracies, areas under curves, scores and solver errors have to be the same to the last bit; only names and places of
files differ. Says how many numbers were compared and which differ; exits with 1 if any does, or if none was compared.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

Found = Iterator[tuple[str, np.ndarray, np.ndarray]]
METRICS = {"largest_answer_share": "largest_answer_fraction", "clean_share": "clean_fraction"}
RUN = ["method", "strategy", "fraction", "metric"]


def compared(old: Path, new: Path) -> Found:
    """Yield what is compared: where, the old values and the new ones."""
    yield from _simulation(old, new)
    yield from _detection(old, new)
    for study in ("llm", "vlm"):
        yield from _selection(old, new, study)


def _simulation(old: Path, new: Path) -> Found:
    for table in sorted((old / "simulation").rglob("*.csv")):
        other = new / table.relative_to(old)
        before, after = pd.read_csv(table), pd.read_csv(other)
        for column in ("error_l2", "error_relative", "value"):
            if column in before:
                yield f"{table.relative_to(old)} {column}", _floats(before[column]), _floats(after[column])


def _detection(old: Path, new: Path) -> Found:
    for folder in sorted((old / "mislabel").glob("*/*/rank-*/seed-*/scores")):
        task, model, rank, seed = folder.relative_to(old / "mislabel").parts[:4]
        run = new / "mislabel" / task / model / rank.replace("rank", "lora") / seed
        where = f"mislabel/{task}/{model}/{rank}/{seed}"
        keys = ["method", "checkpoint", "metric", "fraction"]
        before = pd.read_csv(folder / "metrics.csv").assign(checkpoint=lambda table: _epochs(table["epoch"]))
        yield from _joined(f"{where} metrics", before, pd.read_csv(run / "detection" / "metrics.csv"), keys)
        before = pd.read_csv(folder / "curves.csv").assign(checkpoint=lambda table: _epochs(table["epoch"]))
        before["inspected"] = before["inspected_percent"] / 100
        before["value"] = before["detected_percent"] / 100
        after = pd.read_csv(run / "detection" / "curves.csv").rename(columns={"detected": "value"})
        keys = ["method", "checkpoint", "inspected"]
        # 100 x and x / 100 round: the curves agree to the last bit or the one before it.
        yield from _joined(f"{where} curves", before, after, keys, digits=14)
        for table in sorted(folder.glob("epoch-*.parquet")):
            yield from _scores(f"{where} {table.stem}", table, run / "scores" / table.stem / "scores.parquet")


def _selection(old: Path, new: Path, study: str) -> Found:
    for folder in sorted((old / study).glob("*/*/*/seed-*/scores")):
        run = new / folder.relative_to(old).parent
        where = str(folder.relative_to(old).parent)
        yield from _scores(f"{where} scores", folder / "scores.parquet", run / "scores" / "last" / "scores.parquet")
        after = pd.read_csv(run / "detection" / "metrics.csv")
        yield from _joined(
            f"{where} found", pd.read_csv(folder / "metrics.csv"), after, ["method", "metric", "fraction"]
        )
        for part in sorted(folder.parent.glob("fraction-*/metrics.csv")):
            fraction = int(part.parent.name.removeprefix("fraction-")) / 100
            before = pd.read_csv(part).replace({"metric": METRICS, "method": {"warmup": "finetuned"}})
            after = pd.read_csv(run / f"fraction-{fraction}" / "metrics.csv")
            yield from _joined(f"{where} fraction {fraction}", before, after, RUN)


def _scores(where: str, old: Path, new: Path) -> Found:
    before, after = pd.read_parquet(old), pd.read_parquet(new)
    if list(before["sample_id"]) != list(after["sample_id"]):
        raise SystemExit(f"{where}: other samples, or another order of them")
    for column in before:
        if column.startswith(("influence_", "baseline_")):
            yield f"{where} {column}", _floats(before[column]), _floats(after[column])


def _joined(where: str, old: pd.DataFrame, new: pd.DataFrame, keys: list[str], digits: int | None = None) -> Found:
    """The values of the rows that the old table has, which the new one must have as well."""
    before, after = (
        table.assign(**{key: table[key].astype(object).fillna("") for key in keys}) for table in (old, new)
    )
    both = before.merge(after, on=keys, how="left", suffixes=("_old", "_new"), validate="one_to_one")
    values = [_floats(both[f"value_{side}"]) for side in ("old", "new")]
    yield where, *([np.round(value, digits) for value in values] if digits else values)


def _epochs(numbers: pd.Series) -> pd.Series:
    return "epoch-" + numbers.astype(int).astype(str)


def _floats(values: pd.Series) -> np.ndarray:
    return values.to_numpy(dtype=np.float64)


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    numbers = tables = 0
    different = []
    for where, before, after in compared(arguments.old, arguments.new):
        tables += 1
        numbers += len(before)
        if not np.array_equal(before, after, equal_nan=True):
            wrong = ~((before == after) | (np.isnan(before) & np.isnan(after)))
            largest = np.nanmax(np.abs(before - after)[wrong], initial=0.0)
            different.append(f"{where}: {wrong.sum()} of {len(before)} differ, by up to {largest:.3g}")
    print(*different, sep="\n")
    print(f"{numbers:,} numbers of {tables} tables and columns compared, {len(different)} of them differ")
    return int(bool(different) or not numbers)


if __name__ == "__main__":
    sys.exit(main())
