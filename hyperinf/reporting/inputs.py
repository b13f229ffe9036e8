"""Reading what earlier stages wrote; whatever does not fit is refused in one line that names the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hyperinf.artifacts.records import check_written
from hyperinf.errors import InputError

SHARE_METRICS = ("roc_auc", "curve_auc", "detected", "accuracy")


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


CONVERGENCE = Schema(
    text=("method", "status"),
    whole=("dim", "samples", "seed", "iteration"),
    number=("damping", "error_l2", "error_relative"),
    key=("method", "dim", "samples", "damping", "seed", "iteration"),
    optional=("iteration", "error_l2", "error_relative"),
)
TIMING = Schema(
    text=("method", "device", "dtype"),
    whole=("dim", "threads", "repeat"),
    number=("seconds", "error_relative", "matmuls"),
    key=("method", "dim", "device", "dtype", "threads", "repeat"),
    optional=("threads", "error_relative", "matmuls"),
)
METRICS = Schema(
    text=("task", "model", "method", "metric"),
    whole=("rank", "epoch", "seed"),
    number=("fraction", "value"),
    key=("task", "model", "method", "rank", "epoch", "fraction", "seed", "metric"),
    optional=("fraction",),
)
CURVES = Schema(
    text=("task", "model", "method"),
    whole=("rank", "epoch", "seed"),
    number=("inspected_percent", "detected_percent"),
    key=("task", "model", "method", "rank", "epoch", "seed", "inspected_percent"),
)
COST = Schema(
    text=("task", "model", "method", "stage"),
    whole=("rank", "epoch", "seed"),
    number=("seconds", "peak_memory_mib"),
    key=("task", "model", "method", "rank", "epoch", "seed", "stage"),
    optional=("method", "epoch", "peak_memory_mib"),
)


def read_csv(path: Path, schema: Schema, may_be_empty: bool = False) -> pd.DataFrame:
    """One CSV in the form of ``schema``; extra columns are dropped.

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
        raise InputError(f"{path}: is a folder; expected a CSV file") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV file ({str(error).splitlines()[0]})") from None
    missing = [column for column in schema.columns if column not in raw.columns]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; expected columns {', '.join(schema.columns)}")
    if raw.empty and not may_be_empty:
        raise InputError(f"{path}: no rows; expected at least one below the header")
    frame = pd.DataFrame({column: raw[column] for column in schema.text})
    for column in (*schema.whole, *schema.number):
        frame[column] = _numbers(raw[column], column, path, schema)
    for column in schema.text:
        empty = frame[column] == ""
        if column not in schema.optional and empty.any():
            raise InputError(
                f"{path}: column {column}, row {int(empty.to_numpy().argmax()) + 1}: empty; expected a name"
            )
    return frame


def _numbers(raw: pd.Series, column: str, path: Path, schema: Schema) -> pd.Series:
    values = pd.to_numeric(raw, errors="coerce").astype(np.float64)
    literal_nan = raw.str.lower().isin(["", "nan"])
    if column in schema.optional:
        wrong = values.isna() & ~literal_nan
    else:
        wrong = values.isna()
    wanted = "a number"
    if column in schema.whole:
        wrong |= values.notna() & (values != values.round())
        wanted = "a whole number"
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise InputError(f"{path}: column {column}, row {row + 1}: {raw.iloc[row]!r} is not {wanted}")
    if column in schema.whole and column not in schema.optional:
        return values.astype(np.int64)
    return values


def read_many(paths: Sequence[Path], schema: Schema) -> pd.DataFrame:
    """Several CSVs of one kind as one frame, sorted by the key.

    Raises:
        InputError: as for one file, none given, or two rows with the same key (a run given twice).
    """
    if not paths:
        raise InputError("no input file given; expected at least one")
    return joined([(Path(path), read_csv(Path(path), schema)) for path in paths], schema)


def joined(frames: Sequence[tuple[Path, pd.DataFrame]], schema: Schema) -> pd.DataFrame:
    """Frames of one kind and the files that they came from as one frame, sorted by the key.

    Raises:
        InputError: two rows with the same key.
    """
    filled = [frame.assign(_source=str(path)) for path, frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=schema.columns)
    frame = pd.concat(filled, ignore_index=True)
    key = list(schema.key)
    repeated = frame.duplicated(key)
    if repeated.any():
        row = frame[repeated].iloc[0]
        known = [column for column in key if not (pd.isna(row[column]) or row[column] == "")]
        named = ", ".join(
            f"{row[column]}" if column in schema.text else f"{column} {row[column]:g}" for column in known
        )
        raise InputError(f"{row['_source']}: a second row for {named}; is the same run given twice?")
    return frame.drop(columns="_source").sort_values(key, kind="stable", ignore_index=True)


def read_convergence(paths: Sequence[Path]) -> pd.DataFrame:
    """Convergence CSVs as one frame; errors of diverged rows are infinite.

    Raises:
        InputError: as ``read_many``; an unknown status; an ok row without an error; several dampings.
    """
    frame = read_many(paths, CONVERGENCE)
    unknown = sorted(set(frame["status"]) - {"ok", "diverged"})
    if unknown:
        raise InputError(f"{paths[0]}: column status holds {unknown[0]!r}; expected ok or diverged")
    diverged = frame["status"] == "diverged"
    for column in ("error_l2", "error_relative"):
        unusable = ~diverged & ~(np.isfinite(frame[column]) & (frame[column] >= 0))
        if unusable.any():
            row = frame[unusable].iloc[0]
            where = f"method {row['method']}, dim {row['dim']}, samples {row['samples']}, seed {row['seed']}"
            raise InputError(f"{paths[0]}: {column} of {where}: {row[column]!r} with status ok; expected a number >= 0")
        frame.loc[diverged & ~np.isfinite(frame[column]), column] = np.inf
    dampings = sorted(set(frame["damping"]))
    if len(dampings) > 1:
        raise InputError(f"convergence files hold dampings {', '.join(map(repr, dampings))}; report one at a time")
    return frame


