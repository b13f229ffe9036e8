"""List the texts that HyperINF finds most helpful and most harmful: what a contact sheet is for images."""

from typing import Any

import pandas as pd

from hyperinf.artifacts.records import check_written
from hyperinf.data.parquet import read_frame
from hyperinf.reporting.extreme_samples import SIDES, scored_data
from hyperinf.reporting.labels import SUBJECT
from hyperinf.reporting.run_folders import data_folder, scores_folder
from hyperinf.reporting.study_inputs import Run, StudyResults

SHOWN = 5
"""Samples on each side."""
_CHARACTERS = 300
_SCORE = f"influence_{SUBJECT}"


def sample_lists(read: StudyResults) -> list[dict[str, Any]]:
    """Give the extremes of the first seed of every task, model and setting whose samples have no images.

    Returns:
        For each ``heading``, ``seed`` and ``sides``: title, and of every sample its id, text, answer, true answer where
        it was changed, and influence. Nothing of a run whose data is not at hand.
    """
    first = {run.cell: run for run in reversed(read.runs)}
    found = []
    for cell in read.frame.cells:
        run = first[cell]
        data = data_folder(run.folder, read.shape.shown, run.seed) / "train.parquet"
        if not read.shape.has_images and data.is_file():
            found.append({"heading": read.where(cell), "seed": run.seed, "sides": _sides(run, read.shape.shown)})
    return [each for each in found if each["sides"]]


def _sides(run: Run, checkpoint: str) -> list[dict[str, Any]]:
    path = scores_folder(run.folder, checkpoint) / "scores.parquet"
    if not path.is_file():
        return []
    check_written(path)
    scores = read_frame(path, ["sample_id"])
    if _SCORE not in scores:
        return []
    texts = read_frame(scored_data(run.folder, checkpoint, run.seed) / "train.parquet", ["sample_id", "context"])
    rows = scores.merge(texts.drop_duplicates("sample_id"), on="sample_id", suffixes=("", "_of_data"))
    count = min(SHOWN, len(rows) // 2)
    order = rows.sort_values(_SCORE, kind="stable")
    return [
        {"title": f"Most {side}", "samples": [_sample(row) for _, row in part.iterrows()]}
        for side, part in zip(SIDES, (order.head(count), order.tail(count)[::-1]), strict=True)
    ]


def _sample(row: pd.Series) -> dict[str, str]:
    text = " ".join(str(row[name]) for name in ("context", "question") if row.get(name))
    changed = str(row.get("corruption") or "") != ""
    return {
        "id": str(row["sample_id"]),
        "text": text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]} …",
        "answer": str(row.get("answer", "")),
        "truth": str(row.get("true_answer", "")) if changed else "",
        "influence": f"{row[_SCORE]:+.3g}".replace("-", "−"),
    }
