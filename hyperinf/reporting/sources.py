"""Say which files went in, and what was run, as the stages themselves recorded it."""

import os.path
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.artifacts.files import read_json, sha256_file
from hyperinf.artifacts.records import RECORD, RUN_FROM
from hyperinf.errors import InputError
from hyperinf.reporting.run_folders import data_folder, finetuned_folder

Records = dict[str, list[tuple[str, str]]]
_HIDDEN = (RUN_FROM, "sha256", "reports", "wheels", "cache", "inputs", "outputs", "accuracies")
_MAX_VALUES = 12


@dataclass(frozen=True)
class Source:
    """A file that a report was made from.

    Attributes:
        path: where it lies.
        hashed: it is the same in every run with the same settings.
        run: what it is of.
    """

    path: Path
    hashed: bool = True
    run: Mapping[str, Any] = field(default_factory=dict)


def sources_table(read: Any) -> pd.DataFrame:
    """List the files that went in with their hashes, by their paths from the results folder."""
    rows = [
        {
            **source.run,
            "file": Path(os.path.relpath(source.path.resolve(), read.out.resolve())).as_posix(),
            "sha256": sha256_file(source.path) if source.hashed else "",
        }
        for source in read.sources
    ]
    return pd.DataFrame(rows)


def study_records(runs: Iterable[tuple[Path, int]], checkpoint: str) -> Records:
    """Collect what every step of the runs recorded, where it is there.

    Args:
        runs: folder and seed of each.
        checkpoint: one that was scored.
    """
    stages: dict[str, list[Path]] = {
        "data": [],
        "fine-tuning": [],
        "scoring": [],
        "fine-tuning on the samples kept": [],
    }
    data, tuned, scored, kept = stages.values()
    for run, seed in runs:
        data.append(data_folder(run, checkpoint, seed) / RECORD)
        tuned.append(finetuned_folder(run, checkpoint) / RECORD)
        scored += [*sorted(run.glob(f"scores/*/{RECORD}")), run / "scores" / RECORD]
        kept += sorted(run.glob(f"fraction-*/{RECORD}"))
    return _existing(stages)


def simulation_records(sources: Sequence[Source]) -> Records:
    """Collect what the synthetic studies recorded beside their tables, where it is there."""
    found: dict[str, list[Path]] = {}
    for source in sources:
        beside = (source.path.with_suffix(f".{RECORD}"), source.path.with_name(RECORD))
        found.setdefault(source.run["part"], []).extend(beside)
    return _existing(found)


def _existing(found: Mapping[str, list[Path]]) -> Records:
    existing = {stage: [file for file in dict.fromkeys(files) if file.is_file()] for stage, files in found.items()}
    return {stage: collected(files) for stage, files in existing.items() if files}


def collected(files: Iterable[Path]) -> list[tuple[str, str]]:
    """Join several records: keys in order, the distinct values of each joined by " | "."""
    values: dict[str, dict[str, None]] = {}
    for file in files:
        content = read_json(file)
        if not isinstance(content, dict):
            raise InputError(f"{file}: got no JSON object, expected a record")
        for key, value in _flat(content):
            values.setdefault(key, {})[value] = None
    return [(key, _joined(list(known))) for key, known in values.items()]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            if not any(hidden in key for hidden in _HIDDEN):
                yield from _flat(value[key], f"{name}.{key}" if name else str(key))
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _joined(values: list[str]) -> str:
    shown = " | ".join(values[:_MAX_VALUES])
    return f"{shown} | … ({len(values)} values)" if len(values) > _MAX_VALUES else shown


def asset_records(results: Path) -> list[dict[str, str]]:
    """Give name, distribution, version, licence, origin and hash of every asset that was fetched."""
    contents = [read_json(file) for file in sorted((results / "assets").glob("*.json"))]
    return [
        {key: str(value) for key, value in content.items() if not isinstance(value, (dict, list))}
        for content in contents
        if isinstance(content, dict)
    ]