def read_timing(path: Path) -> pd.DataFrame:
    """The timing CSV.

    Raises:
        InputError: as ``read_many``; seconds that are not positive.
    """
    frame = read_many([path], TIMING)
    if not (np.isfinite(frame["seconds"]) & (frame["seconds"] > 0)).all():
        raise InputError(f"{path}: column seconds holds a value that is not a positive number")
    return frame


FISHER_SUMMARY = Schema(text=("case", "metric"), whole=(), number=("value",), key=("case", "metric"))
_FISHER_CASES = {"independent": "", "correlated_rows": "correlated_rows_"}


def read_fisher_summary(folder: Path) -> pd.DataFrame:
    """``summary.csv`` of the Fisher study: case, metric, value.

    Raises:
        InputError: as ``read_many``.
    """
    path = Path(folder) / "summary.csv"
    frame = read_csv(path, FISHER_SUMMARY)
    repeated = frame.duplicated(["case", "metric"])
    if repeated.any():
        row = frame[repeated].iloc[0]
        raise InputError(f"{path}: a second row for case {row['case']}, metric {row['metric']}")
    return frame


def read_fisher_cases(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """FIM and I (x) GFIM / r of the published case, and of the correlated case where its files are there.

    Raises:
        InputError: a file is missing, is no array, or the shapes do not fit.
    """
    folder = Path(folder)
    optional = [case for case, prefix in _FISHER_CASES.items() if prefix and (folder / f"{prefix}fim.npy").exists()]
    cases = {
        case: tuple(_matrix(folder / f"{_FISHER_CASES[case]}{name}.npy") for name in ("fim", "gfim"))
        for case in ("independent", *optional)
    }
    for fim, gfim in cases.values():
        if fim.shape != gfim.shape:
            raise InputError(f"{folder}: a FIM of shape {fim.shape} beside a GFIM of {gfim.shape}; expected one shape")
    return {case: (fim, gfim) for case, (fim, gfim) in cases.items()}


def _matrix(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError):
        raise InputError(f"{path}: not a NumPy array file") from None
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not np.isfinite(array).all():
        raise InputError(f"{path}: shape {array.shape}; expected a finite square matrix")
    return np.asarray(array, dtype=np.float64)


@dataclass(frozen=True)
class MislabelRuns:
    """All scored runs of one report: metrics, curves and costs in the form of their schemas, and flipped shares.

    ``flipped`` holds task, model, rank, seed and the share of training labels that were flipped (NaN where the scores
    file is not there).
    """

    metrics: pd.DataFrame
    curves: pd.DataFrame
    cost: pd.DataFrame
    flipped: pd.DataFrame

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(task, model) of the runs, sorted."""
        return sorted(set(zip(self.metrics["task"], self.metrics["model"], strict=True)))


def read_mislabel(runs: Sequence[Path], epoch: int) -> MislabelRuns:
    """The scored runs in folders ``runs``.

    Raises:
        InputError: as ``read_many``; a folder without the file; a metric outside 0..1; a run without ``epoch``.
    """
    if not runs:
        raise InputError("--runs: no folder given; expected at least one scores folder")
    for run in runs:
        if not Path(run).is_dir():
            raise InputError(
                f"{run}: no such folder; expected a scores folder with metrics.csv, curves.csv and cost.csv"
            )
    metrics = read_many([Path(run) / "metrics.csv" for run in runs], METRICS)
    share = metrics["metric"].isin(SHARE_METRICS)
    outside = share & ~metrics["value"].between(0.0, 1.0)
    if outside.any():
        row = metrics[outside].iloc[0]
        raise InputError(
            f"metrics.csv: {row['metric']} of {row['method']} is {row['value']:g}; expected a share in 0..1"
        )
    curves = read_many([Path(run) / "curves.csv" for run in runs], CURVES)
    for column in ("inspected_percent", "detected_percent"):
        if not curves[column].between(0.0, 100.0).all():
            raise InputError(f"curves.csv: column {column} holds a value outside 0..100 %")
    cost = read_many([Path(run) / "cost.csv" for run in runs], COST)
    for run in runs:
        epochs = sorted(set(read_csv(Path(run) / "metrics.csv", METRICS)["epoch"]))
        if epoch not in epochs:
            raise InputError(f"{run}: not scored at epoch {epoch}; it has {', '.join(map(str, epochs))}")
    return MislabelRuns(metrics, curves, cost, _flipped_shares(runs, epoch))


def _flipped_shares(runs: Sequence[Path], epoch: int) -> pd.DataFrame:
    rows = []
    for run in runs:
        path = Path(run) / f"epoch-{epoch}.parquet"
        if not path.exists():
            continue
        check_written(path)
        try:
            flipped = pd.read_parquet(path, columns=["flipped"])["flipped"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path}: not a scores file ({str(error).splitlines()[0]})") from None
        first = read_csv(Path(run) / "metrics.csv", METRICS).iloc[0]
        rows.append((first["task"], first["model"], int(first["rank"]), int(first["seed"]), float(flipped.mean())))
    return pd.DataFrame(rows, columns=["task", "model", "rank", "seed", "share"])
