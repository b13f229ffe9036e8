"""Say where a run's time went: seconds of every job, by study and stage, from the files that Snakemake left."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.reporting.labels import counted
from hyperinf.settings.reporting import RUN_BEGAN

FOLDER = "benchmarks"
_COLUMNS = ["study", "stage", "seconds", "reused"]
_STAGES = {
    "data": "drawing data",
    "finetune": "fine-tuning",
    "score": "scoring",
    "detection": "detection",
    "fraction": "training on what is kept",
    "retrain": "retraining on subsets",
    "validation": "validation",
    "align": "alignment",
    "convergence": "convergence",
    "fisher": "Fisher matrices",
    "timing": "timing",
}
_BEFORE = dict.fromkeys(("assets", "models", "aligned"), "Models and data")
_AFTER = {"report": "Reports"}
_TONES = 6


def times(results: Path) -> pd.DataFrame:
    """Read the seconds of every job: study (the folder's name), stage, seconds, reused (made before this run began)."""
    return pd.DataFrame(_jobs(results / FOLDER, float(os.environ.get(RUN_BEGAN, "-inf"))), columns=_COLUMNS)


def _jobs(folder: Path, began: float) -> Iterator[tuple[str, str, float, bool]]:
    for file in sorted(folder.rglob("*.tsv")):
        try:
            seconds = float(pd.read_csv(file, sep="\t")["s"].sum())
        except (ValueError, KeyError):  # of a job that was stopped
            continue
        study, *between = file.relative_to(folder).with_suffix("").parts
        yield study, _stage(study, between), seconds, file.stat().st_mtime < began


def _stage(study: str, parts: list[str]) -> str:
    if study in (*_BEFORE, *_AFTER):
        return {"aligned": "alignment", "report": "figures and tables"}.get(study, "fetching and converting")
    sharded = any(part.startswith("shards-") for part in parts)
    known = "data" if "data" in parts else "score" if sharded else (parts[0] if study == "simulation" else parts[-1])
    return _STAGES.get(known.partition("-")[0], known)


def spent(results: Path, titles: Mapping[str, str]) -> dict[str, Any] | None:
    """Sum the times up for the page's picture.

    Args:
        results: the results folder.
        titles: of the studies that are shown, by name.

    Returns:
        ``told`` and ``reused`` (sentences), and ``studies``: ``title``, ``told`` and ``parts``, each with its text, its
        tone, and start and width in percent; None where there are no times.
    """
    frame, known = times(results), {**_BEFORE, **titles, **_AFTER}
    frame = frame[frame["study"].isin(known)]
    if frame["seconds"].sum() <= 0:
        return None
    frame = frame.assign(title=frame["study"].map(known))
    most = frame.groupby("title")["seconds"].sum().max()
    stages = frame.groupby("stage")["seconds"].sum().sort_values(ascending=False)
    # A tone of its own for the stages that take longest, one for all others.
    tones = {stage: min(place, _TONES - 1) for place, stage in enumerate(stages.index)}
    studies = []
    for title in (each for each in dict.fromkeys(known.values()) if (frame["title"] == each).any()):
        rows = frame[frame["title"] == title]
        parts, start = [], 0.0
        for stage, seconds in rows.groupby("stage")["seconds"].sum().sort_values(ascending=False).items():
            width = 100 * seconds / most
            jobs = counted(int((rows["stage"] == stage).sum()), "job")
            told = f"{stage}: {duration(seconds)} in {jobs}"
            parts.append({"text": told, "start": round(start, 2), "width": round(width, 2), "tone": tones[stage]})
            start += width
        studies.append({"title": title, "told": duration(rows["seconds"].sum()), "parts": parts})
    total, longest = frame["seconds"].sum(), stages.index[0]
    share = f"{longest} takes {100 * stages.iloc[0] / total:.0f} % of it"
    return {
        "told": f"{counted(len(frame), 'job')} took {duration(total)}, one after the other; {share}.",
        "reused": _reused(frame),
        "studies": studies,
    }


def _reused(frame: pd.DataFrame) -> str:
    if RUN_BEGAN not in os.environ:
        return "Each time is that of the run that made the file."
    old = frame[frame["reused"]]
    if old.empty:
        return "All of them ran in this run."
    new = counted(len(frame) - len(old), "job")
    return (
        f"{counted(len(old), 'job')} ({duration(old['seconds'].sum())}) were reused from earlier runs; "
        f"{new} ran in this one ({duration(frame['seconds'].sum() - old['seconds'].sum())})."
    )


def duration(seconds: float) -> str:
    """Write a time: ``12.3 s``, ``4 min``, ``2 h 05 min``."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
