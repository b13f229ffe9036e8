"""The samples that each method finds most helpful and most harmful, with what is needed to look at them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hyperinf.artifacts.records import RECORD, check_written, read_record
from hyperinf.errors import InputError
from hyperinf.reporting.labels import ordered_methods

SIDES = ("helpful", "harmful")
SHOWN = 4
"""Samples on each side: with four methods the sheet still fits a screen."""
_TEXT = ("sample_id", "image", "question", "answer", "true_answer", "corruption")
_PREFIX = "influence_"


def extreme_samples(run: Path, methods: Sequence[str] | None = None, shown: int = SHOWN) -> pd.DataFrame:
    """The extremes of every method in ``scores/scores.parquet`` of a seed folder.

    Args:
        run: the seed folder.
        methods: influence methods to show; all that the file has when None.
        shown: samples on each side, at most half of the pool.

    Returns:
        Columns method, side, rank (1 is the extreme), influence (positive is harmful), sample_id, image, question,
        answer, true_answer, corruption; methods in the house order, of equal scores the first in the pool first.

    Raises:
        InputError: the file is not there or not whole, lacks a column or a method, is not about images, or holds a
            score that is not finite.
    """
    path = Path(run) / "scores/scores.parquet"
    scores = _scores(path)
    known = [column.removeprefix(_PREFIX) for column in scores.columns if column.startswith(_PREFIX)]
    for method in methods if methods is not None else ():
        if method not in known:
            raise InputError(f"{path}: no scores by {method!r}; it has {', '.join(known)}")
    count = min(shown, len(scores) // 2)
    parts = []
    for method in ordered_methods(known if methods is None else methods):
        influence = scores[f"{_PREFIX}{method}"].to_numpy(dtype=np.float64)
        if not np.isfinite(influence).all():
            worst = scores["sample_id"].iloc[int(np.argmin(np.isfinite(influence)))]
            raise InputError(f"{path}: the influence of sample {worst} by {method} is not finite")
        for side, order in zip(SIDES, (influence, -influence), strict=True):
            chosen = np.argsort(order, kind="stable")[:count]
            part = scores.iloc[chosen][list(_TEXT)].reset_index(drop=True)
            part.insert(0, "influence", influence[chosen])
            part.insert(0, "rank", range(1, count + 1))
            part.insert(0, "side", side)
            part.insert(0, "method", method)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def data_folder(run: Path, folders: Iterable[Path]) -> Path:
    """Which of the folders holds the data that a run was scored on: told by the hash of their content.

    Raises:
        InputError: none of them does, or a record cannot be read.
    """
    record = Path(run) / "scores" / RECORD
    wanted = read_record(record).get("data_sha256")
    seen = []
    for folder in map(Path, folders):
        if wanted is not None and read_record(folder / RECORD).get("content_sha256") == wanted:
            return folder
        seen.append(str(folder))
    raise InputError(
        f"--data: none of {', '.join(seen)} holds what {run} was scored on; expected the folder that "
        "'select data' wrote for it"
    )


def _scores(path: Path) -> pd.DataFrame:
    check_written(path)
    try:
        scores = pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a scores file ({str(error).splitlines()[0]})") from None
    missing = [column for column in _TEXT if column not in scores]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; expected scores of questions about images")
    if (scores["image"] == "").all():
        raise InputError(f"{path}: column image is empty; a contact sheet shows questions about images")
    if len(scores) < len(SIDES):
        raise InputError(f"{path}: {len(scores)} samples; expected at least one on each side")
    return scores
