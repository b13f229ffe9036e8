"""Reading what the selection stage wrote; whatever does not fit is refused in one line that names the file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hyperinf.artifacts.records import read_record
from hyperinf.errors import InputError
from hyperinf.reporting.inputs import Schema, joined, read_csv, read_many
from hyperinf.reporting.labels import STRATEGY_LABELS, STUDY_LABELS

RUN = ("task", "model", "setting", "seed")
CELL = ("task", "model", "setting")
SELECTION_METRICS = Schema(
    text=("task", "model", "setting", "method", "strategy", "metric"),
    whole=("seed",),
    number=("fraction", "value"),
    key=("task", "model", "setting", "method", "strategy", "fraction", "seed", "metric"),
    optional=("strategy", "fraction"),
)
SELECTION_COST = Schema(
    text=("task", "model", "setting", "method", "stage"),
    whole=("seed",),
    number=("seconds", "peak_memory_mib"),
    key=("task", "model", "setting", "method", "seed", "stage"),
    optional=("method", "peak_memory_mib"),
)
SPLITS = ("pool", "validation", "test")
SHARES = ("roc_auc", "accuracy", "clean_share", "largest_answer_share")
KIND_PREFIX = "accuracy_"
BY_LENGTH = "accuracy_norm"
"""Accuracy by likelihood per character: the one metric with that beginning that is not of a kind of question."""
_FOLDER = re.compile(r"fraction-([0-9]+)")
_WHOLE = 100


@dataclass(frozen=True)
class SelectionRuns:
    """All runs of one report.

    Attributes:
        metrics: of the scores and of every fraction, in the form of ``SELECTION_METRICS``.
        cost: in the form of ``SELECTION_COST``.
        runs: one row per run: task, model, setting, seed, folder, percents, model_note, and how many samples of each
            split were too long for the model and lost a part: truncated_pool, truncated_validation, truncated_test.
    """

    metrics: pd.DataFrame
    cost: pd.DataFrame
    runs: pd.DataFrame

    @property
    def kinds(self) -> list[str]:
        """Kinds of questions that accuracies are known of, sorted."""
        metrics = set(self.metrics["metric"]) - {BY_LENGTH}
        return sorted(name.removeprefix(KIND_PREFIX) for name in metrics if name.startswith(KIND_PREFIX))

    @property
    def cells(self) -> list[tuple[str, str, str]]:
        """(task, model, setting) of the runs, sorted."""
        return sorted(set(zip(*(self.runs[column] for column in CELL), strict=True)))

    def note(self, task: str, model: str, setting: str) -> str:
        """What the runs of a cell say of their model; different notes are joined."""
        own = self.runs[(self.runs[list(CELL)] == [task, model, setting]).all(axis=1)]
        return " | ".join(dict.fromkeys(note for note in own["model_note"] if note))

    def truncated(self, task: str, model: str, setting: str) -> dict[str, int]:
        """``{truncated_<split>: samples too long for the model}`` of a cell, the most of any seed, where recorded."""
        own = self.runs[(self.runs[list(CELL)] == [task, model, setting]).all(axis=1)]
        return {name: int(own[name].max()) for name in own if name.startswith("truncated_") and own[name].notna().any()}


def read_selection(study: str, runs: Sequence[Path], percents: Sequence[int] | None = None) -> SelectionRuns:
    """The runs in seed folders ``runs``: of the named shares of the pool, or of all that are there.

    Raises:
        InputError: an unknown study; no run; a folder that is not there or holds no share of the pool below 100 %; a
            file that does not fit its schema; a share outside 0..1; rows that two files both have; a folder that holds
            the rows of several runs.
    """
    if study not in STUDY_LABELS:
        raise InputError(f"study: expected one of {', '.join(STUDY_LABELS)}, got {study!r}")
    if not runs:
        raise InputError("--runs: no folder given; expected at least one seed folder")
    parts: list[tuple[Path, pd.DataFrame]] = []
    rows = []
    for run in map(Path, runs):
        own = list(_metrics(run, percents))
        infos = [_info(path.with_name("info.json")) for path, _ in own]
        note = " ".join(str(infos[0].get("model_note") or "").split())
        rows.append({**_identity(run, own, percents), "folder": run, "model_note": note, **_truncated(infos)})
        parts += own
    metrics = joined(parts, SELECTION_METRICS)
    cost = read_many([Path(run) / "scores/cost.csv" for run in runs], SELECTION_COST)
    return SelectionRuns(metrics, cost, pd.DataFrame(rows).sort_values(list(RUN), ignore_index=True))


def fraction_files(run: Path, percents: Sequence[int] | None = None) -> dict[int, Path]:
    """``metrics.csv`` of the named shares of the pool in a seed folder, or of all that are there, by percent.

    Raises:
        InputError: there is no such folder, or none below 100 %, or a named one is missing.
    """
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; expected a seed folder with scores and fraction-P")
    named = {int(match[1]): path for path in run.iterdir() if (match := _FOLDER.fullmatch(path.name))}
    for percent in percents or ():
        if percent not in named:
            raise InputError(f"{run}: no folder fraction-{percent}; expected one for every percent that is named")
    if percents is not None:
        named = {percent: named[percent] for percent in percents}
    if not set(named) - {_WHOLE}:
        raise InputError(f"{run}: no folder fraction-P with P below {_WHOLE}; expected at least one share of the pool")
    return {percent: named[percent] / "metrics.csv" for percent in sorted(named)}


def _metrics(run: Path, percents: Sequence[int] | None) -> Iterator[tuple[Path, pd.DataFrame]]:
    files = fraction_files(run, percents)
    scores = run / "scores/metrics.csv"
    found = _checked(scores, read_csv(scores, SELECTION_METRICS, may_be_empty=True))
    if found["fraction"].notna().any() or (found["strategy"] != "").any():
        raise InputError(f"{scores}: a score has a strategy or a fraction; expected those columns to be empty")
    yield scores, found
    for percent, path in files.items():
        frame = _checked(path, read_csv(path, SELECTION_METRICS))
        reference = (frame["fraction"] == 0) & (percent == _WHOLE)
        other = ~np.isclose(frame["fraction"], percent / 100) & ~reference
        if other.any():
            row = frame[other].iloc[0]
            raise InputError(
                f"{path}: {row['metric']} of {row['method']} has fraction {row['fraction']:g}; "
                f"expected {percent / 100:g}"
            )
        unnamed = (frame["strategy"] == "") & ~reference
        if unnamed.any():
            method = frame.loc[unnamed, "method"].iloc[0]
            raise InputError(f"{path}: column strategy of {method} is empty; expected {' or '.join(STRATEGY_LABELS)}")
        yield path, frame


def _checked(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    unknown = sorted(set(frame["strategy"]) - set(STRATEGY_LABELS) - {""})
    if unknown:
        raise InputError(f"{path}: column strategy holds {unknown[0]!r}; expected {' or '.join(STRATEGY_LABELS)}")
    share = frame["metric"].isin(SHARES) | frame["metric"].str.startswith(KIND_PREFIX)
    outside = share & ~frame["value"].between(0.0, 1.0)
    if outside.any():
        row = frame[outside].iloc[0]
        where = " ".join(str(row[column]) for column in ("method", "strategy") if row[column])
        raise InputError(f"{path}: {row['metric']} of {where} is {row['value']:g}; expected a share in 0..1")
    return frame


def _identity(run: Path, parts: list[tuple[Path, pd.DataFrame]], percents: Sequence[int] | None) -> dict[str, object]:
    """The one run that all files of a folder speak of."""
    found: tuple[object, ...] | None = None
    for path, frame in [*reversed(parts), (run / "scores/cost.csv", read_csv(run / "scores/cost.csv", SELECTION_COST))]:
        for key in dict.fromkeys(frame[list(RUN)].itertuples(index=False, name=None)):
            if found is not None and key != found:
                raise InputError(f"{path}: holds rows of {_named(key)}; expected {_named(found)} as beside it")
            found = key
    assert found is not None  # a file of a fraction is never empty
    shown = " ".join(str(percent) for percent in fraction_files(run, percents))
    return {**dict(zip(RUN, found, strict=True)), "percents": shown}


def _named(key: tuple[object, ...]) -> str:
    return "{}, {}, {}, seed {}".format(*key)


def _info(path: Path) -> dict[str, Any]:
    content = read_record(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object")
    return content


def _truncated(infos: Sequence[dict[str, Any]]) -> dict[str, int | None]:
    """The scores speak of the pool and the validation set, the fine-tunings of the test set."""
    found: dict[str, int] = {}
    for info in infos:
        found |= info.get("truncated") or {}
    return {f"truncated_{split}": found.get(split) for split in SPLITS}
