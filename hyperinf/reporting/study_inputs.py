"""Read the runs of a study; whatever does not fit is refused in one line that names the file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hyperinf.artifacts.records import RECORD, check_written, read_record
from hyperinf.errors import InputError
from hyperinf.reporting.costs import cost_frame
from hyperinf.reporting.extreme_samples import Sheet, read_sheet
from hyperinf.reporting.frames import Cell, StudyFrame
from hyperinf.reporting.inputs import Schema, joined, read_csv
from hyperinf.reporting.labels import STRATEGY_LABELS
from hyperinf.reporting.sources import Source
from hyperinf.settings.reporting import StudyShape

RUN = ("task", "model", "setting", "seed")
METRICS = Schema(
    text=("task", "model", "setting", "method", "strategy", "checkpoint", "metric"),
    whole=("seed",),
    number=("fraction", "value"),
    key=("task", "model", "setting", "method", "strategy", "fraction", "checkpoint", "seed", "metric"),
    optional=("strategy", "fraction", "checkpoint"),
)
COST = Schema(
    text=("task", "model", "setting", "method", "checkpoint", "stage"),
    whole=("seed",),
    number=("seconds", "peak_memory_mib"),
    key=("task", "model", "setting", "method", "checkpoint", "seed", "stage"),
    optional=("peak_memory_mib",),
)
CURVES = Schema(
    text=("task", "model", "setting", "method", "checkpoint"),
    whole=("seed",),
    number=("inspected", "detected"),
    key=("task", "model", "setting", "method", "checkpoint", "seed", "inspected"),
)
SPLITS = ("train", "validation", "test")
KIND_PREFIX = "accuracy_"
BY_LENGTH = "accuracy_norm"
"""Accuracy by likelihood per character: the one metric with that beginning that is not of a kind of question."""
_UNBOUNDED = ("kept", "steps")
"""Metrics that are no fraction of anything."""
_FRACTION = "fraction-"


@dataclass(frozen=True)
class Run:
    """One run: a task, model, setting and seed.

    Attributes:
        cell: task, model and setting.
        seed: of the run.
        folder: where it lies.
        metrics: in the form of ``METRICS``, by the file they came from; so are ``curves`` and ``cost`` in theirs.
        curves: of detection.
        cost: of scoring.
        note: what a reader must know of the model.
        truncated: samples of each split that were too long for the model.
        harmed: fraction of the training samples that were harmed; None where it is not known.
    """

    cell: Cell
    seed: int
    folder: Path
    metrics: Mapping[Path, pd.DataFrame]
    curves: Mapping[Path, pd.DataFrame]
    cost: Mapping[Path, pd.DataFrame]
    note: str
    truncated: Mapping[str, int]
    harmed: float | None


@dataclass(frozen=True)
class StudyResults:
    """All that a report of a study is made of.

    Attributes:
        shape: the study.
        runs: by cell and seed.
        frame: all numbers.
        curves: of detection, in the form of ``CURVES``.
        cost: in the form of ``COST``.
        costs: of ``costs.cost_frame``.
        sheets: extreme samples of the first seed with their images, by cell.
        out: the results folder.
    """

    shape: StudyShape
    runs: Sequence[Run]
    frame: StudyFrame
    curves: pd.DataFrame
    cost: pd.DataFrame
    costs: pd.DataFrame
    sheets: Mapping[Cell, Sheet] = field(default_factory=dict)
    out: Path = Path()

    def note(self, cell: Cell) -> str:
        """Say what the runs of a cell say of their model; different notes are joined."""
        return " | ".join(dict.fromkeys(run.note for run in self.runs if run.cell == cell and run.note))

    def about(self, cell: Cell) -> str:
        """Say in a sentence what a reader must know of the model; ``""`` for nothing."""
        note = self.note(cell)
        return f"{cell.model} is {note}." if note else ""

    def truncated(self, cell: Cell) -> dict[str, int]:
        """Count the samples too long for the model by split, the most of any seed, where recorded."""
        own = [run.truncated for run in self.runs if run.cell == cell]
        known = {split: [found[split] for found in own if split in found] for split in SPLITS}
        return {split: max(counts) for split, counts in known.items() if counts}

    def harmed(self, cell: Cell) -> float | None:
        """Give the fraction of the training samples that were harmed, mean over the seeds."""
        known = [run.harmed for run in self.runs if run.cell == cell and run.harmed is not None]
        return float(np.mean(known)) if known else None

    @property
    def sources(self) -> Sequence[Source]:
        """The files that went in. Costs change from run to run, so they are named without a hash."""
        return [
            Source(path, path.name != "cost.csv", {**run.cell._asdict(), "seed": run.seed})
            for run in self.runs
            for path in [*run.metrics, *run.curves, *run.cost]
        ]


def read_study(study: StudyShape, runs: Sequence[Path], out: Path) -> StudyResults:
    """Read the runs of a study.

    Args:
        study: what is expected of them.
        runs: folders ``.../{task}/{model}/{setting}/seed-{seed}`` with ``scores/CHECKPOINT/cost.csv``; with detection
            ``detection/{metrics,curves}.csv``; with selection ``fraction-F/metrics.csv`` of every fraction, and maybe
            ``fraction-1.0``, which holds the references.
        out: the results folder.

    Raises:
        InputError: a folder or file is missing, or does not fit its form or the study; two say different.
    """
    read = sorted((_read_run(study, Path(run)) for run in runs), key=lambda run: (run.cell, run.seed))
    known = {Cell(task, model, each) for task in study.tasks for model in study.models for each in study.settings}
    found = {run.cell for run in read}
    for cell in sorted(known - found):
        raise InputError(f"runs: got none of {', '.join(cell)}, expected at least one")
    for cell in sorted(found - known):
        raise InputError(
            f"runs: got one of {', '.join(cell)}, expected those of the study's tasks, models and settings"
        )
    metrics = joined([part for run in read for part in run.metrics.items()], METRICS)
    cost = joined([part for run in read for part in run.cost.items()], COST)
    return StudyResults(
        study,
        read,
        StudyFrame(study.name, study.family, metrics, study.checkpoints),
        joined([part for run in read for part in run.curves.items()], CURVES),
        cost,
        cost_frame(cost),
        {cell: _first_sheet(study, read, cell) for cell in sorted(known)} if study.has_images else {},
        out,
    )


def _first_sheet(study: StudyShape, runs: Sequence[Run], cell: Cell) -> Sheet:
    first = next(run for run in runs if run.cell == cell)
    return read_sheet(first.folder, study.checkpoints[-1], first.seed, study.methods)


def _read_run(study: StudyShape, folder: Path) -> Run:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected that of a run")
    info = _record(folder / "scores" / study.shown / RECORD)
    truncated = dict(info.get("truncated") or {})
    costs = {path: read_csv(path, COST) for each in study.checkpoints for path in [folder / f"scores/{each}/cost.csv"]}
    metrics: dict[Path, pd.DataFrame] = {}
    curves: dict[Path, pd.DataFrame] = {}
    if study.detection:
        path = folder / "detection/metrics.csv"
        metrics[path] = _detection(path, study.shown)
        path = path.with_name("curves.csv")
        curves[path] = read_csv(path, CURVES, may_be_empty=True)
        for column in ("inspected", "detected"):
            _check_range(path, curves[path], column)
    for fraction, path in _fraction_files(study, folder):
        metrics[path] = _selection(path, fraction)
        truncated |= _record(path.with_name(RECORD)).get("truncated") or {}
    cell, seed = _identity({**metrics, **curves, **costs})
    note = " ".join(str(info.get("model_note") or "").split())
    return Run(cell, seed, folder, metrics, curves, costs, note, truncated, _harmed(folder, study))


def _fraction_files(study: StudyShape, folder: Path) -> Iterator[tuple[float, Path]]:
    """The metrics of every fraction of a study, and those of all samples where they are there."""
    if not study.selection:
        return
    named = {_fraction(path): path / "metrics.csv" for path in sorted(folder.glob(f"{_FRACTION}*")) if path.is_dir()}
    for fraction in sorted(study.fractions):
        if fraction not in named:
            raise InputError(f"{folder}: got no folder {_FRACTION}{fraction}, expected one for every fraction")
        yield fraction, named[fraction]
    if 1.0 in named:
        yield 1.0, named[1.0]


def _fraction(path: Path) -> float | None:
    try:
        return float(path.name.removeprefix(_FRACTION))
    except ValueError:
        return None


def _detection(path: Path, shown: str) -> pd.DataFrame:
    frame = _checked(path, read_csv(path, METRICS))
    known = sorted(set(frame["checkpoint"]))
    if shown not in known:
        raise InputError(f"{path}: got checkpoints {', '.join(known)}, expected {shown} among them")
    return frame


def _selection(path: Path, fraction: float) -> pd.DataFrame:
    frame = _checked(path, read_csv(path, METRICS))
    reference = (frame["fraction"] == 0) & (fraction == 1)
    other = ~np.isclose(frame["fraction"], fraction) & ~reference
    if other.any():
        row = frame[other].iloc[0]
        raise InputError(
            f"{path}: {row['metric']} of {row['method']}: got fraction {row['fraction']:g}, expected {fraction:g}"
        )
    unknown = sorted(set(frame.loc[~reference, "strategy"]) - set(STRATEGY_LABELS))
    if unknown:
        raise InputError(f"{path}: column strategy: got {unknown[0]!r}, expected {' or '.join(STRATEGY_LABELS)}")
    # Which weights were scored is told by the fine-tuning; a selection is of its last ones.
    return frame.assign(checkpoint="")


def _checked(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    _check_range(path, frame[~frame["metric"].isin(_UNBOUNDED)], "value")
    return frame


def _check_range(path: Path, rows: pd.DataFrame, column: str) -> None:
    outside = rows[~rows[column].between(0.0, 1.0)]
    if len(outside):
        row = outside.iloc[0]
        what = f"{row['metric']} of {row['method']}" if column == "value" else f"column {column}"
        raise InputError(f"{path}: {what}: got {row[column]:g}, expected a fraction from 0 to 1")


def _identity(parts: Mapping[Path, pd.DataFrame]) -> tuple[Cell, int]:
    """The one run that all files of a folder speak of."""
    found: tuple[Any, ...] | None = None
    for path, frame in parts.items():
        for key in dict.fromkeys(frame[list(RUN)].itertuples(index=False, name=None)):
            if found is not None and key != found:
                raise InputError(f"{path}: got rows of {_named(key)}, expected {_named(found)} as beside it")
            found = key
    assert found is not None  # costs are never empty
    *cell, seed = found
    return Cell(*cell), int(seed)


def _named(key: tuple[Any, ...]) -> str:
    return "{}, {}, {}, seed {}".format(*key)


def _record(path: Path) -> dict[str, Any]:
    content = read_record(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: got no JSON object, expected a record")
    return content


def _harmed(folder: Path, study: StudyShape) -> float | None:
    path = folder / f"scores/{study.shown}/scores.parquet"
    if not (study.detection and path.exists()):
        return None
    check_written(path)
    try:
        return float((pd.read_parquet(path, columns=["corruption"])["corruption"] != "").mean())
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: got no scores ({str(error).splitlines()[0]}), expected those of samples") from None
