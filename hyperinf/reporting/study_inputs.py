"""Read the runs of a study; whatever does not fit is refused in one line that names the file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hyperinf.artifacts.records import RECORD, check_written, read_record
from hyperinf.data.parquet import read_frame
from hyperinf.errors import InputError
from hyperinf.reporting.costs import cost_frame
from hyperinf.reporting.extreme_samples import Sheet, read_sheet
from hyperinf.reporting.frames import Cell, StudyFrame
from hyperinf.reporting.inputs import Schema, joined, read_csv
from hyperinf.reporting.labels import STRATEGY_LABELS, checkpoint_label, noted_model, setting_label
from hyperinf.reporting.run_folders import scores_folder
from hyperinf.reporting.sources import Source
from hyperinf.settings.reporting import StudyShape

RUN = ("task", "model", "setting", "seed")
METRICS = Schema(
    text=("task", "model", "setting", "method", "strategy", "checkpoint", "metric"),
    whole=("seed",),
    number=("fraction", "value"),
    key=(*RUN, "method", "strategy", "fraction", "checkpoint", "metric"),
    optional=("strategy", "fraction", "checkpoint"),
)
COST = Schema(
    text=("task", "model", "setting", "method", "checkpoint", "stage"),
    whole=("seed",),
    number=("seconds", "peak_memory_mib"),
    key=(*RUN, "method", "checkpoint", "stage"),
    optional=("peak_memory_mib",),
)
CURVES = Schema(
    text=("task", "model", "setting", "method", "checkpoint"),
    whole=("seed",),
    number=("inspected", "detected"),
    key=(*RUN, "method", "checkpoint", "inspected"),
)
LDS = Schema(
    text=("task", "model", "setting", "method", "target"),
    whole=("seed", "subsets"),
    number=("lds", "low", "high", "ceiling", "seconds"),
    key=(*RUN, "method", "target"),
    optional=("lds", "low", "high", "ceiling", "seconds"),
)
_UNBOUNDED = (
    "kept", "steps", "fim_correlation", "lds", "lds_mean_target", "lds_ceiling", "lds_mean_target_ceiling",
    "lds_randomised", "randomised_agreement", "loss_without", "loss_patched",
)  # fmt: skip
"""Metrics that are no fraction of anything."""
_FRACTION = "fraction-"
Parts = Mapping[Path, pd.DataFrame]


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
        lds: how well scores predict retraining.
        note: what a reader must know of the model.
        truncated: samples of each split that were too long for the model.
        harmed: fraction of the training samples that were harmed; None where it is not known.
        gfim_distance: by checkpoint, how far the Fisher matrix is from what the GFIM makes of it, mean over the layers;
            empty where it is not known.
    """

    cell: Cell
    seed: int
    folder: Path
    metrics: Parts
    curves: Parts
    cost: Parts
    lds: Parts
    note: str
    truncated: Mapping[str, int]
    harmed: float | None
    gfim_distance: Mapping[str, float] = field(default_factory=dict)


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
        lds: in the form of ``LDS``.
        sheets: extreme samples of the first seed with their images, by cell.
        out: the results folder.
    """

    shape: StudyShape
    runs: Sequence[Run]
    frame: StudyFrame
    curves: pd.DataFrame
    cost: pd.DataFrame
    costs: pd.DataFrame
    lds: pd.DataFrame
    sheets: Mapping[Cell, Sheet] = field(default_factory=dict)
    out: Path = Path()

    def note(self, *cells: tuple[str, str, str]) -> str:
        """Say what the runs of these cells say of their model; different notes are joined."""
        return " | ".join(dict.fromkeys(run.note for run in self.runs if run.cell in cells and run.note))

    def about(self, *cells: tuple[str, str, str]) -> str:
        """Say in a sentence what a reader must know of the model; ``""`` for nothing."""
        note = self.note(*cells)
        return f"{cells[0][1]} is {note}." if note else ""

    def where(self, cell: Cell, checkpoint: str = "", noted: bool = True) -> str:
        """Name task, model (with what must be known of it), setting and checkpoint in words."""
        model = noted_model(cell.model, self.note(cell) if noted else "")
        words = (cell.task, model, setting_label(cell.setting), checkpoint_label(checkpoint))
        return ", ".join(word for word in words if word)

    def truncated(self, cell: Cell) -> dict[str, int]:
        """Count the samples too long for the model by split, the most of any seed, where recorded."""
        counts = [(split, run.truncated[split]) for run in self.runs if run.cell == cell for split in run.truncated]
        known = ("train", "validation", "test")
        return {split: max(n for name, n in counts if name == split) for split in known if split in dict(counts)}

    def harmed(self, cell: Cell) -> float | None:
        """Give the fraction of the training samples that were harmed, mean over the seeds."""
        known = [run.harmed for run in self.runs if run.cell == cell and run.harmed is not None]
        return float(np.mean(known)) if known else None

    @property
    def sources(self) -> list[Source]:
        """The files that went in. Costs change from run to run, so they are named without a hash."""
        return [
            Source(path, path.name not in ("cost.csv", "lds.csv"), {**run.cell._asdict(), "seed": run.seed})
            for run in self.runs
            for path in [*run.metrics, *run.curves, *run.cost, *run.lds]
        ]


def read_study(study: StudyShape, runs: Sequence[Path], out: Path) -> StudyResults:
    """Read the runs of a study, see ``reports.report_study``.

    Raises:
        InputError: a folder or file is missing, or does not fit its form or the study; two say different.
    """
    read = sorted((_read_run(study, Path(run)) for run in runs), key=lambda run: (run.cell, run.seed))
    known = {Cell(task, model, each) for task in study.tasks for model in study.models for each in study.settings}
    first = {run.cell: run for run in reversed(read)}
    for cell in sorted(known ^ set(first)):
        got, wanted = ("none", "at least one") if cell in known else ("one", "none")
        raise InputError(f"runs: got {got} of {', '.join(cell)}, expected {wanted} in study {study.name}")
    metrics = joined([part for run in read for part in run.metrics.items()], METRICS)
    cost = joined([part for run in read for part in run.cost.items()], COST)
    last = study.checkpoints[-1]
    shown = first.items() if study.has_images else ()
    sheets = [(cell, read_sheet(run.folder, last, run.seed, study.methods)) for cell, run in shown]
    return StudyResults(
        study,
        read,
        StudyFrame(study.name, study.family, metrics, study.checkpoints),
        joined([part for run in read for part in run.curves.items()], CURVES),
        cost,
        cost_frame(cost),
        joined([part for run in read for part in run.lds.items()], LDS),
        {cell: sheet for cell, sheet in sheets if sheet is not None},
        out,
    )


def _read_run(study: StudyShape, folder: Path) -> Run:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected that of a run")
    scores = [scores_folder(folder, checkpoint) for checkpoint in study.checkpoints]
    scored = [_record(path / RECORD) for path in scores]
    infos = [scored[-1]]
    cost = {path / "cost.csv": read_csv(path / "cost.csv", COST) for path in scores}
    metrics: dict[Path, pd.DataFrame] = {}
    curves: dict[Path, pd.DataFrame] = {}
    if study.detection:
        path = folder / "detection/metrics.csv"
        metrics[path] = _checked(path, read_csv(path, METRICS), "value")
        known = sorted(set(metrics[path]["checkpoint"]))
        if study.shown not in known:
            raise InputError(f"{path}: got checkpoints {', '.join(known)}, expected {study.shown} among them")
        path = path.with_name("curves.csv")
        curves[path] = _checked(path, read_csv(path, CURVES, may_be_empty=True), "inspected", "detected")
    for fraction, path in _fraction_files(study, folder):
        metrics[path] = _selection(path, fraction)
        infos.append(_record(path.with_name(RECORD)))
    lds: dict[Path, pd.DataFrame] = {}
    if study.validation:
        path = folder / "validation/metrics.csv"
        metrics[path] = _checked(path, read_csv(path, METRICS), "value")
        lds = {path.with_name("lds.csv"): read_csv(path.with_name("lds.csv"), LDS)}
    cell, seed = _identity({**metrics, **curves, **cost, **lds})
    truncated = {split: count for info in infos for split, count in (info.get("truncated") or {}).items()}
    note = " ".join(str(infos[0].get("model_note") or "").split())
    harmed = _harmed(scores_folder(folder, study.shown) / "scores.parquet") if study.detection else None
    distances = {name: _gfim_distance(info) for name, info in zip(study.checkpoints, scored, strict=True)}
    told = {name: distance for name, distance in distances.items() if distance is not None}
    return Run(cell, seed, folder, metrics, curves, cost, lds, note, truncated, harmed, told)


def _gfim_distance(info: Mapping[str, Any]) -> float | None:
    told = ((info.get("reports") or {}).get("fim") or {}).get("gfim_distance")
    return float(np.mean(list(told.values()))) if told else None


def _fraction_files(study: StudyShape, folder: Path) -> Iterator[tuple[float, Path]]:
    """The metrics of every fraction of a study, and those of all samples where they are there."""
    named = {_fraction(path.name): path / "metrics.csv" for path in sorted(folder.glob(f"{_FRACTION}*"))}
    for fraction in sorted(study.fractions):
        if fraction not in named:
            raise InputError(f"{folder}: got no folder {_FRACTION}{fraction}, expected one for every fraction")
        yield fraction, named[fraction]
    if study.selection and 1.0 in named:
        yield 1.0, named[1.0]


def _fraction(name: str) -> float | None:
    try:
        return float(name.removeprefix(_FRACTION))
    except ValueError:
        return None


def _selection(path: Path, fraction: float) -> pd.DataFrame:
    frame = _checked(path, read_csv(path, METRICS), "value")
    reference = (frame["fraction"] == 0) & (fraction == 1)
    other = frame[~np.isclose(frame["fraction"], fraction) & ~reference]
    if len(other):
        raise InputError(f"{path}: column fraction: got {other['fraction'].iloc[0]:g}, expected {fraction:g}")
    unknown = sorted(set(frame.loc[~reference, "strategy"]) - set(STRATEGY_LABELS))
    if unknown:
        raise InputError(f"{path}: column strategy: got {unknown[0]!r}, expected {' or '.join(STRATEGY_LABELS)}")
    return frame.assign(checkpoint="")  # what is fine-tuned afresh is of no checkpoint


def _checked(path: Path, frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Refuse what is no fraction."""
    bounded = frame[~frame["metric"].isin(_UNBOUNDED)] if "metric" in frame else frame
    for column in columns:
        outside = bounded[~bounded[column].between(0.0, 1.0)]
        if len(outside):
            row = outside.iloc[0]
            what = f"{row['metric']} of {row['method']}" if "metric" in row else f"column {column}"
            raise InputError(f"{path}: {what}: got {row[column]:g}, expected a fraction from 0 to 1")
    return frame


def _identity(parts: Parts) -> tuple[Cell, int]:
    """The one run that all files of a folder speak of."""
    found = {key: path for path, frame in parts.items() for key in frame[list(RUN)].itertuples(index=False, name=None)}
    first, *others = found
    if others:
        said, wanted = ("{}, {}, {}, seed {}".format(*key) for key in (others[0], first))
        raise InputError(f"{found[others[0]]}: got rows of {said}, expected {wanted} as beside it")
    return Cell(*first[:3]), int(first[3])


def _record(path: Path) -> dict[str, Any]:
    content = read_record(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: got no JSON object, expected a record")
    return content


def _harmed(path: Path) -> float | None:
    if not path.exists():
        return None
    check_written(path)
    return float((read_frame(path, ["corruption"])["corruption"] != "").mean())
