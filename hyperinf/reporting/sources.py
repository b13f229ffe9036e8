"""What was run, as the stages themselves recorded it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.artifacts.files import read_json
from hyperinf.errors import InputError

_HIDDEN = ("sha256", "reports", "wheels", "cache", "inputs", "outputs")
_MAX_VALUES = 12


def _flat(value: Any, name: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        nested: dict[str, str] = {}
        for key in sorted(value):
            if not any(hidden in key for hidden in _HIDDEN):
                nested |= _flat(value[key], f"{name}.{key}" if name else str(key))
        return nested
    if isinstance(value, list):
        return {name: ", ".join(map(str, value))}
    return {name: str(value)}


def collected(files: Iterable[Path]) -> list[tuple[str, str]]:
    """(key, value) over several ``info.json``: keys in order, the distinct values of each joined by " | "."""
    values: dict[str, list[str]] = {}
    for file in files:
        content = read_json(file)
        if not isinstance(content, dict):
            raise InputError(f"{file}: expected a JSON object")
        for key, value in _flat(content).items():
            known = values.setdefault(key, [])
            if value not in known:
                known.append(value)
    return [(key, _joined(known)) for key, known in values.items()]


def _joined(values: list[str]) -> str:
    shown = " | ".join(values[:_MAX_VALUES])
    return f"{shown} | … ({len(values)} values)" if len(values) > _MAX_VALUES else shown


def mislabel_records(results: Path, sources: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """What preparation, fine-tuning and scoring recorded of the runs in ``mislabel_sources.csv``, where it is there."""
    scores = [results / folder for folder in sources["folder"]]
    found = {
        "data": [
            run.parents[3] / "data" / f"seed-{seed}" / "info.json"
            for run, seed in zip(scores, sources["seed"], strict=True)
        ],
        "fine-tuning": [run.parent / "adapter" / "info.json" for run in scores],
        "scoring": [run / "info.json" for run in scores],
    }
    return _existing(found)


def selection_records(results: Path, sources: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """What every step of the runs in ``<study>_sources.csv`` recorded, where it is there."""
    runs = [results / folder for folder in sources["folder"]]
    percents = [str(text).split() for text in sources["percents"]]
    found = {
        "data": [
            run.parents[2] / "data" / f"seed-{seed}" / "info.json"
            for run, seed in zip(runs, sources["seed"], strict=True)
        ],
        "warm-up": [run / "warmup/info.json" for run in runs],
        "scoring": [run / "scores/info.json" for run in runs],
        "fine-tuning on the samples kept": [
            run / f"fraction-{percent}/info.json" for run, own in zip(runs, percents, strict=True) for percent in own
        ],
    }
    return _existing(found)


def _existing(found: Mapping[str, list[Path]]) -> dict[str, list[tuple[str, str]]]:
    existing = {stage: [file for file in dict.fromkeys(files) if file.is_file()] for stage, files in found.items()}
    return {stage: collected(files) for stage, files in existing.items() if files}


def asset_records(results: Path) -> list[dict[str, str]]:
    """Name, distribution, version, licence, origin and hash of every asset that was fetched."""
    records = []
    for file in sorted((results / "assets").glob("*.json")):
        content = read_json(file)
        if isinstance(content, dict):
            records.append({key: str(value) for key, value in content.items() if not isinstance(value, (dict, list))})
    return records
